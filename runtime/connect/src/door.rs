//! The door to the log: fetch buffers of my partitions, transactions, fencing, topics.
//!
//! Two sides exist: `kafka` (librdkafka) and `memory`. One `KafkaIo` belongs to one worker and one life of it
//! (incarnation): after [`IoError::Lost`] or an unknown outcome the worker drops it and opens a new one.
//! Everything is read committed. Nothing here decides anything.

use pipeline::record::RecordBatch;
use std::time::Duration;

/// Partition `partition` of topic `topic`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: u32,
}

/// What a poll brought, per partition in offset order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Committed records. Offsets may have holes (markers, aborted records).
    Records {
        /// From where.
        from: TopicPartition,
        /// At least one record.
        batch: RecordBatch,
    },
    /// Everything committed below `offset` was handed out: the reader's position has passed all records and markers
    /// that were stable when the broker answered. `offset` is the next one to be read.
    End {
        /// Of what.
        of: TopicPartition,
        /// The position.
        offset: i64,
    },
}

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// Kafka's topic id, as text; another id means that the topic was deleted and made again.
    pub id: String,
    /// Number of partitions.
    pub partitions: u32,
    /// `max.message.bytes`; compared with [`RecordBatch::log_bytes`].
    pub message_bytes_max: usize,
    /// `cleanup.policy` contains `compact`: a record without a key is refused.
    pub compacted: bool,
    /// The timestamps that it takes.
    pub timestamps: TimestampBounds,
}

/// How far from the broker's clock the timestamp of a record may be, in milliseconds; `i64::MAX` is without bound
/// (`message.timestamp.before.max.ms`, `message.timestamp.after.max.ms`, and the type `LogAppendTime`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampBounds {
    /// Into the past.
    pub before_max_ms: i64,
    /// Into the future.
    pub after_max_ms: i64,
}

impl TimestampBounds {
    /// Everything is taken.
    pub const NONE: Self = Self { before_max_ms: i64::MAX, after_max_ms: i64::MAX };

    /// True when a record with this timestamp is taken at `now_ms`; what is closer than `margin_ms` to a bound is not.
    pub fn takes(self, timestamp_ms: i64, now_ms: i64, margin_ms: i64) -> bool {
        let ahead = timestamp_ms.saturating_sub(now_ms).saturating_add(margin_ms);
        let behind = now_ms.saturating_sub(timestamp_ms).saturating_add(margin_ms);
        (ahead <= self.after_max_ms || self.after_max_ms == i64::MAX)
            && (behind <= self.before_max_ms || self.before_max_ms == i64::MAX)
    }
}

/// `max.message.bytes` of a topic of our own. Blocks are cut at half a megabyte, but one group, or one record that travels
/// whole with what a `map` made of it, is never cut: with records of 1 MiB, 16 key fields and 64 texts of 64 KiB each it
/// stays below this. It is also the most that brokers of common services allow.
pub const OWN_MESSAGE_BYTES_MAX: usize = 8 << 20;

/// How a topic of our own is made; the settings of exactly-once are fixed (`cleanup.policy=delete`, no retention by time
/// or size, no unclean leader election, `min.insync.replicas=2` where there are three replicas).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
}

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// All requests were answered in time and the transaction is committed.
    Committed,
    /// The transaction was aborted for certain; nothing of it is visible.
    Aborted,
    /// Not known (time-out, disconnect of the coordinator): drop memory and this door.
    Unknown,
}

/// Why a call failed. The first three are facts about the world, the rest ask the caller to go through *Going live*.
#[derive(Debug, thiserror::Error)]
pub enum IoError {
    /// The broker could not be reached.
    #[error("broker {bootstrap} cannot be reached: {detail}")]
    Unreachable {
        /// `bootstrap.servers`.
        bootstrap: String,
        /// What the client said.
        detail: String,
    },
    /// Somebody is there, and one of us does not trust the other: certificates, names, passwords.
    #[error("no login at {bootstrap}: {detail}")]
    LoginFailed {
        /// `bootstrap.servers`.
        bootstrap: String,
        /// What does not fit, and what to do.
        detail: String,
    },
    /// The topic does not exist.
    #[error("topic `{topic}` was not found")]
    TopicNotFound {
        /// Its name.
        topic: String,
    },
    /// The position is below the log start or above its end: fail closed, never reset.
    #[error("offset {offset} of {topic}/{partition} is not in the log")]
    OffsetOutOfRange {
        /// Topic.
        topic: String,
        /// Partition.
        partition: u32,
        /// The position asked for.
        offset: i64,
    },
    /// A newer producer has our transactional id.
    #[error("producer `{id}` is fenced by a newer one")]
    Fenced {
        /// Transactional id.
        id: String,
    },
    /// The record can never be written: larger than the topic takes.
    #[error("a record of {bytes} bytes is too large for topic `{topic}`")]
    TooLarge {
        /// Topic.
        topic: String,
        /// Size of key, value and headers.
        bytes: usize,
    },
    /// Records were not taken in time, so their transaction is aborted for certain.
    #[error("records for topic `{topic}` were not taken: {detail}")]
    Undelivered {
        /// Where they should have gone.
        topic: String,
        /// What the client said.
        detail: String,
    },
    /// Rights do not suffice.
    #[error("{operation} was refused: {detail}")]
    Denied {
        /// What we tried.
        operation: &'static str,
        /// What the broker said.
        detail: String,
    },
    /// The broker refuses a setting of ours; the message names the broker's own setting.
    #[error("{setting} is refused by the broker: {detail}")]
    Refused {
        /// Which.
        setting: String,
        /// What the broker said.
        detail: String,
    },
    /// Anything that leaves us not knowing what happened.
    #[error("{operation} failed: {detail}")]
    Lost {
        /// What we tried.
        operation: &'static str,
        /// What the client said.
        detail: String,
    },
}

impl IoError {
    /// The broker will say the same the next time: who writes tells the user, and tries again after a while.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::Denied { .. }
                | Self::LoginFailed { .. }
                | Self::Refused { .. }
                | Self::TopicNotFound { .. }
        )
    }
}

/// The log as one worker sees it. Calls may block up to the client's time-outs; the in-memory side never blocks.
pub trait KafkaIo {
    /// Starts to read partitions at the given offsets (numeric; the next record to be read); an already assigned
    /// partition is moved there and no longer paused. Records of the old position are not handed out any more. An offset
    /// outside the log shows in `poll`.
    fn assign(&mut self, from: &[(TopicPartition, i64)]) -> Result<(), IoError>;

    /// Stops to read partitions.
    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), IoError>;

    /// Stops or starts the hand-out of records of assigned partitions without losing the position (back-pressure).
    fn pause(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), IoError>;

    /// Waits up to `wait` for records or ends of the assigned partitions and appends what came.
    fn poll(&mut self, wait: Duration, into: &mut Vec<Fetched>) -> Result<(), IoError>;

    /// Fences every older producer of this worker's own transactional id. Called once, before the first `begin`.
    fn init_transactions(&mut self) -> Result<(), IoError>;

    /// Fences other ids: takes the next epoch of each, and drops it. Returns when all are fenced.
    fn fence(&mut self, ids: &[String]) -> Result<(), IoError>;

    /// Starts a transaction.
    fn begin(&mut self) -> Result<(), IoError>;

    /// Writes records inside the transaction. `partition` none: by key with Kafka's murmur2, without a key the partition
    /// `fallback % partitions`. Returns when they are queued; delivery errors show in the outcome of the commit.
    fn produce(&mut self, topic: &str, to: Partitioning, records: &RecordBatch) -> Result<(), IoError>;

    /// Flushes and ends the transaction, in the background where the client blocks. Nothing may be produced until
    /// [`KafkaIo::commit_outcome`] has said how it ended.
    fn start_commit(&mut self) -> Result<(), IoError>;

    /// Waits up to `wait` for the end of the commit started last; none while it is in flight.
    fn commit_outcome(&mut self, wait: Duration) -> Result<Option<CommitOutcome>, IoError>;

    /// Aborts the open transaction.
    fn abort(&mut self) -> Result<(), IoError>;

    /// Tells the worker's consumer group where it stands, for the eyes of lag tools: in the background and outside of
    /// transactions, so that nothing waits for it. When it cannot be done now it is left to the next time; a right that
    /// is missing is told by a later poll.
    fn commit_offsets(&mut self, offsets: &[(TopicPartition, i64)]);

    /// First offset and high watermark (the offset after the last record, open transactions included) of partitions. The
    /// marker of a transaction may be counted a moment after its commit was answered.
    fn watermarks(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(i64, i64)>, IoError>;

    /// The first offset whose record has this timestamp (milliseconds) or a later one; when there is none, an offset behind
    /// all records.
    fn offset_at(&mut self, partition: &TopicPartition, timestamp_ms: i64) -> Result<i64, IoError>;

    /// What is known of a topic; none when it does not exist.
    fn describe(&mut self, topic: &str) -> Result<Option<TopicInfo>, IoError>;

    /// Where the log is, as people know it (`bootstrap.servers`); none for a log in memory.
    fn address(&self) -> Option<&str>;

    /// Names of all topics, for "did you mean".
    fn topics(&mut self) -> Result<Vec<String>, IoError>;

    /// Makes topics of our own that do not exist, and verifies the settings of those that do.
    fn ensure_topics(&mut self, topics: &[NewTopic]) -> Result<(), IoError>;

    /// Deletes topics of our own; those that do not exist are passed over.
    fn delete_topics(&mut self, topics: &[String]) -> Result<(), IoError>;

    /// Deletes the records below an offset (trimming of our own topics).
    fn delete_records(&mut self, below: &[(TopicPartition, i64)]) -> Result<(), IoError>;
}

/// Which partition records go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioning {
    /// All to this one.
    Exact(u32),
    /// By murmur2 of the key, as the Java client does; records without a key go to `unkeyed % partitions`.
    ByKey {
        /// A number that is the same in a replay, such as the unit.
        unkeyed: u32,
    },
}
