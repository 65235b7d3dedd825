//! What makes a connection safe: whom we trust, and who we are. Values, not references; none of them is ever shown.

use pipeline::spec::SaslMechanism;
use rdkafka::ClientConfig;

/// A value of a Secret. All that is ever said of it is where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    value: String,
    from: String,
}

impl Given {
    /// `from` names the value to people: ``key `ca.crt` of Secret my-cluster``.
    pub fn new(value: impl Into<String>, from: impl Into<String>) -> Self {
        Self { value: value.into(), from: from.into() }
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Where it came from.
    pub fn from(&self) -> &str {
        &self.from
    }
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{}>", self.from)
    }
}

/// How connections are made. The default is plain text, and nobody logs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Encryption, with verified certificates and host names.
    pub tls: Option<Tls>,
    /// A name and a password.
    pub login: Option<Login>,
}

/// Whom we trust, and our own certificate. All PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate authorities of the brokers; no other is trusted.
    pub ca: Given,
    /// Ours.
    pub certificate: Option<Certificate>,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate, and its intermediates.
    pub chain: Given,
    /// Its private key, not encrypted.
    pub key: Given,
}

/// A name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// How the password is proved.
    pub mechanism: SaslMechanism,
    /// The user.
    pub username: String,
    /// The password.
    pub password: Given,
}

impl Security {
    /// Kafka's word for it.
    pub fn protocol(&self) -> &'static str {
        match (&self.tls, &self.login) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        }
    }

    /// Tells librdkafka. Verification is its default; it is written out so that no default can turn it off.
    pub(super) fn tell(&self, config: &mut ClientConfig) {
        config.set("security.protocol", self.protocol());
        if let Some(tls) = &self.tls {
            config
                .set("ssl.ca.pem", tls.ca.value())
                .set("enable.ssl.certificate.verification", "true")
                .set("ssl.endpoint.identification.algorithm", "https");
            if let Some(certificate) = &tls.certificate {
                config
                    .set("ssl.certificate.pem", certificate.chain.value())
                    .set("ssl.key.pem", certificate.key.value());
            }
        }
        if let Some(login) = &self.login {
            config
                .set("sasl.mechanism", mechanism(login.mechanism))
                .set("sasl.username", &login.username)
                .set("sasl.password", login.password.value());
        }
    }
}

/// Kafka's word for it.
pub(super) fn mechanism(of: SaslMechanism) -> &'static str {
    match of {
        SaslMechanism::Plain => "PLAIN",
        SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
        SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        let password = Given::new("hush", "key `password` of Secret s");
        Login { mechanism: SaslMechanism::ScramSha512, username: "alice".to_owned(), password }
    }

    #[test]
    fn what_asks_for_tls_or_a_login_gets_no_less() {
        let tls = Tls { ca: Given::new("pem", "x"), certificate: None };
        let table = [
            (None, None, "PLAINTEXT"),
            (Some(tls.clone()), None, "SSL"),
            (None, Some(login()), "SASL_PLAINTEXT"),
            (Some(tls), Some(login()), "SASL_SSL"),
        ];
        for (tls, login, protocol) in table {
            let mut config = ClientConfig::new();
            let encrypted = tls.is_some();
            Security { tls, login }.tell(&mut config);
            assert_eq!(config.get("security.protocol"), Some(protocol));
            assert_eq!(config.get("ssl.endpoint.identification.algorithm").is_some(), encrypted);
            assert_eq!(config.get("sasl.mechanism").is_some(), protocol.starts_with("SASL"));
        }
    }

    #[test]
    fn a_value_is_never_shown() {
        let shown = format!("{:?}", Security { tls: None, login: Some(login()) });
        assert!(shown.contains("<key `password` of Secret s>") && !shown.contains("hush"), "{shown}");
    }
}
