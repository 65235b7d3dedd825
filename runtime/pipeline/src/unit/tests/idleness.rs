use super::rig::{Draft, LATE, OUT, Rig, count, edge, tumbling};
use crate::plan::Plan;
use std::sync::Arc;

fn counting() -> Arc<Plan> {
    let mut draft = Draft::new(0);
    let merge = draft.window(&[edge(0)], tumbling("w", 60_000, &["user"], vec![count("n")]));
    draft.sink(&[edge(merge)], OUT);
    draft.done()
}

fn click(user: &str, ts: i64) -> String {
    format!(r#"{{"user":"{user}","ts":{ts}}}"#)
}

#[test]
fn silence_holds_back_and_idleness_does_not() {
    for units in [1, 2] {
        let mut rig = Rig::new(&counting(), units, 2);
        rig.feed_to(0, &[&click("a", 1), &click("a", 70_000)]);
        rig.settle();
        assert!(rig.values(OUT).is_empty());
        rig.idle(1);
        rig.settle();
        assert_eq!(rig.values(OUT).len(), 1);
        assert_eq!(rig.unit(0, units - 1).idle_channels(), 1);
    }
}

#[test]
fn when_all_are_idle_nothing_moves() {
    let mut rig = Rig::new(&counting(), 2, 2);
    rig.feed_to(0, &[&click("a", 70_000)]);
    rig.feed_to(1, &[&click("a", 1)]);
    rig.settle();
    rig.idle(1);
    rig.idle(0);
    rig.settle();
    assert_eq!(rig.unit(1, 0).watermark_ms(), Some(1));
    assert!(rig.values(OUT).is_empty());
}

#[test]
fn a_partition_that_resumes_is_judged_where_the_windows_are() {
    for units in [1, 2] {
        let mut rig = Rig::new(&counting(), units, 2);
        rig.feed_to(1, &[&click("b", 1)]);
        rig.feed_to(0, &[&click("a", 1)]);
        rig.settle();
        rig.idle(1);
        rig.settle();
        rig.feed_to(0, &[&click("a", 130_000)]);
        rig.settle();
        assert_eq!(rig.values(OUT).len(), 2, "the first minute is closed");
        // By its own watermark of 1 none of these is late; by the combined one the first is.
        rig.feed_to(1, &[&click("b", 59_000), &click("b", 121_000), &click("b", 122_000)]);
        rig.settle();
        assert_eq!(
            rig.values(LATE),
            [click("b", 59_000)],
            "{units} units: the record itself, not a sum of it"
        );
        rig.finish();
        assert_eq!(rig.counters.late, 1);
        assert_eq!(rig.values(OUT).len(), 4);
        assert!(
            rig.values(OUT).iter().any(|row| row.starts_with(r#"{"user":"b""#) && row.ends_with(r#""n":2}"#))
        );
    }
}

#[test]
fn a_resumed_partition_survives_a_restart_in_the_same_manner() {
    let run = |restart: bool| {
        let mut rig = Rig::new(&counting(), 2, 2);
        let step = |rig: &mut Rig| {
            rig.settle();
            if restart {
                (0..2).for_each(|unit| (0..2).for_each(|stage| rig.restart(stage, unit)));
            }
        };
        rig.feed_to(1, &[&click("b", 1)]);
        rig.feed_to(0, &[&click("a", 1)]);
        step(&mut rig);
        rig.idle(1);
        step(&mut rig);
        rig.feed_to(0, &[&click("a", 130_000)]);
        step(&mut rig);
        rig.feed_to(1, &[&click("b", 59_000)]);
        step(&mut rig);
        rig.feed_to(1, &[&click("b", 58_000), &click("b", 131_000)]);
        step(&mut rig);
        rig.finish();
        (rig.multiset(), rig.counters)
    };
    let (rows, counters) = run(false);
    assert_eq!(counters.late, 2);
    assert_eq!(run(true), (rows, counters));
}

#[test]
fn a_new_partition_is_judged_where_the_windows_are() {
    let mut rig = Rig::new(&counting(), 1, 1);
    rig.feed_to(0, &[&click("a", 1), &click("a", 130_000)]);
    rig.settle();
    rig.feed_to(1, &[&click("b", 2), &click("b", 130_001)]);
    rig.settle();
    assert_eq!(rig.values(LATE), [click("b", 2)]);
    rig.feed_to(0, &[&click("a", 300_000)]);
    rig.settle();
    assert_eq!(rig.unit(1, 0).watermark_ms(), Some(130_001), "the new partition holds back from now on");
}

#[test]
fn a_watermark_is_said_once() {
    let mut rig = Rig::new(&counting(), 1, 1);
    rig.feed(&[&click("a", 5)]);
    rig.commit(0, 0);
    assert_eq!(rig.waiting(1, 0).len(), 1);
    rig.commit(0, 0);
    assert_eq!(rig.waiting(1, 0).len(), 1, "nothing new");
    rig.idle(0);
    assert!(rig.unit(0, 0).needs_commit());
    rig.commit(0, 0);
    assert_eq!(rig.waiting(1, 0).len(), 2, "a heartbeat");
}
