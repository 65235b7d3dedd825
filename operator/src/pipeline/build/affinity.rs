//! `affinity` of the user in the types of Kubernetes, field by field.

use ::pipeline::spec::affinity as given;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinity,
    PodAffinityTerm, PodAntiAffinity, PreferredSchedulingTerm, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// All of it, for workers.
pub(super) fn of_workers(affinity: &given::Affinity) -> Affinity {
    Affinity {
        node_affinity: affinity.node_affinity.as_ref().map(nodes),
        pod_affinity: affinity.pod_affinity.as_ref().map(|pods| PodAffinity {
            required_during_scheduling_ignored_during_execution: all(&pods.required, pod_term),
            preferred_during_scheduling_ignored_during_execution: all(&pods.preferred, preferred_pods),
        }),
        pod_anti_affinity: affinity.pod_anti_affinity.as_ref().map(|pods| PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: all(&pods.required, pod_term),
            preferred_during_scheduling_ignored_during_execution: all(&pods.preferred, preferred_pods),
        }),
    }
}

/// The nodes alone, for what runs when the workers are gone: near them is nowhere then.
pub(super) fn of_cleanup(affinity: &given::Affinity) -> Option<Affinity> {
    let node_affinity = affinity.node_affinity.as_ref().map(nodes)?;
    Some(Affinity { node_affinity: Some(node_affinity), ..Affinity::default() })
}

/// A list, absent when it is empty.
fn all<T, U>(items: &[T], one: impl Fn(&T) -> U) -> Option<Vec<U>> {
    Some(items.iter().map(one).collect()).filter(|items: &Vec<U>| !items.is_empty())
}

fn nodes(affinity: &given::NodeAffinity) -> NodeAffinity {
    NodeAffinity {
        required_during_scheduling_ignored_during_execution: affinity.required.as_ref().map(|selector| {
            NodeSelector { node_selector_terms: selector.node_selector_terms.iter().map(node_term).collect() }
        }),
        preferred_during_scheduling_ignored_during_execution: all(&affinity.preferred, |preferred| {
            PreferredSchedulingTerm { weight: preferred.weight, preference: node_term(&preferred.preference) }
        }),
    }
}

fn node_term(term: &given::NodeTerm) -> NodeSelectorTerm {
    NodeSelectorTerm {
        match_expressions: all(&term.match_expressions, |requirement| NodeSelectorRequirement {
            key: requirement.key.clone(),
            operator: node_operator(requirement.operator).to_owned(),
            values: all(&requirement.values, String::clone),
        }),
        match_fields: all(&term.match_fields, |requirement| NodeSelectorRequirement {
            key: match requirement.key {
                given::NodeField::Name => "metadata.name".to_owned(),
            },
            operator: match requirement.operator {
                given::FieldOperator::In => "In".to_owned(),
                given::FieldOperator::NotIn => "NotIn".to_owned(),
            },
            values: all(&requirement.values, String::clone),
        }),
    }
}

fn node_operator(operator: given::NodeOperator) -> &'static str {
    match operator {
        given::NodeOperator::In => "In",
        given::NodeOperator::NotIn => "NotIn",
        given::NodeOperator::Exists => "Exists",
        given::NodeOperator::DoesNotExist => "DoesNotExist",
        given::NodeOperator::Gt => "Gt",
        given::NodeOperator::Lt => "Lt",
    }
}

fn preferred_pods(preferred: &given::PreferredPods) -> WeightedPodAffinityTerm {
    WeightedPodAffinityTerm {
        weight: preferred.weight,
        pod_affinity_term: pod_term(&preferred.pod_affinity_term),
    }
}

fn pod_term(term: &given::PodTerm) -> PodAffinityTerm {
    PodAffinityTerm {
        topology_key: term.topology_key.clone(),
        label_selector: Some(selector(&term.label_selector)),
        match_label_keys: all(&term.match_label_keys, String::clone),
        mismatch_label_keys: all(&term.mismatch_label_keys, String::clone),
        namespaces: all(&term.namespaces, String::clone),
        namespace_selector: term.namespace_selector.as_ref().map(selector),
    }
}

fn selector(given: &given::Selector) -> LabelSelector {
    LabelSelector {
        match_labels: Some(given.match_labels.clone()).filter(|labels| !labels.is_empty()),
        match_expressions: all(&given.match_expressions, |requirement| LabelSelectorRequirement {
            key: requirement.key.clone(),
            operator: label_operator(requirement.operator).to_owned(),
            values: all(&requirement.values, String::clone),
        }),
    }
}

fn label_operator(operator: given::LabelOperator) -> &'static str {
    match operator {
        given::LabelOperator::In => "In",
        given::LabelOperator::NotIn => "NotIn",
        given::LabelOperator::Exists => "Exists",
        given::LabelOperator::DoesNotExist => "DoesNotExist",
    }
}
