//! Aggregates: what is known of a group after any number of records, as dense columns with one row per group.
//!
//! Every aggregate is a fold with a merge, and neither depends on the order: the same records give the same bytes in
//! the output row whatever was added up where. That is what lets the source side of a window add up first.
//!
//! | function | takes | result |
//! |---|---|---|
//! | `Count` | everything; of a field: what is not missing or null | integer |
//! | `Sum` | numbers | exact integer when all were integers, else the exact sum rounded once to a double |
//! | `Average` | numbers | exact sum divided by the count, a double |
//! | `Min`, `Max` | booleans < numbers < text | the value |
//!
//! Missing and null are passed over; a group where nothing is left has `null` (`Count`: 0). Any other type is refused
//! by [`Aggregates::refuse`], before the record has touched a group.

pub(crate) mod exact;
pub(crate) mod scalar;

use crate::column::{Column, Frame, Tag, TagSet, TextRef, Value};
use crate::format::json::{write_f64, write_i64};
use crate::plan::{Aggregate, AggregateFunction};
use crate::record::RecordBatch;
use crate::state::bytes::{Malformed, Reader, put_varint};
pub(crate) use exact::{Exact, Total};
pub(crate) use scalar::Scalar;
use std::cmp::Ordering;

/// From this magnitude on an integer in a `Sum` may lead to an overflow that has to be laid at its record's door, so
/// the record travels and waits whole. Below it, more than 500 000 records of one group are needed to leave 64 bits.
const LARGE_INT: u64 = 1 << 44;
/// The same for doubles.
const LARGE_DOUBLE: f64 = 1e300;

/// The accumulators of a table of groups: column `i` belongs to aggregate `i`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Accumulators {
    columns: Vec<Accumulator>,
}

/// One aggregate of all groups.
#[derive(Clone, Debug)]
enum Accumulator {
    Records(Vec<u64>),
    Values(Vec<u64>),
    Sum(Vec<Exact>),
    Average(Vec<(Exact, u64)>),
    Extreme { keep: Ordering, values: Vec<Scalar> },
}

impl Accumulators {
    pub(crate) fn new(aggregates: &[Aggregate]) -> Self {
        let column = |aggregate: &Aggregate| match (aggregate.function, &aggregate.field) {
            (AggregateFunction::Count, None) => Accumulator::Records(Vec::new()),
            (AggregateFunction::Count, Some(_)) => Accumulator::Values(Vec::new()),
            (AggregateFunction::Sum, _) => Accumulator::Sum(Vec::new()),
            (AggregateFunction::Average, _) => Accumulator::Average(Vec::new()),
            (AggregateFunction::Min, _) => Accumulator::Extreme { keep: Ordering::Less, values: Vec::new() },
            (AggregateFunction::Max, _) => {
                Accumulator::Extreme { keep: Ordering::Greater, values: Vec::new() }
            }
        };
        Self { columns: aggregates.iter().map(column).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }

    /// Makes room up to `groups` groups; new ones are empty.
    pub(crate) fn grow(&mut self, groups: usize) {
        for column in &mut self.columns {
            match column {
                Accumulator::Records(counts) | Accumulator::Values(counts) => counts.resize(groups, 0),
                Accumulator::Sum(sums) => sums.resize(groups, Exact::Empty),
                Accumulator::Average(sums) => sums.resize(groups, (Exact::Empty, 0)),
                Accumulator::Extreme { values, .. } => values.resize(groups, Scalar::None),
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.grow(0);
    }

    /// Adds the values of `rows` to their groups: row `rows[i]` belongs to `groups[i]`. The values were not refused.
    pub(crate) fn add(
        &mut self,
        at: usize,
        column: Option<&Column>,
        input: Input<'_>,
        rows: &[u32],
        groups: &[u32],
    ) {
        let pairs = rows.iter().map(|row| *row as usize).zip(groups.iter().map(|group| *group as usize));
        let Some(column) = column else {
            if let Accumulator::Records(counts) = &mut self.columns[at] {
                for group in groups {
                    counts[*group as usize] += 1;
                }
            }
            return;
        };
        match &mut self.columns[at] {
            Accumulator::Records(counts) => pairs.for_each(|(_, group)| counts[group] += 1),
            Accumulator::Values(counts) => {
                let tags = column.tags();
                pairs.for_each(|(row, group)| counts[group] += u64::from(tags[row] > Tag::Null));
            }
            Accumulator::Sum(sums) => pairs.for_each(|(row, group)| {
                add_number(&mut sums[group], input, column.value(row));
            }),
            Accumulator::Average(sums) => pairs.for_each(|(row, group)| {
                let (sum, count) = &mut sums[group];
                *count += u64::from(add_number(sum, input, column.value(row)));
            }),
            Accumulator::Extreme { keep, values } => {
                pairs.for_each(|(row, group)| improve(&mut values[group], *keep, input, column.value(row)));
            }
        }
    }

    /// Adds one value that came alone.
    pub(crate) fn add_scalar(&mut self, at: usize, group: usize, value: &Scalar) {
        match &mut self.columns[at] {
            Accumulator::Records(counts) => counts[group] += 1,
            Accumulator::Values(counts) => counts[group] += u64::from(*value != Scalar::None),
            Accumulator::Sum(sums) => {
                add_scalar_number(&mut sums[group], value);
            }
            Accumulator::Average(sums) => {
                let (sum, count) = &mut sums[group];
                *count += u64::from(add_scalar_number(sum, value));
            }
            Accumulator::Extreme { keep, values } => keep_better(&mut values[group], *keep, value.clone()),
        }
    }

    /// The sum of a group, for `Sum` only.
    pub(crate) fn sum(&self, at: usize, group: usize) -> Option<&Exact> {
        match &self.columns[at] {
            Accumulator::Sum(sums) => Some(&sums[group]),
            _ => None,
        }
    }

    /// True for a `Sum`.
    pub(crate) fn is_sum(&self, at: usize) -> bool {
        matches!(self.columns[at], Accumulator::Sum(_))
    }

    /// About how many bytes [`Accumulators::encode`] takes for a group, all aggregates.
    pub(crate) fn encoded_bytes(&self, group: usize) -> usize {
        let of = |column: &Accumulator| match column {
            Accumulator::Records(_) | Accumulator::Values(_) => 4,
            Accumulator::Sum(sums) => 20 + sums[group].heap_bytes(),
            Accumulator::Average(sums) => 24 + sums[group].0.heap_bytes(),
            Accumulator::Extreme { values, .. } => 12 + values[group].heap_bytes(),
        };
        self.columns.iter().map(of).sum()
    }

    /// Appends what is known of some groups, one aggregate.
    pub(crate) fn encode(&self, at: usize, groups: &[u32], out: &mut Vec<u8>) {
        let groups = groups.iter().map(|group| *group as usize);
        match &self.columns[at] {
            Accumulator::Records(counts) | Accumulator::Values(counts) => {
                groups.for_each(|group| put_varint(out, counts[group]));
            }
            Accumulator::Sum(sums) => groups.for_each(|group| sums[group].encode(out)),
            Accumulator::Average(sums) => groups.for_each(|group| {
                sums[group].0.encode(out);
                put_varint(out, sums[group].1);
            }),
            Accumulator::Extreme { values, .. } => groups.for_each(|group| values[group].encode(out)),
        }
    }

    /// Adds what [`Accumulators::encode`] wrote: one entry for each of `groups`.
    pub(crate) fn merge(
        &mut self,
        at: usize,
        groups: &[u32],
        reader: &mut Reader<'_>,
    ) -> Result<(), Malformed> {
        groups.iter().try_for_each(|group| self.merge_one(at, *group as usize, reader))
    }

    /// The same for one group.
    #[inline]
    pub(crate) fn merge_one(
        &mut self,
        at: usize,
        group: usize,
        reader: &mut Reader<'_>,
    ) -> Result<(), Malformed> {
        match &mut self.columns[at] {
            Accumulator::Records(counts) | Accumulator::Values(counts) => {
                counts[group] = counts[group].saturating_add(reader.varint("count")?);
            }
            Accumulator::Sum(sums) => sums[group].merge(&Exact::decode(reader)?),
            Accumulator::Average(sums) => {
                sums[group].0.merge(&Exact::decode(reader)?);
                sums[group].1 = sums[group].1.saturating_add(reader.varint("count of an average")?);
            }
            Accumulator::Extreme { keep, values } => {
                keep_better(&mut values[group], *keep, Scalar::decode(reader)?);
            }
        }
        Ok(())
    }

    /// Appends the result of a group as JSON.
    pub(crate) fn write_json(&self, at: usize, group: usize, out: &mut Vec<u8>) {
        match &self.columns[at] {
            Accumulator::Records(counts) | Accumulator::Values(counts) => {
                write_int(out, i128::from(counts[group]));
            }
            Accumulator::Sum(sums) => match sums[group].total() {
                Total::Int(total) => write_int(out, total),
                Total::Double(total) if total.is_finite() => write_f64(total, out),
                Total::Double(_) | Total::None => out.extend_from_slice(b"null"),
            },
            Accumulator::Average(sums) => match sums[group].0.mean(sums[group].1) {
                Some(mean) => write_f64(mean, out),
                None => out.extend_from_slice(b"null"),
            },
            Accumulator::Extreme { values, .. } => values[group].write_json(out),
        }
    }

    /// Heap bytes, roughly.
    pub(crate) fn heap_bytes(&self) -> usize {
        let of = |column: &Accumulator| match column {
            Accumulator::Records(counts) | Accumulator::Values(counts) => counts.capacity() * 8,
            Accumulator::Sum(sums) => {
                sums.capacity() * size_of::<Exact>() + sums.iter().map(Exact::heap_bytes).sum::<usize>()
            }
            Accumulator::Average(sums) => {
                sums.capacity() * size_of::<(Exact, u64)>()
                    + sums.iter().map(|s| s.0.heap_bytes()).sum::<usize>()
            }
            Accumulator::Extreme { values, .. } => {
                values.capacity() * size_of::<Scalar>() + values.iter().map(Scalar::heap_bytes).sum::<usize>()
            }
        };
        self.columns.iter().map(of).sum()
    }
}

/// The batch that values are read from.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) batch: &'a RecordBatch,
}

/// Tags that a function takes without a look at the value.
pub(crate) fn takes(function: AggregateFunction) -> TagSet {
    let mut set = TagSet::default();
    let tags: &[Tag] = match function {
        AggregateFunction::Count => &[Tag::Bool, Tag::Int, Tag::Double, Tag::Decimal, Tag::String, Tag::Json],
        AggregateFunction::Sum | AggregateFunction::Average => &[Tag::Int, Tag::Double],
        AggregateFunction::Min | AggregateFunction::Max => {
            &[Tag::Bool, Tag::Int, Tag::Double, Tag::Decimal, Tag::String]
        }
    };
    tags.iter().chain(&[Tag::Missing, Tag::Null]).for_each(|tag| set.insert(*tag));
    set
}

/// True when a function keeps a text that it takes.
pub(crate) fn keeps_text(function: AggregateFunction) -> bool {
    matches!(function, AggregateFunction::Min | AggregateFunction::Max)
}

/// True when a function can take a value.
pub(crate) fn accepts(function: AggregateFunction, input: Input<'_>, value: Value) -> bool {
    takes(function).contains(value.tag) || (value.tag == Tag::Decimal && decimal(input, value).is_some())
}

/// True when a value in a `Sum` is so large that its record travels whole; see [`LARGE_INT`].
#[inline]
pub(crate) fn is_large(input: Input<'_>, value: Value) -> bool {
    match value.tag {
        Tag::Int => (value.bits as i64).unsigned_abs() >= LARGE_INT,
        Tag::Double => f64::from_bits(value.bits).abs() >= LARGE_DOUBLE,
        Tag::Decimal => decimal(input, value).is_some_and(|value| value.abs() >= LARGE_DOUBLE),
        _ => false,
    }
}

/// What a value is to an aggregate, when its record travels whole.
pub(crate) fn scalar(aggregate: &Aggregate, input: Input<'_>, value: Option<Value>) -> Scalar {
    let Some(value) = value else { return Scalar::Present };
    if aggregate.function == AggregateFunction::Count {
        return if value.tag > Tag::Null { Scalar::Present } else { Scalar::None };
    }
    Scalar::read(input.frame, input.batch, value).unwrap_or_default()
}

/// Adds a value to a sum; false when there was nothing to add.
pub(crate) fn add_scalar_number(sum: &mut Exact, value: &Scalar) -> bool {
    match value {
        Scalar::Int(value) => sum.add_int(*value),
        other => match other.as_double() {
            Some(value) => sum.add_double(value),
            None => return false,
        },
    }
    true
}

#[inline]
fn add_number(sum: &mut Exact, input: Input<'_>, value: Value) -> bool {
    match value.tag {
        Tag::Int => sum.add_int(value.bits as i64),
        Tag::Double => sum.add_double(f64::from_bits(value.bits)),
        Tag::Decimal => match decimal(input, value) {
            Some(value) => sum.add_double(value),
            None => return false,
        },
        _ => return false,
    }
    true
}

fn decimal(input: Input<'_>, value: Value) -> Option<f64> {
    let text = input.frame.text(input.batch, TextRef::from_bits(value.bits));
    scalar::decimal(std::str::from_utf8(text).ok()?)
}

#[inline]
fn improve(best: &mut Scalar, keep: Ordering, input: Input<'_>, value: Value) {
    match (&mut *best, value.tag) {
        (_, Tag::Missing | Tag::Null) => {}
        (Scalar::Int(best), Tag::Int) => {
            let value = value.bits as i64;
            if value.cmp(best) == keep {
                *best = value;
            }
        }
        (Scalar::Double(best), Tag::Double) => {
            let value = f64::from_bits(value.bits);
            if value.total_cmp(best) == keep {
                *best = value;
            }
        }
        (Scalar::String(best), Tag::String) => {
            let text = input.frame.text(input.batch, TextRef::from_bits(value.bits));
            if text.cmp(best.as_bytes()) == keep
                && let Ok(text) = std::str::from_utf8(text)
            {
                *best = text.into();
            }
        }
        _ => keep_better(best, keep, Scalar::read(input.frame, input.batch, value).unwrap_or_default()),
    }
}

fn keep_better(best: &mut Scalar, keep: Ordering, value: Scalar) {
    if value != Scalar::None && (*best == Scalar::None || value.order(best) == keep) {
        *best = value;
    }
}

/// Appends an integer as JSON; one beyond 64 bits keeps all its digits.
pub(crate) fn write_int(out: &mut Vec<u8>, value: i128) {
    match i64::try_from(value) {
        Ok(value) => write_i64(value, out),
        Err(_) => out.extend_from_slice(value.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests;
