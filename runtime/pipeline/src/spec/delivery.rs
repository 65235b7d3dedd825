//! How surely records arrive, and what is kept so that they do.

use super::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How often a record may have its effect when something fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeliveryGuarantee {
    /// Once: outputs become visible in the same Kafka transaction as the positions of the input.
    ExactlyOnce,
    /// Once or more often: outputs become visible as soon as they are written.
    AtLeastOnce,
}

/// How often state is saved, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Checkpoint {
    /// Time between two snapshots of the state of a unit, from `5s` to `1h`; the default is `60s`. A shorter one makes
    /// restarts faster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// Where snapshots are kept; the default is an internal Kafka topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<CheckpointStorage>,
}

/// Where snapshots are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckpointStorage {
    /// A directory that every pod sees, as `file:///path`.
    #[schemars(length(min = 8, max = 1024), pattern(r"^file:///.*$"))]
    pub uri: String,
}

/// Where reading starts the first time: `Earliest`, `Latest`, or an RFC 3339 time such as `2026-01-31T12:00:00Z`, which
/// is the first record with that timestamp or a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub struct StartFrom(
    #[schemars(
        length(min = 6, max = 40),
        pattern(r"^(Earliest|Latest|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[+-][0-9:]+))$")
    )]
    pub String,
);
