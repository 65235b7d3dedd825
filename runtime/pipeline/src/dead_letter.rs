//! Dead letters: records that a step could not take, unchanged, with headers that say why (Kafka Connect's names).
//!
//! The stream always goes on past them. Without a `deadLetterSink` they are only counted.

use crate::effect::Effects;
use crate::plan::SinkId;
use crate::record::{NewRecord, RecordBatch};
use sha2::{Digest, Sha256};

/// The largest record that is decoded: key and value together.
pub(crate) const RECORD_BYTES_MAX: usize = 1 << 20;
/// What is left of the key, of the value and of all headers of a record that is too large.
const STUB_PART_BYTES: usize = 64 << 10;

/// Why a record became a dead letter; the name is the value of `__connect.errors.exception.class.name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    RecordTooLarge,
    Undecodable,
    SchemaInvalid,
    EventTimeMissing,
    EventTimeUnreadable,
    EventTimeInFuture,
    ExpressionFailed,
    KeyMissing,
    KeyUnusable,
    KeyTooLarge,
    ValueUnusable,
    SumOverflow,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Reason::RecordTooLarge => "RecordTooLarge",
            Reason::Undecodable => "Undecodable",
            Reason::SchemaInvalid => "SchemaInvalid",
            Reason::EventTimeMissing => "EventTimeMissing",
            Reason::EventTimeUnreadable => "EventTimeUnreadable",
            Reason::EventTimeInFuture => "EventTimeInFuture",
            Reason::ExpressionFailed => "ExpressionFailed",
            Reason::KeyMissing => "KeyMissing",
            Reason::KeyUnusable => "KeyUnusable",
            Reason::KeyTooLarge => "KeyTooLarge",
            Reason::ValueUnusable => "ValueUnusable",
            Reason::SumOverflow => "SumOverflow",
        }
    }
}

/// What is wrong with a record; the message names the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    /// None for a row that a window made.
    pub(crate) topic: Option<&'a str>,
    pub(crate) partition: u32,
    pub(crate) offset: i64,
}

/// Who dead letters go to, and whose they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Desk<'a> {
    pub(crate) sink: Option<SinkId>,
    pub(crate) pipeline: &'a str,
}

impl Desk<'_> {
    /// Counts a record and hands it to the sink.
    pub(crate) fn take(
        &self,
        out: &mut Effects,
        step: &str,
        fault: &Fault,
        place: Place<'_>,
        record: (&RecordBatch, usize),
    ) {
        out.counters.dead_letters += 1;
        let Some(sink) = self.sink else { return };
        let (batch, row) = record;
        let letters = out.output(sink);
        if record_bytes(batch, row) > RECORD_BYTES_MAX {
            push_stub(letters, batch, row);
        } else {
            letters.push_from(batch, row);
        }
        let mut header = |name: &str, value: &str| {
            // Of a record that was a dead letter before, the first cause counts.
            if !batch.headers(row).any(|(present, _)| present == name.as_bytes()) {
                letters.push_header(name.as_bytes(), Some(value.as_bytes()));
            }
        };
        if let Some(topic) = place.topic {
            header("__connect.errors.topic", topic);
            header("__connect.errors.partition", &place.partition.to_string());
            header("__connect.errors.offset", &place.offset.to_string());
        }
        header("__connect.errors.connector.name", self.pipeline);
        header("__connect.errors.stage", step);
        header("__connect.errors.exception.class.name", fault.reason.name());
        header("__connect.errors.exception.message", &fault.message);
    }
}

/// Bytes of the key and the value of a record.
pub(crate) fn record_bytes(batch: &RecordBatch, row: usize) -> usize {
    let record = &batch.records()[row];
    record.key.map_or(0, |key| key.len as usize) + record.value.map_or(0, |value| value.len as usize)
}

/// Appends what is left of a record that is too large for where it should go: the first 64 KiB of key and value, their
/// SHA-256 and sizes, and the headers if they are small.
pub fn push_stub(to: &mut RecordBatch, batch: &RecordBatch, row: usize) {
    let record = &batch.records()[row];
    let (key, value) = (batch.key(row), batch.value(row));
    let cut = |part: Option<&'_ [u8]>| part.map(|part| part.len().min(STUB_PART_BYTES));
    to.push(NewRecord {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: key.zip(cut(key)).map(|(key, len)| &key[..len]),
        value: value.zip(cut(value)).map(|(value, len)| &value[..len]),
    });
    let header_bytes: usize =
        batch.headers(row).map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
    if header_bytes <= STUB_PART_BYTES {
        batch.headers(row).for_each(|(name, value)| to.push_header(name, value));
    }
    to.push_header(b"weir.truncated", Some(b"true"));
    for (part, hash, size) in [(value, "weir.sha256", "weir.size"), (key, "weir.key.sha256", "weir.key.size")]
    {
        if let Some(part) = part
            && (part.len() > STUB_PART_BYTES || hash == "weir.sha256")
        {
            to.push_header(hash.as_bytes(), Some(hex(&Sha256::digest(part)).as_bytes()));
            to.push_header(size.as_bytes(), Some(part.len().to_string().as_bytes()));
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}
