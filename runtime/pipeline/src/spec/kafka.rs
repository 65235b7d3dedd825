//! How to reach Kafka, and topics.

use super::NameRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to reach a Kafka cluster. Exactly one of the fields is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.bootstrapServers) != has(self.secretRef)", "message": "set exactly one of bootstrapServers and secretRef"}
]))]
pub struct KafkaAccess {
    /// Addresses of the first brokers to ask, `host:port`, separated by commas, reached without TLS or a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub bootstrap_servers: Option<String>,
    /// A Secret of the same namespace that says how to reach the cluster, in the form of a service binding, which is
    /// also what Strimzi's access operator writes: `bootstrap.servers` is used, and `security.protocol` must be
    /// `PLAINTEXT` or absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
}

/// A Kafka topic, in the cluster of `spec.kafka` unless it names another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!(has(self.bootstrapServers) && has(self.secretRef))", "message": "set at most one of bootstrapServers and secretRef"}
]))]
pub struct KafkaTopic {
    /// Name of the topic: letters, digits, `.`, `_` and `-`, at most 249 characters.
    #[schemars(length(min = 1, max = 249), pattern(r"^[a-zA-Z0-9._-]+$"))]
    pub topic: String,
    /// Addresses of the first brokers to ask, `host:port`, separated by commas, reached without TLS or a login; the
    /// default is `spec.kafka`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub bootstrap_servers: Option<String>,
    /// A Secret of the same namespace that says how to reach the cluster, as in `spec.kafka.secretRef`; the default is
    /// `spec.kafka`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
}
