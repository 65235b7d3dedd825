//! Event time: when a record says that it happened, in milliseconds since the epoch.

use crate::column::{Column, Frame, Tag, TextRef, Value};
use crate::dead_letter::{Fault, Reason};
use crate::format::time::parse_rfc3339_ms;
use crate::plan::{EventTime, TimeUnit};
use crate::record::RecordBatch;

/// 0001-01-01T00:00:00Z.
const EARLIEST_MS: i64 = -62_135_596_800_000;
/// 9998-12-31T23:59:59.999Z: the window around it still ends in a year of four digits.
const LATEST_MS: i64 = 253_370_764_799_999;
/// What Kafka writes when a record has no timestamp.
const NO_TIMESTAMP: i64 = -1;

/// The event time of a record whose value is not null. `column` is that of the time's field.
#[inline]
pub(crate) fn event_time(
    time: &EventTime,
    column: Option<&Column>,
    frame: &Frame,
    batch: &RecordBatch,
    row: usize,
    clock_ms: i64,
) -> Result<i64, Fault> {
    let event_ms = match column {
        Some(column) => match column.value(row) {
            Value { tag: Tag::Int, bits } => scale(time.unit, bits as i64),
            Value { tag: Tag::String, bits } => text_time(frame.text(batch, TextRef::from_bits(bits))),
            other => return Err(no_time(time, other.tag)),
        },
        None => Some(batch.records()[row].timestamp_ms).filter(|timestamp| *timestamp != NO_TIMESTAMP),
    };
    match event_ms {
        Some(event_ms) if (EARLIEST_MS..=LATEST_MS).contains(&event_ms) => match time.max_future_ms {
            Some(max) if event_ms > clock_ms.saturating_add(max) => Err(in_future(event_ms, clock_ms, max)),
            _ => Ok(event_ms),
        },
        _ => Err(unreadable(time)),
    }
}

fn scale(unit: TimeUnit, value: i64) -> Option<i64> {
    match unit {
        TimeUnit::Seconds => value.checked_mul(1000),
        TimeUnit::Milliseconds => Some(value),
        TimeUnit::Microseconds => Some(value.div_euclid(1000)),
    }
}

fn text_time(text: &[u8]) -> Option<i64> {
    parse_rfc3339_ms(text)
}

fn name(time: &EventTime) -> String {
    match &time.field {
        Some(field) => format!("event time `{field}`"),
        None => "the record's timestamp".to_owned(),
    }
}

#[cold]
fn no_time(time: &EventTime, tag: Tag) -> Fault {
    let name = name(time);
    match tag {
        Tag::Missing => Fault::new(Reason::EventTimeMissing, format!("{name} is missing")),
        Tag::Null => Fault::new(Reason::EventTimeMissing, format!("{name} is null")),
        _ => unreadable(time),
    }
}

#[cold]
fn unreadable(time: &EventTime) -> Fault {
    let name = name(time);
    match time.field {
        Some(_) => Fault::new(
            Reason::EventTimeUnreadable,
            format!(
                "{name} is neither an RFC 3339 time nor a whole number of {:?} between the years 1 and 9998",
                time.unit
            ),
        ),
        None => Fault::new(Reason::EventTimeMissing, format!("{name} is not set or out of range")),
    }
}

#[cold]
fn in_future(event_ms: i64, clock_ms: i64, max_ms: i64) -> Fault {
    let ahead = event_ms.saturating_sub(clock_ms);
    let message =
        format!("event time is {ahead} ms ahead of the clock, at most {max_ms} ms are allowed (maxFuture)");
    Fault::new(Reason::EventTimeInFuture, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::FieldPath;
    use crate::record::NewRecord;

    fn read(unit: TimeUnit, max_future_ms: Option<i64>, tag: Tag, text: &str) -> Result<i64, Reason> {
        let time = EventTime {
            field: Some(FieldPath(vec!["ts".into()])),
            unit,
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: 0,
            max_future_ms,
        };
        let mut frame = Frame::default();
        let bits = if tag == Tag::Int {
            text.parse::<i64>().unwrap() as u64
        } else {
            frame.intern(text.as_bytes()).bits()
        };
        let mut column = Column::default();
        column.push(tag, bits);
        let batch = RecordBatch::new();
        event_time(&time, Some(&column), &frame, &batch, 0, 1_000_000).map_err(|fault| fault.reason)
    }

    #[test]
    fn an_integer_is_in_the_unit_of_the_field() {
        assert_eq!(read(TimeUnit::Milliseconds, None, Tag::Int, "1500"), Ok(1500));
        assert_eq!(read(TimeUnit::Seconds, None, Tag::Int, "2"), Ok(2000));
        assert_eq!(read(TimeUnit::Microseconds, None, Tag::Int, "-1"), Ok(-1));
        assert_eq!(
            read(TimeUnit::Seconds, None, Tag::Int, &i64::MAX.to_string()),
            Err(Reason::EventTimeUnreadable)
        );
        assert_eq!(
            read(TimeUnit::Milliseconds, None, Tag::Int, &i64::MIN.to_string()),
            Err(Reason::EventTimeUnreadable)
        );
    }

    #[test]
    fn a_text_is_rfc_3339() {
        assert_eq!(read(TimeUnit::Seconds, None, Tag::String, "1970-01-01T00:00:01.5Z"), Ok(1500));
        assert_eq!(read(TimeUnit::Seconds, None, Tag::String, "1970-01-01T02:00:00+02:00"), Ok(0));
        assert_eq!(read(TimeUnit::Seconds, None, Tag::String, "yesterday"), Err(Reason::EventTimeUnreadable));
    }

    #[test]
    fn what_is_missing_of_another_type_or_far_ahead_is_a_fault() {
        assert_eq!(read(TimeUnit::Seconds, None, Tag::Missing, ""), Err(Reason::EventTimeMissing));
        assert_eq!(read(TimeUnit::Seconds, None, Tag::Null, ""), Err(Reason::EventTimeMissing));
        assert_eq!(read(TimeUnit::Seconds, None, Tag::Bool, ""), Err(Reason::EventTimeUnreadable));
        assert_eq!(read(TimeUnit::Milliseconds, Some(500), Tag::Int, "1000500"), Ok(1_000_500));
        assert_eq!(
            read(TimeUnit::Milliseconds, Some(500), Tag::Int, "1000501"),
            Err(Reason::EventTimeInFuture)
        );
    }

    #[test]
    fn without_a_field_it_is_the_timestamp_of_the_record() {
        let time = EventTime {
            field: None,
            unit: TimeUnit::Milliseconds,
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: 0,
            max_future_ms: None,
        };
        let mut batch = RecordBatch::new();
        batch.push(NewRecord { timestamp_ms: 77, ..NewRecord::default() });
        batch.push(NewRecord { timestamp_ms: -1, ..NewRecord::default() });
        let at =
            |row| event_time(&time, None, &Frame::default(), &batch, row, 0).map_err(|fault| fault.reason);
        assert_eq!(at(0), Ok(77));
        assert_eq!(at(1), Err(Reason::EventTimeMissing));
    }
}
