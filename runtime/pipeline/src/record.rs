//! Records as they travel between the log and the engine: slices of one shared buffer per batch.
//!
//! The same type carries what was fetched and what is to be produced, so that neither side allocates per record.

/// What a record costs in the log beside key, value and headers: its batch's header (61 bytes) and its own lengths,
/// generously.
const RECORD_OVERHEAD: usize = 128;
/// What a header costs beside its name and value: two lengths.
const HEADER_OVERHEAD: usize = 10;

/// A slice of a buffer: start and length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The range of the span.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// One record of a [`RecordBatch`]; its spans point into the batch's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordRef {
    /// Offset in the partition; 0 for a record that is not written yet.
    pub offset: i64,
    /// Timestamp in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key, or none.
    pub key: Option<Span>,
    /// Value, or none (a tombstone).
    pub value: Option<Span>,
    headers_start: u32,
    headers_len: u32,
}

/// Records of one partition in offset order (or, on the way out, of one sink in the order they were made).
///
/// Invariant: every span lies inside `bytes`; `bytes` is shorter than 2 GiB.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    records: Vec<RecordRef>,
    headers: Vec<(Span, Option<Span>)>,
}

/// What goes into a batch: borrowed parts of one record.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'a> {
    /// Offset in the partition, 0 when unknown.
    pub offset: i64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Key, or none.
    pub key: Option<&'a [u8]>,
    /// Value, or none (a tombstone).
    pub value: Option<&'a [u8]>,
}

impl RecordBatch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes held by keys, values and headers.
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    /// Drops all records and keeps the allocations.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.headers.clear();
    }

    /// Appends a record without headers; [`RecordBatch::push_header`] adds headers to the last record.
    pub fn push(&mut self, record: NewRecord<'_>) {
        let key = record.key.map(|k| self.copy_in(k));
        let value = record.value.map(|v| self.copy_in(v));
        self.records.push(RecordRef {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key,
            value,
            headers_start: self.headers.len() as u32,
            headers_len: 0,
        });
    }

    /// Adds a header to the record pushed last; without one it does nothing.
    pub fn push_header(&mut self, name: &[u8], value: Option<&[u8]>) {
        if self.records.is_empty() {
            return;
        }
        let name = self.copy_in(name);
        let value = value.map(|v| self.copy_in(v));
        self.headers.push((name, value));
        if let Some(last) = self.records.last_mut() {
            last.headers_len += 1;
        }
    }

    /// Copies record `row` of another batch, headers included, to the end of this one.
    pub fn push_from(&mut self, other: &RecordBatch, row: usize) {
        let record = other.records[row];
        self.push(NewRecord {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: other.key(row),
            value: other.value(row),
        });
        for (name, value) in other.headers(row) {
            self.push_header(name, value);
        }
    }

    /// Copies rows of another batch, headers included, to the end of this one.
    pub fn push_rows(&mut self, other: &RecordBatch, rows: &[u32]) {
        let len = |part: Option<Span>| part.map_or(0, |span| span.len as usize);
        let bytes = rows.iter().map(|row| &other.records[*row as usize]);
        self.bytes.reserve(bytes.map(|record| len(record.key) + len(record.value)).sum());
        self.records.reserve(rows.len());
        for row in rows {
            self.push_from(other, *row as usize);
        }
    }

    /// The parts of all records.
    pub fn records(&self) -> &[RecordRef] {
        &self.records
    }

    /// The buffer that the spans point into.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The key of a record.
    pub fn key(&self, row: usize) -> Option<&[u8]> {
        self.records[row].key.map(|s| &self.bytes[s.range()])
    }

    /// The value of a record; none is a tombstone.
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        self.records[row].value.map(|s| &self.bytes[s.range()])
    }

    /// The headers of a record, in order.
    pub fn headers(&self, row: usize) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let record = self.records[row];
        let range = record.headers_start as usize..(record.headers_start + record.headers_len) as usize;
        self.headers[range].iter().map(|(n, v)| (&self.bytes[n.range()], v.map(|v| &self.bytes[v.range()])))
    }

    /// Bytes of the key, the value and the headers of a record.
    pub fn record_bytes(&self, row: usize) -> usize {
        let part = |span: Option<Span>| span.map_or(0, |span| span.len as usize);
        let record = self.records[row];
        let headers = record.headers_start as usize..(record.headers_start + record.headers_len) as usize;
        let headers = self.headers[headers].iter().map(|(name, value)| name.len as usize + part(*value));
        part(record.key) + part(record.value) + headers.sum::<usize>()
    }

    /// The most that a record can take in the log: uncompressed, in a batch of its own. What a topic takes
    /// (`max.message.bytes`) is compared with this, so that the answer does not depend on neighbours or compression.
    pub fn log_bytes(&self, row: usize) -> usize {
        let headers = self.records[row].headers_len as usize;
        self.record_bytes(row) + RECORD_OVERHEAD + headers * HEADER_OVERHEAD
    }

    /// True when no record can take more than `limit` in the log: a look at the whole instead of at each record.
    pub fn is_surely_within(&self, limit: usize) -> bool {
        self.bytes.len() + RECORD_OVERHEAD + self.headers.len() * HEADER_OVERHEAD <= limit
    }

    /// The offset after the last record, or none when empty.
    pub fn next_offset(&self) -> Option<i64> {
        self.records.last().map(|r| r.offset + 1)
    }

    fn copy_in(&mut self, part: &[u8]) -> Span {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(part);
        Span { start, len: part.len() as u32 }
    }
}
