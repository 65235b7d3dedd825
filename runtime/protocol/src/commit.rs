//! Live: what a worker with a grant writes, and when.
//!
//! ```text
//!  permit ──commit──> records + ticket ──outcome──> permit
//!                                          └──────> GoBack: drop memory and producer, Going live
//! ```
//!
//! A [`CommitPermit`] is consumed by the commit and comes back only when the outcome is known: nothing is ever written
//! after a failed commit with the same memory.

mod unit;

pub use unit::{Due, SnapshotOrder, Standing, UnitStart};

use crate::defences::Defences;
use crate::drain::Ends;
use crate::going_live::{LiveGrant, Slot};
use crate::identity::{DrainId, Generation, Incarnation, Owner, Seq};
use crate::journal::JournalView;
use crate::journal::record::{InputPartition, JournalRecord, Reprocess, SinkProgress};
use crate::snapshot::{SnapshotHeader, SnapshotPointer};
use pipeline::effect::Effects;
use pipeline::plan::PlanHash;
use pipeline::record::RecordBatch;
use pipeline::unit::{Channel, Tick};
use unit::LiveUnit;

/// The right to commit once. Comes from a [`LiveGrant`], is consumed by [`Live::commit`], and comes back from
/// [`Live::outcome`].
#[derive(Debug)]
#[must_use = "without the permit nothing can be committed again"]
pub struct CommitPermit(());

/// A commit in flight.
#[derive(Debug)]
#[must_use = "the outcome decides whether memory may be used again"]
pub struct InFlight(());

/// How a commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Committed, and every request of it was answered in time.
    Committed,
    /// Aborted for certain.
    Aborted,
    /// Not known, or known only after a time-out or a disconnect of the coordinator (C7).
    Unknown,
}

/// Drop producer and memory, begin a new life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the life {previous} is over: {why}")]
pub struct GoBack {
    /// The life that is over.
    pub previous: Incarnation,
    /// Why.
    pub why: WhyBack,
}

/// Why a life is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WhyBack {
    /// The commit was aborted.
    #[error("a commit was aborted")]
    Aborted,
    /// The outcome of the commit is not known.
    #[error("the outcome of a commit is not known")]
    Unknown,
    /// The producer was fenced, or a call failed.
    #[error("the producer is lost")]
    ProducerLost,
    /// Another life of this worker has claimed.
    #[error("another life of this worker has claimed")]
    Twin,
    /// A drain is resumed: drained units have to be claimed again.
    #[error("a drain is resumed")]
    Resume,
}

/// Times and sizes that decide when to commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between commits while there is output.
    pub commit_interval_ms: u64,
    /// Between commits while only positions moved.
    pub idle_commit_interval_ms: u64,
    /// Output bytes that force a commit.
    pub bytes_max: usize,
    /// Between snapshots of a unit.
    pub snapshot_interval_ms: u64,
    /// Between deletions of records of our own topics.
    pub trim_interval_ms: u64,
}

/// Schedule entries of one unit that force a commit: a journal record stays far below a topic's record limit.
pub const SCHEDULE_ENTRIES_MAX: usize = 4096;

/// A worker that is live.
#[derive(Debug)]
pub struct Live {
    owner: Owner,
    defences: Defences,
    timing: Timing,
    units: Vec<LiveUnit>,
    cuts: Vec<(Slot, DrainId, SnapshotPointer)>,
    last_commit_ms: u64,
}

impl Live {
    /// Starts with the units of the grant; others are left out.
    #[expect(clippy::needless_pass_by_value, reason = "a grant is used once")]
    pub fn new(
        grant: LiveGrant,
        timing: Timing,
        defences: Defences,
        units: Vec<UnitStart>,
        now_ms: u64,
    ) -> (Self, CommitPermit) {
        let owner = grant.owner();
        let granted = |start: &UnitStart| grant.slots().contains(&start.slot);
        let units = units.into_iter().filter(granted).map(|start| LiveUnit::new(start, now_ms)).collect();
        (Self { owner, defences, timing, units, cuts: Vec::new(), last_commit_ms: now_ms }, CommitPermit(()))
    }

    /// Who is live.
    pub fn owner(&self) -> Owner {
        self.owner
    }

    fn unit(&mut self, slot: Slot) -> Option<&mut LiveUnit> {
        self.units.iter_mut().find(|unit| unit.slot() == slot)
    }

    /// Where a unit stands; none when it is not mine (any more).
    pub fn standing(&self, slot: Slot) -> Option<Standing> {
        self.units.iter().find(|unit| unit.slot() == slot).map(LiveUnit::standing)
    }

    /// The clock of the next batch of a unit: the wall clock, but never before the last one in the journal.
    pub fn batch_clock(&self, slot: Slot, wall_ms: i64) -> i64 {
        self.units.iter().find(|unit| unit.slot() == slot).map_or(wall_ms, |unit| unit.batch_clock(wall_ms))
    }

    /// Records were applied to a unit, with this clock.
    pub fn applied(&mut self, slot: Slot, at: InputPartition, batch: &RecordBatch, clock_ms: i64) {
        if let Some(unit) = self.unit(slot) {
            unit.applied(at, batch, clock_ms);
        }
    }

    /// A tick was applied to a unit, with this clock.
    pub fn ticked(&mut self, slot: Slot, tick: Tick, clock_ms: i64) {
        if let Some(unit) = self.unit(slot) {
            unit.ticked(tick, clock_ms);
        }
    }

    /// A unit made these effects (before the worker writes them). Everything that it makes goes through here, what it
    /// makes at the commit itself included.
    pub fn emitted(&mut self, slot: Slot, effects: &Effects) {
        if let Some(unit) = self.unit(slot) {
            unit.emitted(effects);
        }
    }

    /// Watermarks to be told in the next commit of a unit.
    pub fn watermarks(&mut self, slot: Slot, watermarks: Vec<(Channel, i64)>) {
        if let Some(unit) = self.unit(slot) {
            unit.watermarks(watermarks);
        }
    }

    /// A sink outside Kafka holds everything up to a commit.
    pub fn sink_reached(&mut self, slot: Slot, progress: SinkProgress) {
        if let Some(unit) = self.unit(slot) {
            unit.sink_reached(progress);
        }
    }

    /// Looks at what was read of an own journal: a Claim of a higher generation makes the unit leave with the next
    /// commit, one with another plan all units; a Claim of another life of this worker ends this one.
    pub fn follow(&mut self, slot: Slot, view: &JournalView, plan: PlanHash) -> Result<(), GoBack> {
        let mine = self.owner.generation();
        let Some(newest) = view.ownership().highest_claim().copied() else { return Ok(()) };
        if newest.owner.generation() > mine {
            let everything = newest.plan != plan;
            self.units.iter_mut().filter(|unit| everything || unit.slot() == slot).for_each(LiveUnit::leave);
        } else if newest.owner.generation() == mine && newest.owner.incarnation != self.owner.incarnation {
            return Err(self.go_back(WhyBack::Twin));
        }
        if let Some(unit) = self.unit(slot) {
            unit.holds(view.holds());
        }
        Ok(())
    }

    /// A unit has nothing more to read in this drain: its next commit is the last, see
    /// [`drain`](crate::drain).
    pub fn drained(&mut self, slot: Slot, drain: DrainId) {
        if let Some(unit) = self.unit(slot) {
            unit.drain(drain);
        }
    }

    /// What a unit still has to process again; until it has, its outputs are not written, only its blocks.
    pub fn reprocess(&self, slot: Slot) -> Option<&Reprocess> {
        self.units.iter().find(|unit| unit.slot() == slot).and_then(LiveUnit::reprocess)
    }

    /// A unit has processed all of it again: its next commit says so, and is the last one that is suppressed.
    pub fn reprocessed(&mut self, slot: Slot) {
        if let Some(unit) = self.unit(slot) {
            unit.reprocessed();
        }
    }

    /// The state of a drained unit is durable: its `Cut` rides in the next transaction.
    pub fn cut(&mut self, slot: Slot, drain: DrainId, pointer: SnapshotPointer) {
        self.cuts.push((slot, drain, pointer));
    }

    /// When to commit.
    pub fn due(&self, now_ms: u64) -> Due {
        if !self.cuts.is_empty() {
            return Due::Now;
        }
        let since = now_ms.saturating_sub(self.last_commit_ms);
        let bytes: usize = self.units.iter().map(LiveUnit::output_bytes).sum();
        if bytes >= self.timing.bytes_max {
            return Due::Now;
        }
        let at = |interval: u64| match interval.saturating_sub(since) {
            0 => Due::Now,
            wait => Due::At(now_ms + wait),
        };
        self.units
            .iter()
            .map(|unit| match unit.urgency() {
                unit::Urgency::Clean => Due::Nothing,
                unit::Urgency::Positions => at(self.timing.idle_commit_interval_ms),
                unit::Urgency::Output => at(self.timing.commit_interval_ms),
                unit::Urgency::Now => Due::Now,
            })
            .min()
            .unwrap_or(Due::Nothing)
    }

    /// When to commit only so that the state becomes durable; none when it is. A unit that has become idle would else keep
    /// its last commits without a snapshot for good, and the input that they are replayed from is deleted some day.
    pub fn snapshot_due_at(&self) -> Option<u64> {
        let interval_ms = self.timing.snapshot_interval_ms;
        self.units.iter().filter_map(|unit| unit.snapshot_at(interval_ms)).min()
    }

    /// C4: the records of this commit, one Commit per dirty unit, `Released` and `Cut` where they are due. They go into
    /// the transaction that holds the outputs told by [`Live::emitted`].
    #[expect(clippy::needless_pass_by_value, reason = "a permit is used once")]
    pub fn commit(
        &mut self,
        permit: CommitPermit,
        now_ms: u64,
        wall_ms: i64,
    ) -> (InFlight, Vec<(Slot, JournalRecord)>) {
        let CommitPermit(()) = permit;
        self.last_commit_ms = now_ms;
        let owner = self.owner;
        let mut records = Vec::new();
        let interval_ms = self.timing.snapshot_interval_ms;
        for unit in &mut self.units {
            if unit.snapshot_at(interval_ms).is_some_and(|at| at <= now_ms) {
                unit.force_snapshot();
            }
            records.extend(unit.commit(owner, wall_ms).into_iter().map(|record| (unit.slot(), record)));
        }
        for (slot, drain, pointer) in self.cuts.drain(..) {
            let cut = crate::journal::Cut { owner, drain, pointer };
            records.push((slot, JournalRecord::Cut(cut)));
        }
        (InFlight(()), records)
    }

    /// C7: what the outcome means.
    #[expect(clippy::needless_pass_by_value, reason = "a commit in flight ends once")]
    pub fn outcome(&self, in_flight: InFlight, outcome: Outcome) -> Result<CommitPermit, GoBack> {
        let InFlight(()) = in_flight;
        let keeps_memory = match outcome {
            Outcome::Committed => None,
            Outcome::Aborted => self.defences.abort_drops_state.then_some(WhyBack::Aborted),
            Outcome::Unknown => self.defences.c7.then_some(WhyBack::Unknown),
        };
        match keeps_memory {
            Some(why) => Err(self.go_back(why)),
            None => Ok(CommitPermit(())),
        }
    }

    /// This life is over for another reason; the permit is not needed for that.
    pub fn go_back(&self, why: WhyBack) -> GoBack {
        GoBack { previous: self.owner.incarnation, why }
    }

    /// Units whose state has to be taken now: asked right behind [`Live::commit`], before the next batch is applied.
    pub fn snapshots_due(&mut self, now_ms: u64) -> Vec<SnapshotOrder> {
        let interval_ms = self.timing.snapshot_interval_ms;
        self.units.iter_mut().filter_map(|unit| unit.snapshot_due(now_ms, interval_ms)).collect()
    }

    /// A snapshot is taken at the next commit, whatever the interval.
    pub fn force_snapshot(&mut self, slot: Slot) {
        if let Some(unit) = self.unit(slot) {
            unit.force_snapshot();
        }
    }

    /// The header for a snapshot that was ordered, from the state at its commit.
    pub fn snapshot_header(
        &self,
        uid8: &str,
        slot: Slot,
        watermarks: Vec<(Channel, i64)>,
        ends: &Ends,
    ) -> Option<SnapshotHeader> {
        self.units
            .iter()
            .find(|unit| unit.slot() == slot)
            .map(|unit| unit.header(uid8.to_owned(), watermarks, ends.entries()))
    }

    /// An ordered snapshot is durable: its pointer rides in the next Commit. One that nobody ordered in this life is
    /// discarded.
    pub fn snapshot_stored(&mut self, slot: Slot, pointer: SnapshotPointer) {
        if let Some(unit) = self.unit(slot) {
            unit.snapshot_stored(pointer);
        }
    }

    /// An ordered snapshot was not stored: the next one is ordered after another interval.
    pub fn snapshot_failed(&mut self, slot: Slot) {
        if let Some(unit) = self.unit(slot) {
            unit.snapshot_failed();
        }
    }

    /// Every unit is released: nothing more will be committed but cuts.
    pub fn is_over(&self) -> bool {
        self.units.iter().all(|unit| !matches!(unit.standing(), Standing::Running | Standing::Leaving))
    }

    /// The last commit of a unit that was made, whether its outcome is known or not; 0 when it is not mine.
    pub fn seq(&self, slot: Slot) -> Seq {
        self.units.iter().find(|unit| unit.slot() == slot).map_or(Seq(0), LiveUnit::seq)
    }

    /// True when everything that a unit has committed is in a durable snapshot that its journal points to.
    pub fn is_saved(&self, slot: Slot) -> bool {
        self.units.iter().find(|unit| unit.slot() == slot).is_some_and(LiveUnit::is_saved)
    }

    /// Short for the generation.
    pub fn generation(&self) -> Generation {
        self.owner.generation()
    }
}

/// The journal record that makes the state of a drained unit durable. Any life of the unit's worker may write it, live or
/// not: readers take it only while its drain holds the unit, and only at that drain's last commit.
pub fn cut_record(owner: Owner, drain: DrainId, pointer: SnapshotPointer) -> JournalRecord {
    JournalRecord::Cut(crate::journal::Cut { owner, drain, pointer })
}
