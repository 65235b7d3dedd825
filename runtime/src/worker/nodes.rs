//! What was counted, by the names of the plan.

use super::tally::Tally;
use crate::pod::{NodeReport, NodeRole, WindowReport};
use pipeline::plan::{Node, NodeKind, Plan};
use std::collections::BTreeMap;

/// Every source, step and sink of the plan, with what was counted at it.
pub(super) fn nodes(plan: &Plan, tally: &Tally) -> BTreeMap<String, NodeReport> {
    let nodes = plan.stages().iter().flat_map(|stage| &stage.nodes);
    let report = |node: &Node| NodeReport {
        kind: match &node.kind {
            NodeKind::Source { .. } => NodeRole::Source,
            NodeKind::AssignWindows { .. } | NodeKind::MergeWindows { .. } => NodeRole::Window,
            NodeKind::Filter(_) | NodeKind::Map(_) | NodeKind::Mask(_) | NodeKind::Route { .. } => {
                NodeRole::Step
            }
            NodeKind::Sink(_) => NodeRole::Sink,
        },
        counters: tally.nodes.get(&node.name).copied().unwrap_or_default(),
    };
    nodes.map(|node| (node.name.clone(), report(node))).collect()
}

/// The window steps among them.
pub(super) fn windows(nodes: &BTreeMap<String, NodeReport>) -> BTreeMap<String, WindowReport> {
    let windows = nodes.iter().filter(|(_, node)| node.kind == NodeRole::Window);
    windows
        .map(|(name, node)| (name.clone(), WindowReport { open: None, late: node.counters.late }))
        .collect()
}
