//! Cutting the flow into stages: what is connected without a window in between is one stage.
//!
//! A window is cut in two: its source side (`AssignWindows`) belongs to the stage of what it reads, its merging side
//! (`MergeWindows`) begins a stage of its own, and a repartition topic is between them. Sinks do not connect: a sink
//! that two stages feed has a node in each.
//!
//! ```text
//!  clicks ─ valid ─ AssignWindows(per-user) ~> MergeWindows(per-user) ─ big ─ counts
//!  └──────────── stage `valid` ───────────┘    └──────── stage `per-user` ─────────┘
//! ```

use super::connector::{ParsedSource, Sinks};
use super::flow::{Flow, Origin, Read};
use super::problems::{At, Problems};
use super::step::{Step, StepKind};
use super::{Edge, Input, Node, NodeId, NodeKind, SinkId, SourceId, Stage, StageId};
use crate::column::Projection;
use crate::problem::ProblemKind;
use std::collections::HashMap;

/// The stages of a valid flow, writers before readers; none when records from before and after a window meet.
pub(super) fn cut(
    sources: &[ParsedSource],
    steps: &[Step],
    sinks: &Sinks,
    flow: &Flow,
    at: &At,
    problems: &mut Problems,
) -> Option<Vec<Stage>> {
    let parts = Parts::connect(sources.len(), steps, flow);
    let order = match parts.order(steps) {
        Ok(order) => order,
        Err(windows) => {
            for window in windows {
                let message = format!(
                    "records from before and after window `{}` meet in one step, which is not possible; give each its own step",
                    steps[window].name
                );
                problems.add(ProblemKind::Flow, &at.field("steps").index(window), message);
            }
            return None;
        }
    };
    let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    let mut cut =
        Cut { sources, steps, sinks: &names, flow, parts: &parts, order: &order, stages: Vec::new() };
    for part in &order {
        let stage = cut.stage(*part);
        cut.stages.push(stage);
    }
    Some(cut.stages)
}

/// Which element belongs to which part. Elements are sources, then steps (of a window: its merging side), then the
/// source sides of windows; each is named by the lowest element of its part.
struct Parts {
    sources: usize,
    steps: usize,
    parent: Vec<usize>,
}

impl Parts {
    fn connect(sources: usize, steps: &[Step], flow: &Flow) -> Self {
        let mut parts =
            Self { sources, steps: steps.len(), parent: (0..sources + 2 * steps.len()).collect() };
        for (i, step) in steps.iter().enumerate() {
            let reader =
                if matches!(step.kind, StepKind::Window(_)) { parts.assign(i) } else { parts.step(i) };
            for read in &flow.steps[i] {
                parts.join(reader, parts.origin(read.origin));
            }
        }
        parts
    }

    fn step(&self, step: usize) -> usize {
        self.sources + step
    }

    fn assign(&self, step: usize) -> usize {
        self.sources + self.steps + step
    }

    fn origin(&self, origin: Origin) -> usize {
        match origin {
            Origin::Source(source) => source,
            Origin::Step(step) => self.step(step),
        }
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.part(a), self.part(b));
        self.parent[a.max(b)] = a.min(b);
    }

    fn part(&self, mut element: usize) -> usize {
        while self.parent[element] != element {
            element = self.parent[element];
        }
        element
    }

    /// The parts, writers before readers, else in the order of the manifest; or the windows on a circle.
    fn order(&self, steps: &[Step]) -> Result<Vec<usize>, Vec<usize>> {
        let windows = (0..steps.len()).filter(|i| matches!(steps[*i].kind, StepKind::Window(_)));
        let mut edges: Vec<(usize, usize, usize)> =
            windows.map(|i| (self.part(self.assign(i)), self.part(self.step(i)), i)).collect();
        let elements = self.sources + self.steps;
        let mut waiting: Vec<usize> =
            (0..elements).filter(|element| self.part(*element) == *element).collect();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            let free = waiting.iter().position(|part| edges.iter().all(|(_, reader, _)| reader != part));
            let Some(free) = free else {
                return Err(edges.into_iter().map(|(_, _, window)| window).collect());
            };
            let part = waiting.remove(free);
            edges.retain(|(writer, _, _)| *writer != part);
            order.push(part);
        }
        Ok(order)
    }
}

struct Cut<'a> {
    sources: &'a [ParsedSource],
    steps: &'a [Step],
    sinks: &'a [&'a str],
    flow: &'a Flow,
    parts: &'a Parts,
    order: &'a [usize],
    stages: Vec<Stage>,
}

impl Cut<'_> {
    fn stage(&self, part: usize) -> Stage {
        let of_part = |element: usize| self.parts.part(element) == part;
        let mut stage = Stage { name: String::new(), inputs: Vec::new(), nodes: Vec::new(), keyed: false };
        let mut made: HashMap<Origin, NodeId> = HashMap::new();
        for (i, parsed) in self.sources.iter().enumerate().filter(|(i, _)| of_part(*i)) {
            let input = stage.inputs.len() as u16;
            stage.inputs.push(Input::Source(SourceId(i as u16)));
            let node = push(&mut stage, &parsed.source.name, Vec::new(), NodeKind::Source { input });
            made.insert(Origin::Source(i), node);
        }
        for (i, step) in self.steps.iter().enumerate() {
            let own = of_part(self.parts.step(i));
            if own && stage.name.is_empty() {
                stage.name.clone_from(&step.name);
            }
            let edges = || edges(&self.flow.steps[i], &made);
            match &step.kind {
                StepKind::Window(window) => {
                    if own {
                        let input = stage.inputs.len() as u16;
                        stage.inputs.push(self.repartition(i, &step.name));
                        stage.keyed = true;
                        let kind = NodeKind::MergeWindows { window: window.clone(), input };
                        let node = push(&mut stage, &step.name, Vec::new(), kind);
                        made.insert(Origin::Step(i), node);
                    } else if of_part(self.parts.assign(i)) {
                        let to = self.position(self.parts.part(self.parts.step(i)));
                        let kind = NodeKind::AssignWindows { window: window.clone(), to };
                        push(&mut stage, &step.name, edges(), kind);
                    }
                }
                kind if own => {
                    let kind = match kind {
                        StepKind::Map(expression) => NodeKind::Map(expression.clone()),
                        StepKind::Mask(mask) => NodeKind::Mask(mask.clone()),
                        StepKind::Route(branches) => NodeKind::Route { branches: branches.clone() },
                        StepKind::Filter(expression) => NodeKind::Filter(expression.clone()),
                        StepKind::Window(_) => continue,
                    };
                    let edges = edges();
                    let node = push(&mut stage, &step.name, edges, kind);
                    made.insert(Origin::Step(i), node);
                }
                _ => {}
            }
        }
        for (i, reads) in self.flow.sinks.iter().enumerate() {
            let edges = edges(reads, &made);
            if !edges.is_empty() {
                push(&mut stage, self.sinks[i], edges, NodeKind::Sink(SinkId(i as u16)));
            }
        }
        if let (true, Some(first)) = (stage.name.is_empty(), stage.nodes.first()) {
            stage.name.clone_from(&first.name);
        }
        stage
    }

    fn position(&self, part: usize) -> StageId {
        StageId(self.order.iter().position(|other| *other == part).unwrap_or(0) as u16)
    }

    /// The input that carries the blocks of a window; its writer comes before in the order.
    fn repartition(&self, step: usize, name: &str) -> Input {
        let stage = self.position(self.parts.part(self.parts.assign(step)));
        let writes = |node: &Node| node.name == name && matches!(node.kind, NodeKind::AssignWindows { .. });
        let nodes =
            self.stages.get(usize::from(stage.0)).map(|stage| stage.nodes.as_slice()).unwrap_or_default();
        Input::Repartition { stage, node: NodeId(nodes.iter().position(writes).unwrap_or(0) as u16) }
    }
}

fn push(stage: &mut Stage, name: &str, from: Vec<Edge>, kind: NodeKind) -> NodeId {
    stage.nodes.push(Node { name: name.to_owned(), from, kind, projection: Projection::default() });
    NodeId(stage.nodes.len() as u16 - 1)
}

/// The edges from nodes of this stage; a sink may read nodes of others besides.
fn edges(reads: &[Read], made: &HashMap<Origin, NodeId>) -> Vec<Edge> {
    let edge = |read: &Read| made.get(&read.origin).map(|node| Edge { node: *node, branch: read.branch });
    reads.iter().filter_map(edge).collect()
}
