//! Timestamps and durations: nanoseconds in an `i64`, which reaches from 1677 to 2262.

use crate::format::time::{parse_rfc3339_ms, write_rfc3339_ns};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use std::fmt::Write;

const SECOND: i64 = 1_000_000_000;

/// Reads an RFC 3339 timestamp, with up to nine places of a second.
pub(super) fn parse_timestamp(text: &str) -> Option<i64> {
    let ms = parse_rfc3339_ms(text.as_bytes())?;
    let places = text.bytes().skip("2026-01-31T08:00:00.".len()).take_while(u8::is_ascii_digit).count();
    if text.as_bytes().get(19) != Some(&b'.') || places <= 3 {
        return ms.checked_mul(1_000_000);
    }
    let timestamp: Timestamp = text.parse().ok()?;
    timestamp.as_nanosecond().try_into().ok()
}

/// Writes an RFC 3339 timestamp in UTC, with as many places as it needs.
pub(super) fn format_timestamp(nanos: i64) -> String {
    let mut text = Vec::with_capacity(30);
    write_rfc3339_ns(nanos, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Date and time of day in UTC.
pub(super) fn civil(nanos: i64) -> DateTime {
    Offset::UTC.to_datetime(Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or(Timestamp::UNIX_EPOCH))
}

/// Reads a duration such as `1h30m`, `1.5s` or `-250ms`.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(digits);
        let unit_len = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_len);
        let unit: i128 = match unit {
            "h" => 3600 * i128::from(SECOND),
            "m" => 60 * i128::from(SECOND),
            "s" => i128::from(SECOND),
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        total = total.checked_add(times(number, unit)?)?;
        rest = behind;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// A decimal number of units, cut to whole nanoseconds.
fn times(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || number.len() > 32 || fraction.contains('.') {
        return None;
    }
    let read = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<i128>().ok() };
    // Nine places are a nanosecond of a second; four more cover the hours.
    let fraction = &fraction[..fraction.len().min(13)];
    let scale = 10_i128.pow(fraction.len() as u32);
    read(whole)?.checked_mul(unit)?.checked_add(read(fraction)?.checked_mul(unit)? / scale)
}

/// Writes a duration as seconds: `90s`, `-1.5s`.
pub(super) fn format_duration(nanos: i64) -> String {
    let (seconds, fraction) = (nanos.unsigned_abs() / SECOND as u64, nanos.unsigned_abs() % SECOND as u64);
    let mut text = String::new();
    let sign = if nanos < 0 { "-" } else { "" };
    // Writing to a string cannot fail.
    let _ = write!(text, "{sign}{seconds}");
    if fraction > 0 {
        let _ = write!(text, ".{fraction:09}");
        text.truncate(text.trim_end_matches('0').len());
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        let cases = [
            ("1h30m", 5400 * SECOND, "5400s"),
            ("1.5s", SECOND + SECOND / 2, "1.5s"),
            ("-250ms", -SECOND / 4, "-0.25s"),
            ("1h0m0.000000001s", 3600 * SECOND + 1, "3600.000000001s"),
            ("7us3ns", 7003, "0.000007003s"),
            ("0", 0, "0s"),
            (".5h", 1800 * SECOND, "1800s"),
        ];
        for (text, nanos, written) in cases {
            assert_eq!(parse_duration(text), Some(nanos), "{text}");
            assert_eq!(format_duration(nanos), written);
        }
        for wrong in ["", "-", "1", "h", "1d", "1.2.3s", ".s", "300000000h", "s1", "1 s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn timestamps_are_read_and_written() {
        let nanos = parse_timestamp("2026-11-21T10:00:00.250+02:00").unwrap();
        assert_eq!(format_timestamp(nanos), "2026-11-21T08:00:00.250Z");
        assert_eq!(parse_timestamp("2026-11-21T08:00:00.250000001Z"), Some(nanos + 1));
        assert_eq!(parse_timestamp("2026-11-21T08:00:00.2500Z"), Some(nanos));
        assert_eq!(parse_timestamp("2026-11-21T08Z"), None);
        assert_eq!(parse_timestamp("2026-11-21T10:00:00"), None);
        assert_eq!(parse_timestamp("2500-01-01T00:00:00Z"), None);
        assert_eq!(format_timestamp(i64::MIN), "1677-09-21T00:12:43.145224192Z");
    }
}
