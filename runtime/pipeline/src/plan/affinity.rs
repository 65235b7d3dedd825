//! `affinity`: nothing of it is part of the plan, and what the API server would refuse when pods are made is a problem
//! before. What the wire shape says itself (bounds, words, the form of keys and values) is not looked at again.

use super::problems::{At, Problems};
use crate::problem::ProblemKind;
use crate::spec::affinity::{
    Affinity, LABEL_KEY, LabelOperator, NodeAffinity, NodeOperator, NodeRequirement, NodeTerm, PodAffinity,
    PodTerm, Selector,
};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The word of Kubernetes for what has to be so.
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
/// The word of Kubernetes for what is better than something else.
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
/// The longest name of the owner of a label, before the `/` of its key.
const OWNER_LENGTH_MAX: usize = 253;

/// None if the pattern is none, which a test finds.
static KEY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(LABEL_KEY).ok());

/// Every problem of an `affinity`.
pub(super) fn check(given: &Affinity, at: &At, problems: &mut Problems) {
    if let Some(nodes) = &given.node_affinity {
        check_nodes(nodes, &at.field("nodeAffinity"), problems);
    }
    let pods = [("podAffinity", &given.pod_affinity), ("podAntiAffinity", &given.pod_anti_affinity)];
    for (name, pods) in pods {
        if let Some(pods) = pods {
            check_pods(pods, &at.field(name), problems);
        }
    }
}

fn check_nodes(given: &NodeAffinity, at: &At, problems: &mut Problems) {
    let required = given.required.iter().flat_map(|selector| &selector.node_selector_terms);
    let terms = at.field(REQUIRED).field("nodeSelectorTerms");
    for (i, term) in required.enumerate() {
        check_node_term(term, &terms.index(i), problems);
    }
    for (i, preferred) in given.preferred.iter().enumerate() {
        let at = at.field(PREFERRED).index(i).field("preference");
        check_node_term(&preferred.preference, &at, problems);
    }
}

fn check_node_term(term: &NodeTerm, at: &At, problems: &mut Problems) {
    if term.match_expressions.is_empty() && term.match_fields.is_empty() {
        let message = "a term without conditions fits no node; set `matchExpressions` or `matchFields`";
        problems.add(ProblemKind::MissingField, at, message);
    }
    for (i, requirement) in term.match_expressions.iter().enumerate() {
        check_node_requirement(requirement, &at.field("matchExpressions").index(i), problems);
    }
}

fn check_node_requirement(given: &NodeRequirement, at: &At, problems: &mut Problems) {
    check_key(&given.key, &at.field("key"), problems);
    let wanted = match given.operator {
        NodeOperator::In | NodeOperator::NotIn => Wanted::Some,
        NodeOperator::Exists | NodeOperator::DoesNotExist => Wanted::None,
        NodeOperator::Gt | NodeOperator::Lt => Wanted::Integer,
    };
    check_values(&format!("{:?}", given.operator), wanted, &given.values, at, problems);
}

fn check_pods(given: &PodAffinity, at: &At, problems: &mut Problems) {
    for (i, term) in given.required.iter().enumerate() {
        check_pod_term(term, &at.field(REQUIRED).index(i), problems);
    }
    for (i, preferred) in given.preferred.iter().enumerate() {
        let at = at.field(PREFERRED).index(i).field("podAffinityTerm");
        check_pod_term(&preferred.pod_affinity_term, &at, problems);
    }
}

fn check_pod_term(term: &PodTerm, at: &At, problems: &mut Problems) {
    check_key(&term.topology_key, &at.field("topologyKey"), problems);
    check_selector(&term.label_selector, &at.field("labelSelector"), problems);
    if let Some(selector) = &term.namespace_selector {
        check_selector(selector, &at.field("namespaceSelector"), problems);
    }
    check_label_keys(&term.match_label_keys, &at.field("matchLabelKeys"), problems);
    check_label_keys(&term.mismatch_label_keys, &at.field("mismatchLabelKeys"), problems);
    for (i, key) in term.match_label_keys.iter().enumerate() {
        let at = at.field("matchLabelKeys").index(i);
        let other = if term.mismatch_label_keys.contains(key) {
            "mismatchLabelKeys"
        } else if selects_by(&term.label_selector, key) {
            "labelSelector"
        } else {
            continue;
        };
        problems.add(ProblemKind::Union, &at, format!("`{key}` is in `{other}` too; remove one of them"));
    }
}

fn selects_by(selector: &Selector, key: &str) -> bool {
    selector.match_labels.contains_key(key)
        || selector.match_expressions.iter().any(|requirement| requirement.key == key)
}

fn check_label_keys(keys: &[String], at: &At, problems: &mut Problems) {
    let mut seen = BTreeSet::new();
    for (i, key) in keys.iter().enumerate() {
        check_key(key, &at.index(i), problems);
        if !seen.insert(key) {
            problems.add(ProblemKind::DuplicateName, &at.index(i), format!("`{key}` is there already"));
        }
    }
}

fn check_selector(selector: &Selector, at: &At, problems: &mut Problems) {
    for key in selector.match_labels.keys() {
        check_key(key, &at.field("matchLabels").field(key), problems);
    }
    for (i, requirement) in selector.match_expressions.iter().enumerate() {
        let at = at.field("matchExpressions").index(i);
        check_key(&requirement.key, &at.field("key"), problems);
        let wanted = match requirement.operator {
            LabelOperator::In | LabelOperator::NotIn => Wanted::Some,
            LabelOperator::Exists | LabelOperator::DoesNotExist => Wanted::None,
        };
        check_values(&format!("{:?}", requirement.operator), wanted, &requirement.values, &at, problems);
    }
}

/// The wire shape can say the form of a value, but of the keys of a map nothing, and of a key not how long its parts are.
fn check_key(key: &str, at: &At, problems: &mut Problems) {
    let owner = key.split_once('/').map_or(0, |(owner, _)| owner.len());
    let has_form = KEY.as_ref().is_some_and(|form| form.is_match(key));
    if !has_form || owner > OWNER_LENGTH_MAX {
        let message = format!(
            "`{key}` is no key of a label: a name of at most 63 letters, digits, `-`, `_` and `.`, or a DNS name of at most {OWNER_LENGTH_MAX} characters, `/` and such a name"
        );
        problems.add(ProblemKind::BadText, at, message);
    }
}

/// What an operator compares with.
#[derive(Clone, Copy)]
enum Wanted {
    Some,
    None,
    Integer,
}

fn check_values(operator: &str, wanted: Wanted, values: &[String], at: &At, problems: &mut Problems) {
    let values_at = at.field("values");
    match (wanted, values) {
        (Wanted::Some, []) => {
            let message = format!("operator `{operator}` needs `values`, at least one");
            problems.add(ProblemKind::MissingField, at, message);
        }
        (Wanted::None, [_, ..]) => {
            let message =
                format!("operator `{operator}` uses no `values`; remove them, or use `In` or `NotIn`");
            problems.add(ProblemKind::Union, &values_at, message);
        }
        (Wanted::Integer, [value]) if value.parse::<i64>().is_err() => {
            let message = format!("operator `{operator}` compares integers, `{value}` is none");
            problems.add(ProblemKind::BadText, &values_at.index(0), message);
        }
        (Wanted::Integer, [] | [_, _, ..]) => {
            let message =
                format!("operator `{operator}` needs one integer in `values`, not {}", values.len());
            problems.add(ProblemKind::Union, at, message);
        }
        (Wanted::Some, [_, ..]) | (Wanted::None, []) | (Wanted::Integer, [_]) => {}
    }
}
