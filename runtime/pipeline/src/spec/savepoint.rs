//! Savepoints: the kind `StreamSavepoint`.

use super::{CheckpointStorage, NameRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a pipeline as it is now, kept under a name until somebody deletes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a savepoint cannot be changed; create another one"}
]))]
pub struct StreamSavepointSpec {
    /// The StreamPipeline of the same namespace whose state is saved.
    pub pipeline_ref: NameRef,
    /// What becomes of the saved state when this object is deleted: `Retain` leaves it where it is, `Delete` deletes it
    /// too; the default is `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
    /// The bucket or the directory in which the state is saved, below `savepoints/`; the default is `checkpoint.storage` of
    /// the pipeline. A pipeline that keeps its snapshots in Kafka needs one here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<CheckpointStorage>,
}

/// What becomes of a savepoint when its object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The saved state stays where it is.
    Retain,
    /// The saved state is deleted too.
    Delete,
}
