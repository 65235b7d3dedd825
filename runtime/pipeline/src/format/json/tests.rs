//! `serde_json` is the oracle: it decides what is JSON and what the value of a path is.

use super::*;
use crate::column::{FieldPath, Frame, Projection, Tag, TextRef};
use crate::record::{NewRecord, RecordBatch};
use proptest::prelude::*;
use serde_json::Value as Json;

fn projection(paths: &[&str]) -> Projection {
    let mut projection = Projection::default();
    for path in paths {
        let parts = path.split('.').filter(|part| !part.is_empty()).map(String::from).collect();
        projection.column(&FieldPath(parts));
    }
    projection
}

fn batch(values: &[&[u8]]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for value in values {
        batch.push(NewRecord { value: Some(value), ..NewRecord::default() });
    }
    batch
}

/// What `serde_json` makes of a text; none is a reject.
fn oracle(text: &[u8]) -> Option<Json> {
    (text.len() <= MAX_BYTES).then(|| serde_json::from_slice(text).ok())?
}

fn lookup<'a>(value: &'a Json, path: &FieldPath) -> Option<&'a Json> {
    path.0.iter().try_fold(value, |value, part| value.as_object()?.get(part))
}

/// Decodes the texts in one batch, twice by the same decoder, and compares every row and column with the oracle.
fn check(paths: &[&str], texts: &[&[u8]]) {
    let projection = projection(paths);
    check_with(&mut Decoder::new(&projection), &projection, texts);
}

fn check_with(decoder: &mut Decoder, projection: &Projection, texts: &[&[u8]]) {
    let batch = batch(texts);
    let (mut frame, mut rejects) = (Frame::default(), Vec::new());
    for _ in 0..2 {
        rejects.clear();
        decoder.decode(&batch, &mut frame, &mut rejects);
        assert_eq!(frame.rows, texts.len());
        for (row, text) in texts.iter().enumerate() {
            let shown = String::from_utf8_lossy(&text[..text.len().min(300)]);
            let expected = oracle(text);
            let reject = rejects.iter().find(|reject| reject.row == row as u32);
            assert_eq!(reject.is_none(), expected.is_some(), "{shown:?}: {reject:?}");
            for (column, path) in projection.paths().iter().enumerate() {
                let value = expected.as_ref().and_then(|value| lookup(value, path));
                compare(&frame, &batch, row, column, value);
            }
        }
    }
}

fn compare(frame: &Frame, batch: &RecordBatch, row: usize, column: usize, expected: Option<&Json>) {
    let column = &frame.columns[column];
    let value = column.value(row);
    assert!(column.tags_seen().contains(value.tag));
    let text = || frame.text(batch, TextRef::from_bits(value.bits));
    let as_double = || std::str::from_utf8(text()).unwrap().parse::<f64>().unwrap();
    match (value.tag, expected) {
        (Tag::Missing, None) | (Tag::Null, Some(Json::Null)) => {}
        (Tag::Bool, Some(Json::Bool(expected))) => assert_eq!(value.bits, u64::from(*expected)),
        (Tag::Int, Some(Json::Number(expected))) if expected.is_i64() => {
            assert_eq!(Some(value.bits as i64), expected.as_i64());
        }
        (Tag::Int, Some(Json::Number(expected))) => {
            assert_eq!(value.bits, 0);
            assert_eq!(expected.as_f64().map(f64::to_bits), Some((-0.0_f64).to_bits()));
        }
        (Tag::Double, Some(Json::Number(expected))) => {
            assert!(expected.is_f64(), "{expected}");
            assert_eq!(Some(value.bits), expected.as_f64().map(f64::to_bits), "{expected}");
        }
        (Tag::Decimal, Some(Json::Number(expected))) => {
            assert!(expected.as_i64().is_none());
            assert!(text().strip_prefix(b"-").unwrap_or(text()).iter().all(u8::is_ascii_digit));
            assert_eq!(expected.as_f64(), Some(as_double()));
        }
        (Tag::String, Some(Json::String(expected))) => assert_eq!(text(), expected.as_bytes()),
        (Tag::Json, Some(expected @ (Json::Object(_) | Json::Array(_)))) => {
            assert_eq!(&oracle(text()).unwrap(), expected);
        }
        (tag, expected) => panic!("row {row}: {tag:?} {:#x} for {expected:?}", value.bits),
    }
}

const PATHS: &[&str] =
    &["", "a", "b", "u", "u.id", "u.deep.x", "u.deep", "long_key_beyond_sixteen_bytes", "é", "a\"b"];

#[test]
fn values_of_every_kind_are_decoded() {
    let texts: &[&str] = &[
        r#"{"a":1,"b":"x","u":{"id":7,"deep":{"x":[1,2]}},"long_key_beyond_sixteen_bytes":true}"#,
        r#"{"a":-1,"b":"","u":{"id":null,"deep":{"x":{}}},"long_key_beyond_sixteen_bytes":false}"#,
        r#" { "b" : "x\n\u00e9\ud83d\ude00" , "a" : 12345678.5 , "u" : [ ] } "#,
        r#"{"a":0.1,"b":1e5,"é":"ü","a\"b":3,"\u0061":4}"#,
        r#"{"a":123456789012345678,"b":-9223372036854775808,"u":{"id":9223372036854775807}}"#,
        r#"{"a":9223372036854775808,"b":-9223372036854775809,"u":{"id":18446744073709551616}}"#,
        r#"{"a":-0,"b":-0.0,"u":0}"#,
        r#"{"a":1.7976931348623157e308,"b":5e-324,"u":{"id":1e-400}}"#,
        r#"{"u":{"id":1,"deep":{"x":1}},"u":{"id":2}}"#,
        r#"{"u":{"id":1},"u":5,"a":1,"a":"two"}"#,
        r#"{"u":{"deep":{"x":1},"deep":3}}"#,
        "{}",
        "{ }",
        "[]",
        "[1, {\"a\":2}]",
        "3",
        "\"text\"",
        "\"te\\txt\"",
        "null",
        "true",
        " false ",
        "12345678901234567890123456789012345678901234567890",
    ];
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    check(PATHS, &texts);
    check(&[], &texts);
    check(&["u.id"], &texts);
    for text in &texts {
        check(PATHS, &[text]);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_not_json_is_rejected() {
    let long = "1".repeat(400);
    let texts: &[&str] = &[
        "",
        " ",
        "{",
        "[",
        "}",
        "{]",
        "[}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\" 1}",
        "{\"a\":1 \"b\":2}",
        "{a:1}",
        "{1:1}",
        "nul",
        "nulll",
        "tru",
        "falsy",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "-01",
        "00",
        "0x1",
        "1e999",
        "-1e999",
        "1e99999999999999999999",
        "0e999",
        "1e-99999999999999999999",
        "\"",
        "\"a",
        "\"\\",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\udc00\"",
        "\"a\nb\"",
        "\"\u{1}\"",
        "\"\u{7f}\"",
        "{} {}",
        "1 1",
        "\u{feff}1",
        "NaN",
        "Infinity",
        "'a'",
        "{\"a\":1}x",
        "{\"\\ud800\":1}",
        "/**/1",
        &long,
        "1\0",
        "\0",
        "{\"a\":1\0}",
        "[[[]]",
        "[[]]]",
        "{\"a\":{\"b\":[}}",
        "{\"u\":{\"id\":1}",
        "{\"u\":{\"id\":}}",
        "{\"u\":{\"id\":1,}}",
        "{\"u\":{,}}",
        "{\"u\":{}}",
        "{\"u\":{}",
        "1.5.5",
        "1e5e5",
        "1-1",
        "--1",
        "12a",
        "1.5a",
        "179769313486231570000000000000000000000e270",
        "17976931348623158.0e292",
        "17976931348623159e292",
        "0.000000000000000000000000000000000000000000001e350",
        "0.1e309",
        "1.8e308",
    ];
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    check(PATHS, &texts);
    check(&["a"], &texts);
    for text in &texts {
        check(PATHS, &[text]);
    }
    let wrapped: Vec<Vec<u8>> = texts
        .iter()
        .flat_map(|text| [[b"[", *text, b"]"].concat(), [b"{\"a\":", *text, b"}"].concat()])
        .collect();
    check(PATHS, &wrapped.iter().map(Vec::as_slice).collect::<Vec<_>>());
    check(&["b"], &wrapped.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

#[test]
fn strings_that_are_not_utf8_are_rejected() {
    let bad: &[&[u8]] = &[
        b"\"\xff\"",
        b"{\"a\":\"\xc3\"}",
        b"{\"a\":\"\xc3\xa9\"}",
        b"{\"other\":\"\xc3\\u00a9\"}",
        b"{\"\xe9\":1}",
        b"{\"other\":\"0123456789abcdef\xed\xa0\x80\"}",
        b"\xff",
        b"{\"other\":\"\xf0\x9f\x98\x80\"}",
        b"{\"other\":\"\xf0\x9f\x98\"}",
    ];
    check(PATHS, bad);
    check(&["a"], bad);
}

#[test]
fn the_end_of_a_text_is_where_the_next_one_begins() {
    let document = br#"{"a":123456789,"u":{"id":1.5e10,"deep":{"x":"a\u00e9"}},"b":"0123456789abcdefgh","c":[true,null]}"#;
    let mut texts: Vec<&[u8]> = Vec::new();
    for cut in 0..=document.len() {
        texts.push(&document[..cut]);
        texts.push(&document[cut..]);
    }
    for number in
        [&b"12"[..], b"1.5", b"1.", b"1e", b"1e1", b"12345678", b"1234567812345678", b"-", b"-1", b"0"]
    {
        texts.extend([number, &b"3"[..], number, b"e5", number, b".5"]);
    }
    check(PATHS, &texts);
    check(&["u.id"], &texts);
    check(&[], &texts);
}

#[test]
fn depth_and_size_are_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"u\":", "}"), ("{\"other\":", "}")] {
        for depth in [1, 2, 126, 127, 128, 129, 10_000, 100_000] {
            let text = open.repeat(depth) + "1" + &close.repeat(depth);
            check(PATHS, &[text.as_bytes()]);
            check(&["a"], &[text.as_bytes()]);
            let empty = open.repeat(depth - 1) + "{}" + &close.repeat(depth - 1);
            check(PATHS, &[empty.as_bytes()]);
        }
    }
    let path: Vec<&str> = std::iter::repeat_n("a", 200).collect();
    let path = path.join(".");
    for depth in [127, 128, 200, 10_000] {
        let text = "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth);
        check(&[&path, "a"], &[text.as_bytes(), text.as_bytes()]);
    }
    for len in [MAX_BYTES - 1, MAX_BYTES, MAX_BYTES + 1, 10 << 20] {
        let text = format!("\"{}\"", "x".repeat(len - 2));
        check(&[""], &[text.as_bytes()]);
    }
}

#[test]
fn reasons_say_what_and_where() {
    let reasons = |texts: &[&[u8]]| {
        let (mut frame, mut rejects) = (Frame::default(), Vec::new());
        Decoder::new(&projection(&["a"])).decode(&batch(texts), &mut frame, &mut rejects);
        rejects.iter().map(|reject| format!("{}: {}", reject.row, reject.reason)).collect::<Vec<_>>()
    };
    let deep = "[".repeat(10_000);
    let large = vec![b' '; MAX_BYTES + 1];
    insta::assert_snapshot!(
        reasons(&[
            b"{\"a\":1}", b"{\"a\":}", b"{\"a\" 1}", b"{\"a\":1", b"{\"a\":1;}", b"{1:2}", b"[1;2]", b"{\"a\":01}",
            b"\"\\q\"", b"\"\\ud800\"", b"\"\x01\"", b"{\"b\":\"\xff\"}", b"[1e999]", b"1 2", deep.as_bytes(), &large,
        ])
        .join("\n"),
        @r"
    1: invalid JSON at byte 5: expected a value
    2: invalid JSON at byte 5: expected `:`
    3: invalid JSON at byte 6: unexpected end
    4: invalid JSON at byte 6: expected `,` or `}`
    5: invalid JSON at byte 1: expected a key
    6: invalid JSON at byte 2: expected `,` or `]`
    7: invalid JSON at byte 5: invalid number
    8: invalid JSON at byte 1: invalid escape
    9: invalid JSON at byte 1: lone surrogate
    10: invalid JSON at byte 1: control character in a string
    11: invalid UTF-8 in the string at byte 5
    12: number out of range at byte 1
    13: trailing data at byte 2
    14: deeper than 128 levels at byte 127
    15: value of 1048577 bytes is larger than 1048576 bytes
    "
    );
}

#[test]
fn tombstones_are_missing_and_no_rejects() {
    let mut batch = batch(&[br#"{"a":1}"#]);
    batch.push(NewRecord::default());
    let (mut frame, mut rejects) = (Frame::default(), Vec::new());
    Decoder::new(&projection(&["a", ""])).decode(&batch, &mut frame, &mut rejects);
    assert_eq!(rejects, []);
    assert_eq!(frame.columns[0].tags(), [Tag::Int, Tag::Missing]);
    assert_eq!(frame.columns[1].tags(), [Tag::Json, Tag::Missing]);
}

#[test]
fn a_full_column_has_not_seen_missing() {
    let (mut frame, mut rejects) = (Frame::default(), Vec::new());
    let mut decoder = Decoder::new(&projection(&["a", "b"]));
    decoder.decode(&batch(&[br#"{"a":1,"b":1}"#, br#"{"a":2}"#]), &mut frame, &mut rejects);
    assert!(frame.columns[0].tags_seen().is_only(Tag::Int));
    assert!(frame.columns[1].tags_seen().contains(Tag::Missing));
}

#[test]
fn a_decoder_keeps_up_with_keys_that_change() {
    let projection = projection(&["a", "u.id"]);
    let mut decoder = Decoder::new(&projection);
    for round in 0..200 {
        let texts: Vec<String> = (0..50)
            .map(|i| match i % 3 {
                0 => format!(r#"{{"k{}":1,"a":{i},"u":{{"x{i}":{{}},"id":{round}}}}}"#, i * 31 + round),
                1 => format!(r#"{{"a":{i}, "u": {{"id":"\u00{:02x}"}} }}"#, i + 32),
                _ => format!(r#"{{"u":{{"id":{round}}},"z":[{i}],"a":null}}"#),
            })
            .collect();
        check_with(&mut decoder, &projection, &texts.iter().map(String::as_bytes).collect::<Vec<_>>());
    }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "u", "id", "deep", "x", "long_key_beyond_sixteen_bytes", "é", "a\"b", ""])
            .prop_map(String::from),
        1 => "\\PC{0,20}",
    ]
}

fn number_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        (-100_000_i64..100_000).prop_map(|n| n.to_string()),
        any::<u64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:?}")),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
        "-?[0-9]{1,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{0,4})?",
        "1797693134862315[0-9]{1,20}e29[0-9]",
        "1\\.797693134862315[0-9]{1,20}e308",
    ]
}

fn string_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        "\"[a-z]{0,40}\"",
        "\"([a-z]{0,9}(\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}|\\\\ud8[0-9a-f]{2}\\\\udc[0-9a-f]{2}|é|😀)){0,4}\"",
    ]
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 2 => Just(" "), 1 => Just("\n\t \r")]
}

pub(crate) fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        3 => number_text(),
        3 => string_text(),
        1 => prop::sample::select(vec!["true", "false", "null", "{}", "[]", "{ }", "[ ]"]).prop_map(String::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            3 => prop::collection::vec((key(), space(), inner.clone(), space()), 0..6).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(key, s, value, t)| format!("{s}{}{t}:{s}{value}{t}", serde_json::to_string(key).unwrap()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
            1 => prop::collection::vec((space(), inner), 0..5).prop_map(|elements| {
                let elements: Vec<String> = elements.iter().map(|(s, value)| format!("{s}{value}{s}")).collect();
                format!("[{}]", elements.join(","))
            }),
        ]
    })
}

fn paths() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(PATHS, 0..PATHS.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn generated_documents_decode_as_serde_json_reads_them(
        paths in paths(), documents in prop::collection::vec(document(), 1..6)
    ) {
        check(&paths, &documents.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn damaged_documents_decode_as_serde_json_reads_them(
        paths in paths(),
        documents in prop::collection::vec(document(), 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..5_u8, prop_oneof![
            any::<u8>(), prop::sample::select(b"\"\\{}[]:,0-.eE tnu\x00\x1f\x7f\x80\xc3".to_vec())
        ]), 1..4),
    ) {
        let mut texts: Vec<Vec<u8>> = documents.iter().map(|text| text.clone().into_bytes()).collect();
        let whole = texts.clone();
        for text in &mut texts {
            for (at, kind, byte) in &damage {
                let at = at.index(text.len() + 1);
                match kind {
                    0 => text.truncate(at),
                    1 if at < text.len() => { text.remove(at); }
                    2 => text.insert(at, *byte),
                    _ if at < text.len() => text[at] = *byte,
                    _ => text.push(*byte),
                }
            }
        }
        let mixed: Vec<&[u8]> = whole.iter().zip(&texts).flat_map(|(a, b)| [a.as_slice(), b.as_slice()]).collect();
        check(&paths, &mixed);
    }

    #[test]
    fn numbers_are_exact(numbers in prop::collection::vec(number_text(), 1..20)) {
        let texts: Vec<String> = numbers.iter().flat_map(|n| [n.clone(), format!("{{\"a\":{n}}}"), format!("[{n}]")]).collect();
        check(&["", "a"], &texts.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn any_bytes_decode_as_serde_json_reads_them(texts in prop::collection::vec(any::<Vec<u8>>(), 1..8)) {
        check(PATHS, &texts.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }

    #[test]
    fn json_like_bytes_decode_as_serde_json_reads_them(texts in prop::collection::vec("[\\[\\]{}\":,ab01.e\\\\u -]{0,24}", 1..8)) {
        check(PATHS, &texts.iter().map(String::as_bytes).collect::<Vec<_>>());
    }

    #[test]
    fn written_values_are_those_of_serde_json(text in ".{0,40}", int in any::<i64>(), double in any::<f64>()) {
        let written = |write: &dyn Fn(&mut Vec<u8>)| { let mut out = Vec::new(); write(&mut out); String::from_utf8(out).unwrap() };
        prop_assert_eq!(written(&|out| write_string(text.as_bytes(), out)), serde_json::to_string(&text).unwrap());
        prop_assert_eq!(written(&|out| write_i64(int, out)), int.to_string());
        prop_assert_eq!(written(&|out| write_f64(double, out)), serde_json::to_string(&double).unwrap());
    }

    #[test]
    fn a_decoded_value_is_written_as_it_was(document in document()) {
        let batch = batch(&[document.as_bytes()]);
        let (mut frame, mut rejects) = (Frame::default(), Vec::new());
        Decoder::new(&projection(&[""])).decode(&batch, &mut frame, &mut rejects);
        let mut out = Vec::new();
        write_value(&frame, &batch, frame.columns[0].value(0), &mut out);
        match oracle(document.as_bytes()) {
            Some(expected) if document.trim() != "-0" => prop_assert_eq!(oracle(&out), Some(expected)),
            Some(_) => prop_assert_eq!(out, b"0"),
            None => prop_assert_eq!(out, b"null"),
        }
    }
}

#[test]
fn control_characters_are_written_as_escapes() {
    let text: String = (0..=0x80_u8).map(char::from).collect();
    let mut out = Vec::new();
    write_string(text.as_bytes(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
}

#[test]
fn times_and_what_json_cannot_say_are_written() {
    let written = |tag, bits| {
        let mut out = Vec::new();
        write_value(&Frame::default(), &RecordBatch::new(), crate::column::Value { tag, bits }, &mut out);
        String::from_utf8(out).unwrap()
    };
    let timestamp = |ns: i64| written(Tag::Timestamp, ns as u64);
    let duration = |ns: i64| written(Tag::Duration, ns as u64);
    assert_eq!(timestamp(0), r#""1970-01-01T00:00:00Z""#);
    assert_eq!(timestamp(-1), r#""1969-12-31T23:59:59.999999999Z""#);
    assert_eq!(timestamp(1_500_000_000), r#""1970-01-01T00:00:01.500Z""#);
    assert_eq!(duration(300_000_000_000), r#""300s""#);
    assert_eq!(duration(-1_500_000_000), r#""-1.5s""#);
    assert_eq!(duration(1), r#""0.000000001s""#);
    assert_eq!(duration(i64::MIN), r#""-9223372036.854775808s""#);
    assert_eq!(written(Tag::Double, f64::NAN.to_bits()), "null");
    assert_eq!(written(Tag::Missing, 0), "null");
    assert_eq!(written(Tag::Error, 0), "null");
    assert_eq!(written(Tag::Bool, 1), "true");
}
