//! A change of plan between two records: steps that are kept go on as if nothing had happened.

use super::rig::Rig;
use crate::plan::{Plan, compatibility, from_yaml};
use crate::record::{NewRecord, RecordBatch};
use crate::unit::MigrateError;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

const PARTITIONS: u32 = 3;

fn plan(steps: &str, sinks: &str) -> Arc<Plan> {
    with_sources(
        "[{name: clicks, kafka: {topic: clicks}, eventTime: {field: ts, maxOutOfOrderness: 5s}}]",
        steps,
        sinks,
    )
}

fn with_sources(sources: &str, steps: &str, sinks: &str) -> Arc<Plan> {
    let text = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: test}}\nspec:\n  sources: {sources}\n  steps:\n{steps}  sinks:\n{sinks}"
    );
    Arc::new(from_yaml(&text).unwrap_or_else(|problems| panic!("{text}\n{problems:#?}")))
}

fn window(name: &str, from: &str, rest: &str) -> String {
    format!(
        "    - {{name: {name}, from: [{from}], window: {{keyBy: [user], {rest}, lateSink: {{kafka: {{topic: late}}}}}}}}\n"
    )
}

fn minute(name: &str, from: &str) -> String {
    window(
        name,
        from,
        "tumbling: {size: 1m}, aggregates: [{name: 'n', function: Count}, {name: sum, function: Sum, field: v}]",
    )
}

fn to(sink: &str, from: &str) -> String {
    format!("    - {{name: {sink}, from: [{from}], kafka: {{topic: {sink}}}}}\n")
}

fn filter(name: &str, from: &str) -> String {
    format!("    - {{name: {name}, from: [{from}], filter: {{expression: \"event.v != 1000\"}}}}\n")
}

fn first() -> Arc<Plan> {
    let gone = window("gone", "clicks", "tumbling: {size: 30s}, aggregates: [{name: 'n', function: Count}]");
    plan(&(minute("kept", "clicks") + &gone), &(to("rows", "kept") + &to("other", "gone")))
}

/// Plans that keep the window `kept` and its sink: with other steps around it, in other stages, in another order.
fn successors() -> Vec<(&'static str, Arc<Plan>)> {
    let new = window(
        "fresh",
        "clicks",
        "tumbling: {size: 10s}, aggregates: [{name: 'n', function: Max, field: v}]",
    );
    let big = "    - {name: big, from: [kept], filter: {expression: event.n > 0}}\n";
    let both = "    - {name: both, from: [kept, fresh], filter: {expression: \"true\"}}\n";
    vec![
        ("only one step is gone", plan(&minute("kept", "clicks"), &to("rows", "kept"))),
        (
            "a filter before, which names the stage",
            plan(&(filter("valid", "clicks") + &minute("kept", "valid")), &to("rows", "kept")),
        ),
        (
            "a new window first, a filter behind, a new sink",
            plan(
                &(new.clone() + &minute("kept", "clicks") + big),
                &(to("fresh", "fresh") + &to("rows", "big")),
            ),
        ),
        (
            "merged into a stage with another name",
            plan(&(new + &minute("kept", "clicks") + both), &(to("rows", "kept") + &to("all", "both"))),
        ),
    ]
}

type Record = (u32, usize, i64, i64);

fn records() -> impl Strategy<Value = Vec<Record>> {
    let record = (0..PARTITIONS, 0usize..5, 0i64..60_000, prop_oneof![9 => -50i64..50, 1 => any::<i64>()]);
    prop::collection::vec(record, 0..120).prop_map(|all| {
        let at = |(n, (partition, user, jitter, v)): (usize, Record)| {
            (partition, user, n as i64 * 4_000 - if n % 5 == 0 { jitter } else { jitter % 9_000 }, v)
        };
        all.into_iter().enumerate().map(at).collect()
    })
}

fn feed(rig: &mut Rig, input: u16, records: &[Record]) {
    for (n, (partition, user, ts, v)) in records.iter().enumerate() {
        let value = format!(r#"{{"user":"u{user}","ts":{ts},"v":{v}}}"#);
        let mut batch = RecordBatch::new();
        batch.push(NewRecord { value: Some(value.as_bytes()), timestamp_ms: *ts, ..NewRecord::default() });
        rig.feed_batch(input, *partition, &batch);
        if n % 7 == 0 {
            rig.settle();
        }
    }
    rig.settle();
}

fn idle(rig: &mut Rig, which: u32) {
    (0..PARTITIONS).filter(|partition| which >> partition & 1 == 1).for_each(|partition| rig.idle(partition));
    rig.settle();
}

/// Runs `records` under the first plan, and from `at` on under the second.
fn run(plans: (&Arc<Plan>, &Arc<Plan>), records: &[Record], at: usize, units: (u32, u32), idles: u32) -> Rig {
    let mut rig = Rig::new(plans.0, units.0, PARTITIONS);
    let (before, after) = records.split_at(at.min(records.len()));
    feed(&mut rig, 0, before);
    idle(&mut rig, idles);
    rig.change(plans.1, units.1).unwrap();
    rig.restart_all();
    feed(&mut rig, 0, after);
    rig.finish();
    rig
}

fn unchanged(plan: &Arc<Plan>, records: &[Record], at: usize, units: u32, idles: u32) -> Rig {
    let mut rig = Rig::new(plan, units, PARTITIONS);
    let (before, after) = records.split_at(at.min(records.len()));
    feed(&mut rig, 0, before);
    idle(&mut rig, idles);
    feed(&mut rig, 0, after);
    rig.finish();
    rig
}

/// Rows by window and key are unique; gives the number of records in them.
fn counted(rows: &[String]) -> usize {
    let mut seen = BTreeSet::new();
    let field = |row: &str, name: &str| {
        let text = row.replace('\\', "");
        let rest = text.split(&format!("\"{name}\":")).nth(1).expect("a field").to_owned();
        rest.split([',', '}']).next().expect("a value").trim_matches('"').to_owned()
    };
    rows.iter()
        .map(|row| {
            assert!(seen.insert((field(row, "user"), field(row, "window_start"))), "twice: {row}");
            field(row, "n").parse::<usize>().expect("a count")
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_kept_window_goes_on_as_if_nothing_had_changed(
        records in records(), at in 0usize..120, units in (1u32..4, 1u32..4), idles in 0u32..8,
    ) {
        // What comes late out of idleness depends on the number of units; nothing else does.
        let (units, alone) = if idles == 0 { (units, 1) } else { ((units.0, units.0), units.0) };
        let whole = unchanged(&first(), &records, at, alone, idles);
        for (what, next) in successors() {
            let changed = run((&first(), &next), &records, at, units, idles);
            prop_assert_eq!(changed.lines("rows"), whole.lines("rows"), "{}", what);
            let kept = |rig: &Rig| rig.lines("kept.lateSink");
            prop_assert_eq!(kept(&changed), kept(&whole), "{}", what);
        }
    }

    #[test]
    fn another_lateness_loses_nothing_and_closes_nothing_twice(
        records in records(), at in 0usize..120, units in (1u32..4, 1u32..4), idles in 0u32..8,
        waits in (0u32..90, 0u32..90), order in (0u32..30, 0u32..30), renamed: bool,
    ) {
        let with = |wait: u32, order: u32, renamed: bool| {
            let sources = format!("[{{name: clicks, kafka: {{topic: clicks}}, eventTime: {{field: ts, maxOutOfOrderness: {order}s}}}}]");
            let kept = |from: &str| window("kept", from, &format!("tumbling: {{size: 20s}}, allowedLateness: {wait}s, aggregates: [{{name: 'n', function: Count}}]"));
            let steps = if renamed { filter("valid", "clicks") + &kept("valid") } else { kept("clicks") };
            // Rows go on into a second window, which must not lose them either.
            let second = window("hour", "kept", "tumbling: {size: 1h}, aggregates: [{name: 'n', function: Count}]");
            with_sources(&sources, &(steps + &second), &(to("rows", "kept") + &to("hours", "hour")))
        };
        let (old, new) = (with(waits.0, order.0, false), with(waits.1, order.1, renamed));
        let mut records = records;
        for record in &mut records {
            record.3 = 1;
        }
        let rig = run((&old, &new), &records, at, units, idles);
        let rows = rig.lines("rows");
        prop_assert_eq!(counted(&rows) + rig.lines("kept.lateSink").len(), records.len());
        prop_assert_eq!(counted(&rig.lines("hours")) + rig.lines("hour.lateSink").len(), rows.len());
        prop_assert_eq!(rig.lines("hour.lateSink").len(), 0, "rows of a window are never late");
    }

    #[test]
    fn a_source_that_joins_a_window_loses_nothing(
        records in records(), others in records(), at in 0usize..120, units in (1u32..4, 1u32..4), idles in 0u32..8,
        first: bool,
    ) {
        let one = "{name: clicks, kafka: {topic: clicks}, eventTime: {field: ts, maxOutOfOrderness: 5s}}";
        let two = "{name: views, kafka: {topic: views}, eventTime: {field: ts}}";
        let sources = if first { format!("[{two}, {one}]") } else { format!("[{one}, {two}]") };
        let old = with_sources(&format!("[{one}]"), &minute("kept", "clicks"), &to("rows", "kept"));
        let new = with_sources(&sources, &minute("kept", "clicks, views"), &to("rows", "kept"));
        let (mut records, mut others) = (records, others);
        records.iter_mut().chain(&mut others).for_each(|record| record.3 = 1);
        let mut rig = Rig::new(&old, units.0, PARTITIONS);
        let (before, after) = records.split_at(at.min(records.len()));
        feed(&mut rig, 0, before);
        idle(&mut rig, idles);
        rig.change(&new, units.1).unwrap();
        feed(&mut rig, u16::from(first), after);
        feed(&mut rig, u16::from(!first), &others);
        rig.finish();
        prop_assert_eq!(counted(&rig.lines("rows")) + rig.lines("kept.lateSink").len(), records.len() + others.len());
    }
}

#[test]
fn what_was_late_stays_late_however_long_the_new_plan_waits() {
    let with = |wait: &str| {
        let rest = format!(
            "tumbling: {{size: 20s}}, allowedLateness: {wait}, aggregates: [{{name: 'n', function: Count}}]"
        );
        plan(&window("kept", "clicks", &rest), &to("rows", "kept"))
    };
    let line = |ts: i64| format!(r#"{{"user":"a","ts":{ts},"v":1}}"#);
    let mut rig = Rig::new(&with("0s"), 1, 1);
    rig.feed(&[&line(1_000), &line(100_000)]);
    rig.settle();
    assert_eq!(rig.lines("rows").len(), 1, "the first window is closed");
    rig.change(&with("5m"), 1).unwrap();
    // Of a window that was closed, of one that was open to nobody any more, of one that was not reached.
    rig.feed(&[&line(2_000), &line(70_000), &line(81_000)]);
    rig.settle();
    rig.restart_all();
    rig.feed(&[&line(3_000)]);
    rig.finish();
    assert_eq!(rig.lines("kept.lateSink").len(), 3, "{:?}", rig.lines("kept.lateSink"));
    assert_eq!(counted(&rig.lines("rows")), 3, "{:?}", rig.lines("rows"));
}

#[test]
fn a_new_step_starts_empty_and_a_step_that_is_gone_leaves_nothing() {
    let next = &successors()[2].1;
    let mut rig = Rig::new(&first(), 1, 1);
    rig.feed(&[r#"{"user":"a","ts":1000,"v":7}"#]);
    rig.settle();
    rig.change(next, 1).unwrap();
    rig.feed(&[r#"{"user":"a","ts":2000,"v":3}"#]);
    rig.finish();
    assert_eq!(rig.lines("fresh").len(), 1);
    assert!(rig.lines("fresh")[0].contains(r#"\"n\":3"#), "{:?}", rig.lines("fresh"));
    assert!(rig.lines("rows")[0].contains(r#"\"n\":2,\"sum\":10"#), "{:?}", rig.lines("rows"));
    assert_eq!(rig.lines("other"), Vec::<String>::new());
}

#[test]
fn another_meaning_under_the_same_name_is_refused() {
    let with = |keys: &str, rest: &str| {
        let steps = format!("    - {{name: per-user, window: {{keyBy: [{keys}], {rest}}}}}\n");
        plan(&steps, &to("rows", "per-user"))
    };
    let sums = "{name: 'n', function: Count}, {name: s, function: Sum, field: v}";
    let old = with("user", &format!("tumbling: {{size: 1m}}, aggregates: [{sums}]"));
    let cases = [
        ("user", format!("tumbling: {{size: 90s}}, aggregates: [{sums}]"), "the size is 1m30s instead of 1m"),
        ("user, shop.id", format!("tumbling: {{size: 1m}}, aggregates: [{sums}]"), "`keyBy` is [user, shop.id] instead of [user]"),
        ("user", "tumbling: {size: 1m}, aggregates: [{name: 'n', function: Count}]".to_owned(), "aggregate `s` is gone"),
        ("user", format!("tumbling: {{size: 1m}}, aggregates: [{sums}, {{name: m, function: Max, field: v}}]"), "aggregate `m` is new"),
        ("user", "tumbling: {size: 1m}, aggregates: [{name: s, function: Sum, field: v}, {name: 'n', function: Count}]".to_owned(), "the aggregates are in another order"),
        ("user", "tumbling: {size: 1m}, aggregates: [{name: 'n', function: Count}, {name: s, function: Sum, field: w}]".to_owned(), "aggregate `s` is Sum of `w` instead of Sum of `v`"),
    ];
    for (keys, rest, said) in cases {
        let new = with(keys, &rest);
        let found = compatibility(&old, &new).unwrap_err();
        let expected = format!(
            "step `per-user` has state that means something else now: {said}; give the step another name to start it empty, or take the change back"
        );
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), [expected]);
        let mut rig = Rig::new(&old, 1, 1);
        assert_eq!(rig.change(&new, 1), Err(MigrateError::Incompatible(found)));
    }
    let late = with(
        "user",
        &format!(
            "tumbling: {{size: 1m}}, allowedLateness: 1m, lateSink: {{kafka: {{topic: late}}}}, aggregates: [{sums}]"
        ),
    );
    assert_eq!(compatibility(&old, &late), Ok(()), "what concerns records to come is free");
    assert_eq!(compatibility(&old, &first()), Ok(()));
}
