//! StreamPipeline: a pipeline, its status, its rules and its columns.

use crate::definition::{Column, Definition, Rule, Scale};
use crate::reference::Reference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use pipeline::spec::StreamPipelineSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name of a pipeline: what is made of it stays within 63 characters.
pub const NAME_MAX: usize = 40;
/// Most revisions that the history keeps.
pub const HISTORY_MAX: usize = 10;

/// A pipeline: records flow from sources through steps to sinks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamPipeline {
    /// Always `weir.dev/v1alpha1`.
    pub api_version: String,
    /// Always `StreamPipeline`.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: StreamPipelineSpec,
    /// What the operator sees, and the journal of what it is about to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StreamPipelineStatus>,
}

crate::kind!(StreamPipeline, "StreamPipeline", "streampipelines");

/// What the operator sees of a pipeline, and the journal of what it is about to do; written by the operator only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamPipelineStatus {
    /// The `metadata.generation` that this status judges; -1 before the operator has seen the object.
    #[serde(default = "never")]
    pub observed_generation: i64,
    /// `Ready` is the last word and its reason the column STATUS. `Reconciling` and `Stalled` are there only while
    /// True. `ConfigValid`, `SourcesConnected`, `SinksConnected` and `Checkpointed` must hold for `Ready`;
    /// `WatermarkAdvancing` only informs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Number of the newest generation of pods, whose StatefulSet is `<name>-g<generation>`. It grows with every
    /// change of spec, references, image or replicas; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// True once the newest generation was told to take over: from then on its units may have claimed their journals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promoted: Option<bool>,
    /// Number of pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Pods whose units are all live, of pods that are wanted, such as `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Number of the revision that runs or is being rolled out: it grows with every change of what the pipeline
    /// computes or of how its pods are made, but not with the number of replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Hash of everything that makes the revision; equal hash, equal revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_hash: Option<String>,
    /// Hash of the plan that the pods run, 32 hex digits; the pods log the same one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_hash: Option<String>,
    /// Objects that the spec refers to, with the content that the revision was made from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// The change that is being carried out, written before its first effect; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition: Option<Transition>,
    /// The drain that ended with all state durable and was not resumed: why a suspended pipeline may have no pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<Drained>,
    /// The change that has taken over and is watched; absent while there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probation: Option<Probation>,
    /// What was wanted, did not work, and was taken back; it is not tried again until something else is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// The revision that `spec.rollbackTo` named when it was followed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_to: Option<i64>,
    /// What is being done because the spec has changed, or will be when the pipeline is resumed: how pods are replaced, and what
    /// becomes of the state of each step. Absent while the pods are what the spec says. `kubectl weir plan` tells it before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_action: Option<String>,
    /// The saved state that the pipeline began with; absent when it began without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<RestoredFrom>,
    /// When a time of `spec.savepoints.schedule` was followed last, or the schedule was seen first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scheduled_savepoint: Option<Time>,
    /// Generations whose workers may still write the journals, newest first, back to the last one that was live with
    /// every unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priors: Vec<Prior>,
    /// What the pipeline promises about each sink.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkGuarantee>,
    /// Input that is not processed yet; absent while no pod reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<LagStatus>,
    /// Input records per second over the last 30 seconds, over all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<i64>,
    /// The lowest event time below which no more records are expected, over all units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Time>,
    /// When the oldest of the newest durable snapshots was taken, over all units with state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_checkpoint: Option<Time>,
    /// Records that went to the dead-letter sink, or were only counted without one, since the pipeline was created.
    /// What pods count while the operator is away is not in it; the metrics of the pods are exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<i64>,
    /// Restarts of the containers of the pods of the newest generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<i64>,
    /// Open windows and late records of each window step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<WindowUse>,
    /// When lag, rate, watermark, checkpoint, dead letters and windows were last written: at most every 30 seconds,
    /// and only when one of them moved by more than a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_at: Option<Time>,
    /// The newest revisions, newest first, at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
}

impl Default for StreamPipelineStatus {
    fn default() -> Self {
        Self {
            observed_generation: never(),
            conditions: Vec::new(),
            generation: None,
            promoted: None,
            replicas: None,
            ready: None,
            selector: None,
            revision: None,
            revision_hash: None,
            plan_hash: None,
            references: Vec::new(),
            transition: None,
            drained: None,
            probation: None,
            rolled_back: None,
            rollback_to: None,
            planned_action: None,
            restored_from: None,
            last_scheduled_savepoint: None,
            priors: Vec::new(),
            sinks: Vec::new(),
            lag: None,
            rate: None,
            watermark: None,
            last_checkpoint: None,
            dead_letters: None,
            restarts: None,
            windows: Vec::new(),
            measured_at: None,
            history: Vec::new(),
        }
    }
}

fn never() -> i64 {
    -1
}

/// A change that is being carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Transition {
    /// What is being done.
    pub kind: TransitionKind,
    /// How far it is.
    pub step: TransitionStep,
    /// The generation that stands by while the present one works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<u64>,
    /// Id of the drain that the old pods were asked for; the same one for every repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
    /// When the change began.
    pub started_at: Time,
    /// When the present step is late; the change goes on, and `Stalled` says what hinders it.
    pub deadline: Time,
}

/// What is being done to a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TransitionKind {
    /// The first pods are started.
    Start,
    /// The pipeline begins with the state of a savepoint; then the first pods are started.
    Restore,
    /// The pods are replaced by those of the next generation, because what they run or how they are made has changed, or
    /// because the annotation `weir.dev/restartedAt` asks for it.
    Recreate,
    /// Pods of the next generation take over from those that work.
    Handover,
    /// A change that took over and does not work is taken back: pods with the plan and the state of before take over.
    Rollback,
    /// Pods of the next generation take the place of some that were lost with their node.
    Heal,
    /// The pods are replaced by more or fewer.
    Scale,
    /// The pods are stopped with their state durable.
    Suspend,
    /// The pods are started again where they were stopped.
    Resume,
    /// Everything that was made for the pipeline is removed.
    Delete,
}

/// How far a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TransitionStep {
    /// A Job makes the journals of a new pipeline of a savepoint.
    Restoring,
    /// New pods restore and follow while the old ones work.
    StandingBy,
    /// The pods finish their work and make their state durable.
    Draining,
    /// The old pods are removed.
    Removing,
    /// The new pods start and restore.
    Starting,
    /// The new pods take over.
    Promoting,
    /// The state of a pipeline that is deleted is kept in a StreamSavepoint.
    Saving,
    /// Internal topics are deleted.
    Cleaning,
}

/// A drain that ended with the state of every unit durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drained {
    /// Id of the drain, as in the journals.
    pub id: String,
    /// The generation whose pods were drained.
    pub generation: u64,
}

/// A change that has taken over and is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Probation {
    /// The generation that made the change.
    pub generation: u64,
    /// The generation before it, to whose revision it can be taken back.
    pub before: u64,
    /// When it has passed, if nothing happens until then; absent until every unit works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Restarts of the containers of its pods when every unit worked.
    #[serde(default)]
    pub restarts: i64,
    /// Dead letters of a thousand records in the pods of the generation before; absent when that is not known, so that
    /// nothing is concluded from those of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters_per_mille: Option<i64>,
}

/// A change that was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolledBack {
    /// The generation that made the change, or was to make it.
    pub generation: u64,
    /// The generation whose revision it was taken back to; absent when the change has never taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The state went back too, to what it was before the change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rewinds: bool,
    /// `spec.rollbackTo` asked for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
    /// Hash of what was wanted.
    pub hash: String,
    /// What did not work.
    pub message: String,
}

/// The saved state that a pipeline began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoredFrom {
    /// The folder that held it.
    pub uri: String,
    /// Identity of the saved state, as the StreamSavepoint says it; absent when only the folder was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_hash: Option<String>,
    /// Hash of the plan that had made it, 32 hex digits.
    pub plan_hash: String,
}

/// A generation before the newest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prior {
    /// Which generation this was; its StatefulSet was `<name>-g<generation>`.
    pub generation: u64,
    /// Hash of its plan, 32 hex digits.
    pub plan_hash: String,
    /// How many pods it had.
    pub replicas: u32,
    /// Worker threads of each of its pods.
    pub workers_per_replica: u32,
}

/// What is promised about one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SinkGuarantee {
    /// Which sink, by its name in the spec; `deadLetterSink` or `<step>.lateSink` when it is written in place.
    pub name: String,
    /// `ExactlyOnce` or `AtLeastOnce`.
    pub guarantee: String,
}

/// Input that is not processed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LagStatus {
    /// Number of records between the committed positions and the ends of the partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<i64>,
    /// Age of the oldest record that is not processed yet, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
}

/// One window step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowUse {
    /// Name of the step in the spec.
    pub step: String,
    /// The StreamWindow that the step refers to; absent when the window is written inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ref: Option<String>,
    /// Windows with state now, over all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<i64>,
    /// Records that came after their window was closed, since the pipeline was created; counted as `deadLetters` are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<i64>,
}

/// One revision in the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Which revision this was, counted from 1.
    pub revision: i64,
    /// Hash of everything that made it.
    pub hash: String,
    /// The generation of pods that first ran it.
    pub generation: u64,
    /// When that generation was started.
    pub started_at: Time,
}

/// The kind as the API server is told.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "StreamPipeline",
    plural: "streampipelines",
    singular: "streampipeline",
    short_name: "spipe",
    description: "A streaming pipeline on Kafka: records flow from sources through steps to sinks, exactly once. The \
                  operator runs it in pods of its runtime image; the same manifest runs on one machine by `weir run`.",
    spec: crate::schema::structural::<StreamPipelineSpec>,
    status: crate::schema::structural::<StreamPipelineStatus>,
    columns: &[
        Column::new("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
        Column::new("Status", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
        Column::new("Replicas", "string", ".status.ready"),
        Column::new("Lag", "integer", ".status.lag.records"),
        Column::new("DLQ", "integer", ".status.deadLetters"),
        Column::new("Age", "date", ".metadata.creationTimestamp"),
        Column::wide("Rate", "integer", ".status.rate"),
        Column::wide("Watermark", "date", ".status.watermark"),
        Column::wide("Checkpoint", "date", ".status.lastCheckpoint"),
        Column::wide("Restarts", "integer", ".status.restarts"),
        Column::wide("Message", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
    ],
    scale: Some(Scale {
        spec_replicas: ".spec.replicas",
        status_replicas: ".status.replicas",
        selector: ".status.selector",
    }),
    rules: RULES,
};

const RULES: &[Rule] = &[
    Rule {
        rule: "self.metadata.name.size() <= 40",
        message: "the name must have at most 40 characters, because the names of pods and topics are made of it",
    },
    Rule {
        rule: "!self.metadata.name.contains('.')",
        message: "the name must be a DNS label: lower-case letters, digits and '-', without '.'",
    },
];
