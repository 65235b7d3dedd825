//! The log in memory: what Kafka does to a transactional, read-committed client, without a network.
//!
//! It serves local runs (several worker threads share one [`Log`]) and the seeded simulation (one thread, with
//! [`Faults`]). Transactions, epochs, markers that take an offset, the last stable offset and fencing behave as on a
//! broker; tests run one suite against both. Time does not exist here.
//!
//! ```text
//!  Log ── topics ── partition: chunks, markers, last stable offset
//!    └─── coordinator: transactional id → epoch, open transaction
//!  Io  ── the door of one worker: positions, its session, its commit in flight
//! ```

mod coordinator;
mod fault;
mod fetch;
mod io;
mod partition;
mod reader;
#[cfg(test)]
mod tests;
mod topics;

pub use fault::{Call, Fault, Faults, Operation};
pub use io::Io;
pub use reader::Reader;

use crate::door::{IoError, Partitioning, TopicPartition};
use crate::partitioner::partition_of;
use coordinator::{Coordinator, Ended, Refusal, Session};
use partition::{Limit, Partition};
use pipeline::record::RecordBatch;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a log behaves.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, two of them mutants of the simulation"
)]
pub struct Settings {
    /// Feeds topic ids and batch sizes.
    pub seed: u64,
    /// `max.message.bytes` of topics.
    pub message_bytes_max: usize,
    /// Most records of one fetched batch.
    pub batch_records_max: usize,
    /// Most bytes of one fetched batch, unless its first record is larger.
    pub batch_bytes_max: usize,
    /// Batches have random sizes from one record to the most.
    pub random_batches: bool,
    /// `poll` waits for records; off in a simulation, which has no time.
    pub wait: bool,
    /// Mutant: a commit that was sent twice is told as `Committed`.
    pub hide_repeats: bool,
    /// Mutant: readers see open and aborted transactions.
    pub read_uncommitted: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: 0,
            message_bytes_max: 1_048_588,
            batch_records_max: 4_096,
            batch_bytes_max: 1 << 20,
            random_batches: false,
            wait: false,
            hide_repeats: false,
            read_uncommitted: false,
        }
    }
}

/// A log that several doors share. Clones are the same log.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    settings: Settings,
    random: u64,
    topics: BTreeMap<String, Topic>,
    topics_made: u64,
    coordinator: Coordinator,
    group_offsets: BTreeMap<TopicPartition, i64>,
    faults: Option<Box<dyn Faults>>,
    calls: u64,
    delayed: Vec<DelayedEnd>,
}

struct Topic {
    id: String,
    message_bytes_max: usize,
    /// Made by `ensure_topics`, so with its settings.
    own: bool,
    partitions: Vec<Partition>,
}

/// An `EndTxn` that is still in the network.
struct DelayedEnd {
    id: String,
    session: Session,
    commit: bool,
}

impl Log {
    /// An empty log.
    pub fn new(settings: Settings) -> Self {
        let state = State {
            random: settings.seed,
            settings,
            topics: BTreeMap::new(),
            topics_made: 0,
            coordinator: Coordinator::default(),
            group_offsets: BTreeMap::new(),
            faults: None,
            calls: 0,
            delayed: Vec::new(),
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Makes a topic with at least one partition; an existing one of that name stays as it is.
    pub fn create_topic(&self, name: &str, partitions: u32) {
        let mut state = self.lock();
        if !state.topics.contains_key(name) {
            state.make_topic(name, partitions, false);
        }
    }

    /// Adds an empty partition to a topic.
    pub fn add_partition(&self, topic: &str) -> Result<(), IoError> {
        self.lock().topic_mut(topic)?.partitions.push(partition::Partition::default());
        Ok(())
    }

    /// Sets `max.message.bytes` of a topic.
    pub fn set_message_bytes_max(&self, topic: &str, bytes: usize) -> Result<(), IoError> {
        self.lock().topic_mut(topic)?.message_bytes_max = bytes;
        Ok(())
    }

    /// A door with this transactional id.
    pub fn connect(&self, transactional_id: &str) -> Io {
        Io::new(self.clone(), transactional_id)
    }

    /// Writes records without a transaction: input, before or while a pipeline runs.
    pub fn append(&self, topic: &str, to: Partitioning, records: &RecordBatch) -> Result<(), IoError> {
        let mut state = self.lock();
        let routes = state.route(topic, to, records)?;
        let topic = state.topic_mut(topic)?;
        for (partition, rows) in routes {
            topic.partitions[partition as usize].append(records, &rows, None);
        }
        drop(state);
        self.shared.changed.notify_all();
        Ok(())
    }

    /// All committed records of a topic, per partition.
    pub fn committed(&self, topic: &str) -> Result<Vec<RecordBatch>, IoError> {
        let state = self.lock();
        let topic = state.topic(topic)?;
        let all = Limit { records: usize::MAX, bytes: usize::MAX, uncommitted: false };
        Ok(topic
            .partitions
            .iter()
            .map(|partition| {
                let mut batch = RecordBatch::new();
                // The log start is a valid position.
                let _ = partition.read(partition.log_start(), all, &mut batch);
                batch
            })
            .collect())
    }

    /// A reader of committed records from the log start on, for sinks outside the log.
    pub fn reader(&self, topic: &str) -> Result<Reader, IoError> {
        let state = self.lock();
        let positions = state.topic(topic)?.partitions.iter().map(Partition::log_start).collect();
        Ok(Reader { log: self.clone(), topic: topic.to_owned(), positions })
    }

    /// First offset and high watermark.
    pub fn watermarks(&self, of: &TopicPartition) -> Result<(i64, i64), IoError> {
        let state = self.lock();
        let partition = state.partition(of)?;
        Ok((partition.log_start(), partition.high_watermark()))
    }

    /// What a worker has told its consumer group last.
    pub fn group_offset(&self, of: &TopicPartition) -> Option<i64> {
        self.lock().group_offsets.get(of).copied()
    }

    /// Who decides on the fate of requests from now on.
    pub fn set_faults(&self, faults: impl Faults + 'static) {
        self.lock().faults = Some(Box::new(faults));
    }

    /// All requests are served again.
    pub fn clear_faults(&self) {
        self.lock().faults = None;
    }

    /// How many `EndTxn` requests are still in flight.
    pub fn delayed(&self) -> usize {
        self.lock().delayed.len()
    }

    /// The oldest `EndTxn` in flight arrives. True when it ended a transaction.
    pub fn deliver_delayed(&self) -> bool {
        let mut state = self.lock();
        if state.delayed.is_empty() {
            return false;
        }
        let late = state.delayed.remove(0);
        let ended = state.end(&late.id, late.session, late.commit);
        drop(state);
        self.shared.changed.notify_all();
        matches!(ended, Ok(true))
    }

    /// Transactional ids with an open transaction.
    pub fn open_transactions(&self) -> Vec<String> {
        self.lock().coordinator.open()
    }

    /// The transaction of this id has been open for too long: the broker aborts it and fences its owner.
    pub fn expire_transaction(&self, transactional_id: &str) {
        let mut state = self.lock();
        if let Some(ended) = state.coordinator.expire(transactional_id) {
            state.write_end(&ended);
        }
        drop(state);
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something was written or the deadline is over.
    fn wait_for_change<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
    ) -> MutexGuard<'a, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left == Duration::ZERO {
            return state;
        }
        self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Settings {
    fn limit(&self) -> Limit {
        Limit {
            records: self.batch_records_max,
            bytes: self.batch_bytes_max,
            uncommitted: self.read_uncommitted,
        }
    }
}

fn out_of_range(at: &TopicPartition, offset: i64) -> IoError {
    IoError::OffsetOutOfRange { topic: at.topic.clone(), partition: at.partition, offset }
}

impl State {
    /// Which rows go to which partition; refuses what the topic cannot take.
    fn route(
        &self,
        name: &str,
        to: Partitioning,
        records: &RecordBatch,
    ) -> Result<BTreeMap<u32, Vec<usize>>, IoError> {
        let topic = self.topic(name)?;
        let partitions = topic.partitions.len() as u32;
        let mut routes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for row in 0..records.len() {
            if records.log_bytes(row) > topic.message_bytes_max {
                return Err(IoError::TooLarge { topic: name.to_owned(), bytes: records.record_bytes(row) });
            }
            let partition = partition_of(to, records.key(row), partitions);
            if partition >= partitions {
                return Err(IoError::TopicNotFound { topic: name.to_owned() });
            }
            routes.entry(partition).or_default().push(row);
        }
        Ok(routes)
    }

    /// What happens to the next request.
    fn fault(&mut self, id: &str, operation: Operation) -> Fault {
        let call = Call { id, operation, number: self.calls };
        self.calls += 1;
        self.faults.as_mut().map_or(Fault::None, |faults| faults.fault(&call))
    }

    /// A transactional produce to one partition, checked as the partition's leader does.
    fn write(
        &mut self,
        producer: (&str, Session),
        to: &TopicPartition,
        records: &RecordBatch,
        rows: &[usize],
    ) -> Result<(), Refusal> {
        let (id, session) = producer;
        self.coordinator.verify(id, session, to)?;
        if let Ok(partition) = self.partition_mut(to) {
            partition.append(records, rows, Some(session.producer));
        }
        Ok(())
    }

    /// Serves an `EndTxn`. True when a transaction was open.
    fn end(&mut self, id: &str, session: Session, commit: bool) -> Result<bool, Refusal> {
        let ended = self.coordinator.end(id, session, commit)?;
        Ok(ended.map(|ended| self.write_end(&ended)).is_some())
    }

    fn init(&mut self, id: &str) -> Session {
        let (session, ended) = self.coordinator.init(id);
        if let Some(ended) = ended {
            self.write_end(&ended);
        }
        session
    }

    fn write_end(&mut self, ended: &Ended) {
        for at in &ended.partitions {
            if let Ok(partition) = self.partition_mut(at) {
                partition.mark(ended.producer, ended.committed);
            }
        }
    }

    /// The next batch's limits.
    fn next_limit(&mut self) -> Limit {
        let mut limit = self.settings.limit();
        if self.settings.random_batches {
            limit.records = 1 + (self.next_random() % limit.records.max(1) as u64) as usize;
        }
        limit
    }

    /// SplitMix64.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
