use super::rig::{DEAD, Draft, LATE, OUT, Rig, aggregate, count, edge, show, tumbling};
use crate::plan::AggregateFunction::{Average, Count, Max, Min, Sum};
use crate::record::{NewRecord, RecordBatch};

const MINUTE: i64 = 60_000;

fn counting(lateness_ms: i64, disorder_ms: i64) -> Rig {
    let mut draft = Draft::new(disorder_ms);
    let mut window = tumbling("per-user", MINUTE, &["user"], vec![count("clicks")]);
    window.allowed_lateness_ms = lateness_ms;
    let merge = draft.window(&[edge(0)], window);
    draft.sink(&[edge(merge)], OUT);
    Rig::new(&draft.done(), 1, 1)
}

fn click(user: &str, ts: i64) -> String {
    format!(r#"{{"user":"{user}","ts":{ts}}}"#)
}

fn feed(rig: &mut Rig, clicks: &[(&str, i64)]) {
    let lines: Vec<String> = clicks.iter().map(|(user, ts)| click(user, *ts)).collect();
    rig.feed(&lines.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_tumbling_count_comes_out_when_the_watermark_has_passed_the_end() {
    let mut rig = counting(0, 0);
    feed(&mut rig, &[("b", 10_000), ("a", 59_999), ("b", 20_000)]);
    rig.settle();
    assert!(rig.values(OUT).is_empty());
    assert_eq!(rig.unit(1, 0).open_windows(), 1);
    assert_eq!(rig.unit(1, 0).open_groups(), 2);
    assert!(rig.unit(1, 0).state_bytes() > 0);
    feed(&mut rig, &[("a", 60_000)]);
    rig.settle();
    let out = &rig.outputs[&OUT.0];
    let bounds = r#"\"window_start\":\"1970-01-01T00:00:00Z\",\"window_end\":\"1970-01-01T00:01:00Z\""#;
    assert_eq!(
        show(out, 0),
        format!(r#"Some("b") Some("{{\"user\":\"b\",{bounds},\"clicks\":2}}") 59999 []"#)
    );
    assert_eq!(
        show(out, 1),
        format!(r#"Some("a") Some("{{\"user\":\"a\",{bounds},\"clicks\":1}}") 59999 []"#)
    );
    assert_eq!(out.len(), 2);
    assert_eq!(rig.unit(1, 0).watermark_ms(), Some(60_000));
    rig.finish();
    assert_eq!(rig.outputs[&OUT.0].len(), 3);
    assert_eq!(rig.unit(1, 0).open_windows(), 0);
    assert_eq!(rig.counters.records_out, 3);
}

#[test]
fn a_record_is_late_by_the_watermark_just_before_it_and_leaves_unchanged() {
    let mut rig = counting(0, 5_000);
    let mut batch = RecordBatch::new();
    let lines =
        [click("a", 10_000), click("a", 64_999), click("a", 59_999), click("a", 65_000), click("a", 59_998)];
    for (at, line) in lines.iter().enumerate() {
        let value = Some(line.as_bytes());
        batch.push(NewRecord { offset: 0, timestamp_ms: at as i64, key: Some(b"key"), value });
        batch.push_header(b"h", Some(b"v"));
    }
    rig.feed_batch(0, 0, &batch);
    rig.finish();
    let late = &rig.outputs[&LATE.0];
    assert_eq!(late.len(), 1, "65 000 - 5 000 reaches the end; 64 999 does not");
    assert_eq!(show(late, 0), show(&batch, 4));
    assert_eq!(rig.counters.late, 1);
    assert!(rig.values(OUT)[0].ends_with(r#""clicks":2}"#), "{:?}", rig.values(OUT));
    assert!(rig.values(OUT)[1].ends_with(r#""clicks":2}"#));
}

#[test]
fn a_window_stays_open_for_its_allowed_lateness() {
    let mut rig = counting(30_000, 0);
    feed(&mut rig, &[("a", 1), ("a", 89_999), ("a", 2), ("a", 90_000), ("a", 3)]);
    rig.settle();
    assert_eq!(rig.values(OUT).len(), 1);
    assert!(rig.values(OUT)[0].ends_with(r#""clicks":2}"#));
    assert_eq!(rig.values(LATE), [click("a", 3)]);
}

#[test]
fn without_a_late_sink_late_records_are_counted() {
    let mut draft = Draft::new(0);
    let mut window = tumbling("w", MINUTE, &["user"], vec![count("n")]);
    window.late_sink = None;
    let merge = draft.window(&[edge(0)], window);
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    feed(&mut rig, &[("a", 60_000), ("a", 1)]);
    rig.finish();
    assert_eq!(rig.counters.late, 1);
    assert_eq!(rig.values(OUT).len(), 1);
}

#[test]
fn keys_are_typed_and_need_a_value() {
    let mut draft = Draft::new(0);
    let merge = draft.window(&[edge(0)], tumbling("w", MINUTE, &["k"], vec![count("n")]));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let long = format!(r#"{{"ts":1,"k":"{}"}}"#, "x".repeat((64 << 10) + 1));
    rig.feed(&[
        r#"{"ts":1,"k":1}"#,
        r#"{"ts":1,"k":"1"}"#,
        r#"{"ts":1,"k":true}"#,
        r#"{"ts":1,"k":1.0}"#,
        r#"{"ts":1,"k":0.5}"#,
        r#"{"ts":1,"k":123456789012345678901}"#,
        r#"{"ts":1}"#,
        r#"{"ts":1,"k":null}"#,
        r#"{"ts":1,"k":{"a":1}}"#,
        &long,
    ]);
    rig.finish();
    let keys: Vec<String> = {
        let out = &rig.outputs[&OUT.0];
        (0..out.len()).map(|row| String::from_utf8_lossy(out.key(row).unwrap()).into_owned()).collect()
    };
    assert_eq!(keys, ["1", "1", "true", "0.5", "123456789012345678901"]);
    let starts: Vec<bool> = rig.values(OUT).iter().map(|row| row.starts_with(r#"{"k":"1""#)).collect();
    assert_eq!(starts, [false, true, false, false, false]);
    assert!(rig.values(OUT)[0].ends_with(r#""n":2}"#), "1 and 1.0 are one key");
    assert_eq!(rig.reasons(), ["KeyMissing", "KeyMissing", "KeyUnusable", "KeyTooLarge"]);
    assert_eq!(rig.dead_letter_headers("__connect.errors.stage"), ["w"; 4]);
}

#[test]
fn several_key_fields_make_an_object_as_key() {
    let mut draft = Draft::new(0);
    let merge = draft.window(&[edge(0)], tumbling("w", MINUTE, &["user", "geo.country"], vec![count("n")]));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    rig.feed(&[r#"{"ts":1,"user":"a\"b","geo":{"country":"de"}}"#]);
    rig.finish();
    let out = &rig.outputs[&OUT.0];
    assert_eq!(out.key(0).unwrap(), br#"{"user":"a\"b","geo.country":"de"}"#);
    assert!(rig.values(OUT)[0].starts_with(r#"{"user":"a\"b","geo.country":"de","window_start":"#));
}

#[test]
fn all_aggregates_pass_over_null_and_missing() {
    let mut draft = Draft::new(0);
    let aggregates = vec![
        count("records"),
        aggregate("values", Count, "v"),
        aggregate("sum", Sum, "v"),
        aggregate("avg", Average, "v"),
        aggregate("min", Min, "v"),
        aggregate("max", Max, "v"),
    ];
    let merge = draft.window(&[edge(0)], tumbling("w", MINUTE, &["k"], aggregates));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    rig.feed(&[
        r#"{"ts":1,"k":"int","v":3}"#,
        r#"{"ts":1,"k":"int","v":null}"#,
        r#"{"ts":1,"k":"int"}"#,
        r#"{"ts":1,"k":"int","v":-5}"#,
        r#"{"ts":1,"k":"mixed","v":1}"#,
        r#"{"ts":1,"k":"mixed","v":0.25}"#,
        r#"{"ts":1,"k":"none","v":null}"#,
        r#"{"ts":1,"k":"int","v":"3"}"#,
        r#"{"ts":1,"k":"int","v":[3]}"#,
    ]);
    rig.finish();
    let of = |row: usize| rig.values(OUT)[row].split_once(r#"Z","records""#).unwrap().1.to_owned();
    assert_eq!(of(0), r#":4,"values":2,"sum":-2,"avg":-1.0,"min":-5,"max":3}"#);
    assert_eq!(of(1), r#":2,"values":2,"sum":1.25,"avg":0.625,"min":0.25,"max":1}"#);
    assert_eq!(of(2), r#":1,"values":0,"sum":null,"avg":null,"min":null,"max":null}"#);
    assert_eq!(rig.reasons(), ["ValueUnusable", "ValueUnusable"]);
    let message = &rig.dead_letter_headers("__connect.errors.exception.message")[0];
    assert_eq!(message, "`event.v` is text, which Sum `sum` cannot take");
}

#[test]
fn min_and_max_keep_no_text_above_64_kib() {
    let mut draft = Draft::new(0);
    let aggregates = vec![count("n"), aggregate("max", Max, "v")];
    let merge = draft.window(&[edge(0)], tumbling("w", MINUTE, &["k"], aggregates));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    let line = |len: usize| format!(r#"{{"ts":1,"k":1,"v":"{}"}}"#, "y".repeat(len));
    rig.feed(&[&line(3), &line(65_536), &line(65_537)]);
    rig.finish();
    assert_eq!(rig.reasons(), ["ValueUnusable"]);
    let messages = rig.dead_letter_headers("__connect.errors.exception.message");
    assert_eq!(messages[0], "`event.v` has 65537 bytes, Max `max` keeps at most 65536");
    assert!(rig.values(OUT)[0].contains(r#""n":2,"#), "{}", &rig.values(OUT)[0][..80]);
}

#[test]
fn a_row_that_is_too_large_is_a_dead_letter() {
    let mut draft = Draft::new(0);
    let names: Vec<String> = (0..20).map(|n| format!("f{n}")).collect();
    let aggregates = names.iter().map(|name| aggregate(name, Max, name)).collect();
    let merge = draft.window(&[edge(0)], tumbling("w", MINUTE, &["k"], aggregates));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    // Each record is small enough; what the group collects of them is not.
    for name in &names {
        rig.feed(&[&format!(r#"{{"ts":1,"k":1,"{name}":"{}"}}"#, "y".repeat(60_000))]);
    }
    rig.feed(&[r#"{"ts":1,"k":2}"#]);
    rig.settle();
    let blocks = rig.counters;
    rig.finish();
    assert_eq!(blocks.dead_letters, 0);
    assert_eq!(rig.reasons(), ["RecordTooLarge"]);
    assert_eq!(rig.values(OUT).len(), 1);
    assert_eq!(rig.dead_letter_headers("weir.truncated"), ["true"]);
    assert_eq!(rig.dead_letter_headers("__connect.errors.stage"), ["w"]);
}

#[test]
fn tombstones_reach_no_aggregate() {
    let mut rig = counting(0, 0);
    let mut batch = RecordBatch::new();
    batch.push(NewRecord { key: Some(b"a"), value: None, ..NewRecord::default() });
    rig.feed_batch(0, 0, &batch);
    rig.finish();
    assert!(rig.values(OUT).is_empty() && rig.values(DEAD).is_empty());
}

#[test]
fn windows_behind_windows_lose_nothing() {
    let mut draft = Draft::new(0);
    let mut first = tumbling("minute", MINUTE, &["user"], vec![count("n")]);
    first.allowed_lateness_ms = 5 * MINUTE;
    let minute = draft.window(&[edge(0)], first);
    let second = vec![count("minutes"), aggregate("clicks", Sum, "n"), aggregate("most", Max, "n")];
    let hour = draft.window(&[edge(minute)], tumbling("hour", 2 * MINUTE, &["user"], second));
    draft.sink(&[edge(hour)], OUT);
    let plan = draft.done();
    for units in [1, 2, 3] {
        let mut rig = Rig::new(&plan, units, 3);
        for ts in (0..40 * MINUTE).step_by(20_000) {
            rig.feed_to((ts / 20_000 % 3) as u32, &[&click("a", ts), &click("b", ts)]);
            if ts % (7 * MINUTE) == 0 {
                rig.settle();
            }
        }
        rig.finish();
        assert_eq!(rig.values(OUT).len(), 40, "20 windows of 2 users");
        for row in rig.values(OUT) {
            assert!(row.ends_with(r#""minutes":2,"clicks":6,"most":3}"#), "{row}");
        }
        assert_eq!(rig.counters.late, 0);
    }
}

#[test]
fn the_end_of_one_partition_does_not_end_the_others() {
    let mut draft = Draft::new(0);
    let merge = draft.window(&[edge(0)], tumbling("w", MINUTE, &["user"], vec![count("n")]));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 2, 3);
    rig.feed_to(0, &[&click("a", 1)]);
    rig.feed_to(1, &[&click("a", 2)]);
    rig.end(0, 0);
    rig.end(0, 1);
    rig.settle();
    assert!(rig.values(OUT).is_empty(), "partition 2 has not spoken");
    rig.feed_to(2, &[&click("a", 59_000), &click("a", 61_000)]);
    rig.settle();
    assert_eq!(rig.values(OUT).len(), 1);
    rig.end(0, 2);
    rig.settle();
    assert_eq!(rig.values(OUT).len(), 2);
}

#[test]
fn a_unit_without_partitions_holds_nobody_back() {
    let mut draft = Draft::new(0);
    let merge = draft.window(&[edge(0)], tumbling("w", MINUTE, &["user"], vec![count("n")]));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 4, 1);
    assert!(rig.unit(0, 3).needs_commit(), "it has that to say");
    feed(&mut rig, &[("a", 1), ("a", 60_000)]);
    rig.settle();
    assert_eq!(rig.values(OUT).len(), 1);
}

#[test]
fn a_window_of_many_groups_comes_out_whole_and_in_order() {
    let mut rig = counting(0, 0);
    let users: Vec<String> = (0..20_000).map(|user| user.to_string()).collect();
    let clicks: Vec<(&str, i64)> = users.iter().map(|user| (user.as_str(), 1)).collect();
    feed(&mut rig, &clicks);
    feed(&mut rig, &[("late", 61_000)]);
    rig.settle();
    let values = rig.values(OUT);
    assert_eq!(values.len(), 20_000);
    for (value, user) in values.iter().zip(&users) {
        assert!(value.starts_with(&format!(r#"{{"user":"{user}","#)) && value.ends_with(r#""clicks":1}"#));
    }
}
