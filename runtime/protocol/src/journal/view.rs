//! What a reader keeps of a journal: its [`Ownership`], the restore point, and the records behind it that a replay needs.

use super::ownership::{Head, Ownership, SequenceBroken};
use super::record::{Base, Claim, Commit, Cut, Hold, JournalRecord};
use crate::identity::Seq;
use crate::snapshot::SnapshotPointer;
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
}

/// The fold of a journal in log order. Folding a prefix and then the rest is folding the whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalView {
    ownership: Ownership,
    tail: Vec<(i64, TailItem)>,
    origin: Base,
    claim: Option<Arc<Claim>>,
    renewed_at: Option<i64>,
    holds: BTreeMap<String, OpenHold>,
    sinks: BTreeMap<Arc<str>, Seq>,
    clock_ms: Option<i64>,
    next_offset: i64,
}

impl Default for Base {
    /// The empty state at the beginning of the journal; everything written since counts.
    fn default() -> Self {
        Self { pointer: None, through: Seq(u64::MAX) }
    }
}

impl Base {
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
        self.ownership.apply(&Head::from(&record))?;
        self.next_offset = offset + 1;
        match record {
            JournalRecord::Claim(claim) => self.claim(offset, Arc::from(claim)),
            JournalRecord::Commit(commit) => self.commit(offset, Arc::from(commit)),
            JournalRecord::Hold(hold) => self.open_hold(hold),
            JournalRecord::Unhold { name } => {
                self.holds.remove(&name);
            }
            JournalRecord::Released(_) => {}
            JournalRecord::Cut(Cut { drain, pointer, .. }) => {
                if locked_before.is_some_and(|lock| lock.drain == drain && lock.seq == pointer.seq) {
                    self.restart_from(pointer);
                }
            }
        }
        Ok(())
    }

    fn claim(&mut self, offset: i64, claim: Arc<Claim>) {
        if let Some(base) = &claim.base {
            self.tail.retain(|(_, item)| match item {
                TailItem::Commit(commit) => commit.seq <= base.through,
                TailItem::Claim(_) => true,
            });
            self.origin = Base { pointer: base.pointer.clone(), through: Seq(u64::MAX) };
        }
        self.tail.push((offset, TailItem::Claim(claim.clone())));
        self.claim = Some(claim);
        self.renewed_at = Some(offset);
    }

    fn commit(&mut self, offset: i64, commit: Arc<Commit>) {
        self.clock_ms = Some(self.clock_ms.map_or(commit.clock_ms, |last| last.max(commit.clock_ms)));
        for progress in &commit.sinks {
            let seq = self.sinks.entry(progress.sink.clone()).or_default();
            *seq = progress.seq.max(*seq);
        }
        self.tail.push((offset, TailItem::Commit(commit.clone())));
        if let Some(renewal) = &commit.renewal {
            for hold in &renewal.holds {
                if !self.holds.contains_key(&hold.name) {
                    self.open_hold(hold.clone());
                }
            }
            self.claim = Some(Arc::new(renewal.claim.clone()));
            self.renewed_at = Some(offset);
        }
        if let Some(pointer) = &commit.snapshot {
            self.restart_from(pointer.clone());
        }
    }

    fn open_hold(&mut self, hold: Hold) {
        let floor = self.origin.seq();
        self.holds
            .entry(hold.name.clone())
            .and_modify(|open| open.hold = hold.clone())
            .or_insert(OpenHold { hold, floor });
    }

    fn restart_from(&mut self, pointer: SnapshotPointer) {
        self.origin = Base { pointer: Some(pointer), through: Seq(u64::MAX) };
        let kept = self.floor_of_holds().into_iter().chain(self.slowest_sink());
        let floor = kept.fold(self.origin.seq(), Seq::min);
        let needed = self.start_behind(floor);
        self.tail.drain(..needed);
    }

    /// The index behind the last commit up to `seq`: claims that follow it belong to what comes next.
    fn start_behind(&self, seq: Seq) -> usize {
        self.tail
            .iter()
            .rposition(|(_, item)| matches!(item, TailItem::Commit(commit) if commit.seq <= seq))
            .map_or(0, |at| at + 1)
    }

    fn floor_of_holds(&self) -> Option<Seq> {
        self.open_holds().map(|(_, floor)| floor).min()
    }

    fn open_holds(&self) -> impl Iterator<Item = (&Hold, Seq)> {
        let now = self.clock_ms.unwrap_or(i64::MIN);
        self.holds.values().filter(move |open| open.hold.until_ms >= now).map(|open| (&open.hold, open.floor))
    }

    /// Who may write.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Where state restarts: the newest of `Claim.base`, commit pointer and cut, in log order.
    pub fn restore_point(&self) -> &Base {
        &self.origin
    }

    /// What a replay from a snapshot at `seq` goes through, with offsets.
    pub fn tail_behind(&self, seq: Seq) -> &[(i64, TailItem)] {
        &self.tail[self.start_behind(seq)..]
    }

    /// The newest Claim or renewal.
    pub fn claim_in_force(&self) -> Option<&Arc<Claim>> {
        self.claim.as_ref()
    }

    /// The offset of the newest Claim or renewal.
    pub fn renewed_at(&self) -> Option<i64> {
        self.renewed_at
    }

    /// Holds that the batch clock has not passed.
    pub fn holds(&self) -> Vec<Hold> {
        self.open_holds().map(|(hold, _)| hold.clone()).collect()
    }

    /// The oldest commit that an open hold restores from.
    pub fn held_from(&self) -> Option<Seq> {
        self.floor_of_holds()
    }

    /// The commit that the slowest sink outside Kafka holds; none when there is no such sink.
    pub fn slowest_sink(&self) -> Option<Seq> {
        self.sinks.values().copied().min()
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
