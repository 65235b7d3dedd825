//! The kind `ScalingPolicy`: when a pipeline gets more pods, and when fewer. The words are those of the
//! HorizontalPodAutoscaler.

use super::{Duration, NameRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many pods a pipeline has, by what its pods measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.preset) || has(self.maxReplicas)", "message": "set maxReplicas, or a preset that has one"},
    {"rule": "has(self.preset) || (has(self.metrics) && size(self.metrics) > 0)", "message": "set metrics or a preset"},
    {"rule": "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
     "message": "minReplicas must not be more than maxReplicas"}
]))]
pub struct ScalingPolicySpec {
    /// The StreamPipeline of the same namespace that is scaled. Of two policies with the same target neither scales.
    pub scale_target_ref: NameRef,
    /// Fewest pods, from 1 to 1000; the default is 1, or that of the preset.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,
    /// Most pods, from 1 to 1000; it has to be given unless a preset has one. More pods than partitions are never
    /// asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<i32>,
    /// Metrics and bounds for a usual case: `Ingestion` is a pod for each 10000 records of the queue, 2 to 20 pods;
    /// `Processor` is a pod for each 5000 records of lag or for each second of processing time, whichever is more, 1
    /// to 15 pods. `metrics` and the bounds are added to it, and win over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<ScalingPreset>,
    /// What the number of pods follows, at most 16; the metric that asks for most pods decides. While one of them is
    /// not known, nothing is scaled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub metrics: Vec<ScalingMetric>,
    /// How fast the number of pods may change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<ScalingBehavior>,
    /// Times at which other bounds hold, at most 16; of those that are active the first of the list counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub schedules: Vec<ScalingSchedule>,
    /// Leaves the number of pods alone and decides nothing; the default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// Decides and says what would be done, and scales nothing; the default is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// Metrics and bounds for a usual case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingPreset {
    /// Takes in records: a pod for each 10000 records of the queue, 2 to 20 pods.
    Ingestion,
    /// Works on records: a pod for each 5000 records of lag or each second of processing time, 1 to 15 pods.
    Processor,
}

/// One metric with what it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.consumerLag), has(self.lagSeconds), has(self.queueSize), has(self.processingTime), has(self.health), has(self.cpu), has(self.memory), has(self.throughput)].filter(set, set).size() == 1",
     "message": "set exactly one of consumerLag, lagSeconds, queueSize, processingTime, health, cpu, memory and throughput"}
]))]
pub struct ScalingMetric {
    /// Records between the committed positions and the ends of the partitions, for each pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer_lag: Option<AverageCount>,
    /// Age of the oldest record that is not processed yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<LagAge>,
    /// Records that were read and are not committed yet, for each pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_size: Option<AverageCount>,
    /// Mean time from the reading of the first record of a commit until it was committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_time: Option<ProcessingTarget>,
    /// Health of the pipeline from 0 to 1, the mean of its pods. It only asks for more pods, never for fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthTarget>,
    /// Processor time of the pods, against what they request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Utilization>,
    /// Memory of the pods, against what they request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Utilization>,
    /// Input records per second, for each pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<AverageCount>,
}

/// A number of records for each pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AverageCount {
    /// What one pod should have of it: a whole number of records, at least 1.
    #[schemars(range(min = 1, max = 1_000_000_000_000_i64))]
    pub average_value: i64,
}

/// An age of the oldest record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LagAge {
    /// What the age should be, in whole seconds, from 1 to 31536000. With twice the age there are twice the pods.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub value: i64,
}

/// A time of processing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProcessingTarget {
    /// What the time should be, from `1ms` to `1h`. With twice the time there are twice the pods.
    pub value: Duration,
}

/// A health that should be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HealthTarget {
    /// What the health should be at least: a text from `"0.1"` to `"1"`; the default is `"0.8"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), pattern(r"^(0\.[0-9]*[1-9][0-9]*|1(\.0+)?)$"))]
    pub target: Option<String>,
}

/// A share of what the pods request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Utilization {
    /// What the mean of the pods should be, in percent of their request, from 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub average_utilization: i32,
}

/// How fast the number of pods may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingBehavior {
    /// What holds for more pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// What holds for fewer pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// What holds for one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingRules {
    /// How long the metrics must have asked for it, from 0 to 3600 seconds: of what was asked for in this time the
    /// change counts that is least. The default is 0 for more pods and 600 for fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub stabilization_window_seconds: Option<i32>,
    /// How long after the last change of the number of pods it is left alone, from 0 to 86400 seconds. The default is
    /// 300 for more pods and 600 for fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub cooldown_seconds: Option<i32>,
    /// How much may change at once, at most 8 entries; without any, as much as is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub policies: Vec<ScalingStep>,
    /// Which of the policies counts: `Max` for the largest change, `Min` for the smallest, `Disabled` for no change in
    /// this direction; the default is `Max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<SelectPolicy>,
}

/// How much may change in a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingStep {
    /// What `value` counts: `Pods`, or `Percent` of the pods that there were at the beginning of the period.
    pub r#type: ScalingStepType,
    /// How many of them may come or go, from 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub value: i32,
    /// In how many seconds, from 1 to 1800.
    #[schemars(range(min = 1, max = 1800))]
    pub period_seconds: i32,
}

/// What the value of a step counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScalingStepType {
    /// Pods.
    Pods,
    /// Percent of the pods that there were.
    Percent,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// Other bounds at certain times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.minReplicas) || has(self.maxReplicas)", "message": "set minReplicas, maxReplicas or both"},
    {"rule": "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
     "message": "minReplicas must not be more than maxReplicas"}
]))]
pub struct ScalingSchedule {
    /// What the schedule is called in the reasons of decisions: lower-case letters, digits and `-`.
    #[schemars(length(min = 1, max = 40), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// When it begins, as five fields of cron: minute, hour, day of the month, month, day of the week. `0 8 * * 1-5`
    /// is eight o'clock from Monday to Friday.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,
    /// The time zone of the schedule, such as `Europe/Berlin`; the default is `Etc/UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// How long it lasts each time, from `1m` to `31d`.
    pub duration: Duration,
    /// Fewest pods during this time, in place of `spec.minReplicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<i32>,
    /// Most pods during this time, in place of `spec.maxReplicas`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: Option<i32>,
}
