use super::rig::{CLOCK, Draft, OUT, Rig, aggregate, count, edge, tumbling};
use crate::effect::Effects;
use crate::plan::AggregateFunction::{Average, Max, Sum};
use crate::plan::{Plan, PlanHash, StageId};
use crate::unit::{BlockError, Channel, RestoreError, Saved, SnapshotError, Topology, Unit};
use proptest::prelude::*;
use std::sync::Arc;

fn plan(hash: u8, name: &str) -> Arc<Plan> {
    let mut draft = Draft::new(0);
    draft.plan().hash = PlanHash([hash; 16]);
    let aggregates = vec![
        count("n"),
        aggregate("sum", Sum, "v"),
        aggregate("avg", Average, "v"),
        aggregate(name, Max, "name"),
    ];
    let merge = draft.window(&[edge(0)], tumbling("w", 60_000, &["user", "k"], aggregates));
    draft.sink(&[edge(merge)], OUT);
    draft.done()
}

fn topology() -> Topology {
    Topology { units: vec![1, 1], source_partitions: vec![1] }
}

/// A rig with groups, held records and wide sums on their way.
fn busy() -> Rig {
    let mut rig = Rig::new(&plan(1, "max"), 1, 1);
    rig.feed(&[
        r#"{"ts":1,"user":"a","k":1,"v":1,"name":"x"}"#,
        r#"{"ts":2,"user":"a","k":1,"v":1e-300,"name":"y"}"#,
        r#"{"ts":3,"user":"b","k":true,"v":9223372036854775807,"name":7}"#,
        r#"{"ts":4,"user":"b","k":true,"v":1}"#,
        r#"{"ts":61000,"user":"c","k":"z","v":0.5,"name":"w"}"#,
        r#"{"ts":5000,"user":"late","k":"z","v":0.5,"name":"w"}"#,
    ]);
    rig
}

fn block() -> Vec<u8> {
    let mut rig = busy();
    rig.commit(0, 0);
    rig.waiting(1, 0).remove(0)
}

const CHANNEL: Channel = Channel { input: 0, partition: 0 };

fn merging() -> Unit {
    Unit::new(plan(1, "max"), &topology(), StageId(1), 0).unwrap()
}

#[test]
fn blocks_of_another_version_or_window_are_refused() {
    let block = block();
    let take = |bytes: &[u8]| merging().on_block(CHANNEL, bytes, CLOCK, &mut Effects::default());
    assert_eq!(take(&block), Ok(()));
    assert_eq!(take(b""), Err(BlockError::NotABlock));
    assert_eq!(take(b"XX\x01"), Err(BlockError::NotABlock));
    let mut newer = block.clone();
    newer[2] = 9;
    assert_eq!(take(&newer), Err(BlockError::UnknownVersion { found: 9 }));
    for cut in 3..block.len() {
        assert!(take(&block[..cut]).is_err(), "cut at {cut}");
    }
    let mut longer = block.clone();
    longer.push(0);
    assert!(matches!(take(&longer), Err(BlockError::Malformed(_))));
    let other = Channel { input: 3, partition: 0 };
    assert_eq!(
        merging().on_block(other, &block, CLOCK, &mut Effects::default()),
        Err(BlockError::UnknownInput { input: 3 })
    );
    let mut draft = Draft::new(0);
    draft.window(&[edge(0)], tumbling("w", 30_000, &["user", "k"], vec![count("n")]));
    let mut unit = Unit::new(draft.done(), &topology(), StageId(1), 0).unwrap();
    assert_eq!(unit.on_block(CHANNEL, &block, CLOCK, &mut Effects::default()), Err(BlockError::OtherWindow));
}

#[test]
fn a_large_flush_is_cut_into_blocks() {
    let mut rig = Rig::new(&plan(1, "max"), 2, 1);
    let name = "n".repeat(1000);
    let line = |i: i64| format!(r#"{{"ts":{i},"user":"{i}","k":1,"v":{i},"name":"{name}"}}"#);
    let lines: Vec<String> = (0..5000).map(line).collect();
    rig.feed(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    rig.commit(0, 0);
    for unit in 0..2 {
        let blocks = rig.waiting(1, unit);
        assert!(blocks.len() >= 4, "{}", blocks.len());
        assert!(blocks.iter().all(|block| block.len() < 600 << 10));
    }
    rig.deliver(1);
    assert_eq!(rig.unit(1, 0).open_groups() + rig.unit(1, 1).open_groups(), 5000);
    rig.finish();
    assert_eq!(rig.values(OUT).len(), 5000);
}

#[test]
fn a_snapshot_is_refused_by_anyone_else() {
    let mut rig = busy();
    assert_eq!(rig.unit(0, 0).snapshot().map(|_| ()), Err(SnapshotError::NotFlushed));
    rig.settle();
    let bytes = rig.unit(1, 0).snapshot().unwrap().to_bytes();
    let saved = Saved::whole(&bytes).unwrap();
    let restore = |hash, stage, saved: &Saved<'_>| {
        Unit::restore(plan(hash, "max"), &topology(), StageId(stage), 0, saved).map(|_| ()).unwrap_err()
    };
    let headed = |head| Saved { head, pages: saved.pages.clone() };
    let (expected, found) = (PlanHash([2; 16]), PlanHash([1; 16]));
    assert_eq!(restore(2, 1, &saved), RestoreError::OtherPlan { expected, found });
    assert_eq!(restore(1, 0, &saved), RestoreError::OtherUnit { stage: 1, unit: 0 });
    assert_eq!(restore(1, 1, &headed(b"nothing")), RestoreError::NotASnapshot);
    let mut newer = saved.head.to_vec();
    newer[2] = 3;
    assert_eq!(restore(1, 1, &headed(&newer)), RestoreError::UnknownVersion { found: 3 });
    for cut in 0..saved.head.len() {
        restore(1, 1, &headed(&saved.head[..cut]));
    }
}

#[test]
fn pages_that_are_missing_cut_off_or_too_many_are_refused() {
    let mut rig = as_released();
    let bytes = rig.unit(1, 0).snapshot().unwrap().to_bytes();
    let saved = Saved::whole(&bytes).unwrap();
    assert_eq!(saved.pages.len(), 3, "two windows with groups, one of them with held records");
    let check = |pages: Vec<&[u8]>| {
        let changed = Saved { head: saved.head, pages };
        let plan = rig.plan();
        let refused = Unit::restore(plan, &topology(), StageId(1), 0, &changed).map(|_| ()).unwrap_err();
        assert!(matches!(refused, RestoreError::Malformed(_)), "{refused}");
    };
    for page in 0..saved.pages.len() {
        let without = [&saved.pages[..page], &saved.pages[page + 1..]].concat();
        check(without);
        let twice = [&saved.pages[..page], &saved.pages[page..=page], &saved.pages[page..]].concat();
        check(twice);
        for cut in 0..saved.pages[page].len() {
            let mut shorter = saved.pages.clone();
            shorter[page] = &saved.pages[page][..cut];
            check(shorter);
        }
    }
}

proptest! {
    #[test]
    fn mutated_blocks_never_panic(at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = block();
        for (index, byte) in at {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        let mut unit = merging();
        let mut out = Effects::default();
        if unit.on_block(CHANNEL, &bytes, CLOCK, &mut out).is_ok() {
            let end = Effects::default();
            unit.on_tick(crate::unit::Tick::EndOfInput(CHANNEL), CLOCK, &mut out);
            drop(end);
        }
    }

    #[test]
    fn mutated_snapshots_never_panic(at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut rig = busy();
        rig.settle();
        for stage in 0..2u16 {
            let mut bytes = rig.unit(stage, 0).snapshot().unwrap().to_bytes();
            for (index, byte) in &at {
                let at = index.index(bytes.len());
                bytes[at] = *byte;
            }
            let Ok(saved) = Saved::whole(&bytes) else { continue };
            if let Ok(mut unit) = Unit::restore(plan(1, "max"), &topology(), StageId(stage), 0, &saved) {
                let mut out = Effects::default();
                unit.on_tick(crate::unit::Tick::EndOfInput(CHANNEL), CLOCK, &mut out);
                unit.on_commit(&mut out);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_taken(bytes: Vec<u8>) {
        let mut block = b"WB\x01".to_vec();
        block.extend_from_slice(&bytes);
        let _ = merging().on_block(CHANNEL, &block, CLOCK, &mut Effects::default());
    }
}

/// What the states of `released` were made of: two open windows, groups with wide sums, held records, a channel.
fn as_released() -> Rig {
    let mut draft = Draft::new(120_000);
    draft.plan().hash = PlanHash([1; 16]);
    let aggregates = vec![
        count("n"),
        aggregate("sum", Sum, "v"),
        aggregate("avg", Average, "v"),
        aggregate("max", Max, "name"),
    ];
    let merge = draft.window(&[edge(0)], tumbling("w", 60_000, &["user", "k"], aggregates));
    draft.sink(&[edge(merge)], OUT);
    let mut rig = Rig::new(&draft.done(), 1, 1);
    rig.feed(&[
        r#"{"ts":1,"user":"a","k":1,"v":1,"name":"x"}"#,
        r#"{"ts":2,"user":"a","k":1,"v":1e-300,"name":"y"}"#,
        r#"{"ts":3,"user":"b","k":true,"v":9223372036854775807,"name":7}"#,
        r#"{"ts":4,"user":"b","k":true,"v":1}"#,
        r#"{"ts":61000,"user":"c","k":"z","v":0.5,"name":"w"}"#,
        r#"{"ts":5000,"user":"a","k":null,"v":-7,"name":"w"}"#,
    ]);
    rig.settle();
    rig
}

#[test]
fn a_snapshot_of_the_release_before_there_were_pages_is_restored() {
    let mut rig = as_released();
    let released: [&[u8]; 2] =
        [include_bytes!("released/snapshot-1-source.bin"), include_bytes!("released/snapshot-1-merge.bin")];
    for (stage, head) in (0u16..).zip(released) {
        let saved = Saved { head, pages: Vec::new() };
        let mut unit = Unit::restore(rig.plan(), &topology(), StageId(stage), 0, &saved).unwrap();
        let now = rig.unit(stage, 0).snapshot().unwrap().to_bytes();
        assert_eq!(unit.snapshot().unwrap().to_bytes(), now, "stage {stage}");
        for cut in 0..head.len() {
            let saved = Saved { head: &head[..cut], pages: Vec::new() };
            assert!(Unit::restore(rig.plan(), &topology(), StageId(stage), 0, &saved).is_err(), "{cut}");
        }
    }
}
