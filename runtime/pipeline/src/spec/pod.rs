//! The pods of a pipeline: their size and where they run. None of it changes what the pipeline computes.

use super::Duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A size of pods: requests and limits of CPU and memory in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Size {
    /// Requests 250m CPU and 512Mi, limits 500m and 1Gi.
    Small,
    /// Requests 500m CPU and 1Gi, limits 1 CPU and 2Gi.
    Medium,
    /// Requests 1 CPU and 2Gi, limits 2 CPU and 4Gi.
    Large,
    /// Requests 2 CPU and 4Gi, limits 4 CPU and 8Gi.
    XLarge,
}

/// CPU and memory of each pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What each pod is guaranteed; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// What each pod may use at most; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceAmounts {
    /// CPU in cores, such as `500m` (half a core) or `"2"`; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), pattern(r"^[0-9]+(\.[0-9]{1,3})?m?$"))]
    pub cpu: Option<String>,
    /// Memory in bytes, such as `512Mi` or `2Gi`; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 20), pattern(r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"))]
    pub memory: Option<String>,
}

/// A taint of nodes that the pods accept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// Key of the taint; without one every key is accepted, with `operator: Exists`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 316))]
    pub key: Option<String>,
    /// `Exists` accepts every value of the key, `Equal` only `value`; the default is `Equal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// Value of the taint, for `Equal`; empty by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub value: Option<String>,
    /// Effect of the taint: `NoSchedule`, `PreferNoSchedule` or `NoExecute`; every effect by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), pattern(r"^(NoSchedule|PreferNoSchedule|NoExecute)$"))]
    pub effect: Option<String>,
    /// Seconds that a pod stays on a node after the taint `NoExecute` appeared; for ever by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// The key exists, whatever its value.
    Exists,
    /// The key has this value.
    Equal,
}

/// A group of nodes over which the pods spread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopologySpread {
    /// Label of nodes; nodes with the same value are one group, such as `topology.kubernetes.io/zone`.
    #[schemars(length(min = 1, max = 316))]
    pub topology_key: String,
    /// By how many pods two groups may differ, 1 to 100; the default is 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_skew: Option<i32>,
    /// `ScheduleAnyway` prefers to spread, `DoNotSchedule` lets a pod wait rather than run elsewhere; the default is
    /// `ScheduleAnyway`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_unsatisfiable: Option<WhenUnsatisfiable>,
}

/// What becomes of a pod that would not be spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// It runs where there is room.
    ScheduleAnyway,
    /// It waits.
    DoNotSchedule,
}

/// How a change of the pipeline replaces its pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateStrategy {
    /// `Handover`, the default: new pods restore beside the old ones, which work, and take over from one commit to the next.
    /// They need room for both. `Recreate`: the old pods finish and save their state, then new ones start from it.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<UpdateType>,
    /// How long a change is watched after it has taken over, from `0s` to `1h`; the default is `2m`. As long as it lasts the
    /// state of before is kept for a rollback. `0s` watches and keeps nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probation: Option<Duration>,
    /// Whether a change that does not work in its probation is taken back: its pods restart, its commits do not advance, or
    /// it makes dead letters where the version before did not. The default is `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_rollback: Option<bool>,
    /// Whether the state is saved as a StreamSavepoint before another plan takes over; the change waits for it, what works goes
    /// on. The last ten of them are kept, or as many as `savepoints.historyLimit` says. It needs `checkpoint.storage`. The
    /// default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<bool>,
}

/// An earlier revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackTo {
    /// Its number in `status.history`, from 1.
    #[schemars(range(min = 1))]
    pub revision: i64,
}

/// The ways to replace pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UpdateType {
    /// New pods stand by beside the old ones, which work until those take over.
    Handover,
    /// Old pods finish and save their state, then new ones start from it; nothing runs in between.
    Recreate,
}

/// Labels, annotations or a node selector.
pub(super) type TextMap = BTreeMap<String, String>;
