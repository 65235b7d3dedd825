//! How to reach Kafka, and topics.

use super::{NameRef, SecretKeyRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach a Kafka cluster: everything here, everything in a Secret, or the addresses here and the user in a Secret.
///
/// Without `tls` and `sasl`, and without a Secret that asks for them, the cluster is reached in plain text. What asks for
/// TLS or a login never falls back to less.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.bootstrapServers) || has(self.secretRef)", "message": "set bootstrapServers, secretRef or both"},
    {"rule": "!(has(self.secretRef) && has(self.sasl))", "message": "secretRef says who logs in; remove secretRef or sasl"},
    {"rule": "!(has(self.secretRef) && has(self.tls) && has(self.tls.certSecretKeyRef))",
     "message": "secretRef says who logs in; remove secretRef or tls.certSecretKeyRef"},
    {"rule": "!has(self.sasl) || self.sasl.mechanism != 'Plain' || has(self.tls)",
     "message": "mechanism Plain would send the password unencrypted; set tls"}
]))]
pub struct KafkaAccess {
    /// Addresses of the first brokers to ask, `host:port`, separated by commas. With `secretRef` they win over those of
    /// the Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub bootstrap_servers: Option<String>,
    /// A Secret of the same namespace, as it is: that of a Strimzi KafkaAccess or another service binding, which says
    /// everything; or that of a Strimzi KafkaUser, which says who logs in and needs `bootstrapServers`, and
    /// `tls.caSecretKeyRef` for the certificate authority of the cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    /// Encrypts connections, and verifies the certificate and the host name of the brokers; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    /// Logs in with a name and a password; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<KafkaSasl>,
}

/// Encrypted connections to Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.certSecretKeyRef) == has(self.keySecretKeyRef)",
     "message": "set both of certSecretKeyRef and keySecretKeyRef, or none"}
]))]
pub struct KafkaTls {
    /// The certificate authorities that the brokers' certificates are verified with, PEM. No other is trusted. With
    /// Strimzi it is `ca.crt` of the Secret `<cluster>-cluster-ca-cert`.
    pub ca_secret_key_ref: SecretKeyRef,
    /// The certificate to log in with, PEM, with its intermediates behind it; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_secret_key_ref: Option<SecretKeyRef>,
    /// The private key of that certificate, PEM, not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_secret_key_ref: Option<SecretKeyRef>,
}

/// A login at Kafka with a name and a password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaSasl {
    /// `Plain`, `ScramSha256` or `ScramSha512`: how the password is proved. `Plain` needs `tls`.
    pub mechanism: SaslMechanism,
    /// Name of the user, of at most 255 characters.
    #[schemars(length(min = 1, max = 255))]
    pub username: String,
    /// The password of the user; a line break at its end is not part of it.
    pub password_secret_key_ref: SecretKeyRef,
}

/// How a password is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    /// It is sent as it is, so only inside TLS.
    Plain,
    /// SCRAM-SHA-256: the broker learns nothing that it could log in with.
    ScramSha256,
    /// SCRAM-SHA-512, as Strimzi's users have it.
    ScramSha512,
}

/// A Kafka topic, in the cluster of `spec.kafka` unless it says itself how that is reached. One pipeline uses one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(has(self.bootstrapServers) && has(self.secretRef))", "message": "set at most one of bootstrapServers and secretRef"}
]))]
pub struct KafkaTopic {
    /// Name of the topic: letters, digits, `.`, `_` and `-`, at most 249 characters.
    #[schemars(length(min = 1, max = 249), pattern(r"^[a-zA-Z0-9._-]+$"))]
    pub topic: String,
    /// Addresses of the first brokers to ask, `host:port`, separated by commas, reached in plain text; the default is
    /// `spec.kafka`, which is the place for TLS and a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub bootstrap_servers: Option<String>,
    /// A Secret of the same namespace that says everything, as that of a Strimzi KafkaAccess; the default is
    /// `spec.kafka`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
}
