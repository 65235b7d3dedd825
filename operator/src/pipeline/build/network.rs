//! Who may open connections to the pods.

use super::{Error, metadata, shared_name};
use crate::pipeline::{GENERATION_LABEL, PIPELINE_LABEL};
use crate::settings::Settings;
use control::generation::Ports;
use crds::StreamPipeline;
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// Label that Kubernetes gives every namespace.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The control API is for the namespace of the operator (and for the kubelet, which no policy keeps out), metrics are for
/// everybody, nothing else is. Where the pods connect to is left open: nobody knows here where Kafka is.
pub(super) fn policy(pipeline: &StreamPipeline, settings: &Settings) -> Result<Option<NetworkPolicy>, Error> {
    let Some(namespace) = &settings.network_policy_for else { return Ok(None) };
    let Ports { control, metrics } = Ports::default();
    let operator = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(NAMESPACE_NAME.to_owned(), namespace.clone())])),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    let name = pipeline.name_any();
    Ok(Some(NetworkPolicy {
        metadata: metadata(pipeline, shared_name(&name), None)?,
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(all_pods(&name)),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![rule(control, Some(operator)), rule(metrics, None)]),
            egress: None,
        }),
    }))
}

fn rule(port: u16, from: Option<NetworkPolicyPeer>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: from.map(|peer| vec![peer]),
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::Int(i32::from(port))),
            protocol: Some("TCP".to_owned()),
            end_port: None,
        }]),
    }
}

/// The workers of all generations, without the Job that deletes internal topics.
fn all_pods(pipeline: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(BTreeMap::from([(PIPELINE_LABEL.to_owned(), pipeline.to_owned())])),
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: GENERATION_LABEL.to_owned(),
            operator: "Exists".to_owned(),
            values: None,
        }]),
    }
}
