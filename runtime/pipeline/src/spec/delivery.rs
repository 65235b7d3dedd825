//! How surely records arrive, and what is kept so that they do.

use super::{Duration, NameRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Form of the address of an object store.
pub const ENDPOINT: &str = r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$";
/// Form of the name of a region.
pub const REGION: &str = r"^[a-z0-9-]+$";

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

/// Where snapshots are kept: in a bucket of an object store, or in a directory that every pod sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.uri.matches('^(file:///.|(s3|gs|az)://[a-z0-9])')",
     "message": "uri is s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///path"},
    {"rule": "!self.uri.matches('[?#@]')",
     "message": "uri has no query, no fragment and no credentials; credentials are in the Secret of secretRef"},
    {"rule": "!has(self.secretRef) || !self.uri.startsWith('file:')", "message": "a directory has no secretRef"},
    {"rule": "!has(self.endpoint) || self.uri.startsWith('s3:') || self.uri.startsWith('az:')",
     "message": "endpoint is for s3 and az"},
    {"rule": "!has(self.region) || self.uri.startsWith('s3:')", "message": "region is for s3"}
]))]
pub struct CheckpointStorage {
    /// `s3://bucket/prefix` for S3 and what speaks its language, `gs://bucket/prefix` for Google Cloud Storage,
    /// `az://container/prefix` for Azure Blob Storage, each with or without a prefix; or `file:///path`, a directory that
    /// every pod sees.
    #[schemars(length(min = 6, max = 1024))]
    pub uri: String,
    /// A Secret of the same namespace with the credentials: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`;
    /// `GOOGLE_SERVICE_ACCOUNT_KEY`; or `AZURE_STORAGE_ACCOUNT_NAME` and `AZURE_STORAGE_ACCOUNT_KEY`. Without it the pods
    /// use what their environment gives them, such as the identity of their service account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
    /// Address of an object store that is not the one of the cloud, such as `https://minio.storage:9000`; over `http` state
    /// can be read on its way. For `s3` and `az`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512), pattern(ENDPOINT))]
    pub endpoint: Option<String>,
    /// Region of the bucket, for `s3`; the default is `AWS_REGION` of the Secret or of the environment, else `us-east-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), pattern(REGION))]
    pub region: Option<String>,
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
