//! The end of a window: what was held is added or becomes a dead letter, and each group becomes a row.

use super::{Closing, Merge, OpenWindow, ROWS_MAX};
use crate::aggregate::{Exact, Scalar, Total, add_scalar_number};
use crate::dead_letter::{Desk, Fault, Place, RECORD_BYTES_MAX, Reason};
use crate::effect::Effects;
use crate::format::time::write_rfc3339_ms;
use crate::plan::{Source, SourceConnector, Window};
use crate::record::{NewRecord, RecordBatch};
use crate::state::groups::key_hash;
use crate::window::key;
use crate::window::whole::Whole;
use hashbrown::HashSet;

/// Adds the held records in the order of the log. One that takes a sum beyond its range is a dead letter: beyond 64
/// bits when all terms of the group are integers, beyond every double otherwise.
///
/// Neither the order of arrival nor the cut of blocks has a say: which records are held is decided per partition, and
/// all that are not are in the groups before the first of them is looked at.
pub(super) fn add_held(
    window: &mut OpenWindow,
    definition: &Window,
    sources: &[Source],
    desk: Desk<'_>,
    out: &mut Effects,
) {
    let mut held = window.held.take();
    held.sort_by_cached_key(Whole::order);
    let mixed = groups_with_doubles(&held);
    for whole in &held {
        match overflowing(window, whole, &mixed) {
            None => window.add(whole),
            Some(at) => {
                let message =
                    format!("the value takes `{}` of its group out of range", definition.aggregates[at].name);
                let topic = whole.origin.source.and_then(|id| sources.get(usize::from(id.0))).map(topic);
                let fault = Fault::new(Reason::SumOverflow, message);
                let original = whole.records.len() - 1;
                desk.take(
                    out,
                    &definition.name,
                    &fault,
                    whole.origin.place(topic),
                    (&whole.records, original),
                );
            }
        }
    }
}

/// Keys and sums to which a held record would add a double.
fn groups_with_doubles(held: &[Whole]) -> HashSet<(&[u8], usize)> {
    let double = |value: &Scalar| matches!(value, Scalar::Double(_) | Scalar::Decimal(_));
    let of = |whole: &'_ Whole| {
        let sums = whole.values.iter().enumerate().filter(|(_, value)| double(value));
        sums.map(|(at, _)| at).collect::<Vec<_>>()
    };
    held.iter().flat_map(|whole| of(whole).into_iter().map(|at| (whole.key.as_slice(), at))).collect()
}

/// The first sum that a record would take out of range.
fn overflowing(window: &OpenWindow, whole: &Whole, mixed: &HashSet<(&[u8], usize)>) -> Option<usize> {
    let group = window.groups.find(key_hash(&whole.key), &whole.key);
    let row = group.map(|group| window.groups.row(group));
    (0..whole.values.len()).filter(|at| window.groups.is_sum(*at)).find(|at| {
        let sum = row.and_then(|(accumulators, row)| accumulators.sum(*at, row));
        let mut sum = sum.cloned().unwrap_or(Exact::Empty);
        let mixed = sum.has_double() || mixed.contains(&(whole.key.as_slice(), *at));
        add_scalar_number(&mut sum, &whole.values[*at]);
        match sum.total() {
            Total::Int(total) => !mixed && i64::try_from(total).is_err(),
            Total::Double(total) => total.is_infinite(),
            Total::None => false,
        }
    })
}

fn topic(source: &Source) -> &str {
    let SourceConnector::Kafka { topic, .. } = &source.connector;
    topic
}

impl Merge {
    /// Appends one row per group, in the order in which the groups came, while there is room. True when some are left.
    /// A row that is larger than any record may be is a dead letter.
    pub(super) fn write_rows(
        &self,
        closing: &mut Closing,
        rows: &mut RecordBatch,
        desk: Desk<'_>,
        out: &mut Effects,
    ) -> bool {
        let end_ms = self.slices.end_of(closing.start_ms);
        let bounds = bounds(closing.start_ms, end_ms);
        let window = &closing.window;
        let (mut record_key, mut value) = (Vec::new(), Vec::new());
        while rows.len() < ROWS_MAX && (closing.next_group as usize) < window.groups.len() {
            let group = closing.next_group;
            closing.next_group += 1;
            let key = window.groups.key(group);
            record_key.clear();
            value.clear();
            key::write_record_key(&self.key_names, key, &mut record_key);
            value.push(b'{');
            key::write_members(&self.key_names, key, &mut value);
            value.extend_from_slice(&bounds);
            let (accumulators, row) = window.groups.row(group);
            for (at, name) in self.aggregate_names.iter().enumerate() {
                value.push(b',');
                value.extend_from_slice(name);
                value.push(b':');
                accumulators.write_json(at, row, &mut value);
            }
            value.push(b'}');
            let bytes = record_key.len() + value.len();
            let (key, value) = (Some(record_key.as_slice()), Some(value.as_slice()));
            let row = NewRecord { offset: 0, timestamp_ms: end_ms.saturating_sub(1), key, value };
            if bytes > RECORD_BYTES_MAX {
                self.refuse_row(row, bytes, desk, out);
            } else {
                rows.push(row);
            }
        }
        (closing.next_group as usize) < window.groups.len()
    }

    #[cold]
    fn refuse_row(&self, row: NewRecord<'_>, bytes: usize, desk: Desk<'_>, out: &mut Effects) {
        let mut one = RecordBatch::new();
        one.push(row);
        let message = format!("the row has {bytes} bytes, at most {RECORD_BYTES_MAX} are allowed");
        let place = Place { topic: None, partition: 0, offset: 0 };
        desk.take(out, &self.window.name, &Fault::new(Reason::RecordTooLarge, message), place, (&one, 0));
    }
}

fn bounds(start_ms: i64, end_ms: i64) -> Vec<u8> {
    let mut out = br#","window_start":""#.to_vec();
    write_rfc3339_ms(start_ms, &mut out);
    out.extend_from_slice(br#"","window_end":""#);
    write_rfc3339_ms(end_ms, &mut out);
    out.push(b'"');
    out
}
