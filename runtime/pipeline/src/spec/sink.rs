//! Sinks: where records go.

use super::{KafkaTopic, NameRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One sink. Exactly one of `kafka`, `file` and `log` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.kafka), has(self.file), has(self.log)].filter(set, set).size() == 1",
     "message": "set exactly one of kafka, file and log"}
]))]
pub struct SinkSpec {
    /// Name of the sink: a DNS label of at most 40 characters, used once among sinks.
    #[schemars(length(min = 1, max = 40), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What the sink takes: names of steps or sources, or a branch of a route such as `by-type.refunds`. The default
    /// is the last step, and without steps the only source. An empty list is for a sink that only `sinkRef` names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 81)), extend("x-kubernetes-list-type" = "set"))]
    pub from: Option<Vec<String>>,
    /// Writes to a Kafka topic, in the same transaction as the positions of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaTopic>,
    /// Writes lines of JSON to files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<FileSink>,
    /// Writes lines of JSON to the log of the pod, at least once. For looking at a stream, not for keeping it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSink>,
}

/// Lines of JSON in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileSink {
    /// Path of the file, of at most 1024 characters, on the machine or in the pod that runs the pipeline.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
}

/// The log of the pod; it has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogSink {}

/// Where records go that have no place in the stream. Exactly one of `kafka` and `sinkRef` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.kafka) != has(self.sinkRef)", "message": "set exactly one of kafka and sinkRef"}
]))]
pub struct SideSink {
    /// Writes the records to a Kafka topic, in the same transaction as the positions of the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaTopic>,
    /// Gives the records to a sink of `spec.sinks`, together with what that sink takes already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sink_ref: Option<NameRef>,
}
