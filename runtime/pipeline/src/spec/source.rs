//! Sources: where records come from, what they must look like and when they happened.

use super::{Duration, KafkaTopic, StartFrom};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One source of records. Exactly one connector is set; today there is `kafka`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.kafka)", "message": "set exactly one connector: kafka"}
]))]
pub struct SourceSpec {
    /// Name by which steps and sinks read the source: a DNS label of at most 40 characters, used once among sources
    /// and steps.
    #[schemars(length(min = 1, max = 40), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Reads the values of a Kafka topic as JSON, one value per record, committed transactions only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kafka: Option<KafkaTopic>,
    /// Where the event time of a record is found and how late or early it may be; the default is the timestamp of the
    /// record with the defaults of every field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTime>,
    /// A JSON Schema that every value must fulfil; a record that does not is a dead letter. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaRef>,
    /// Where reading starts the first time, before any position is committed: `Earliest`, `Latest` or an RFC 3339
    /// time; the default is `spec.startFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_from: Option<StartFrom>,
}

/// When a record happened, and how far apart records may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventTime {
    /// Path of the field that holds the event time, such as `ts` or `meta.created`: an RFC 3339 text or a whole number
    /// since the epoch in `unit`. A record without a readable one is a dead letter. The default is the timestamp of
    /// the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub field: Option<String>,
    /// Unit of a whole number in `field`: `Seconds`, `Milliseconds` or `Microseconds`; the default is `Milliseconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<EventTimeUnit>,
    /// How far a record may lie behind the newest one of its partition before its windows begin to close, at most
    /// `24h`; the default is `5s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_out_of_orderness: Option<Duration>,
    /// How long a partition may have nothing to read before it stops to hold back the windows of the others, at least
    /// `1s`; the default is `30s`. Input files are never idle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// How far ahead of the clock an event time may lie; a record further ahead is a dead letter. The default is `1h`;
    /// `0s` switches the check off, for replays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_future: Option<Duration>,
}

/// Unit of a whole number that is an event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventTimeUnit {
    /// Seconds since the epoch.
    Seconds,
    /// Milliseconds since the epoch.
    Milliseconds,
    /// Microseconds since the epoch.
    Microseconds,
}

/// Where a JSON Schema is found. Exactly one of the fields is set; today there is `configMapKeyRef`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.configMapKeyRef)", "message": "set exactly one of: configMapKeyRef"}
]))]
pub struct SchemaRef {
    /// A key of a ConfigMap of the same namespace whose value is the JSON Schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKey>,
}

/// One key of a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMapKey {
    /// Name of the ConfigMap, in the namespace of the pipeline.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key under `data` of the ConfigMap.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
