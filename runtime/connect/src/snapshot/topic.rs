//! Snapshots in internal Kafka topics, one per stage with a partition per unit: chunks of one object in one transaction, so
//! that a name is complete or absent.
//!
//! The name says where to look: `<stage>/<key>@<partition>:<offset>`, the high watermark before the first chunk. Chunks of
//! an upload that failed may lie between; each chunk says which object it belongs to. The topics are never compacted;
//! a unit trims its own partition below the oldest object that it needs, and nobody else has objects there.
//!
//! ```text
//!  record: key = object key, value = magic, version, index, count, length, xxh3-128 of the object, up to 900 KB of it
//! ```

use super::{Shard, SnapshotError, SnapshotStore};
use crate::door::{CommitOutcome, Fetched, IoError, KafkaIo, NewTopic, Partitioning, TopicPartition};
use pipeline::record::{NewRecord, RecordBatch};
use std::collections::BTreeMap;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// Most bytes of an object in one record.
const CHUNK_BYTES_MAX: usize = 900_000;
/// Most bytes given to the client in one call.
const PRODUCE_BYTES_MAX: usize = 8 << 20;
const MAGIC: &[u8; 4] = b"WSNC";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 4 + 1 + 4 + 4 + 8 + 16;
const WAIT: Duration = Duration::from_millis(100);
/// How often a wait for the commit or for the next chunk is repeated.
const WAITS_MAX: usize = 6_000;

type Connect = Box<dyn FnMut() -> Result<Box<dyn KafkaIo + Send>, IoError> + Send>;

/// A store in topics, over any side of the log.
pub struct TopicStore {
    connect: Connect,
    topic_of: Box<dyn Fn(&str) -> String + Send>,
    io: Option<Box<dyn KafkaIo + Send>>,
}

/// True for names that a store in topics gives, which no other store does.
pub(super) fn is_name(name: &str) -> bool {
    name.contains('@')
}

/// One chunk as it lies in a record.
struct Chunk<'a> {
    index: u32,
    count: u32,
    length: u64,
    hash: u128,
    bytes: &'a [u8],
}

/// Where an object is, as its name says.
struct Place<'a> {
    key: &'a str,
    at: TopicPartition,
    offset: i64,
}

/// An object that is being put together.
#[derive(Default)]
struct Assembly {
    next: u32,
    bytes: Vec<u8>,
}

impl TopicStore {
    /// A store in the topics that `topic_of` names by stage; one that does not exist is made at its first object.
    /// `connect` opens a door of the store's own (with a transactional id that nobody else has at the time); it is called
    /// again after a failure.
    pub fn new(
        topic_of: impl Fn(&str) -> String + Send + 'static,
        connect: impl FnMut() -> Result<Box<dyn KafkaIo + Send>, IoError> + Send + 'static,
    ) -> Self {
        Self { connect: Box::new(connect), topic_of: Box::new(topic_of), io: None }
    }

    /// Runs one act on the door; a door that failed is dropped.
    fn with_door<T>(
        &mut self,
        operation: &'static str,
        topic: &str,
        act: impl FnOnce(&mut (dyn KafkaIo + Send)) -> Result<T, IoError>,
    ) -> Result<T, SnapshotError> {
        let done = match self.io.take() {
            Some(io) => Ok(io),
            None => (self.connect)().and_then(|mut io| io.init_transactions().map(|()| io)),
        }
        .and_then(|mut io| {
            let done = act(io.as_mut())?;
            self.io = Some(io);
            Ok(done)
        });
        done.map_err(|source| SnapshotError::Log { operation, topic: topic.to_owned(), source })
    }

    fn place<'a>(&self, name: &'a str) -> Result<Place<'a>, SnapshotError> {
        let parsed = name.rsplit_once('@').and_then(|(key, place)| {
            let (partition, offset) = place.split_once(':')?;
            let (stage, key) = key.split_once('/')?;
            let at = TopicPartition { topic: (self.topic_of)(stage), partition: partition.parse().ok()? };
            Some(Place { key, at, offset: offset.parse().ok()? })
        });
        parsed.ok_or_else(|| SnapshotError::InvalidName {
            name: name.to_owned(),
            store: "the snapshot topics".to_owned(),
        })
    }
}

impl SnapshotStore for TopicStore {
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        let topic = (self.topic_of)(&shard.stage);
        let (outcome, at, before) = self.with_door("write to", &topic, |io| {
            let at = partition_of(io, &topic, shard)?;
            let (_, before) = first(&io.watermarks(std::slice::from_ref(&at))?)?;
            io.begin()?;
            produce(io, &at, key, bytes)?;
            io.start_commit()?;
            Ok((outcome(io)?, at, before))
        })?;
        if outcome == CommitOutcome::Committed {
            return Ok(format!("{}/{key}@{}:{before}", shard.stage, at.partition));
        }
        self.io = None;
        Err(SnapshotError::NotCommitted { key: key.to_owned(), topic })
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let place = self.place(name)?;
        let found = self.with_door("read from", &place.at.topic, |io| {
            let mut found = None;
            read(io, &place.at, place.offset, |key, chunk| {
                found = assemble_one(place.key, key, &chunk, found.take());
                matches!(&found, Some((assembly, _)) if assembly.next == chunk.count)
            })?;
            Ok(found)
        })?;
        let store = || format!("topic `{}`", place.at.topic);
        let not_found = || SnapshotError::NotFound { name: name.to_owned(), store: store() };
        let (assembly, hash) = found.ok_or_else(not_found)?;
        if xxh3_128(&assembly.bytes) != hash {
            return Err(SnapshotError::Corrupt { name: name.to_owned(), store: store() });
        }
        Ok(assembly.bytes)
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        let place = self.place(oldest)?;
        let topic = (self.topic_of)(&shard.stage);
        self.with_door("trim", &topic, |io| {
            let own = partition_of(io, &topic, shard)?;
            let (start, _) = first(&io.watermarks(std::slice::from_ref(&own))?)?;
            // An object that lies elsewhere says nothing of this partition.
            if own == place.at && start < place.offset {
                io.delete_records(&[(own, place.offset)])
            } else {
                Ok(())
            }
        })
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        let topic = (self.topic_of)(&shard.stage);
        let mut names = self.with_door("read from", &topic, |io| {
            let at = partition_of(io, &topic, shard)?;
            let (start, _) = first(&io.watermarks(std::slice::from_ref(&at))?)?;
            let (mut names, mut open) = (Vec::new(), BTreeMap::new());
            read_with_offsets(io, &at, start, |offset, key, chunk| {
                if chunk.index == 0 {
                    open.insert(key.to_owned(), offset);
                }
                if chunk.index + 1 == chunk.count
                    && let Some(first) = open.remove(key)
                {
                    names.push(format!("{}/{key}@{}:{first}", shard.stage, at.partition));
                }
                false
            })?;
            Ok(names)
        })?;
        names.sort();
        Ok(names)
    }
}

/// The partition of a unit, in a topic that is made when it does not exist.
fn partition_of(
    io: &mut (dyn KafkaIo + Send),
    topic: &str,
    shard: &Shard,
) -> Result<TopicPartition, IoError> {
    let partitions = if let Some(info) = io.describe(topic)? {
        info.partitions
    } else {
        let partitions = shard.units.max(1);
        io.ensure_topics(&[NewTopic { name: topic.to_owned(), partitions }])?;
        partitions
    };
    // A unit that has no partition of its own would delete what is another's.
    if shard.unit >= partitions {
        let setting = format!("the number of partitions of topic `{topic}`");
        let detail = format!("it has {partitions}, unit {} needs one of its own", shard.unit);
        return Err(IoError::Refused { setting, detail });
    }
    Ok(TopicPartition { topic: topic.to_owned(), partition: shard.unit })
}

/// Adds a chunk to the object that is looked for. Objects lie whole in their order, so a chunk 0 starts anew.
fn assemble_one(
    wanted: &str,
    key: &str,
    chunk: &Chunk<'_>,
    found: Option<(Assembly, u128)>,
) -> Option<(Assembly, u128)> {
    if key != wanted {
        return found;
    }
    let mut assembly = match found {
        Some((assembly, _)) if chunk.index > 0 => assembly,
        _ => Assembly { next: 0, bytes: Vec::with_capacity(chunk.length as usize) },
    };
    if chunk.index == assembly.next {
        assembly.next += 1;
        assembly.bytes.extend_from_slice(chunk.bytes);
    }
    Some((assembly, chunk.hash))
}

fn produce(
    io: &mut (dyn KafkaIo + Send),
    at: &TopicPartition,
    key: &str,
    bytes: &[u8],
) -> Result<(), IoError> {
    let hash = xxh3_128(bytes);
    let chunks: Vec<&[u8]> =
        if bytes.is_empty() { vec![&[]] } else { bytes.chunks(CHUNK_BYTES_MAX).collect() };
    let mut batch = RecordBatch::new();
    let mut value = Vec::with_capacity(HEADER_BYTES + CHUNK_BYTES_MAX);
    for (index, chunk) in (0_u32..).zip(&chunks) {
        value.clear();
        value.extend_from_slice(MAGIC);
        value.push(VERSION);
        value.extend_from_slice(&index.to_le_bytes());
        value.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
        value.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        value.extend_from_slice(&hash.to_le_bytes());
        value.extend_from_slice(chunk);
        batch.push(NewRecord { key: Some(key.as_bytes()), value: Some(&value), ..NewRecord::default() });
        if batch.byte_len() >= PRODUCE_BYTES_MAX || index as usize + 1 == chunks.len() {
            io.produce(&at.topic, Partitioning::Exact(at.partition), &batch)?;
            batch.clear();
        }
    }
    Ok(())
}

impl<'a> Chunk<'a> {
    /// None when the record is not a chunk of a version that we know.
    fn parse(value: &'a [u8]) -> Option<Self> {
        let (magic, rest) = value.split_first_chunk::<4>()?;
        let (version, rest) = rest.split_first()?;
        let (index, rest) = rest.split_first_chunk::<4>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (hash, bytes) = rest.split_first_chunk::<16>()?;
        (magic == MAGIC && *version == VERSION).then_some(Chunk {
            index: u32::from_le_bytes(*index),
            count: u32::from_le_bytes(*count),
            length: u64::from_le_bytes(*length),
            hash: u128::from_le_bytes(*hash),
            bytes,
        })
    }
}

fn read(
    io: &mut (dyn KafkaIo + Send),
    at: &TopicPartition,
    from: i64,
    mut done: impl FnMut(&str, Chunk<'_>) -> bool,
) -> Result<(), IoError> {
    read_with_offsets(io, at, from, |_, key, chunk| done(key, chunk))
}

/// Reads chunks from an offset on until `done` says so or the end that was there at the start.
fn read_with_offsets(
    io: &mut (dyn KafkaIo + Send),
    at: &TopicPartition,
    from: i64,
    mut done: impl FnMut(i64, &str, Chunk<'_>) -> bool,
) -> Result<(), IoError> {
    let (start, end) = first(&io.watermarks(std::slice::from_ref(at))?)?;
    io.assign(&[(at.clone(), from.clamp(start, end))])?;
    let mut fetched = Vec::new();
    for _ in 0..WAITS_MAX {
        io.poll(WAIT, &mut fetched)?;
        for what in fetched.drain(..) {
            match what {
                Fetched::Records { batch, .. } => {
                    for row in 0..batch.len() {
                        let offset = batch.records()[row].offset;
                        let key = batch.key(row).and_then(|key| std::str::from_utf8(key).ok());
                        let chunk = batch.value(row).and_then(Chunk::parse);
                        if let (Some(key), Some(chunk)) = (key, chunk)
                            && done(offset, key, chunk)
                        {
                            return io.unassign(std::slice::from_ref(at));
                        }
                    }
                }
                Fetched::End { offset, .. } if offset >= end => {
                    return io.unassign(std::slice::from_ref(at));
                }
                Fetched::End { .. } => {}
            }
        }
    }
    Err(IoError::Lost { operation: "read a snapshot", detail: "the end was not reached in time".to_owned() })
}

fn outcome(io: &mut (dyn KafkaIo + Send)) -> Result<CommitOutcome, IoError> {
    for _ in 0..WAITS_MAX {
        if let Some(outcome) = io.commit_outcome(WAIT)? {
            return Ok(outcome);
        }
    }
    Ok(CommitOutcome::Unknown)
}

fn first<T: Copy>(answers: &[T]) -> Result<T, IoError> {
    let missing = || IoError::Lost { operation: "watermarks", detail: "no answer".to_owned() };
    answers.first().copied().ok_or_else(missing)
}
