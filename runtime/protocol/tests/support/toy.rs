//! A unit whose state is everything it saw: run live with a journal beside it, and restored from that journal.

use super::{PLAN, claim, owner, unit};
use pipeline::effect::Effects;
use pipeline::plan::SinkId;
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::unit::{Channel, Tick};
use proptest::prelude::*;
use protocol::defences::Defences;
use protocol::identity::{Lineage, Seq};
use protocol::journal::{ClaimedInput, Commit, InputPartition, JournalRecord, JournalView, Renewal};
use protocol::restore::{Replay, ReplayStep, RestoreError};
use protocol::schedule::{BatchHash, OutputHash, Scheduled, ScheduledBatch};
use protocol::snapshot::{SnapshotHeader, SnapshotPointer};
use std::collections::BTreeMap;

/// A unit for tests: its state is everything it saw, in order, with clocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Toy(pub Vec<String>);

impl Toy {
    pub fn apply(&mut self, at: InputPartition, batch: &RecordBatch, clock_ms: i64) -> Effects {
        let mut effects = Effects::default();
        for row in 0..batch.len() {
            let value = String::from_utf8_lossy(batch.value(row).unwrap_or_default()).into_owned();
            self.0.push(format!("{}/{} {value} at {clock_ms}", at.input, at.partition));
            effects.output(SinkId(0)).push_from(batch, row);
        }
        effects
    }

    pub fn tick(&mut self, tick: Tick, clock_ms: i64) {
        self.0.push(format!("{tick:?} at {clock_ms}"));
    }
}

/// One step of a live unit.
#[derive(Clone, Debug)]
pub enum Act {
    Batch { partition: u32, records: u8 },
    Tick,
    Commit,
    Snapshot,
}

pub fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u32..2, 1u8..6).prop_map(|(partition, records)| Act::Batch { partition, records }),
        1 => Just(Act::Tick),
        3 => Just(Act::Commit),
        1 => Just(Act::Snapshot),
    ]
}

/// What a live unit leaves behind.
#[derive(Default)]
pub struct Run {
    pub logs: BTreeMap<u32, Vec<(i64, String)>>,
    pub journal: JournalView,
    pub objects: BTreeMap<String, Vec<u8>>,
    pub state: Toy,
    pub seq: u64,
}

fn at(partition: u32) -> InputPartition {
    InputPartition { input: 0, partition }
}

fn inputs() -> Vec<ClaimedInput> {
    vec![ClaimedInput {
        name: "clicks".into(),
        topic: "clicks".into(),
        topic_id: "id-1".into(),
        starts: vec![(0, 10), (1, 20)],
    }]
}

/// Runs acts live: batches applied behind the last commit are lost in the crash that ends every run.
pub fn live(acts: &[Act]) -> Run {
    let mut run = Run::default();
    let me = owner(1, 0, 1);
    let mut offset = 0;
    let mut write = |journal: &mut JournalView, record: JournalRecord| {
        journal.apply(offset, record).expect("one writer");
        offset += 2;
    };
    let mut first = claim(me, PLAN);
    first.inputs = inputs();
    write(&mut run.journal, JournalRecord::Claim(Box::new(first.clone())));
    let mut ends = BTreeMap::from([(at(0), 10i64), (at(1), 20)]);
    let (mut state, mut schedule, mut outputs) = (Toy::default(), Vec::new(), OutputHash::default());
    let (mut clock, mut stored) = (1_000, None);
    for act in acts {
        clock += 7;
        match act {
            Act::Batch { partition, records } => {
                let log = run.logs.entry(*partition).or_default();
                let mut batch = RecordBatch::new();
                for number in 0..i64::from(*records) {
                    // Every third offset is a marker.
                    let next = ends[&at(*partition)] + number + number / 2;
                    let value = format!("{partition}-{next}");
                    batch.push(record(next, &value));
                    log.push((next, value));
                }
                let end = batch.next_offset().unwrap_or_default();
                let mut hash = BatchHash::default();
                hash.add(&batch);
                ends.insert(at(*partition), end);
                outputs.add(&state.apply(at(*partition), &batch, clock));
                let (count, hash) = (hash.count() as u32, hash.hash());
                schedule.push(Scheduled::Batch(ScheduledBatch {
                    at: at(*partition),
                    end,
                    count,
                    hash,
                    clock_ms: clock,
                }));
            }
            Act::Tick => {
                let tick = Tick::Idle(Channel { input: 0, partition: 1 });
                state.tick(tick, clock);
                schedule.push(Scheduled::Tick { tick, clock_ms: clock });
            }
            Act::Commit => {
                run.seq += 1;
                let snapshot: Option<SnapshotPointer> = stored.take();
                let claim = first.clone();
                let commit = Commit {
                    owner: me,
                    seq: Seq(run.seq),
                    clock_ms: clock,
                    positions: ends.iter().map(|(at, end)| (*at, *end)).collect(),
                    schedule: std::mem::take(&mut schedule),
                    watermarks: Vec::new(),
                    outputs: std::mem::take(&mut outputs).digest(),
                    renewal: snapshot.is_some().then(|| Renewal { claim, holds: Vec::new() }),
                    snapshot,
                    sinks: Vec::new(),
                };
                write(&mut run.journal, JournalRecord::Commit(Box::new(commit)));
                run.state = state.clone();
            }
            Act::Snapshot => {
                let header = SnapshotHeader {
                    uid8: "0123abcd".to_owned(),
                    unit: unit(),
                    seq: Seq(run.seq),
                    plan: PLAN,
                    semantics: 1,
                    lineage: Lineage(1),
                    clock_ms: clock,
                    inputs: inputs(),
                    positions: ends.iter().map(|(at, end)| (*at, *end)).collect(),
                    watermarks: Vec::new(),
                    ends: Vec::new(),
                };
                // Only the state right behind a commit is one.
                if schedule.is_empty() && run.seq > 0 {
                    let sealed = header.seal(state.0.join("\n").as_bytes());
                    let key = |content: &str| format!("{}-{content}", run.seq);
                    let pointer = SnapshotPointer::of(&sealed, Seq(run.seq), key);
                    run.objects.insert(pointer.key.to_string(), sealed);
                    stored = Some(pointer);
                }
            }
        }
    }
    run
}

pub fn record(offset: i64, value: &str) -> NewRecord<'_> {
    NewRecord { offset, timestamp_ms: offset, key: None, value: Some(value.as_bytes()) }
}

/// Restores, fetching `width` records at a time from wherever it is asked to.
pub fn restore(run: &Run, width: usize, defences: Defences) -> Result<(Toy, Replay), RestoreError> {
    restore_and_write(run, width, defences).map(|(state, replay, _)| (state, replay))
}

/// State, replay, and what was written on the way.
type Restored = (Toy, Replay, Vec<(u32, i64)>);

/// The same; also partition and offset of every record whose output is written on the way.
pub fn restore_and_write(run: &Run, width: usize, defences: Defences) -> Result<Restored, RestoreError> {
    let mut written = Vec::new();
    let mut replay = Replay::new("0123abcd", unit(), defences);
    let (mut state, mut outputs) = (Toy::default(), OutputHash::default());
    let mut readers: BTreeMap<InputPartition, i64> = BTreeMap::new();
    loop {
        match replay.next(&run.journal)? {
            ReplayStep::Load(pointer) => {
                let object = if defences.exact_pointer {
                    &run.objects[&*pointer.key]
                } else {
                    run.objects.values().next_back().expect("some snapshot")
                };
                let (_, bytes) = replay.loaded(&pointer, object)?;
                let lines = String::from_utf8_lossy(bytes).into_owned();
                state = Toy(lines.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect());
            }
            ReplayStep::Follow { .. } | ReplayStep::Forget => {}
            ReplayStep::Assign(positions) => readers = positions.into_iter().collect(),
            ReplayStep::Apply { at, batch, clock_ms } => {
                outputs.add(&state.apply(at, &batch, clock_ms));
                if !replay.suppresses() {
                    written.extend(batch.records().iter().map(|record| (at.partition, record.offset)));
                }
            }
            ReplayStep::Tick { tick, clock_ms } => state.tick(tick, clock_ms),
            ReplayStep::Commit { .. } => replay.committed(std::mem::take(&mut outputs).digest())?,
            ReplayStep::Feed(at) => {
                let position = readers[&at];
                let log = run.logs.get(&at.partition).map(Vec::as_slice).unwrap_or_default();
                let mut batch = RecordBatch::new();
                log.iter()
                    .filter(|(offset, _)| *offset >= position)
                    .take(width)
                    .for_each(|(offset, value)| batch.push(record(*offset, value)));
                let next = batch.next_offset().expect("the log goes on");
                readers.insert(at, next);
                replay.feed(at, batch);
            }
            ReplayStep::UpToDate => return Ok((state, replay, written)),
        }
    }
}

/// Two commits over two partitions.
pub fn small_run() -> Run {
    let batch = |partition| Act::Batch { partition, records: 3 };
    live(&[batch(0), batch(1), Act::Commit, batch(0), Act::Commit])
}
