//! Expressions through the public door. Every check runs on whole columns, on scattered selections, and row by row, and
//! wants the same from all three.

mod compile;
mod consistency;
mod differential;
mod meaning;
mod reference;

use super::interpret::Row;
use super::value::{Fault, Val};
use super::{Context, Expression, Kernel, describe, json};
use crate::column::{Column, FieldPath, Frame, Projection, Tag, Value};
use crate::format::json::{Decoder, write_value};
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

    /// Decodes the fields of a projection.
    pub fn decode(batch: RecordBatch, projection: Projection) -> Self {
        let mut frame = Frame::default();
        let mut rejects = Vec::new();
        Decoder::new(&projection).decode(&batch, &mut frame, &mut rejects);
        assert_eq!(rejects, []);
        Self { batch, frame, projection }
    }

    pub fn context(&self) -> Context<'_> {
        Context { batch: &self.batch, topic: "orders", partition: 7, clock_ms: CLOCK_MS }
    }
}

/// What an expression gives for each of some values: JSON text, `error: …`, or `none`.
pub(super) fn results(text: &str, values: &[&str]) -> Vec<String> {
    let expression = Expression::compile(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let narrow = by_column(&expression, values, expression.fields());
    // Bound to the whole record, each field is looked up in its text instead of having a column.
    let whole = by_column(&expression, values, &[FieldPath(Vec::new())]);
    assert_eq!(narrow, whole, "{text}: a column each, and all in one");
    assert_eq!(narrow, by_row(&expression, values), "{text}: by column and by row");
    narrow
}

fn show(bench: &Bench, value: Value) -> String {
    match value.tag {
        Tag::Missing => "none".to_owned(),
        // A column may hold it; what writes JSON has to refuse it.
        Tag::Double if !f64::from_bits(value.bits).is_finite() => {
            format!("error: {} cannot be written as JSON", f64::from_bits(value.bits))
        }
        Tag::Error => format!("error: {}", bench.frame.errors[value.bits as usize]),
        _ => {
            let mut text = Vec::new();
            write_value(&bench.frame, &bench.batch, value, &mut text);
            String::from_utf8(text).unwrap()
        }
    }
}

fn by_column(expression: &Expression, values: &[&str], fields: &[FieldPath]) -> Vec<String> {
    let mut bench = Bench::new(values, fields);
    let mut kernel = Kernel::bind(expression, &bench.projection).unwrap();
    let mut out = Column::default();
    let Bench { batch, frame, .. } = &mut bench;
    let context = Context { batch, topic: "orders", partition: 7, clock_ms: CLOCK_MS };
    let all: Vec<u32> = (0..values.len() as u32).collect();
    kernel.evaluate(&context, frame, &all, &mut out);
    let shown: Vec<String> = (0..values.len()).map(|row| show(&bench, out.value(row))).collect();
    filter_agrees(expression, &mut bench, &mut kernel, &shown);
    shown
}

/// A filter keeps what is `true` and reports what is an error, whatever the selection.
fn filter_agrees(expression: &Expression, bench: &mut Bench, kernel: &mut Kernel, shown: &[String]) {
    let Bench { batch, frame, .. } = bench;
    let context = Context { batch, topic: "orders", partition: 7, clock_ms: CLOCK_MS };
    for step in [1, 2, 3] {
        let selected: Vec<u32> = (0..shown.len() as u32).step_by(step).collect();
        let (mut kept, mut failed) = (selected.clone(), Vec::new());
        kernel.filter(&context, frame, &mut kept, &mut failed);
        let text = expression.text();
        let is = |row: &u32, what: &str| shown[*row as usize] == what;
        let expected: Vec<u32> = selected.iter().copied().filter(|row| is(row, "true")).collect();
        assert_eq!(kept, expected, "{text}: filter of {shown:?}");
        let rest: Vec<u32> =
            selected.into_iter().filter(|row| !is(row, "true") && !is(row, "false")).collect();
        assert_eq!(failed.iter().map(|(row, _)| *row).collect::<Vec<_>>(), rest, "{text}: {failed:?}");
        for (row, message) in failed {
            let unwritten = |error: &&str| !error.ends_with("cannot be written as JSON");
            if let Some(error) = shown[row as usize].strip_prefix("error: ").filter(unwritten) {
                assert_eq!(message, error, "{text}");
            }
        }
    }
}

fn by_row(expression: &Expression, values: &[&str]) -> Vec<String> {
    let bench = Bench::new(values, expression.fields());
    let kernel = Kernel::bind(expression, &bench.projection).unwrap();
    let context = bench.context();
    (0..values.len())
        .map(|row| {
            let it = Row::new(&kernel.program, &kernel.sources, &context, &bench.frame, row);
            match it.evaluate(&kernel.program.root) {
                Ok(Val::Optional(None)) => "none".to_owned(),
                Ok(val) => {
                    let mut text = Vec::new();
                    match json::write(&val, &mut text) {
                        Ok(()) => String::from_utf8(text).unwrap(),
                        Err(fault) => fault_text(expression, fault),
                    }
                }
                Err(fault) => fault_text(expression, fault),
            }
        })
        .collect()
}

fn fault_text(expression: &Expression, fault: Fault) -> String {
    match fault {
        Fault::Missing(field) => format!("error: {}", describe::missing(&expression.fields()[field])),
        Fault::Text(message) => format!("error: {message}"),
    }
}
