//! The schedule of a unit: what was applied between two commits, so that a replay applies the same.
//!
//! Hashes are made record by record and do not depend on how a fetch happened to cut the records into buffers.

use crate::format::{DecodeError, Decoder, Encoder};
use crate::journal::record::InputPartition;
use pipeline::effect::Effects;
use pipeline::plan::{SinkId, StageId};
use pipeline::record::RecordBatch;
use pipeline::unit::{Channel, Tick};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// One entry of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduled {
    /// Records were applied.
    Batch(ScheduledBatch),
    /// Something happened without a record: an empty batch.
    Tick {
        /// What.
        tick: Tick,
        /// The batch clock.
        clock_ms: i64,
    },
}

/// Records of one partition, from the unit's position to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScheduledBatch {
    /// The partition.
    pub at: InputPartition,
    /// The offset behind the last record.
    pub end: i64,
    /// The number of records.
    pub count: u32,
    /// [`BatchHash`] of the records.
    pub hash: u64,
    /// The batch clock.
    pub clock_ms: i64,
}

impl Scheduled {
    /// The batch clock of the entry.
    pub fn clock_ms(&self) -> i64 {
        match self {
            Self::Batch(batch) => batch.clock_ms,
            Self::Tick { clock_ms, .. } => *clock_ms,
        }
    }
}

/// Running count and hash of records: offset, timestamp, and checksums of key, value and headers of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchHash {
    count: u64,
    hash: u64,
}

impl BatchHash {
    /// Adds all records of a batch.
    pub fn add(&mut self, batch: &RecordBatch) {
        self.add_rows(batch, 0..batch.len());
    }

    /// Adds some records of a batch.
    pub fn add_rows(&mut self, batch: &RecordBatch, rows: std::ops::Range<usize>) {
        for row in rows {
            let record = batch.records()[row];
            let headers = batch
                .headers(row)
                .fold(0, |hash, (name, value)| xxh3_64_with_seed(name, hash) ^ part(value).rotate_left(17));
            let words = [
                record.offset as u64,
                record.timestamp_ms as u64,
                part(batch.key(row)),
                part(batch.value(row)),
                headers,
            ];
            self.words(&words);
        }
    }

    fn words(&mut self, words: &[u64; 5]) {
        let mut bytes = [0u8; 40];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        self.hash = xxh3_64_with_seed(&bytes, self.hash);
        self.count += 1;
    }

    /// Number of records so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Hash of the records so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// An absent part differs from an empty one.
fn part(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(0x9e37_79b9_7f4a_7c15, xxh3_64)
}

/// Count and hash of what a unit wrote in one commit: records of sinks and blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OutputDigest {
    /// Records and blocks.
    pub count: u64,
    /// Over each sink's and each downstream unit's stream in its own order; how effects were grouped does not matter.
    pub hash: u64,
}

/// Collects an [`OutputDigest`] over the effects between two commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputHash {
    sinks: BTreeMap<SinkId, BatchHash>,
    blocks: BTreeMap<(StageId, u32), BatchHash>,
}

impl OutputHash {
    /// Adds effects, in the order in which the unit made them.
    pub fn add(&mut self, effects: &Effects) {
        for (sink, batch) in &effects.outputs {
            self.sinks.entry(*sink).or_default().add(batch);
        }
        for block in &effects.blocks {
            let stream = self.blocks.entry((block.stage, block.unit)).or_default();
            stream.words(&[0, 0, 0, xxh3_64(&block.payload), 0]);
        }
    }

    /// The digest; empty streams leave no trace.
    pub fn digest(&self) -> OutputDigest {
        let mut all = BatchHash::default();
        let mut count = 0;
        let sinks = self.sinks.iter().map(|(sink, stream)| (0, u64::from(sink.0), stream));
        let blocks = self
            .blocks
            .iter()
            .map(|((stage, unit), stream)| (1, u64::from(stage.0) << 32 | u64::from(*unit), stream));
        for (kind, id, stream) in sinks.chain(blocks).filter(|(_, _, stream)| stream.count > 0) {
            all.words(&[kind, id, stream.count, stream.hash, 0]);
            count += stream.count;
        }
        OutputDigest { count, hash: all.hash }
    }
}

const BATCH: u8 = 0;
const IDLE: u8 = 1;
const END_OF_INPUT: u8 = 2;

pub(crate) fn write_tick(out: &mut Encoder, tick: Tick) {
    let (kind, channel) = match tick {
        Tick::Idle(channel) => (IDLE, channel),
        Tick::EndOfInput(channel) => (END_OF_INPUT, channel),
    };
    out.byte(kind).number(u64::from(channel.input)).number(u64::from(channel.partition));
}

pub(crate) fn read_tick(from: &mut Decoder<'_>) -> Result<Tick, DecodeError> {
    let kind = from.byte("tick")?;
    let channel =
        Channel { input: from.number16("tick input")?, partition: from.number32("tick partition")? };
    tick(kind, channel).ok_or_else(|| from.damaged("tick"))
}

fn tick(kind: u8, channel: Channel) -> Option<Tick> {
    match kind {
        IDLE => Some(Tick::Idle(channel)),
        END_OF_INPUT => Some(Tick::EndOfInput(channel)),
        _ => None,
    }
}

/// Clocks are written as steps from the entry before, the first from the commit's own.
pub(crate) fn write_schedule(out: &mut Encoder, clock_ms: i64, schedule: &[Scheduled]) {
    let mut last = clock_ms;
    out.list(schedule, |out, entry| {
        match entry {
            Scheduled::Batch(batch) => {
                out.byte(BATCH).number(u64::from(batch.at.input)).number(u64::from(batch.at.partition));
                out.signed(batch.end).number(u64::from(batch.count)).word(batch.hash);
            }
            Scheduled::Tick { tick, .. } => write_tick(out, *tick),
        }
        out.signed(entry.clock_ms().wrapping_sub(last));
        last = entry.clock_ms();
    });
}

pub(crate) fn read_schedule(from: &mut Decoder<'_>, clock_ms: i64) -> Result<Vec<Scheduled>, DecodeError> {
    let mut last = clock_ms;
    from.list("schedule", |from| {
        let kind = from.byte("schedule")?;
        let input = from.number16("schedule input")?;
        let partition = from.number32("schedule partition")?;
        let mut entry = match kind {
            BATCH => Scheduled::Batch(ScheduledBatch {
                at: InputPartition { input, partition },
                end: from.signed("schedule end")?,
                count: from.number32("schedule count")?,
                hash: from.word("schedule hash")?,
                clock_ms: 0,
            }),
            kind => {
                let tick = tick(kind, Channel { input, partition });
                Scheduled::Tick { tick: tick.ok_or_else(|| from.damaged("schedule"))?, clock_ms: 0 }
            }
        };
        last = last.wrapping_add(from.signed("schedule clock")?);
        match &mut entry {
            Scheduled::Batch(batch) => batch.clock_ms = last,
            Scheduled::Tick { clock_ms, .. } => *clock_ms = last,
        }
        Ok(entry)
    })
}
