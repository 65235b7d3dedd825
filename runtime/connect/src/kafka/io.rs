//! The door itself: hands each call to the part that serves it.

use super::lookup::Lookup;
use super::reader::Reader;
use super::settings::{BATCH_BYTES, Settings};
use super::topics::{Topics, find, limits};
use super::wire::{Asked, Wire};
use super::writer::Writer;
use crate::door::{
    CommitOutcome, Fetched, IoError, KafkaIo, NewTopic, Partitioning, TopicInfo, TopicPartition,
};
use crate::partitioner::partition_of;
use pipeline::record::RecordBatch;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an admin client is used.
const ADMIN_LIFE: Duration = Duration::from_mins(10);

/// What a batch costs beside its records, generously.
const BATCH_HEADER: usize = 128;

/// A door to Kafka with a transactional id of its own.
pub struct Io {
    settings: Settings,
    wire: Wire,
    reader: Reader,
    writer: Writer,
    lookup: Lookup,
    /// Made when it is needed and made anew when it is old: nobody can empty the log queue of an admin client.
    topics: Option<(Topics, Instant)>,
    /// Of topics that were written to or described.
    known: HashMap<String, TopicInfo>,
    /// Bytes queued since the last flush, of topics that take small batches only.
    queued: HashMap<String, usize>,
}

impl Io {
    /// Opens a door; says so when no broker can be reached. Nothing is fenced before `init_transactions`.
    pub fn connect(settings: &Settings, transactional_id: &str) -> Result<Self, IoError> {
        let timeout = Duration::from_millis(u64::from(settings.request_timeout_ms));
        let mut wire = Wire::new(settings, timeout)?;
        wire.metadata(Asked::Brokers)?;
        Ok(Self {
            wire,
            reader: Reader::new(settings)?,
            writer: Writer::new(settings, transactional_id)?,
            lookup: Lookup::new(settings)?,
            topics: None,
            known: HashMap::new(),
            queued: HashMap::new(),
            settings: settings.clone(),
        })
    }

    /// Asks whether the cluster lets us in with these settings: one connection, one question.
    pub fn probe(settings: &Settings, timeout: Duration) -> Result<(), IoError> {
        Wire::new(settings, timeout)?.metadata(Asked::Brokers).map(|_| ())
    }

    fn admin(&mut self) -> Result<(&Topics, &mut Wire), IoError> {
        let young = self.topics.take().filter(|(_, made)| made.elapsed() < ADMIN_LIFE);
        let topics = match young {
            Some(topics) => topics,
            None => (Topics::new(&self.settings)?, Instant::now()),
        };
        Ok((&self.topics.insert(topics).0, &mut self.wire))
    }

    fn known(&mut self, topic: &str) -> Result<TopicInfo, IoError> {
        if let Some(info) = self.known.get(topic) {
            return Ok(info.clone());
        }
        self.describe(topic)?.ok_or_else(|| IoError::TopicNotFound { topic: topic.to_owned() })
    }

    /// Keeps the client from putting more into one request than the topic takes.
    fn make_room(&mut self, topic: &str, bytes: usize, limit: usize) -> Result<(), IoError> {
        // The client cuts before this, except behind a single record, which was looked at.
        if limit > BATCH_BYTES + BATCH_HEADER {
            return Ok(());
        }
        let queued = self.queued.entry(topic.to_owned()).or_default();
        if *queued + bytes > limit {
            *queued = 0;
            self.writer.flush()?;
        }
        *self.queued.entry(topic.to_owned()).or_default() += bytes;
        Ok(())
    }
}

impl KafkaIo for Io {
    fn assign(&mut self, from: &[(TopicPartition, i64)]) -> Result<(), IoError> {
        for (at, _) in from {
            let known = self.known.get(&at.topic).is_some_and(|info| at.partition < info.partitions);
            let found = if known { None } else { find(&at.topic, &mut self.wire)? };
            if !known && found.is_none_or(|topic| at.partition >= topic.partitions) {
                return Err(IoError::TopicNotFound { topic: at.topic.clone() });
            }
        }
        self.reader.assign(from)
    }

    fn unassign(&mut self, partitions: &[TopicPartition]) -> Result<(), IoError> {
        self.reader.unassign(partitions)
    }

    fn pause(&mut self, partitions: &[TopicPartition], paused: bool) -> Result<(), IoError> {
        self.reader.pause(partitions, paused);
        Ok(())
    }

    fn poll(&mut self, wait: Duration, into: &mut Vec<Fetched>) -> Result<(), IoError> {
        self.reader.poll(wait, into)
    }

    fn init_transactions(&mut self) -> Result<(), IoError> {
        self.writer.init_transactions()
    }

    fn fence(&mut self, ids: &[String]) -> Result<(), IoError> {
        self.wire.fence(ids, self.settings.transaction_timeout_ms)
    }

    fn begin(&mut self) -> Result<(), IoError> {
        self.queued.clear();
        self.writer.begin()
    }

    fn produce(&mut self, topic: &str, to: Partitioning, records: &RecordBatch) -> Result<(), IoError> {
        let info = self.known(topic)?;
        for row in 0..records.len() {
            if records.log_bytes(row) > info.message_bytes_max {
                return Err(IoError::TooLarge { topic: topic.to_owned(), bytes: records.record_bytes(row) });
            }
            if partition_of(to, records.key(row), info.partitions) >= info.partitions {
                return Err(IoError::TopicNotFound { topic: topic.to_owned() });
            }
        }
        for row in 0..records.len() {
            let partition = partition_of(to, records.key(row), info.partitions);
            self.make_room(topic, records.log_bytes(row), info.message_bytes_max)?;
            self.writer.produce(topic, partition, records, row)?;
        }
        self.writer.serve();
        Ok(())
    }

    fn start_commit(&mut self) -> Result<(), IoError> {
        self.writer.start_commit()
    }

    fn commit_outcome(&mut self, wait: Duration) -> Result<Option<CommitOutcome>, IoError> {
        self.writer.commit_outcome(wait)
    }

    fn abort(&mut self) -> Result<(), IoError> {
        self.writer.abort()
    }

    fn commit_offsets(&mut self, offsets: &[(TopicPartition, i64)]) {
        self.reader.commit_offsets(offsets);
    }

    fn watermarks(&mut self, partitions: &[TopicPartition]) -> Result<Vec<(i64, i64)>, IoError> {
        self.lookup.watermarks(partitions)
    }

    fn offset_at(&mut self, partition: &TopicPartition, timestamp_ms: i64) -> Result<i64, IoError> {
        self.lookup.offset_at(partition, timestamp_ms)
    }

    fn describe(&mut self, topic: &str) -> Result<Option<TopicInfo>, IoError> {
        let found = find(topic, &mut self.wire)?;
        // It may be deleted between the two questions.
        let settings = match found.is_some().then(|| self.wire.topic_settings(topic)) {
            None | Some(Err(IoError::TopicNotFound { .. })) => None,
            Some(answer) => Some(answer?),
        };
        let (Some(found), Some(settings)) = (found, settings) else {
            self.known.remove(topic);
            return Ok(None);
        };
        let limits = limits(topic, &settings)?;
        let info = TopicInfo {
            id: found.id,
            partitions: found.partitions,
            message_bytes_max: limits.message_bytes_max,
            compacted: limits.compacted,
            timestamps: limits.timestamps,
        };
        self.known.insert(topic.to_owned(), info.clone());
        Ok(Some(info))
    }

    fn address(&self) -> Option<&str> {
        Some(&self.settings.bootstrap_servers)
    }

    fn topics(&mut self) -> Result<Vec<String>, IoError> {
        let mut names: Vec<String> = self
            .wire
            .metadata(Asked::All)?
            .topics
            .into_iter()
            .filter(|topic| !topic.internal)
            .map(|topic| topic.name)
            .collect();
        names.sort();
        Ok(names)
    }

    fn ensure_topics(&mut self, topics: &[NewTopic]) -> Result<(), IoError> {
        let (admin, wire) = self.admin()?;
        admin.ensure(topics, wire)
    }

    fn delete_topics(&mut self, topics: &[String]) -> Result<(), IoError> {
        for topic in topics {
            self.known.remove(topic);
        }
        self.admin()?.0.delete(topics)
    }

    fn delete_records(&mut self, below: &[(TopicPartition, i64)]) -> Result<(), IoError> {
        self.admin()?.0.delete_records(below)
    }
}
