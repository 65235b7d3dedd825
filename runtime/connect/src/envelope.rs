//! Records as lines of text: what `weir run` reads and writes, and what file and log sinks write.
//!
//! A plain line is the value. An envelope is a JSON object that carries the whole record:
//! `{"key", "keyBase64", "value" | "base64", "headers", "timestamp", "partition"}`, all of them optional. `value` is any
//! JSON, kept byte for byte; a missing or null value is a tombstone. Bytes that are not one line of JSON go as base64.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pipeline::record::{NewRecord, RecordBatch};
use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// How a line holds a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum LineForm {
    /// The line is the value.
    #[default]
    Plain,
    /// The line is an envelope.
    Envelope,
}

/// A line that is no record.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not an envelope.
    #[error("line {line}: not an envelope {{key, value | base64, headers, timestamp, partition}}: {detail}")]
    Envelope {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong, with the column.
        detail: String,
    },
    /// Both forms of one part are given.
    #[error("line {line}: `{first}` and `{second}` are both set")]
    Both {
        /// Number of the line, from 1.
        line: u64,
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// Not base64.
    #[error("line {line}: `{field}` is not base64")]
    Base64 {
        /// Number of the line, from 1.
        line: u64,
        /// Which field.
        field: &'static str,
        /// Why.
        #[source]
        source: base64::DecodeError,
    },
}

/// Turns lines into records and counts them, so that errors can name them.
#[derive(Clone, Debug)]
pub struct LineReader {
    form: LineForm,
    line: u64,
}

impl LineReader {
    /// A reader at the start of its input.
    pub fn new(form: LineForm) -> Self {
        Self { form, line: 0 }
    }

    /// Appends the record of one line (without its end) to `into`; an envelope without timestamp gets `timestamp_ms`.
    /// An empty line is no record.
    pub fn read(
        &mut self,
        line: &[u8],
        timestamp_ms: i64,
        into: &mut RecordBatch,
    ) -> Result<LineRead, LineError> {
        self.line += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(LineRead::Empty);
        }
        match self.form {
            LineForm::Plain => {
                into.push(NewRecord { timestamp_ms, value: Some(line), ..NewRecord::default() });
                Ok(LineRead::Record { partition: None })
            }
            LineForm::Envelope => self.read_envelope(line, timestamp_ms, into),
        }
    }

    /// Number of the line read last, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    fn read_envelope(
        &self,
        text: &[u8],
        timestamp_ms: i64,
        into: &mut RecordBatch,
    ) -> Result<LineRead, LineError> {
        let line = self.line;
        let parsed: Envelope = serde_json::from_slice(text)
            .map_err(|error| LineError::Envelope { line, detail: error.to_string() })?;
        let text_key = parsed.key.filter(|raw| !is_null(raw)).map(key_bytes);
        let raw_value = parsed.value.filter(|raw| !is_null(raw)).map(|raw| raw.get().as_bytes().to_vec());
        let key = self.one_of(text_key, parsed.key_base64, ("key", "keyBase64"))?;
        let value = self.one_of(raw_value, parsed.base64, ("value", "base64"))?;
        into.push(NewRecord {
            offset: 0,
            timestamp_ms: parsed.timestamp.unwrap_or(timestamp_ms),
            key: key.as_deref(),
            value: value.as_deref(),
        });
        for (name, value) in &parsed.headers.0 {
            into.push_header(name.as_bytes(), value.as_ref().map(String::as_bytes));
        }
        Ok(LineRead::Record { partition: parsed.partition })
    }

    fn one_of(
        &self,
        plain: Option<Vec<u8>>,
        encoded: Option<String>,
        (first, second): (&'static str, &'static str),
    ) -> Result<Option<Vec<u8>>, LineError> {
        match (plain, encoded) {
            (Some(_), Some(_)) => Err(LineError::Both { line: self.line, first, second }),
            (plain, None) => Ok(plain),
            (None, Some(encoded)) => STANDARD.decode(encoded).map(Some).map_err(|source| LineError::Base64 {
                line: self.line,
                field: second,
                source,
            }),
        }
    }
}

/// What a line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineRead {
    /// Nothing.
    Empty,
    /// A record, appended to the batch.
    Record {
        /// The partition that an envelope asks for.
        partition: Option<u32>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    key_base64: Option<String>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    base64: Option<String>,
    #[serde(default)]
    headers: Headers,
    timestamp: Option<i64>,
    partition: Option<u32>,
}

/// Headers in order: an object, or a list of pairs where a name comes twice.
#[derive(Default)]
struct Headers(Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeadersVisitor;
        impl<'de> Visitor<'de> for HeadersVisitor {
            type Value = Headers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("headers: an object of strings, or a list of [name, value]")
            }

            fn visit_unit<E>(self) -> Result<Headers, E> {
                Ok(Headers::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    headers.push(entry);
                }
                Ok(Headers(headers))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(entry) = list.next_element()? {
                    headers.push(entry);
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_any(HeadersVisitor)
    }
}

/// Appends one line for a record, with its end. A plain line holds the value only: a tombstone is `null`, and a value of
/// several lines is written as a JSON string.
pub fn write_line(
    form: LineForm,
    batch: &RecordBatch,
    row: usize,
    partition: Option<u32>,
    into: &mut Vec<u8>,
) {
    match form {
        LineForm::Plain => match batch.value(row) {
            None => into.extend_from_slice(b"null"),
            Some(value) if is_one_line(value) => into.extend_from_slice(value),
            Some(value) => push_string(&String::from_utf8_lossy(value), into),
        },
        LineForm::Envelope => write_envelope(batch, row, partition, into),
    }
    into.push(b'\n');
}

fn write_envelope(batch: &RecordBatch, row: usize, partition: Option<u32>, into: &mut Vec<u8>) {
    into.push(b'{');
    match batch.key(row).map(std::str::from_utf8) {
        None => {}
        Some(Ok(key)) => {
            into.extend_from_slice(b"\"key\":");
            push_string(key, into);
            into.push(b',');
        }
        Some(Err(_)) => {
            into.extend_from_slice(b"\"keyBase64\":");
            push_string(&STANDARD.encode(batch.key(row).unwrap_or_default()), into);
            into.push(b',');
        }
    }
    match batch.value(row) {
        None => into.extend_from_slice(b"\"value\":null"),
        Some(value) if is_raw_json(value) => {
            into.extend_from_slice(b"\"value\":");
            into.extend_from_slice(value);
        }
        Some(value) => {
            into.extend_from_slice(b"\"base64\":");
            push_string(&STANDARD.encode(value), into);
        }
    }
    write_headers(batch, row, into);
    into.extend_from_slice(format!(",\"timestamp\":{}", batch.records()[row].timestamp_ms).as_bytes());
    if let Some(partition) = partition {
        into.extend_from_slice(format!(",\"partition\":{partition}").as_bytes());
    }
    into.push(b'}');
}

/// Header values are text on a line; bytes that are no UTF-8 lose what is not.
fn write_headers(batch: &RecordBatch, row: usize, into: &mut Vec<u8>) {
    let headers: Vec<(String, Option<String>)> =
        batch.headers(row).map(|(name, value)| (lossy(name), value.map(lossy))).collect();
    if headers.is_empty() {
        return;
    }
    let mut names: Vec<&String> = headers.iter().map(|(name, _)| name).collect();
    names.sort();
    let unique = names.windows(2).all(|pair| pair[0] != pair[1]);
    into.extend_from_slice(if unique { b",\"headers\":{" } else { b",\"headers\":[" });
    for (at, (name, value)) in headers.iter().enumerate() {
        if at > 0 {
            into.push(b',');
        }
        if !unique {
            into.push(b'[');
        }
        push_string(name, into);
        into.push(if unique { b':' } else { b',' });
        match value {
            Some(value) => push_string(value, into),
            None => into.extend_from_slice(b"null"),
        }
        if !unique {
            into.push(b']');
        }
    }
    into.push(if unique { b'}' } else { b']' });
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// A string is a key as it is; other JSON is a key by its text.
fn key_bytes(raw: &RawValue) -> Vec<u8> {
    serde_json::from_str::<String>(raw.get()).map_or_else(|_| raw.get().into(), String::into_bytes)
}

fn is_one_line(value: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', value).is_none()
}

/// JSON on one line that is not `null` and that a reader gives back byte for byte.
fn is_raw_json(value: &[u8]) -> bool {
    let parsed: Option<&RawValue> = serde_json::from_slice(value).ok();
    is_one_line(value) && parsed.is_some_and(|raw| !is_null(raw) && raw.get().len() == value.len())
}

fn push_string(text: &str, into: &mut Vec<u8>) {
    // Writing a string to a vector cannot fail.
    let _ = serde_json::to_writer(into, text);
}
