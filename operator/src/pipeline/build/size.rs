//! CPU and memory of the pods.

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

/// Requests and limits of a pod that does one thing and ends.
pub(super) fn small() -> ResourceRequirements {
    let [requests, limits] = of_size(Size::Small);
    ResourceRequirements {
        requests: Some(quantities(requests)),
        limits: Some(quantities(limits)),
        claims: None,
    }
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
