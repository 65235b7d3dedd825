//! Which fields each node needs, from the readers back to the makers, so that nothing else is decoded.

use super::connector::ParsedSource;
use super::{Input, Node, NodeKind, Stage};
use crate::column::FieldPath;

/// Fills [`Node::projection`] of all nodes.
///
/// Makers of records (`Source`, `Map`, `Mask`, `MergeWindows`) that share a reader get equal projections, so that a column has
/// one index for the reader, whoever made the record.
pub(super) fn fill(stages: &mut [Stage], sources: &[ParsedSource]) {
    for stage in stages {
        let needs = needs(stage, sources);
        for (node, need) in stage.nodes.iter_mut().zip(needs) {
            for path in &need {
                node.projection.column(path);
            }
        }
    }
}

fn needs(stage: &Stage, sources: &[ParsedSource]) -> Vec<Vec<FieldPath>> {
    let mut needs: Vec<Vec<FieldPath>> = stage.nodes.iter().map(|node| own(node, stage, sources)).collect();
    // Readers come after what they read, so one pass backwards is enough.
    for reader in (0..stage.nodes.len()).rev() {
        let wanted = wanted_of_input(&stage.nodes[reader], &needs[reader]);
        for edge in &stage.nodes[reader].from {
            add(&mut needs[usize::from(edge.node.0)], &wanted);
        }
    }
    for group in groups(stage) {
        let mut shared = Vec::new();
        for maker in &group {
            add(&mut shared, &needs[*maker]);
        }
        for maker in group {
            needs[maker].clone_from(&shared);
        }
    }
    needs.into_iter().map(sorted).collect()
}

/// What a node itself reads of its output records. The event time of a source is one of its fields.
fn own(node: &Node, stage: &Stage, sources: &[ParsedSource]) -> Vec<FieldPath> {
    match &node.kind {
        NodeKind::Source { input } => match stage.inputs.get(usize::from(*input)) {
            Some(Input::Source(id)) => sources[usize::from(id.0)].source.time.field.iter().cloned().collect(),
            _ => Vec::new(),
        },
        NodeKind::Filter(expression) => expression.fields().to_vec(),
        NodeKind::Route { branches } => {
            branches.iter().flat_map(|(_, expression)| expression.fields().iter().cloned()).collect()
        }
        NodeKind::AssignWindows { window, .. } => window.reads(),
        NodeKind::Map(_) | NodeKind::Mask(_) | NodeKind::MergeWindows { .. } | NodeKind::Sink(_) => {
            Vec::new()
        }
    }
}

/// What a node needs of the records that come to it.
fn wanted_of_input(node: &Node, need: &[FieldPath]) -> Vec<FieldPath> {
    match &node.kind {
        NodeKind::Map(expression) => expression.fields().to_vec(),
        // It works on the text.
        NodeKind::Mask(_) => Vec::new(),
        _ => need.to_vec(),
    }
}

fn add(to: &mut Vec<FieldPath>, paths: &[FieldPath]) {
    for path in paths {
        if !to.contains(path) {
            to.push(path.clone());
        }
    }
}

/// The columns do not depend on the order in which readers were looked at.
fn sorted(mut paths: Vec<FieldPath>) -> Vec<FieldPath> {
    paths.sort();
    paths
}

/// Makers whose records meet in some node, as groups of two and more.
fn groups(stage: &Stage) -> Vec<Vec<usize>> {
    let mut group: Vec<usize> = (0..stage.nodes.len()).collect();
    let mut makers: Vec<Vec<usize>> = Vec::new();
    for (i, node) in stage.nodes.iter().enumerate() {
        let mut of_input: Vec<usize> = Vec::new();
        for edge in &node.from {
            for maker in &makers[usize::from(edge.node.0)] {
                if !of_input.contains(maker) {
                    of_input.push(*maker);
                }
            }
        }
        // A sink takes records as they are; what meets only there needs nothing in common.
        if !matches!(node.kind, NodeKind::Sink(_)) {
            let first = of_input.iter().map(|maker| group[*maker]).min();
            for joined in of_input.iter().map(|maker| group[*maker]).collect::<Vec<_>>() {
                group.iter_mut().filter(|g| **g == joined).for_each(|g| *g = first.unwrap_or(joined));
            }
        }
        let is_maker = matches!(
            node.kind,
            NodeKind::Source { .. } | NodeKind::Map(_) | NodeKind::Mask(_) | NodeKind::MergeWindows { .. }
        );
        makers.push(if is_maker { vec![i] } else { of_input });
    }
    let of_group = |g: usize| (0..group.len()).filter(|i| group[*i] == g).collect::<Vec<_>>();
    (0..group.len()).filter(|g| group[*g] == *g).map(of_group).filter(|members| members.len() > 1).collect()
}
