//! Steps: what happens to records between sources and sinks.

use super::{NameRef, SecretKeyRef, StreamWindowSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step. Exactly one of `filter`, `map`, `mask`, `route`, `window` and `windowRef` is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.filter), has(self.map), has(self.mask), has(self.route), has(self.window), has(self.windowRef)].filter(set, set).size() == 1",
     "message": "set exactly one of filter, map, mask, route, window and windowRef"}
]))]
pub struct StepSpec {
    /// Name by which later steps and sinks read the step: a DNS label of at most 40 characters, used once among
    /// sources and steps.
    #[schemars(length(min = 1, max = 40), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What the step reads: names of sources or of steps before it, or a branch of a route such as `by-type.refunds`
    /// or `by-type.default`; several are merged. The default is the step before it, and for the first step the only
    /// source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 81)), extend("x-kubernetes-list-type" = "set"))]
    pub from: Option<Vec<String>>,
    /// Keeps the records for which the expression is true and drops the others. A record on which the expression fails
    /// is a dead letter; a record without a value passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<ExpressionBlock>,
    /// Replaces the value of each record by the map that the expression gives; key, headers and timestamp stay. A
    /// record on which the expression fails is a dead letter; a record without a value passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<ExpressionBlock>,
    /// Makes fields of the value unreadable: each becomes a text that does not tell what it was. Key, headers, timestamp
    /// and all other fields stay; a record without a value passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<Mask>,
    /// Sends each record to the first branch whose expression is true, else to the branch `default`. Read a branch by
    /// `from: [step.branch]`; a branch that nothing reads drops its records.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub route: Option<Vec<RouteBranch>>,
    /// Groups records by key and event time and computes aggregates; each window gives one row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<StreamWindowSpec>,
    /// A StreamWindow of the same namespace that is used as if it were written under `window`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ref: Option<NameRef>,
}

/// An expression that is computed for each record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpressionBlock {
    /// A CEL expression over the value of the record, `event`, of at most 1 KiB, such as `event.amount > 100`. A field
    /// that may be missing is read by `has(event.x)` or `event.?x.orValue(0)`.
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
}

/// One branch of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteBranch {
    /// Name of the branch: a DNS label of at most 40 characters, used once in the route; `default` is the name of the
    /// branch of all other records and cannot be given.
    #[schemars(length(min = 1, max = 40), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A CEL expression that is true for the records of the branch, of at most 1 KiB.
    #[schemars(length(min = 1, max = 1024))]
    pub expression: String,
}

/// Which fields are masked, and how.
///
/// A field that is missing stays missing and `null` stays `null`. A number or boolean is masked by its JSON text, an
/// object or array as a whole by its JSON text with sorted keys. The result is always a string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.secretKeyRef) == (self.method in ['Hash', 'Tokenise'])",
     "message": "methods Hash and Tokenise need secretKeyRef, the others do not use it"},
    {"rule": "!(has(self.keepFirst) || has(self.keepLast)) || self.method == 'Partial'",
     "message": "only method Partial uses keepFirst and keepLast"},
    {"rule": "!(has(self.keepFirst) && has(self.keepLast))", "message": "set at most one of keepFirst and keepLast"}
]))]
pub struct Mask {
    /// Paths of the fields, 1 to 32, such as `email` or `card.number`. A path that goes through a list means the field
    /// in each of its elements.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 256)), extend("x-kubernetes-list-type" = "set"))]
    pub fields: Vec<String>,
    /// `Hash`, `Redact`, `Partial` or `Tokenise`: what a value becomes.
    pub method: MaskMethod,
    /// The key of `Hash` and `Tokenise`, of at least 16 bytes; a line break at its end is not part of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// Characters at the beginning that `Partial` shows, from 1 to 64; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub keep_first: Option<i32>,
    /// Characters at the end that `Partial` shows, from 1 to 64; the default is 4, unless `keepFirst` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub keep_last: Option<i32>,
}

/// What a masked value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MaskMethod {
    /// Its HMAC-SHA-256 under the key of `secretKeyRef`, 64 lower-case hexadecimal digits: equal values stay equal.
    Hash,
    /// The constant `***`.
    Redact,
    /// `*` for each character but those that are kept. A value shorter than twice what is kept becomes `*` as a whole,
    /// and an object or array `***`.
    Partial,
    /// Another text of the same form, derived from the value and the key of `secretKeyRef`: each letter becomes a letter
    /// from A to Z of the same case, each digit a digit, and everything else stays. Equal values stay equal. It cannot be
    /// turned back, and different values may become equal, short ones rather than long ones.
    Tokenise,
}
