//! Objects that a pipeline refers to, as its status lists them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One object that the spec refers to. Its content is part of the revision: editing it rolls out like an edit of the
/// spec, although it does not change the pipeline's `metadata.generation`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// What the object is: StreamWindow, ConfigMap or Secret.
    pub kind: String,
    /// Which object of that kind, in the pipeline's own namespace.
    pub name: String,
    /// Identity of the content that the running revision was made from: equal content, equal text. Absent while the
    /// object is missing, and for a Secret that no pod has reported yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}
