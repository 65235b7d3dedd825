//! A pipeline in memory: all units of all stages, blocks handed over in order, and what came out of the sinks.

use crate::column::{FieldPath, Projection};
use crate::effect::{Counters, Effects, NodeCounters};
use crate::expression::Expression;
use crate::plan::*;
use crate::record::{NewRecord, RecordBatch};
use crate::unit::{Channel, MigrateError, Predecessor, Saved, Tick, Topology, Unit, predecessors};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

pub const CLOCK: i64 = 2_000_000_000_000;
pub const OUT: SinkId = SinkId(0);
pub const LATE: SinkId = SinkId(1);
pub const DEAD: SinkId = SinkId(2);
pub const OTHER: SinkId = SinkId(3);

/// Makes plans node by node.
pub struct Draft {
    plan: Plan,
}

pub fn path(text: &str) -> FieldPath {
    FieldPath(text.split('.').map(str::to_owned).collect())
}

pub fn count(name: &str) -> Aggregate {
    Aggregate { name: name.into(), function: AggregateFunction::Count, field: None }
}

pub fn aggregate(name: &str, function: AggregateFunction, field: &str) -> Aggregate {
    Aggregate { name: name.into(), function, field: Some(path(field)) }
}

pub fn tumbling(name: &str, size_ms: i64, keys: &[&str], aggregates: Vec<Aggregate>) -> Window {
    Window {
        name: name.into(),
        key_by: keys.iter().map(|key| ((*key).to_owned(), path(key))).collect(),
        kind: WindowKind::Tumbling { size_ms },
        allowed_lateness_ms: 0,
        aggregates,
        late_sink: Some(LATE),
    }
}

pub fn edge(node: usize) -> Edge {
    Edge { node: NodeId(node as u16), branch: 0 }
}

impl Draft {
    /// One source `clicks` by field `ts` in milliseconds, one stage with its node, four sinks.
    pub fn new(max_out_of_orderness_ms: i64) -> Self {
        let sink =
            |name: &str| Sink { name: name.into(), role: SinkRole::User, connector: SinkConnector::Log };
        let settings = Settings {
            replicas: 1,
            partitions: None,
            guarantee: Guarantee::ExactlyOnce,
            commit_interval_ms: 100,
            idle_commit_interval_ms: 5000,
            checkpoint_interval_ms: 60_000,
            checkpoint_storage: None,
            start_from: StartFrom::Earliest,
            suspend: false,
            probation_ms: 0,
            auto_rollback: false,
        };
        let plan = Plan {
            name: "test".into(),
            namespace: "default".into(),
            hash: PlanHash([7; 16]),
            sources: Vec::new(),
            stages: vec![Stage { name: "first".into(), inputs: Vec::new(), nodes: Vec::new(), keyed: false }],
            sinks: ["out", "late", "dead", "other"].map(sink).to_vec(),
            dead_letter_sink: Some(DEAD),
            settings,
            keys: crate::plan::MaskKeys::default(),
        };
        let mut draft = Self { plan };
        draft.source("clicks", max_out_of_orderness_ms);
        draft
    }

    /// Adds a source and its node to the first stage.
    pub fn source(&mut self, name: &str, max_out_of_orderness_ms: i64) -> usize {
        let time = EventTime {
            field: Some(path("ts")),
            unit: TimeUnit::Milliseconds,
            max_out_of_orderness_ms,
            idle_timeout_ms: 30_000,
            max_future_ms: Some(3_600_000),
        };
        let connector = SourceConnector::Kafka { topic: name.into(), access: None };
        self.plan.sources.push(Source {
            name: name.into(),
            connector,
            format: Format::Json,
            schema: None,
            time,
            start_from: StartFrom::Earliest,
        });
        let id = SourceId(self.plan.sources.len() as u16 - 1);
        self.plan.stages[0].inputs.push(Input::Source(id));
        let input = self.plan.stages[0].inputs.len() as u16 - 1;
        self.node(name, &[], NodeKind::Source { input })
    }

    pub fn last_source(&mut self) -> &mut Source {
        self.plan.sources.last_mut().unwrap()
    }

    pub fn plan(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// Adds a node to the last stage; gives its number.
    pub fn node(&mut self, name: &str, from: &[Edge], kind: NodeKind) -> usize {
        let nodes = &mut self.plan.stages.last_mut().unwrap().nodes;
        nodes.push(Node { name: name.into(), from: from.to_vec(), kind, projection: Projection::default() });
        nodes.len() - 1
    }

    pub fn filter(&mut self, from: usize, expression: &str) -> usize {
        self.node("filter", &[edge(from)], NodeKind::Filter(Expression::compile(expression).unwrap()))
    }

    pub fn map(&mut self, from: usize, expression: &str) -> usize {
        self.node("map", &[edge(from)], NodeKind::Map(Expression::compile(expression).unwrap()))
    }

    pub fn sink(&mut self, from: &[Edge], sink: SinkId) -> usize {
        self.node("sink", from, NodeKind::Sink(sink))
    }

    /// Adds both sides of a window and the stage that merges; gives the merging node.
    pub fn window(&mut self, from: &[Edge], window: Window) -> usize {
        let window = Arc::new(window);
        let to = StageId(self.plan.stages.len() as u16);
        let name = window.name.clone();
        let node = self.node(&name, from, NodeKind::AssignWindows { window: Arc::clone(&window), to });
        let stage = StageId(to.0 - 1);
        let inputs = vec![Input::Repartition { stage, node: NodeId(node as u16) }];
        self.plan.stages.push(Stage { name: name.clone(), inputs, nodes: Vec::new(), keyed: true });
        self.node(&name, &[], NodeKind::MergeWindows { window, input: 0 })
    }

    pub fn done(self) -> Arc<Plan> {
        Arc::new(self.plan)
    }
}

type Queue = VecDeque<(Channel, Vec<u8>)>;

/// A whole pipeline at work.
pub struct Rig {
    plan: Arc<Plan>,
    topology: Topology,
    units: BTreeMap<(u16, u32), Unit>,
    /// Blocks on their way, by reader.
    blocks: BTreeMap<(u16, u32), Queue>,
    /// What came out under plans before, by the name of the sink.
    past: BTreeMap<String, Vec<RecordBatch>>,
    /// What came out, by sink.
    pub outputs: BTreeMap<u16, RecordBatch>,
    pub counters: Counters,
    pub clock_ms: i64,
    offsets: BTreeMap<(u16, u32), i64>,
}

impl Rig {
    pub fn new(plan: &Arc<Plan>, units: u32, partitions: u32) -> Self {
        let topology = Topology {
            units: vec![units; plan.stages().len()],
            source_partitions: vec![partitions; plan.sources().len()],
        };
        let mut all = BTreeMap::new();
        for stage in 0..plan.stages().len() as u16 {
            for index in 0..units {
                let unit = Unit::new(Arc::clone(plan), &topology, StageId(stage), index).unwrap();
                all.insert((stage, index), unit);
            }
        }
        Self {
            plan: Arc::clone(plan),
            topology,
            units: all,
            blocks: BTreeMap::new(),
            past: BTreeMap::new(),
            outputs: BTreeMap::new(),
            counters: Counters::default(),
            clock_ms: CLOCK,
            offsets: BTreeMap::new(),
        }
    }

    /// Everything was handed over: all units go on under another plan. Stages that are new have `units` units.
    pub fn change(&mut self, plan: &Arc<Plan>, units: u32) -> Result<(), MigrateError> {
        assert!(self.blocks.values().all(VecDeque::is_empty), "blocks are on their way");
        let (old, before) = (Arc::clone(&self.plan), self.topology.clone());
        let find = |name: &str| old.stages().iter().position(|stage| stage.name == name);
        let width = before.source_partitions[0];
        let topology = Topology {
            units: plan.stages().iter().map(|s| find(&s.name).map_or(units, |at| before.units[at])).collect(),
            source_partitions: vec![width; plan.sources().len()],
        };
        let mut all = BTreeMap::new();
        for (at, stage) in (0u16..).zip(plan.stages()) {
            for index in 0..topology.units(StageId(at)) {
                let mut heirs = predecessors((&old, &before), (plan, &topology), StageId(at), index);
                heirs.extend(find(&stage.name).map(|own| (StageId(own as u16), index)));
                let heirs = heirs.into_iter().map(|(stage, index)| {
                    let bytes = self.unit(stage.0, index).snapshot().unwrap().to_bytes();
                    let saved = Saved::whole(&bytes).unwrap();
                    let unit = Unit::restore(Arc::clone(&old), &before, stage, index, &saved).unwrap();
                    Predecessor { unit, renewed: Vec::new() }
                });
                let heirs = heirs.collect();
                let unit = Unit::migrate(&old, Arc::clone(plan), &topology, StageId(at), index, heirs)?;
                all.insert((at, index), unit);
            }
        }
        (self.plan, self.topology, self.units) = (Arc::clone(plan), topology, all);
        let outputs = std::mem::take(&mut self.outputs);
        for (sink, batch) in outputs {
            self.past.entry(old.sinks()[usize::from(sink)].name.clone()).or_default().push(batch);
        }
        Ok(())
    }

    /// The records of a sink under all plans so far, by its name, sorted.
    pub fn lines(&self, sink: &str) -> Vec<String> {
        let now = self.plan.sinks().iter().position(|other| other.name == sink);
        let now = now.and_then(|at| self.outputs.get(&(at as u16)));
        let all = self.past.get(sink).into_iter().flatten().chain(now);
        let mut lines: Vec<String> =
            all.flat_map(|batch| (0..batch.len()).map(|row| show(batch, row))).collect();
        lines.sort();
        lines
    }

    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    pub fn unit(&mut self, stage: u16, index: u32) -> &mut Unit {
        self.units.get_mut(&(stage, index)).unwrap()
    }

    fn owner(&self, partition: u32) -> u32 {
        partition % self.topology.units(StageId(0))
    }

    /// JSON values into partition 0 of the first source.
    pub fn feed(&mut self, lines: &[&str]) {
        let mut batch = RecordBatch::new();
        for line in lines {
            batch.push(NewRecord { value: Some(line.as_bytes()), ..NewRecord::default() });
        }
        self.feed_batch(0, 0, &batch);
    }

    pub fn feed_to(&mut self, partition: u32, lines: &[&str]) {
        let mut batch = RecordBatch::new();
        for line in lines {
            batch.push(NewRecord { value: Some(line.as_bytes()), ..NewRecord::default() });
        }
        self.feed_batch(0, partition, &batch);
    }

    /// Records into a partition of an input of the first stage; offsets are given here.
    pub fn feed_batch(&mut self, input: u16, partition: u32, records: &RecordBatch) {
        let offset = self.offsets.entry((input, partition)).or_default();
        let mut batch = RecordBatch::new();
        for row in 0..records.len() {
            let record = records.records()[row];
            let (key, value) = (records.key(row), records.value(row));
            batch.push(NewRecord { offset: *offset, timestamp_ms: record.timestamp_ms, key, value });
            records.headers(row).for_each(|(name, value)| batch.push_header(name, value));
            *offset += 1;
        }
        let (clock_ms, owner) = (self.clock_ms, self.owner(partition));
        let mut out = Effects::default();
        self.unit(0, owner).on_batch(Channel { input, partition }, &batch, clock_ms, &mut out);
        self.take(owner, out);
    }

    pub fn idle(&mut self, partition: u32) {
        self.tick(Tick::Idle(Channel { input: 0, partition }), partition);
    }

    pub fn end(&mut self, input: u16, partition: u32) {
        self.tick(Tick::EndOfInput(Channel { input, partition }), partition);
    }

    fn tick(&mut self, tick: Tick, partition: u32) {
        let (clock_ms, owner) = (self.clock_ms, self.owner(partition));
        let mut out = Effects::default();
        self.unit(0, owner).on_tick(tick, clock_ms, &mut out);
        self.take(owner, out);
    }

    /// Ends all inputs and runs everything dry.
    pub fn finish(&mut self) {
        for input in 0..self.plan.stage(StageId(0)).inputs.len() as u16 {
            (0..self.topology.source_partitions[0]).for_each(|partition| self.end(input, partition));
        }
        self.settle();
    }

    /// Commits all stages and hands over all blocks, first to last.
    pub fn settle(&mut self) {
        for stage in 0..self.plan.stages().len() as u16 {
            self.deliver(stage);
            for index in 0..self.topology.units(StageId(stage)) {
                self.commit(stage, index);
            }
        }
    }

    pub fn commit(&mut self, stage: u16, index: u32) {
        let mut out = Effects::default();
        self.unit(stage, index).on_commit(&mut out);
        assert!(!self.unit(stage, index).needs_commit(), "a commit leaves no news");
        self.take(index, out);
    }

    /// Hands over the blocks that wait for a stage.
    pub fn deliver(&mut self, stage: u16) {
        for index in 0..self.topology.units(StageId(stage)) {
            while self.deliver_one(stage, index) {}
        }
    }

    /// Hands over one block.
    pub fn deliver_one(&mut self, stage: u16, index: u32) -> bool {
        let Some((channel, payload)) = self.blocks.entry((stage, index)).or_default().pop_front() else {
            return false;
        };
        let clock_ms = self.clock_ms;
        let mut out = Effects::default();
        self.unit(stage, index).on_block(channel, &payload, clock_ms, &mut out).unwrap();
        self.take(index, out);
        true
    }

    /// Puts a unit through its own snapshot.
    pub fn restart(&mut self, stage: u16, index: u32) {
        let bytes = self.unit(stage, index).snapshot().unwrap().to_bytes();
        let mut unit = self.restored(stage, index, &bytes);
        assert_eq!(bytes, unit.snapshot().unwrap().to_bytes(), "a restored unit has the same state");
        self.units.insert((stage, index), unit);
    }

    /// A unit with the state of a snapshot.
    pub fn restored(&self, stage: u16, index: u32, bytes: &[u8]) -> Unit {
        let saved = Saved::whole(bytes).unwrap();
        Unit::restore(Arc::clone(&self.plan), &self.topology, StageId(stage), index, &saved).unwrap()
    }

    /// Puts all units through their own snapshots.
    pub fn restart_all(&mut self) {
        let all: Vec<_> = self.units.keys().copied().collect();
        for (stage, index) in all {
            self.restart(stage, index);
        }
    }

    fn take(&mut self, index: u32, out: Effects) {
        self.counters.add(out.counters);
        let of_nodes =
            |pick: fn(&NodeCounters) -> u64| out.nodes.iter().map(|(_, node)| pick(node)).sum::<u64>();
        assert_eq!(of_nodes(|node| node.late), out.counters.late);
        assert_eq!(of_nodes(|node| node.dead_letters), out.counters.dead_letters);
        for (sink, batch) in out.outputs {
            let all = self.outputs.entry(sink.0).or_default();
            (0..batch.len()).for_each(|row| all.push_from(&batch, row));
        }
        for block in out.blocks {
            let channel = Channel { input: block.input, partition: index };
            let queue = self.blocks.entry((block.stage.0, block.unit)).or_default();
            queue.push_back((channel, block.payload));
        }
    }

    /// Blocks that wait for a unit.
    pub fn waiting(&self, stage: u16, index: u32) -> Vec<Vec<u8>> {
        let blocks = self.blocks.get(&(stage, index));
        blocks.map_or_else(Vec::new, |blocks| blocks.iter().map(|(_, payload)| payload.clone()).collect())
    }

    /// The values of a sink, in order.
    pub fn values(&self, sink: SinkId) -> Vec<String> {
        let Some(batch) = self.outputs.get(&sink.0) else { return Vec::new() };
        let text =
            |row| batch.value(row).map_or("null".into(), |value| String::from_utf8_lossy(value).into_owned());
        (0..batch.len()).map(text).collect()
    }

    /// The values of all sinks, sorted: what must not depend on batches, commits or units.
    pub fn multiset(&self) -> Vec<(u16, Vec<String>)> {
        let mut all = Vec::new();
        for sink in self.outputs.keys() {
            let batch = &self.outputs[sink];
            let mut rows: Vec<String> = (0..batch.len()).map(|row| show(batch, row)).collect();
            rows.sort();
            all.push((*sink, rows));
        }
        all
    }

    /// Reasons of dead letters, in order.
    pub fn reasons(&self) -> Vec<String> {
        self.dead_letter_headers("__connect.errors.exception.class.name")
    }

    pub fn dead_letter_headers(&self, name: &str) -> Vec<String> {
        let Some(batch) = self.outputs.get(&DEAD.0) else { return Vec::new() };
        let of = |row: usize| {
            let found = batch.headers(row).find(|(header, _)| *header == name.as_bytes());
            found
                .and_then(|(_, value)| value)
                .map_or("-".into(), |value| String::from_utf8_lossy(value).into_owned())
        };
        (0..batch.len()).map(of).collect()
    }
}

/// A record as one line.
pub fn show(batch: &RecordBatch, row: usize) -> String {
    let text = |part: Option<&[u8]>| part.map(|part| String::from_utf8_lossy(part).into_owned());
    let headers: Vec<_> = batch.headers(row).map(|(name, value)| (text(Some(name)), text(value))).collect();
    let record = batch.records()[row];
    format!("{:?} {:?} {} {headers:?}", text(batch.key(row)), text(batch.value(row)), record.timestamp_ms)
}
