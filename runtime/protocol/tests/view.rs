//! What a reader makes of a journal: the fold, trimming, and what it fails on.

mod support;

use proptest::prelude::*;
use protocol::defences::Defences;
use protocol::identity::{DrainId, Generation, Owner, Seq};
use protocol::journal::ownership::SequenceBroken;
use protocol::journal::{
    Base, Claim, Cut, Hold, JournalRecord, JournalView, Released, Renewal, SinkProgress, TailItem,
};
use protocol::restore::{Replay, ReplayStep, RestoreError};
use protocol::trim;
use std::collections::BTreeMap;
use support::{OTHER_PLAN, PLAN, claim, commit, owner, pointer, unit};

/// One thing that an owner of a unit does.
#[derive(Clone, Debug)]
enum Act {
    NewLife,
    NewGeneration,
    Commit,
    /// A commit that carries the pointer to the state `back` commits ago.
    Snapshot(u64),
    Hold(u8),
    Unhold(u8),
    Sink(u64),
    Drain(bool),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => Just(Act::NewLife),
        1 => Just(Act::NewGeneration),
        6 => Just(Act::Commit),
        2 => (1u64..4).prop_map(Act::Snapshot),
        1 => (0u8..2).prop_map(Act::Hold),
        1 => (0u8..2).prop_map(Act::Unhold),
        1 => (0u64..4).prop_map(Act::Sink),
        1 => any::<bool>().prop_map(Act::Drain),
    ]
}

/// The journal that these acts leave, with holes between offsets as markers make them.
fn journal(acts: &[Act]) -> Vec<(i64, JournalRecord)> {
    let mut records = Vec::new();
    let (mut generation, mut life, mut seq, mut born, mut drains) = (1, 1, 0, 0, 0);
    let mut holds: BTreeMap<String, Hold> = BTreeMap::new();
    let (mut sink, mut pointed) = (u64::MAX, 0);
    let mut offset = 0;
    let mut write = |record: JournalRecord| {
        records.push((offset, record));
        offset += 2;
    };
    let mine = |generation: u32, life: u128| -> Owner { owner(generation, 0, life) };
    write(JournalRecord::Claim(Box::new(claim(mine(1, 1), PLAN))));
    for act in acts {
        let me = mine(generation, life);
        match act {
            Act::NewLife | Act::NewGeneration => {
                life += 1;
                generation += u32::from(matches!(act, Act::NewGeneration));
                born = seq;
                let mut claim = claim(mine(generation, life), PLAN);
                claim.resume = (drains > 0).then_some(DrainId(drains));
                write(JournalRecord::Claim(Box::new(claim)));
            }
            Act::Commit | Act::Sink(_) => {
                seq += 1;
                let mut commit = commit(me, seq);
                if let Act::Sink(behind) = act {
                    let reached = seq.saturating_sub(*behind);
                    // A sink appears with everything still before it; from then on pointers wait for it.
                    sink = if sink == u64::MAX { pointed.max(reached) } else { reached.max(sink) };
                    commit.sinks.push(SinkProgress { sink: "pg".into(), seq: Seq(sink) });
                }
                write(JournalRecord::Commit(Box::new(commit)));
            }
            Act::Snapshot(back) => {
                seq += 1;
                let mut commit = commit(me, seq);
                // A pointer rides in a commit of the life that took the snapshot, and waits for the slowest sink. A unit has
                // one snapshot on its way at a time, so that pointers only go forward.
                let of = seq.saturating_sub(*back);
                if of > born.max(pointed) && of <= sink {
                    commit.snapshot = Some(pointer(of));
                    pointed = of;
                    let renewed = claim(me, PLAN);
                    commit.renewal =
                        Some(Renewal { claim: renewed, holds: holds.values().cloned().collect() });
                }
                write(JournalRecord::Commit(Box::new(commit)));
            }
            Act::Hold(name) => {
                let hold =
                    Hold { name: name.to_string(), generation: Generation(generation), until_ms: i64::MAX };
                holds.insert(hold.name.clone(), hold.clone());
                write(JournalRecord::Hold(hold));
            }
            Act::Unhold(name) => {
                holds.remove(&name.to_string());
                write(JournalRecord::Unhold { name: name.to_string() });
            }
            Act::Drain(cut) => {
                drains += 1;
                let drain = Some(DrainId(drains));
                write(JournalRecord::Released(Released { owner: me, seq: Seq(seq), drain }));
                if *cut && seq > 0 && seq <= sink {
                    pointed = seq;
                    let cut = Cut { owner: me, drain: DrainId(drains), pointer: pointer(seq) };
                    write(JournalRecord::Cut(cut));
                }
                life += 1;
                born = seq;
                let mut claim = claim(mine(generation, life), PLAN);
                claim.resume = drain;
                write(JournalRecord::Claim(Box::new(claim)));
            }
        }
    }
    records
}

fn fold<'a>(records: impl IntoIterator<Item = &'a (i64, JournalRecord)>) -> JournalView {
    let mut view = JournalView::default();
    for (offset, record) in records {
        view.apply(*offset, record.clone()).expect("a journal of one owner at a time");
    }
    view
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn folding_a_part_and_then_everything_is_folding_everything(
        acts in prop::collection::vec(any_act(), 0..40), at: prop::sample::Index, again: prop::sample::Index,
    ) {
        let records = journal(&acts);
        let at = at.index(records.len());
        let again = again.index(at + 1);
        let whole = fold(&records);
        // What was read before may be read again: a reader that starts over from an older offset.
        let parts = fold(records[..at].iter().chain(&records[again..]));
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn a_trimmed_journal_restores_like_the_whole(acts in prop::collection::vec(any_act(), 0..40)) {
        let records = journal(&acts);
        let whole = fold(&records);
        let Some(below) = trim::journal(&whole, &Defences::ALL) else { return Ok(()) };
        let kept: Vec<_> = records.iter().filter(|(offset, _)| *offset >= below).cloned().collect();
        prop_assert!(!kept.is_empty());
        let trimmed = fold(&kept);
        // Cuts need the drain's Released before them: where the pointer is a cut, it may be read from an older one.
        let point = whole.restore_point();
        prop_assert_eq!(trimmed.ownership().seq(), whole.ownership().seq());
        prop_assert_eq!(trimmed.claim_in_force().map(|claim| claim.owner), whole.claim_in_force().map(|claim| claim.owner));
        let commits = |view: &JournalView, from: Seq| -> Vec<Seq> {
            let seqs = view.tail_behind(from).iter().filter_map(|(_, item)| match item {
                TailItem::Commit(commit) => Some(commit.seq),
                TailItem::Claim(_) => None,
            });
            seqs.collect()
        };
        let from = trim::needed_from(&whole, &Defences::ALL);
        prop_assert_eq!(commits(&trimmed, from), commits(&whole, from));
        prop_assert_eq!(trimmed.restore_point(), point);
    }

    /// What a restore may start from, at any time from now on, is never among the snapshots that somebody deleted, however
    /// old the view was that he decided from, and whatever he had read of the journal before it was trimmed.
    #[test]
    fn no_snapshot_is_deleted_that_a_restore_may_start_from(
        acts in prop::collection::vec(any_act(), 0..40),
        seen in any::<prop::sample::Index>(),
    ) {
        let records = journal(&acts);
        let seen = seen.index(records.len() + 1);
        let deleted_below = |view: &JournalView| trim::snapshots(view, &Defences::ALL).first().map(|oldest| oldest.seq);
        let early = deleted_below(&fold(&records[..seen]));
        let mut view = JournalView::default();
        let mut held: BTreeMap<String, Option<Seq>> = BTreeMap::new();
        for (at, (offset, record)) in records.iter().enumerate() {
            let point = view.restore_point().pointer.as_ref().map(|pointer| pointer.seq);
            match record {
                JournalRecord::Hold(hold) => drop(held.entry(hold.name.clone()).or_insert(point)),
                JournalRecord::Unhold { name } => drop(held.remove(name)),
                _ => {}
            }
            view.apply(*offset, record.clone()).unwrap();
            let newest = view.restore_point().pointer.as_ref().map(|pointer| pointer.seq);
            let needed = held.values().copied().chain([newest]);
            for needed in needed {
                if at >= seen.saturating_sub(1) {
                    prop_assert!(early.is_none() || early <= needed, "{early:?} deleted {needed:?}");
                }
                let now = deleted_below(&view);
                prop_assert!(now.is_none() || now <= needed, "{now:?} deletes {needed:?}");
            }
            // A reader of the trimmed journal decides no further than one of the whole.
            if let Some(below) = trim::journal(&view, &Defences::ALL) {
                let kept: Vec<_> = records[..=at].iter().filter(|(offset, _)| *offset >= below).cloned().collect();
                let late = deleted_below(&fold(&kept));
                prop_assert!(late.is_none() || late <= deleted_below(&view), "{late:?}");
            }
        }
    }

    #[test]
    fn seq_and_clock_never_go_back(acts in prop::collection::vec(any_act(), 0..40)) {
        let mut view = JournalView::default();
        let (mut seq, mut clock) = (Seq(0), None);
        for (offset, record) in journal(&acts) {
            view.apply(offset, record).unwrap();
            prop_assert!(view.ownership().seq() >= seq && view.clock_ms() >= clock);
            (seq, clock) = (view.ownership().seq(), view.clock_ms());
            prop_assert!(view.restore_point().seq() <= seq);
        }
    }
}

fn view_of(records: Vec<JournalRecord>) -> JournalView {
    let records: Vec<_> = (0..).zip(records).collect();
    fold(&records)
}

fn claimed(generation: u32, life: u128) -> JournalRecord {
    JournalRecord::Claim(Box::new(claim(owner(generation, 0, life), PLAN)))
}

fn committed(generation: u32, seq: u64) -> JournalRecord {
    JournalRecord::Commit(Box::new(commit(owner(generation, 0, 1), seq)))
}

fn released(generation: u32, seq: u64, drain: Option<u64>) -> JournalRecord {
    let owner = owner(generation, 0, 1);
    JournalRecord::Released(Released { owner, seq: Seq(seq), drain: drain.map(DrainId) })
}

fn cut(generation: u32, drain: u64, seq: u64) -> JournalRecord {
    let owner = owner(generation, 0, 1);
    JournalRecord::Cut(Cut { owner, drain: DrainId(drain), pointer: pointer(seq) })
}

#[test]
fn two_writers_break_the_sequence() {
    let mut view = view_of(vec![claimed(1, 1), committed(1, 1)]);
    assert_eq!(view.apply(9, committed(1, 1)), Err(SequenceBroken { last: Seq(1), found: Seq(1) }));
    let mut view = view_of(vec![claimed(1, 1), committed(1, 1)]);
    assert_eq!(view.apply(9, committed(1, 3)), Err(SequenceBroken { last: Seq(1), found: Seq(3) }));
}

#[test]
fn a_drain_locks_until_it_is_resumed_or_a_higher_generation_claims() {
    let drained = vec![claimed(1, 1), committed(1, 1), released(1, 1, Some(5))];
    let lock = |records: Vec<JournalRecord>| view_of(records).ownership().lock().map(|lock| lock.drain);
    assert_eq!(lock(drained.clone()), Some(DrainId(5)));
    let with = |more: JournalRecord| [drained.clone(), vec![more]].concat();
    assert_eq!(lock(with(claimed(1, 2))), Some(DrainId(5)), "a Claim without resume changes nothing");
    assert_eq!(lock(with(claimed(2, 2))), None);
    let mut resumes = claim(owner(1, 0, 2), PLAN);
    resumes.resume = Some(DrainId(5));
    assert_eq!(lock(with(JournalRecord::Claim(Box::new(resumes)))), None);
    assert_eq!(
        lock(vec![claimed(1, 1), committed(1, 1), released(1, 0, Some(5))]),
        None,
        "not at the last commit"
    );
    assert_eq!(
        lock(vec![claimed(1, 1), committed(1, 1), released(1, 1, None)]),
        None,
        "released without a drain"
    );
}

#[test]
fn a_cut_counts_only_for_its_drain_and_commit() {
    let restores_from = |more: Vec<JournalRecord>| {
        let records = [vec![claimed(1, 1), committed(1, 1), released(1, 1, Some(5))], more].concat();
        let view = view_of(records);
        (view.restore_point().seq(), view.ownership().lock().is_some_and(|lock| lock.cut))
    };
    assert_eq!(restores_from(vec![]), (Seq(0), false));
    assert_eq!(restores_from(vec![cut(1, 5, 1)]), (Seq(1), true));
    assert_eq!(restores_from(vec![cut(1, 4, 1)]), (Seq(0), false), "another drain");
    assert_eq!(restores_from(vec![cut(1, 5, 0)]), (Seq(0), false), "another commit");
    assert_eq!(
        restores_from(vec![claimed(2, 2), committed(2, 2), cut(1, 5, 1)]),
        (Seq(0), false),
        "too late"
    );
}

#[test]
fn a_rollback_restarts_from_what_was_before_and_forgets_what_came_between() {
    // The old plan has a snapshot of commit 1 and ends with commit 2; the new one makes commits 3 and 4, and its state
    // of commit 3 is durable.
    let before = |until_ms: Option<i64>| {
        let other = Claim { rollback_until_ms: until_ms, ..claim(owner(2, 0, 2), OTHER_PLAN) };
        let pointed = |generation: u32, seq: u64, plan| {
            let mut commit = commit(owner(generation, 0, u128::from(generation)), seq);
            commit.snapshot = Some(pointer(seq - 1));
            let claim = claim(owner(generation, 0, u128::from(generation)), plan);
            commit.renewal = Some(Renewal { claim, holds: Vec::new() });
            JournalRecord::Commit(Box::new(commit))
        };
        vec![
            claimed(1, 1),
            committed(1, 1),
            pointed(1, 2, PLAN),
            released(1, 2, Some(5)),
            JournalRecord::Claim(Box::new(other)),
            committed(2, 3),
            pointed(2, 4, OTHER_PLAN),
            released(2, 4, Some(6)),
        ]
    };
    let replayed = |view: &JournalView| -> Vec<u64> {
        let commits =
            view.tail_behind(view.restore_point().seq()).iter().filter_map(|(_, item)| match item {
                TailItem::Commit(commit) => Some(commit.seq.0),
                TailItem::Claim(_) => None,
            });
        commits.collect()
    };
    let view = view_of(before(Some(i64::MAX)));
    let (undone, past) = view.past().expect("it was kept");
    assert_eq!((undone, past.restore_point().seq(), replayed(past)), (Generation(2), Seq(1), vec![2]));
    assert_eq!((view.restore_point().seq(), replayed(&view)), (Seq(3), vec![4]), "nothing is undone yet");

    let base = Base { pointer: Some(pointer(1)), through: Seq(2), undone: Generation(2) };
    let rollback = JournalRecord::Claim(Box::new(Claim { base: Some(base), ..claim(owner(3, 0, 3), PLAN) }));
    let whole = [before(Some(i64::MAX)), vec![rollback.clone(), committed(3, 5)]].concat();
    let view = view_of(whole.clone());
    assert_eq!((view.restore_point().seq(), replayed(&view)), (Seq(1), vec![2, 5]));
    assert_eq!(view.rewound_at(8), Some(Seq(4)), "the journal goes on behind commit 4");
    assert!(view.past().is_none(), "there is no way back from the way back");

    // Who comes later finds the same in what is left of the journal.
    let kept_from = trim::journal(&view_of(before(Some(i64::MAX))), &Defences::ALL).unwrap_or(0);
    assert_eq!(kept_from, 2, "the commit that names the old snapshot and its plan");
    let mut late = JournalView::default();
    for (offset, record) in (0..).zip(whole).filter(|(offset, _)| *offset >= kept_from) {
        late.apply(offset, record).unwrap();
    }
    assert_eq!((late.restore_point().seq(), replayed(&late)), (Seq(1), vec![2, 5]));

    // Without the wish nothing is kept, and a Claim that wants it finds nothing to replay.
    let mut none = view_of(before(None));
    assert!(none.past().is_none());
    assert_eq!(trim::journal(&none, &Defences::ALL), Some(6));
    none.apply(8, rollback).unwrap();
    let defences = Defences { hash_check: false, ..Defences::ALL };
    let mut replay = Replay::new("0123abcd", unit(), defences);
    let failed = loop {
        match replay.next(&none) {
            Ok(ReplayStep::UpToDate) => break None,
            Ok(_) => {}
            Err(error) => break Some(error),
        }
    };
    assert!(matches!(failed, Some(RestoreError::JournalStart { needed: Seq(2), .. })), "{failed:?}");
    // What was kept is kept as long as it was said, by the clock of the batches.
    assert!(view_of(before(Some(-1))).past().is_none());
}

fn retired(generation: u32) -> JournalRecord {
    let retired = true;
    JournalRecord::Claim(Box::new(Claim { retired, ..claim(owner(generation, 0, 9), OTHER_PLAN) }))
}

#[test]
fn what_a_retired_unit_left_is_of_the_past() {
    let cut = JournalRecord::Cut(Cut { owner: owner(1, 0, 1), drain: DrainId(5), pointer: pointer(2) });
    let mut records = vec![claimed(1, 1), committed(1, 1), committed(1, 2), released(1, 2, Some(5)), cut];
    assert_eq!(view_of(records.clone()).restore_point().seq(), Seq(2));
    records.push(retired(2));
    let view = view_of(records.clone());
    assert!(view.ownership().is_retired() && view.ownership().open_to(PLAN), "whoever comes needs no drain");
    assert_eq!((view.restore_point().pointer.as_ref(), view.void_through()), (None, Seq(2)));
    // Its stage is there again, two plans later.
    records.extend([claimed(3, 3), committed(3, 3)]);
    let view = view_of(records.clone());
    assert!(!view.ownership().is_retired() && !view.ownership().open_to(OTHER_PLAN));
    assert_eq!(view.ownership().in_force(), Some(PLAN));
    // The commits of these tests say nothing of what they read.
    let defences = Defences { hash_check: false, ..Defences::ALL };
    let mut replay = Replay::new("0123abcd", unit(), defences);
    let mut steps = Vec::new();
    while let Ok(step) = replay.next(&view) {
        let is_last = matches!(step, ReplayStep::Commit { .. } | ReplayStep::Feed(_) | ReplayStep::UpToDate);
        steps.push(step);
        if is_last {
            break;
        }
    }
    assert!(steps.contains(&ReplayStep::Forget), "{steps:?}");
    assert!(matches!(steps.last(), Some(ReplayStep::Commit { seq: Seq(3), .. })), "{steps:?}");
    let follows = steps.iter().filter(|step| matches!(step, ReplayStep::Follow { from: None, .. }));
    assert_eq!(follows.count(), 1, "it starts empty: {steps:?}");
}

#[test]
fn nobody_of_the_past_takes_a_retired_unit_and_none_that_goes_on_is_retired() {
    let drained = [claimed(1, 1), committed(1, 1), released(1, 1, Some(5))];
    let late = view_of([&drained[..], &[retired(3), claimed(2, 2)]].concat());
    assert!(late.ownership().is_retired(), "a claimant of a lower generation came too late");
    let resumed = |drain: u64| {
        let resume = Some(DrainId(drain));
        JournalRecord::Claim(Box::new(Claim { resume, ..claim(owner(1, 0, 2), PLAN) }))
    };
    let view = view_of([&drained[..], &[resumed(5), retired(2), committed(1, 2)]].concat());
    assert!(!view.ownership().is_retired(), "the drain was resumed before");
    assert_eq!(view.tail_behind(Seq(0)).len(), 4, "and every record of its owners counts");
}

fn with_pointer(generation: u32, seq: u64, of: u64) -> JournalRecord {
    let mut commit = commit(owner(generation, 0, 1), seq);
    commit.snapshot = Some(pointer(of));
    commit.renewal = Some(Renewal { claim: claim(owner(generation, 0, 1), PLAN), holds: Vec::new() });
    JournalRecord::Commit(Box::new(commit))
}

#[test]
fn trimming_keeps_what_holds_and_sinks_need() {
    let hold =
        JournalRecord::Hold(Hold { name: "before".into(), generation: Generation(1), until_ms: i64::MAX });
    let sink = |seq: u64, at: u64| {
        let mut commit = commit(owner(1, 0, 1), seq);
        commit.sinks.push(SinkProgress { sink: "pg".into(), seq: Seq(at) });
        JournalRecord::Commit(Box::new(commit))
    };
    let plain = view_of(vec![
        claimed(1, 1),
        committed(1, 1),
        committed(1, 2),
        committed(1, 3),
        with_pointer(1, 4, 3),
    ]);
    assert_eq!(trim::journal(&plain, &Defences::ALL), Some(4));
    let held = view_of(vec![claimed(1, 1), hold, committed(1, 1), committed(1, 2), with_pointer(1, 3, 2)]);
    assert_eq!(trim::journal(&held, &Defences::ALL), Some(1), "the hold restores from the beginning");
    assert_eq!(trim::journal(&held, &Defences { hold: false, ..Defences::ALL }), Some(4));
    let slow =
        view_of(vec![claimed(1, 1), committed(1, 1), sink(2, 1), committed(1, 3), with_pointer(1, 4, 3)]);
    assert_eq!(trim::journal(&slow, &Defences::ALL), Some(2), "the sink holds commit 1");
    assert_eq!(trim::journal(&slow, &Defences { sink_progress: false, ..Defences::ALL }), Some(4));
    let young = view_of(vec![claimed(1, 1), committed(1, 1)]);
    assert_eq!(trim::journal(&young, &Defences::ALL), None, "without a pointer everything is needed");
}

#[test]
fn a_hold_is_void_once_the_batch_clock_passes_it() {
    let hold = JournalRecord::Hold(Hold { name: "h".into(), generation: Generation(1), until_ms: 1_001 });
    let mut view = view_of(vec![claimed(1, 1), hold, committed(1, 1)]);
    assert_eq!(view.holds().len(), 1);
    view.apply(9, committed(1, 2)).unwrap();
    assert_eq!(view.holds().len(), 0);
}

#[test]
fn inputs_and_snapshots_are_trimmed_below_everything_needed() {
    assert_eq!(trim::input([Some(7), Some(5)]), Some(5));
    assert_eq!(trim::input([Some(7), None]), None);
    assert_eq!(trim::input([]), None);
    let pointed = |seq, of| {
        let mut record = commit(owner(1, 0, 1), seq);
        record.snapshot = Some(pointer(of));
        record.renewal = Some(Renewal { claim: claim(owner(1, 0, 1), PLAN), holds: Vec::new() });
        JournalRecord::Commit(Box::new(record))
    };
    let hold = JournalRecord::Hold(Hold { name: "h".into(), generation: Generation(1), until_ms: i64::MAX });
    let needed = |records: Vec<JournalRecord>, defences: &Defences| -> Vec<u64> {
        trim::snapshots(&view_of(records), defences).iter().map(|pointer| pointer.seq.0).collect()
    };
    let plain = vec![claimed(1, 1), committed(1, 1), pointed(2, 1), committed(1, 3), pointed(4, 3)];
    assert_eq!(needed(plain[..2].to_vec(), &Defences::ALL), Vec::<u64>::new());
    assert_eq!(needed(plain[..3].to_vec(), &Defences::ALL), [1]);
    assert_eq!(needed(plain.clone(), &Defences::ALL), [3]);
    let mut held = plain;
    held.insert(3, hold);
    assert_eq!(needed(held.clone(), &Defences::ALL), [1, 3]);
    held.push(JournalRecord::Unhold { name: "h".into() });
    held.push(pointed(5, 4));
    assert_eq!(needed(held, &Defences::ALL), [4]);
}
