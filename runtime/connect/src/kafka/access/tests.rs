use super::*;
use pipeline::plan::KafkaCertificate;
use std::collections::BTreeMap;

/// A certificate that nobody trusts, its key, and a key of another one.
const CERTIFICATE: &str = include_str!("test.crt");
const KEY: &str = include_str!("test.key");
const OTHER_KEY: &str = include_str!("other.key");

type Content<'a> = &'a [(&'a str, &'a str, &'a str)];

/// Resolves with these Secrets: name, key, value.
fn resolve(access: &KafkaAccess, content: Content<'_>) -> Result<Access, SecretError> {
    let all: BTreeMap<_, _> = content.iter().map(|(name, key, value)| ((*name, *key), *value)).collect();
    let read = |name: &str, key: &str| Ok(all.get(&(name, key)).map(|value| value.as_bytes().to_vec()));
    let place = |name: &str| format!("<{name}>");
    Access::resolve(access, &Secrets { read: &read, place: &place })
}

fn key(name: &str, key: &str) -> SecretKey {
    SecretKey { name: name.to_owned(), key: key.to_owned() }
}

fn whole(servers: Option<&str>, ca: Option<SecretKey>) -> KafkaAccess {
    KafkaAccess::Secret { name: "s".to_owned(), servers: servers.map(str::to_owned), ca }
}

/// As `weir` logs it, with the certificates: what was understood.
fn understood(access: &Access) -> String {
    let Access { security: Security { tls, .. }, .. } = access;
    let ca = tls.as_ref().map_or("nobody", |tls| tls.ca.from());
    let certificate = tls.as_ref().and_then(|tls| tls.certificate.as_ref());
    let certificate = certificate.map_or("none", |pair| pair.chain.from());
    let mechanism = access.security.login.as_ref().map(|login| login.mechanism);
    format!("{access}; trusts {ca}; certificate {certificate}; {mechanism:?}")
}

#[test]
fn secrets_of_strimzi_are_taken_as_they_are() {
    const JAAS: &str = r#"org.apache.kafka.common.security.scram.ScramLoginModule required username="my-user" password="hu\"sh";"#;
    let cluster_ca = || Some(key("ca", "ca.crt"));
    let table: &[(KafkaAccess, Content<'_>, &str)] = &[
        (
            whole(None, None),
            &[("s", "bootstrap.servers", "a:1,b:1\n"), ("s", "security.protocol", "PLAINTEXT")],
            "a:1,b:1 by PLAINTEXT; trusts nobody; certificate none; None",
        ),
        (
            whole(None, None),
            &[("s", "type", "kafka"), ("s", "bootstrap-servers", "a:1")],
            "a:1 by PLAINTEXT; trusts nobody; certificate none; None",
        ),
        (
            whole(None, None),
            &[
                ("s", "bootstrapServers", "a:1"),
                ("s", "securityProtocol", "SSL"),
                ("s", "ssl.truststore.crt", CERTIFICATE),
                ("s", "ssl.keystore.crt", CERTIFICATE),
                ("s", "ssl.keystore.key", KEY),
            ],
            "a:1 by SSL; trusts key `ssl.truststore.crt` of Secret s; certificate key `ssl.keystore.crt` of Secret s; None",
        ),
        (
            whole(None, None),
            &[
                ("s", "bootstrap.servers", "a:1"),
                ("s", "security.protocol", "SASL_SSL"),
                ("s", "sasl.mechanism", "SCRAM-SHA-512"),
                ("s", "username", "my-user"),
                ("s", "password", "hush"),
                ("s", "sasl.jaas.config", JAAS),
                ("s", "ssl.truststore.crt", CERTIFICATE),
            ],
            "a:1 by SASL_SSL as my-user; trusts key `ssl.truststore.crt` of Secret s; certificate none; Some(ScramSha512)",
        ),
        (
            whole(Some("b:2"), cluster_ca()),
            &[
                ("ca", "ca.crt", CERTIFICATE),
                ("s", "ca.crt", "of clients"),
                ("s", "user.crt", CERTIFICATE),
                ("s", "user.key", KEY),
            ],
            "b:2 by SSL; trusts key `ca.crt` of Secret ca; certificate key `user.crt` of Secret s; None",
        ),
        (
            whole(Some("b:2"), cluster_ca()),
            &[("ca", "ca.crt", CERTIFICATE), ("s", "password", "hush"), ("s", "sasl.jaas.config", JAAS)],
            "b:2 by SASL_SSL as my-user; trusts key `ca.crt` of Secret ca; certificate none; Some(ScramSha512)",
        ),
        (
            whole(Some("b:2"), None),
            &[("s", "bootstrap.servers", "a:1"), ("s", "sasl.jaas.config", JAAS)],
            "b:2 by SASL_PLAINTEXT as my-user; trusts nobody; certificate none; Some(ScramSha512)",
        ),
    ];
    for (access, content, expected) in table {
        assert_eq!(understood(&resolve(access, content).unwrap()), *expected);
    }
    let with_jaas = resolve(&table[6].0, table[6].1).unwrap();
    assert_eq!(with_jaas.security.login.unwrap().password.value(), "hu\"sh");
}

#[test]
fn what_is_written_in_the_manifest_is_put_together_from_several_secrets() {
    let certificate = KafkaCertificate { chain: key("user", "tls.crt"), key: key("user", "tls.key") };
    let access = KafkaAccess::Inline {
        servers: "a:1".to_owned(),
        tls: Some(KafkaTls { ca: key("ca", "ca.crt"), certificate: Some(certificate) }),
        login: Some(KafkaLogin {
            mechanism: SaslMechanism::Plain,
            username: "alice".to_owned(),
            password: key("login", "password"),
        }),
    };
    let content: Content<'_> = &[
        ("ca", "ca.crt", CERTIFICATE),
        ("user", "tls.crt", CERTIFICATE),
        ("user", "tls.key", KEY),
        ("login", "password", " hush \n"),
    ];
    let resolved = resolve(&access, content).unwrap();
    assert_eq!(
        understood(&resolved),
        "a:1 by SASL_SSL as alice; trusts key `ca.crt` of Secret ca; certificate key `tls.crt` of Secret user; Some(Plain)"
    );
    // A line break at the end is of the editor, a space is of the user.
    assert_eq!(resolved.security.login.unwrap().password.value(), " hush ");
    for missing in 0..content.len() {
        let rest: Vec<_> = content.iter().enumerate().filter(|(at, _)| *at != missing).collect();
        let rest: Vec<_> = rest.into_iter().map(|(_, entry)| *entry).collect();
        let error = resolve(&access, &rest).unwrap_err();
        assert_eq!(error.missing_key(), Some(content[missing].1), "{error}");
    }
}

#[test]
fn what_cannot_be_used_is_named_without_its_value_and_never_used_in_part() {
    let full = |change: (&'static str, &'static str)| {
        let mut all = vec![
            ("s", "bootstrap.servers", "a:1"),
            ("s", "security.protocol", "SASL_SSL"),
            ("s", "sasl.mechanism", "PLAIN"),
            ("s", "username", "alice"),
            ("s", "password", "hush"),
            ("s", "ssl.truststore.crt", CERTIFICATE),
            ("s", "ssl.keystore.crt", CERTIFICATE),
            ("s", "ssl.keystore.key", KEY),
        ];
        all.retain(|(_, key, _)| *key != change.0);
        if !change.1.is_empty() {
            all.push(("s", change.0, change.1));
        }
        all
    };
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVzaA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let table = [
        ("bootstrap.servers", "", "key `bootstrap.servers` is missing in the Kafka access secret at <s>"),
        (
            "bootstrap.servers",
            "hush:1\nhush:2",
            "key `bootstrap.servers` of the Kafka access secret at <s> is not one line",
        ),
        (
            "security.protocol",
            "KERBEROS",
            "key `security.protocol` of the Kafka access secret at <s> is none of PLAINTEXT",
        ),
        ("security.protocol", "SASL_PLAINTEXT", "would send the password unencrypted"),
        (
            "sasl.mechanism",
            "GSSAPI",
            "key `sasl.mechanism` of the Kafka access secret at <s> is none of PLAIN",
        ),
        ("sasl.mechanism", "", "key `sasl.mechanism` is missing"),
        ("username", "", "key `username` is missing"),
        ("password", "", "key `password` is missing"),
        ("password", "\n", "key `password` of the Kafka access secret at <s> is not a password"),
        ("ssl.truststore.crt", "", "key `ssl.truststore.crt` is missing"),
        ("ssl.truststore.crt", "hush", "is not text in PEM form"),
        ("ssl.truststore.crt", KEY, "key `ssl.truststore.crt` of Secret s holds no certificate"),
        ("ssl.keystore.key", "", "key `ssl.keystore.key` is missing"),
        (
            "ssl.keystore.key",
            encrypted,
            "key `ssl.keystore.key` of Secret s holds no private key in PEM form that is not encrypted",
        ),
        (
            "ssl.keystore.key",
            OTHER_KEY,
            "cannot be used with the private key in key `ssl.keystore.key` of Secret s",
        ),
    ];
    for (key, value, expected) in table {
        let error = resolve(&whole(None, None), &full((key, value))).unwrap_err();
        let mut text = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            text = format!("{text}: {source}");
        }
        assert!(text.contains(expected) && !text.contains("hush"), "{text}");
    }
}

#[test]
fn a_client_certificate_alone_trusts_nobody() {
    let content: Content<'_> =
        &[("s", "user.crt", CERTIFICATE), ("s", "user.key", KEY), ("s", "ca.crt", CERTIFICATE)];
    let error = resolve(&whole(Some("a:1"), None), content).unwrap_err().to_string();
    assert!(error.contains("set spec.kafka.tls.caSecretKeyRef"), "{error}");
}

#[test]
fn a_manifest_that_asks_for_tls_gets_no_less() {
    let content: Content<'_> = &[("s", "security.protocol", "PLAINTEXT"), ("ca", "ca.crt", CERTIFICATE)];
    let error = resolve(&whole(Some("a:1"), Some(key("ca", "ca.crt"))), content).unwrap_err().to_string();
    assert!(error.contains("asks for a connection without TLS"), "{error}");
}
