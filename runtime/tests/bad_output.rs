//! What the topics of sinks cannot take, and failures that would come again: each ends in a dead letter or a problem, never
//! in a worker that goes round and round.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at the first surprise")]

use connect::door::{IoError, KafkaIo, Partitioning, TopicPartition};
use connect::memory::{Io, Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use control::Reason;
use control::status::Problem;
use pipeline::effect::Counters;
use pipeline::plan::{Plan, SinkConnector, SinkId, SourceConnector};
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::identity::Incarnation;
use runtime::local::{Bounds, LocalEnvironment, identity, setup};
use runtime::pod::{Intents, Report};
use runtime::worker::{Environment, Now, Step, Worker};
use std::sync::Arc;
use std::time::Duration;

const WALL_MS: i64 = 1_795_219_200_000;
const STEPS_MAX: u64 = 100_000;
const TIMING: Timing = Timing {
    commit_interval_ms: 3,
    idle_commit_interval_ms: 11,
    bytes_max: 1 << 20,
    snapshot_interval_ms: 17,
    trim_interval_ms: 23,
};

/// `in` to `out`, through a map that makes `big` so many letters long; rows of a window to `rows`.
const PIPELINE: &str = "
apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: p}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts}}]
  steps:
    - {name: per-k, from: [in], window: {keyBy: [k], tumbling: {size: 1m}, aggregates: [{name: \"n\", function: Count}], lateSink: {kafka: {topic: late}}}}
  sinks:
    - {name: out, from: [in], kafka: {topic: out}}
    - {name: rows, from: [per-k], kafka: {topic: rows}}
";

struct World {
    plan: Arc<Plan>,
    log: Log,
    bounds: Bounds,
    store: MemoryStore,
}

impl World {
    fn new(manifest: &str) -> Self {
        let plan = Arc::new(pipeline::plan::from_yaml(manifest).unwrap_or_else(|p| panic!("{p:#?}")));
        let log = Log::new(Settings { batch_records_max: 3, ..Settings::default() });
        for source in plan.sources() {
            let SourceConnector::Kafka { topic, .. } = &source.connector;
            log.create_topic(topic, 1);
        }
        for sink in plan.sinks() {
            if let SinkConnector::Kafka { topic, .. } = &sink.connector {
                log.create_topic(topic, 1);
            }
        }
        Self { plan, log, bounds: Bounds::default(), store: MemoryStore::new() }
    }

    fn with_dead_letters() -> Self {
        Self::new(&format!("{PIPELINE}  deadLetterSink: {{kafka: {{topic: dlq}}}}\n"))
    }

    fn feed(&self, records: &[(&str, String)]) {
        for (key, value) in records {
            let mut batch = RecordBatch::new();
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            batch.push(NewRecord { offset: 0, timestamp_ms: WALL_MS, key, value });
            batch.push_header(b"h", Some(b"kept"));
            self.log.append("in", Partitioning::Exact(0), &batch).unwrap();
        }
        self.bounds.end_topics(&self.log, ["in".to_owned()]);
    }

    fn environment(&self) -> LocalEnvironment {
        LocalEnvironment::new(self.log.clone(), Uploads::inline(self.store.clone()), self.bounds.clone())
    }

    fn worker(&self) -> Worker<LocalEnvironment> {
        Worker::new(setup(&self.plan, 0, 1), self.environment(), TIMING)
    }

    /// Runs to the end, with a new worker in place of the old one after so many steps.
    fn run(&self, kill_at: u64) -> Counters {
        let mut worker = self.worker();
        for step in 0..STEPS_MAX {
            if step == kill_at {
                worker = self.worker();
            }
            let now = now(step);
            if worker.step(now, Duration::ZERO, &Intents::default()) == Step::Finished {
                return worker.report().counters;
            }
            let problems = worker.report().problems;
            assert!(problems.is_empty(), "{problems:#?}");
        }
        panic!("not finished: {:#?}", worker.report());
    }

    fn records(&self, topic: &str) -> Vec<RecordBatch> {
        let mut all = Vec::new();
        for batch in self.log.committed(topic).unwrap() {
            for row in 0..batch.len() {
                let mut one = RecordBatch::new();
                one.push_from(&batch, row);
                all.push(one);
            }
        }
        all
    }

    fn keys(&self, topic: &str) -> Vec<String> {
        self.records(topic).iter().map(|one| text(one.key(0))).collect()
    }
}

fn now(step: u64) -> Now {
    Now { monotonic_ms: step, wall_ms: WALL_MS + step as i64 }
}

fn text(part: Option<&[u8]>) -> String {
    part.map_or("-".to_owned(), |part| String::from_utf8_lossy(part).into_owned())
}

fn header(one: &RecordBatch, name: &str) -> String {
    text(one.headers(0).find(|(header, _)| *header == name.as_bytes()).and_then(|(_, value)| value))
}

fn click(key: &str, minute: i64, letters: usize) -> (&str, String) {
    let ts = WALL_MS + minute * 60_000 - 3_600_000;
    (key, format!(r#"{{"ts":{ts},"k":"{key}","x":"{}"}}"#, "x".repeat(letters)))
}

/// Good ones around bad ones: c is too large for `out`, d for `dlq` too, e is late and too large for `late`, f has a group
/// whose row is too large for `rows`.
fn records() -> Vec<(&'static str, String)> {
    let long: &'static str = Box::leak("f".repeat(900).into_boxed_str());
    vec![
        click("a", 0, 1),
        click("b", 0, 1),
        click("c", 0, 3_000),
        click("d", 0, 200_000),
        click("a", 1, 1),
        click(long, 1, 1),
        click("b", 9, 1),
        click("e", 0, 3_000),
        click("a", 9, 1),
    ]
}

const REASON: &str = "__connect.errors.exception.class.name";

#[test]
fn what_a_topic_cannot_take_is_a_dead_letter_and_the_rest_comes_once() {
    for kill_at in [STEPS_MAX].into_iter().chain(5..60) {
        let world = World::with_dead_letters();
        for (topic, bytes) in [("out", 2_000), ("late", 2_000), ("rows", 1_500), ("dlq", 10_000)] {
            world.log.set_message_bytes_max(topic, bytes).unwrap();
        }
        world.feed(&records());
        let counters = world.run(kill_at);
        let long = "f".repeat(900);
        assert_eq!(world.keys("out"), ["a", "b", "a", &long, "b", "a"], "{kill_at}");
        assert!(world.keys("late").is_empty());
        let mut rows = world.keys("rows");
        rows.sort();
        assert_eq!(rows, ["a", "a", "a", "b", "b", "c", "d"]);
        let mut letters = world.records("dlq");
        letters.sort_by_key(|one| (text(one.key(0)), header(one, "weir.sink")));
        let seen: Vec<_> = letters
            .iter()
            .map(|one| {
                let key = text(one.key(0)).chars().next();
                (key.unwrap(), header(one, "weir.sink"), header(one, "weir.truncated"), header(one, REASON))
            })
            .collect();
        let line = |key, sink: &str, stub: &str| (key, sink.into(), stub.into(), "RecordTooLarge".into());
        assert_eq!(
            seen,
            [
                line('c', "out", "-"),
                line('d', "out", "true"),
                line('e', "out", "-"),
                line('e', "per-k.lateSink", "-"),
                line('f', "rows", "-"),
            ],
            "killed at step {kill_at}"
        );
        let d = &letters[1];
        assert_eq!(header(d, "weir.size"), records()[3].1.len().to_string());
        assert!(d.log_bytes(0) <= 10_000 && d.value(0).unwrap().len() > 9_000, "as much as fits");
        assert!(records()[3].1.starts_with(&text(d.value(0))));
        assert_eq!(header(&letters[0], "h"), "kept");
        assert_eq!(
            header(d, "__connect.errors.exception.message"),
            format!(
                "the record takes {} bytes, topic `out` of sink `out` takes 2000 (max.message.bytes)",
                records()[3].1.len() + 1 + 5 + 10 + 128
            )
        );
        if kill_at == STEPS_MAX {
            let expected = Counters { records_in: 9, records_out: 13, late: 1, dead_letters: 5 };
            assert_eq!(counters, expected);
        }
    }
}

#[test]
fn without_a_dead_letter_sink_it_is_counted() {
    let world = World::new(PIPELINE);
    world.log.set_message_bytes_max("out", 2_000).unwrap();
    world.feed(&records());
    assert_eq!(world.run(STEPS_MAX).dead_letters, 3, "c, d and e");
    assert_eq!(world.keys("out").len(), 6);
}

#[test]
fn a_dead_letter_topic_that_takes_next_to_nothing_stops_nobody() {
    let world = World::with_dead_letters();
    world.log.set_message_bytes_max("out", 2_000).unwrap();
    world.log.set_message_bytes_max("dlq", 50).unwrap();
    let mut all = records();
    all.insert(2, ("bad", "{".to_owned()));
    world.feed(&all);
    assert_eq!(world.run(STEPS_MAX).dead_letters, 4);
    assert_eq!((world.keys("out").len(), world.keys("dlq").len()), (6, 0));
}

/// Steps a worker until its report is as wanted, then on for as long as any back-off.
fn problem<E: Environment>(worker: &mut Worker<E>) -> (Problem, Report, u64) {
    let mut shown = None;
    let mut opened = 0;
    for step in 0..STEPS_MAX {
        let stepped = worker.step(now(step), Duration::ZERO, &Intents::default());
        opened += u64::from(stepped == Step::Moved && worker.place() == "restore");
        if let Some(problem) = worker.report().problems.pop() {
            shown = Some(problem);
        }
    }
    (shown.expect("a problem is told"), worker.report(), opened)
}

#[test]
fn a_block_that_cannot_be_read_names_unit_and_offsets_and_stops_the_worker() {
    let world = World::new(PIPELINE);
    let topic = identity(&world.plan).repartition_topic("per-k", protocol::identity::Lineage(1));
    world
        .log
        .connect("maker")
        .ensure_topics(&[connect::door::NewTopic { name: topic.clone(), partitions: 1 }])
        .unwrap();
    let mut garbage = RecordBatch::new();
    garbage.push(NewRecord { value: Some(b"garbage"), ..NewRecord::default() });
    world.log.append(&topic, Partitioning::Exact(0), &garbage).unwrap();
    world.feed(&records());
    let (problem, report, _) = problem(&mut world.worker());
    assert!(problem.permanent);
    assert_eq!(problem.reason, Some(Reason::StateIncompatible));
    let start = format!(
        "per-k/0: topic `{topic}` partition 0 offsets 0 to 0: repartition record at offset 0 cannot be read"
    );
    assert!(problem.message.starts_with(&start), "{}", problem.message);
    assert!(!report.finished);
}

/// A sink outside the log that fails each time in the same way, and how often it was tried.
struct Broken {
    inner: LocalEnvironment,
    emit: fn(&RecordBatch) -> Result<(), IoError>,
    tries: u32,
}

impl Broken {
    fn worker(world: &World, emit: fn(&RecordBatch) -> Result<(), IoError>) -> Worker<Self> {
        let environment = Self { inner: world.environment(), emit, tries: 0 };
        Worker::new(setup(&world.plan, 0, 1), environment, TIMING)
    }
}

impl Environment for Broken {
    type Io = Io;
    fn connect(&mut self, transactional_id: &str) -> Result<Io, IoError> {
        self.inner.connect(transactional_id)
    }
    fn incarnation(&mut self) -> Incarnation {
        self.inner.incarnation()
    }
    fn store(&mut self) -> &mut Uploads {
        self.inner.store()
    }
    fn emit(&mut self, _sink: SinkId, records: &RecordBatch) -> Result<(), IoError> {
        self.tries += 1;
        (self.emit)(records)
    }
    fn end_of_input(&self, partition: &TopicPartition) -> Option<i64> {
        self.inner.end_of_input(partition)
    }
    fn is_bounded(&self) -> bool {
        true
    }

    fn elapsed(&self) -> Duration {
        self.inner.elapsed()
    }
}

#[test]
fn a_panic_is_a_problem_and_not_a_loop() {
    let world = World::new(&PIPELINE.replace("kafka: {topic: out}", "log: {}"));
    world.feed(&records());
    let mut worker = Broken::worker(&world, |records| panic!("{} records are too many", records.len()));
    let (problem, _, _) = problem(&mut worker);
    assert!(problem.permanent);
    assert_eq!(problem.reason, Some(Reason::CrashLooping));
    assert!(problem.message.contains("records are too many"), "{}", problem.message);
    assert_eq!(worker.environment().tries, 1, "it is not tried again");
}

#[test]
fn what_is_refused_again_and_again_is_told_and_tried_ever_more_rarely() {
    let world = World::new(&PIPELINE.replace("kafka: {topic: out}", "log: {}"));
    world.feed(&records());
    let refuse = |_: &RecordBatch| Err(IoError::TooLarge { topic: "out".to_owned(), bytes: 77 });
    let mut worker = Broken::worker(&world, refuse);
    let (problem, report, _) = problem(&mut worker);
    assert!(!problem.permanent);
    assert_eq!(problem.reason, Some(Reason::SinkUnavailable));
    assert_eq!(problem.message, "a record of 77 bytes is too large for topic `out`");
    assert!(!report.problems.is_empty(), "the problem stays until a commit succeeds");
    let tries = worker.environment().tries;
    assert!((8..=16).contains(&tries), "{tries} times in 100 s");
}
