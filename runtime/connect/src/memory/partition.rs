//! One partition: chunks of records and markers, the last stable offset, and a read-committed view.
//!
//! Knows nothing of transactional ids or epochs; the coordinator does.

use pipeline::record::{NewRecord, RecordBatch};
use std::collections::{BTreeMap, VecDeque};

/// How much a read takes, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    pub records: usize,
    pub bytes: usize,
    /// Sees open and aborted transactions too.
    pub uncommitted: bool,
}

#[derive(Debug, Default)]
pub(super) struct Partition {
    log_start: i64,
    end: i64,
    chunks: VecDeque<Chunk>,
    /// First offset of the open transaction of each producer.
    open: BTreeMap<u64, i64>,
}

/// Offsets `base..end`. A marker takes one offset and holds no record.
#[derive(Debug)]
struct Chunk {
    base: i64,
    end: i64,
    state: ChunkState,
    records: RecordBatch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    Committed,
    Open { producer: u64 },
    Aborted,
    Marker,
}

/// The position is outside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfRange;

impl Partition {
    pub fn log_start(&self) -> i64 {
        self.log_start
    }

    /// The offset after the last record or marker, open transactions included.
    pub fn high_watermark(&self) -> i64 {
        self.end
    }

    /// Everything below is decided.
    pub fn last_stable_offset(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.end)
    }

    /// Appends rows of a batch, inside the transaction of `producer` if there is one. Offsets are given here.
    pub fn append(&mut self, batch: &RecordBatch, rows: &[usize], producer: Option<u64>) {
        if rows.is_empty() {
            return;
        }
        let base = self.end;
        let mut records = RecordBatch::new();
        for (&row, offset) in rows.iter().zip(base..) {
            records.push(NewRecord {
                offset,
                timestamp_ms: batch.records()[row].timestamp_ms,
                key: batch.key(row),
                value: batch.value(row),
            });
            batch.headers(row).for_each(|(name, value)| records.push_header(name, value));
        }
        self.end = base + rows.len() as i64;
        let state = match producer {
            Some(producer) => {
                self.open.entry(producer).or_insert(base);
                ChunkState::Open { producer }
            }
            None => ChunkState::Committed,
        };
        self.chunks.push_back(Chunk { base, end: self.end, state, records });
    }

    /// Ends the transaction of a producer with a marker, which takes an offset.
    pub fn mark(&mut self, producer: u64, committed: bool) {
        if let Some(first) = self.open.remove(&producer) {
            let state = if committed { ChunkState::Committed } else { ChunkState::Aborted };
            let from = self.chunks.partition_point(|chunk| chunk.end <= first);
            for chunk in self.chunks.range_mut(from..) {
                if chunk.state == (ChunkState::Open { producer }) {
                    chunk.state = state;
                }
            }
        }
        let base = self.end;
        self.end += 1;
        self.chunks.push_back(Chunk {
            base,
            end: self.end,
            state: ChunkState::Marker,
            records: RecordBatch::new(),
        });
    }

    /// Copies committed records from `position` on, and says the position after them: that of the next record when the
    /// limit was met, else the last stable offset.
    pub fn read(&self, position: i64, limit: Limit, into: &mut RecordBatch) -> Result<i64, OutOfRange> {
        if position < self.log_start || position > self.end {
            return Err(OutOfRange);
        }
        let stable = if limit.uncommitted { self.end } else { self.last_stable_offset() };
        let from = self.chunks.partition_point(|chunk| chunk.end <= position);
        for chunk in self.chunks.range(from..) {
            if chunk.base >= stable {
                break;
            }
            if chunk.state != ChunkState::Committed && !limit.uncommitted {
                continue;
            }
            let first = usize::try_from(position - chunk.base).unwrap_or(0);
            for row in first..chunk.records.len() {
                if into.len() >= limit.records || (!into.is_empty() && into.byte_len() >= limit.bytes) {
                    return Ok(chunk.base + row as i64);
                }
                into.push_from(&chunk.records, row);
            }
        }
        Ok(position.max(stable))
    }

    /// The first offset of a record, decided or not, with this timestamp or a later one.
    pub fn offset_at(&self, timestamp_ms: i64) -> i64 {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.records.records())
            .find(|record| record.offset >= self.log_start && record.timestamp_ms >= timestamp_ms)
            .map_or(self.end, |record| record.offset)
    }

    /// Drops the records below an offset.
    pub fn delete_below(&mut self, offset: i64) -> Result<(), OutOfRange> {
        if offset > self.end || offset < 0 {
            return Err(OutOfRange);
        }
        self.log_start = self.log_start.max(offset);
        while self.chunks.front().is_some_and(|chunk| chunk.end <= self.log_start) {
            self.chunks.pop_front();
        }
        Ok(())
    }
}
