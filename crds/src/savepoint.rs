//! StreamSavepoint: the state of a pipeline at one moment, kept under a name.

use crate::definition::{Column, Definition, Rule, Scale};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};
use pipeline::spec::StreamSavepointSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a pipeline as it is when the object is created: it can be restored into another pipeline.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamSavepoint {
    /// Always `weir.dev/v1alpha1`.
    pub api_version: String,
    /// Always `StreamSavepoint`.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: StreamSavepointSpec,
    /// What the operator sees, and the journal of what it is about to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StreamSavepointStatus>,
}

crate::kind!(StreamSavepoint, "StreamSavepoint", "streamsavepoints");

/// What the operator sees of a savepoint, and the journal of what it is about to do; written by the operator only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamSavepointStatus {
    /// The `metadata.generation` that this status judges; -1 before the operator has seen the object.
    #[serde(default = "never")]
    pub observed_generation: i64,
    /// `Ready` is True once the state is saved as a whole, and stays so. `Reconciling` and `Stalled` are there only
    /// while True.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The folder that holds the saved state and nothing else, such as `s3://bucket/prefix/savepoints/shop.before.0a1b2c3d`.
    /// It is chosen before anything is written, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The Secret with the credentials of the store; absent when the environment of the pods gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Address of the store in place of that of the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Region of the bucket, where one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Identity of the saved state, 32 hex digits: that of its manifest, which names every object with its hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_hash: Option<String>,
    /// Length of all objects together, counted in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<i64>,
    /// The same for people, such as `1.2 GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Number of units whose state was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<i64>,
    /// The generation of the pipeline whose state it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The revision of the pipeline that this generation ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// The pipeline had finished its work and stood still: whoever restores the state repeats no output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drained: Option<bool>,
    /// When the state was saved as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Time>,
    /// Who wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Number of Jobs that have tried it, the present one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
    /// When the first Job was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_attempt: Option<Time>,
    /// When the next Job is made, after one that failed; absent while one runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<Time>,
    /// How the last Job failed; absent while none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// Who wanted a savepoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Trigger {
    /// Somebody created the object.
    User,
    /// `spec.savepoints.schedule` of the pipeline.
    Schedule,
    /// A change of the pipeline.
    Upgrade,
    /// The end of the pipeline.
    Termination,
}

/// How a Job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// A word of the closed list of reasons.
    pub reason: String,
    /// What went wrong, where, and what to do.
    pub message: String,
    /// It is not tried again.
    pub last: bool,
}

impl Default for StreamSavepointStatus {
    fn default() -> Self {
        Self {
            observed_generation: never(),
            conditions: Vec::new(),
            uri: None,
            secret: None,
            endpoint: None,
            region: None,
            manifest_hash: None,
            bytes: None,
            size: None,
            units: None,
            generation: None,
            revision: None,
            drained: None,
            taken_at: None,
            trigger: None,
            attempts: None,
            first_attempt: None,
            next_attempt: None,
            failure: None,
        }
    }
}

fn never() -> i64 {
    -1
}

/// The kind as the API server is told.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "StreamSavepoint",
    plural: "streamsavepoints",
    singular: "streamsavepoint",
    short_name: "ssave",
    description: "The state of a StreamPipeline of the same namespace as it is when the object is created, kept in a bucket or \
                  a directory. It depends on nothing that the pipeline has, and can be restored into another pipeline.",
    spec: crate::schema::structural::<StreamSavepointSpec>,
    status: crate::schema::structural::<StreamSavepointStatus>,
    columns: &[
        Column::new("Pipeline", "string", ".spec.pipelineRef.name"),
        Column::new("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
        Column::new("Trigger", "string", ".status.trigger"),
        Column::new("Size", "string", ".status.size"),
        Column::new("Revision", "integer", ".status.revision"),
        Column::new("Age", "date", ".metadata.creationTimestamp"),
        Column::wide("Status", "string", ".status.conditions[?(@.type==\"Ready\")].reason"),
        Column::wide("URI", "string", ".status.uri"),
        Column::wide("Message", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
    ],
    scale: None::<Scale>,
    rules: RULES,
};

const RULES: &[Rule] = &[];
