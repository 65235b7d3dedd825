//! Savepoints: where they are, and what the Jobs that take, restore and delete them say at their end.
//!
//! ```text
//!  operator --(Job: weir savepoint take|restore|delete)--> a pod that ends
//!  operator <-(termination message: JobResult as JSON)---- that pod
//! ```
//!
//! The operator has no credentials of Kafka or of a store; the pod of a Job has both, and no token of Kubernetes.

use crate::call::bounded_message;
use crate::reason::{Reason, known_reason};
use serde::{Deserialize, Serialize};

/// Where the pod of a Job writes its [`JobResult`]: Kubernetes shows the file as the termination message.
pub const RESULT_PATH: &str = "/dev/termination-log";
/// The drain that a restored pipeline begins behind: its journals say that generation 1 was drained under this id.
pub const RESTORED_DRAIN: &str = "restored";
/// The generation that a restored pipeline begins behind. It never has pods.
pub const RESTORED_GENERATION: u64 = 1;

/// Where one savepoint is, and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavepointPlace {
    /// The folder of the savepoint and of nothing else: `s3://bucket/prefix/name`, `gs://…`, `az://…` or `file:///…`.
    pub uri: String,
    /// The Secret with the credentials; without one the environment gives them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Address of the store in place of that of the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Region of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// How a Job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobResult {
    /// The savepoint is complete, and every object of it was read back.
    Taken(Taken),
    /// The journals of the pipeline say what the savepoint says.
    Restored(Restored),
    /// Nothing of the savepoint is left.
    Deleted,
    /// It did not work; nothing that was there before has changed.
    Failed(Failed),
}

/// A savepoint that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    /// xxh3-128 of its manifest, 32 hex digits: whoever restores may say which one is meant.
    pub manifest_hash: String,
    /// Bytes of all its objects.
    pub bytes: u64,
    /// Units whose state it holds.
    pub units: u32,
    /// Hash of the plan that the state belongs to, 32 hex digits.
    pub plan_hash: String,
    /// The newest generation that wrote the journals.
    pub generation: u64,
    /// When it was complete, in milliseconds since the epoch.
    pub taken_at_ms: i64,
    /// The pipeline was drained and stood still: who restores repeats nothing of its output.
    pub drained: bool,
}

/// Journals that were made of a savepoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Restored {
    /// Hash of the plan that the state belongs to, 32 hex digits.
    pub plan_hash: String,
    /// Units whose state was restored.
    pub units: u32,
    /// xxh3-128 of the manifest of the savepoint, 32 hex digits.
    pub manifest_hash: String,
}

/// Why a Job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failed {
    /// The word for it; absent when it is one of a newer runtime.
    #[serde(default, deserialize_with = "known_reason", skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What, where, and what to do.
    pub message: String,
    /// To try again changes nothing until somebody changes something.
    pub permanent: bool,
}

impl JobResult {
    /// A failure, with its message cut to what a termination message holds.
    pub fn failed(reason: Option<Reason>, message: String, permanent: bool) -> Self {
        Self::Failed(Failed { reason, message: bounded_message(message), permanent })
    }

    /// The text of the termination message.
    pub fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a termination message; none when it is not one of these.
    pub fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
