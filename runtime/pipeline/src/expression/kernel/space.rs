//! Buffers of a kernel, kept from batch to batch.

use crate::column::{Column, Frame, Tag, TextRef, Value};
use crate::expression::json;
use crate::expression::value::{Fault, Val};
use crate::record::{RecordBatch, Span};

/// How much computed text one batch may have: what a [`TextRef`] can point at.
const MAX_SCRATCH_BYTES: usize = 1 << 31;

/// Buffers.
#[derive(Debug, Default)]
pub(super) struct Space {
    columns: Vec<Column>,
    lists: Vec<Vec<u32>>,
    /// Text on its way to the frame's scratch buffer.
    pub spill: Vec<u8>,
    /// By field: the index of the error that says that it is missing, once it was needed.
    pub missing: Vec<Option<u64>>,
}

/// A value that no longer borrows from the frame.
pub(super) enum Settled {
    /// A value.
    Value(Value),
    /// Text of this tag, lying in `spill`.
    Spilled(Tag),
}

impl Space {
    /// Forgets what belonged to the last batch.
    pub fn start(&mut self, fields: usize) {
        self.missing.clear();
        self.missing.resize(fields, None);
    }

    /// A column with so many rows, whatever is in them.
    pub fn column(&mut self, rows: usize) -> Column {
        let mut column = self.columns.pop().unwrap_or_default();
        if column.len() != rows {
            column.reset(rows);
        }
        column
    }

    /// Gives a column back.
    pub fn put_column(&mut self, column: Column) {
        self.columns.push(column);
    }

    /// An empty list of rows.
    pub fn list(&mut self) -> Vec<u32> {
        let mut list = self.lists.pop().unwrap_or_default();
        list.clear();
        list
    }

    /// A list with these rows.
    pub fn list_of(&mut self, rows: &[u32]) -> Vec<u32> {
        let mut list = self.list();
        list.extend_from_slice(rows);
        list
    }

    /// Gives a list back.
    pub fn put_list(&mut self, list: Vec<u32>) {
        self.lists.push(list);
    }
}

/// A value without its borrows: text that already lies in a buffer stays there, other text goes to `spill`.
pub(super) fn settle(
    frame: &Frame,
    batch: &RecordBatch,
    spill: &mut Vec<u8>,
    val: &Val<'_>,
) -> Result<Settled, Fault> {
    let (tag, bits) = match val {
        Val::Null => (Tag::Null, 0),
        Val::Bool(b) => (Tag::Bool, u64::from(*b)),
        Val::Int(i) => (Tag::Int, *i as u64),
        Val::Double(d) => (Tag::Double, d.to_bits()),
        Val::Timestamp(t) => (Tag::Timestamp, *t as u64),
        Val::Duration(d) => (Tag::Duration, *d as u64),
        Val::Decimal(text) => return Ok(settle_text(frame, batch, spill, Tag::Decimal, text)),
        Val::String(text) => return Ok(settle_text(frame, batch, spill, Tag::String, text)),
        Val::Json(text) => return Ok(settle_text(frame, batch, spill, Tag::Json, text)),
        Val::Optional(Some(inner)) => return settle(frame, batch, spill, inner),
        Val::Optional(None) => (Tag::Missing, 0),
        Val::List(_) | Val::Map(_) => {
            spill.clear();
            json::write(val, spill)?;
            return Ok(Settled::Spilled(Tag::Json));
        }
    };
    Ok(Settled::Value(Value { tag, bits }))
}

fn settle_text(frame: &Frame, batch: &RecordBatch, spill: &mut Vec<u8>, tag: Tag, text: &str) -> Settled {
    if let Some(span) = inside(batch.bytes(), text.as_bytes()) {
        return Settled::Value(Value { tag, bits: TextRef::input(span).bits() });
    }
    if let Some(span) = inside(&frame.scratch, text.as_bytes()) {
        return Settled::Value(Value { tag, bits: TextRef::scratch(span).bits() });
    }
    spill.clear();
    spill.extend_from_slice(text.as_bytes());
    Settled::Spilled(tag)
}

/// Where a slice lies in a buffer, when it is a part of it.
fn inside(buffer: &[u8], part: &[u8]) -> Option<Span> {
    let start = (part.as_ptr() as usize).checked_sub(buffer.as_ptr() as usize)?;
    let fits = start.checked_add(part.len()).is_some_and(|end| end <= buffer.len());
    fits.then_some(Span { start: start as u32, len: part.len() as u32 })
}

/// Moves text behind the frame's scratch buffer; none when that is full.
pub(super) fn append(frame: &mut Frame, text: &[u8]) -> Option<TextRef> {
    (frame.scratch.len() + text.len() < MAX_SCRATCH_BYTES).then(|| frame.intern(text))
}
