//! Secrets that enter a value, with the real worker loop over the log in memory: masks keep their key through restarts, and
//! another key is used only behind a drain. Whatever happens, each record comes out once.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

use connect::door::{IoError, Partitioning, TopicPartition};
use connect::memory::{Io, Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use control::call::DrainId;
use control::status::{Problem, UnitState};
use control::{Condition, Reason};
use pipeline::plan::{MaskKeys, Plan, SinkId, from_yaml};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::going_live::Promotion;
use protocol::identity::{Generation, Incarnation, WorkerIndex};
use runtime::local::{Bounds, LocalEnvironment, identity, setup};
use runtime::pod::Intents;
use runtime::worker::{Environment, Now, Setup, Step, Worker, WorkerError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STEPS_MAX: u64 = 100_000;
const BASE_MS: i64 = 1_795_219_200_000;
const PARTITIONS: u32 = 2;
const RECORDS: u64 = 120;
const OLD: &str = "the old key of the masks";
const NEW: &str = "the new key of the masks";

fn plan() -> Arc<Plan> {
    let text = "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: masks}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, idleTimeout: 1h}}]
  steps:
    - {name: masked, mask: {fields: [who], method: Hash, secretKeyRef: {name: salt, key: value}}}
    # What the key decides besides: which records pass, and where they go.
    - {name: some, filter: {expression: \"event.who > '5'\"}}
    - {name: per-mask, window: {keyBy: [who], tumbling: {size: 5s}, aggregates: [{name: total, function: Sum, field: 'n'}]}}
    - {name: again, mask: {fields: [who], method: Tokenise, secretKeyRef: {name: salt, key: value}}}
  sinks:
    - {name: out, from: [masked], kafka: {topic: out}}
    - {name: totals, from: [again], kafka: {topic: totals}}
";
    Arc::new(from_yaml(text).unwrap_or_else(|problems| panic!("{problems:#?}")))
}

/// What is mounted; it may change while workers run.
type Mounted = Arc<Mutex<Option<&'static str>>>;

struct World {
    plan: Arc<Plan>,
    log: Log,
    store: MemoryStore,
    bounds: Bounds,
    mounted: Mounted,
    intents: Intents,
    workers: Vec<Worker<Keyed>>,
    step: u64,
    fed: u64,
}

/// A world with a Secret in it.
struct Keyed {
    local: LocalEnvironment,
    mounted: Mounted,
}

impl Environment for Keyed {
    type Io = Io;

    fn connect(&mut self, transactional_id: &str) -> Result<Io, IoError> {
        self.local.connect(transactional_id)
    }

    fn mask_keys(&mut self, plan: &Plan) -> Result<Option<MaskKeys>, WorkerError> {
        let at = plan.mask_secrets().into_iter().next().unwrap().clone();
        match *self.mounted.lock().unwrap() {
            Some(value) => Ok(MaskKeys::new([(at, value.as_bytes().to_vec())]).ok()),
            None => Err(WorkerError::KeyMissing { at, place: "/secrets/salt".to_owned() }),
        }
    }

    fn incarnation(&mut self) -> Incarnation {
        self.local.incarnation()
    }

    fn store(&mut self) -> &mut Uploads {
        self.local.store()
    }

    fn emit(&mut self, sink: SinkId, records: &RecordBatch) -> Result<(), IoError> {
        self.local.emit(sink, records)
    }

    fn end_of_input(&self, partition: &TopicPartition) -> Option<i64> {
        self.local.end_of_input(partition)
    }

    fn is_bounded(&self) -> bool {
        self.local.is_bounded()
    }

    fn elapsed(&self) -> Duration {
        self.local.elapsed()
    }
}

impl World {
    fn new(secret: Option<&'static str>) -> Self {
        let plan = plan();
        let log = Log::new(Settings { batch_records_max: 5, ..Settings::default() });
        for topic in ["in", "out", "totals"] {
            log.create_topic(topic, PARTITIONS);
        }
        let mut world = Self {
            plan,
            log,
            store: MemoryStore::new(),
            bounds: Bounds::default(),
            mounted: Arc::new(Mutex::new(secret)),
            intents: Intents { promoted: Some(1), ..Intents::default() },
            workers: Vec::new(),
            step: 0,
            fed: 0,
        };
        world.restart();
        world
    }

    /// New pods in place of the old ones, which are gone without a word.
    fn restart(&mut self) {
        self.workers = (0..2).map(|number| self.worker(1, number)).collect();
    }

    fn worker(&self, generation: u32, number: u32) -> Worker<Keyed> {
        let local =
            LocalEnvironment::new(self.log.clone(), Uploads::inline(self.store.clone()), self.bounds.clone());
        let timing = Timing {
            commit_interval_ms: 7,
            idle_commit_interval_ms: 23,
            bytes_max: 1 << 20,
            snapshot_interval_ms: 60,
            trim_interval_ms: 25,
        };
        let setup = Setup {
            generation: Some(Generation(generation)),
            promotion: Promotion::Operator,
            worker: WorkerIndex(number),
            ..setup(&self.plan, 0, 2)
        };
        Worker::new(setup, Keyed { local, mounted: self.mounted.clone() }, timing)
    }

    fn mount(&self, secret: Option<&'static str>) {
        *self.mounted.lock().unwrap() = secret;
    }

    fn feed(&mut self, until: u64) {
        for n in self.fed..until {
            let ts = BASE_MS + (n * 180) as i64;
            let value = format!(r#"{{"n":{n},"who":"w{}","ts":{ts}}}"#, n % 5);
            let mut batch = RecordBatch::new();
            let (key, value) = (format!("{n}"), value.as_bytes());
            batch.push(NewRecord {
                timestamp_ms: ts,
                key: Some(key.as_bytes()),
                value: Some(value),
                ..NewRecord::default()
            });
            self.log.append("in", Partitioning::ByKey { unkeyed: 0 }, &batch).unwrap();
        }
        self.fed = until;
    }

    /// One step of every worker; true when all have finished.
    fn round(&mut self) -> bool {
        self.step += 1;
        assert!(self.step < STEPS_MAX, "nothing ends: {:?}", self.problems());
        let now = Now { monotonic_ms: self.step * 2, wall_ms: BASE_MS + 3_600_000 + self.step as i64 };
        let intents = &self.intents;
        let step = |worker: &mut Worker<Keyed>| worker.step(now, Duration::ZERO, intents) == Step::Finished;
        self.workers.iter_mut().map(step).fold(true, |all, one| all & one)
    }

    fn until(&mut self, mut reached: impl FnMut(&Self) -> bool) {
        while !reached(self) {
            self.round();
        }
    }

    fn until_out(&mut self, records: u64) {
        self.feed(records);
        self.until(|world| world.masks().len() as u64 == records);
    }

    fn until_refused(&mut self) -> Vec<Problem> {
        self.until(|world| world.problems().len() == 2);
        self.problems()
    }

    fn problems(&self) -> Vec<Problem> {
        self.workers.iter().flat_map(|worker| worker.report().problems).collect()
    }

    fn drain(&mut self, name: &str) -> DrainId {
        let drain = DrainId::new(name.to_owned()).unwrap();
        self.intents.drain = Some((drain.clone(), true));
        self.until(|world| {
            let units: Vec<_> = world.workers.iter().flat_map(|worker| worker.report().units).collect();
            units.len() == 4 && units.iter().all(|unit| unit.state == UnitState::Cut)
        });
        drain
    }

    /// As the operator does it: drain, no pods, new pods, resume.
    fn suspend_and_resume(&mut self, name: &str, change: impl FnOnce(&Self)) {
        let drain = self.drain(name);
        change(self);
        self.restart();
        self.intents.resumed = Some(drain);
    }

    fn finish(&mut self) {
        self.feed(RECORDS);
        self.bounds.end_topics(&self.log, ["in".to_owned()]);
        while !self.round() {}
        assert_eq!(self.problems(), []);
        assert_eq!(self.masks().len() as u64, RECORDS, "none is lost");
    }

    /// The mask of each record that came out; none came out twice.
    fn masks(&self) -> BTreeMap<u64, String> {
        let mut masks = BTreeMap::new();
        for batch in self.log.committed("out").unwrap() {
            for row in 0..batch.len() {
                let value: serde_json::Value = serde_json::from_slice(batch.value(row).unwrap()).unwrap();
                let mask = value["who"].as_str().unwrap().to_owned();
                assert_eq!(masks.insert(value["n"].as_u64().unwrap(), mask), None, "{value} comes twice");
            }
        }
        masks
    }

    fn journal_records(&self) -> usize {
        let names = identity(&self.plan);
        let topics = self.plan.stages().iter().map(|stage| names.commits_topic(&stage.name));
        topics.flat_map(|topic| self.log.committed(&topic).unwrap()).map(|batch| batch.len()).sum()
    }
}

/// All masks under one key, in a run that nothing disturbs.
fn undisturbed(secret: &'static str) -> BTreeMap<u64, String> {
    let mut world = World::new(Some(secret));
    world.finish();
    world.masks()
}

/// The records up to one of them have the masks of the old key, those behind it of the new one.
fn assert_changed_at(world: &World, first_new: u64) {
    let (old, new) = (undisturbed(OLD), undisturbed(NEW));
    for (n, mask) in world.masks() {
        let expected = if n < first_new { &old } else { &new };
        assert_eq!(mask, expected[&n], "record {n}");
    }
}

#[test]
fn with_the_same_secret_a_restart_goes_on() {
    let mut world = World::new(Some(OLD));
    for records in [7, 30, 61, 90] {
        world.until_out(records);
        world.restart();
    }
    world.finish();
    assert_eq!(world.masks(), undisturbed(OLD));
    assert_ne!(undisturbed(OLD), undisturbed(NEW));
}

#[test]
fn with_another_secret_a_restart_is_refused_until_the_old_one_is_back() {
    let mut world = World::new(Some(OLD));
    world.until_out(50);
    let before = world.journal_records();
    world.mount(Some(NEW));
    world.restart();
    world.feed(70);
    let problems = world.until_refused();
    for problem in &problems {
        assert_eq!(problem.reason, Some(Reason::ConfigInvalid));
        assert_eq!(problem.condition, Condition::ConfigValid);
        assert!(!problem.permanent, "it is looked at again");
        let said = "masks with another value of key `value` of Secret salt than is there now: put the old value back; to go on with the new one, suspend the pipeline and resume it";
        assert!(problem.message.ends_with(said), "{}", problem.message);
    }
    let until = world.step + 2_000;
    world.until(|world| world.step == until);
    assert!(world.journal_records() <= before, "nothing was touched");
    assert_eq!(world.masks().len(), 50);
    world.mount(Some(OLD));
    world.finish();
    assert_eq!(world.masks(), undisturbed(OLD));
}

#[test]
fn one_worker_of_two_with_another_secret_is_refused_too() {
    let mut world = World::new(Some(OLD));
    world.until_out(50);
    world.mount(Some(NEW));
    world.workers[1] = world.worker(1, 1);
    world.until(|world| world.problems().len() == 1);
    // The other one has what it began with, however often it starts over.
    world.workers[0].environment().mounted = Arc::new(Mutex::new(Some(NEW)));
    world.mount(Some(OLD));
    world.finish();
    assert_eq!(world.masks(), undisturbed(OLD));
}

#[test]
fn a_successor_with_another_secret_refuses_before_anybody_promotes_it() {
    let mut world = World::new(Some(OLD));
    world.until_out(50);
    for number in 0..2 {
        let mut successor = world.worker(2, number);
        successor.environment().mounted = Arc::new(Mutex::new(Some(NEW)));
        world.workers.push(successor);
    }
    world.feed(90);
    let until = world.step + 5_000;
    world.until(|world| {
        let reports = world.workers[2..].iter().map(Worker::report);
        let units: Vec<_> = reports.flat_map(|report| report.units).collect();
        assert!(units.iter().all(|unit| unit.state != UnitState::CaughtUp), "nobody may promote it");
        world.step >= until && world.problems().len() == 2
    });
    assert_eq!(world.masks().len(), 90, "who works goes on");
    world.workers.truncate(2);
    world.finish();
    assert_eq!(world.masks(), undisturbed(OLD));
}

#[test]
fn suspended_before_the_change_it_goes_on_with_the_new_secret() {
    let mut world = World::new(Some(OLD));
    world.until_out(50);
    world.suspend_and_resume("change", |world| world.mount(Some(NEW)));
    world.until_out(80);
    // Commits of both keys may have to be replayed from here.
    world.restart();
    world.finish();
    assert_changed_at(&world, 50);
}

#[test]
fn a_change_while_it_runs_is_taken_up_by_suspend_and_resume() {
    let mut world = World::new(Some(OLD));
    world.until_out(40);
    world.mount(Some(NEW));
    world.until_out(60);
    world.suspend_and_resume("change", |_| {});
    world.finish();
    assert_changed_at(&world, 60);
}

/// The old value is lost, and its pods too: what they have committed is replayed without it, the drain ends with the new
/// one, and nothing is lost.
#[test]
fn when_the_old_secret_is_lost_suspend_and_resume_goes_on() {
    for restarted_at in [10, 33, 50, 64] {
        let mut world = World::new(Some(OLD));
        world.until_out(restarted_at);
        world.mount(Some(NEW));
        world.restart();
        world.until_refused();
        world.suspend_and_resume("change", |_| {});
        world.until_out(90);
        world.restart();
        world.finish();
        assert_changed_at(&world, restarted_at);
    }
}

#[test]
fn without_the_secret_nothing_begins_and_then_it_does() {
    let mut world = World::new(None);
    let problems = world.until_refused();
    assert_eq!(problems[0].reason, Some(Reason::SecretKeyMissing));
    assert_eq!(problems[0].condition, Condition::ConfigValid);
    assert_eq!(
        problems[0].message,
        "key `value` of Secret `salt` is missing in /secrets/salt: a mask needs it"
    );
    world.mount(Some(OLD));
    world.finish();
    assert_eq!(world.masks(), undisturbed(OLD));
}
