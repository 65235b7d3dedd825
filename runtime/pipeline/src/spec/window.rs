//! Windows and aggregates: the kind `StreamWindow`, and the same fields inline in a step.

use super::{Duration, SideSink};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A window: how records are grouped by key and event time, and what is computed of each group. Each closed window
/// gives one row: the key fields, `window_start` and `window_end` (RFC 3339, the end not included) and the aggregates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.tumbling)", "message": "set exactly one kind of window: tumbling"}
]))]
pub struct StreamWindowSpec {
    /// Paths of the fields that records are grouped by, such as `user_id`. The row names a field by the last part of
    /// its path. A record in which one is missing or null is a dead letter.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub key_by: Vec<String>,
    /// Windows of one fixed length, side by side, aligned to the epoch in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tumbling: Option<Tumbling>,
    /// How long after its end a window stays open for late records, at most `7d`; the default is `0s`. A record is
    /// late when its window is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_lateness: Option<Duration>,
    /// What is computed of the records of a window, one field of the row each.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub aggregates: Vec<Aggregate>,
    /// Who takes late records, as they came in; without one they are dropped and counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_sink: Option<SideSink>,
}

/// Windows of one fixed length, side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tumbling {
    /// Length of a window, from `1ms` to `366d`. `5m` gives windows that start at minute 0, 5, 10 of each hour.
    pub size: Duration,
}

/// One aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.function == 'Count' || has(self.field)", "message": "this function needs field"}
]))]
pub struct Aggregate {
    /// Name of the field of the row: a letter or `_`, then letters, digits and `_`, at most 64 characters, not
    /// `window_start`, `window_end` or a key field.
    #[schemars(length(min = 1, max = 64), pattern(r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub name: String,
    /// What is computed: `Count`, `Sum`, `Average`, `Min` or `Max`.
    pub function: AggregateFunction,
    /// Path of the field that is aggregated, such as `amount`; missing and null values are skipped. `Count` without
    /// it counts records, every other function needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub field: Option<String>,
}

/// What an aggregate computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AggregateFunction {
    /// Number of records, or of the values of `field` that are not null.
    Count,
    /// Sum. Whole numbers are exact in 64 bits; the record that makes it overflow is a dead letter.
    Sum,
    /// Sum divided by the number of values, as a floating-point number.
    Average,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
}
