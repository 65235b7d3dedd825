//! The numbered input, at a steady rate.

use super::{PARTITIONS, Topics, client};
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
/// The producer is idempotent: a broker restart neither loses nor repeats a record.
pub fn produce(bootstrap: &str, topics: &Topics, base_ms: i64, rate: u64, count: u64) -> anyhow::Result<()> {
    let producer: ThreadedProducer<DefaultProducerContext> = client(bootstrap)
        .set("enable.idempotence", "true")
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "5")
        .set("message.timeout.ms", "300000")
        .create()?;
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
