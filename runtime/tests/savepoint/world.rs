//! Two pipelines over one log: one that is saved, and one that goes on from there.

use connect::door::{KafkaIo, Partitioning, TopicPartition};
use connect::memory::{Io, Log, Settings};
use connect::snapshot::{Folder, MemoryStore, Uploads};
use control::call::DrainId as DrainName;
use control::savepoint::{RESTORED_DRAIN, RESTORED_GENERATION};
use control::status::UnitState;
use pipeline::plan::{Plan, from_yaml};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::going_live::Promotion;
use protocol::identity::{DrainId, Generation, PipelineIdentity, WorkerIndex, Writer};
use runtime::local::{Bounds, LocalEnvironment, setup};
use runtime::pod::Intents;
use runtime::savepoint::{Complete, Destination, SavepointError, Subject, Taker, restore};
use runtime::worker::{Now, Setup, Step, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const BASE_MS: i64 = 1_795_219_200_000;
const STEPS_MAX: u64 = 100_000;
const WORKERS: u32 = 2;
const TIMING: Timing = Timing {
    commit_interval_ms: 7,
    idle_commit_interval_ms: 23,
    bytes_max: 1 << 20,
    snapshot_interval_ms: 60,
    trim_interval_ms: 20,
};

/// Counts by group, and adds the counts up; `before` stands in front and decides what the first stage is called.
pub fn text(before: &str, filter: &str) -> String {
    format!(
        "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: count}}
spec:
  sources: [{{name: in, kafka: {{topic: in}}, eventTime: {{field: ts, maxOutOfOrderness: 0s, idleTimeout: 1h}}}}]
  steps:
    - {{name: {before}, filter: {{expression: \"{filter}\"}}}}
    - name: per-group
      window: {{keyBy: [group], tumbling: {{size: 5s}}, aggregates: [{{name: records, function: Count}}]}}
    - name: twice
      window: {{keyBy: [group], tumbling: {{size: 10s}}, aggregates: [{{name: records, function: Sum, field: records}}]}}
  sinks:
    - {{name: passed, from: [{before}], kafka: {{topic: passed}}}}
    - {{name: counts, from: [per-group], kafka: {{topic: counts}}}}
    - {{name: sums, from: [twice], kafka: {{topic: sums}}}}
"
    )
}

pub fn plan(before: &str, filter: &str) -> Arc<Plan> {
    Arc::new(from_yaml(&text(before, filter)).unwrap())
}

/// As [`plan`], from the end of the topic.
pub fn latest() -> Arc<Plan> {
    let text = text("kept", "event.n >= 0").replace("spec:\n", "spec:\n  startFrom: Latest\n");
    Arc::new(from_yaml(&text).unwrap())
}

pub fn at(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), partition }
}

/// A record of this second.
pub fn record(second: i64) -> RecordBatch {
    let ts = BASE_MS + second * 1_000;
    let value = format!(r#"{{"n":{second},"group":"g","ts":{ts}}}"#);
    let mut batch = RecordBatch::new();
    batch.push(NewRecord { offset: 0, timestamp_ms: ts, key: None, value: Some(value.as_bytes()) });
    batch
}

/// A pipeline, and its pods.
pub struct Pipeline {
    pub setup: Setup,
    store: MemoryStore,
    intents: Intents,
    workers: Vec<Worker<LocalEnvironment>>,
}

impl Pipeline {
    /// The first generation of a pipeline that nobody has restored.
    pub fn first(plan: &Arc<Plan>) -> Self {
        let setup = Setup { promotion: Promotion::Operator, ..setup(plan, 0, WORKERS) };
        Self { setup, store: MemoryStore::new(), intents: Intents::default(), workers: Vec::new() }
    }
}

pub struct World {
    pub log: Log,
    bounds: Bounds,
    /// The one that works.
    now: Option<Pipeline>,
    step: u64,
    sent: u64,
}

impl World {
    pub fn new() -> Self {
        let log = Log::new(Settings { batch_records_max: 4, ..Settings::default() });
        for topic in ["in", "passed", "counts", "sums"] {
            log.create_topic(topic, 2);
        }
        Self { log, bounds: Bounds::default(), now: None, step: 0, sent: 0 }
    }

    /// A record each second of event time, in one partition.
    pub fn feed(&mut self, partition: u32, seconds: std::ops::Range<i64>) {
        for second in seconds {
            let (n, ts) = (self.sent, BASE_MS + second * 1_000);
            let value = format!(r#"{{"n":{n},"group":"g{}","ts":{ts}}}"#, n % 3);
            let mut batch = RecordBatch::new();
            batch.push(NewRecord { offset: 0, timestamp_ms: ts, key: None, value: Some(value.as_bytes()) });
            self.log.append("in", Partitioning::Exact(partition), &batch).unwrap();
            self.sent += 1;
        }
    }

    pub fn feed_both(&mut self, seconds: std::ops::Range<i64>) {
        for second in seconds {
            self.feed(0, second..second + 1);
            self.feed(1, second..second + 1);
        }
    }

    /// A pipeline begins to work.
    pub fn start(&mut self, plan: &Arc<Plan>) {
        self.begin(Pipeline::first(plan));
    }

    fn begin(&mut self, mut pipeline: Pipeline) {
        let number = pipeline.setup.generation.unwrap().0;
        pipeline.intents.promoted = Some(u64::from(number));
        pipeline.workers = (0..WORKERS)
            .map(|worker| {
                let uploads = Uploads::inline(pipeline.store.clone());
                let environment = LocalEnvironment::new(self.log.clone(), uploads, self.bounds.clone());
                let setup = Setup { worker: WorkerIndex(worker), ..pipeline.setup.clone() };
                // Snapshots of readers are newer than those of writers, and the other way round.
                let snapshot_interval_ms = [40, 170][worker as usize];
                Worker::new(setup, environment, Timing { snapshot_interval_ms, ..TIMING })
            })
            .collect();
        self.now = Some(pipeline);
    }

    /// One step of everybody. True when the workers have finished.
    pub fn round(&mut self) -> bool {
        self.step += 1;
        let Some(pipeline) = &mut self.now else { return true };
        let waiting: Vec<_> = pipeline.workers.iter().map(Worker::waiting).collect();
        assert!(self.step < STEPS_MAX, "nothing ends: {waiting:?}");
        let now = Now { monotonic_ms: self.step, wall_ms: BASE_MS + 3_600_000 + self.step as i64 };
        let mut finished = true;
        for worker in &mut pipeline.workers {
            finished &= worker.step(now, Duration::ZERO, &pipeline.intents) == Step::Finished;
            let problems = worker.report().problems;
            assert!(problems.is_empty(), "{problems:#?}");
        }
        finished
    }

    pub fn rounds(&mut self, count: i64) {
        for _ in 0..count {
            self.round();
        }
    }

    fn every_unit_is(&self, state: UnitState) -> bool {
        let workers = &self.now.as_ref().unwrap().workers;
        let units: Vec<_> = workers.iter().flat_map(|worker| worker.report().units).collect();
        !units.is_empty() && units.iter().all(|unit| unit.state == state)
    }

    pub fn until_live(&mut self) {
        while !self.every_unit_is(UnitState::Live) {
            self.round();
        }
    }

    pub fn begin_to_stop(&mut self) {
        self.now.as_mut().unwrap().intents.drain = Some((DrainName::new("stop").unwrap(), true));
    }

    /// The pipeline is drained and its pods go.
    pub fn stop(&mut self) {
        self.begin_to_stop();
        while !self.every_unit_is(UnitState::Cut) {
            self.round();
        }
        self.now.as_mut().unwrap().workers.clear();
    }

    /// The pods come back where they stopped.
    pub fn resume(&mut self) {
        let mut pipeline = self.now.take().unwrap();
        pipeline.intents.drain = None;
        pipeline.intents.resumed = Some(DrainName::new("stop").unwrap());
        self.begin(pipeline);
    }

    /// Pods of the next generation go on with another plan.
    pub fn change(&mut self, plan: &Arc<Plan>) {
        let Pipeline { setup: old, store, .. } = self.now.take().unwrap();
        let generation = old.generation.unwrap();
        let setup = Setup {
            generation: Some(Generation(generation.0 + 1)),
            prior: Writer::all(generation, old.workers).collect(),
            earlier_plans: BTreeMap::from([(old.plan.hash(), old.plan)]),
            promotion: Promotion::Operator,
            ..setup(plan, 0, WORKERS)
        };
        self.begin(Pipeline { setup, store, intents: Intents::default(), workers: Vec::new() });
    }

    /// All pods are killed and start again.
    pub fn restart(&mut self) {
        let pipeline = self.now.take().unwrap();
        self.begin(pipeline);
    }

    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// These records came out, and no others.
    pub fn check_passed(&self, sent: std::ops::Range<u64>) {
        let mut passed: Vec<u64> = self.rows("passed").iter().map(|row| row["n"].as_u64().unwrap()).collect();
        passed.sort_unstable();
        assert_eq!(passed, sent.collect::<Vec<_>>());
    }

    /// All pods go at once, and nothing of the pipeline comes back.
    pub fn lose(&mut self) {
        let lost = self.now.as_mut().unwrap();
        lost.workers.clear();
        // Their open transactions time out.
        let Setup { identity, generation, workers, .. } = &lost.setup;
        let ids = Writer::all(generation.unwrap(), *workers).map(|writer| identity.transactional_id(writer));
        self.log.connect("broker").fence(&ids.collect::<Vec<_>>()).unwrap();
    }

    pub fn subject(pipeline: &Pipeline) -> Subject {
        let Setup { plan, identity, .. } = pipeline.setup.clone();
        Subject { plan, identity, manifest: "as it was".to_owned(), tag: "t".to_owned() }
    }

    pub fn taker(&self) -> Taker<Io> {
        let subject = Self::subject(self.now.as_ref().unwrap());
        Taker::begin(subject, self.log.connect("savepoint")).unwrap()
    }

    pub fn step(&mut self, taker: &mut Taker<Io>, folder: &MemoryStore) -> Option<Complete> {
        let mut snapshots = self.now.as_ref().unwrap().store.clone();
        taker.step(&mut snapshots, &mut folder.clone(), 7, Duration::ZERO).unwrap()
    }

    /// Of a pipeline that stands still: nobody works meanwhile.
    pub fn savepoint(&mut self) -> (MemoryStore, Complete) {
        let (mut taker, folder) = (self.taker(), MemoryStore::new());
        for _ in 0..1_000 {
            if let Some(taken) = self.step(&mut taker, &folder) {
                return (folder, taken);
            }
        }
        panic!("it waits: {:?}", taker.waits());
    }

    /// Of a pipeline that works on meanwhile.
    pub fn taken_at_work(&mut self) -> (MemoryStore, Complete) {
        // New stages have no journals for a moment.
        let topics: Vec<String> = {
            let Setup { plan, identity, .. } = &self.now.as_ref().unwrap().setup;
            plan.stages().iter().map(|stage| identity.commits_topic(&stage.name)).collect()
        };
        let mut io = self.log.connect("look");
        while topics.iter().any(|topic| io.describe(topic).unwrap().is_none()) {
            self.round();
        }
        let (mut taker, folder) = (self.taker(), MemoryStore::new());
        loop {
            self.round();
            if let Some(taken) = self.step(&mut taker, &folder) {
                return (folder, taken);
            }
        }
    }

    pub fn destination(plan: &Plan) -> Destination {
        let identity = PipelineIdentity {
            namespace: "elsewhere".to_owned(),
            pipeline: "again".to_owned(),
            uid8: "12345678".to_owned(),
        };
        Destination {
            identity,
            plan: plan.hash(),
            generation: Generation(RESTORED_GENERATION as u32),
            drain: DrainId::of(RESTORED_DRAIN),
            manifest_hash: None,
        }
    }

    /// The pipeline that was saved, as a destination.
    pub fn of_itself(&self) -> Destination {
        let Setup { plan, identity, .. } = self.now.as_ref().unwrap().setup.clone();
        Destination { identity, ..Self::destination(&plan) }
    }

    /// Another pipeline goes on from the savepoint, with this plan.
    pub fn restore(&mut self, plan: &Arc<Plan>, folder: &MemoryStore) -> Result<(), SavepointError> {
        self.restore_from(plan, &mut folder.clone())
    }

    /// As [`World::restore`], from a folder of any kind.
    pub fn restore_from(&mut self, plan: &Arc<Plan>, folder: &mut dyn Folder) -> Result<(), SavepointError> {
        let destination = Self::destination(plan);
        let store = MemoryStore::new();
        let writer = Writer { generation: destination.generation, worker: WorkerIndex(0) };
        let mut io = self.log.connect(&destination.identity.transactional_id(writer));
        restore(&destination, &mut io, folder, &mut store.clone())?;
        let old = self.now.take().unwrap().setup.plan;
        let earlier = (old.hash() != plan.hash()).then(|| (old.hash(), old));
        let setup = Setup {
            identity: destination.identity,
            generation: Some(Generation(2)),
            prior: vec![writer],
            earlier_plans: earlier.into_iter().collect::<BTreeMap<_, _>>(),
            promotion: Promotion::Operator,
            ..setup(plan, 0, WORKERS)
        };
        self.begin(Pipeline { setup, store, intents: Intents::default(), workers: Vec::new() });
        Ok(())
    }

    pub fn finish(&mut self) {
        self.bounds.end_topics(&self.log, ["in".to_owned()]);
        while !self.round() {}
    }

    fn rows(&self, topic: &str) -> Vec<serde_json::Value> {
        let batches = self.log.committed(topic).unwrap();
        let values = batches.iter().flat_map(|batch| (0..batch.len()).filter_map(|row| batch.value(row)));
        values.map(|value| serde_json::from_slice(value).unwrap()).collect()
    }

    /// Records by window and group, out of the input.
    fn expected(&self, size_ms: i64) -> BTreeMap<(String, String), u64> {
        let mut expected: BTreeMap<(i64, String), u64> = BTreeMap::new();
        for row in self.rows("in") {
            let start = row["ts"].as_i64().unwrap().div_euclid(size_ms) * size_ms;
            *expected.entry((start, row["group"].as_str().unwrap().to_owned())).or_default() += 1;
        }
        let text = |start: i64| {
            let seconds = (start - BASE_MS) / 1_000;
            format!("{seconds:06}")
        };
        expected.into_iter().map(|((start, group), records)| ((text(start), group), records)).collect()
    }

    /// Rows of windows, by how many seconds behind the beginning they start.
    fn found(&self, topic: &str) -> Vec<((String, String), u64)> {
        let row = |row: serde_json::Value| {
            let start = row["window_start"].as_str().unwrap();
            let clock: Vec<i64> = start[11..19].split(':').map(|part| part.parse().unwrap()).collect();
            let base = (BASE_MS / 1_000) % 86_400;
            let seconds = clock[0] * 3_600 + clock[1] * 60 + clock[2] - base;
            let group = row["group"].as_str().unwrap().to_owned();
            ((format!("{seconds:06}"), group), row["records"].as_u64().unwrap())
        };
        self.rows(topic).into_iter().map(row).collect()
    }

    /// Every record came out once, and every window, with all of its records.
    pub fn check_exactly_once(&self, how: &str) {
        let mut passed: Vec<u64> = self.rows("passed").iter().map(|row| row["n"].as_u64().unwrap()).collect();
        passed.sort_unstable();
        assert_eq!(passed, (0..self.sent).collect::<Vec<_>>(), "{how}");
        for (topic, size_ms) in [("counts", 5_000), ("sums", 10_000)] {
            let mut found = self.found(topic);
            found.sort();
            assert_eq!(found, self.expected(size_ms).into_iter().collect::<Vec<_>>(), "{how}: {topic}");
        }
    }

    /// Every record came out, and every window, whenever it did, with all of its records.
    pub fn check_at_least_once(&self, how: &str) {
        let passed: BTreeSet<u64> =
            self.rows("passed").iter().map(|row| row["n"].as_u64().unwrap()).collect();
        assert_eq!(passed, (0..self.sent).collect(), "{how}");
        for (topic, size_ms) in [("counts", 5_000), ("sums", 10_000)] {
            let found: BTreeSet<((String, String), u64)> = self.found(topic).into_iter().collect();
            assert_eq!(found, self.expected(size_ms).into_iter().collect(), "{how}: {topic}");
        }
    }
}
