use super::rig::{DEAD, Draft, OTHER, OUT, Rig, edge, show};
use crate::expression::Expression;
use crate::plan::{Edge, NodeId, NodeKind};
use crate::record::{NewRecord, RecordBatch};
use crate::schema::Schema;
use std::sync::Arc;

fn record<'a>(key: &'a str, value: Option<&'a str>, timestamp_ms: i64) -> NewRecord<'a> {
    NewRecord { offset: 0, timestamp_ms, key: Some(key.as_bytes()), value: value.map(str::as_bytes) }
}

#[test]
fn a_filter_keeps_what_is_true_and_passes_tombstones() {
    let mut draft = Draft::new(0);
    let filter = draft.filter(0, "event.n > 1");
    draft.sink(&[edge(filter)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let mut batch = RecordBatch::new();
    batch.push(record("a", Some(r#"{"ts":1,"n":1}"#), 11));
    batch.push(record("b", None, 12));
    batch.push(record("c", Some(r#"{"ts":1,"n":2}"#), 13));
    batch.push_header(b"h", Some(b"v"));
    batch.push(record("d", Some(r#"{"ts":1}"#), 14));
    rig.feed_batch(0, 0, &batch);
    let out = &rig.outputs[&OUT.0];
    assert_eq!(out.len(), 2);
    assert_eq!(show(out, 0), r#"Some("b") None 12 []"#);
    assert_eq!(show(out, 1), r#"Some("c") Some("{\"ts\":1,\"n\":2}") 13 [(Some("h"), Some("v"))]"#);
    assert_eq!(rig.reasons(), ["ExpressionFailed"]);
    let message = &rig.dead_letter_headers("__connect.errors.exception.message")[0];
    assert!(message.contains("`filter`") && message.contains("`n`"), "{message}");
    assert_eq!((rig.counters.records_in, rig.counters.records_out, rig.counters.dead_letters), (4, 2, 1));
}

#[test]
fn a_map_replaces_the_value_and_keeps_the_rest() {
    let mut draft = Draft::new(0);
    let map = draft.map(0, "{'id': event.id, 'twice': event.n * 2}");
    let filter = draft.filter(map, "event.twice > 2");
    draft.sink(&[edge(filter)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let mut batch = RecordBatch::new();
    batch.push(record("a", Some(r#"{"ts":1,"id":"x","n":1}"#), 11));
    batch.push(record("b", Some(r#"{"ts":1,"id":"y","n":2}"#), 12));
    batch.push_header(b"h", None);
    batch.push(record("c", None, 13));
    batch.push(record("d", Some(r#"{"ts":1,"n":2}"#), 14));
    rig.feed_batch(0, 0, &batch);
    let out = &rig.outputs[&OUT.0];
    assert_eq!(show(out, 0), r#"Some("b") Some("{\"id\":\"y\",\"twice\":4}") 12 [(Some("h"), None)]"#);
    assert_eq!(show(out, 1), r#"Some("c") None 13 []"#);
    assert_eq!(out.len(), 2);
    assert_eq!(rig.values(DEAD), [r#"{"ts":1,"n":2}"#]);
    assert_eq!(rig.dead_letter_headers("__connect.errors.offset"), ["3"]);
}

#[test]
fn a_dead_letter_behind_a_map_is_the_record_as_it_was_read() {
    let mut draft = Draft::new(0);
    let map = draft.map(0, "{'m': event.n}");
    let filter = draft.filter(map, "event.m > 'text'");
    draft.sink(&[edge(filter)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    rig.feed(&[r#"{"ts":1,"n":5}"#]);
    assert_eq!(rig.values(DEAD), [r#"{"ts":1,"n":5}"#]);
    assert_eq!(rig.dead_letter_headers("__connect.errors.stage"), ["filter"]);
    assert_eq!(rig.dead_letter_headers("__connect.errors.topic"), ["clicks"]);
    assert_eq!(rig.dead_letter_headers("__connect.errors.connector.name"), ["test"]);
}

#[test]
fn a_route_takes_the_first_branch_and_keeps_the_order_where_branches_meet() {
    let mut draft = Draft::new(0);
    let branch = |text: &str| (text.to_owned(), Expression::compile(text).unwrap());
    let branches = vec![branch("event.n > 10"), branch("event.n > 1")];
    let route = draft.node("route", &[edge(0)], NodeKind::Route { branches });
    let edge = |branch| Edge { node: NodeId(route as u16), branch };
    draft.sink(&[edge(0), edge(2)], OUT);
    draft.sink(&[edge(1)], OTHER);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let mut batch = RecordBatch::new();
    for (at, n) in [1, 11, 5, 0, 12].iter().enumerate() {
        batch.push(record("k", Some(&format!(r#"{{"ts":1,"n":{n}}}"#)), at as i64));
    }
    batch.push(record("k", None, 9));
    batch.push(record("k", Some(r#"{"ts":1,"n":"x"}"#), 10));
    rig.feed_batch(0, 0, &batch);
    assert_eq!(
        rig.values(OUT),
        [r#"{"ts":1,"n":1}"#, r#"{"ts":1,"n":11}"#, r#"{"ts":1,"n":0}"#, r#"{"ts":1,"n":12}"#, "null"]
    );
    assert_eq!(rig.values(OTHER), [r#"{"ts":1,"n":5}"#]);
    assert_eq!(rig.reasons(), ["ExpressionFailed"]);
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_and_the_stream_goes_on() {
    let mut draft = Draft::new(0);
    draft.sink(&[edge(0)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let clock_ms = rig.clock_ms;
    rig.feed(&[
        r#"{"ts":1}"#,
        "{",
        "{}",
        r#"{"ts":null}"#,
        r#"{"ts":"soon"}"#,
        r#"{"ts":1.5}"#,
        &format!(r#"{{"ts":{}}}"#, clock_ms + 3_600_001),
        &format!(r#"{{"ts":{}}}"#, clock_ms + 3_600_000),
    ]);
    assert_eq!(
        rig.reasons(),
        [
            "Undecodable",
            "EventTimeMissing",
            "EventTimeMissing",
            "EventTimeUnreadable",
            "EventTimeUnreadable",
            "EventTimeInFuture"
        ]
    );
    assert_eq!(rig.values(OUT).len(), 2);
    assert_eq!(rig.unit(0, 0).watermark_ms(), Some(clock_ms + 3_600_000), "a dead letter moves no watermark");
    assert_eq!(rig.dead_letter_headers("__connect.errors.offset"), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_dead_letter_of_before_keeps_its_first_cause() {
    let mut draft = Draft::new(0);
    draft.sink(&[edge(0)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let mut batch = RecordBatch::new();
    batch.push(record("k", Some("{"), 5));
    batch.push_header(b"__connect.errors.topic", Some(b"first"));
    rig.feed_batch(0, 0, &batch);
    assert_eq!(rig.dead_letter_headers("__connect.errors.topic"), ["first"]);
    assert_eq!(rig.dead_letter_headers("__connect.errors.stage"), ["clicks"]);
    assert_eq!(
        rig.outputs[&DEAD.0].headers(0).filter(|(name, _)| *name == b"__connect.errors.topic").count(),
        1
    );
}

#[test]
fn a_record_that_is_too_large_leaves_a_stub() {
    let mut draft = Draft::new(0);
    draft.sink(&[edge(0)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let large = format!(r#"{{"ts":1,"x":"{}"}}"#, "y".repeat(1 << 20));
    let mut batch = RecordBatch::new();
    batch.push(record("k", Some(r#"{"ts":1}"#), 5));
    batch.push(record("k", Some(&large), 6));
    batch.push(record("k", Some(r#"{"ts":2}"#), 7));
    rig.feed_batch(0, 0, &batch);
    assert_eq!(rig.values(OUT), [r#"{"ts":1}"#, r#"{"ts":2}"#]);
    assert_eq!(rig.reasons(), ["RecordTooLarge"]);
    assert_eq!(rig.values(DEAD), [large[..64 << 10].to_owned()]);
    assert_eq!(rig.dead_letter_headers("weir.truncated"), ["true"]);
    assert_eq!(rig.dead_letter_headers("weir.size"), [large.len().to_string()]);
    assert_eq!(rig.dead_letter_headers("weir.sha256")[0].len(), 64);
    assert_eq!(rig.dead_letter_headers("__connect.errors.offset"), ["1"]);
}

#[test]
fn headers_count_and_leave_a_record_that_is_too_large() {
    let mut draft = Draft::new(0);
    draft.sink(&[edge(0)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let mut batch = RecordBatch::new();
    batch.push(record("k", Some(r#"{"ts":1}"#), 5));
    batch.push_header(b"h", Some(&vec![b'x'; 1 << 20]));
    batch.push(record("k", Some(r#"{"ts":2}"#), 6));
    rig.feed_batch(0, 0, &batch);
    assert_eq!(rig.values(OUT), [r#"{"ts":2}"#]);
    assert_eq!(rig.reasons(), ["RecordTooLarge"]);
    assert_eq!(rig.dead_letter_headers("h"), ["-"]);
    assert_eq!(rig.values(DEAD), [r#"{"ts":1}"#]);
}

#[test]
fn a_map_makes_no_record_that_is_too_large() {
    let mut draft = Draft::new(0);
    let map = draft.map(0, "{'x': event.x, 'y': event.x, 'z': event.x}");
    draft.sink(&[edge(map)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let line = |len: usize| format!(r#"{{"ts":1,"x":"{}"}}"#, "y".repeat(len));
    let large = line(400_000);
    rig.feed(&[&line(3), &large, &line(4)]);
    assert_eq!(
        rig.values(OUT),
        [r#"{"x":"yyy","y":"yyy","z":"yyy"}"#, r#"{"x":"yyyy","y":"yyyy","z":"yyyy"}"#]
    );
    assert_eq!(rig.reasons(), ["RecordTooLarge"]);
    assert_eq!(rig.values(DEAD), [large], "the record as it came");
    let message = &rig.dead_letter_headers("__connect.errors.exception.message")[0];
    assert_eq!(message, "the new record has 1200022 bytes, at most 1048576 are allowed");
}

#[test]
fn several_sources_meet_in_one_step() {
    let mut draft = Draft::new(0);
    let second = draft.source("views", 0);
    let both = Expression::compile("event.n > 1").unwrap();
    let filter = draft.node("both", &[edge(0), edge(second)], NodeKind::Filter(both));
    draft.sink(&[edge(filter)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let mut batch = RecordBatch::new();
    batch.push(record("k", Some(r#"{"ts":1,"n":2}"#), 5));
    rig.feed_batch(0, 0, &batch);
    rig.feed_batch(1, 0, &batch);
    assert_eq!(rig.values(OUT).len(), 2);
}

#[test]
fn what_fails_the_schema_is_a_dead_letter() {
    let mut draft = Draft::new(0);
    let text = r#"{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}"#;
    draft.last_source().schema = Some(Arc::new(Schema::compile(text).unwrap()));
    draft.sink(&[edge(0)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    rig.feed(&[r#"{"ts":1,"n":1}"#, r#"{"ts":2}"#, r#"{"ts":3,"n":"1"}"#]);
    assert_eq!(rig.values(OUT), [r#"{"ts":1,"n":1}"#]);
    assert_eq!(rig.reasons(), ["SchemaInvalid", "SchemaInvalid"]);
    assert_eq!(rig.unit(0, 0).watermark_ms(), Some(1));
}

#[test]
fn without_a_time_field_the_timestamp_of_the_record_is_its_time() {
    let mut draft = Draft::new(0);
    draft.last_source().time.field = None;
    draft.sink(&[edge(0)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let mut batch = RecordBatch::new();
    batch.push(record("a", Some("{}"), 11));
    batch.push(record("a", Some("[1]"), -1));
    batch.push(record("a", None, 50));
    rig.feed_batch(0, 0, &batch);
    assert_eq!(rig.unit(0, 0).watermark_ms(), Some(11), "tombstones move no watermark");
    assert_eq!(rig.values(OUT), ["{}", "null"]);
    assert_eq!(rig.reasons(), ["EventTimeMissing"]);
}
