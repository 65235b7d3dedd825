//! Where pods run, in the words of Kubernetes: everything that its own `affinity` can say, bounded. Blocks that
//! Kubernetes takes and that would then have no effect are refused.

use super::pod::TextMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Form of the key of a label: a name of at most 63 characters, with the DNS name of its owner and `/` before it or not.
pub const LABEL_KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$";
/// Form of the value of a label; it may be empty.
pub const LABEL_VALUE: &str = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";
/// Form of the name of a node.
pub const NODE_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Which nodes the pods are drawn to, and which other pods they seek or avoid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Affinity {
    /// Nodes that the pods need or prefer, by labels and names; any by default. It holds for the Job that deletes
    /// internal topics too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_affinity: Option<NodeAffinity>,
    /// Pods that they want to be near; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_affinity: Option<PodAffinity>,
    /// Pods that they want to be away from; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// Nodes that the pods need or prefer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAffinity {
    /// The nodes that are allowed; a pod waits until one of them has room. All by default.
    #[serde(
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        skip_serializing_if = "Option::is_none"
    )]
    pub required: Option<NodeSelector>,
    /// Nodes that are better than others, at most 16 terms; none by default.
    #[serde(
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub preferred: Vec<PreferredNodes>,
}

/// Nodes that fulfil one of several terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSelector {
    /// Conditions of which one has to be fulfilled as a whole, 1 to 16.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub node_selector_terms: Vec<NodeTerm>,
}

/// Nodes with a preference for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreferredNodes {
    /// How much a node that fulfils the term gains over others, from 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Conditions that such a node fulfils, all of them.
    pub preference: NodeTerm,
}

/// Conditions on a node, one or more, all of which have to be fulfilled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(has(self.matchExpressions) && self.matchExpressions.size() > 0) || (has(self.matchFields) && self.matchFields.size() > 0)",
     "message": "set matchExpressions, matchFields or both; a term without conditions fits no node"}
]))]
pub struct NodeTerm {
    /// Conditions on labels of the node, at most 16; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<NodeRequirement>,
    /// Conditions on the name of the node, at most 16; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_fields: Vec<FieldRequirement>,
}

/// One condition on labels of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : self.operator in ['Gt', 'Lt'] ? has(self.values) && self.values.size() == 1 : !has(self.values) || self.values.size() == 0",
     "message": "In and NotIn need values, Gt and Lt one integer, Exists and DoesNotExist none"}
]))]
pub struct NodeRequirement {
    /// The label, such as `kubernetes.io/arch`.
    #[schemars(length(min = 1, max = 317), pattern(LABEL_KEY))]
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`: how the label is compared with `values`.
    pub operator: NodeOperator,
    /// One text or more for `In` and `NotIn`, one integer for `Gt` and `Lt`, none for the others; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(max = 63), pattern(LABEL_VALUE)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub values: Vec<String>,
}

/// How a condition on labels of a node compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeOperator {
    /// It has one of the values.
    In,
    /// It has none of the values, or does not exist.
    NotIn,
    /// It exists.
    Exists,
    /// It does not exist.
    DoesNotExist,
    /// Its value is a greater integer.
    Gt,
    /// Its value is a smaller integer.
    Lt,
}

/// One condition on a field of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldRequirement {
    /// `metadata.name`: the only field of nodes that Kubernetes selects by.
    pub key: NodeField,
    /// `In` is this node, `NotIn` every other node.
    pub operator: FieldOperator,
    /// The name of the node: one entry.
    #[schemars(
        length(min = 1, max = 1),
        inner(length(min = 1, max = 253), pattern(NODE_NAME)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub values: Vec<String>,
}

/// Fields of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NodeField {
    /// The name of the node.
    #[serde(rename = "metadata.name")]
    Name,
}

/// How a condition on a field of a node compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FieldOperator {
    /// It is the value.
    In,
    /// It is not the value.
    NotIn,
}

/// Other pods that count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodAffinity {
    /// What has to be so; a pod waits until there is such a node. At most 16 terms, all of them; none by default.
    #[serde(
        rename = "requiredDuringSchedulingIgnoredDuringExecution",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub required: Vec<PodTerm>,
    /// What is better than something else, at most 16 terms; none by default.
    #[serde(
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub preferred: Vec<PreferredPods>,
}

/// Other pods with a preference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PreferredPods {
    /// How much a node that fulfils the term gains over others, or loses by `podAntiAffinity`, from 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: i32,
    /// Which pods count, and how near is near.
    pub pod_affinity_term: PodTerm,
}

/// Pods, and how near is near.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTerm {
    /// Label of nodes; nodes with the same value are one place, such as `kubernetes.io/hostname`.
    #[schemars(length(min = 1, max = 317), pattern(LABEL_KEY))]
    pub topology_key: String,
    /// Which pods are meant; `{}` is every pod. The pods of a pipeline have the label `weir.dev/pipeline: <name>`.
    pub label_selector: Selector,
    /// Labels in which the other pod has to have the same value as the pod itself, at most 16; none by default.
    /// `weir.dev/generation` leaves out the pods that a change of the pipeline replaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 317), pattern(LABEL_KEY)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub match_label_keys: Vec<String>,
    /// Labels in which the other pod has to have another value than the pod itself, at most 16; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 317), pattern(LABEL_KEY)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub mismatch_label_keys: Vec<String>,
    /// Where the pods are, at most 32 names; by default the namespace of the pipeline, unless `namespaceSelector` is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(min = 1, max = 63), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub namespaces: Vec<String>,
    /// Where the pods are besides, by labels of the namespace; none by default, `{}` is everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Selector>,
}

/// Objects by their labels. All conditions have to be fulfilled; without any it is every object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Labels with the value that each must have, at most 32; none by default.
    #[serde(default, skip_serializing_if = "TextMap::is_empty")]
    #[schemars(extend("maxProperties" = 32, "additionalProperties" = {
        "type": "string", "maxLength": 63, "pattern": LABEL_VALUE
    }))]
    pub match_labels: TextMap,
    /// More conditions on labels, at most 16; none by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<LabelRequirement>,
}

/// One condition on labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",
     "message": "In and NotIn need values, Exists and DoesNotExist none"}
]))]
pub struct LabelRequirement {
    /// The label, such as `app.kubernetes.io/name`.
    #[schemars(length(min = 1, max = 317), pattern(LABEL_KEY))]
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`: how the label is compared with `values`.
    pub operator: LabelOperator,
    /// One text or more for `In` and `NotIn`, none for the others; at most 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 32),
        inner(length(max = 63), pattern(LABEL_VALUE)),
        extend("x-kubernetes-list-type" = "atomic")
    )]
    pub values: Vec<String>,
}

/// How a condition on labels compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It has one of the values.
    In,
    /// It has none of the values, or does not exist.
    NotIn,
    /// It exists.
    Exists,
    /// It does not exist.
    DoesNotExist,
}
