//! A unit: a deterministic state machine over batches. It joins format, time, steps, windows and state without I/O.
//!
//! ```text
//!  on_batch  records of a source partition ─> decode, time ─> steps ─> sinks, window sides ┐
//!  on_block  payload of an upstream unit ─> merge, watermark ─> closed windows ─> steps ─> sinks
//!  on_tick   a partition is idle or has ended                                              │
//!  on_commit what was added up leaves as blocks, with the watermark  <─────────────────────┘
//! ```
//!
//! The same sequence of calls gives the same effects and the same state, whatever the machine; and another cut of the
//! same records into batches gives the same rows. An error of [`Unit::on_block`] leaves the unit half-way: drop it.

mod build;
pub(crate) mod flow;
mod migrate;
mod snapshot;

#[cfg(test)]
mod tests;

pub use crate::state::page::Page;
pub use crate::window::block::BlockError;
pub use migrate::{MigrateError, Predecessor, predecessors};
pub use snapshot::{RestoreError, Saved, Snapshot, SnapshotError};

use crate::column::Frame;
use crate::dead_letter::Desk;
use crate::effect::Effects;
use crate::expression::BindError;
use crate::plan::{Edge, Input, NodeId, Plan, SinkId, StageId};
use crate::record::RecordBatch;
use crate::state::page::PageIds;
use crate::step::filter::Filter;
use crate::step::map::{Map, Remake};
use crate::step::mask::MaskStep;
use crate::step::route::Route;
use crate::step::sink;
use crate::step::source::{Moment, SourceStep};
use crate::watermark::{Channels, Combined, Condition, END_OF_TIME, Feed, START_OF_TIME};
use crate::window::assign::Assign;
use crate::window::merge::Merge;
use flow::{Flow, Round, Selection, Timing, in_order};
use std::borrow::Cow;
use std::sync::Arc;

/// One partition of one input of a unit; each has its own watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// Index into `Stage::inputs`.
    pub input: u16,
    /// Partition of the source topic; for repartitioned inputs the upstream unit.
    pub partition: u32,
}

/// Something that happened without a record. Each is an empty batch in the schedule, so that replay sees it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// A source partition had nothing to read for its `idle_timeout_ms`: it stops holding back the watermark until
    /// its next record.
    Idle(Channel),
    /// A bounded source partition ended: its watermark goes to the end of time.
    EndOfInput(Channel),
}

/// How wide everything is: what a unit has to know of the units around it. Part of the generation, so that every replay
/// has the same. A partition that is added later becomes a channel with its first record or tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Number of units, by stage.
    pub units: Vec<u32>,
    /// Number of partitions, by source.
    pub source_partitions: Vec<u32>,
}

impl Topology {
    /// The number of units of a stage, at least one.
    pub fn units(&self, stage: StageId) -> u32 {
        self.units.get(usize::from(stage.0)).copied().unwrap_or(1).max(1)
    }

    /// The channels of a unit: of a source the partitions `q` with `q mod units = index`, of a stage all its units.
    pub fn channels(&self, plan: &Plan, stage: StageId, index: u32) -> Vec<Channel> {
        let units = self.units(stage);
        let mut channels = Vec::new();
        for (input, kind) in plan.stage(stage).inputs.iter().enumerate() {
            let (width, own) = match kind {
                Input::Source(id) => {
                    (self.source_partitions.get(usize::from(id.0)).copied().unwrap_or(0), true)
                }
                Input::Repartition { stage, .. } => (self.units(*stage), false),
            };
            let mine = (0..width).filter(|partition| !own || partition % units == index);
            channels.extend(mine.map(|partition| Channel { input: input as u16, partition }));
        }
        channels
    }
}

/// The plan does not fit together, which a valid one does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A node that reads an input of another kind.
    #[error("node `{node}` has no input of its kind")]
    Input {
        /// Its name.
        node: String,
    },
    /// A step reads what nobody decodes.
    #[error("failed to bind step `{step}` to its records")]
    Bind {
        /// Its name.
        step: String,
        /// Which field.
        #[source]
        source: BindError,
    },
}

/// One unit of a stage.
#[derive(Debug)]
pub struct Unit {
    plan: Arc<Plan>,
    stage: StageId,
    index: u32,
    /// How many units the stage has.
    siblings: u32,
    channels: Channels,
    /// Over all inputs, for display.
    combined: Combined,
    operators: Vec<Operator>,
    /// How far ahead of the batch clock the watermark of any unit of this stage can be; none is without bound.
    future_ms: Option<i64>,
    page_ids: PageIds,
    spare: Spare,
}

/// What batches lend and give back.
#[derive(Debug, Default)]
struct Spare {
    frame: Frame,
    times: Vec<Timing>,
}

/// A node at work.
#[derive(Debug)]
struct Operator {
    from: Vec<Edge>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Source(Box<SourceStep>),
    Filter(Filter),
    Map(Box<Map>),
    Mask(Box<MaskStep>),
    Route(Route),
    Assign(Box<Assign>),
    Merge { id: NodeId, input: u16, merge: Box<Merge>, decoder: Remake },
    Sink(SinkId),
}

impl Unit {
    /// Unit `index` of a stage, before its first record.
    pub fn new(plan: Arc<Plan>, topology: &Topology, stage: StageId, index: u32) -> Result<Unit, BuildError> {
        let operators = build::operators(&plan, stage, topology)?;
        let mut channels = Channels::default();
        topology.channels(&plan, stage, index).into_iter().for_each(|channel| {
            channels.open(channel);
        });
        let inputs = &plan.stage(stage).inputs;
        let feeds = (0..inputs.len() as u16).map(|input| Feed { input, behind_ms: 0 }).collect();
        let sources = inputs.iter().filter_map(|input| match input {
            Input::Source(id) => Some(plan.sources()[usize::from(id.0)].time.max_future_ms),
            Input::Repartition { .. } => None,
        });
        let future_ms = sources.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
        let mut combined = Combined::new(feeds, true);
        combined.update(&channels);
        let siblings = topology.units(stage);
        Ok(Unit {
            plan,
            stage,
            index,
            siblings,
            channels,
            combined,
            operators,
            future_ms,
            page_ids: PageIds::default(),
            spare: Spare::default(),
        })
    }

    /// Records of a source partition, in offset order.
    pub fn on_batch(&mut self, channel: Channel, batch: &RecordBatch, clock_ms: i64, out: &mut Effects) {
        out.counters.records_in += batch.len() as u64;
        let source = self.operators.iter().position(|operator| match &operator.kind {
            Kind::Source(source) => source.input == channel.input,
            _ => false,
        });
        if batch.is_empty() {
            return;
        }
        let Some(at) = source else { return };
        self.wake(channel, clock_ms);
        let plan = Arc::clone(&self.plan);
        let desk = Desk { sink: plan.dead_letter_sink(), pipeline: plan.name() };
        let mut times = std::mem::take(&mut self.spare.times);
        let frame = std::mem::take(&mut self.spare.frame);
        let Kind::Source(source) = &mut self.operators[at].kind else { return };
        let state = self.channels.open(channel);
        let moment = Moment { desk, clock_ms };
        let read = |out: &mut Effects| source.read(state, batch, &moment, frame, &mut times, out);
        let reading = out.at_node(NodeId(at as u16), batch.len(), read);
        let topic = source.topic.clone();
        let round = Round {
            desk,
            input: &reading.batch,
            source: Some(source.source),
            topic: Some(&topic),
            partition: channel.partition,
            channel: Some(channel),
            clock_ms,
            times: &times,
            catch_up_ms: state.catch_up_ms,
        };
        let flow = Flow {
            maker: source.id,
            batch: Cow::Borrowed(&*reading.batch),
            frame: reading.frame,
            origins: None,
            has_tombstones: reading.has_tombstones,
        };
        self.spare.frame = self.run(at, &round, flow, reading.rows, out);
        self.spare.times = times;
        self.combined.update(&self.channels);
    }

    /// A block of unit `channel.partition` of the stage before.
    pub fn on_block(
        &mut self,
        channel: Channel,
        payload: &[u8],
        clock_ms: i64,
        out: &mut Effects,
    ) -> Result<(), BlockError> {
        let merge = self.operators.iter_mut().find_map(|operator| match &mut operator.kind {
            Kind::Merge { id, input, merge, .. } if *input == channel.input => Some((*id, merge)),
            _ => None,
        });
        let (id, merge) = merge.ok_or(BlockError::UnknownInput { input: channel.input })?;
        let status = out.at_node(id, 0, |out| merge.take(payload, out))?;
        let state = self.channels.open(channel);
        let before = *state;
        state.condition = status.condition;
        state.watermark_ms = state.watermark_ms.max(status.watermark_ms);
        if *state != before {
            self.close_windows(clock_ms, out);
        }
        Ok(())
    }

    /// Something that happened without a record.
    pub fn on_tick(&mut self, tick: Tick, clock_ms: i64, out: &mut Effects) {
        let (channel, condition) = match tick {
            Tick::Idle(channel) => (channel, Condition::Idle),
            Tick::EndOfInput(channel) => (channel, Condition::Ended),
        };
        let state = self.channels.open(channel);
        if state.condition != Condition::Ended {
            state.condition = condition;
        }
        self.close_windows(clock_ms, out);
        self.advance_assigns();
    }

    /// A commit: what was added up leaves as blocks, and watermarks that moved are said to every reader.
    pub fn on_commit(&mut self, out: &mut Effects) {
        self.advance_assigns();
        for operator in &mut self.operators {
            if let Kind::Assign(assign) = &mut operator.kind {
                assign.commit(&self.channels, out);
            }
        }
    }

    /// True when [`Unit::on_commit`] would write something: a unit that only has a watermark to say needs a commit too.
    /// A unit without any channel has one thing to say, once: that nobody has to wait for it.
    pub fn needs_commit(&mut self) -> bool {
        self.advance_assigns();
        self.assigns().any(Assign::has_news)
    }

    /// How far event time has come over all channels: none before each has spoken, `i64::MAX` when all have ended.
    pub fn watermark_ms(&self) -> Option<i64> {
        if self.combined.has_ended() {
            return Some(END_OF_TIME);
        }
        Some(self.combined.watermark_ms()).filter(|watermark_ms| *watermark_ms != START_OF_TIME)
    }

    /// Channels that hold nothing back because they are idle.
    pub fn idle_channels(&self) -> usize {
        self.channels.iter().filter(|state| state.condition == Condition::Idle).count()
    }

    /// Memory that state takes, roughly.
    pub fn state_bytes(&self) -> usize {
        let of = |operator: &Operator| match &operator.kind {
            Kind::Assign(assign) => assign.heap_bytes(),
            Kind::Merge { merge, .. } => merge.heap_bytes(),
            _ => 0,
        };
        self.operators.iter().map(of).sum()
    }

    /// Windows that are open.
    pub fn open_windows(&self) -> usize {
        self.merges().map(Merge::open_windows).sum()
    }

    /// Windows that are open, by the node that merges them.
    pub fn open_windows_by_node(&self) -> impl Iterator<Item = (NodeId, usize)> {
        self.operators.iter().filter_map(|operator| match &operator.kind {
            Kind::Merge { id, merge, .. } => Some((*id, merge.open_windows())),
            _ => None,
        })
    }

    /// Groups (window and key) that are open.
    pub fn open_groups(&self) -> usize {
        self.merges().map(Merge::groups).sum()
    }

    fn merges(&self) -> impl Iterator<Item = &Merge> {
        self.operators.iter().filter_map(|operator| match &operator.kind {
            Kind::Merge { merge, .. } => Some(&**merge),
            _ => None,
        })
    }

    fn assigns(&self) -> impl Iterator<Item = &Assign> {
        self.operators.iter().filter_map(|operator| match &operator.kind {
            Kind::Assign(assign) => Some(&**assign),
            _ => None,
        })
    }

    /// The source sides follow the channels; but not past rows of windows that are over and were not made yet.
    fn advance_assigns(&mut self) {
        if self.merges().any(Merge::is_due) {
            return;
        }
        for operator in &mut self.operators {
            if let Kind::Assign(assign) = &mut operator.kind {
                assign.advance(&self.channels);
            }
        }
        self.combined.update(&self.channels);
    }

    /// A channel that did not hold back speaks again, or a new one for the first time: its records travel whole until
    /// it is where its readers may be.
    fn wake(&mut self, channel: Channel, clock_ms: i64) {
        let state = self.channels.get(channel).copied();
        if state.is_some_and(|state| {
            state.condition == Condition::Active && state.catch_up_ms != migrate::NOT_KNOWN
        }) {
            return;
        }
        self.advance_assigns();
        // Whoever was told that this unit holds nothing back may be as far as any clock and `maxFuture` allow.
        let ahead_ms = self.future_ms.map_or(i64::MAX, |future_ms| clock_ms.saturating_add(future_ms));
        let bound = |assign: &Assign| {
            let combined_ms = assign.combined().watermark_ms();
            let told = assign.said().condition == Condition::Active && assign.knows_its_readers();
            let reached_ms = if told { combined_ms } else { combined_ms.max(ahead_ms) };
            reached_ms.saturating_add(assign.longer_wait_ms())
        };
        let catch_up_ms = self.assigns().map(bound).max().unwrap_or(START_OF_TIME);
        let state = self.channels.open(channel);
        state.condition = Condition::Active;
        let known_ms =
            if state.catch_up_ms == migrate::NOT_KNOWN { START_OF_TIME } else { state.catch_up_ms };
        state.catch_up_ms = known_ms.max(catch_up_ms);
    }

    /// Closes what the watermarks have passed, and runs the rows through the nodes behind. Rows are judged by the
    /// watermarks before they move, so they are never late.
    fn close_windows(&mut self, clock_ms: i64, out: &mut Effects) {
        let mut rows = RecordBatch::new();
        for at in 0..self.operators.len() {
            let Kind::Merge { merge, .. } = &mut self.operators[at].kind else { continue };
            if merge.advance(&self.channels) {
                while self.close_some(at, &mut rows, clock_ms, out) {}
            }
        }
        self.advance_assigns();
    }

    /// Makes some rows of closing windows; true when there are more.
    fn close_some(&mut self, at: usize, rows: &mut RecordBatch, clock_ms: i64, out: &mut Effects) -> bool {
        let plan = Arc::clone(&self.plan);
        let desk = Desk { sink: plan.dead_letter_sink(), pipeline: plan.name() };
        let Kind::Merge { id, merge, decoder, .. } = &mut self.operators[at].kind else { return false };
        rows.clear();
        let more = out.at_node(*id, 0, |out| merge.close(plan.sources(), desk, rows, out));
        if rows.is_empty() {
            return more;
        }
        let mut frame = std::mem::take(&mut self.spare.frame);
        decoder.decode(rows, &mut frame);
        let round = Round {
            desk,
            input: rows,
            source: None,
            topic: None,
            partition: self.index,
            channel: None,
            clock_ms,
            times: &[],
            catch_up_ms: START_OF_TIME,
        };
        let all = (0..rows.len() as u32).collect();
        let batch = Cow::Borrowed(&*rows);
        let flow = Flow { maker: *id, batch, frame, origins: None, has_tombstones: false };
        self.spare.frame = self.run(at, &round, flow, all, out);
        more
    }

    /// Sends the records of node `first` through all nodes behind it. Gives back the frame.
    fn run<'a>(
        &mut self,
        first: usize,
        round: &Round<'a>,
        flow: Flow<'a>,
        rows: Vec<u32>,
        out: &mut Effects,
    ) -> Frame {
        let mut flows = vec![flow];
        // Selections by node and branch; nodes read only nodes before them.
        let mut made: Vec<Vec<Vec<Selection>>> = vec![Vec::new(); self.operators.len()];
        made[first] = vec![vec![Selection { flow: 0, rows }]];
        for at in first + 1..self.operators.len() {
            let operator = &mut self.operators[at];
            let selections: Vec<Selection> =
                operator.from.iter().flat_map(|edge| selected(&made, *edge)).collect();
            if !selections.is_empty() {
                let records = selections.iter().map(|selection| selection.rows.len()).sum();
                let id = NodeId(at as u16);
                made[at] = out.at_node(id, records, |out| operator.run(round, &mut flows, selections, out));
            }
        }
        flows.swap_remove(0).frame
    }
}

/// The rows that come over an edge.
fn selected(made: &[Vec<Vec<Selection>>], edge: Edge) -> Vec<Selection> {
    let branch = made.get(usize::from(edge.node.0)).and_then(|node| node.get(usize::from(edge.branch)));
    branch.map_or_else(Vec::new, |branch| {
        branch.iter().filter(|selection| !selection.rows.is_empty()).cloned().collect()
    })
}

impl Operator {
    /// What it makes of some rows, by branch.
    fn run<'a>(
        &mut self,
        round: &Round<'a>,
        flows: &mut Vec<Flow<'a>>,
        selections: Vec<Selection>,
        out: &mut Effects,
    ) -> Vec<Vec<Selection>> {
        match &mut self.kind {
            Kind::Filter(filter) => vec![filter.run(round, flows, selections, out)],
            Kind::Map(map) => vec![map.run(round, flows, selections, out)],
            Kind::Mask(mask) => vec![mask.run(round, flows, selections, out)],
            Kind::Route(route) => route.run(round, flows, selections, out),
            Kind::Assign(assign) => {
                for run in in_order(flows, selections) {
                    assign.take(round, &flows[run.flow], &run.rows, out);
                }
                Vec::new()
            }
            Kind::Sink(sink) => {
                sink::run(*sink, flows, selections, out);
                Vec::new()
            }
            Kind::Source(_) | Kind::Merge { .. } => Vec::new(),
        }
    }
}
