//! Dead letters: records that a step could not take, unchanged, with headers that say why (Kafka Connect's names).
//!
//! The stream always goes on past them. Without a `deadLetterSink` they are only counted.

use crate::effect::Effects;
use crate::plan::SinkId;
use crate::record::{NewRecord, RecordBatch};
use crate::spec::defaults;
use sha2::{Digest, Sha256};

/// The largest record that is looked into or made: key, value and headers together.
pub(crate) const RECORD_BYTES_MAX: usize = defaults::RECORD_BYTES_MAX;
/// What is left of the key, of the value and of all headers of a record that is too large.
const STUB_PART_BYTES: usize = 64 << 10;
/// The longest message in a header.
const MESSAGE_BYTES_MAX: usize = 4 << 10;
/// Headers of ours; of a stub that has no room for all headers these are kept.
const OWN_HEADERS: [&[u8]; 2] = [b"__connect.errors.", b"weir."];
/// Says that a record is a stub.
const TRUNCATED: &[u8] = b"weir.truncated";

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
        if batch.record_bytes(row) > RECORD_BYTES_MAX {
            push_stub(letters, batch, row, usize::MAX);
        } else {
            letters.push_from(batch, row);
        }
        let mut header = |name: &str, value: &str| push_once(letters, (batch, row), name, value);
        if let Some(topic) = place.topic {
            header("__connect.errors.topic", topic);
            header("__connect.errors.partition", &place.partition.to_string());
            header("__connect.errors.offset", &place.offset.to_string());
        }
        header("__connect.errors.connector.name", self.pipeline);
        header("__connect.errors.stage", step);
        header("__connect.errors.exception.class.name", fault.reason.name());
        header("__connect.errors.exception.message", cut_text(&fault.message, MESSAGE_BYTES_MAX));
    }
}

/// Why the topic of a sink can never take a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is larger than the topic's `max.message.bytes`, which is given.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// It has no key, and the topic is compacted.
    NoKey,
}

/// Appends the dead letter of a record that the engine made, and that the topic of sink `sink` cannot take: whole where
/// the dead-letter topic takes `limit` bytes, else a stub. False when not even a stub fits: then nothing is appended.
pub fn push_refused(
    to: &mut RecordBatch,
    record: (&RecordBatch, usize),
    refusal: Refusal,
    names: &SinkNames<'_>,
    limit: usize,
) -> bool {
    let (batch, row) = record;
    let (reason, message) = match refusal {
        Refusal::TooLarge { limit } => (
            Reason::RecordTooLarge,
            format!(
                "the record takes {} bytes, topic `{}` of sink `{}` takes {limit} (max.message.bytes)",
                batch.log_bytes(row),
                names.topic,
                names.sink
            ),
        ),
        Refusal::NoKey => (
            Reason::KeyMissing,
            format!(
                "the record has no key, topic `{}` of sink `{}` is compacted and takes none without",
                names.topic, names.sink
            ),
        ),
    };
    let mut letter = RecordBatch::new();
    letter.push_from(batch, row);
    let mut header = |name: &str, value: &str| push_once(&mut letter, record, name, value);
    header("__connect.errors.connector.name", names.pipeline);
    header("__connect.errors.stage", names.sink);
    header("__connect.errors.exception.class.name", reason.name());
    header("__connect.errors.exception.message", &message);
    header("weir.sink", names.sink);
    push_letter(to, &letter, 0, limit)
}

/// The names that a dead letter of a sink carries.
#[derive(Clone, Copy, Debug)]
pub struct SinkNames<'a> {
    /// The pipeline.
    pub pipeline: &'a str,
    /// The sink that could not take the record.
    pub sink: &'a str,
    /// Its topic.
    pub topic: &'a str,
}

/// Appends a dead letter: whole if it takes at most `limit` bytes in the log, else as a stub. False when not even that
/// fits.
pub fn push_letter(to: &mut RecordBatch, batch: &RecordBatch, row: usize, limit: usize) -> bool {
    if batch.log_bytes(row) <= limit {
        to.push_from(batch, row);
        return true;
    }
    push_stub(to, batch, row, limit)
}

/// Appends what is left of a record that is too large for where it should go, in at most `limit` bytes of the log: the
/// first 64 KiB of key and value, their SHA-256 and sizes, and the headers if they are small. Where that does not fit,
/// the value gets shorter, then the key, then only headers of ours are left. False when not even they fit.
fn push_stub(to: &mut RecordBatch, batch: &RecordBatch, row: usize, limit: usize) -> bool {
    let header_bytes: usize =
        batch.headers(row).map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
    if header_bytes <= STUB_PART_BYTES && push_cut(to, batch, row, |_| true, limit) {
        return true;
    }
    let is_own = |name: &[u8]| OWN_HEADERS.iter().any(|own| name.starts_with(own));
    push_cut(to, batch, row, is_own, limit)
}

/// A stub with the headers that `keep` says, if it can be made to fit.
fn push_cut(
    to: &mut RecordBatch,
    batch: &RecordBatch,
    row: usize,
    keep: impl Fn(&[u8]) -> bool,
    limit: usize,
) -> bool {
    let record = &batch.records()[row];
    let (key, value) = (batch.key(row), batch.value(row));
    let mut headers = RecordBatch::new();
    headers.push(NewRecord::default());
    batch.headers(row).filter(|(name, _)| keep(name)).for_each(|(name, value)| {
        headers.push_header(name, value);
    });
    // A stub of a stub keeps what the first one says of the whole record.
    if !batch.headers(row).any(|(name, _)| name == TRUNCATED) {
        push_facts(&mut headers, key, value);
    }
    let Some(room) = limit.checked_sub(headers.log_bytes(0)) else { return false };
    let key = key.map(|key| &key[..key.len().min(STUB_PART_BYTES).min(room)]);
    let room = room - key.map_or(0, <[u8]>::len);
    let value = value.map(|value| &value[..value.len().min(STUB_PART_BYTES).min(room)]);
    to.push(NewRecord { offset: record.offset, timestamp_ms: record.timestamp_ms, key, value });
    headers.headers(0).for_each(|(name, value)| to.push_header(name, value));
    true
}

/// Says that a record is a stub, and what the whole one was.
fn push_facts(to: &mut RecordBatch, key: Option<&[u8]>, value: Option<&[u8]>) {
    to.push_header(TRUNCATED, Some(b"true"));
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

/// Adds a header to the letter pushed last. Of a record that was a dead letter before, the first cause counts.
fn push_once(letters: &mut RecordBatch, record: (&RecordBatch, usize), name: &str, value: &str) {
    let (batch, row) = record;
    if !batch.headers(row).any(|(present, _)| present == name.as_bytes()) {
        letters.push_header(name.as_bytes(), Some(value.as_bytes()));
    }
}

/// The beginning of a text, cut between characters.
fn cut_text(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests;
