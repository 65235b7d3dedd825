//! What the door says when the network fails a commit: `KAFKA=host:port cargo test --features kafka-tests`.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "conformance/proxy.rs"]
mod proxy;

use connect::door::{CommitOutcome, Fetched, IoError, KafkaIo, NewTopic, Partitioning, TopicPartition};
use connect::kafka::{Io, Settings};
use pipeline::record::{NewRecord, RecordBatch};
use proxy::{ADD_PARTITIONS_TO_TXN, END_TXN, FIND_COORDINATOR, OFFSET_COMMIT, PRODUCE, Proxy, Rule};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const PATIENCE: Duration = Duration::from_mins(2);

struct World {
    proxy: Proxy,
    settings: Settings,
    unique: String,
    at: TopicPartition,
}

impl World {
    fn new(test: &str) -> Self {
        let broker = std::env::var("KAFKA").expect("KAFKA=host:port names the broker that these tests use");
        let proxy = Proxy::to(&broker);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let unique = format!("{test}-{}-{now}", std::process::id());
        let settings = Settings {
            request_timeout_ms: 15_000,
            transaction_timeout_ms: 300_000,
            ..Settings::new(proxy.address(), "faults", &unique)
        };
        let at = TopicPartition { topic: unique.clone(), partition: 0 };
        let world = Self { proxy, settings, unique, at };
        let new = NewTopic { name: world.at.topic.clone(), partitions: 1 };
        world.connect("maker").ensure_topics(&[new]).unwrap();
        world
    }

    fn connect(&self, id: &str) -> Io {
        Io::connect(&self.settings, &format!("{}.{id}", self.unique)).unwrap()
    }

    /// A door that has committed once, so that all its connections stand.
    fn writer(&self, id: &str) -> Io {
        let mut io = self.connect(id);
        io.init_transactions().unwrap();
        self.begin(&mut io, "warm");
        assert_eq!(outcome(&mut io).unwrap(), CommitOutcome::Committed);
        io
    }

    fn begin(&self, io: &mut Io, value: &str) {
        io.begin().unwrap();
        self.produce(io, value);
    }

    fn produce(&self, io: &mut Io, value: &str) {
        let mut records = RecordBatch::new();
        records.push(NewRecord { timestamp_ms: 1, value: Some(value.as_bytes()), ..NewRecord::default() });
        io.produce(&self.at.topic, Partitioning::Exact(0), &records).unwrap();
    }

    /// Committed values, after everything open was fenced off.
    fn committed(&self, fenced: &[&str]) -> Vec<String> {
        let mut io = self.connect("auditor");
        let ids: Vec<String> = fenced.iter().map(|id| format!("{}.{id}", self.unique)).collect();
        io.fence(&ids).unwrap();
        let (_, high) = io.watermarks(std::slice::from_ref(&self.at)).unwrap()[0];
        io.assign(&[(self.at.clone(), 0)]).unwrap();
        let (mut values, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        loop {
            assert!(Instant::now() < deadline, "the end is not reached");
            let mut fetched = Vec::new();
            io.poll(Duration::from_millis(100), &mut fetched).unwrap();
            for what in fetched {
                match what {
                    Fetched::Records { batch, .. } => values.extend(
                        (0..batch.len())
                            .map(|row| String::from_utf8(batch.value(row).unwrap().to_vec()).unwrap()),
                    ),
                    Fetched::End { offset, .. } if offset >= high => return values,
                    Fetched::End { .. } => {}
                }
            }
        }
    }
}

fn outcome(io: &mut Io) -> Result<CommitOutcome, IoError> {
    let deadline = Instant::now() + PATIENCE;
    io.start_commit()?;
    loop {
        if let Some(outcome) = io.commit_outcome(Duration::from_millis(100))? {
            return Ok(outcome);
        }
        assert!(Instant::now() < deadline, "the commit did not end");
    }
}

#[test]
fn a_commit_that_was_sent_twice_is_unknown_and_its_late_copy_is_fenced_off() {
    let world = World::new("twice");
    let mut io = world.writer("a");
    world.begin(&mut io, "kept");
    let before = world.proxy.seen(END_TXN);
    world.proxy.rule(END_TXN, Rule::HoldAndCut);
    assert_eq!(outcome(&mut io).unwrap(), CommitOutcome::Unknown);
    assert!(world.proxy.seen(END_TXN) >= before + 2, "the client sends it again by itself");
    assert!(io.begin().is_err(), "this producer writes no more");
    drop(io);
    // The next life of the same worker: the first copy arrives in the middle of its transaction.
    let mut next = world.connect("a");
    next.init_transactions().unwrap();
    world.begin(&mut next, "half");
    assert_eq!(world.proxy.release(), 1);
    next.abort().unwrap();
    assert_eq!(world.committed(&["a"]), ["warm", "kept"]);
}

#[test]
fn a_commit_without_an_answer_is_unknown() {
    let world = World::new("swallowed");
    let mut io = world.writer("a");
    world.begin(&mut io, "kept");
    world.proxy.rule(END_TXN, Rule::SwallowAnswer);
    assert_eq!(outcome(&mut io).unwrap(), CommitOutcome::Unknown);
    assert_eq!(world.committed(&["a"]), ["warm", "kept"]);
}

#[test]
fn an_abort_without_an_answer_is_not_believed() {
    let world = World::new("abort");
    let mut io = world.writer("a");
    world.begin(&mut io, "dropped");
    world.proxy.rule(END_TXN, Rule::SwallowAnswer);
    assert!(matches!(io.abort(), Err(IoError::Lost { .. })));
    assert!(io.begin().is_err());
    assert_eq!(world.committed(&["a"]), ["warm"]);
}

#[test]
fn a_slow_answer_is_an_answer() {
    let world = World::new("slow");
    let mut io = world.writer("a");
    world.begin(&mut io, "kept");
    world.proxy.rule(END_TXN, Rule::Slow(Duration::from_millis(700)));
    io.start_commit().unwrap();
    assert_eq!(io.commit_outcome(Duration::from_millis(50)).unwrap(), None, "in flight");
    assert!(io.begin().is_err());
    let mut outcome = None;
    while outcome.is_none() {
        outcome = io.commit_outcome(Duration::from_millis(100)).unwrap();
    }
    assert_eq!(outcome, Some(CommitOutcome::Committed));
    assert_eq!(world.committed(&[]), ["warm", "kept"]);
}

#[test]
fn requests_before_the_commit_may_be_sent_again() {
    for request in [PRODUCE, ADD_PARTITIONS_TO_TXN] {
        let world = World::new(&format!("again-{request}"));
        let mut io = world.writer("a");
        world.proxy.rule(request, Rule::Cut);
        world.begin(&mut io, "kept");
        assert_eq!(outcome(&mut io).unwrap(), CommitOutcome::Committed, "{request}");
        world.begin(&mut io, "more");
        assert_eq!(outcome(&mut io).unwrap(), CommitOutcome::Committed);
        assert_eq!(world.committed(&[]), ["warm", "kept", "more"]);
    }
}

#[test]
fn a_broker_that_goes_away_is_told_and_reading_goes_on_when_it_is_back() {
    let world = World::new("away");
    let mut io = world.writer("a");
    let mut reader = world.connect("reader");
    reader.assign(&[(world.at.clone(), 0)]).unwrap();
    let mut fetched = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while !fetched.iter().any(|what| matches!(what, Fetched::End { offset: 2, .. })) {
        assert!(Instant::now() < deadline);
        reader.poll(Duration::from_millis(100), &mut fetched).unwrap();
    }
    world.proxy.close(true);
    let error = loop {
        assert!(Instant::now() < deadline, "nothing is said");
        if let Err(error) = reader.poll(Duration::from_millis(100), &mut fetched) {
            break error;
        }
    };
    assert!(matches!(error, IoError::Unreachable { .. }), "{error}");
    let error = io.describe(&world.at.topic).unwrap_err();
    assert!(matches!(error, IoError::Unreachable { .. }), "{error}");
    world.proxy.close(false);
    world.begin(&mut io, "later");
    assert_eq!(outcome(&mut io).unwrap(), CommitOutcome::Committed);
    fetched.clear();
    while fetched.is_empty() {
        assert!(Instant::now() < deadline, "nothing is read any more");
        drop(reader.poll(Duration::from_millis(100), &mut fetched));
    }
    assert!(matches!(&fetched[0], Fetched::Records { batch, .. } if batch.value(0) == Some(b"later")));
}

#[test]
fn offsets_of_the_group_never_hold_anything() {
    for request in [FIND_COORDINATOR, OFFSET_COMMIT] {
        let world = World::new(&format!("offsets-{request}"));
        let mut io = world.writer("a");
        io.assign(&[(world.at.clone(), 0)]).unwrap();
        world.proxy.rule(request, Rule::SwallowAnswer);
        let deadline = Instant::now() + PATIENCE;
        let before = world.proxy.seen(request);
        while world.proxy.seen(request) == before {
            assert!(Instant::now() < deadline, "{request} is not sent");
            io.commit_offsets(&[(world.at.clone(), 1)]);
            io.poll(Duration::from_millis(10), &mut Vec::new()).unwrap();
        }
        world.begin(&mut io, "kept");
        io.commit_offsets(&[(world.at.clone(), 2)]);
        assert_eq!(outcome(&mut io).unwrap(), CommitOutcome::Committed, "{request}");
        // Nor does a door that is closed while the broker is away wait for them.
        world.proxy.close(true);
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            drop(io);
            tell.send(()).unwrap();
        });
        told.recv_timeout(PATIENCE).expect("the door closes");
        world.proxy.close(false);
        assert_eq!(world.committed(&[]), ["warm", "kept"]);
    }
}
