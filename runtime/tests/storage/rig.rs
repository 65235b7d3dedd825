//! A pipeline with state over the log in memory, whose snapshots go to a store of the test's choice.

use connect::door::Partitioning;
use connect::memory::{Log, Settings};
use connect::snapshot::{MemoryStore, Shard, SnapshotError, SnapshotStore, Uploads};
use control::status::Problem;
use pipeline::plan::{Plan, SinkConnector};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use runtime::local::{Bounds, LocalEnvironment, setup};
use runtime::pod::Intents;
use runtime::worker::{Now, Step, Worker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PIPELINE: &str = r"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: long}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, maxOutOfOrderness: 1s, idleTimeout: 1h}}]
  steps:
    - name: per-user
      window:
        keyBy: [user]
        tumbling: {size: 20s}
        aggregates: [{name: clicks, function: Count}, {name: total, function: Sum, field: number}]
        lateSink: {kafka: {topic: late}}
  sinks: [{name: counts, kafka: {topic: counts}}]
";
const WALL_MS: i64 = 1_795_219_200_000;
const PARTITIONS: u32 = 2;

const TIMING: Timing = Timing {
    commit_interval_ms: 3,
    idle_commit_interval_ms: 11,
    bytes_max: 1 << 20,
    snapshot_interval_ms: 17,
    trim_interval_ms: 13,
};

/// How often a store was asked for something.
#[derive(Debug, Default)]
pub struct Calls {
    pub gets: AtomicU64,
    pub puts: AtomicU64,
}

/// Counts what succeeds.
struct Counted<S> {
    store: S,
    calls: Arc<Calls>,
}

impl<S: SnapshotStore> SnapshotStore for Counted<S> {
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        let name = self.store.put(shard, key, bytes)?;
        self.calls.puts.fetch_add(1, Ordering::SeqCst);
        Ok(name)
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let bytes = self.store.get(name)?;
        self.calls.gets.fetch_add(1, Ordering::SeqCst);
        Ok(bytes)
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        self.store.trim(shard, oldest)
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        self.store.list(shard)
    }
}

/// One worker and its log. Time is counted in steps.
pub struct Rig {
    plan: Arc<Plan>,
    log: Log,
    bounds: Bounds,
    pub calls: Arc<Calls>,
    pub fed: u64,
    now: u64,
    worker: Option<Worker<LocalEnvironment>>,
}

impl Rig {
    pub fn new() -> Self {
        let plan = Arc::new(pipeline::plan::from_yaml(PIPELINE).expect("a valid manifest"));
        let log = Log::new(Settings { batch_records_max: 7, ..Settings::default() });
        for topic in ["in", "late", "counts"] {
            log.create_topic(topic, PARTITIONS);
        }
        let (bounds, calls) = (Bounds::default(), Arc::default());
        Self { plan, log, bounds, calls, fed: 0, now: 0, worker: None }
    }

    /// Starts the worker, or one in place of a worker that is gone with all that it had in memory.
    pub fn start(&mut self, uploads: impl FnOnce(Counting) -> Uploads) {
        let uploads = uploads(Counting(self.calls.clone()));
        let environment = LocalEnvironment::new(self.log.clone(), uploads, self.bounds.clone());
        self.worker = Some(Worker::new(setup(&self.plan, 0, 1), environment, TIMING));
    }

    /// Every fifth record is late.
    pub fn feed(&mut self) {
        let n = self.fed;
        self.fed += 1;
        let late = if n % 5 == 4 { 90_000 } else { 0 };
        let ts = WALL_MS - 7_200_000 + (n * 100) as i64 - late;
        let value = format!(r#"{{"number":{n},"user":"u{}","ts":{ts}}}"#, n % 7);
        let mut batch = RecordBatch::new();
        batch.push(NewRecord { timestamp_ms: ts, value: Some(value.as_bytes()), ..NewRecord::default() });
        self.log.append("in", Partitioning::Exact(n as u32 % PARTITIONS), &batch).expect("the topic exists");
    }

    /// One move of the worker; true when all input is processed.
    pub fn step(&mut self) -> bool {
        self.now += 1;
        let now = Now { monotonic_ms: self.now, wall_ms: WALL_MS + self.now as i64 };
        let worker = self.worker.as_mut().expect("a worker");
        worker.step(now, Duration::ZERO, &Intents::default()) == Step::Finished
    }

    /// What the worker says is wrong.
    pub fn problems(&self) -> Vec<Problem> {
        self.worker.as_ref().expect("a worker").report().problems
    }

    /// Nothing follows: what is fed is processed to the end.
    pub fn finish(&mut self) {
        self.bounds.end_topics(&self.log, ["in".to_owned()]);
        let finished = (0..100_000).any(|_| self.step());
        assert!(finished, "it does not end: {}", self.worker.as_ref().expect("a worker").waiting());
    }

    /// What was written, by topic.
    pub fn outputs(&self) -> BTreeMap<String, Vec<String>> {
        let mut outputs = BTreeMap::new();
        for sink in self.plan.sinks() {
            let SinkConnector::Kafka { topic, .. } = &sink.connector else { continue };
            let mut lines: Vec<String> = Vec::new();
            for batch in self.log.committed(topic).expect("the topic exists") {
                let text = |row: usize| String::from_utf8_lossy(batch.value(row).unwrap_or_default()).into();
                lines.extend((0..batch.len()).map(text));
            }
            lines.sort();
            outputs.insert(topic.clone(), lines);
        }
        outputs
    }
}

/// Puts counting around a store.
pub struct Counting(Arc<Calls>);

impl Counting {
    /// Does its work inside the call.
    pub fn inline(self, store: impl SnapshotStore + 'static) -> Uploads {
        Uploads::inline(Counted { store, calls: self.0 })
    }

    /// Works on a thread of its own.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub fn background(self, store: impl SnapshotStore + 'static) -> Uploads {
        Uploads::background(Counted { store, calls: self.0 }).expect("a thread")
    }
}

/// The outputs of a worker that was never disturbed, for so many records.
pub fn undisturbed(records: u64) -> BTreeMap<String, Vec<String>> {
    let mut rig = Rig::new();
    rig.start(|counting| counting.inline(MemoryStore::new()));
    for _ in 0..records {
        rig.feed();
        rig.step();
        rig.step();
    }
    rig.finish();
    assert!(rig.outputs().values().all(|lines| lines.len() > 20), "{:?}", rig.outputs());
    rig.outputs()
}

/// A worker that is killed again and again, and restores each time from what `store` opens.
pub fn killed_and_restored<S: SnapshotStore + 'static>(store: impl Fn() -> S) {
    const RECORDS: u64 = 1_500;
    let mut rig = Rig::new();
    rig.start(|counting| counting.inline(store()));
    let (mut kills, mut since) = (0, 0);
    for _ in 0..RECORDS {
        rig.feed();
        rig.step();
        rig.step();
        let problems = rig.problems();
        assert!(problems.is_empty(), "{problems:#?}");
        let puts = rig.calls.puts.load(Ordering::SeqCst);
        if puts >= since + 8 {
            (since, kills) = (puts, kills + 1);
            rig.start(|counting| counting.inline(store()));
        }
    }
    rig.finish();
    let gets = rig.calls.gets.load(Ordering::SeqCst);
    assert!(kills >= 10 && gets >= kills, "{kills} kills, {gets} snapshots were read");
    assert_eq!(rig.outputs(), undisturbed(RECORDS), "{kills} kills");
}
