//! A replay applies what was applied live, whatever the fetches look like; and stops at the first thing that differs.

mod support;

use pipeline::effect::Effects;
use pipeline::plan::SinkId;
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::unit::{Channel, Tick};
use proptest::prelude::*;
use protocol::defences::Defences;
use protocol::identity::{Lineage, Seq};
use protocol::journal::{ClaimedInput, Commit, InputPartition, JournalRecord, JournalView, Renewal};
use protocol::restore::{Divergence, Replay, ReplayStep, RestoreError, WantedInput, claimed_inputs};
use protocol::schedule::{BatchHash, OutputDigest, OutputHash, Scheduled, ScheduledBatch};
use protocol::snapshot::{SnapshotHeader, SnapshotPointer};
use std::collections::BTreeMap;
use support::{OTHER_PLAN, PLAN, claim, owner, unit};

/// A unit for tests: its state is everything it saw, in order, with clocks.
#[derive(Clone, Debug, Default, PartialEq)]
struct Toy(Vec<String>);

impl Toy {
    fn apply(&mut self, at: InputPartition, batch: &RecordBatch, clock_ms: i64) -> Effects {
        let mut effects = Effects::default();
        for row in 0..batch.len() {
            let value = String::from_utf8_lossy(batch.value(row).unwrap_or_default()).into_owned();
            self.0.push(format!("{}/{} {value} at {clock_ms}", at.input, at.partition));
            effects.output(SinkId(0)).push_from(batch, row);
        }
        effects
    }

    fn tick(&mut self, tick: Tick, clock_ms: i64) {
        self.0.push(format!("{tick:?} at {clock_ms}"));
    }
}

/// One step of a live unit.
#[derive(Clone, Debug)]
enum Act {
    Batch { partition: u32, records: u8 },
    Tick,
    Commit,
    Snapshot,
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u32..2, 1u8..6).prop_map(|(partition, records)| Act::Batch { partition, records }),
        1 => Just(Act::Tick),
        3 => Just(Act::Commit),
        1 => Just(Act::Snapshot),
    ]
}

/// What a live unit leaves behind.
#[derive(Default)]
struct Run {
    logs: BTreeMap<u32, Vec<(i64, String)>>,
    journal: JournalView,
    objects: BTreeMap<String, Vec<u8>>,
    state: Toy,
    seq: u64,
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
fn live(acts: &[Act]) -> Run {
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
                    let key = format!("{}-{}", run.seq, SnapshotPointer::content_name(&sealed));
                    stored = Some(SnapshotPointer::to(key.as_str(), &sealed, Seq(run.seq)));
                    run.objects.insert(key, sealed);
                }
            }
        }
    }
    run
}

fn record(offset: i64, value: &str) -> NewRecord<'_> {
    NewRecord { offset, timestamp_ms: offset, key: None, value: Some(value.as_bytes()) }
}

/// Restores, fetching `width` records at a time from wherever it is asked to.
fn restore(run: &Run, width: usize, defences: Defences) -> Result<(Toy, Replay), RestoreError> {
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
            ReplayStep::Follow { .. } => {}
            ReplayStep::Assign(positions) => readers = positions.into_iter().collect(),
            ReplayStep::Apply { at, batch, clock_ms } => outputs.add(&state.apply(at, &batch, clock_ms)),
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
                let Some(next) = batch.next_offset() else { panic!("the log of {at:?} has ended") };
                readers.insert(at, next);
                replay.feed(at, batch);
            }
            ReplayStep::UpToDate => return Ok((state, replay)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_is_what_was_committed_live(acts in prop::collection::vec(any_act(), 0..60), width in 1usize..20) {
        let run = live(&acts);
        let (state, replay) = restore(&run, width, Defences::ALL).expect("the log is what it was");
        prop_assert_eq!(&state, &run.state);
        prop_assert_eq!(replay.replayed(), Some(Seq(run.seq)));
    }
}

fn small_run() -> Run {
    let batch = |partition| Act::Batch { partition, records: 3 };
    live(&[batch(0), batch(1), Act::Commit, batch(0), Act::Commit])
}

#[test]
fn a_changed_record_stops_the_replay() {
    let mut run = small_run();
    let changed = run.logs.get_mut(&1).expect("partition 1");
    changed[1].1 = "another".to_owned();
    let what = Divergence::Records { input: 0, partition: 1, end: 24, found: 3, expected: 3 };
    let diverged = restore(&run, 4, Defences::ALL).expect_err("it differs");
    assert_eq!(diverged, RestoreError::ReplayDiverged { unit: unit(), seq: Seq(1), what });
    let (state, _) = restore(&run, 4, Defences { hash_check: false, ..Defences::ALL }).expect("nobody looks");
    assert_ne!(state, run.state, "without the hash check the state is silently another one");
}

#[test]
fn a_missing_record_stops_the_replay() {
    let mut run = small_run();
    run.logs.get_mut(&0).expect("partition 0").remove(1);
    let diverged = restore(&run, 9, Defences::ALL).expect_err("one is gone");
    assert!(matches!(
        diverged,
        RestoreError::ReplayDiverged { what: Divergence::Records { found: 2, .. }, .. }
    ));
}

#[test]
fn other_outputs_stop_the_replay() {
    let run = small_run();
    let mut replay = Replay::new("0123abcd", unit(), Defences::ALL);
    loop {
        match replay.next(&run.journal).expect("nothing differs yet") {
            ReplayStep::Commit { .. } => break,
            ReplayStep::Feed(at) => {
                let mut batch = RecordBatch::new();
                run.logs[&at.partition].iter().for_each(|(offset, value)| batch.push(record(*offset, value)));
                replay.feed(at, batch);
            }
            _ => {}
        }
    }
    let diverged = replay.committed(OutputDigest { count: 6, hash: 1 }).expect_err("another hash");
    assert!(matches!(
        diverged,
        RestoreError::ReplayDiverged { what: Divergence::Outputs { found: 6, expected: 6 }, .. }
    ));
}

/// A life stores a snapshot behind a commit and dies before its pointer is written; the next life commits other batches
/// under the following numbers. The stored object is the newest one, and it is of no use.
#[test]
fn only_the_snapshot_that_the_journal_points_to_is_restored() {
    let batch = |partition| Act::Batch { partition, records: 3 };
    let mut run = live(&[batch(0), Act::Commit, Act::Snapshot, batch(1), Act::Commit, batch(0), Act::Commit]);
    let orphan = {
        let header = SnapshotHeader {
            seq: Seq(1),
            ..SnapshotHeader::open(run.objects.values().next().expect("one snapshot")).expect("it is ours").0
        };
        header.seal(b"state that was never committed")
    };
    run.objects.insert("9-orphan".to_owned(), orphan);
    let (state, _) = restore(&run, 5, Defences::ALL).expect("the pointer is right");
    assert_eq!(state, run.state);
    let (state, _) =
        restore(&run, 5, Defences { exact_pointer: false, ..Defences::ALL }).expect("nobody looks");
    assert_ne!(state, run.state, "the newest file is not the snapshot");
}

#[test]
fn a_journal_that_starts_behind_the_snapshot_is_refused() {
    let mut journal = JournalView::default();
    let commit = support::commit(owner(1, 0, 1), 5);
    journal.apply(40, JournalRecord::Claim(Box::new(claim(owner(1, 0, 1), PLAN)))).unwrap();
    journal.apply(41, JournalRecord::Commit(Box::new(commit))).unwrap();
    let mut replay = Replay::new("0123abcd", unit(), Defences::ALL);
    let refused = loop {
        match replay.next(&journal) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(refused, RestoreError::JournalStart { unit: unit(), needed: Seq(1), found: Seq(5) });
}

#[test]
fn a_claim_with_another_plan_carries_positions_over_by_topic() {
    let batch = Act::Batch { partition: 0, records: 3 };
    let mut run = live(&[batch, Act::Commit]);
    let input = |name: &str, topic_id: &str, starts: &[(u32, i64)]| ClaimedInput {
        name: name.into(),
        topic: name.into(),
        topic_id: topic_id.into(),
        starts: starts.to_vec(),
    };
    let mut second = claim(owner(2, 0, 2), OTHER_PLAN);
    second.inputs = vec![input("orders", "id-2", &[(0, 5)]), input("clicks", "id-1", &[(0, 99)])];
    run.journal.apply(100, JournalRecord::Claim(Box::new(second.clone()))).unwrap();
    let (_, replay) = restore(&run, 5, Defences::ALL).expect("nothing to replay behind the claim");
    assert_eq!(replay.plan(), Some(OTHER_PLAN));
    let position = |input, partition, next| (InputPartition { input, partition }, next);
    assert_eq!(replay.positions(), vec![position(0, 0, 5), position(1, 0, 14), position(1, 1, 20)]);
    // The next Claim brings starts only for what has no position: here a partition that was added.
    let wanted = |partitions: &[u32]| WantedInput {
        name: "clicks".into(),
        topic: "clicks".into(),
        topic_id: "id-1".into(),
        partitions: partitions.to_vec(),
    };
    let claimed =
        claimed_inputs(&replay, &[wanted(&[0, 1, 2])], |_, partition| Ok::<i64, ()>(i64::from(partition)));
    assert_eq!(claimed.unwrap()[0].starts, vec![(2, 2)]);
}
