//! The defences that neither the model nor the simulation can tell, each switched off: its run has to end in harm, and
//! with all defences it must not. `cargo test --test mutants -- --nocapture` prints what goes wrong.

mod support;

use protocol::defences::{Defences, Shown};
use protocol::identity::{DrainId, Generation, Seq};
use protocol::journal::{Base, JournalRecord, JournalView, Released, Renewal, SinkProgress, TailItem};
use protocol::snapshot::SnapshotHeader;
use protocol::trim;
use support::toy::{Act, live, restore, restore_and_write, small_run};
use support::{OTHER_PLAN, PLAN, claim, commit, owner, pointer};

/// The harm that a run with these defences ends in.
type Harm = fn(Defences) -> Option<String>;

fn run_for(defence: &str) -> Option<Harm> {
    let run: Harm = match defence {
        "hash_check" => a_changed_input,
        "suppress_until_commit" => a_restore_behind_commits,
        "exact_pointer" => an_orphaned_snapshot,
        "hold" => a_rollback,
        "sink_progress" => a_slow_sink,
        _ => return None,
    };
    Some(run)
}

#[test]
fn each_defence_is_needed() {
    let ours = Defences::EACH.iter().filter(|defence| defence.shown == Shown::Test);
    for defence in ours {
        let Some(run) = run_for(defence.name) else { panic!("nothing shows what {} is for", defence.name) };
        assert_eq!(run(Defences::ALL), None, "{}: harm with all defences", defence.name);
        let harm = run(defence.without());
        println!("without {}: {}", defence.name, harm.as_deref().unwrap_or("no harm"));
        assert!(harm.is_some(), "no harm without {}", defence.name);
    }
}

#[test]
fn names_are_those_of_the_fields() {
    let mut off = Defences::ALL;
    for defence in Defences::EACH {
        (defence.off)(&mut off);
    }
    let fields = format!("{off:?}");
    assert!(
        !fields.contains("true"),
        "every field is switched off by one of {}: {fields}",
        Defences::EACH.len()
    );
    for defence in Defences::EACH {
        assert!(fields.contains(&format!("{}: false", defence.name)));
    }
}

fn batch(partition: u32) -> Act {
    Act::Batch { partition, records: 3 }
}

/// A record of the input is another one than when it was committed.
fn a_changed_input(defences: Defences) -> Option<String> {
    let mut run = small_run();
    "another".clone_into(&mut run.logs.get_mut(&1).expect("partition 1")[1].1);
    // An error is no harm: the unit stops.
    let (state, _) = restore(&run, 4, defences).ok()?;
    (state != run.state).then(|| format!("committed {:?}, restored {:?}", run.state, state))
}

/// Everything was committed before the crash, so everything is in the log already.
fn a_restore_behind_commits(defences: Defences) -> Option<String> {
    let (_, _, again) = restore_and_write(&small_run(), 4, defences).expect("nothing differs");
    (!again.is_empty()).then(|| format!("written twice, by partition and offset: {again:?}"))
}

/// A life stores a snapshot and dies before its pointer is committed; the next life commits other batches.
fn an_orphaned_snapshot(defences: Defences) -> Option<String> {
    let mut run = live(&[batch(0), Act::Commit, Act::Snapshot, batch(1), Act::Commit, batch(0), Act::Commit]);
    let stored = run.objects.values().next().expect("one snapshot");
    let header = SnapshotHeader { seq: Seq(1), ..SnapshotHeader::open(stored).expect("it is ours").0 };
    run.objects.insert("9-orphan".to_owned(), header.seal(b"state that was never committed"));
    let (state, _) = restore(&run, 5, defences).ok()?;
    (state != run.state).then(|| format!("committed {:?}, restored {:?}", run.state, state))
}

fn committed(seq: u64) -> JournalRecord {
    JournalRecord::Commit(Box::new(commit(owner(1, 0, 1), seq)))
}

fn with_pointer(seq: u64, of: u64) -> JournalRecord {
    let mut commit = commit(owner(1, 0, 1), seq);
    commit.snapshot = Some(pointer(of));
    commit.renewal = Some(Renewal { claim: claim(owner(1, 0, 1), PLAN), holds: Vec::new() });
    JournalRecord::Commit(Box::new(commit))
}

/// What a later reader finds after the owner has trimmed the journal.
fn trimmed(records: &[JournalRecord], defences: &Defences) -> JournalView {
    let numbered = || (0..).zip(records.iter().cloned());
    let mut whole = JournalView::default();
    numbered().for_each(|(offset, record)| whole.apply(offset, record).expect("one writer"));
    let below = trim::journal(&whole, defences).unwrap_or(0);
    let mut kept = JournalView::default();
    for (offset, record) in numbered().filter(|(offset, _)| *offset >= below) {
        kept.apply(offset, record).expect("one writer");
    }
    kept
}

fn commits_behind(view: &JournalView, seq: u64) -> Vec<u64> {
    let each = view.tail_behind(Seq(seq)).iter().filter_map(|(_, item)| match item {
        TailItem::Commit(commit) => Some(commit.seq.0),
        TailItem::Claim(_) => None,
    });
    each.collect()
}

/// Another plan takes over, commits and makes its state durable; the rollback replays what stood there before, up to
/// commit 2.
fn a_rollback(defences: Defences) -> Option<String> {
    let first = JournalRecord::Claim(Box::new(claim(owner(1, 0, 1), PLAN)));
    let drain = Some(DrainId(5));
    let released = JournalRecord::Released(Released { owner: owner(1, 0, 1), seq: Seq(2), drain });
    let mut other = claim(owner(2, 0, 2), OTHER_PLAN);
    other.rollback_until_ms = Some(i64::MAX);
    let mut pointed = commit(owner(2, 0, 2), 4);
    pointed.snapshot = Some(pointer(3));
    pointed.renewal = Some(Renewal { claim: claim(owner(2, 0, 2), OTHER_PLAN), holds: Vec::new() });
    let other = JournalRecord::Claim(Box::new(other));
    let third = JournalRecord::Commit(Box::new(commit(owner(2, 0, 2), 3)));
    let pointed = JournalRecord::Commit(Box::new(pointed));
    let given_up =
        JournalRecord::Released(Released { owner: owner(2, 0, 2), seq: Seq(4), drain: Some(DrainId(6)) });
    let records = [first, committed(1), committed(2), released, other, third, pointed, given_up];
    let mut view = trimmed(&records, &defences);
    let mut rollback = claim(owner(3, 0, 3), PLAN);
    rollback.base = Some(Base { pointer: None, through: Seq(2), undone: Generation(2) });
    view.apply(view.next_offset(), JournalRecord::Claim(Box::new(rollback))).expect("one writer");
    let found = commits_behind(&view, 0);
    (found != [1, 2]).then(|| format!("the rollback has to replay commits 1 and 2, and finds {found:?}"))
}

/// A sink that stands at commit 1 while the newest snapshot is of commit 3.
fn a_slow_sink(defences: Defences) -> Option<String> {
    let first = JournalRecord::Claim(Box::new(claim(owner(1, 0, 1), PLAN)));
    let mut second = commit(owner(1, 0, 1), 2);
    second.sinks.push(SinkProgress { sink: "pg".into(), seq: Seq(1) });
    let second = JournalRecord::Commit(Box::new(second));
    let view = trimmed(&[first, committed(1), second, committed(3), with_pointer(4, 3)], &defences);
    let found = commits_behind(&view, 1);
    (found != [2, 3, 4]).then(|| format!("the sink has to be given commits 2, 3 and 4, and finds {found:?}"))
}
