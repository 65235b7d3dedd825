//! A change of the plan that has taken over is taken back, with the real worker loop over the log in memory: what comes out
//! is what comes out of one plan alone, and a partition that fell silent meanwhile closes no window twice.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

use connect::door::{IoError, Partitioning, TopicPartition};
use connect::memory::{Io, Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use control::call::DrainId;
use control::status::UnitState;
use pipeline::plan::{Plan, SinkId, from_yaml};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::going_live::Promotion;
use protocol::identity::{Generation, Incarnation, WorkerIndex, Writer};
use protocol::restore::Rewind;
use runtime::local::{Bounds, LocalEnvironment, setup};
use runtime::pod::Intents;
use runtime::worker::{Environment, Now, Setup, Step, Worker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const BASE_MS: i64 = 1_795_219_200_000;
const STEPS_MAX: u64 = 100_000;
const WORKERS: u32 = 2;
const TIMING: Timing = Timing {
    commit_interval_ms: 7,
    idle_commit_interval_ms: 23,
    bytes_max: 1 << 20,
    snapshot_interval_ms: 300,
    trim_interval_ms: 50,
};

/// Counts by group; `before` stands in front of the window and decides what the first stage is called.
fn text(before: &str, filter: &str) -> String {
    format!(
        "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: count}}
spec:
  sources: [{{name: in, kafka: {{topic: in}}, eventTime: {{field: ts, maxOutOfOrderness: 0s, idleTimeout: 1s}}}}]
  steps:
    - {{name: {before}, filter: {{expression: \"{filter}\"}}}}
    - name: per-group
      window: {{keyBy: [group], tumbling: {{size: 5s}}, aggregates: [{{name: records, function: Count}}]}}
  sinks:
    - {{name: passed, from: [{before}], kafka: {{topic: passed}}}}
    - {{name: counts, from: [per-group], kafka: {{topic: counts}}}}
"
    )
}

fn plan(before: &str, filter: &str) -> Arc<Plan> {
    Arc::new(from_yaml(&text(before, filter)).unwrap())
}

struct Run {
    setup: Setup,
    intents: Intents,
    workers: Vec<Worker<LocalEnvironment>>,
}

struct World {
    log: Log,
    store: MemoryStore,
    bounds: Bounds,
    runs: Vec<Run>,
    step: u64,
    sent: u64,
}

impl World {
    fn new() -> Self {
        let log = Log::new(Settings { batch_records_max: 4, ..Settings::default() });
        for topic in ["in", "passed", "counts"] {
            log.create_topic(topic, 2);
        }
        let (store, bounds) = (MemoryStore::new(), Bounds::default());
        Self { log, store, bounds, runs: Vec::new(), step: 0, sent: 0 }
    }

    /// A record each second of event time, in one partition.
    fn feed(&mut self, partition: u32, seconds: std::ops::Range<i64>) {
        for second in seconds {
            let (n, ts) = (self.sent, BASE_MS + second * 1_000);
            let value = format!(r#"{{"n":{n},"group":"g{}","ts":{ts}}}"#, n % 2);
            let mut batch = RecordBatch::new();
            batch.push(NewRecord { offset: 0, timestamp_ms: ts, key: None, value: Some(value.as_bytes()) });
            self.log.append("in", Partitioning::Exact(partition), &batch).unwrap();
            self.sent += 1;
        }
    }

    fn begin(&mut self, plan: &Arc<Plan>, rewind: Option<Rewind>) {
        let number = self.runs.len() as u32 + 1;
        let prior = self.runs.iter();
        let prior = prior.flat_map(|old| Writer::all(old.setup.generation.unwrap(), old.setup.workers));
        let earlier = self.runs.iter().map(|old| (old.setup.plan.hash(), old.setup.plan.clone()));
        let setup = Setup {
            generation: Some(Generation(number)),
            prior: prior.collect(),
            earlier_plans: earlier.filter(|(hash, _)| *hash != plan.hash()).collect(),
            promotion: Promotion::Operator,
            rewind,
            rollback_window_ms: Some(3_600_000),
            ..setup(plan, 0, WORKERS)
        };
        let workers = (0..WORKERS).map(|worker| self.worker(&setup, worker)).collect();
        self.runs.push(Run { setup, intents: Intents::default(), workers });
    }

    fn worker(&self, setup: &Setup, worker: u32) -> Worker<LocalEnvironment> {
        let uploads = Uploads::inline(self.store.clone());
        let environment = LocalEnvironment::new(self.log.clone(), uploads, self.bounds.clone());
        Worker::new(Setup { worker: WorkerIndex(worker), ..setup.clone() }, environment, TIMING)
    }

    /// One step of everybody. True when the workers of the newest generation have finished.
    fn round(&mut self) -> bool {
        self.step += 1;
        let waiting = || self.runs.iter().flat_map(|run| &run.workers).map(Worker::waiting);
        assert!(self.step < STEPS_MAX, "nothing ends: {:?}", waiting().collect::<Vec<_>>());
        let now = Now { monotonic_ms: self.step, wall_ms: BASE_MS + 3_600_000 + self.step as i64 };
        let mut finished = true;
        for run in &mut self.runs {
            finished = true;
            for worker in &mut run.workers {
                finished &= worker.step(now, Duration::ZERO, &run.intents) == Step::Finished;
                let problems = worker.report().problems;
                assert!(problems.iter().all(|problem| !problem.permanent), "{problems:#?}");
            }
        }
        finished
    }

    fn rounds(&mut self, count: u64) {
        for _ in 0..count {
            self.round();
        }
    }

    /// Until every unit of the newest generation works, and processes nothing again.
    fn until_live(&mut self) {
        loop {
            self.round();
            let workers = &self.runs.last().unwrap().workers;
            let units: Vec<_> = workers.iter().flat_map(|worker| worker.report().units).collect();
            let works =
                |unit: &control::status::UnitStatus| unit.state == UnitState::Live && !unit.reprocessing;
            if !units.is_empty() && units.iter().all(works) {
                return;
            }
        }
    }

    fn promote(&mut self) {
        let number = self.runs.len() as u64;
        self.runs.last_mut().unwrap().intents.promoted = Some(number);
    }

    /// The newest generation takes over from the one before it.
    fn take_over(&mut self) {
        self.rounds(20);
        let name = format!("drain-{}", self.runs.len());
        let old = self.runs.iter_mut().rev().nth(1).unwrap();
        old.intents.drain = Some((DrainId::new(name).unwrap(), true));
        self.promote();
    }

    /// All workers of the newest generation are killed and start again.
    fn kill(&mut self) {
        let setup = self.runs.last().unwrap().setup.clone();
        let new = (0..WORKERS).map(|worker| self.worker(&setup, worker)).collect();
        self.runs.last_mut().unwrap().workers = new;
    }

    fn finish(&mut self) {
        self.bounds.end_topics(&self.log, ["in".to_owned()]);
        while !self.round() {}
    }

    fn rows(&self, topic: &str) -> Vec<serde_json::Value> {
        let batches = self.log.committed(topic).unwrap();
        let values = batches.iter().flat_map(|batch| (0..batch.len()).filter_map(|row| batch.value(row)));
        values.map(|value| serde_json::from_slice(value).unwrap()).collect()
    }

    /// Every record came out once, and every window, with all of its records.
    fn check(&self, how: &str) {
        let mut passed: Vec<u64> = self.rows("passed").iter().map(|row| row["n"].as_u64().unwrap()).collect();
        passed.sort_unstable();
        assert_eq!(passed, (0..self.sent).collect::<Vec<_>>(), "{how}");
        let mut expected: BTreeMap<(i64, String), u64> = BTreeMap::new();
        for row in self.rows("in") {
            let start = row["ts"].as_i64().unwrap().div_euclid(5_000) * 5_000;
            *expected.entry((start, row["group"].as_str().unwrap().to_owned())).or_default() += 1;
        }
        // Texts of times sort like the times.
        let mut found: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in self.rows("counts") {
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            let key = (text("window_start"), text("group"));
            let records = row["records"].as_u64().unwrap();
            assert_eq!(found.insert(key.clone(), records), None, "{how}: {key:?} came out twice");
        }
        let rows = |((_, group), records)| (group, records);
        let found: Vec<(String, u64)> = found.into_iter().map(rows).collect();
        let expected = expected.into_iter().map(|((_, group), records)| (group, records));
        assert_eq!(found, expected.collect::<Vec<_>>(), "{how}");
    }
}

/// Partition 1 falls silent while the change is at work: windows close that it held back until then. The change is taken back;
/// all workers are killed `kill_after` steps later, and once more as many steps behind that.
fn there_and_back(changed: &Arc<Plan>, kill_after: Option<u64>) -> World {
    let first = plan("kept", "event.n >= 0");
    let mut world = World::new();
    world.begin(&first, None);
    world.promote();
    world.feed(0, 0..12);
    world.feed(1, 0..8);
    world.until_live();
    world.rounds(60);
    world.begin(changed, None);
    world.take_over();
    world.until_live();
    world.feed(0, 12..40);
    let before = world.rows("counts").len();
    world.rounds(1_500);
    assert!(world.rows("counts").len() > before + 4, "the silence of partition 1 has closed windows");
    world.feed(0, 40..44);
    world.rounds(40);
    world.begin(&first, Some(Rewind { undone: Generation(2), plan: first.hash() }));
    world.take_over();
    for steps in kill_after.into_iter().flat_map(|steps| [steps, steps]) {
        world.rounds(steps);
        world.kill();
        world.promote();
    }
    world.until_live();
    let again = world.rows("counts").len();
    world.rounds(1_500);
    assert_eq!(world.rows("counts").len(), again, "the silence goes on, and closes nothing again");
    world.feed(0, 44..60);
    world.rounds(60);
    world.finish();
    world
}

#[test]
fn what_came_out_by_silence_comes_out_once() {
    there_and_back(&plan("kept", "event.n > -1"), None).check("the same stages");
}

#[test]
fn a_first_step_with_another_name_knows_of_the_silence_too() {
    there_and_back(&plan("all", "event.n > -1"), None).check("another first stage");
}

#[test]
fn a_rollback_survives_kills_at_any_moment() {
    for steps in 0..60 {
        for (how, changed) in [("same", plan("kept", "event.n > -1")), ("other", plan("all", "event.n > -1"))]
        {
            there_and_back(&changed, Some(steps)).check(&format!("{how} stages, killed after {steps} steps"));
        }
    }
}

/// `startFrom: Latest` is for what is read for the first time; a partition that is added later has been empty until then.
#[test]
fn a_partition_that_is_added_while_a_change_is_at_work_is_read_from_its_start() {
    let latest = |plan_text: &str| {
        Arc::new(from_yaml(&plan_text.replace("  sources:", "  startFrom: Latest\n  sources:")).unwrap())
    };
    let (first, changed) = (latest(&text("kept", "event.n >= 0")), latest(&text("kept", "event.n > -1")));
    let mut world = World::new();
    world.begin(&first, None);
    world.promote();
    world.until_live();
    world.feed(0, 0..8);
    world.rounds(60);
    world.log.add_partition("in").unwrap();
    world.feed(2, 0..6);
    world.begin(&changed, None);
    world.take_over();
    world.until_live();
    world.rounds(60);
    world.feed(2, 6..9);
    world.rounds(60);
    world.begin(&first, Some(Rewind { undone: Generation(2), plan: first.hash() }));
    world.take_over();
    world.until_live();
    world.feed(2, 9..12);
    world.finish();
    world.check("a partition was added");
}

/// A world in which a sink fails the engine, at the first record that it gets.
struct Breaks(LocalEnvironment);

impl Environment for Breaks {
    type Io = Io;

    fn connect(&mut self, transactional_id: &str) -> Result<Io, IoError> {
        self.0.connect(transactional_id)
    }

    fn incarnation(&mut self) -> Incarnation {
        self.0.incarnation()
    }

    fn store(&mut self) -> &mut Uploads {
        self.0.store()
    }

    fn emit(&mut self, _sink: SinkId, _records: &RecordBatch) -> Result<(), IoError> {
        panic!("no sink can take this")
    }

    fn end_of_input(&self, partition: &TopicPartition) -> Option<i64> {
        self.0.end_of_input(partition)
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Who has failed for good works no more, and still lets go in good order when it is told to: without that no change that
/// fails in this way could be taken back.
#[test]
fn a_worker_that_failed_for_good_finishes_when_it_is_told_to() {
    let text = "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: shows}
spec:
  sources: [{name: in, kafka: {topic: in}}]
  sinks: [{name: shown, log: {}}]
";
    let mut world = World::new();
    let setup = Setup {
        generation: Some(Generation(1)),
        promotion: Promotion::Operator,
        ..setup(&Arc::new(from_yaml(text).unwrap()), 0, 1)
    };
    let environment = |world: &World| {
        let uploads = Uploads::inline(world.store.clone());
        Breaks(LocalEnvironment::new(world.log.clone(), uploads, world.bounds.clone()))
    };
    let mut worker = Worker::new(setup, environment(&world), TIMING);
    let mut intents = Intents { promoted: Some(1), ..Intents::default() };
    let mut until = |intents: &Intents, done: &dyn Fn(&[UnitState]) -> bool| {
        for step in 0..10_000 {
            let now = Now { monotonic_ms: step, wall_ms: BASE_MS + 3_600_000 };
            worker.step(now, Duration::ZERO, intents);
            let states: Vec<_> = worker.report().units.iter().map(|unit| unit.state).collect();
            if done(&states) {
                return;
            }
        }
        panic!("never: {:?} {:?}", worker.waiting(), worker.report().problems);
    };
    let all = |wanted: UnitState| {
        move |states: &[UnitState]| !states.is_empty() && states.iter().all(|state| *state == wanted)
    };
    until(&intents, &all(UnitState::Live));
    world.feed(0, 0..3);
    until(&intents, &all(UnitState::Failed));
    intents.drain = Some((DrainId::new("finish").unwrap(), false));
    until(&intents, &all(UnitState::Released));
}
