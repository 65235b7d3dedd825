//! How Kafka is reached: addresses, TLS, logins. Values of Secrets stay references until the runtime resolves them.

use super::problems::{At, Problems};
use crate::problem::ProblemKind;
use crate::spec::{self, KafkaTopic, SaslMechanism, SecretKeyRef, StreamPipelineSpec};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How to reach Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KafkaAccess {
    /// The manifest says everything but the values of Secrets.
    Inline {
        /// `host:port,…`.
        servers: String,
        /// None is plain text.
        tls: Option<KafkaTls>,
        /// None is nobody.
        login: Option<KafkaLogin>,
    },
    /// A Secret of the servicebinding or Strimzi form says who logs in, and what is not said here.
    Secret {
        /// Its name.
        name: String,
        /// Addresses, in place of those of the Secret.
        servers: Option<String>,
        /// Certificate authorities, in place of those of the Secret.
        ca: Option<SecretKey>,
    },
}

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretKey {
    /// The Secret.
    pub name: String,
    /// The key.
    pub key: String,
}

/// Encryption: who is trusted, and with which certificate the client logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaTls {
    /// Certificate authorities of the brokers.
    pub ca: SecretKey,
    /// Of the client.
    pub certificate: Option<KafkaCertificate>,
}

/// The certificate of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaCertificate {
    /// The certificate, with its intermediates.
    pub chain: SecretKey,
    /// Its private key.
    pub key: SecretKey,
}

/// A login with name and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaLogin {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: SecretKey,
}

impl std::fmt::Display for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "key `{}` of Secret {}", self.key, self.name)
    }
}

impl From<&SecretKeyRef> for SecretKey {
    fn from(reference: &SecretKeyRef) -> Self {
        Self { name: reference.name.clone(), key: reference.key.clone() }
    }
}

impl KafkaAccess {
    /// Keys of Secrets that are named one by one.
    pub fn secret_keys(&self) -> Vec<&SecretKey> {
        match self {
            Self::Inline { tls, login, .. } => {
                let certificate = tls.iter().flat_map(|tls| &tls.certificate);
                let of_tls = tls.iter().map(|tls| &tls.ca);
                of_tls
                    .chain(certificate.flat_map(|certificate| [&certificate.chain, &certificate.key]))
                    .chain(login.iter().map(|login| &login.password))
                    .collect()
            }
            Self::Secret { ca, .. } => ca.iter().collect(),
        }
    }

    /// Names of all Secrets that it refers to.
    pub fn secrets(&self) -> BTreeSet<&str> {
        let whole = match self {
            Self::Secret { name, .. } => Some(name.as_str()),
            Self::Inline { .. } => None,
        };
        self.secret_keys().into_iter().map(|key| key.name.as_str()).chain(whole).collect()
    }

    fn is_plain_text(&self) -> bool {
        matches!(self, Self::Inline { tls: None, login: None, .. })
    }
}

/// The access of `spec.kafka`, the default of every topic. What is impossible was told by [`check_kafka`].
pub(super) fn access_of_pipeline(spec: &StreamPipelineSpec) -> Option<Arc<KafkaAccess>> {
    spec.kafka.as_ref().and_then(access_of).map(Arc::new)
}

fn access_of(kafka: &spec::KafkaAccess) -> Option<KafkaAccess> {
    let ca = kafka.tls.as_ref().map(|tls| SecretKey::from(&tls.ca_secret_key_ref));
    match (&kafka.bootstrap_servers, &kafka.secret_ref) {
        (servers, Some(secret)) => {
            Some(KafkaAccess::Secret { name: secret.name.clone(), servers: servers.clone(), ca })
        }
        (Some(servers), None) => Some(KafkaAccess::Inline {
            servers: servers.clone(),
            tls: kafka.tls.as_ref().map(tls),
            login: kafka.sasl.as_ref().map(|sasl| KafkaLogin {
                mechanism: sasl.mechanism,
                username: sasl.username.clone(),
                password: (&sasl.password_secret_key_ref).into(),
            }),
        }),
        (None, None) => None,
    }
}

fn tls(given: &spec::KafkaTls) -> KafkaTls {
    let pair = given.cert_secret_key_ref.as_ref().zip(given.key_secret_key_ref.as_ref());
    KafkaTls {
        ca: (&given.ca_secret_key_ref).into(),
        certificate: pair.map(|(chain, key)| KafkaCertificate { chain: chain.into(), key: key.into() }),
    }
}

/// Checks `spec.kafka`.
pub(super) fn check_kafka(kafka: &spec::KafkaAccess, at: &At, problems: &mut Problems) {
    let mut impossible = |when: bool, at: &At, message: &str| {
        if when {
            problems.add(ProblemKind::Union, at, message);
        }
    };
    let secret = kafka.secret_ref.is_some();
    impossible(
        kafka.bootstrap_servers.is_none() && !secret,
        at,
        "neither `bootstrapServers` nor `secretRef` is set; write the addresses of the brokers, or name a Secret that has them",
    );
    impossible(
        secret && kafka.sasl.is_some(),
        &at.field("sasl"),
        "`secretRef` says who logs in already; remove `secretRef` or `sasl`",
    );
    if let Some(sasl) = &kafka.sasl {
        impossible(
            sasl.mechanism == SaslMechanism::Plain && kafka.tls.is_none(),
            &at.field("sasl").field("mechanism"),
            "`Plain` would send the password unencrypted; set `tls`, or use `ScramSha512`",
        );
    }
    if let Some(tls) = &kafka.tls {
        let at = at.field("tls");
        impossible(
            secret && tls.cert_secret_key_ref.is_some(),
            &at.field("certSecretKeyRef"),
            "`secretRef` says who logs in already; remove `secretRef` or `certSecretKeyRef` and `keySecretKeyRef`",
        );
        impossible(
            tls.cert_secret_key_ref.is_some() && tls.key_secret_key_ref.is_none(),
            &at,
            "`certSecretKeyRef` is set without `keySecretKeyRef`: a certificate needs its private key",
        );
        impossible(
            tls.cert_secret_key_ref.is_none() && tls.key_secret_key_ref.is_some(),
            &at,
            "`keySecretKeyRef` is set without `certSecretKeyRef`: a private key needs its certificate",
        );
    }
    check_servers(kafka.bootstrap_servers.as_deref(), at, problems);
}

fn check_servers(servers: Option<&str>, at: &At, problems: &mut Problems) {
    let bad = |address: &&str| {
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
        !port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    if let Some(address) = servers.and_then(|servers| servers.split(',').map(str::trim).find(bad)) {
        let message =
            format!("`{address}` is not an address; write `host:port`, several with commas between them");
        problems.add(ProblemKind::BadText, &at.field("bootstrapServers"), message);
    }
}

/// A topic and how its cluster is reached.
pub(super) fn kafka_topic(
    kafka: &KafkaTopic,
    default: Option<&Arc<KafkaAccess>>,
    at: &At,
    problems: &mut Problems,
) -> (String, Option<Arc<KafkaAccess>>) {
    if kafka.bootstrap_servers.is_some() && kafka.secret_ref.is_some() {
        let message = "`bootstrapServers` and `secretRef` are set; at most one of them is allowed";
        problems.add(ProblemKind::Union, at, message);
    }
    if kafka.topic == "." || kafka.topic == ".." {
        problems.add(
            ProblemKind::BadText,
            &at.field("topic"),
            format!("`{}` cannot be a topic", kafka.topic),
        );
    }
    check_servers(kafka.bootstrap_servers.as_deref(), at, problems);
    if kafka.bootstrap_servers.is_some() && default.is_some_and(|access| !access.is_plain_text()) {
        let message = "`bootstrapServers` of a topic are reached in plain text, and `spec.kafka` is not; remove them: one pipeline uses one cluster";
        problems.add(ProblemKind::Union, &at.field("bootstrapServers"), message);
    }
    let own = match (&kafka.bootstrap_servers, &kafka.secret_ref) {
        (Some(servers), _) => Some(KafkaAccess::Inline { servers: servers.clone(), tls: None, login: None }),
        (None, Some(secret)) => {
            Some(KafkaAccess::Secret { name: secret.name.clone(), servers: None, ca: None })
        }
        (None, None) => None,
    };
    (kafka.topic.clone(), own.map(Arc::new).or_else(|| default.cloned()))
}
