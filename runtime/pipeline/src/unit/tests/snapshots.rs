//! Snapshots share pages with a unit that goes on: whatever it does, each stays what the state was.

use super::rig::{Draft, OUT, Rig, aggregate, count, edge, tumbling};
use crate::plan::AggregateFunction::{Average, Max, Sum};
use crate::plan::{Plan, StageId};
use crate::unit::{Page, Saved, Snapshot, Unit};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

fn plan() -> Arc<Plan> {
    let mut draft = Draft::new(30_000);
    let aggregates = vec![
        count("n"),
        aggregate("sum", Sum, "v"),
        aggregate("avg", Average, "v"),
        aggregate("max", Max, "v"),
    ];
    let merge = draft.window(&[edge(0)], tumbling("w", 60_000, &["user"], aggregates));
    draft.sink(&[edge(merge)], OUT);
    draft.done()
}

/// What happens, one after the other.
#[derive(Clone, Debug)]
enum Act {
    Feed(Vec<String>),
    Commit,
    Deliver,
    Snapshot { keep: bool },
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let value = prop_oneof![
        12 => (-100i64..100).prop_map(|v| v.to_string()),
        2 => (-1e3..1e3f64).prop_map(|v| format!("{v:?}")),
        // Large enough to be held until the window closes.
        2 => any::<i64>().prop_map(|v| v.to_string()),
    ];
    let line = (0usize..60, 0i64..40_000, value);
    let feed = (0i64..300_000, prop::collection::vec(line, 1..40)).prop_map(|(from, lines)| {
        let line = |(user, ts, v): (usize, i64, String)| {
            format!(r#"{{"user":"u{user}","ts":{},"v":{v}}}"#, from + ts)
        };
        Act::Feed(lines.into_iter().map(line).collect())
    });
    let act = prop_oneof![
        4 => feed,
        2 => Just(Act::Commit),
        4 => Just(Act::Deliver),
        4 => any::<bool>().prop_map(|keep| Act::Snapshot { keep }),
        1 => Just(Act::Restart),
    ];
    prop::collection::vec(act, 1..60)
}

/// A snapshot, and its bytes at the moment at which it was taken.
struct Kept {
    stage: u16,
    snapshot: Snapshot,
    bytes: Vec<u8>,
}

fn encoded(page: &dyn Page) -> Vec<u8> {
    let mut bytes = Vec::new();
    page.encode(&mut bytes);
    bytes
}

/// Runs the acts; `snapshots` says whether snapshots are taken at all.
fn run(acts: &[Act], snapshots: bool) -> (Rig, Vec<Kept>) {
    let mut rig = Rig::new(&plan(), 1, 1);
    let mut kept = Vec::new();
    for act in acts {
        match act {
            Act::Feed(lines) => rig.feed(&lines.iter().map(String::as_str).collect::<Vec<_>>()),
            Act::Commit => rig.commit(0, 0),
            Act::Deliver => rig.deliver(1),
            Act::Snapshot { keep } if snapshots => {
                for stage in 0..2 {
                    rig.commit(stage, 0);
                    let snapshot = rig.unit(stage, 0).snapshot().unwrap();
                    let bytes = snapshot.to_bytes();
                    if *keep {
                        kept.push(Kept { stage, snapshot, bytes });
                    }
                }
            }
            Act::Snapshot { .. } => (0..2).for_each(|stage| rig.commit(stage, 0)),
            Act::Restart if snapshots => {
                rig.commit(1, 0);
                rig.restart(1, 0);
                // Another unit, and other numbers of pages.
                kept.clear();
            }
            Act::Restart => rig.commit(1, 0),
        }
    }
    (0..2).for_each(|stage| rig.commit(stage, 0));
    (rig, kept)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_snapshot_stays_what_the_state_was_whatever_the_unit_does_then(acts in acts()) {
        let (mut rig, kept) = run(&acts, true);
        let (mut plain, _) = run(&acts, false);
        for stage in 0..2 {
            let [left, right] = [&mut rig, &mut plain].map(|rig| rig.unit(stage, 0).snapshot().unwrap());
            prop_assert_eq!(left.to_bytes(), right.to_bytes(), "no trace of snapshots in the state");
        }
        for Kept { stage, snapshot, bytes } in &kept {
            prop_assert_eq!(&snapshot.to_bytes(), bytes);
            let saved = Saved::whole(bytes).unwrap();
            let topology = crate::unit::Topology { units: vec![1, 1], source_partitions: vec![1] };
            let unit = Unit::restore(rig.plan(), &topology, StageId(*stage), 0, &saved);
            prop_assert_eq!(&unit.unwrap().snapshot().unwrap().to_bytes(), bytes);
        }
        rig.finish();
        plain.finish();
        prop_assert_eq!(rig.outputs, plain.outputs);
    }

    #[test]
    fn a_page_keeps_its_number_exactly_as_long_as_its_bytes(acts in acts()) {
        let (mut rig, kept) = run(&acts, true);
        let mut known: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for page in kept.iter().filter(|kept| kept.stage == 1).flat_map(|kept| kept.snapshot.pages()) {
            let bytes = encoded(&**page);
            prop_assert_eq!(known.entry(page.id()).or_insert_with(|| bytes.clone()), &bytes);
        }
        let [first, second] = [(), ()].map(|()| rig.unit(1, 0).snapshot().unwrap());
        let ids = |snapshot: &Snapshot| snapshot.pages().iter().map(|page| page.id()).collect::<Vec<_>>();
        prop_assert_eq!(ids(&first), ids(&second), "nothing was written in between");
    }
}

#[test]
fn only_pages_that_were_written_to_get_another_number() {
    let mut rig = Rig::new(&plan(), 1, 1);
    let lines: Vec<String> = (0..40).map(|user| format!(r#"{{"user":"u{user}","ts":1,"v":1}}"#)).collect();
    rig.feed(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    rig.settle();
    let before = rig.unit(1, 0).snapshot().unwrap();
    rig.feed(&[r#"{"user":"u9","ts":2,"v":1}"#]);
    rig.settle();
    let after = rig.unit(1, 0).snapshot().unwrap();
    let changed = before.pages().iter().zip(after.pages()).filter(|(a, b)| a.id() != b.id()).count();
    assert_eq!((before.pages().len(), after.pages().len(), changed), (5, 5, 1), "8 groups a page in tests");
}
