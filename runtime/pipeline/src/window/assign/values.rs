//! Whether the aggregates of a window can take the values of a record.

use crate::aggregate::{self, Input};
use crate::column::{Tag, TagSet, TextRef};
use crate::dead_letter::{Fault, Reason};
use crate::plan::{Aggregate, Window};
use crate::window::key::FIELD_BYTES_MAX;

/// True when some record of the frame may have a value that an aggregate does not take. `columns` has one entry per
/// aggregate.
pub(super) fn must_check(window: &Window, input: Input<'_>, columns: &[Option<usize>]) -> bool {
    window.aggregates.iter().zip(columns).any(|(aggregate, column)| {
        let Some(column) = column else { return false };
        let seen = input.frame.columns[*column].tags_seen();
        let takes = aggregate::takes(aggregate.function);
        seen.union(takes) != takes || (aggregate::keeps_text(aggregate.function) && has_text(seen))
    })
}

/// Looks at the values of one record.
pub(super) fn check(
    window: &Window,
    input: Input<'_>,
    columns: &[Option<usize>],
    row: u32,
) -> Result<(), Fault> {
    for (aggregate, column) in window.aggregates.iter().zip(columns) {
        let Some(column) = column else { continue };
        let value = input.frame.columns[*column].value(row as usize);
        if !aggregate::accepts(aggregate.function, input, value) {
            return Err(unusable(aggregate, value.tag));
        }
        if aggregate::keeps_text(aggregate.function) && matches!(value.tag, Tag::String | Tag::Decimal) {
            let text = input.frame.text(input.batch, TextRef::from_bits(value.bits));
            if text.len() > FIELD_BYTES_MAX {
                return Err(too_long(aggregate, text.len()));
            }
        }
    }
    Ok(())
}

fn has_text(seen: TagSet) -> bool {
    seen.contains(Tag::String) || seen.contains(Tag::Decimal)
}

#[cold]
fn unusable(aggregate: &Aggregate, tag: Tag) -> Fault {
    let what = match tag {
        Tag::Bool => "a boolean",
        Tag::String => "text",
        Tag::Json => "an object or array",
        Tag::Decimal => "a number out of range",
        _ => "of another type",
    };
    let field = aggregate.field.as_ref().map(ToString::to_string).unwrap_or_default();
    let (name, function) = (&aggregate.name, aggregate.function);
    Fault::new(Reason::ValueUnusable, format!("`{field}` is {what}, which {function:?} `{name}` cannot take"))
}

#[cold]
fn too_long(aggregate: &Aggregate, len: usize) -> Fault {
    let field = aggregate.field.as_ref().map(ToString::to_string).unwrap_or_default();
    let (name, function) = (&aggregate.name, aggregate.function);
    let message = format!("`{field}` has {len} bytes, {function:?} `{name}` keeps at most {FIELD_BYTES_MAX}");
    Fault::new(Reason::ValueUnusable, message)
}
