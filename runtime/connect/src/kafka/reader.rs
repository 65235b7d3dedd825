//! The reading side: one consumer, partitions assigned by hand, each with a queue of its own.
//!
//! A queue per partition is what tells whose end was reached; it also bounds what is fetched ahead per partition, so that
//! pausing is simply not looking. Records are copied out of the client at once, into one buffer per partition.

use super::context::Context;
use super::error::Origin;
use super::lookup::list;
use super::settings::Settings;
use crate::door::{Fetched, IoError, TopicPartition};
use pipeline::record::{NewRecord, RecordBatch};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::Offset;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most records and bytes of one batch.
const BATCH_RECORDS_MAX: usize = 16_384;
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Most bytes of one poll.
const POLL_BYTES_MAX: usize = 8 << 20;
/// Most events that one poll serves beside records.
const EVENTS_MAX: usize = 64;
const COMMIT_OFFSETS: &str = "commit_offsets";

pub(super) struct Reader {
    consumer: Arc<BaseConsumer<Context>>,
    reading: Vec<Reading>,
    /// Where the next poll starts, so that no partition starves.
    turn: usize,
    signal: Arc<Signal>,
    bootstrap: String,
    timeout: Duration,
}

struct Reading {
    at: TopicPartition,
    queue: PartitionQueue<Context>,
    position: i64,
    paused: bool,
}

/// Raised when a queue has something.
#[derive(Default)]
struct Signal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn lower(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// False when the deadline came first.
    fn wait(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(raised, left, |raised| !*raised);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Reader {
    pub fn new(settings: &Settings) -> Result<Self, IoError> {
        let mut consumer: BaseConsumer<Context> =
            settings.reader().create_with_context(Context::default()).map_err(|error: KafkaError| {
                IoError::Lost { operation: "make a consumer", detail: error.to_string() }
            })?;
        let signal = Arc::new(Signal::default());
        let raised = Arc::clone(&signal);
        consumer.set_nonempty_callback(move || raised.raise());
        Ok(Self {
            consumer: Arc::new(consumer),
            reading: Vec::new(),
            turn: 0,
            signal,
            bootstrap: settings.bootstrap_servers.clone(),
            timeout: Duration::from_millis(u64::from(settings.request_timeout_ms)),
        })
    }

    /// Sends offsets of the group, unless those before them are still on their way. The client waits for the answer, and
    /// for a coordinator before that, so a thread of its own does; it outlives this reader rather than being waited for.
    pub fn commit_offsets(&self, offsets: &[(TopicPartition, i64)]) {
        if offsets.is_empty() || !self.consumer.context().begin_group_commit() {
            return;
        }
        let offsets = offsets.iter().map(|(at, offset)| (at, Offset::Offset(*offset)));
        let listed = list(offsets, self.origin(COMMIT_OFFSETS, None), self.consumer.context());
        let consumer = Arc::clone(&self.consumer);
        let spawned = listed.map_err(|error| error.to_string()).and_then(|offsets| {
            let commit = move || {
                let sent = consumer.commit(&offsets, CommitMode::Sync);
                if let Err(error) = &sent {
                    tracing::debug!(target: "kafka", "offsets of the group were not taken: {error}");
                }
                let code = sent.err().and_then(|error| error.rdkafka_error_code());
                consumer.context().end_group_commit(code);
            };
            let thread = std::thread::Builder::new().name("kafka-group".to_owned());
            thread.spawn(commit).map_err(|error| error.to_string())
        });
        if let Err(error) = spawned {
            self.consumer.context().end_group_commit(None);
            tracing::debug!(target: "kafka", "offsets of the group were not sent: {error}");
        }
    }

    pub fn assign(&mut self, from: &[(TopicPartition, i64)]) -> Result<(), IoError> {
        let (moved, new): (Vec<_>, Vec<_>) =
            from.iter().partition(|(at, _)| self.reading.iter().any(|reading| reading.at == *at));
        self.seek(&moved)?;
        if new.is_empty() {
            return Ok(());
        }
        // Queues first: what is fetched must find them.
        for (at, position) in &new {
            let queue = self.consumer.split_partition_queue(&at.topic, at.partition as i32);
            let mut queue = queue.ok_or_else(|| IoError::TopicNotFound { topic: at.topic.clone() })?;
            let raised = Arc::clone(&self.signal);
            queue.set_nonempty_callback(move || raised.raise());
            self.reading.push(Reading { at: at.clone(), queue, position: *position, paused: false });
        }
        let origin = self.origin("assign", new.first().map(|(at, _)| at.topic.as_str()));
        let positions = new.iter().map(|(at, position)| (at, Offset::Offset(*position)));
        let positions = list(positions, origin, self.consumer.context())?;
        self.consumer
            .incremental_assign(&positions)
            .map_err(|error| origin.error(&error, self.consumer.context()))
    }

    /// Moves partitions; the client drops what it had fetched of the old positions.
    fn seek(&mut self, moved: &[&(TopicPartition, i64)]) -> Result<(), IoError> {
        if moved.is_empty() {
            return Ok(());
        }
        let origin = self.origin("seek", moved.first().map(|(at, _)| at.topic.as_str()));
        let context = self.consumer.context();
        let positions = moved.iter().map(|(at, position)| (at, Offset::Offset(*position)));
        let positions = list(positions, origin, context)?;
        let sought = self.consumer.seek_partitions(positions, self.timeout);
        let sought = sought.map_err(|error| origin.error(&error, context))?;
        for element in sought.elements() {
            let origin = Origin { topic: Some(element.topic()), ..origin };
            element.error().map_err(|error| origin.error(&error, context))?;
        }
        for (at, position) in moved {
            if let Some(reading) = self.reading.iter_mut().find(|reading| reading.at == *at) {
                reading.position = *position;
                reading.paused = false;
            }
        }
        Ok(())
    }

    pub fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), IoError> {
        let gone = self.reading.iter().map(|reading| &reading.at).filter(|at| partitions.contains(at));
        let origin = self.origin("unassign", None);
        let gone = list(gone.map(|at| (at, Offset::Invalid)), origin, self.consumer.context())?;
        if gone.count() > 0 {
            self.consumer
                .incremental_unassign(&gone)
                .map_err(|error| origin.error(&error, self.consumer.context()))?;
        }
        self.reading.retain(|reading| !partitions.contains(&reading.at));
        Ok(())
    }

    pub fn pause(&mut self, partitions: &[TopicPartition], paused: bool) {
        for reading in &mut self.reading {
            if partitions.contains(&reading.at) {
                reading.paused = paused;
            }
        }
        // What came meanwhile has raised no signal that still stands.
        self.signal.raise();
    }

    pub fn poll(&mut self, wait: Duration, into: &mut Vec<Fetched>) -> Result<(), IoError> {
        let deadline = Instant::now() + wait;
        let before = into.len();
        loop {
            self.signal.lower();
            self.serve_events()?;
            self.drain(into)?;
            if into.len() > before || !self.signal.wait(deadline) {
                return Ok(());
            }
        }
    }

    /// What is not a record: logs, errors of connections.
    fn serve_events(&self) -> Result<(), IoError> {
        let origin = self.origin("poll", None);
        for _ in 0..EVENTS_MAX {
            let before = self.consumer.context().events();
            match self.consumer.poll(Duration::ZERO) {
                None if self.consumer.context().events() == before => break,
                // A log line was served.
                None => {}
                // A record here would have passed its partition's queue by.
                Some(Ok(message)) => {
                    let detail = format!("a stray record of {}", message.topic());
                    return Err(IoError::Lost { operation: "poll", detail });
                }
                Some(Err(error)) => match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::AllBrokersDown) => {
                        return Err(origin.error(&error, self.consumer.context()));
                    }
                    Some(
                        RDKafkaErrorCode::SaslAuthenticationFailed
                        | RDKafkaErrorCode::Authentication
                        | RDKafkaErrorCode::ClusterAuthorizationFailed,
                    ) => return Err(origin.error(&error, self.consumer.context())),
                    // Of the search for the group's coordinator: offsets of the group wait for it.
                    Some(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                        let origin = self.origin(COMMIT_OFFSETS, None);
                        return Err(origin.error(&error, self.consumer.context()));
                    }
                    // The client tries again by itself.
                    _ => tracing::debug!(target: "kafka", "{error}"),
                },
            }
        }
        match self.consumer.context().take_refused_group_commit() {
            Some(code) => {
                let origin = self.origin(COMMIT_OFFSETS, None);
                Err(origin.code(code, &code.to_string(), self.consumer.context()))
            }
            None => Ok(()),
        }
    }

    fn drain(&mut self, into: &mut Vec<Fetched>) -> Result<(), IoError> {
        let count = self.reading.len().max(1);
        let mut bytes = 0;
        for step in 0..self.reading.len() {
            if bytes >= POLL_BYTES_MAX {
                break;
            }
            let at = (self.turn + step) % count;
            if let Some(reading) = self.reading.get_mut(at)
                && !reading.paused
            {
                match reading.take(self.consumer.context(), into) {
                    Ok(taken) => bytes += taken,
                    Err(trouble) => return Err(self.trouble(at, &trouble)),
                }
            }
        }
        self.turn = (self.turn + 1) % count;
        Ok(())
    }

    fn origin<'a>(&'a self, operation: &'static str, topic: Option<&'a str>) -> Origin<'a> {
        Origin { operation, bootstrap: &self.bootstrap, topic, transactional_id: "" }
    }

    fn trouble(&self, at: usize, error: &KafkaError) -> IoError {
        let Some(Reading { at, position, .. }) = self.reading.get(at) else {
            return IoError::Lost { operation: "poll", detail: error.to_string() };
        };
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => {
                IoError::OffsetOutOfRange {
                    topic: at.topic.clone(),
                    partition: at.partition,
                    offset: *position,
                }
            }
            _ => self.origin("poll", Some(&at.topic)).error(error, self.consumer.context()),
        }
    }
}

impl Reading {
    /// Takes what the client has fetched of this partition, up to the size of a batch, and says how many bytes.
    fn take(&mut self, context: &Context, into: &mut Vec<Fetched>) -> Result<usize, KafkaError> {
        let mut batch = RecordBatch::new();
        let mut bytes = 0;
        while batch.len() < BATCH_RECORDS_MAX && batch.byte_len() < BATCH_BYTES_MAX {
            match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Ok(message)) => {
                    self.position = message.offset() + 1;
                    push(&message, &mut batch);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    bytes += self.hand_out(&mut batch, into);
                    // An end without its offset would be worthless, so the door is given up.
                    let offset = context.take_end().ok_or(KafkaError::PartitionEOF(partition))?;
                    self.position = offset;
                    into.push(Fetched::End { of: self.at.clone(), offset });
                }
                Some(Err(error)) => {
                    self.hand_out(&mut batch, into);
                    match error.rdkafka_error_code() {
                        Some(
                            RDKafkaErrorCode::BrokerTransportFailure
                            | RDKafkaErrorCode::OperationTimedOut
                            | RDKafkaErrorCode::AllBrokersDown,
                        ) => tracing::debug!(target: "kafka", "{error}"),
                        _ => return Err(error),
                    }
                }
            }
        }
        Ok(bytes + self.hand_out(&mut batch, into))
    }

    fn hand_out(&self, batch: &mut RecordBatch, into: &mut Vec<Fetched>) -> usize {
        let bytes = batch.byte_len();
        if !batch.is_empty() {
            into.push(Fetched::Records { from: self.at.clone(), batch: std::mem::take(batch) });
        }
        bytes
    }
}

fn push(message: &BorrowedMessage<'_>, batch: &mut RecordBatch) {
    batch.push(NewRecord {
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key(),
        value: message.payload(),
    });
    if let Some(headers) = message.headers() {
        push_headers(headers, message.offset(), batch);
    }
}

/// The client library panics on a header name that is not UTF-8, which Kafka forbids but does not check. Such a record
/// keeps the headers before that one.
fn push_headers(headers: &BorrowedHeaders, offset: i64, batch: &mut RecordBatch) {
    let pushed = catch_unwind(AssertUnwindSafe(|| {
        for header in headers.iter() {
            batch.push_header(header.key.as_bytes(), header.value);
        }
    }));
    if pushed.is_err() {
        tracing::warn!(offset, "a header name that is not UTF-8 was dropped, and those after it");
    }
}
