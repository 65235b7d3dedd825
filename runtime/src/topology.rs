//! How many units each stage has, which topics carry them, and which worker has which unit.
//!
//! Nothing here is derived from the machine: the counts come from Kafka and the manifest, the placement from the
//! number of workers in the generation.

use pipeline::plan::{Input, Plan, SourceConnector, SourceId, StageId};
use pipeline::unit::Topology;

/// Units per stage before any commits topic exists: what the manifest fixes, else the partitions of the widest source
/// topic. `source_partitions` has one entry per source of the plan.
pub fn first_topology(plan: &Plan, source_partitions: Vec<u32>) -> Topology {
    let widest = source_partitions.iter().copied().max().unwrap_or(1).max(1);
    let count = plan.settings().partitions.unwrap_or(widest);
    Topology { units: vec![count; plan.stages().len()], source_partitions }
}

/// The partitions of a source that unit `unit` of a stage reads: `q mod units`.
pub fn partitions_of(
    topology: &Topology,
    source: SourceId,
    stage: StageId,
    unit: u32,
) -> impl Iterator<Item = u32> {
    let units = topology.units(stage);
    (0..topology.source_partitions[usize::from(source.0)]).filter(move |q| q % units == unit)
}

/// The name that a repartition topic has after the window whose blocks it carries; none for a source.
pub fn repartition_name(plan: &Plan, input: Input) -> Option<&str> {
    match input {
        Input::Repartition { stage, node } => Some(&plan.stage(stage).nodes[usize::from(node.0)].name),
        Input::Source(_) => None,
    }
}

/// The topic of a source.
pub fn source_topic(plan: &Plan, source: SourceId) -> &str {
    match &plan.sources()[usize::from(source.0)].connector {
        SourceConnector::Kafka { topic, .. } => topic,
    }
}
