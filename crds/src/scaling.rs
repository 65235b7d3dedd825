//! ScalingPolicy: how many pods a pipeline has, by what its pods measure.

use crate::definition::{Column, Definition, Rule, Scale};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use pipeline::spec::ScalingPolicySpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many pods a pipeline of the same namespace has.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicy {
    /// Always `weir.dev/v1alpha1`.
    pub api_version: String,
    /// Always `ScalingPolicy`.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: ScalingPolicySpec,
    /// What the operator sees and decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ScalingPolicyStatus>,
}

crate::kind!(ScalingPolicy, "ScalingPolicy", "scalingpolicies");

/// What the operator sees and decides; written by the operator only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicyStatus {
    /// The `metadata.generation` that this status judges; -1 before the operator has seen the object.
    #[serde(default = "never")]
    pub observed_generation: i64,
    /// `AbleToScale` says whether the number of pods can be changed now, `ScalingActive` whether there is something to
    /// decide by, `ScalingLimited` whether something keeps the metrics from having their will.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What is scaled, for the column REFERENCE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Each metric as measured and as wanted, for the column TARGETS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<String>,
    /// Fewest pods that are allowed now, by spec, preset or schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i64>,
    /// Most pods that are allowed now, by spec, preset or schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_replicas: Option<i64>,
    /// Pods that the pipeline asks for at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<i64>,
    /// Pods that there should be by the last decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i64>,
    /// What kept the last decision from doing as the metrics asked, `-` for nothing; for the column LIMITED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<String>,
    /// When the policy, or somebody else, last changed the number of pods; cooldowns count from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<Time>,
    /// How long the pipeline was not live at the last change, in whole seconds: a change that gains less is not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pause_seconds: Option<i64>,
    /// The last decision with its arithmetic. Measurements alone are news at most every 30 seconds, and only when one
    /// of them moved by more than a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<LastDecision>,
}

/// A decision with its arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastDecision {
    /// When these words were written.
    pub at: Time,
    /// The metrics that went into it, in the order of the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<DecisionInput>,
    /// The arithmetic of the metric that asked for most pods.
    pub formula: String,
    /// Pods that there should be.
    pub desired: i64,
    /// What kept it from doing as the metrics asked; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_by: Option<String>,
    /// The arithmetic and what limited it, in words.
    pub reason: String,
}

/// A metric that went into a decision. Numbers are texts, because an API holds no fractions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionInput {
    /// Which metric, by its word in the spec.
    pub metric: String,
    /// What was measured of the whole pipeline; absent when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What was aimed at, as the spec says it.
    pub target: String,
}

impl Default for ScalingPolicyStatus {
    fn default() -> Self {
        Self {
            observed_generation: never(),
            conditions: Vec::new(),
            reference: None,
            targets: None,
            min_replicas: None,
            max_replicas: None,
            current_replicas: None,
            desired_replicas: None,
            limited: None,
            last_scale_time: None,
            last_pause_seconds: None,
            last_decision: None,
        }
    }
}

fn never() -> i64 {
    -1
}

/// The kind as the API server is told.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "ScalingPolicy",
    plural: "scalingpolicies",
    singular: "scalingpolicy",
    short_name: "scpol",
    description: "How many pods a StreamPipeline of the same namespace has, by what its pods measure. It writes the scale \
                  subresource of the pipeline and nothing else; a metric that is not known freezes it.",
    spec: crate::schema::structural::<ScalingPolicySpec>,
    status: crate::schema::structural::<ScalingPolicyStatus>,
    columns: &[
        Column::new("Reference", "string", ".status.reference"),
        Column::new("Targets", "string", ".status.targets"),
        Column::new("Min", "integer", ".status.minReplicas"),
        Column::new("Max", "integer", ".status.maxReplicas"),
        Column::new("Replicas", "integer", ".status.currentReplicas"),
        Column::new("Limited", "string", ".status.limited"),
        Column::new("Age", "date", ".metadata.creationTimestamp"),
        Column::wide("Able", "string", ".status.conditions[?(@.type==\"AbleToScale\")].reason"),
        Column::wide("Active", "string", ".status.conditions[?(@.type==\"ScalingActive\")].reason"),
        Column::wide("Reason", "string", ".status.lastDecision.reason"),
    ],
    scale: None::<Scale>,
    rules: RULES,
};

const RULES: &[Rule] = &[];
