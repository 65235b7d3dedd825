//! Savepoints: the kind `StreamSavepoint`, and how a pipeline begins with one.

use super::delivery::{ENDPOINT, REGION};
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

/// The saved state that a new pipeline begins with: a StreamSavepoint of its namespace, or an address where one is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.savepointRef) != has(self.uri)", "message": "set exactly one of savepointRef and uri"},
    {"rule": "has(self.uri) || !(has(self.secretRef) || has(self.endpoint) || has(self.region))",
     "message": "secretRef, endpoint and region are for uri; a StreamSavepoint knows its own"},
    {"rule": "!has(self.uri) || self.uri.matches('^(file:///.|(s3|gs|az)://[a-z0-9])')",
     "message": "uri is s3://bucket/folder, gs://bucket/folder, az://container/folder or file:///folder"},
    {"rule": "!has(self.uri) || !self.uri.matches('[?#@]')",
     "message": "uri has no query, no fragment and no credentials; credentials are in the Secret of secretRef"},
    {"rule": "!has(self.secretRef) || !has(self.uri) || !self.uri.startsWith('file:')", "message": "a directory has no secretRef"},
    {"rule": "!has(self.endpoint) || !has(self.uri) || self.uri.startsWith('s3:') || self.uri.startsWith('az:')",
     "message": "endpoint is for s3 and az"},
    {"rule": "!has(self.region) || !has(self.uri) || self.uri.startsWith('s3:')", "message": "region is for s3"}
]))]
pub struct RestoreFrom {
    /// The StreamSavepoint of the same namespace; the pipeline waits until it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub savepoint_ref: Option<NameRef>,
    /// The folder of the saved state, as `status.uri` of its StreamSavepoint says it: for a savepoint of another namespace
    /// or of another cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 6, max = 2048))]
    pub uri: Option<String>,
    /// A Secret of the same namespace with the credentials for `uri`, with the keys of that of `checkpoint.storage`. Without it
    /// the pods use what their environment gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    /// Address of an object store that is not the one of the cloud, for `uri`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512), pattern(ENDPOINT))]
    pub endpoint: Option<String>,
    /// Region of the bucket of `uri`, for `s3`; the default is `AWS_REGION` of the Secret or of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern(REGION))]
    pub region: Option<String>,
}

impl RestoreFrom {
    /// The folder in the words of a storage, where it is given by its address.
    pub fn storage(&self) -> Option<CheckpointStorage> {
        Some(CheckpointStorage {
            uri: self.uri.clone()?,
            secret_ref: self.secret_ref.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
        })
    }
}

/// What becomes of the state of a pipeline that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TerminationPolicy {
    /// It is deleted with the pipeline.
    Discard,
    /// It is kept in a StreamSavepoint, and without one the pipeline does not go.
    Savepoint,
}

/// Savepoints by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavepointSchedule {
    /// When one is taken, as five fields of cron: minute, hour, day of the month, month, day of the week. `0 2 * * *` is two
    /// o'clock every night. Times that were missed are made up for by one savepoint.
    #[schemars(length(min = 9, max = 128))]
    pub schedule: String,
    /// The time zone of the schedule, such as `Europe/Berlin`; the default is `Etc/UTC`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// How many of them are kept, from 1 to 100; the default is 10. Older ones are deleted with what they hold; savepoints that
    /// somebody else has created are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub history_limit: Option<i32>,
}
