//! What is written is read back; what cannot be read says where.

use super::*;
use proptest::prelude::*;

fn read(form: LineForm, line: &str) -> Result<(RecordBatch, LineRead), LineError> {
    let mut batch = RecordBatch::new();
    let read = LineReader::new(form).read(line.as_bytes(), 7, &mut batch)?;
    Ok((batch, read))
}

fn written(form: LineForm, batch: &RecordBatch, partition: Option<u32>) -> String {
    let mut line = Vec::new();
    write_line(form, batch, 0, partition, &mut line);
    String::from_utf8(line).unwrap()
}

#[test]
fn a_plain_line_is_the_value() {
    let (batch, read) = read(LineForm::Plain, "{\"a\": 1 }\r").unwrap();
    assert_eq!(read, LineRead::Record { partition: None });
    assert_eq!(batch.value(0), Some(&b"{\"a\": 1 }"[..]));
    assert_eq!((batch.key(0), batch.records()[0].timestamp_ms), (None, 7));
}

#[test]
fn an_empty_line_is_counted_and_skipped() {
    let mut reader = LineReader::new(LineForm::Envelope);
    let mut batch = RecordBatch::new();
    assert_eq!(reader.read(b"  ", 0, &mut batch).unwrap(), LineRead::Empty);
    let error = reader.read(b"{\"kye\": 1}", 0, &mut batch).unwrap_err();
    assert!(error.to_string().starts_with("line 2: not an envelope"), "{error}");
    assert!(error.to_string().contains("kye"), "{error}");
    assert!(batch.is_empty());
}

#[test]
fn an_envelope_carries_the_whole_record() {
    let line = r#"{"key": "k", "value": {"n": 1.10}, "headers": {"h": "v", "z": null}, "timestamp": 5, "partition": 3}"#;
    let (batch, read) = read(LineForm::Envelope, line).unwrap();
    assert_eq!(read, LineRead::Record { partition: Some(3) });
    assert_eq!((batch.key(0), batch.value(0)), (Some(&b"k"[..]), Some(&b"{\"n\": 1.10}"[..])));
    assert_eq!(batch.records()[0].timestamp_ms, 5);
    let headers: Vec<_> = batch.headers(0).collect();
    assert_eq!(headers, [(&b"h"[..], Some(&b"v"[..])), (&b"z"[..], None)]);
}

#[test]
fn keys_that_are_not_strings_are_their_text_and_tombstones_have_no_value() {
    let key = |line| read(LineForm::Envelope, line).unwrap().0.key(0).map(<[u8]>::to_vec);
    assert_eq!(key(r#"{"key": 12, "value": 1}"#), Some(b"12".to_vec()));
    assert_eq!(key(r#"{"key": {"a":1}}"#), Some(b"{\"a\":1}".to_vec()));
    assert_eq!(key(r#"{"key": "ä\n"}"#), Some("ä\n".as_bytes().to_vec()));
    assert_eq!(key(r#"{"key": null}"#), None);
    for line in [r#"{"key": "k"}"#, r#"{"key": "k", "value": null}"#] {
        assert_eq!(read(LineForm::Envelope, line).unwrap().0.value(0), None, "{line}");
    }
}

#[test]
fn bad_envelopes_say_line_and_reason() {
    for (line, part) in [
        ("[1]", "line 1: not an envelope"),
        ("{", "column 1"),
        (r#"{"value": 1, "base64": "eA=="}"#, "`value` and `base64` are both set"),
        (r#"{"base64": "?"}"#, "`base64` is not base64"),
        (r#"{"partition": -1}"#, "-1"),
        (r#"{"headers": {"a": 1}}"#, "expected a string"),
        (r#"{"timestamp": "soon"}"#, "expected i64"),
    ] {
        let error = read(LineForm::Envelope, line).unwrap_err().to_string();
        assert!(error.contains(part), "{line}: {error}");
    }
}

#[test]
fn a_plain_line_stays_one_line() {
    let mut batch = RecordBatch::new();
    batch.push(NewRecord { value: Some(b"a\n\xffb"), ..NewRecord::default() });
    assert_eq!(written(LineForm::Plain, &batch, None), "\"a\\n\u{fffd}b\"\n");
    batch.clear();
    batch.push(NewRecord::default());
    assert_eq!(written(LineForm::Plain, &batch, None), "null\n");
}

#[test]
fn an_envelope_names_only_what_is_there() {
    let mut batch = RecordBatch::new();
    batch.push(NewRecord { timestamp_ms: 9, key: Some(b"k"), value: Some(b"[1]"), ..NewRecord::default() });
    assert_eq!(
        written(LineForm::Envelope, &batch, Some(2)),
        "{\"key\":\"k\",\"value\":[1],\"timestamp\":9,\"partition\":2}\n"
    );
    batch.clear();
    batch.push(NewRecord { value: Some(b"null"), ..NewRecord::default() });
    batch.push_header(b"a", Some(b"1"));
    batch.push_header(b"a", None);
    assert_eq!(
        written(LineForm::Envelope, &batch, None),
        "{\"base64\":\"bnVsbA==\",\"headers\":[[\"a\",\"1\"],[\"a\",null]],\"timestamp\":0}\n"
    );
}

fn part() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        Just(None),
        Just(Some(b"null".to_vec())),
        Just(Some(b" {\"a\": 1}".to_vec())),
        "\\{\"a\":[0-9]{1,3}\\}".prop_map(|text| Some(text.into_bytes())),
        ".{0,12}".prop_map(|text| Some(text.into_bytes())),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Some),
    ]
}

proptest! {
    #[test]
    fn an_envelope_is_read_back_as_it_was_written(
        key in part(),
        value in part(),
        headers in prop::collection::vec((".{0,4}", prop::option::of(".{0,4}")), 0..3),
        timestamp_ms in any::<i64>(),
        partition in prop::option::of(0..9_u32),
    ) {
        let mut batch = RecordBatch::new();
        let (key, value) = (key.as_deref(), value.as_deref());
        batch.push(NewRecord { offset: 0, timestamp_ms, key, value });
        for (name, value) in &headers {
            batch.push_header(name.as_bytes(), value.as_ref().map(String::as_bytes));
        }
        let line = written(LineForm::Envelope, &batch, partition);
        prop_assert!(line.ends_with('\n') && !line[..line.len() - 1].contains(['\n', '\r']));
        let (again, read) = read(LineForm::Envelope, line.trim_end_matches('\n')).unwrap();
        prop_assert_eq!(read, LineRead::Record { partition });
        prop_assert_eq!((again.key(0), again.value(0)), (key, value));
        prop_assert_eq!(again.records()[0].timestamp_ms, timestamp_ms);
        let back: Vec<_> = again.headers(0).collect();
        prop_assert_eq!(back, batch.headers(0).collect::<Vec<_>>());
    }
}
