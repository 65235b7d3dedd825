//! StreamWindow: a window with its aggregates, written once and used by several pipelines.

use crate::definition::{Column, Definition, Rule, Scale};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use pipeline::spec::StreamWindowSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most pipelines that the status of a window names.
pub const USERS_MAX: usize = 64;

/// A window and its aggregates, which steps of pipelines of the same namespace use by `windowRef`. An edit rolls out to
/// every pipeline that uses it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamWindow {
    /// Always `weir.dev/v1alpha1`.
    pub api_version: String,
    /// Always `StreamWindow`.
    pub kind: String,
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What the user wants.
    pub spec: StreamWindowSpec,
    /// What the operator sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StreamWindowStatus>,
}

crate::kind!(StreamWindow, "StreamWindow", "streamwindows");

/// What the operator sees of a window; written by the operator only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamWindowStatus {
    /// The `metadata.generation` that this status judges; -1 before the operator has seen the object.
    #[serde(default = "never")]
    pub observed_generation: i64,
    /// `Ready` says whether the window can be used as it is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// How event time is cut, for the column TYPE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Length as the user wrote it, for the column SIZE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Key fields, separated by commas, for the column KEYS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// Number of pipelines that refer to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_by: Option<i64>,
    /// Names of the pipelines that refer to it, the first 64 in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Windows with state now, over all pipelines; absent while no pipeline reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<i64>,
    /// Late records, over all pipelines; absent while no pipeline reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<i64>,
}

fn never() -> i64 {
    -1
}

/// The kind as the API server is told.
pub(crate) const DEFINITION: Definition = Definition {
    kind: "StreamWindow",
    plural: "streamwindows",
    singular: "streamwindow",
    short_name: "swin",
    description: "A window and its aggregates, written once and used by the steps of several pipelines of the same \
                  namespace by windowRef. An edit rolls out to every pipeline that uses it.",
    spec: crate::schema::structural::<StreamWindowSpec>,
    status: crate::schema::structural::<StreamWindowStatus>,
    columns: &[
        Column::new("Type", "string", ".status.type"),
        Column::new("Size", "string", ".status.size"),
        Column::new("Keys", "string", ".status.keys"),
        Column::new("Used By", "integer", ".status.usedBy"),
        Column::new("Open", "integer", ".status.open"),
        Column::new("Late", "integer", ".status.late"),
        Column::new("Age", "date", ".metadata.creationTimestamp"),
        Column::wide("Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status"),
        Column::wide("Message", "string", ".status.conditions[?(@.type==\"Ready\")].message"),
    ],
    scale: None::<Scale>,
    rules: RULES,
};

const RULES: &[Rule] = &[];
