//! The ways in: what stands in a manifest and in its Secrets for each, and how the cluster is told.

use crate::broker::{Acl, grant, set_password};
use crate::world::{Weir, World, program};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// How a pipeline logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Encrypted, and nobody logs in; the addresses in the manifest.
    Tls,
    /// With a certificate; all in a Secret as a KafkaAccess writes it.
    Mtls,
    /// With a password inside TLS; all in the manifest.
    Plain,
    /// As `Plain`.
    Scram256,
    /// The Secret of a KafkaUser, and the certificate authority in that of its cluster.
    Scram512,
}

pub const PASSWORD: &str = "first, \"secret\"=1";

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is of the bed: eval \"$(e2e/bed/bed env)\""))
}

/// A file of the bed's certificates.
pub fn certificate(file: &str) -> String {
    std::fs::read_to_string(PathBuf::from(variable("KAFKA_PKI")).join(file)).unwrap()
}

/// The address of a listener: `TLS`, `MTLS`, `SASL`.
pub fn listener(name: &str) -> String {
    variable(&format!("KAFKA_{name}"))
}

/// One pipeline of a test, its Secrets, and its user.
pub struct Secured {
    pub world: World,
    pub user: String,
    kafka: String,
    secrets: BTreeMap<(String, String), String>,
}

impl Secured {
    /// Topics, a user with the rights that `weir topics` prints, and Secrets that let it in.
    pub fn new(test: &str, way: Way) -> Self {
        let world = World::new(test);
        let name = format!("u-{}", world.unique);
        let tls = "tls: {caSecretKeyRef: {name: ca, key: ca.crt}}";
        let inline = |mechanism: &str, user: &str| {
            format!(
                "bootstrapServers: '{}', {tls}, sasl: {{mechanism: {mechanism}, username: {user}, passwordSecretKeyRef: {{name: user, key: password}}}}",
                listener("SASL")
            )
        };
        let (kafka, user) = match way {
            Way::Tls => (format!("bootstrapServers: '{}', {tls}", listener("TLS")), "ANONYMOUS".to_owned()),
            Way::Mtls => ("secretRef: {name: access}".to_owned(), "CN=weir-client".to_owned()),
            Way::Plain => (inline("Plain", "plain-user"), "plain-user".to_owned()),
            Way::Scram256 => (inline("ScramSha256", &name), name.clone()),
            Way::Scram512 => (
                format!("bootstrapServers: '{}', {tls}, secretRef: {{name: user}}", listener("SASL")),
                name.clone(),
            ),
        };
        let mut secured = Self { world, user: format!("User:{user}"), kafka, secrets: BTreeMap::new() };
        secured.fill(way, &name);
        for topic in ["in", "out", "rows", "late", "dlq"] {
            secured.world.topic(topic, &[]);
        }
        if way != Way::Tls {
            grant(&secured.world.bootstrap, &secured.user, &secured.acls());
        }
        secured
    }

    fn fill(&mut self, way: Way, name: &str) {
        self.set("ca", "ca.crt", &certificate("authority.crt"));
        match way {
            Way::Tls => {}
            Way::Mtls => {
                self.set("access", "bootstrap.servers", &listener("MTLS"));
                self.set("access", "security.protocol", "SSL");
                self.set("access", "ssl.truststore.crt", &certificate("authority.crt"));
                self.set("access", "ssl.keystore.crt", &certificate("client.crt"));
                self.set("access", "ssl.keystore.key", &certificate("client.key"));
            }
            Way::Plain => self.set("user", "password", "plain-secret"),
            Way::Scram256 => {
                set_password(&self.world.bootstrap, name, PASSWORD);
                self.set("user", "password", PASSWORD);
            }
            Way::Scram512 => {
                set_password(&self.world.bootstrap, name, PASSWORD);
                self.set("user", "password", PASSWORD);
                self.set("user", "sasl.jaas.config", &jaas(name));
            }
        }
    }

    /// What stands in `spec.kafka` instead.
    pub fn reached(mut self, kafka: &str) -> Self {
        kafka.clone_into(&mut self.kafka);
        self
    }

    /// Puts a value into a Secret, as the kubelet does: whole, in a file that takes the place of the one before.
    pub fn set(&mut self, secret: &str, key: &str, value: &str) {
        self.secrets.insert((secret.to_owned(), key.to_owned()), value.to_owned());
        let folder = self.directory().join(secret);
        std::fs::create_dir_all(&folder).unwrap();
        let new = folder.join(format!(".{key}.new"));
        std::fs::write(&new, value).unwrap();
        std::fs::rename(new, folder.join(key)).unwrap();
    }

    /// Where the Secrets are.
    pub fn directory(&self) -> PathBuf {
        self.world.folder().join("secrets")
    }

    /// Everything in two stages, and snapshots every few seconds.
    pub fn manifest(&self) -> String {
        let topic = |name| self.world.name(name);
        format!(
            "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: {}}}
spec:
  kafka: {{{}}}
  checkpoint: {{interval: 5s}}
  sources:
    - {{name: in, kafka: {{topic: {}}}, eventTime: {{field: ts, maxOutOfOrderness: 0s}}}}
  steps:
    - {{name: all, filter: {{expression: event.n >= 0}}}}
    - {{name: per-k, window: {{keyBy: [k], tumbling: {{size: 1m}}, aggregates: [{{name: count, function: Count}}], lateSink: {{kafka: {{topic: {}}}}}}}}}
  sinks:
    - {{name: out, from: [all], kafka: {{topic: {}}}}}
    - {{name: rows, from: [per-k], kafka: {{topic: {}}}}}
  deadLetterSink: {{kafka: {{topic: {}}}}}
",
            self.world.unique,
            self.kafka,
            topic("in"),
            topic("late"),
            topic("out"),
            topic("rows"),
            topic("dlq")
        )
    }

    /// The rights that `weir topics` prints.
    pub fn acls(&self) -> Vec<Acl> {
        let path = self.world.manifest(&self.manifest());
        let out = Command::new(program()).arg("topics").arg(path).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let acls = Acl::parse(&String::from_utf8(out.stdout).unwrap());
        assert_eq!(acls.len(), 8, "five topics, Weir's own, transactional ids, the group");
        acls
    }

    /// The rights on one resource.
    pub fn acl(&self, kind: &str, name: &str) -> Acl {
        self.acls().into_iter().find(|acl| acl.kind == kind && acl.name == name).unwrap()
    }

    /// `weir worker` with mounted Secrets.
    pub fn worker(&self) -> Weir {
        let directory = self.directory();
        self.world.worker_with(&self.manifest(), &["--secrets", directory.to_str().unwrap()], &[])
    }

    /// `weir worker` with the Secrets in variables.
    pub fn worker_with_variables(&self) -> Weir {
        let letters = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let one = |((secret, key), value): (&(String, String), &String)| {
            (format!("WEIR_SECRET_{secret}_{key}").chars().map(letters).collect(), value.clone())
        };
        let variables: Vec<_> = self.secrets.iter().map(one).collect();
        self.world.worker_with(&self.manifest(), &[], &variables)
    }
}

/// What Strimzi writes for a user; without the password, which has a key of its own.
pub fn jaas(user: &str) -> String {
    format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{user}\" password=\"x\";"
    )
}
