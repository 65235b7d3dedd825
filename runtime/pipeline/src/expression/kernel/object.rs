//! Map literals whose keys are constants: the entries are columns, each row is written as one JSON object.

use super::machine::{Machine, Operand, Raised, absent, full};
use super::space::append;
use crate::column::{Column, Frame, Tag, TextRef, Value};
use crate::expression::program::{Entry, Node};
use crate::expression::{json, time};
use crate::record::RecordBatch;

/// Writes the objects of the rows.
pub(super) fn write(machine: &mut Machine<'_>, entries: &[Entry], rows: &[u32], out: &mut Column) {
    let operands: Vec<Operand> = entries.iter().map(|entry| machine.load(&entry.value, rows)).collect();
    let mut text = std::mem::take(&mut machine.space.spill);
    for &row in rows {
        text.clear();
        let written = object(machine.frame, machine.context.batch, entries, &operands, row, &mut text);
        let error = match written {
            Ok(()) => match append(machine.frame, &text) {
                Some(text) => {
                    out.set(row as usize, Tag::Json, text.bits());
                    continue;
                }
                None => machine.raise(full()),
            },
            Err(raised) => machine.raised(raised),
        };
        out.set(row as usize, Tag::Error, error);
    }
    machine.space.spill = text;
    operands.into_iter().for_each(|operand| machine.release(operand));
}

fn object(
    frame: &Frame,
    batch: &RecordBatch,
    entries: &[Entry],
    operands: &[Operand],
    row: u32,
    text: &mut Vec<u8>,
) -> Result<(), Raised> {
    text.push(b'{');
    for (entry, operand) in entries.iter().zip(operands) {
        let value = operand.get(frame, row);
        if value.tag == Tag::Missing {
            if entry.optional {
                continue;
            }
            return Err(Raised::Now(absent(&entry.value)));
        }
        if text.len() > 1 {
            text.push(b',');
        }
        text.extend_from_slice(entry.json_key.as_deref().unwrap_or_default());
        write_value(frame, batch, &entry.value, value, text)?;
    }
    text.push(b'}');
    Ok(())
}

/// One value that is there, as JSON.
fn write_value(
    frame: &Frame,
    batch: &RecordBatch,
    node: &Node,
    value: Value,
    text: &mut Vec<u8>,
) -> Result<(), Raised> {
    let bytes = || frame.text(batch, TextRef::from_bits(value.bits));
    match value.tag {
        Tag::Null => text.extend_from_slice(b"null"),
        Tag::Bool => text.extend_from_slice(if value.bits == 0 { b"false" } else { b"true" }),
        Tag::Int => json::write_int(value.bits as i64, text),
        Tag::Double => json::write_double(f64::from_bits(value.bits), text).map_err(Raised::Now)?,
        Tag::Decimal | Tag::Json => text.extend_from_slice(bytes()),
        Tag::String => json::write_string(bytes(), text),
        Tag::Timestamp => json::write_string(time::format_timestamp(value.bits as i64).as_bytes(), text),
        Tag::Duration => json::write_string(time::format_duration(value.bits as i64).as_bytes(), text),
        Tag::Error => return Err(Raised::Before(value.bits)),
        Tag::Missing => return Err(Raised::Now(absent(node))),
    }
    Ok(())
}
