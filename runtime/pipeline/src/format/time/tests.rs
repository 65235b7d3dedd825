//! `jiff` is the oracle.

use super::*;
use proptest::prelude::*;

fn written(ms: i64) -> String {
    let mut out = Vec::new();
    write_rfc3339_ms(ms, &mut out);
    String::from_utf8(out).unwrap()
}

/// Milliseconds by `jiff`, rounded down.
fn oracle(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(time.as_nanosecond().div_euclid(1_000_000) as i64)
}

#[test]
fn forms_of_rfc3339_are_read() {
    for text in [
        "2026-01-01T00:05:00Z",
        "2026-01-01T00:05:00.1Z",
        "2026-01-01T00:05:00.12Z",
        "2026-01-01T00:05:00.123456789Z",
        "2026-01-01t00:05:00.999z",
        "2026-01-01 00:05:00Z",
        "2026-01-01T00:05:00+02:00",
        "2026-01-01T00:05:00-23:59",
        "2024-02-29T12:00:00Z",
        "1969-12-31T23:59:59.999Z",
        "1900-03-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2016-12-31T23:59:60.5Z",
    ] {
        let ms = parse_rfc3339_ms(text.as_bytes());
        assert!(ms.is_some(), "{text}");
        assert_eq!(ms, oracle(text), "{text}");
    }
}

#[test]
fn what_is_no_time_is_not_read() {
    for text in [
        "",
        "2026",
        "2026-01-01",
        "2026-01-01T00:05:00",
        "2026-01-01T00:05Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00,5Z",
        "2026-01-01T00:00:00+0200",
        "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+01:60",
        "2026-01-01T00:00:00Zz",
        " 2026-01-01T00:00:00Z",
        "+02026-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z ",
        "2026/01/01T00:00:00Z",
        "20x6-01-01T00:00:00Z",
        "\u{660}026-01-01T00:00:00Z",
    ] {
        assert_eq!(parse_rfc3339_ms(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn times_are_written() {
    assert_eq!(written(1_767_225_900_000), "2026-01-01T00:05:00Z");
    assert_eq!(written(1_767_225_900_007), "2026-01-01T00:05:00.007Z");
    assert_eq!(written(-1), "1969-12-31T23:59:59.999Z");
    assert_eq!(written(253_402_300_799_999), "9999-12-31T23:59:59.999Z");
    assert_eq!(written(253_402_300_800_000), "+010000-01-01T00:00:00Z");
    assert_eq!(written(i64::MAX), "+292278994-08-17T07:12:55.807Z");
    assert_eq!(written(i64::MIN), "-292275055-05-16T16:47:04.192Z");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn times_are_written_as_jiff_writes_them(ms in -62_135_596_800_000_i64..253_402_300_800_000) {
        let Ok(time) = jiff::Timestamp::from_millisecond(ms) else { return Ok(()) };
        let expected = if ms % 1000 == 0 { time.to_string() } else { format!("{time:.3}") };
        prop_assert_eq!(written(ms), expected);
        if let Some(back) = oracle(&written(ms)) {
            prop_assert_eq!(back, ms);
        }
        prop_assert_eq!(parse_rfc3339_ms(written(ms).as_bytes()), Some(ms));
    }

    #[test]
    fn times_are_read_as_jiff_reads_them(
        text in "[0-9]{4}-(0[0-9]|1[0-3])-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
    ) {
        // jiff ends earlier, at the first and last instants that every offset can show.
        match (parse_rfc3339_ms(text.as_bytes()), oracle(&text)) {
            (Some(ms), None) => prop_assert!(text.starts_with("9999-12-3") || text.starts_with("0000"), "{ms}"),
            (ours, theirs) => prop_assert_eq!(ours, theirs),
        }
    }

    #[test]
    fn any_bytes_are_no_time_or_the_time_of_jiff(
        ms in 0_i64..4_000_000_000_000, at in 0_usize..24, byte in any::<u8>()
    ) {
        let mut text = written(ms).into_bytes();
        let at = at % text.len();
        text[at] = byte;
        if let Some(ms) = parse_rfc3339_ms(&text) {
            prop_assert_eq!(Some(ms), std::str::from_utf8(&text).ok().and_then(oracle));
        }
    }
}
