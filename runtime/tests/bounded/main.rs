//! A pipeline that runs for long: its journals, its blocks and its snapshots stay bounded, and what was trimmed is missed
//! by nobody who restores.

mod spread;

use connect::door::{KafkaIo, Partitioning, TopicPartition};
use connect::memory::{Log, Settings};
use connect::snapshot::{Shard, SnapshotError, SnapshotStore, TopicStore, Uploads};
use control::Reason;
use control::status::{Problem, UnitState};
use pipeline::plan::{Plan, SinkConnector};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::going_live::Promotion;
use protocol::identity::{Generation, Lineage, WorkerIndex, Writer};
use protocol::snapshot::Limits;
use runtime::local::{Bounds, LocalEnvironment, identity, setup};
use runtime::pod::Intents;
use runtime::worker::{Now, Setup, Step, Worker};
use spread::{Watch, Watched};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Every fifth record is late, so that both stages have something to say.
const PIPELINE: &str = r"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: long}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, maxOutOfOrderness: 1s, idleTimeout: 1h}}]
  steps:
    - name: per-user
      window:
        keyBy: [user]
        tumbling: {size: 5s}
        aggregates: [{name: clicks, function: Count}]
        lateSink: {kafka: {topic: late}}
  sinks: [{name: counts, kafka: {topic: counts}}]
";
const WALL_MS: i64 = 1_795_219_200_000;
const PARTITIONS: u32 = 3;
const RECORDS: u64 = 2_000;
/// Steps without an end are a failure.
const STEPS_MAX: u64 = 100_000;

/// Most records in a partition of a journal: a snapshot interval and a trim interval of commits, and the pointer's way.
const JOURNAL_MAX: i64 = 40;
/// Most offsets in a partition of snapshots, markers included: a trim interval of them, and the newest.
const SNAPSHOTS_MAX: i64 = 12;
/// Most offsets in a partition of blocks: those of three writers for as long as a journal reaches back.
const BLOCKS_MAX: i64 = 4 * JOURNAL_MAX;

const TIMING: Timing = Timing {
    commit_interval_ms: 3,
    idle_commit_interval_ms: 11,
    bytes_max: 1 << 20,
    snapshot_interval_ms: 17,
    trim_interval_ms: 13,
};

type Running = Worker<LocalEnvironment>;

struct Rig {
    plan: Arc<Plan>,
    log: Log,
    bounds: Bounds,
    stores: Arc<AtomicU64>,
    limits: Limits,
    watch: Arc<Watch>,
    fed: u64,
    now: u64,
}

impl Rig {
    fn new() -> Self {
        Self::of(PIPELINE, Limits::USUAL, Watch::default())
    }

    fn of(pipeline: &str, limits: Limits, watch: Watch) -> Self {
        let plan = Arc::new(pipeline::plan::from_yaml(pipeline).expect("a valid manifest"));
        let log = Log::new(Settings { batch_records_max: 7, ..Settings::default() });
        for topic in ["in", "late", "counts"] {
            log.create_topic(topic, PARTITIONS);
        }
        let (bounds, stores, watch) = (Bounds::default(), Arc::default(), Arc::new(watch));
        Self { plan, log, bounds, stores, limits, watch, fed: 0, now: 0 }
    }

    fn worker(&self, setup: Setup) -> Running {
        let (log, stores, identity) = (self.log.clone(), self.stores.clone(), identity(&self.plan));
        // Snapshots lie in the same log, as on Kafka, each door with an id of its own.
        let store = TopicStore::new(
            move |stage: &str| identity.snapshots_topic(stage),
            move || {
                let id = stores.fetch_add(1, Ordering::Relaxed);
                Ok(Box::new(log.connect(&format!("store-{id}"))))
            },
        );
        let uploads = Uploads::inline(Watched { store, watch: Arc::clone(&self.watch) });
        let setup = Setup { snapshots: self.limits, ..setup };
        Worker::new(setup, LocalEnvironment::new(self.log.clone(), uploads, self.bounds.clone()), TIMING)
    }

    fn workers(&self, count: u32) -> Vec<Running> {
        (0..count).map(|worker| self.worker(setup(&self.plan, worker, count))).collect()
    }

    fn feed(&mut self) {
        let n = self.fed;
        if n >= RECORDS {
            self.bounds.end_topics(&self.log, ["in".to_owned()]);
            return;
        }
        self.fed += 1;
        let late = if n % 5 == 4 { 30_000 } else { 0 };
        let ts = WALL_MS - 3_600_000 + (n * 100) as i64 - late;
        let value = format!(r#"{{"n":{n},"user":"u{}","ts":{ts}}}"#, n % 4);
        let mut batch = RecordBatch::new();
        batch.push(NewRecord { timestamp_ms: ts, value: Some(value.as_bytes()), ..NewRecord::default() });
        self.log.append("in", Partitioning::Exact(n as u32 % PARTITIONS), &batch).expect("the topic exists");
    }

    /// The first problem of a worker, alone, that does not go away of itself.
    fn permanent_problem(&mut self, worker: &mut Running) -> Option<Problem> {
        (0..2_000).find_map(|_| {
            self.now += 1;
            let now = Now { monotonic_ms: self.now, wall_ms: WALL_MS + self.now as i64 };
            worker.step(now, Duration::ZERO, &Intents::default());
            worker.report().problems.into_iter().find(|problem| problem.permanent)
        })
    }

    /// One move of everybody, with a record every other time.
    fn step(&mut self, workers: &mut [Running], intents: &Intents) -> bool {
        if self.now.is_multiple_of(2) {
            self.feed();
        }
        self.moves(workers, intents)
    }

    fn moves(&mut self, workers: &mut [Running], intents: &Intents) -> bool {
        self.now += 1;
        assert!(self.now < STEPS_MAX, "{:#?}", workers.iter().map(Worker::waiting).collect::<Vec<_>>());
        let now = Now { monotonic_ms: self.now, wall_ms: WALL_MS + self.now as i64 };
        let mut finished = true;
        for worker in workers {
            finished &= worker.step(now, Duration::ZERO, intents) == Step::Finished;
            let mut problems = worker.report().problems;
            // A store under watch may fail more often than is worth a word.
            problems
                .retain(|problem| !self.watch.fails() || problem.reason != Some(Reason::CheckpointFailing));
            assert!(problems.is_empty(), "{problems:#?}");
        }
        finished
    }

    /// Start and end of every partition of a topic; none before it is made.
    fn extent(&self, topic: &str) -> Vec<(i64, i64)> {
        let mut io = self.log.connect("looks");
        let partitions = io.describe(topic).expect("no fault").map_or(0, |info| info.partitions);
        let all: Vec<_> =
            (0..partitions).map(|partition| TopicPartition { topic: topic.to_owned(), partition }).collect();
        io.watermarks(&all).expect("no fault")
    }

    fn journals(&self) -> Vec<String> {
        self.plan.stages().iter().map(|stage| identity(&self.plan).commits_topic(&stage.name)).collect()
    }

    fn snapshots(&self) -> Vec<String> {
        self.plan.stages().iter().map(|stage| identity(&self.plan).snapshots_topic(&stage.name)).collect()
    }

    fn blocks(&self) -> Vec<String> {
        vec![identity(&self.plan).repartition_topic("per-user", Lineage(1))]
    }

    /// Sum of the first offsets of all internal partitions: it grows when somebody trims.
    fn trimmed(&self) -> i64 {
        let topics = [self.journals(), self.snapshots(), self.blocks()].concat();
        topics.iter().flat_map(|topic| self.extent(topic)).map(|(start, _)| start).sum()
    }

    fn outputs(&self) -> BTreeMap<String, Vec<String>> {
        let mut outputs = BTreeMap::new();
        for sink in self.plan.sinks() {
            let SinkConnector::Kafka { topic, .. } = &sink.connector else { continue };
            let mut lines: Vec<String> = Vec::new();
            for batch in self.log.committed(topic).expect("the topic exists") {
                lines.extend(
                    (0..batch.len())
                        .map(|row| String::from_utf8_lossy(batch.value(row).unwrap_or_default()).into()),
                );
            }
            lines.sort();
            outputs.insert(topic.clone(), lines);
        }
        outputs
    }
}

/// The longest partition and the highest offset of some topics.
fn largest(rig: &Rig, topics: &[String]) -> (i64, i64) {
    let extents: Vec<_> = topics.iter().flat_map(|topic| rig.extent(topic)).collect();
    let longest = extents.iter().map(|(start, end)| end - start).max().unwrap_or(0);
    (longest, extents.iter().map(|(_, end)| *end).max().unwrap_or(0))
}

fn undisturbed() -> BTreeMap<String, Vec<String>> {
    let mut rig = Rig::new();
    let mut workers = rig.workers(1);
    while !rig.step(&mut workers, &Intents::default()) {}
    rig.outputs()
}

#[test]
fn internal_topics_stay_bounded_however_long_a_pipeline_runs() {
    for count in [1, 2] {
        let mut rig = Rig::new();
        let mut workers = rig.workers(count);
        while !rig.step(&mut workers, &Intents::default()) {
            for (topics, most) in
                [(rig.journals(), JOURNAL_MAX), (rig.snapshots(), SNAPSHOTS_MAX), (rig.blocks(), BLOCKS_MAX)]
            {
                let (longest, _) = largest(&rig, &topics);
                assert!(longest <= most, "{topics:?} has {longest} offsets after {} steps", rig.now);
            }
        }
        // Without trimming all of it would lie there.
        for (topics, most) in
            [(rig.journals(), JOURNAL_MAX), (rig.snapshots(), SNAPSHOTS_MAX), (rig.blocks(), BLOCKS_MAX)]
        {
            let (_, written) = largest(&rig, &topics);
            assert!(written > 5 * most, "{topics:?} had only {written} offsets");
        }
        assert_eq!(rig.outputs(), undisturbed(), "{count} workers");
    }
}

#[test]
fn a_kill_after_every_trimming_changes_no_output_and_keeps_the_bounds() {
    let expected = undisturbed();
    for count in [1, 3] {
        let mut rig = Rig::new();
        let (mut workers, mut kills, mut trimmed) = (rig.workers(count), 0, 0);
        while !rig.step(&mut workers, &Intents::default()) {
            if rig.trimmed() > trimmed && kills < 150 {
                (trimmed, kills) = (rig.trimmed(), kills + 1);
                workers = rig.workers(count);
            }
            // A life may be too short to trim, so the bound is wider than in peace; it is one nevertheless.
            let (longest, _) = largest(&rig, &rig.journals());
            assert!(longest <= 4 * JOURNAL_MAX, "{longest} records in a journal after {kills} kills");
        }
        assert!(kills >= 50, "{kills} kills");
        assert_eq!(rig.outputs(), expected, "{count} workers, {kills} kills");
    }
}

#[test]
fn counts_are_of_what_is_committed_whatever_was_done_again() {
    let mut rig = Rig::new();
    let mut workers = rig.workers(1);
    while !rig.step(&mut workers, &Intents::default()) {}
    let report = workers[0].report();
    let outputs = rig.outputs();
    assert_eq!(report.counters.records_in, RECORDS);
    assert_eq!(report.counters.records_out, outputs["counts"].len() as u64);
    assert!(!outputs["late"].is_empty());
    assert_eq!(report.counters.late, outputs["late"].len() as u64);
    assert_eq!(report.windows["per-user"].late, report.counters.late);
}

#[test]
fn lag_and_age_are_known_once_live_and_go_to_zero() {
    let mut rig = Rig::new();
    for _ in 0..60 {
        rig.feed();
    }
    let mut workers = rig.workers(1);
    assert_eq!(workers[0].report().lag_records, None);
    let live = |worker: &Running| {
        let report = worker.report();
        !report.units.is_empty() && report.units.iter().all(|unit| unit.state == UnitState::Live)
    };
    while !live(&workers[0]) {
        assert_eq!(workers[0].report().lag_records, None, "unknown before it is live");
        rig.moves(&mut workers, &Intents::default());
    }
    rig.moves(&mut workers, &Intents::default());
    assert!(workers[0].report().lag_records.is_some_and(|lag| lag > 0), "{:?}", workers[0].report());
    // The next look is five seconds on.
    for _ in 0..5_100 {
        rig.moves(&mut workers, &Intents::default());
    }
    let report = workers[0].report();
    assert_eq!((report.lag_records, report.oldest_unprocessed_ms), (Some(0), None));
    assert!(report.oldest_snapshot_ms.is_some_and(|at| at > WALL_MS), "{report:?}");
    assert_eq!(report.oldest_unsaved_ms, None, "all of it is saved");
    assert_eq!(report.rate_per_second, None, "not before 30 seconds");
}

#[test]
fn an_idle_pipeline_makes_durable_what_it_did_last_and_then_rests() {
    let mut rig = Rig::new();
    for _ in 0..60 {
        rig.feed();
    }
    let mut workers = rig.workers(2);
    for _ in 0..400 {
        rig.moves(&mut workers, &Intents::default());
    }
    let written = |rig: &Rig| {
        let topics = [rig.journals(), rig.snapshots(), rig.blocks()].concat();
        topics.iter().flat_map(|topic| rig.extent(topic)).collect::<Vec<_>>()
    };
    let before = written(&rig);
    let snapshots = rig.snapshots().iter().flat_map(|topic| rig.extent(topic)).collect::<Vec<_>>();
    assert!(snapshots.iter().all(|(_, end)| *end > 0), "every unit has one: {snapshots:?}");
    for _ in 0..2_000 {
        rig.moves(&mut workers, &Intents::default());
    }
    assert_eq!(written(&rig), before, "nothing happens, nothing is written");
    // What a restart needs of the input is nothing: all of it may be deleted.
    let mut io = rig.log.connect("retention");
    for (partition, (_, end)) in (0..).zip(rig.extent("in")) {
        io.delete_records(&[(TopicPartition { topic: "in".to_owned(), partition }, end)]).unwrap();
    }
    let mut workers = rig.workers(2);
    while !rig.step(&mut workers, &Intents::default()) {}
    assert_eq!(rig.outputs(), undisturbed());
}

#[test]
fn a_slow_pipeline_takes_snapshots_and_its_journals_stay_short() {
    let mut rig = Rig::new();
    let mut workers = rig.workers(1);
    for _ in 0..200 {
        rig.feed();
        for _ in 0..50 {
            rig.moves(&mut workers, &Intents::default());
        }
        let (longest, _) = largest(&rig, &rig.journals());
        assert!(longest <= JOURNAL_MAX, "{longest} offsets in a journal");
    }
}

/// A store that is away.
struct Away;

impl SnapshotStore for Away {
    fn put(&mut self, _: &Shard, key: &str, _: &[u8]) -> Result<String, SnapshotError> {
        Err(SnapshotError::NotCommitted { key: key.to_owned(), topic: "away".to_owned() })
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        Err(SnapshotError::NotFound { name: name.to_owned(), store: "away".to_owned() })
    }

    fn trim(&mut self, _: &Shard, _: &str) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn list(&mut self, _: &Shard) -> Result<Vec<String>, SnapshotError> {
        Ok(Vec::new())
    }
}

#[test]
fn snapshots_that_fail_again_and_again_are_a_problem_and_stop_nothing() {
    let mut rig = Rig::new();
    let environment = LocalEnvironment::new(rig.log.clone(), Uploads::inline(Away), rig.bounds.clone());
    let mut worker = Worker::new(setup(&rig.plan, 0, 1), environment, TIMING);
    let mut shown = false;
    loop {
        rig.now += 1;
        assert!(rig.now < STEPS_MAX, "{}", worker.waiting());
        rig.feed();
        let now = Now { monotonic_ms: rig.now, wall_ms: WALL_MS + rig.now as i64 };
        let step = worker.step(now, Duration::ZERO, &Intents::default());
        let report = worker.report();
        for problem in report.problems {
            assert_eq!((problem.reason, problem.permanent), (Some(Reason::CheckpointFailing), false));
            shown = true;
        }
        assert_eq!(report.oldest_snapshot_ms, None, "unknown, not now");
        if step == Step::Finished {
            break;
        }
    }
    assert!(shown);
    assert_eq!(largest(&rig, &rig.journals()).0, largest(&rig, &rig.journals()).1, "nothing was trimmed");
    assert_eq!(rig.outputs(), undisturbed());
}

/// The next generation, which waits to be promoted.
fn next_generation(rig: &Rig) -> Setup {
    Setup {
        generation: Some(Generation(2)),
        prior: vec![Writer { generation: Generation(1), worker: WorkerIndex(0) }],
        promotion: Promotion::Operator,
        ..setup(&rig.plan, 0, 1)
    }
}

#[test]
fn a_standby_that_sleeps_while_the_owner_trims_goes_on_with_a_newer_snapshot() {
    let expected = undisturbed();
    for awake in (1..120).step_by(7) {
        let mut rig = Rig::new();
        let mut owner = rig.workers(1);
        let before = Intents::default();
        for _ in 0..300 {
            rig.step(&mut owner, &before);
        }
        let mut standby = vec![rig.worker(next_generation(&rig))];
        for _ in 0..awake {
            rig.step(&mut owner, &before);
            rig.moves(&mut standby, &before);
        }
        for _ in 0..300 {
            rig.step(&mut owner, &before);
        }
        let promoted = Intents { promoted: Some(2), ..Intents::default() };
        loop {
            rig.step(&mut owner, &before);
            if rig.moves(&mut standby, &promoted) {
                break;
            }
        }
        assert_eq!(rig.outputs(), expected, "it was awake for {awake} moves");
    }
}

#[test]
fn blocks_or_snapshots_that_are_really_lost_fail_closed_and_do_not_go_round() {
    for lost in [Rig::blocks as fn(&Rig) -> Vec<String>, Rig::snapshots] {
        let mut rig = Rig::new();
        let mut workers = rig.workers(1);
        for _ in 0..600 {
            rig.step(&mut workers, &Intents::default());
        }
        let mut io = rig.log.connect("thief");
        for topic in lost(&rig) {
            for (partition, (_, end)) in (0..).zip(rig.extent(&topic)) {
                io.delete_records(&[(TopicPartition { topic: topic.clone(), partition }, end)]).unwrap();
            }
        }
        let mut worker = rig.worker(setup(&rig.plan, 0, 1));
        let problem = rig.permanent_problem(&mut worker);
        assert!(problem.is_some(), "{:?} {:?}", lost(&rig), worker.waiting());
        let report = worker.report();
        assert!(report.units.iter().all(|unit| unit.state == UnitState::Failed), "{report:?}");
    }
}
