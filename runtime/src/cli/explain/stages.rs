//! The stages of a plan as a tree, with the internal topics between them.

use super::identity;
use super::values::destination;
use pipeline::column::Projection;
use pipeline::plan::{Input, Node, NodeKind, Plan, SourceConnector, Stage};
use protocol::identity::{Lineage, PipelineIdentity};
use std::fmt::Write as _;

/// All stages, writers before readers.
pub fn print(plan: &Plan) -> String {
    let identity = identity(plan);
    let mut text = "\nStages (each runs as one unit per partition)\n".to_owned();
    for stage in plan.stages() {
        let keyed = if stage.keyed { ", keeps state" } else { "" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {}{keyed}", stage.name);
        let _ = writeln!(text, "  │  journal {}", identity.commits_topic(&stage.name));
        let last = stage.nodes.len().saturating_sub(1);
        for (i, node) in stage.nodes.iter().enumerate() {
            let branch = if i == last { "└─" } else { "├─" };
            let _ = writeln!(text, "  {branch} {}: {}", node.name, describe(plan, stage, node, &identity));
        }
    }
    if let Some(sink) = plan.dead_letter_sink() {
        let _ = writeln!(text, "  dead letters of all stages: {}", destination(plan.sink(sink)));
    } else {
        text.push_str("  dead letters of all stages: counted and dropped\n");
    }
    text
}

fn describe(plan: &Plan, stage: &Stage, node: &Node, identity: &PipelineIdentity) -> String {
    let from = from(stage, node);
    match &node.kind {
        NodeKind::Source { input } => {
            let topic = match stage.inputs.get(usize::from(*input)) {
                Some(Input::Source(id)) => {
                    let SourceConnector::Kafka { topic, .. } = &plan.sources()[usize::from(id.0)].connector;
                    topic.as_str()
                }
                _ => "",
            };
            format!("source, topic {topic}, decodes {}", fields(&node.projection))
        }
        NodeKind::Filter(expression) => format!("filter{from} by {}", one_line(expression.text())),
        NodeKind::Map(expression) => format!("map{from} to {}", one_line(expression.text())),
        NodeKind::Mask(mask) => {
            let fields: Vec<String> = mask.fields.iter().map(|path| path.0.join(".")).collect();
            format!("mask{from}, {}: {}", fields.join(", "), mask.method)
        }
        NodeKind::Route { branches } => {
            let names: Vec<&str> = branches.iter().map(|(name, _)| name.as_str()).collect();
            format!("route{from} to {}, default", names.join(", "))
        }
        NodeKind::AssignWindows { window, .. } => {
            let topic = identity.repartition_topic(&window.name, Lineage(1));
            let keys: Vec<&str> = window.key_by.iter().map(|(name, _)| name.as_str()).collect();
            format!("window{from} by {}, pre-aggregated ~> {topic}", keys.join(", "))
        }
        NodeKind::MergeWindows { window, .. } => {
            format!("window, rows of {}", window.row_fields().join(", "))
        }
        NodeKind::Sink(id) => format!("sink{from}, {}", destination(plan.sink(*id))),
    }
}

/// Where a node reads, when that is not simply the node before it.
fn from(stage: &Stage, node: &Node) -> String {
    let names: Vec<String> = node
        .from
        .iter()
        .map(|edge| {
            let from = &stage.nodes[usize::from(edge.node.0)];
            match &from.kind {
                NodeKind::Route { branches } => {
                    let branch = branches.get(usize::from(edge.branch)).map_or("default", |(name, _)| name);
                    format!("{}.{branch}", from.name)
                }
                _ => from.name.clone(),
            }
        })
        .collect();
    format!(" of {}", names.join(" and "))
}

fn fields(projection: &Projection) -> String {
    let paths: Vec<String> = projection
        .paths()
        .iter()
        .map(|path| if path.0.is_empty() { "the whole record".to_owned() } else { path.0.join(".") })
        .collect();
    if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") }
}

fn one_line(expression: &str) -> String {
    expression.split_whitespace().collect::<Vec<_>>().join(" ")
}
