//! The loops over rows: comparisons of a column with a constant or with another column.

use super::bounds::Bounds;
use crate::column::{Column, Frame, Tag, TextRef};
use crate::expression::operate;
use crate::expression::program::{Literal, Order};
use crate::record::RecordBatch;
use hashbrown::HashSet;
use std::cmp::Ordering;

/// A comparison of two values.
#[derive(Clone, Copy)]
pub(super) enum Comparison {
    Order(Order),
    /// `==`, or `!=` when the flag is set.
    Equal(bool),
}

/// Rows on their way through a loop: what is kept, and what the loop does not handle.
pub(super) struct Pass<'r> {
    pub rows: &'r mut Vec<u32>,
    pub cold: Vec<u32>,
}

impl Pass<'_> {
    /// Keeps the rows whose test is true; a row without a result is cold.
    #[inline]
    pub fn keep(&mut self, mut test: impl FnMut(usize) -> Option<bool>) {
        let mut kept = 0;
        for at in 0..self.rows.len() {
            let row = self.rows[at];
            self.rows[kept] = row;
            match test(row as usize) {
                Some(holds) => kept += usize::from(holds),
                None => self.cold.push(row),
            }
        }
        self.rows.truncate(kept);
    }
}

/// The loops of a column against a constant.
pub(super) fn compare_constant(
    comparison: Comparison,
    column: &Column,
    literal: &Literal,
    frame: &Frame,
    batch: &RecordBatch,
    pass: &mut Pass<'_>,
) {
    let (tags, payload) = (column.tags(), column.payload());
    let (bounds, negated) = match (comparison, literal) {
        (Comparison::Order(op), Literal::Int(i)) => (Bounds::order_int(op, *i), false),
        (Comparison::Order(op), Literal::Double(d)) => (Bounds::order_double(op, *d), false),
        (Comparison::Equal(negated), Literal::Int(i)) => (Bounds::equal_int(*i), negated),
        (Comparison::Equal(negated), Literal::Double(d)) => (Bounds::equal_double(*d), negated),
        (Comparison::Equal(negated), Literal::Bool(b)) => {
            let wanted = u64::from(*b);
            return pass.keep(|row| (tags[row] == Tag::Bool).then(|| (payload[row] == wanted) != negated));
        }
        (Comparison::Equal(negated), Literal::Null) => {
            return pass.keep(|row| match tags[row] {
                Tag::Null => Some(!negated),
                Tag::Missing | Tag::Error => None,
                _ => Some(negated),
            });
        }
        (Comparison::Equal(negated), Literal::String(wanted)) => {
            let wanted = wanted.as_bytes();
            return pass.keep(|row| {
                let text = || frame.text(batch, TextRef::from_bits(payload[row]));
                (tags[row] == Tag::String).then(|| (text() == wanted) != negated)
            });
        }
        (Comparison::Order(op), Literal::String(wanted)) => {
            let wanted = wanted.as_bytes();
            return pass.keep(|row| {
                let text = || frame.text(batch, TextRef::from_bits(payload[row]));
                (tags[row] == Tag::String).then(|| op.holds(Some(text().cmp(wanted))))
            });
        }
        (comparison, Literal::Timestamp(nanos)) => {
            return compare_time(comparison, column, Tag::Timestamp, *nanos, pass);
        }
        (comparison, Literal::Duration(nanos)) => {
            return compare_time(comparison, column, Tag::Duration, *nanos, pass);
        }
        _ => return pass.keep(|_| None),
    };
    pass.keep(|row| match tags[row] {
        Tag::Int => Some(bounds.has_int(payload[row] as i64) != negated),
        Tag::Double => Some(bounds.has_double(f64::from_bits(payload[row])) != negated),
        _ => None,
    });
}

/// Timestamps and durations are ints to this loop, each kind only beside its own.
fn compare_time(comparison: Comparison, column: &Column, tag: Tag, nanos: i64, pass: &mut Pass<'_>) {
    let (bounds, negated) = match comparison {
        Comparison::Order(op) => (Bounds::order_int(op, nanos), false),
        Comparison::Equal(negated) => (Bounds::equal_int(nanos), negated),
    };
    let (tags, payload) = (column.tags(), column.payload());
    pass.keep(|row| (tags[row] == tag).then(|| bounds.has_int(payload[row] as i64) != negated));
}

/// The loops of two columns.
pub(super) fn compare_columns(
    comparison: Comparison,
    left: &Column,
    right: &Column,
    frame: &Frame,
    batch: &RecordBatch,
    pass: &mut Pass<'_>,
) {
    pass.keep(|row| {
        let (l, r) = (left.value(row), right.value(row));
        let text = |bits| frame.text(batch, TextRef::from_bits(bits));
        let ordering = match (l.tag, r.tag) {
            (Tag::Int, Tag::Int) | (Tag::Timestamp, Tag::Timestamp) | (Tag::Duration, Tag::Duration) => {
                Some((l.bits as i64).cmp(&(r.bits as i64)))
            }
            (Tag::Double, Tag::Double) => f64::from_bits(l.bits).partial_cmp(&f64::from_bits(r.bits)),
            (Tag::Int, Tag::Double) => operate::order_int_double(l.bits as i64, f64::from_bits(r.bits)),
            (Tag::Double, Tag::Int) => {
                operate::order_int_double(r.bits as i64, f64::from_bits(l.bits)).map(Ordering::reverse)
            }
            (Tag::String, Tag::String) => Some(text(l.bits).cmp(text(r.bits))),
            (Tag::Bool, Tag::Bool) => Some(l.bits.cmp(&r.bits)),
            _ => return None,
        };
        Some(match comparison {
            Comparison::Order(op) => op.holds(ordering),
            Comparison::Equal(negated) => (ordering == Some(Ordering::Equal)) != negated,
        })
    });
}

/// Above so many strings a set is faster than looking at each.
const FEW: usize = 8;

/// The constants of an `in`.
pub(super) struct Constants<'l> {
    literals: &'l [Literal],
    strings: Option<HashSet<&'l [u8], foldhash::fast::FixedState>>,
    has_double: bool,
}

impl<'l> Constants<'l> {
    /// The constants of a list.
    pub fn of(literals: &'l [Literal]) -> Self {
        let strings = (literals.len() > FEW).then(|| literals.iter().filter_map(string).collect());
        Self { literals, strings, has_double: literals.iter().any(|l| matches!(l, Literal::Double(_))) }
    }

    /// True when a string is one of them.
    #[inline]
    pub fn has_string(&self, text: &[u8]) -> bool {
        match &self.strings {
            Some(strings) => strings.contains(text),
            None => self.literals.iter().any(|l| string(l) == Some(text)),
        }
    }

    /// True when an int is one of them; none when a double may equal it.
    #[inline]
    pub fn has_int(&self, int: i64) -> Option<bool> {
        let found = self.literals.iter().any(|l| matches!(l, Literal::Int(i) if *i == int));
        (found || !self.has_double).then_some(found)
    }
}

fn string(literal: &Literal) -> Option<&[u8]> {
    match literal {
        Literal::String(text) => Some(text.as_bytes()),
        _ => None,
    }
}
