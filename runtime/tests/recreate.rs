//! A change of spec with the real worker loop over the log in memory: drain, cut, next generation, with workers killed
//! after every record of the journals. What the plans share comes out as if nothing had ever been changed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

use connect::door::Partitioning;
use connect::memory::{Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use control::Reason;
use control::call::DrainId;
use control::status::UnitState;
use pipeline::plan::{Plan, from_yaml};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::going_live::Promotion;
use protocol::identity::{Generation, WorkerIndex, Writer};
use protocol::journal::JournalRecord;
use runtime::local::{Bounds, LocalEnvironment, identity, setup};
use runtime::pod::Intents;
use runtime::worker::{Now, Setup, Step, Worker};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const STEPS_MAX: u64 = 200_000;
const BASE_MS: i64 = 1_795_219_200_000;
const PARTITIONS: u32 = 3;
const RECORDS: u64 = 240;

fn plan(steps: &str, sinks: &str) -> Arc<Plan> {
    let text = format!(
        "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {{name: count}}
spec:
  sources: [{{name: in, kafka: {{topic: in}}, eventTime: {{field: ts, maxOutOfOrderness: 300ms, idleTimeout: 1h}}}}]
  steps:
{steps}
  sinks:
{sinks}
"
    );
    Arc::new(from_yaml(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}")))
}

fn kept(from: &str) -> String {
    format!(
        "    - name: per-group
      from: [{from}]
      window:
        keyBy: [group]
        tumbling: {{size: 5s}}
        aggregates: [{{name: records, function: Count}}, {{name: total, function: Sum, field: 'n'}}]
        lateSink: {{kafka: {{topic: late}}}}
"
    )
}

fn other(name: &str, from: &str) -> String {
    format!(
        "    - {{name: {name}, from: [{from}], window: {{keyBy: ['n'], tumbling: {{size: 3s}}, aggregates: [{{name: all, function: Count}}]}}}}\n"
    )
}

fn all(name: &str, from: &str) -> String {
    format!("    - {{name: {name}, from: [{from}], filter: {{expression: \"true\"}}}}\n")
}

fn sinks(all: &[(&str, &str)]) -> String {
    all.iter()
        .map(|(name, from)| format!("    - {{name: {name}, from: [{from}], kafka: {{topic: {name}}}}}\n"))
        .collect()
}

/// Two windows on the source itself.
fn first() -> Arc<Plan> {
    plan(
        &(kept("in") + &other("gone", "in")),
        &sinks(&[("passed", "in"), ("counts", "per-group"), ("ends", "gone")]),
    )
}

/// A filter before, which gives the first stage another name; one window less, another one more; one more sink.
fn second() -> Arc<Plan> {
    plan(
        &(all("valid", "in") + &kept("valid") + &other("fresh", "valid")),
        &sinks(&[("passed", "valid"), ("counts", "per-group"), ("news", "fresh")]),
    )
}

/// The kept window in one stage with another one, under the name of the other.
fn third() -> Arc<Plan> {
    plan(
        &(other("fresh", "in") + &kept("in") + &all("both", "fresh, per-group")),
        &sinks(&[("passed", "in"), ("counts", "per-group"), ("news", "both")]),
    )
}

/// What all plans write in the same way.
const SHARED: [&str; 3] = ["passed", "counts", "late"];

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
    /// Lives that were killed and do not know it.
    zombies: Vec<(Worker<LocalEnvironment>, Intents)>,
    keeps_zombies: bool,
    step: u64,
    fed: u64,
    /// Journal records after which all workers are killed.
    kill_at: Option<usize>,
    stages: BTreeSet<String>,
}

impl World {
    fn new(units: &[(&str, u32)]) -> Self {
        let log = Log::new(Settings { batch_records_max: 5, ..Settings::default() });
        for topic in ["in", "passed", "counts", "late", "ends", "news"] {
            log.create_topic(topic, PARTITIONS);
        }
        for (stage, units) in units {
            log.create_topic(&identity(&first()).commits_topic(stage), *units);
        }
        Self {
            log,
            store: MemoryStore::new(),
            bounds: Bounds::default(),
            runs: Vec::new(),
            zombies: Vec::new(),
            keeps_zombies: false,
            step: 0,
            fed: 0,
            kill_at: None,
            stages: BTreeSet::new(),
        }
    }

    fn feed(&mut self, until: u64) {
        for n in self.fed..until {
            let ts = BASE_MS + (n * 180) as i64 - (n.wrapping_mul(7_919) % 3_000) as i64;
            let value = format!(r#"{{"n":{n},"group":"g{}","ts":{ts}}}"#, n.wrapping_mul(31) % 5);
            let mut batch = RecordBatch::new();
            let key = format!("k{}", n % 7);
            batch.push(NewRecord {
                offset: 0,
                timestamp_ms: ts,
                key: Some(key.as_bytes()),
                value: Some(value.as_bytes()),
            });
            self.log.append("in", Partitioning::ByKey { unkeyed: 0 }, &batch).unwrap();
        }
        self.fed = until;
    }

    fn begin(&mut self, plan: &Arc<Plan>, workers: u32) {
        let number = self.runs.len() as u32 + 1;
        let prior = self.runs.iter();
        let prior = prior.flat_map(|old| Writer::all(old.setup.generation.unwrap(), old.setup.workers));
        let earlier = self.runs.iter().map(|old| (old.setup.plan.hash(), old.setup.plan.clone()));
        let setup = Setup {
            generation: Some(Generation(number)),
            prior: prior.collect(),
            earlier_plans: earlier.filter(|(hash, _)| *hash != plan.hash()).collect(),
            promotion: Promotion::Operator,
            ..setup(plan, 0, workers)
        };
        self.stages.extend(plan.stages().iter().map(|stage| stage.name.clone()));
        let intents = Intents { promoted: Some(u64::from(number)), ..Intents::default() };
        let workers = (0..workers).map(|worker| self.worker(&setup, worker)).collect();
        self.runs.push(Run { setup, intents, workers });
    }

    fn worker(&self, setup: &Setup, worker: u32) -> Worker<LocalEnvironment> {
        let uploads = Uploads::inline(self.store.clone());
        let environment = LocalEnvironment::new(self.log.clone(), uploads, self.bounds.clone());
        let timing = Timing {
            commit_interval_ms: 7,
            idle_commit_interval_ms: 23,
            bytes_max: 1 << 20,
            snapshot_interval_ms: 60,
            trim_interval_ms: 25,
        };
        Worker::new(Setup { worker: WorkerIndex(worker), ..setup.clone() }, environment, timing)
    }

    fn now(&self) -> Now {
        Now { monotonic_ms: self.step, wall_ms: BASE_MS + 3_600_000 + self.step as i64 }
    }

    /// One step of every worker of the newest generation, and now and then of those that were killed. True when all
    /// have finished.
    fn round(&mut self) -> bool {
        self.step += 1;
        assert!(self.step < STEPS_MAX, "nothing ends: {:?}", self.waiting());
        let now = self.now();
        let run = self.runs.last_mut().unwrap();
        let mut finished = true;
        for worker in &mut run.workers {
            finished &= worker.step(now, Duration::ZERO, &run.intents) == Step::Finished;
            let problems = worker.report().problems;
            assert!(problems.iter().all(|problem| !problem.permanent), "{problems:#?}");
        }
        if self.step.is_multiple_of(3) {
            for (zombie, intents) in &mut self.zombies {
                zombie.step(now, Duration::ZERO, intents);
            }
        }
        if self.kill_at.is_some_and(|at| self.journals().len() >= at) {
            self.kill_at = None;
            self.kill();
        }
        finished
    }

    fn waiting(&self) -> Vec<String> {
        self.runs.last().unwrap().workers.iter().map(Worker::waiting).collect()
    }

    fn kill(&mut self) {
        let setup = self.runs.last().unwrap().setup.clone();
        let new: Vec<_> = (0..setup.workers).map(|worker| self.worker(&setup, worker)).collect();
        let run = self.runs.last_mut().unwrap();
        let old = std::mem::replace(&mut run.workers, new);
        if self.keeps_zombies {
            let intents = run.intents.clone();
            self.zombies.extend(old.into_iter().map(|worker| (worker, intents.clone())));
        }
    }

    /// Drains the newest generation; its pods are gone, but for those that were killed and do not know it.
    fn drain(&mut self) {
        self.cut();
        self.runs.last_mut().unwrap().workers.clear();
    }

    /// Drains the newest generation until every unit is cut. Its pods are still there.
    fn cut(&mut self) -> DrainId {
        let drain = DrainId::new(format!("drain-{}", self.runs.len())).unwrap();
        self.runs.last_mut().unwrap().intents.drain = Some((drain.clone(), true));
        loop {
            self.round();
            let run = self.runs.last().unwrap();
            let units: Vec<_> = run.workers.iter().flat_map(|worker| worker.report().units).collect();
            if !units.is_empty() && units.iter().all(|unit| unit.state == UnitState::Cut) {
                return drain;
            }
        }
    }

    fn rounds(&mut self, count: u64) {
        let wanted = self.step + count;
        while self.step < wanted {
            self.round();
        }
    }

    /// All committed records of all journals.
    fn journals(&self) -> Vec<JournalRecord> {
        let names = identity(&first());
        let topics = self.stages.iter().map(|stage| names.commits_topic(stage));
        let batches = topics.flat_map(|topic| self.log.committed(&topic).unwrap_or_default());
        let decode = |batch: RecordBatch| {
            let rows = 0..batch.len();
            rows.map(|row| JournalRecord::decode(batch.value(row).unwrap()).unwrap()).collect::<Vec<_>>()
        };
        batches.flat_map(decode).collect()
    }

    /// One generation after the other, each with its share of the input.
    fn run(mut self, plans: &[(Arc<Plan>, u32)], first_kill: Option<usize>) -> Result {
        let mut drained_at = None;
        for (index, (plan, workers)) in plans.iter().enumerate() {
            self.begin(plan, *workers);
            self.feed(RECORDS * (index as u64 + 1) / plans.len() as u64);
            let last = index + 1 == plans.len();
            if last {
                self.bounds.end_topics(&self.log, ["in".to_owned()]);
                while !self.round() {}
            } else {
                // Some of the input is left for the next one.
                self.rounds(60);
                if drained_at.is_none() {
                    drained_at = Some(self.journals().len());
                    self.kill_at = first_kill;
                }
                self.drain();
            }
        }
        let records = self.journals().len();
        Result { outputs: self.outputs(), drained_at: drained_at.unwrap_or(0), records }
    }

    fn outputs(&self) -> BTreeMap<String, Vec<String>> {
        SHARED.iter().map(|topic| ((*topic).to_owned(), self.lines(topic))).collect()
    }

    fn lines(&self, topic: &str) -> Vec<String> {
        let batches = self.log.committed(topic).unwrap();
        let text = |batch: &RecordBatch, row: usize| {
            let part = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"-")).into_owned();
            format!("{} {}", part(batch.key(row)), part(batch.value(row)))
        };
        let mut lines: Vec<_> =
            batches.iter().flat_map(|batch| (0..batch.len()).map(|row| text(batch, row))).collect();
        lines.sort();
        lines
    }
}

struct Result {
    outputs: BTreeMap<String, Vec<String>>,
    /// Journal records when the first drain was asked for, and at the end.
    drained_at: usize,
    records: usize,
}

fn expected() -> BTreeMap<String, Vec<String>> {
    let found = World::new(&[]).run(&[(first(), 1)], None).outputs;
    assert!(found.values().all(|lines| lines.len() > 3), "the case says something: {found:#?}");
    found
}

fn assert_same(how: &str, found: &BTreeMap<String, Vec<String>>, expected: &BTreeMap<String, Vec<String>>) {
    for (topic, lines) in expected {
        let others = &found[topic];
        let missing: Vec<_> = lines.iter().filter(|line| !others.contains(line)).collect();
        let extra: Vec<_> = others.iter().filter(|line| !lines.contains(line)).collect();
        assert!(
            others == lines,
            "{how}: {topic} has {} records instead of {};\nmissing {missing:#?}\nextra {extra:#?}",
            others.len(),
            lines.len()
        );
    }
}

fn changes() -> Vec<(&'static str, Vec<Arc<Plan>>)> {
    vec![
        ("the same plan", vec![first(), first()]),
        ("another first stage", vec![first(), second()]),
        ("a window in another stage", vec![first(), third()]),
        ("there and back", vec![first(), second(), first()]),
        ("once around", vec![first(), second(), third(), first(), third()]),
    ]
}

#[test]
fn what_plans_share_goes_on_through_changes_and_other_numbers_of_workers() {
    let expected = expected();
    for (what, plans) in changes() {
        for workers in [[1, 1], [1, 2], [2, 1], [3, 2]] {
            let plans: Vec<_> =
                plans.iter().enumerate().map(|(at, plan)| (plan.clone(), workers[at % 2])).collect();
            let found = World::new(&[]).run(&plans, None);
            assert_same(&format!("{what}, {workers:?} workers"), &found.outputs, &expected);
        }
    }
}

#[test]
fn stages_with_other_numbers_of_units_share_out_what_they_take_over() {
    let expected = expected();
    for units in [&[("valid", 2), ("fresh", 5)], &[("valid", 7), ("fresh", 1)]] {
        for (what, plans) in changes() {
            let plans: Vec<_> = plans.iter().map(|plan| (plan.clone(), 2)).collect();
            let found = World::new(units).run(&plans, None);
            assert_same(&format!("{what}, {units:?}"), &found.outputs, &expected);
        }
    }
}

#[test]
fn killed_anywhere_on_the_way_nothing_is_lost_and_nothing_comes_twice() {
    let expected = expected();
    for (what, plans) in changes().into_iter().take(4) {
        for (workers, keeps_zombies) in [([1, 2], false), ([2, 1], true)] {
            let plans: Vec<_> =
                plans.iter().enumerate().map(|(at, plan)| (plan.clone(), workers[at % 2])).collect();
            let undisturbed = World::new(&[]).run(&plans, None);
            for kill_at in undisturbed.drained_at..undisturbed.records {
                let mut world = World::new(&[]);
                world.keeps_zombies = keeps_zombies;
                let found = world.run(&plans, Some(kill_at));
                let how =
                    format!("{what}, {workers:?} workers, killed at {kill_at}, zombies: {keeps_zombies}");
                assert_same(&how, &found.outputs, &expected);
            }
        }
    }
}

#[test]
fn a_plan_that_cannot_use_the_state_touches_nothing() {
    let mut world = World::new(&[]);
    world.begin(&first(), 1);
    world.feed(RECORDS / 2);
    world.rounds(60);
    world.drain();
    let before = world.journals().len();
    let other = plan(&kept("in").replace("5s", "10s"), &sinks(&[("counts", "per-group")]));
    world.begin(&other, 1);
    let now = Now { monotonic_ms: 1_000_000, wall_ms: BASE_MS };
    let run = world.runs.last_mut().unwrap();
    for _ in 0..200 {
        run.workers[0].step(now, Duration::ZERO, &run.intents);
    }
    let problems = run.workers[0].report().problems;
    let [problem] = problems.as_slice() else { panic!("{problems:#?}") };
    assert!(problem.permanent);
    assert_eq!(problem.reason, Some(Reason::StateIncompatible));
    assert_eq!(
        problem.message,
        "step `per-group` has state that means something else now: the size is 10s instead of 5s; give the step another name to start it empty, or take the change back"
    );
    assert_eq!(world.journals().len(), before);
    // The change is taken back: everything goes on from the cut.
    world.runs.pop();
    let found = {
        world.begin(&first(), 2);
        world.feed(RECORDS);
        world.bounds.end_topics(&world.log, ["in".to_owned()]);
        while !world.round() {}
        world.outputs()
    };
    assert_same("after a refused plan", &found, &expected());
}

/// Suspended and resumed, by pods that come before they hear of the resume, and by the old ones, if they are still there;
/// with stages of earlier plans, whose journals no drain of this generation locks.
#[test]
fn what_was_suspended_goes_on_when_it_is_resumed() {
    let expected = expected();
    for plans in [vec![first()], vec![first(), second()], vec![first(), second(), third()]] {
        for (workers, new_pods) in [(1, true), (2, true), (1, false), (3, false)] {
            let mut world = World::new(&[]);
            for (index, plan) in plans.iter().enumerate() {
                if index > 0 {
                    world.drain();
                }
                world.begin(plan, workers);
                world.feed(RECORDS * (index as u64 + 1) / (plans.len() as u64 + 1));
                world.rounds(60);
            }
            let drain = world.cut();
            if new_pods {
                world.kill();
                world.runs.last_mut().unwrap().intents.drain = None;
            }
            world.rounds(200);
            world.runs.last_mut().unwrap().intents.resumed = Some(drain);
            world.feed(RECORDS);
            world.bounds.end_topics(&world.log, ["in".to_owned()]);
            while !world.round() {}
            let how = format!("{} plans, {workers} workers, new pods: {new_pods}", plans.len());
            assert_same(&how, &world.outputs(), &expected);
        }
    }
}
