//! What both sides of the log have to do alike, as functions over a [`Side`].

use connect::door::{
    CommitOutcome, Fetched, IoError, KafkaIo, NewTopic, Partitioning, TopicInfo, TopicPartition,
};
use connect::partitioner::partition_of;
use pipeline::record::{NewRecord, RecordBatch};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A log to be tested. Names of topics and ids are new for each test.
pub trait Side {
    type Io: KafkaIo;

    /// A door with this transactional id, which the side makes unique.
    fn connect(&self, id: &str) -> Self::Io;

    /// The id as the log knows it.
    fn id(&self, id: &str) -> String;

    /// A name of a topic that does not exist.
    fn name(&self, topic: &str) -> String;

    /// A new topic with `max.message.bytes`.
    fn topic_with_limit(&self, topic: &str, bytes: usize) -> String;

    /// What a consumer group has committed.
    fn group_offset(&self, of: &TopicPartition) -> Option<i64>;

    /// A door that was initialised.
    fn writer(&self, id: &str) -> Self::Io {
        let mut io = self.connect(id);
        io.init_transactions().unwrap();
        io
    }

    fn topic(&self, topic: &str, partitions: u32) -> String {
        let name = self.name(topic);
        let mut io = self.connect("maker");
        io.ensure_topics(&[NewTopic { name: name.clone(), partitions }]).unwrap();
        name
    }
}

const PATIENCE: Duration = Duration::from_mins(2);

fn at(topic: &str, partition: u32) -> TopicPartition {
    TopicPartition { topic: topic.to_owned(), partition }
}

fn batch<'a>(values: impl IntoIterator<Item = &'a str>) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for value in values {
        batch.push(NewRecord { timestamp_ms: 1_000, value: Some(value.as_bytes()), ..NewRecord::default() });
    }
    batch
}

fn produce(io: &mut impl KafkaIo, to: &TopicPartition, values: &[&str]) {
    let records = batch(values.iter().copied());
    io.produce(&to.topic, Partitioning::Exact(to.partition), &records).unwrap();
}

fn outcome(io: &mut impl KafkaIo) -> Result<CommitOutcome, IoError> {
    let deadline = Instant::now() + PATIENCE;
    io.start_commit()?;
    loop {
        if let Some(outcome) = io.commit_outcome(Duration::from_millis(100))? {
            return Ok(outcome);
        }
        assert!(Instant::now() < deadline, "the commit did not end");
    }
}

fn commit(io: &mut impl KafkaIo) {
    assert_eq!(outcome(io).unwrap(), CommitOutcome::Committed);
}

fn write(io: &mut impl KafkaIo, to: &TopicPartition, values: &[&str]) {
    io.begin().unwrap();
    produce(io, to, values);
    commit(io);
}

/// What was read of partitions: records with offset and value, and the end that was told last.
#[derive(Default, Debug)]
struct Seen {
    records: BTreeMap<TopicPartition, Vec<(i64, String)>>,
    ends: BTreeMap<TopicPartition, i64>,
}

impl Seen {
    fn poll(&mut self, io: &mut impl KafkaIo) -> Result<(), IoError> {
        let mut fetched = Vec::new();
        io.poll(Duration::from_millis(100), &mut fetched)?;
        for what in fetched {
            match what {
                Fetched::Records { from, batch } => {
                    assert!(!batch.is_empty());
                    let seen = self.records.entry(from).or_default();
                    for (row, record) in batch.records().iter().enumerate() {
                        let value = batch.value(row).map(|v| String::from_utf8_lossy(v).into_owned());
                        seen.push((record.offset, value.unwrap_or_default()));
                    }
                }
                Fetched::End { of, offset } => drop(self.ends.insert(of, offset)),
            }
        }
        Ok(())
    }

    /// Polls until the end of a partition was told at this offset or a later one.
    fn until_end(&mut self, io: &mut impl KafkaIo, of: &TopicPartition, offset: i64) {
        self.until(io, |seen| seen.ends.get(of).is_some_and(|end| *end >= offset));
    }

    fn until(&mut self, io: &mut impl KafkaIo, done: impl Fn(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            self.poll(io).unwrap();
            assert!(Instant::now() < deadline, "not in time: {self:?}");
        }
    }

    fn of(&self, at: &TopicPartition) -> Vec<(i64, &str)> {
        self.records.get(at).into_iter().flatten().map(|(o, v)| (*o, v.as_str())).collect()
    }

    fn values(&self, at: &TopicPartition) -> Vec<&str> {
        self.of(at).into_iter().map(|(_, value)| value).collect()
    }
}

/// Markers are written after the commit was answered, so a high watermark may be a moment late.
fn await_high(io: &mut impl KafkaIo, of: &TopicPartition, high: i64) {
    let deadline = Instant::now() + PATIENCE;
    while io.watermarks(std::slice::from_ref(of)).unwrap()[0].1 < high {
        assert!(Instant::now() < deadline, "the log does not grow to {high}");
    }
}

/// Reads a partition from an offset to its high watermark.
fn read(io: &mut impl KafkaIo, of: &TopicPartition, from: i64) -> Seen {
    let (_, high) = io.watermarks(std::slice::from_ref(of)).unwrap()[0];
    io.assign(&[(of.clone(), from)]).unwrap();
    let mut seen = Seen::default();
    seen.until_end(io, of, high);
    io.unassign(std::slice::from_ref(of)).unwrap();
    seen
}

pub fn committed_records_are_read_in_order_and_aborted_ones_are_skipped<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut io = side.writer("a");
    write(&mut io, &t, &["a", "b", "c"]);
    io.begin().unwrap();
    produce(&mut io, &t, &["x", "y"]);
    io.abort().unwrap();
    write(&mut io, &t, &["d"]);
    await_high(&mut io, &t, 9);
    assert_eq!(io.watermarks(std::slice::from_ref(&t)).unwrap(), [(0, 9)], "a marker takes an offset");
    let seen = read(&mut side.connect("reader"), &t, 0);
    assert_eq!(seen.of(&t), [(0, "a"), (1, "b"), (2, "c"), (7, "d")]);
    assert_eq!(seen.ends[&t], 9, "the end is behind the last marker");
}

pub fn an_open_transaction_holds_back_what_comes_after_it<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let (mut slow, mut fast) = (side.writer("slow"), side.writer("fast"));
    slow.begin().unwrap();
    produce(&mut slow, &t, &["1"]);
    // What was queued is known to be written when the log has grown.
    await_high(&mut slow, &t, 1);
    write(&mut fast, &t, &["2"]);
    let mut reader = side.connect("reader");
    reader.assign(&[(t.clone(), 0)]).unwrap();
    let mut seen = Seen::default();
    seen.until_end(&mut reader, &t, 0);
    assert_eq!(seen.ends[&t], 0, "nothing is stable yet");
    assert!(seen.of(&t).is_empty());
    // The high watermark counts what is open.
    await_high(&mut reader, &t, 3);
    commit(&mut slow);
    seen.until_end(&mut reader, &t, 4);
    assert_eq!(seen.of(&t), [(0, "1"), (1, "2")]);
}

pub fn a_new_epoch_fences_the_old_one_and_aborts_its_transaction<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut old = side.writer("a");
    write(&mut old, &t, &["kept"]);
    old.begin().unwrap();
    produce(&mut old, &t, &["lost"]);
    let mut new = side.writer("a");
    let fenced = outcome(&mut old).unwrap_err();
    assert!(matches!(fenced, IoError::Fenced { .. }), "{fenced}");
    assert!(old.begin().is_err(), "a fenced producer never writes again");
    write(&mut new, &t, &["new"]);
    assert_eq!(read(&mut new, &t, 0).values(&t), ["kept", "new"]);
}

pub fn fencing_other_ids_aborts_what_they_have_open<S: Side>(side: &S) {
    let t = at(&side.topic("t", 3), 0);
    let mut others: Vec<S::Io> = (0..3)
        .map(|n| {
            let mut io = side.writer(&format!("other-{n}"));
            io.begin().unwrap();
            produce(&mut io, &at(&t.topic, n), &["lost"]);
            io
        })
        .collect();
    let mut io = side.writer("new");
    let mut ids: Vec<String> = (0..3).map(|n| side.id(&format!("other-{n}"))).collect();
    ids.push(side.id("an id that nobody had"));
    io.fence(&ids).unwrap();
    for other in &mut others {
        let fenced = outcome(other).unwrap_err();
        assert!(matches!(fenced, IoError::Fenced { .. }), "{fenced}");
    }
    for n in 0..3 {
        assert!(read(&mut io, &at(&t.topic, n), 0).records.is_empty());
    }
    write(&mut io, &t, &["mine"]);
}

pub fn a_transaction_needs_its_steps_in_order<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut io = side.connect("a");
    assert!(io.begin().is_err(), "before init_transactions");
    io.init_transactions().unwrap();
    assert!(io.produce(&t.topic, Partitioning::Exact(0), &batch(["x"])).is_err(), "before begin");
    assert!(io.start_commit().is_err() && io.abort().is_err());
    assert!(io.commit_outcome(Duration::ZERO).is_err());
    io.begin().unwrap();
    assert!(io.begin().is_err(), "twice");
    commit(&mut io);
    io.begin().unwrap();
    io.abort().unwrap();
    assert_eq!(io.watermarks(std::slice::from_ref(&t)).unwrap(), [(0, 0)], "nothing leaves no marker");
    write(&mut io, &t, &["a"]);
}

pub fn nothing_is_visible_before_the_commit<S: Side>(side: &S) {
    let t = at(&side.topic("t", 2), 0);
    let u = at(&t.topic, 1);
    let mut io = side.writer("a");
    io.begin().unwrap();
    produce(&mut io, &t, &["1", "2"]);
    produce(&mut io, &u, &["3"]);
    produce(&mut io, &t, &["4"]);
    let mut reader = side.connect("reader");
    reader.assign(&[(t.clone(), 0), (u.clone(), 0)]).unwrap();
    let mut seen = Seen::default();
    seen.until(&mut reader, |seen| seen.ends.len() == 2);
    assert!(seen.records.is_empty());
    commit(&mut io);
    seen.until(&mut reader, |seen| seen.ends[&t] == 4 && seen.ends[&u] == 2);
    assert_eq!(seen.of(&t), [(0, "1"), (1, "2"), (2, "4")]);
    assert_eq!(seen.of(&u), [(0, "3")]);
}

pub fn all_parts_of_a_record_survive<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut records = RecordBatch::new();
    let every = [None, Some(&b""[..]), Some(b"\x00\xff"), Some(b"text")];
    for key in every {
        for value in every {
            records.push(NewRecord { offset: 0, timestamp_ms: 1_700_000_000_123, key, value });
        }
    }
    for (name, value) in [("a", Some(&b"1"[..])), ("a", None), ("ä", Some(b"")), ("b", Some(b"\xff"))] {
        records.push_header(name.as_bytes(), value);
    }
    records.push(NewRecord { timestamp_ms: 5, value: Some(b"early"), ..NewRecord::default() });
    let mut io = side.writer("a");
    io.begin().unwrap();
    io.produce(&t.topic, Partitioning::Exact(0), &records).unwrap();
    commit(&mut io);
    io.assign(&[(t, 0)]).unwrap();
    let mut got = RecordBatch::new();
    let deadline = Instant::now() + PATIENCE;
    while got.len() < records.len() {
        assert!(Instant::now() < deadline, "{got:?}");
        let mut fetched = Vec::new();
        io.poll(Duration::from_millis(100), &mut fetched).unwrap();
        for what in fetched {
            if let Fetched::Records { batch, .. } = what {
                (0..batch.len()).for_each(|row| got.push_from(&batch, row));
            }
        }
    }
    for row in 0..records.len() {
        assert_eq!(got.records()[row].offset, row as i64);
        assert_eq!(got.records()[row].timestamp_ms, records.records()[row].timestamp_ms);
        assert_eq!(got.key(row), records.key(row), "key {row}");
        assert_eq!(got.value(row), records.value(row), "value {row}");
        assert!(got.headers(row).eq(records.headers(row)), "headers {row}");
    }
}

pub fn keys_decide_the_partition_as_in_the_java_client<S: Side>(side: &S) {
    let topic = side.topic("t", 5);
    let mut records = RecordBatch::new();
    let keys: Vec<String> = (0..40).map(|n| format!("key-{n}")).collect();
    for key in &keys {
        records.push(NewRecord {
            key: Some(key.as_bytes()),
            value: Some(key.as_bytes()),
            ..NewRecord::default()
        });
    }
    records.push(NewRecord { value: Some(b"unkeyed"), ..NewRecord::default() });
    let to = Partitioning::ByKey { unkeyed: 8 };
    let mut io = side.writer("a");
    io.begin().unwrap();
    io.produce(&topic, to, &records).unwrap();
    commit(&mut io);
    for partition in 0..5 {
        let t = at(&topic, partition);
        let mut expected: Vec<&str> = keys
            .iter()
            .filter(|key| partition_of(to, Some(key.as_bytes()), 5) == partition)
            .map(String::as_str)
            .collect();
        if partition == 3 {
            expected.push("unkeyed");
        }
        assert_eq!(read(&mut io, &t, 0).values(&t), expected);
    }
}

pub fn assigning_again_moves_the_position<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut io = side.writer("a");
    let values: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    write(&mut io, &t, &values.iter().map(String::as_str).collect::<Vec<_>>());
    io.assign(&[(t.clone(), 0)]).unwrap();
    Seen::default().until_end(&mut io, &t, 101);
    for (from, first) in [(90, Some("90")), (10, Some("10")), (0, Some("0")), (99, Some("99")), (101, None)] {
        io.assign(&[(t.clone(), from)]).unwrap();
        let mut seen = Seen::default();
        seen.until_end(&mut io, &t, 101);
        assert_eq!(seen.values(&t).first().copied(), first);
        assert_eq!(seen.of(&t).len(), 100_usize.saturating_sub(from as usize), "from {from}");
    }
    // Without waiting for what was asked before.
    for from in [0, 50, 20, 70] {
        io.assign(&[(t.clone(), from)]).unwrap();
    }
    let mut seen = Seen::default();
    seen.until_end(&mut io, &t, 101);
    assert_eq!(seen.values(&t).first(), Some(&"70"));
    assert_eq!(seen.of(&t).len(), 30);
}

pub fn an_unassigned_partition_is_silent_and_can_come_back<S: Side>(side: &S) {
    let topic = side.topic("t", 2);
    let (t, u) = (at(&topic, 0), at(&topic, 1));
    let mut io = side.writer("a");
    write(&mut io, &t, &["1", "2"]);
    write(&mut io, &u, &["3"]);
    io.assign(&[(t.clone(), 0), (u.clone(), 0)]).unwrap();
    io.unassign(std::slice::from_ref(&t)).unwrap();
    let mut seen = Seen::default();
    seen.until_end(&mut io, &u, 2);
    assert_eq!((seen.of(&t), seen.values(&u)), (vec![], vec!["3"]));
    io.assign(&[(t.clone(), 1)]).unwrap();
    seen.until_end(&mut io, &t, 3);
    assert_eq!(seen.of(&t), [(1, "2")]);
    write(&mut io, &u, &["4"]);
    seen.until_end(&mut io, &u, 4);
    assert_eq!(seen.values(&u), ["3", "4"], "the other one went on");
}

pub fn a_paused_partition_keeps_its_position<S: Side>(side: &S) {
    let topic = side.topic("t", 2);
    let (t, u) = (at(&topic, 0), at(&topic, 1));
    let mut io = side.writer("a");
    write(&mut io, &t, &["1"]);
    io.assign(&[(t.clone(), 0), (u.clone(), 0)]).unwrap();
    let mut seen = Seen::default();
    seen.until_end(&mut io, &t, 2);
    io.pause(std::slice::from_ref(&t), true).unwrap();
    write(&mut io, &t, &["2", "3"]);
    write(&mut io, &u, &["x"]);
    seen.until_end(&mut io, &u, 2);
    seen.poll(&mut io).unwrap();
    assert_eq!(seen.values(&t), ["1"], "paused");
    io.pause(std::slice::from_ref(&t), false).unwrap();
    seen.until_end(&mut io, &t, 5);
    assert_eq!(seen.of(&t), [(0, "1"), (2, "2"), (3, "3")]);
}

pub fn the_end_is_told_again_when_it_moves_and_after_an_assignment<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut io = side.writer("a");
    io.assign(&[(t.clone(), 0)]).unwrap();
    let mut seen = Seen::default();
    seen.until_end(&mut io, &t, 0);
    for n in 1..=3 {
        write(&mut io, &t, &["x"]);
        seen.until_end(&mut io, &t, 2 * n);
        assert_eq!(seen.ends[&t], 2 * n, "behind the marker");
    }
    io.begin().unwrap();
    produce(&mut io, &t, &["aborted"]);
    io.abort().unwrap();
    seen.until_end(&mut io, &t, 8);
    assert_eq!(seen.of(&t).len(), 3);
    io.assign(&[(t.clone(), 8)]).unwrap();
    seen.ends.clear();
    seen.until_end(&mut io, &t, 8);
}

pub fn a_position_outside_the_log_fails_closed<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut io = side.writer("a");
    write(&mut io, &t, &["1", "2", "3"]);
    await_high(&mut io, &t, 4);
    io.delete_records(&[(t.clone(), 2)]).unwrap();
    assert_eq!(io.watermarks(std::slice::from_ref(&t)).unwrap(), [(2, 4)]);
    assert_eq!(read(&mut io, &t, 2).of(&t), [(2, "3")]);
    for wrong in [1, 5, 1_000] {
        let mut reader = side.connect("reader");
        reader.assign(&[(t.clone(), wrong)]).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let error = loop {
            if let Err(error) = Seen::default().poll(&mut reader) {
                break error;
            }
            assert!(Instant::now() < deadline, "no error for {wrong}");
        };
        assert!(
            matches!(&error, IoError::OffsetOutOfRange { partition: 0, offset, .. } if *offset == wrong),
            "{wrong}: {error}"
        );
    }
    let beyond = io.delete_records(&[(t, 100)]).unwrap_err();
    assert!(matches!(beyond, IoError::OffsetOutOfRange { offset: 100, .. }), "{beyond}");
}

pub fn offsets_are_found_by_time<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut records = RecordBatch::new();
    for timestamp_ms in [1_000, 2_000, 3_000] {
        records.push(NewRecord { timestamp_ms, value: Some(b"x"), ..NewRecord::default() });
    }
    let mut io = side.writer("a");
    assert_eq!(io.offset_at(&t, 0).unwrap(), 0, "of an empty partition");
    io.begin().unwrap();
    io.produce(&t.topic, Partitioning::Exact(0), &records).unwrap();
    commit(&mut io);
    await_high(&mut io, &t, 4);
    for (time, offset) in [(i64::MIN, 0), (0, 0), (1_000, 0), (1_001, 1), (3_000, 2)] {
        assert_eq!(io.offset_at(&t, time).unwrap(), offset, "at {time}");
    }
    let behind = io.offset_at(&t, 3_001).unwrap();
    assert!(behind == 3 || behind == 4, "behind the records, before or after the marker: {behind}");
}

pub fn topics_are_described_and_a_new_topic_of_the_same_name_is_another<S: Side>(side: &S) {
    let mut io = side.connect("a");
    let missing = side.name("missing");
    assert_eq!(io.describe(&missing).unwrap(), None);
    let topic = side.topic("t", 3);
    let first: TopicInfo = io.describe(&topic).unwrap().unwrap();
    assert_eq!(first.partitions, 3);
    assert!(first.message_bytes_max >= 1_000_000 && !first.id.is_empty());
    assert_eq!(io.describe(&topic).unwrap().unwrap(), first);
    assert!(io.topics().unwrap().contains(&topic));
    io.delete_topics(&[topic.clone(), missing]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while io.describe(&topic).unwrap().is_some() {
        assert!(Instant::now() < deadline);
    }
    io.ensure_topics(&[NewTopic { name: topic.clone(), partitions: 3 }]).unwrap();
    let second = io.describe(&topic).unwrap().unwrap();
    assert_ne!(first.id, second.id);
}

pub fn own_topics_are_made_once_and_verified<S: Side>(side: &S) {
    let mut io = side.connect("a");
    let wanted: Vec<NewTopic> =
        (1..4).map(|n| NewTopic { name: side.name(&format!("own-{n}")), partitions: n }).collect();
    io.ensure_topics(&wanted[..2]).unwrap();
    let id = io.describe(&wanted[0].name).unwrap().unwrap().id;
    io.ensure_topics(&wanted).unwrap();
    assert_eq!(io.describe(&wanted[0].name).unwrap().unwrap().id, id);
    assert_eq!(io.describe(&wanted[2].name).unwrap().unwrap().partitions, 3);
    let other = NewTopic { partitions: 7, ..wanted[1].clone() };
    let refused = io.ensure_topics(&[other]).unwrap_err();
    assert!(matches!(refused, IoError::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains(&wanted[1].name), "{refused}");
    let strangers = side.topic_with_limit("stranger", 1_000_000);
    let refused = io.ensure_topics(&[NewTopic { name: strangers, partitions: 1 }]).unwrap_err();
    assert!(refused.to_string().contains("stranger"), "{refused}");
}

pub fn what_does_not_exist_or_does_not_fit_is_named<S: Side>(side: &S) {
    let mut io = side.writer("a");
    let missing = side.name("missing");
    let not_found = |error: &IoError| matches!(error, IoError::TopicNotFound { topic } if *topic == missing);
    assert!(not_found(&io.assign(&[(at(&missing, 0), 0)]).unwrap_err()));
    io.begin().unwrap();
    assert!(not_found(&io.produce(&missing, Partitioning::Exact(0), &batch(["x"])).unwrap_err()));
    let small = side.topic_with_limit("small", 10_000);
    assert_eq!(io.describe(&small).unwrap().unwrap().message_bytes_max, 10_000);
    let long = "x".repeat(10_001);
    let error = io.produce(&small, Partitioning::Exact(0), &batch([long.as_str()])).unwrap_err();
    assert!(matches!(&error, IoError::TooLarge { topic, bytes: 10_001 } if *topic == small), "{error}");
    // Many that fit one by one fit together.
    let fits = "y".repeat(3_000);
    let many = batch(std::iter::repeat_n(fits.as_str(), 50));
    io.produce(&small, Partitioning::Exact(0), &many).unwrap();
    commit(&mut io);
    assert_eq!(read(&mut io, &at(&small, 0), 0).of(&at(&small, 0)).len(), 50);
}

pub fn group_offsets_are_told_beside_the_transactions<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut io = side.writer("a");
    io.assign(&[(t.clone(), 0)]).unwrap();
    io.begin().unwrap();
    let deadline = Instant::now() + PATIENCE;
    for offset in [5, 9] {
        while side.group_offset(&t) != Some(offset) {
            assert!(Instant::now() < deadline);
            io.commit_offsets(&[(t.clone(), offset)]);
            io.poll(Duration::from_millis(10), &mut Vec::new()).unwrap();
        }
    }
    io.abort().unwrap();
    assert_eq!(side.group_offset(&t), Some(9));
}

pub fn a_large_transaction_is_whole_and_in_order<S: Side>(side: &S) {
    const RECORDS: u32 = 30_000;
    let topic = side.topic("t", 3);
    let mut io = side.writer("a");
    io.begin().unwrap();
    let mut records = RecordBatch::new();
    for n in 0..RECORDS {
        let (key, value) = (format!("{}", n % 97), format!("{n:0100}"));
        records.push(NewRecord {
            timestamp_ms: 1,
            key: Some(key.as_bytes()),
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        });
        if records.len() == 1_000 {
            io.produce(&topic, Partitioning::ByKey { unkeyed: 0 }, &records).unwrap();
            records.clear();
        }
    }
    commit(&mut io);
    let mut all = Vec::new();
    for partition in 0..3 {
        let t = at(&topic, partition);
        let seen = read(&mut io, &t, 0);
        let numbers: Vec<u32> = seen.values(&t).iter().map(|value| value.parse().unwrap()).collect();
        assert!(numbers.is_sorted(), "partition {partition}");
        all.extend(numbers);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..RECORDS));
}

pub fn many_transactions_follow_each_other<S: Side>(side: &S) {
    let t = at(&side.topic("t", 1), 0);
    let mut io = side.writer("a");
    let mut expected = Vec::new();
    for n in 0..40 {
        let value = n.to_string();
        io.begin().unwrap();
        produce(&mut io, &t, &[&value]);
        if n % 4 == 3 {
            io.abort().unwrap();
        } else {
            commit(&mut io);
            expected.push((2 * n, value));
        }
    }
    await_high(&mut io, &t, 80);
    let seen = read(&mut io, &t, 0);
    assert!(seen.of(&t).into_iter().eq(expected.iter().map(|(offset, value)| (*offset, value.as_str()))));
}

/// Makes a test of each case.
#[macro_export]
macro_rules! conformance {
    ($side:expr) => {
        $crate::conformance! { $side =>
            committed_records_are_read_in_order_and_aborted_ones_are_skipped
            an_open_transaction_holds_back_what_comes_after_it
            a_new_epoch_fences_the_old_one_and_aborts_its_transaction
            fencing_other_ids_aborts_what_they_have_open
            a_transaction_needs_its_steps_in_order
            nothing_is_visible_before_the_commit
            all_parts_of_a_record_survive
            keys_decide_the_partition_as_in_the_java_client
            assigning_again_moves_the_position
            an_unassigned_partition_is_silent_and_can_come_back
            a_paused_partition_keeps_its_position
            the_end_is_told_again_when_it_moves_and_after_an_assignment
            a_position_outside_the_log_fails_closed
            offsets_are_found_by_time
            topics_are_described_and_a_new_topic_of_the_same_name_is_another
            own_topics_are_made_once_and_verified
            what_does_not_exist_or_does_not_fit_is_named
            group_offsets_are_told_beside_the_transactions
            a_large_transaction_is_whole_and_in_order
            many_transactions_follow_each_other
        }
    };
    ($side:expr => $($case:ident)+) => {
        $(#[test]
        fn $case() {
            cases::$case(&$side(stringify!($case)));
        })+
    };
}
