//! What a reader keeps of a journal: its [`Ownership`], the restore point, and the records behind it that a replay needs.

use super::ownership::{Head, Ownership, SequenceBroken};
use super::record::{Claim, Commit, Cut, Hold, JournalRecord, Reprocess};
use crate::identity::{DrainId, Generation, Owner, Seq};
use crate::snapshot::SnapshotPointer;
use pipeline::plan::SecretsHash;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A record that a replay goes through.
#[derive(Clone, Debug, PartialEq)]
pub enum TailItem {
    /// Plan, inputs and start positions may change here.
    Claim(Arc<Claim>),
    /// The unit advanced.
    Commit(Arc<Commit>),
}

/// A hold, and the oldest commit that a restore at its record replays from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenHold {
    hold: Hold,
    floor: Seq,
    said_at: i64,
}

/// Where state restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestorePoint {
    /// The snapshot; none is the empty state.
    pub pointer: Option<SnapshotPointer>,
}

/// The fold as it was when a generation changed the plan: what a rollback goes back to.
#[derive(Clone, Debug, PartialEq)]
struct Past {
    /// The generation that changed the plan.
    undone: Generation,
    until_ms: i64,
    view: JournalView,
}

/// The fold of a journal in log order. Folding a prefix and then the rest is folding the whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalView {
    ownership: Ownership,
    tail: Vec<(i64, TailItem)>,
    origin: RestorePoint,
    origin_at: Option<i64>,
    /// Snapshots that the journal points to, in its order: from the newest that everything needed starts from.
    pointers: Vec<SnapshotPointer>,
    /// The last commit before the unit was retired: state up to it is of the past.
    void_through: Seq,
    commit_at: Option<i64>,
    claim: Option<Arc<Claim>>,
    renewed_at: Option<i64>,
    holds: BTreeMap<String, OpenHold>,
    sinks: BTreeMap<Arc<str>, (Seq, i64)>,
    clock_ms: Option<i64>,
    next_offset: i64,
    past: Option<Box<Past>>,
    /// Claims, by offset, that go on from the state before a change of plan, each behind this commit.
    rewound: Vec<(i64, Seq)>,
    /// What was processed again last.
    reprocessed: Option<DrainId>,
}

impl RestorePoint {
    /// The commit that the snapshot holds, 0 without one.
    pub fn seq(&self) -> Seq {
        self.pointer.as_ref().map_or(Seq(0), |pointer| pointer.seq)
    }
}

impl JournalView {
    /// Takes the record at `offset`. Offsets only grow; one that was applied before is passed over.
    pub fn apply(&mut self, offset: i64, record: JournalRecord) -> Result<(), SequenceBroken> {
        if offset < self.next_offset {
            return Ok(());
        }
        let locked_before = self.ownership.lock().copied();
        let (before, in_force) = (self.before_change(&record), self.ownership.in_force());
        self.ownership.apply(&Head::from(&record))?;
        self.next_offset = offset + 1;
        let changes = self.ownership.in_force() != in_force;
        if changes && let Some(before) = before {
            self.past = Some(before);
        }
        match record {
            JournalRecord::Claim(claim) => self.claim(offset, *claim, changes),
            JournalRecord::Commit(commit) => self.commit(offset, &Arc::from(commit)),
            JournalRecord::Hold(hold) => self.open_hold(offset, hold),
            JournalRecord::Unhold { name } => {
                self.holds.remove(&name);
            }
            JournalRecord::Released(_) => {}
            JournalRecord::Reprocessed(done) => {
                self.reprocessed = Some(done.id);
                if self.reprocess().is_some_and(|reprocess| reprocess.id == done.id) {
                    self.claim = self
                        .claim
                        .take()
                        .map(|claim| Arc::new(Claim { reprocess: None, ..(*claim).clone() }));
                }
            }
            JournalRecord::Cut(Cut { drain, pointer, .. }) => {
                if locked_before.is_some_and(|lock| lock.drain == drain && lock.seq == pointer.seq) {
                    // A reader believes the cut only with the drain, its last commit and its owner's Claim before it.
                    let witnesses = [self.renewed_at, self.commit_at];
                    self.origin_at = witnesses.into_iter().flatten().min();
                    self.restart_from(pointer);
                }
            }
        }
        Ok(())
    }

    /// The fold before a Claim that may change the plan and wants to be able to go back.
    fn before_change(&self, record: &JournalRecord) -> Option<Box<Past>> {
        let JournalRecord::Claim(claim) = record else { return None };
        let until_ms = claim.rollback_until_ms?;
        if self.ownership.in_force() == Some(claim.plan) {
            return None;
        }
        let view = Self { past: None, ..self.clone() };
        Some(Box::new(Past { undone: claim.owner.generation(), until_ms, view }))
    }

    fn claim(&mut self, offset: i64, mut claim: Claim, changes: bool) {
        // A claimant whose plan is not in force came too late, and gives way at step 5: it changes no state.
        if self.ownership.in_force() != Some(claim.plan) {
            return;
        }
        if self.ownership.is_retired() {
            self.tail.clear();
            self.pointers.clear();
            self.origin = RestorePoint::default();
            self.origin_at = Some(offset);
            self.void_through = self.ownership.seq();
        }
        // Who takes a change back when another one already has goes on from there.
        if let Some(base) = claim.base.as_ref().filter(|_| changes) {
            self.rewind(offset, base.undone);
        }
        let is_new = |reprocess: &Reprocess| self.reprocessed != Some(reprocess.id);
        let pending = self.reprocess().filter(|_| !changes).cloned();
        claim.reprocess = pending.or(claim.reprocess.filter(is_new));
        let claim = Arc::new(claim);
        self.tail.push((offset, TailItem::Claim(claim.clone())));
        self.claim = Some(claim);
        self.renewed_at = Some(offset);
    }

    /// Goes back to the state before a change of plan. Where that was not kept nothing is left: who replays meets a Claim
    /// whose base it has not reached, and stops.
    fn rewind(&mut self, offset: i64, undone: Generation) {
        let past = self.past.take().filter(|past| past.undone == undone);
        let view = past.map(|past| past.view).unwrap_or_default();
        self.origin_at = [view.landmark(), Some(offset)].into_iter().flatten().min();
        self.rewound.push((offset, self.ownership.seq()));
        self.tail = view.tail;
        self.origin = view.origin;
        self.pointers = view.pointers;
        self.void_through = view.void_through;
    }

    fn commit(&mut self, offset: i64, commit: &Arc<Commit>) {
        self.clock_ms = Some(self.clock_ms.map_or(commit.clock_ms, |last| last.max(commit.clock_ms)));
        for progress in &commit.sinks {
            let said = (progress.seq, offset);
            let known = self.sinks.entry(progress.sink.clone()).or_insert(said);
            if known.0 < progress.seq {
                *known = said;
            }
        }
        self.commit_at = Some(offset);
        self.tail.push((offset, TailItem::Commit(commit.clone())));
        if let Some(renewal) = &commit.renewal {
            renewal.holds.iter().for_each(|hold| self.open_hold(offset, hold.clone()));
            self.claim = Some(Arc::new(renewal.claim.clone()));
            self.renewed_at = Some(offset);
        }
        if let Some(pointer) = &commit.snapshot {
            self.origin_at = Some(offset);
            self.restart_from(pointer.clone());
        }
    }

    /// A hold said again keeps its floor and may last longer.
    fn open_hold(&mut self, offset: i64, hold: Hold) {
        let known = self.holds.get(&hold.name).map(|open| (open.floor, open.said_at));
        let (floor, said_at) = known.unwrap_or((self.origin.seq(), offset));
        self.holds.insert(hold.name.clone(), OpenHold { hold, floor, said_at });
    }

    fn restart_from(&mut self, pointer: SnapshotPointer) {
        self.origin = RestorePoint { pointer: Some(pointer) };
        let now = self.clock_ms.unwrap_or(i64::MIN);
        self.past.take_if(|past| past.until_ms < now);
        let kept = self.floor_of_holds().into_iter().chain(self.slowest_sink());
        let floor = kept.fold(self.origin.seq(), Seq::min);
        let needed = self.start_behind(floor);
        self.tail.drain(..needed);
        self.pointers.extend(self.origin.pointer.clone());
        let needed = self.pointers.iter().rposition(|known| known.seq <= floor).unwrap_or(0);
        self.pointers.drain(..needed);
    }

    /// The index behind the last commit up to `seq`: claims that follow it belong to what comes next.
    fn start_behind(&self, seq: Seq) -> usize {
        self.tail
            .iter()
            .rposition(|(_, item)| matches!(item, TailItem::Commit(commit) if commit.seq <= seq))
            .map_or(0, |at| at + 1)
    }

    fn floor_of_holds(&self) -> Option<Seq> {
        self.open_holds().map(|open| open.floor).min()
    }

    fn open_holds(&self) -> impl Iterator<Item = &OpenHold> {
        let now = self.clock_ms.unwrap_or(i64::MIN);
        self.holds.values().filter(move |open| open.hold.until_ms >= now)
    }

    /// Who may write.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Where state restarts: the newest of `Claim.base`, commit pointer and cut, in log order.
    pub fn restore_point(&self) -> &RestorePoint {
        &self.origin
    }

    /// The fold as it was when a generation changed the plan, with that generation; none when that was not kept, or the
    /// change is undone.
    pub fn past(&self) -> Option<(Generation, &JournalView)> {
        self.past.as_ref().map(|past| (past.undone, &past.view))
    }

    /// The commit that the journal goes on behind, when the Claim at this offset goes back to the past.
    pub fn rewound_at(&self, offset: i64) -> Option<Seq> {
        self.rewound.iter().find(|(at, _)| *at == offset).map(|(_, seq)| *seq)
    }

    /// What the unit still has to process again.
    pub fn reprocess(&self) -> Option<&Reprocess> {
        self.claim.as_ref()?.reprocess.as_ref()
    }

    /// The snapshots that may be restored when nothing behind commit `seq` is at hand: the newest one up to it, and all
    /// behind that, in the order of the journal. Empty when the journal does not say which one that is.
    pub fn pointers_from(&self, seq: Seq) -> &[SnapshotPointer] {
        let first = self.pointers.iter().rposition(|known| known.seq <= seq);
        first.map_or(&[], |first| &self.pointers[first..])
    }

    /// The commit that a replay without a restore point starts behind: 0, or the last one before the unit was retired.
    pub fn void_through(&self) -> Seq {
        self.void_through
    }

    /// What a replay from a snapshot at `seq` goes through, with offsets.
    pub fn tail_behind(&self, seq: Seq) -> &[(i64, TailItem)] {
        &self.tail[self.start_behind(seq)..]
    }

    /// The newest Claim or renewal.
    pub fn claim_in_force(&self) -> Option<&Arc<Claim>> {
        self.claim.as_ref()
    }

    /// The Secrets that the commits of an owner were made with, as far as its Claim or a renewal is in the tail.
    pub fn secrets_of(&self, owner: &Owner) -> Option<SecretsHash> {
        let claims = self.tail.iter().filter_map(|(_, item)| match item {
            TailItem::Claim(claim) => Some(&**claim),
            TailItem::Commit(commit) => commit.renewal.as_ref().map(|renewal| &renewal.claim),
        });
        claims.filter(|claim| claim.owner == *owner).find_map(|claim| claim.secrets)
    }

    /// The lowest offset of what says who owns the unit, where its state restarts, and which commit was the last.
    pub fn landmark(&self) -> Option<i64> {
        [self.renewed_at, self.origin_at, self.commit_at].into_iter().flatten().min()
    }

    /// The lowest offset of what says how far each sink outside Kafka is.
    pub fn sinks_landmark(&self) -> Option<i64> {
        self.sinks.values().map(|(_, offset)| *offset).min()
    }

    /// Holds that the batch clock has not passed.
    pub fn holds(&self) -> Vec<Hold> {
        self.open_holds().map(|open| open.hold.clone()).collect()
    }

    /// The lowest offset of a record that says an open hold.
    pub fn holds_landmark(&self) -> Option<i64> {
        self.open_holds().map(|open| open.said_at).min()
    }

    /// The oldest commit that an open hold restores from.
    pub fn held_from(&self) -> Option<Seq> {
        self.floor_of_holds()
    }

    /// The commit that the slowest sink outside Kafka holds; none when there is no such sink.
    pub fn slowest_sink(&self) -> Option<Seq> {
        self.sinks.values().map(|(seq, _)| *seq).min()
    }

    /// The newest batch clock in the journal.
    pub fn clock_ms(&self) -> Option<i64> {
        self.clock_ms
    }

    /// The offset behind the newest record that was applied.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }
}
