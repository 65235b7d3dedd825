//! Whatever the cut into batches, the place of commits and restarts, the interleaving of partitions and the number of
//! units: the same rows.

use super::rig::{Draft, OTHER, OUT, Rig, aggregate, count, edge, tumbling};
use crate::plan::AggregateFunction::{Average, Count, Max, Min, Sum};
use crate::plan::Plan;
use crate::record::{NewRecord, RecordBatch};
use proptest::prelude::*;
use std::sync::Arc;

const PARTITIONS: u32 = 3;

fn plan() -> Arc<Plan> {
    let mut draft = Draft::new(20_000);
    let filter = draft.filter(0, "event.v != 13");
    let aggregates = vec![
        count("n"),
        aggregate("values", Count, "v"),
        aggregate("sum", Sum, "v"),
        aggregate("avg", Average, "v"),
        aggregate("min", Min, "v"),
        aggregate("max", Max, "v"),
    ];
    let mut window = tumbling("minute", 60_000, &["user"], aggregates);
    window.allowed_lateness_ms = 10_000;
    draft.sink(&[edge(filter)], OTHER);
    let minute = draft.window(&[edge(filter)], window);
    draft.sink(&[edge(minute)], OUT);
    let hour =
        draft.window(&[edge(minute)], tumbling("five", 300_000, &["user"], vec![aggregate("n", Sum, "n")]));
    draft.sink(&[edge(hour)], OUT);
    draft.done()
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-100i64..100).prop_map(|v| v.to_string()),
        3 => (-1e3..1e3f64).prop_map(|v| format!("{v:?}")),
        1 => any::<i64>().prop_map(|v| v.to_string()),
        1 => (1e-30..1e30f64).prop_map(|v| format!("{v:?}")),
        1 => Just("null".to_owned()),
        1 => Just("\"text\"".to_owned()),
        1 => Just("13".to_owned()),
    ]
}

fn records() -> impl Strategy<Value = Vec<(u32, Option<String>)>> {
    let record = (0..PARTITIONS, 0usize..6, 0i64..900_000, value(), 0u8..40);
    prop::collection::vec(record, 0..120).prop_map(|records| {
        let one = |(at, (partition, user, jitter, value, odd)): (usize, (u32, usize, i64, String, u8))| {
            // Mostly forward, with jumps back and forth.
            let ts = at as i64 * 5_000 + if odd < 8 { jitter - 450_000 } else { jitter % 15_000 };
            let user = ["\"a\"", "\"b\"", "1", "\"1\"", "true", "null"][user];
            let line = match odd {
                39 => None,
                38 => Some("{not json".to_owned()),
                37 => Some(r#"{"user":"a"}"#.to_owned()),
                _ => Some(format!(r#"{{"user":{user},"ts":{ts},"v":{value}}}"#)),
            };
            (partition, line)
        };
        records.into_iter().enumerate().map(one).collect()
    })
}

/// What happens between batches.
#[derive(Clone, Copy, Debug)]
enum Pause {
    None,
    Commit(u32),
    Settle,
    Deliver(u32),
    Restart(u16, u32),
}

fn pauses() -> impl Strategy<Value = Vec<(usize, Pause)>> {
    let pause = prop_oneof![
        Just(Pause::None),
        (0u32..3).prop_map(Pause::Commit),
        Just(Pause::Settle),
        (0u32..3).prop_map(Pause::Deliver),
        (0u16..3, 0u32..3).prop_map(|(stage, unit)| Pause::Restart(stage, unit)),
    ];
    prop::collection::vec((1usize..20, pause), 1..40)
}

fn batch(lines: &[Option<String>]) -> RecordBatch {
    let mut batch = RecordBatch::new();
    for line in lines {
        batch.push(NewRecord {
            key: Some(b"k"),
            value: line.as_deref().map(str::as_bytes),
            ..NewRecord::default()
        });
    }
    batch
}

/// Runs the records of each partition in order, cut and interrupted as told.
fn run(records: &[(u32, Option<String>)], units: u32, pauses: &[(usize, Pause)]) -> Rig {
    let mut rig = Rig::new(&plan(), units, PARTITIONS);
    let mut queues: Vec<Vec<Option<String>>> = vec![Vec::new(); PARTITIONS as usize];
    for (partition, line) in records {
        queues[*partition as usize].push(line.clone());
    }
    let mut pauses = pauses.iter().cycle();
    let mut turn = 0;
    while queues.iter().any(|queue| !queue.is_empty()) {
        let (len, pause) = pauses.next().copied().unwrap_or((1000, Pause::None));
        turn += 1;
        let mut near = (0..queues.len()).map(|at| (turn * (len + 1) + at) % queues.len());
        let Some(partition) = near.find(|at| !queues[*at].is_empty()) else { break };
        let queue = &mut queues[partition];
        let rest = queue.split_off(len.min(queue.len()));
        let lines = std::mem::replace(queue, rest);
        rig.feed_batch(0, partition as u32, &batch(&lines));
        match pause {
            Pause::None => {}
            Pause::Commit(unit) => rig.commit(0, unit % units),
            Pause::Settle => rig.settle(),
            Pause::Deliver(unit) => {
                rig.deliver_one(1, unit % units);
            }
            Pause::Restart(stage, unit) => {
                rig.commit(stage, unit % units);
                rig.restart(stage, unit % units);
            }
        }
    }
    rig.finish();
    rig
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_cut_gives_the_same_rows(records in records(), pauses in pauses(), units in 1u32..4) {
        let whole = run(&records, 1, &[(1000, Pause::None)]);
        let cut = run(&records, units, &pauses);
        prop_assert_eq!(cut.multiset(), whole.multiset());
        prop_assert_eq!(cut.counters, whole.counters);
    }

    #[test]
    fn the_same_calls_give_the_same_bytes(records in records(), pauses in pauses(), units in 1u32..4) {
        let (mut a, mut b) = (run(&records, units, &pauses), run(&records, units, &pauses));
        prop_assert_eq!(&a.outputs, &b.outputs);
        for stage in 0..3 {
            let [left, right] = [&mut a, &mut b].map(|rig| rig.unit(stage, 0).snapshot().unwrap());
            prop_assert_eq!(left.to_bytes(), right.to_bytes());
        }
    }
}
