//! Making the operators of a unit from the nodes of its stage: who makes the records that reach a node, which fields
//! it reads of them, and which watermarks it follows.

use super::{BuildError, Kind, Operator, Topology};
use crate::column::{FieldPath, Projection};
use crate::expression::Expression;
use crate::plan::{Input, Node, NodeId, NodeKind, Plan, Stage, StageId, Window};
use crate::step::Kernels;
use crate::step::filter::Filter;
use crate::step::map::{Map, Remake};
use crate::step::mask::MaskStep;
use crate::step::route::Route;
use crate::step::source::SourceStep;
use crate::watermark::{Combined, Feed};
use crate::window::assign::{Assign, Destination};
use crate::window::block::Writer;
use crate::window::merge::Merge;
use std::sync::Arc;

/// The operators of one unit of a stage.
pub(super) fn operators(
    plan: &Plan,
    stage: StageId,
    topology: &Topology,
) -> Result<Vec<Operator>, BuildError> {
    let build = Build::new(plan, stage, topology);
    (0..build.stage.nodes.len()).map(|at| build.operator(NodeId(at as u16))).collect()
}

struct Build<'a> {
    plan: &'a Plan,
    id: StageId,
    stage: &'a Stage,
    topology: &'a Topology,
    /// By node: the nodes whose records reach its readers, itself if it makes records.
    makers: Vec<Vec<NodeId>>,
    /// By node: the columns of the records that it makes.
    projections: Vec<Projection>,
}

impl<'a> Build<'a> {
    fn new(plan: &'a Plan, id: StageId, topology: &'a Topology) -> Self {
        let stage = plan.stage(id);
        let mut makers: Vec<Vec<NodeId>> = Vec::new();
        for (at, node) in stage.nodes.iter().enumerate() {
            makers.push(if makes_records(node) { vec![NodeId(at as u16)] } else { incoming(node, &makers) });
        }
        let projections = stage.nodes.iter().map(|node| node.projection.clone()).collect();
        let mut build = Self { plan, id, stage, topology, makers, projections };
        build.complete_projections();
        build
    }

    /// The plan's projections have every field that is read; this makes sure of it.
    fn complete_projections(&mut self) {
        for (at, node) in self.stage.nodes.iter().enumerate() {
            let mut add = |makers: &[NodeId], fields: &[FieldPath]| {
                for maker in makers {
                    let projection = &mut self.projections[usize::from(maker.0)];
                    for field in fields {
                        projection.column(field);
                    }
                }
            };
            let incoming = incoming(node, &self.makers);
            match &node.kind {
                NodeKind::Source { input } => {
                    if let Some(Input::Source(id)) = self.stage.inputs.get(usize::from(*input)) {
                        let time = &self.plan.sources()[usize::from(id.0)].time;
                        add(&[NodeId(at as u16)], time.field.as_slice());
                    }
                }
                NodeKind::Filter(expression) | NodeKind::Map(expression) => {
                    add(&incoming, expression.fields());
                }
                NodeKind::Route { branches } => {
                    for (_, expression) in branches {
                        add(&incoming, expression.fields());
                    }
                }
                NodeKind::AssignWindows { window, .. } => add(&incoming, &fields_of(window)),
                NodeKind::Mask(_) | NodeKind::MergeWindows { .. } | NodeKind::Sink(_) => {}
            }
        }
    }

    fn operator(&self, id: NodeId) -> Result<Operator, BuildError> {
        let node = &self.stage.nodes[usize::from(id.0)];
        let projection = &self.projections[usize::from(id.0)];
        let kind = match &node.kind {
            NodeKind::Source { input } => match self.stage.inputs.get(usize::from(*input)) {
                Some(Input::Source(source)) => {
                    let definition = &self.plan.sources()[usize::from(source.0)];
                    Kind::Source(Box::new(SourceStep::new(id, *input, *source, definition, projection)))
                }
                _ => return Err(BuildError::Input { node: node.name.clone() }),
            },
            NodeKind::Filter(expression) => {
                Kind::Filter(Filter { name: node.name.clone(), kernels: self.kernels(node, expression)? })
            }
            NodeKind::Map(expression) => {
                Kind::Map(Box::new(Map::new(id, &node.name, self.kernels(node, expression)?, projection)))
            }
            NodeKind::Mask(mask) => {
                let key = mask.secret().and_then(|at| self.plan.keys.get(at));
                Kind::Mask(Box::new(MaskStep::new(id, &node.name, mask, key, projection)))
            }
            NodeKind::Route { branches } => {
                let branches = branches.iter().map(|(_, expression)| self.kernels(node, expression));
                Kind::Route(Route { name: node.name.clone(), branches: branches.collect::<Result<_, _>>()? })
            }
            NodeKind::AssignWindows { window, to } => Kind::Assign(Box::new(self.assign(id, window, *to)?)),
            NodeKind::MergeWindows { window, input } => {
                let writer = match self.stage.inputs.get(usize::from(*input)) {
                    Some(Input::Repartition { stage, node }) => Writer { stage: *stage, node: *node },
                    _ => return Err(BuildError::Input { node: node.name.clone() }),
                };
                let combined = Combined::new(vec![Feed { input: *input, behind_ms: 0 }], false);
                let merge = Merge::new(writer, window, combined);
                Kind::Merge { id, input: *input, merge: Box::new(merge), decoder: Remake::new(projection) }
            }
            NodeKind::Sink(sink) => Kind::Sink(*sink),
        };
        Ok(Operator { from: node.from.clone(), kind })
    }

    fn kernels(&self, node: &Node, expression: &Expression) -> Result<Kernels, BuildError> {
        let makers: Vec<_> = incoming(node, &self.makers)
            .into_iter()
            .map(|maker| (maker, &self.projections[usize::from(maker.0)]))
            .collect();
        Kernels::bind(expression, &makers)
            .map_err(|source| BuildError::Bind { step: node.name.clone(), source })
    }

    fn assign(&self, id: NodeId, window: &Arc<Window>, to: StageId) -> Result<Assign, BuildError> {
        let node = &self.stage.nodes[usize::from(id.0)];
        let feeds = self.feeds(node);
        let from_sources =
            |feed: &Feed| matches!(self.stage.inputs.get(usize::from(feed.input)), Some(Input::Source(_)));
        let may_idle = feeds.iter().all(from_sources);
        let writer = Writer { stage: self.id, node: id };
        let from_here = Input::Repartition { stage: self.id, node: id };
        let input = self.plan.stage(to).inputs.iter().position(|input| *input == from_here);
        let destination = Destination { stage: to, input: input.unwrap_or_default() as u16 };
        let mut assign =
            Assign::new(writer, window, destination, self.topology.units(to), Combined::new(feeds, may_idle));
        for maker in incoming(node, &self.makers) {
            let bound = assign.bind(maker, &self.projections[usize::from(maker.0)]);
            bound.map_err(|source| BuildError::Bind { step: node.name.clone(), source })?;
        }
        Ok(assign)
    }

    /// The inputs whose records can reach a node.
    fn feeds(&self, node: &Node) -> Vec<Feed> {
        let mut feeds: Vec<Feed> = Vec::new();
        for edge in &node.from {
            let from = &self.stage.nodes[usize::from(edge.node.0)];
            let found = match &from.kind {
                NodeKind::Source { input } => vec![Feed { input: *input, behind_ms: 0 }],
                NodeKind::MergeWindows { window, input } => {
                    vec![Feed { input: *input, behind_ms: window.allowed_lateness_ms }]
                }
                _ => self.feeds(from),
            };
            for feed in found {
                if !feeds.contains(&feed) {
                    feeds.push(feed);
                }
            }
        }
        feeds
    }
}

fn makes_records(node: &Node) -> bool {
    matches!(
        node.kind,
        NodeKind::Source { .. } | NodeKind::Map(_) | NodeKind::Mask(_) | NodeKind::MergeWindows { .. }
    )
}

/// The nodes whose records come to a node, each once.
fn incoming(node: &Node, makers: &[Vec<NodeId>]) -> Vec<NodeId> {
    let mut found: Vec<NodeId> = Vec::new();
    for maker in node.from.iter().flat_map(|edge| &makers[usize::from(edge.node.0)]) {
        if !found.contains(maker) {
            found.push(*maker);
        }
    }
    found
}

fn fields_of(window: &Window) -> Vec<FieldPath> {
    let aggregated = window.aggregates.iter().filter_map(|aggregate| aggregate.field.clone());
    window.key_by.iter().map(|(_, path)| path.clone()).chain(aggregated).collect()
}
