//! Expressions through the public door. Every check runs on whole columns, on scattered selections, and row by row, and
//! wants the same from all three.

mod compile;
mod differential;
mod meaning;
mod narrowing;

use super::interpret::{self, Row};
use super::kernel::Context;
use super::{Expression, Kernel, json};
use crate::column::{Column, FieldPath, Frame, Projection, Tag, TextRef, Value};
use crate::record::{NewRecord, RecordBatch};

/// The clock of all tests: 2026-11-21T10:00:00Z.
pub(super) const CLOCK_MS: i64 = 1_795_255_200_000;

/// Records, and the columns that a projection asks for.
pub(super) struct Bench {
    pub batch: RecordBatch,
    pub frame: Frame,
    pub projection: Projection,
}

impl Bench {
    /// Records with these values, each decoded for the fields of an expression.
    pub fn new(values: &[&str], fields: &[FieldPath]) -> Self {
        let mut batch = RecordBatch::new();
        for (offset, value) in values.iter().enumerate() {
            batch.push(NewRecord {
                offset: 100 + offset as i64,
                timestamp_ms: CLOCK_MS - 1000,
                key: (offset != 1).then_some(b"k1"),
                value: Some(value.as_bytes()),
            });
            batch.push_header(b"source", Some(b"old"));
            batch.push_header(b"source", Some(b"web"));
            batch.push_header(b"empty", None);
        }
        let mut projection = Projection::default();
        for path in fields {
            projection.column(path);
        }
        Self::decode(batch, projection)
    }

    /// Decodes the fields of a projection, as the formats do.
    pub fn decode(batch: RecordBatch, projection: Projection) -> Self {
        let mut frame = Frame::default();
        frame.reset(batch.len(), projection.paths().len());
        for row in 0..batch.len() {
            let text = std::str::from_utf8(batch.value(row).unwrap()).unwrap();
            for (index, path) in projection.paths().iter().enumerate() {
                if let Some(value) = field(&mut frame, &batch, text, &path.0) {
                    frame.columns[index].set(row, value.tag, value.bits);
                }
            }
        }
        Self { batch, frame, projection }
    }

    pub fn context(&self) -> Context<'_> {
        Context { batch: &self.batch, topic: "orders", partition: 7, clock_ms: CLOCK_MS }
    }
}

fn field(frame: &mut Frame, batch: &RecordBatch, text: &str, path: &[String]) -> Option<Value> {
    let mut val = json::value(text.trim()).unwrap();
    for name in path {
        val = match val {
            super::value::Val::Json(text) if !json::is_list(text) => json::member(text, name).unwrap()?,
            _ => return None,
        };
    }
    let mut space = super::kernel::tests_only_settle(frame, batch, &val);
    Some(match space.take() {
        Some((tag, text)) => Value { tag, bits: frame.intern(&text).bits() },
        None => super::kernel::tests_only_value(frame, batch, &val),
    })
}
