//! A replay applies what was applied live, whatever the fetches look like; and stops at the first thing that differs.

mod support;

use pipeline::plan::SecretsHash;
use pipeline::record::RecordBatch;
use proptest::prelude::*;
use protocol::commit::cut_record;
use protocol::defences::Defences;
use protocol::identity::{DrainId, Seq};
use protocol::journal::{ClaimedInput, InputPartition, JournalRecord, JournalView, Released, Renewal};
use protocol::restore::{Divergence, Replay, ReplayStep, RestoreError, WantedInput, claimed_inputs};
use protocol::schedule::OutputDigest;
use protocol::snapshot::{SnapshotHeader, SnapshotPointer};
use support::toy::{Act, any_act, live, record, restore, small_run};
use support::{OTHER_PLAN, PLAN, claim, owner, unit};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_is_what_was_committed_live(acts in prop::collection::vec(any_act(), 0..60), width in 1usize..20) {
        let run = live(&acts);
        let (state, replay) = restore(&run, width, Defences::ALL).expect("the log is what it was");
        prop_assert_eq!(&state, &run.state);
        prop_assert_eq!(replay.replayed(), Some(Seq(run.seq)));
    }
}

#[test]
fn a_changed_record_stops_the_replay() {
    let mut run = small_run();
    let changed = run.logs.get_mut(&1).expect("partition 1");
    changed[1].1 = "another".to_owned();
    let what = Divergence::Records { input: 0, partition: 1, end: 24, found: 3, expected: 3 };
    let diverged = restore(&run, 4, Defences::ALL).expect_err("it differs");
    assert_eq!(diverged, RestoreError::ReplayDiverged { unit: unit(), seq: Seq(1), what });
    let (state, _) = restore(&run, 4, Defences { hash_check: false, ..Defences::ALL }).expect("nobody looks");
    assert_ne!(state, run.state, "without the hash check the state is silently another one");
}

#[test]
fn a_missing_record_stops_the_replay() {
    let mut run = small_run();
    run.logs.get_mut(&0).expect("partition 0").remove(1);
    let diverged = restore(&run, 9, Defences::ALL).expect_err("one is gone");
    assert!(matches!(
        diverged,
        RestoreError::ReplayDiverged { what: Divergence::Records { found: 2, .. }, .. }
    ));
}

#[test]
fn other_outputs_stop_the_replay() {
    let run = small_run();
    let mut replay = Replay::new("0123abcd", unit(), Defences::ALL);
    loop {
        match replay.next(&run.journal).expect("nothing differs yet") {
            ReplayStep::Commit { .. } => break,
            ReplayStep::Feed(at) => {
                let mut batch = RecordBatch::new();
                run.logs[&at.partition].iter().for_each(|(offset, value)| batch.push(record(*offset, value)));
                replay.feed(at, batch);
            }
            _ => {}
        }
    }
    let diverged = replay.committed(OutputDigest { count: 6, hash: 1 }).expect_err("another hash");
    assert!(matches!(
        diverged,
        RestoreError::ReplayDiverged { what: Divergence::Outputs { found: 6, expected: 6 }, .. }
    ));
}

/// A life stores a snapshot behind a commit and dies before its pointer is written; the next life commits other batches
/// under the following numbers. The stored object is the newest one, and it is of no use.
#[test]
fn only_the_snapshot_that_the_journal_points_to_is_restored() {
    let batch = |partition| Act::Batch { partition, records: 3 };
    let mut run = live(&[batch(0), Act::Commit, Act::Snapshot, batch(1), Act::Commit, batch(0), Act::Commit]);
    let orphan = {
        let header = SnapshotHeader {
            seq: Seq(1),
            ..SnapshotHeader::open(run.objects.values().next().expect("one snapshot")).expect("it is ours").0
        };
        header.seal(b"state that was never committed")
    };
    run.objects.insert("9-orphan".to_owned(), orphan);
    let (state, _) = restore(&run, 5, Defences::ALL).expect("the pointer is right");
    assert_eq!(state, run.state);
    let (state, _) =
        restore(&run, 5, Defences { exact_pointer: false, ..Defences::ALL }).expect("nobody looks");
    assert_ne!(state, run.state, "the newest file is not the snapshot");
}

/// Whoever follows a unit may be behind when the unit is drained and cut: no commit comes any more that would show it.
#[test]
fn a_cut_ahead_of_the_replay_is_loaded() {
    let mut run = small_run();
    let mut replay = Replay::new("0123abcd", unit(), Defences::ALL);
    while !matches!(replay.next(&run.journal).expect("nothing differs"), ReplayStep::Assign(_)) {}
    assert_eq!(replay.replayed(), Some(Seq(0)));
    let (owner, seq, drain) = (owner(1, 0, 1), run.journal.ownership().seq(), DrainId(1));
    run.journal.apply(98, JournalRecord::Released(Released { owner, seq, drain: Some(drain) })).unwrap();
    run.journal.apply(99, cut_record(owner, drain, support::pointer(seq.0))).unwrap();
    // And the next owner may have claimed already: its plan is for the state at the cut.
    for step in 0..2 {
        let wanted = ReplayStep::Load(support::pointer(seq.0));
        assert_eq!(replay.clone().next(&run.journal).expect("the cut says all"), wanted, "{step}");
        let next = claim(support::owner(2, 0, 2), OTHER_PLAN);
        run.journal.apply(100, JournalRecord::Claim(Box::new(next))).unwrap();
    }
}

#[test]
fn a_journal_that_starts_behind_the_snapshot_is_refused() {
    let mut journal = JournalView::default();
    let commit = support::commit(owner(1, 0, 1), 5);
    journal.apply(40, JournalRecord::Claim(Box::new(claim(owner(1, 0, 1), PLAN)))).unwrap();
    journal.apply(41, JournalRecord::Commit(Box::new(commit))).unwrap();
    let mut replay = Replay::new("0123abcd", unit(), Defences::ALL);
    let refused = loop {
        match replay.next(&journal) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(refused, RestoreError::JournalStart { unit: unit(), needed: Seq(1), found: Seq(5) });
}

#[test]
fn a_claim_with_another_plan_carries_positions_over_by_topic() {
    let batch = Act::Batch { partition: 0, records: 3 };
    let mut run = live(&[batch, Act::Commit]);
    let input = |name: &str, topic_id: &str, starts: &[(u32, i64)]| ClaimedInput {
        name: name.into(),
        topic: name.into(),
        topic_id: topic_id.into(),
        starts: starts.to_vec(),
    };
    let mut second = claim(owner(2, 0, 2), OTHER_PLAN);
    second.inputs = vec![input("orders", "id-2", &[(0, 5)]), input("clicks", "id-1", &[(0, 99)])];
    let early = claim(owner(2, 0, 9), OTHER_PLAN);
    run.journal.apply(98, JournalRecord::Claim(Box::new(early))).unwrap();
    let (_, replay) = restore(&run, 5, Defences::ALL).expect("nothing to replay behind the claim");
    assert_eq!(replay.plan(), Some(PLAN), "a claimant that did not wait for the drain changes nothing");
    let drain = Some(DrainId(1));
    let released = Released { owner: owner(1, 0, 1), seq: run.journal.ownership().seq(), drain };
    run.journal.apply(99, JournalRecord::Released(released)).unwrap();
    run.journal.apply(100, JournalRecord::Claim(Box::new(second.clone()))).unwrap();
    let (_, replay) = restore(&run, 5, Defences::ALL).expect("nothing to replay behind the claim");
    assert_eq!(replay.plan(), Some(OTHER_PLAN));
    let position = |input, partition, next| (InputPartition { input, partition }, next);
    assert_eq!(replay.positions(), vec![position(0, 0, 5), position(1, 0, 14), position(1, 1, 20)]);
    // The next Claim brings starts only for what has no position: here a partition that was added.
    let wanted = |partitions: &[u32]| WantedInput {
        name: "clicks".into(),
        topic: "clicks".into(),
        topic_id: "id-1".into(),
        partitions: partitions.to_vec(),
    };
    let claimed =
        claimed_inputs(&replay, &[wanted(&[0, 1, 2])], |_, partition| Ok::<i64, ()>(i64::from(partition)));
    assert_eq!(claimed.unwrap()[0].starts, vec![(2, 2)]);
}

/// Whoever has other Secrets can make the outputs of these commits no more; the next one with them starts from the newest
/// snapshot, so the first one does, too.
#[test]
fn commits_of_other_secrets_are_passed_and_a_newer_snapshot_counts_more() {
    let theirs = SecretsHash(1);
    let mut journal = JournalView::default();
    let mut first = claim(owner(1, 0, 1), PLAN);
    first.secrets = Some(theirs);
    journal.apply(0, JournalRecord::Claim(Box::new(first.clone()))).unwrap();
    let made = |seq: u64| {
        let mut commit = support::commit(owner(1, 0, 1), seq);
        commit.positions = vec![(InputPartition { input: 0, partition: 0 }, 0)];
        commit.outputs = OutputDigest { count: 7, hash: 7 };
        commit
    };
    journal.apply(1, JournalRecord::Commit(Box::new(made(1)))).unwrap();
    let mut replay = Replay::new("0123abcd", unit(), Defences::ALL);
    let mut steps = |journal: &JournalView| loop {
        match replay.next(journal).unwrap() {
            ReplayStep::Commit { .. } => {
                assert_eq!(replay.secrets_of_commit(journal), Some(theirs));
                replay.committed_with_other_secrets();
            }
            step @ (ReplayStep::UpToDate | ReplayStep::Load(_)) => break (step, replay.replayed()),
            _ => {}
        }
    };
    assert_eq!(steps(&journal), (ReplayStep::UpToDate, Some(Seq(1))));
    let pointer = SnapshotPointer::to("k", b"theirs", Seq(1));
    let mut second = made(2);
    second.snapshot = Some(pointer.clone());
    second.renewal = Some(Renewal { claim: first, holds: Vec::new() });
    journal.apply(2, JournalRecord::Commit(Box::new(second))).unwrap();
    assert_eq!(steps(&journal).0, ReplayStep::Load(pointer));
}
