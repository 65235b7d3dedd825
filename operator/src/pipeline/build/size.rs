//! CPU and memory of the pods.

use crate::scaling::quantity::parse;
use ::pipeline::spec::{ResourceAmounts, Size, StreamPipelineSpec};
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// Requests and limits: those of `resources` as they are written, else those of `size`.
pub(super) fn resources(spec: &StreamPipelineSpec) -> ResourceRequirements {
    let (requests, limits) = if let Some(resources) = &spec.resources {
        (amounts(resources.requests.as_ref()), amounts(resources.limits.as_ref()))
    } else {
        let [requests, limits] = of_size(spec.size.unwrap_or(Size::Small));
        (quantities(requests), quantities(limits))
    };
    let some = |amounts: BTreeMap<String, Quantity>| Some(amounts).filter(|amounts| !amounts.is_empty());
    ResourceRequirements { requests: some(requests), limits: some(limits), claims: None }
}

/// Requests and limits of a pod that does one thing and ends. It asks for little, so that it fits where the pods of its
/// pipeline do not; and may take as much memory as one of those, because it may hold the state of a unit.
pub(super) fn of_task(spec: Option<&StreamPipelineSpec>) -> ResourceRequirements {
    let [requests, limits] = of_size(Size::Small);
    let mut limits = quantities(limits);
    let memory = spec.and_then(|spec| resources(spec).limits?.remove("memory"));
    let is_more = |memory: &Quantity| parse(&memory.0) > parse(&limits["memory"].0);
    if let Some(memory) = memory.filter(is_more) {
        limits.insert("memory".to_owned(), memory);
    }
    ResourceRequirements { requests: Some(quantities(requests)), limits: Some(limits), claims: None }
}

/// Requests and limits of a size, as CPU and memory.
fn of_size(size: Size) -> [[&'static str; 2]; 2] {
    match size {
        Size::Small => [["250m", "512Mi"], ["500m", "1Gi"]],
        Size::Medium => [["500m", "1Gi"], ["1", "2Gi"]],
        Size::Large => [["1", "2Gi"], ["2", "4Gi"]],
        Size::XLarge => [["2", "4Gi"], ["4", "8Gi"]],
    }
}

fn quantities([cpu, memory]: [&str; 2]) -> BTreeMap<String, Quantity> {
    [("cpu", cpu), ("memory", memory)]
        .map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())))
        .into_iter()
        .collect()
}

fn amounts(amounts: Option<&ResourceAmounts>) -> BTreeMap<String, Quantity> {
    let cpu = amounts.and_then(|amounts| amounts.cpu.as_ref());
    let memory = amounts.and_then(|amounts| amounts.memory.as_ref());
    [("cpu", cpu), ("memory", memory)]
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), Quantity(amount?.clone()))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_may_take_the_memory_of_a_pod_and_asks_for_little() {
        let of = |text: &str| {
            let text = format!("{{sources: [], sinks: [], {text}}}");
            let spec: StreamPipelineSpec = serde_saphyr::from_str(&text).expect("a spec");
            let found = of_task(Some(&spec));
            let memory =
                |amounts: Option<BTreeMap<String, Quantity>>| amounts.expect("some")["memory"].0.clone();
            (memory(found.requests), memory(found.limits))
        };
        let pair = |requests: &str, limits: &str| (requests.to_owned(), limits.to_owned());
        assert_eq!(of("size: Large"), pair("512Mi", "4Gi"));
        assert_eq!(of("size: Small"), pair("512Mi", "1Gi"));
        let little = "resources: {requests: {cpu: '1000', memory: 64Mi}, limits: {memory: 128Mi}}";
        assert_eq!(of(little), pair("512Mi", "1Gi"), "it fits where the pods do not");
        assert_eq!(of("resources: {limits: {memory: 3Gi}}"), pair("512Mi", "3Gi"));
    }
}
