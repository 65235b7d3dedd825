//! Records that travel to the merging side whole, because only there it is known what becomes of them:
//! - those of a channel that resumed after idleness, which may turn out to be late;
//! - those of a group with a very large term in a `Sum`, which may turn out to be the one that overflows it. They are
//!   *held* until the window closes, and then added in an order that does not depend on when they arrived.

use crate::aggregate::scalar::Scalar;
use crate::dead_letter::Place;
use crate::plan::SourceId;
use crate::record::{NewRecord, RecordBatch};
use crate::state::bytes::{Malformed, Reader, put_optional, put_slice, put_varint, put_zigzag};

/// One record with what the window needs to know of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whole {
    /// Its slice.
    pub(crate) start_ms: i64,
    /// Its encoded key.
    pub(crate) key: Vec<u8>,
    /// One value per aggregate.
    pub(crate) values: Vec<Scalar>,
    /// It waits until the window closes.
    pub(crate) held: bool,
    pub(crate) origin: Origin,
    /// The record as it reached the window and, when a step has changed it before, as it was read.
    pub(crate) records: RecordBatch,
}

/// Where a record was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// None for the row of a window before this one.
    pub(crate) source: Option<SourceId>,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
}

impl Origin {
    pub(crate) fn place(self, topic: Option<&str>) -> Place<'_> {
        Place { topic, partition: self.partition, offset: self.offset }
    }
}

impl Whole {
    /// The place in an order that is the same however the records arrived: that of the log, as far as there is one.
    pub(crate) fn order(&self) -> impl Ord + use<> {
        let timestamp_ms = self.records.records().first().map(|record| record.timestamp_ms);
        let text = |part: Option<&[u8]>| part.map(<[u8]>::to_vec);
        (self.origin, timestamp_ms, text(self.records.key(0)), text(self.records.value(0)))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_zigzag(out, self.start_ms);
        put_slice(out, &self.key);
        out.push(u8::from(self.held));
        put_varint(out, self.origin.source.map_or(0, |source| u64::from(source.0) + 1));
        put_varint(out, u64::from(self.origin.partition));
        put_zigzag(out, self.origin.offset);
        self.values.iter().for_each(|value| value.encode(out));
        put_varint(out, self.records.len() as u64);
        (0..self.records.len()).for_each(|row| put_record(out, &self.records, row));
    }

    /// Reads what [`Whole::encode`] wrote for a window of `aggregates` aggregates.
    pub(crate) fn decode(reader: &mut Reader<'_>, aggregates: usize) -> Result<Self, Malformed> {
        let start_ms = reader.zigzag("slice of a record")?;
        let key = reader.slice("key of a record")?.to_vec();
        let held = reader.flag("hold of a record")?;
        let malformed = Malformed { what: "source of a record" };
        let source = match reader.varint("source of a record")? {
            0 => None,
            id => Some(SourceId(u16::try_from(id - 1).map_err(|_| malformed)?)),
        };
        let partition = reader.varint32("partition of a record")?;
        let origin = Origin { source, partition, offset: reader.zigzag("offset of a record")? };
        let values = (0..aggregates).map(|_| Scalar::decode(reader)).collect::<Result<_, _>>()?;
        let mut records = RecordBatch::new();
        let count = reader.varint("number of records")?;
        if !(1..=2).contains(&count) {
            return Err(Malformed { what: "number of records" });
        }
        for _ in 0..count {
            read_record(reader, &mut records)?;
        }
        Ok(Self { start_ms, key, values, held, origin, records })
    }

    /// Heap bytes, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<Self>()
            + self.key.capacity()
            + self.values.len() * size_of::<Scalar>()
            + self.records.byte_len()
    }
}

fn put_record(out: &mut Vec<u8>, batch: &RecordBatch, row: usize) {
    let record = &batch.records()[row];
    put_zigzag(out, record.offset);
    put_zigzag(out, record.timestamp_ms);
    put_optional(out, batch.key(row));
    put_optional(out, batch.value(row));
    put_varint(out, batch.headers(row).count() as u64);
    for (name, value) in batch.headers(row) {
        put_slice(out, name);
        put_optional(out, value);
    }
}

fn read_record(reader: &mut Reader<'_>, into: &mut RecordBatch) -> Result<(), Malformed> {
    let offset = reader.zigzag("offset of a record")?;
    let timestamp_ms = reader.zigzag("timestamp of a record")?;
    let key = reader.optional("key of a record")?;
    into.push(NewRecord { offset, timestamp_ms, key, value: reader.optional("value of a record")? });
    for _ in 0..reader.count("number of headers")? {
        let name = reader.slice("name of a header")?;
        into.push_header(name, reader.optional("value of a header")?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_record_comes_back_from_bytes() {
        let mut records = RecordBatch::new();
        records.push(NewRecord { offset: 7, timestamp_ms: -1, key: Some(b"k"), value: Some(b"{}") });
        records.push_header(b"h", None);
        records.push_header(b"h", Some(b"v"));
        records.push(NewRecord { offset: 7, timestamp_ms: 5, key: None, value: None });
        let whole = Whole {
            start_ms: -300_000,
            key: vec![6, b'a'],
            values: vec![Scalar::Present, Scalar::Int(i64::MAX)],
            held: true,
            origin: Origin { source: Some(SourceId(3)), partition: 2, offset: 7 },
            records,
        };
        let mut bytes = Vec::new();
        whole.encode(&mut bytes);
        let mut reader = Reader::new(&bytes);
        assert_eq!(Whole::decode(&mut reader, 2), Ok(whole));
        assert!(reader.end("end").is_ok());
        for cut in 0..bytes.len() {
            assert!(Whole::decode(&mut Reader::new(&bytes[..cut]), 2).is_err());
        }
    }
}
