//! How fast the door is, on Kafka (`KAFKA=host:port`) and in memory: records written and read, and the time of a commit.
//!
//! `cargo run --profile ci -p connect --features kafka-tests --example door_rate`

use connect::door::{CommitOutcome, Fetched, IoError, KafkaIo, NewTopic, Partitioning, TopicPartition};
use connect::{kafka, memory};
use pipeline::record::{NewRecord, RecordBatch};
use std::time::{Duration, Instant};

const PARTITIONS: u32 = 8;
const RECORDS: usize = 1_000_000;
const VALUE_BYTES: usize = 290;
const COMMITS: usize = 100;

fn main() -> Result<(), IoError> {
    let log = memory::Log::new(memory::Settings { wait: true, ..memory::Settings::default() });
    measure("memory", &mut log.connect("rate"), "rate")?;
    if let Ok(bootstrap) = std::env::var("KAFKA") {
        let unique = format!("rate-{}", std::process::id());
        let settings = kafka::Settings::new(bootstrap, "rate", &unique);
        let mut io = kafka::Io::connect(&settings, &unique)?;
        measure("kafka", &mut io, &unique)?;
        let begun = Instant::now();
        let ids: Vec<String> = (0..8).map(|n| format!("{unique}-{n}")).collect();
        io.fence(&ids)?;
        println!("kafka: fence 8 ids {:.1?}", begun.elapsed());
        io.delete_topics(&[unique])?;
    }
    Ok(())
}

fn measure(side: &str, io: &mut impl KafkaIo, topic: &str) -> Result<(), IoError> {
    let begun = Instant::now();
    io.ensure_topics(&[NewTopic { name: topic.to_owned(), partitions: PARTITIONS }])?;
    io.init_transactions()?;
    println!("{side}: topic and init {:.1?}", begun.elapsed());
    write(side, io, topic)?;
    read(side, io, topic)?;
    commits(side, io, topic)
}

fn write(side: &str, io: &mut impl KafkaIo, topic: &str) -> Result<(), IoError> {
    let value = vec![b'x'; VALUE_BYTES];
    let mut batch = RecordBatch::new();
    let begun = Instant::now();
    for some in 0..RECORDS / 50_000 {
        io.begin()?;
        for n in 0..50_000 {
            let key = ((some * 50_000 + n) as u64).to_be_bytes();
            let record =
                NewRecord { timestamp_ms: 1, key: Some(&key), value: Some(&value), ..NewRecord::default() };
            batch.push(record);
            if batch.len() == 2_000 {
                io.produce(topic, Partitioning::ByKey { unkeyed: 0 }, &batch)?;
                batch.clear();
            }
        }
        io.start_commit()?;
        let mut outcome = None;
        while outcome.is_none() {
            outcome = io.commit_outcome(Duration::from_secs(1))?;
        }
        assert_eq!(outcome, Some(CommitOutcome::Committed));
    }
    rate(side, "written", RECORDS, begun);
    Ok(())
}

fn read(side: &str, io: &mut impl KafkaIo, topic: &str) -> Result<(), IoError> {
    let all: Vec<_> =
        (0..PARTITIONS).map(|partition| (TopicPartition { topic: topic.to_owned(), partition }, 0)).collect();
    let begun = Instant::now();
    io.assign(&all)?;
    let (mut records, mut polls, mut batches) = (0, 0, 0);
    let mut fetched = Vec::new();
    while records < RECORDS {
        io.poll(Duration::from_millis(100), &mut fetched)?;
        polls += 1;
        for what in fetched.drain(..) {
            if let Fetched::Records { batch, .. } = what {
                records += batch.len();
                batches += 1;
            }
        }
    }
    rate(side, "read", records, begun);
    println!("{side}: {polls} polls, {batches} batches");
    let partitions: Vec<TopicPartition> = all.into_iter().map(|(at, _)| at).collect();
    io.unassign(&partitions)?;
    let begun = Instant::now();
    io.watermarks(&partitions)?;
    println!("{side}: watermarks of {PARTITIONS} partitions {:.1?}", begun.elapsed());
    Ok(())
}

/// Small commits, one after the other.
fn commits(side: &str, io: &mut impl KafkaIo, topic: &str) -> Result<(), IoError> {
    let mut batch = RecordBatch::new();
    batch.push(NewRecord { timestamp_ms: 1, value: Some(b"x"), ..NewRecord::default() });
    let mut times = Vec::new();
    for n in 0..COMMITS {
        let begun = Instant::now();
        io.begin()?;
        io.produce(topic, Partitioning::Exact(n as u32 % PARTITIONS), &batch)?;
        io.start_commit()?;
        while io.commit_outcome(Duration::from_secs(1))?.is_none() {}
        times.push(begun.elapsed());
    }
    times.sort();
    println!(
        "{side}: commit of one record p50 {:.1?} p95 {:.1?}",
        times[COMMITS / 2],
        times[COMMITS * 95 / 100]
    );
    Ok(())
}

fn rate(side: &str, what: &str, records: usize, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{side}: {what} {:.0} records/s ({seconds:.2} s)", records as f64 / seconds);
}
