use super::rig::{DEAD, Draft, OUT, Rig, aggregate, count, edge, tumbling};
use crate::plan::AggregateFunction::{Average, Sum};
use crate::plan::Plan;
use std::sync::Arc;

fn summing() -> Arc<Plan> {
    let mut draft = Draft::new(0);
    let aggregates = vec![count("n"), aggregate("sum", Sum, "v"), aggregate("avg", Average, "v")];
    let merge = draft.window(&[edge(0)], tumbling("w", 60_000, &["k"], aggregates));
    draft.sink(&[edge(merge)], OUT);
    draft.done()
}

fn line(v: &str) -> String {
    format!(r#"{{"ts":1,"k":"a","v":{v}}}"#)
}

/// The row of the only group, and the values of the dead letters.
fn run(units: u32, partitions: &[&[&str]], commit_each: bool) -> (String, Vec<String>) {
    let mut rig = Rig::new(&summing(), units, partitions.len() as u32);
    let longest = partitions.iter().map(|values| values.len()).max().unwrap();
    for at in 0..longest {
        for (partition, values) in partitions.iter().enumerate() {
            if let Some(v) = values.get(at) {
                rig.feed_to(partition as u32, &[&line(v)]);
            }
        }
        if commit_each {
            rig.settle();
            (0..units).for_each(|unit| {
                rig.restart(0, unit);
                rig.restart(1, unit);
            });
        }
    }
    rig.finish();
    assert_eq!(rig.values(OUT).len(), 1);
    let row = rig.values(OUT)[0].split_once(r#"Z","n":"#).unwrap().1.to_owned();
    let dead = rig.values(DEAD).iter().map(|value| value[20..value.len() - 1].to_owned()).collect();
    assert!(rig.reasons().iter().all(|reason| reason == "SumOverflow"));
    (row, dead)
}

fn check(partitions: &[&[&str]], row: &str, dead: &[&str]) {
    for units in 1..=3 {
        for commit_each in [false, true] {
            let (found, mut letters) = run(units, partitions, commit_each);
            assert_eq!(found, row, "{units} units");
            letters.sort();
            assert_eq!(letters, dead, "{units} units");
        }
    }
}

const MAX: &str = "9223372036854775807";

#[test]
fn the_record_that_overflows_a_sum_is_the_dead_letter_and_counts_nowhere() {
    check(&[&[MAX, "1"]], r#"1,"sum":9223372036854775807,"avg":9.223372036854776e+18}"#, &["1"]);
    check(&[&["1", MAX]], r#"1,"sum":1,"avg":1.0}"#, &[MAX]);
    check(&[&[MAX, "1", "-5"]], r#"2,"sum":9223372036854775802,"avg":4.611686018427388e+18}"#, &["1"]);
    check(&[&[MAX, "-1", "1"]], r#"3,"sum":9223372036854775807,"avg":3.0744573456182584e+18}"#, &[]);
    check(
        &[&["-9223372036854775808", "-1"]],
        r#"1,"sum":-9223372036854775808,"avg":-9.223372036854776e+18}"#,
        &["-1"],
    );
}

#[test]
fn who_overflows_does_not_depend_on_who_came_first() {
    check(&[&[MAX], &["1"], &["2"]], r#"2,"sum":3,"avg":1.5}"#, &[MAX]);
    check(&[&["1"], &[MAX], &[MAX, "-7"]], r#"2,"sum":-6,"avg":-3.0}"#, &[MAX, MAX]);
}

#[test]
fn a_sum_with_a_double_has_the_range_of_doubles() {
    check(&[&[MAX, "1", "0.5"]], r#"3,"sum":9.223372036854776e+18,"avg":3.0744573456182584e+18}"#, &[]);
    check(
        &[&["1.7e308", "1.7e308", "-1e308"]],
        r#"2,"sum":6.999999999999999e+307,"avg":3.4999999999999996e+307}"#,
        &["1.7e308"],
    );
}

#[test]
fn sums_of_doubles_are_exact_in_any_order() {
    check(&[&["0.1", "0.2", "0.3"], &["1e16", "-1e16"]], r#"5,"sum":0.6,"avg":0.12}"#, &[]);
    check(&[&["1e100", "1"], &["-1e100"]], r#"3,"sum":1.0,"avg":0.3333333333333333}"#, &[]);
}

#[test]
fn a_total_that_no_record_can_be_blamed_for_keeps_all_its_digits() {
    // Each term is just below what travels whole; together they leave 64 bits.
    let terms = vec!["17592186044415"; 600_000];
    let mut rig = Rig::new(&summing(), 1, 1);
    for chunk in terms.chunks(50_000) {
        let lines: Vec<String> = chunk.iter().map(|v| line(v)).collect();
        rig.feed(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    rig.finish();
    assert!(rig.values(OUT)[0].contains(r#""sum":10555311626649000000,"#), "{:?}", rig.values(OUT));
}
