//! The numbered input, at a steady rate.

use super::{PARTITIONS, Topics, client};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use std::time::{Duration, Instant};

/// Record `n`: its key, and its value with another key for the window.
pub fn record(n: u64, base_ms: i64, rate: u64) -> (String, String) {
    let key = format!("k{}", n % 61);
    let group = format!("g{}", n.wrapping_mul(7_919) % 101);
    let ts = base_ms + (n * 1_000 / rate) as i64;
    (key, format!(r#"{{"n":{n},"group":"{group}","ts":{ts},"padding":"abcdefghijklmnopqrstuvwxyz"}}"#))
}

/// Sends records `0..count` at `rate` per second, then one per partition that closes all windows before it.
pub fn produce(bootstrap: &str, topics: &Topics, base_ms: i64, rate: u64, count: u64) -> anyhow::Result<()> {
    let producer = producer(bootstrap)?;
    let began = Instant::now();
    let mut tick = rhythm(Duration::from_millis(5));
    let mut sent = 0;
    while sent < count {
        let due = (began.elapsed().as_millis() as u64 * rate / 1_000).min(count);
        while sent < due {
            let (key, value) = record(sent, base_ms, rate);
            send(&producer, BaseRecord::to(&topics.input).key(&key).payload(&value))?;
            sent += 1;
        }
        tick();
    }
    let ts = base_ms + (count * 1_000 / rate) as i64 + 60_000;
    let close = "close".to_owned();
    for partition in 0..PARTITIONS {
        let value = format!(r#"{{"n":3,"group":"close","ts":{ts}}}"#);
        let closing = BaseRecord::to(&topics.input).key(&close).payload(&value).partition(partition);
        send(&producer, closing)?;
    }
    producer.flush(Duration::from_secs(300))?;
    Ok(())
}

/// Sends one record for each of `keys` keys, all of one hour that is long over and stays open.
pub fn stand(bootstrap: &str, topics: &Topics, base_ms: i64, keys: u64) -> anyhow::Result<()> {
    let ts = base_ms - 3 * HOUR_MS;
    let all = (0..keys).map(|n| (format!("s{n}"), format!(r#"{{"key":"s{n}","ts":{ts}}}"#), None));
    send_all(bootstrap, &topics.standing, all)
}

/// Waits until the pipeline has committed that it has read all of them, as its consumer group says.
pub fn await_standing(bootstrap: &str, topics: &Topics, group: &str, keys: u64) -> anyhow::Result<()> {
    if keys == 0 {
        return Ok(());
    }
    let consumer: BaseConsumer = client(bootstrap).set("group.id", group).create()?;
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range(&topics.standing, 0, PARTITIONS - 1);
    let until = Instant::now() + Duration::from_secs(180);
    let mut tick = rhythm(Duration::from_millis(200));
    while Instant::now() < until {
        let committed = consumer.committed_offsets(partitions.clone(), Duration::from_secs(10))?;
        let elements = committed.elements();
        let read = elements.iter().filter_map(|element| element.offset().to_raw()).filter(|at| *at > 0);
        if read.sum::<i64>() >= keys as i64 {
            return Ok(());
        }
        tick();
    }
    anyhow::bail!("{keys} keys were not read in time")
}

/// Closes that hour: a record of now in every partition.
pub fn stand_no_longer(bootstrap: &str, topics: &Topics, base_ms: i64) -> anyhow::Result<()> {
    let value = format!(r#"{{"key":"close","ts":{base_ms}}}"#);
    let all = (0..PARTITIONS).map(|partition| ("close".to_owned(), value.clone(), Some(partition)));
    send_all(bootstrap, &topics.standing, all)
}

const HOUR_MS: i64 = 3_600_000;

fn send_all(
    bootstrap: &str,
    topic: &str,
    records: impl Iterator<Item = (String, String, Option<i32>)>,
) -> anyhow::Result<()> {
    let producer = producer(bootstrap)?;
    for (key, value, partition) in records {
        let mut record = BaseRecord::to(topic).key(&key).payload(&value);
        if let Some(partition) = partition {
            record = record.partition(partition);
        }
        send(&producer, record)?;
    }
    producer.flush(Duration::from_secs(300))?;
    Ok(())
}

/// Idempotent: a broker restart neither loses nor repeats a record.
fn producer(bootstrap: &str) -> anyhow::Result<ThreadedProducer<DefaultProducerContext>> {
    let producer = client(bootstrap)
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "300000")
        .create()?;
    Ok(producer)
}

/// Waits for the next beat of a steady rhythm.
fn rhythm(every: Duration) -> impl FnMut() {
    let mut next = Instant::now();
    move || {
        next += every;
        while let Some(left) = next.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(left);
        }
    }
}

/// Queues a record; a full queue is waited for.
fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    record: BaseRecord<'_, String, String>,
) -> anyhow::Result<()> {
    let mut record = record;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.flush(Duration::from_millis(100)).ok();
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}
