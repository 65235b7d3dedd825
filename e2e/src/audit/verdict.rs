//! Reads what came out and says what is lost, doubled or out of order.

use super::{PARTITIONS, Topics, client};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

/// Window length of the audited pipeline.
const WINDOW_MS: i64 = 5_000;

/// One record as read: partition, key, value.
type Row = (i32, Vec<u8>, Value);

/// What the comparison found. All but `expected_*` must be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Records that must come out one by one.
    pub expected_records: usize,
    /// Window rows that must come out.
    pub expected_windows: usize,
    /// Records and rows that are not there.
    pub lost: usize,
    /// Records and rows that are there more than once.
    pub duplicate: usize,
    /// Records behind a later one of the same key.
    pub reordered: usize,
    /// Window rows with wrong numbers, late records, dead letters, and records that must not be there.
    pub wrong: usize,
}

impl Verdict {
    /// True when nothing is wrong.
    pub fn is_clean(&self) -> bool {
        (self.lost, self.duplicate, self.reordered, self.wrong) == (0, 0, 0, 0)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { expected_records, expected_windows, lost, duplicate, reordered, wrong } = self;
        write!(
            f,
            "{expected_records} records and {expected_windows} window rows expected: \
             {lost} lost, {duplicate} duplicate, {reordered} out of order, {wrong} wrong"
        )
    }
}

/// Compares until everything expected is there, or the deadline; then once more, so that a late duplicate shows. So many
/// `keys` stood in the state. With `letters` a version made dead letters and was taken back: each record may be one, once.
pub fn wait(
    bootstrap: &str,
    topics: &Topics,
    (keys, letters): (u64, bool),
    deadline: Duration,
) -> anyhow::Result<Verdict> {
    let until = Instant::now() + deadline;
    let input = read(bootstrap, &topics.input)?;
    loop {
        let verdict = compare(bootstrap, topics, &input, (keys, letters))?;
        if verdict.lost == 0 || Instant::now() > until {
            return compare(bootstrap, topics, &input, (keys, letters));
        }
    }
}

fn compare(
    bootstrap: &str,
    topics: &Topics,
    input: &[Row],
    (keys, letters): (u64, bool),
) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    records(&mut verdict, input, &read(bootstrap, &topics.passed)?);
    windows(&mut verdict, input, &read(bootstrap, &topics.counts)?);
    stood(&mut verdict, keys, &read(bootstrap, &topics.stood)?);
    verdict.wrong += read(bootstrap, &topics.late)?.len();
    let dead = read(bootstrap, &topics.dead)?;
    if letters {
        let different: HashSet<u64> = dead.iter().map(|(_, _, value)| number(value)).collect();
        verdict.duplicate += dead.len() - different.len();
    } else {
        verdict.wrong += dead.len();
    }
    Ok(verdict)
}

fn number(row: &Value) -> u64 {
    row["n"].as_u64().unwrap_or(u64::MAX)
}

/// The filter of the pipeline, said again.
fn kept(row: &Value) -> bool {
    number(row) % 10 != 3
}

fn records(verdict: &mut Verdict, input: &[Row], output: &[Row]) {
    let expected: HashSet<u64> = input.iter().map(|(_, _, v)| number(v)).filter(|n| n % 10 != 3).collect();
    let mut seen = HashSet::new();
    let mut newest: HashMap<&[u8], u64> = HashMap::new();
    for (_, key, value) in output {
        let n = number(value);
        if !expected.contains(&n) {
            verdict.wrong += 1;
        } else if !seen.insert(n) {
            verdict.duplicate += 1;
        } else if newest.insert(key, n).is_some_and(|before| before > n) {
            verdict.reordered += 1;
        }
    }
    verdict.expected_records = expected.len();
    verdict.lost += expected.len() - seen.len();
}

/// Windows that the closing records close: all but their own.
fn windows(verdict: &mut Verdict, input: &[Row], output: &[Row]) {
    let mut expected: BTreeMap<(i64, String), (u64, u64)> = BTreeMap::new();
    for (_, _, value) in input.iter().filter(|(_, _, value)| kept(value)) {
        let start = value["ts"].as_i64().unwrap_or_default().div_euclid(WINDOW_MS) * WINDOW_MS;
        let sums =
            expected.entry((start, value["group"].as_str().unwrap_or_default().to_owned())).or_default();
        sums.0 += 1;
        sums.1 += number(value);
    }
    let mut seen = HashSet::new();
    for (_, _, row) in output {
        let start = row["window_start"].as_str().unwrap_or_default().parse::<jiff::Timestamp>();
        let start = start.map_or(0, jiff::Timestamp::as_millisecond);
        let key = (start, row["group"].as_str().unwrap_or_default().to_owned());
        let sums = (row["records"].as_u64().unwrap_or_default(), row["total"].as_u64().unwrap_or_default());
        match expected.get(&key) {
            _ if !seen.insert(key.clone()) => verdict.duplicate += 1,
            Some(right) if *right == sums => {}
            _ => verdict.wrong += 1,
        }
    }
    verdict.expected_windows = expected.len();
    verdict.lost += expected.keys().filter(|key| !seen.contains(key)).count();
}

/// A row for each key that stood in the state, from its only record.
fn stood(verdict: &mut Verdict, keys: u64, output: &[Row]) {
    let mut seen = HashSet::new();
    for (_, _, row) in output {
        let key = row["key"].as_str().and_then(|key| key.strip_prefix('s')?.parse::<u64>().ok());
        match key.filter(|key| *key < keys && row["records"] == 1) {
            None => verdict.wrong += 1,
            Some(key) if !seen.insert(key) => verdict.duplicate += 1,
            Some(_) => {}
        }
    }
    verdict.expected_windows += keys as usize;
    verdict.lost += keys as usize - seen.len();
}

/// Everything committed in a topic, partition by partition in offset order.
pub fn read(bootstrap: &str, topic: &str) -> anyhow::Result<Vec<Row>> {
    let consumer: BaseConsumer = client(bootstrap)
        .set("group.id", "audit")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let (mut rows, mut ended) = (Vec::new(), HashSet::new());
    let until = Instant::now() + Duration::from_secs(120);
    while ended.len() < PARTITIONS as usize {
        anyhow::ensure!(Instant::now() < until, "topic {topic} was not read to its end in time");
        match consumer.poll(Duration::from_millis(200)) {
            None => {}
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => anyhow::bail!("reading {topic}: {error}"),
            Some(Ok(message)) => {
                let value = serde_json::from_slice(message.payload().unwrap_or_default())?;
                rows.push((message.partition(), message.key().unwrap_or_default().to_vec(), value));
            }
        }
    }
    Ok(rows)
}
