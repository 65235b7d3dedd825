//! Map literals whose keys are constants: the entries are columns, each row is written as one JSON object.

use super::machine::{Machine, Operand, Raised, absent, full};
use super::space::append;
use crate::column::{Column, Frame, Tag, Value};
use crate::expression::json;
use crate::expression::program::{Entry, Node};
use crate::format::json::write_value;
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
    for operand in operands {
        machine.release(operand);
    }
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
        self::entry(frame, batch, &entry.value, value, text)?;
    }
    text.push(b'}');
    Ok(())
}

/// One value that is there, as JSON.
fn entry(
    frame: &Frame,
    batch: &RecordBatch,
    node: &Node,
    value: Value,
    text: &mut Vec<u8>,
) -> Result<(), Raised> {
    match value.tag {
        Tag::Error => Err(Raised::Before(value.bits)),
        Tag::Missing => Err(Raised::Now(absent(node))),
        Tag::Double => json::write_double(f64::from_bits(value.bits), text).map_err(Raised::Now),
        _ => {
            write_value(frame, batch, value, text);
            Ok(())
        }
    }
}
