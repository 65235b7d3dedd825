//! One unit of a live worker: what it did since its last commit, and what its next Commit says.

use super::SCHEDULE_ENTRIES_MAX;
use crate::going_live::Slot;
use crate::identity::{DrainId, Owner, Seq, UnitId};
use crate::journal::record::{
    Claim, Commit, Hold, InputPartition, JournalRecord, Released, Renewal, Reprocess, Reprocessed,
    SinkProgress,
};
use crate::schedule::{BatchHash, OutputHash, Scheduled, ScheduledBatch};
use crate::snapshot::{SnapshotHeader, SnapshotPointer};
use pipeline::effect::Effects;
use pipeline::record::RecordBatch;
use pipeline::unit::{Channel, Tick};
use std::collections::BTreeMap;

/// A unit at the moment of going live.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitStart {
    /// Its journal.
    pub slot: Slot,
    /// The unit.
    pub unit: UnitId,
    /// The Claim that stands in its journal.
    pub claim: Claim,
    /// The last commit of the journal.
    pub seq: Seq,
    /// Positions after it, those that the Claim brought included.
    pub positions: Vec<(InputPartition, i64)>,
    /// The newest batch clock of the journal.
    pub clock_ms: Option<i64>,
    /// The state was migrated to another plan: the first act is a snapshot.
    pub migrated: bool,
}

/// Where a unit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It takes input.
    Running,
    /// It takes no more input; its next Commit carries `Released`.
    Leaving,
    /// `Released` is on its way or written.
    Released(Option<DrainId>),
}

/// When a commit is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// At once.
    Now,
    /// Not before this time.
    At(u64),
    /// There is nothing to commit.
    Nothing,
}

/// Take the state of this unit now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotOrder {
    /// The unit.
    pub slot: Slot,
    /// The commit whose state it is.
    pub seq: Seq,
}

/// How much a unit wants its next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    Clean,
    Positions,
    Output,
    Now,
}

/// A snapshot of a unit on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Upload {
    None,
    Ordered(Seq),
    Stored(SnapshotPointer),
}

#[derive(Debug)]
pub(super) struct LiveUnit {
    start: UnitStart,
    positions: BTreeMap<InputPartition, i64>,
    seq: Seq,
    clock_ms: Option<i64>,
    schedule: Vec<Scheduled>,
    outputs: OutputHash,
    output_bytes: usize,
    watermarks: Vec<(Channel, i64)>,
    sinks: Vec<SinkProgress>,
    holds: Vec<Hold>,
    upload: Upload,
    snapshot_at_ms: u64,
    snapshot_seq: Option<Seq>,
    forced: bool,
    /// Something happened that no snapshot holds.
    unsaved: bool,
    standing: Standing,
    drain: Option<DrainId>,
    /// Everything that was to be processed again is.
    reprocessed: bool,
}

impl LiveUnit {
    pub fn new(start: UnitStart, now_ms: u64) -> Self {
        Self {
            positions: start.positions.iter().copied().collect(),
            seq: start.seq,
            clock_ms: start.clock_ms,
            schedule: Vec::new(),
            outputs: OutputHash::default(),
            output_bytes: 0,
            watermarks: Vec::new(),
            sinks: Vec::new(),
            holds: Vec::new(),
            upload: Upload::None,
            snapshot_at_ms: now_ms,
            snapshot_seq: None,
            forced: start.migrated,
            unsaved: start.seq > Seq(0),
            standing: Standing::Running,
            drain: None,
            reprocessed: false,
            start,
        }
    }

    pub fn slot(&self) -> Slot {
        self.start.slot
    }

    pub fn seq(&self) -> Seq {
        self.seq
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub fn batch_clock(&self, wall_ms: i64) -> i64 {
        self.clock_ms.map_or(wall_ms, |last| last.max(wall_ms))
    }

    pub fn applied(&mut self, at: InputPartition, batch: &RecordBatch, clock_ms: i64) {
        let Some(end) = batch.next_offset() else { return };
        let mut hash = BatchHash::default();
        hash.add(batch);
        self.positions.insert(at, end);
        self.unsaved = true;
        self.clock_ms = Some(self.batch_clock(clock_ms));
        self.schedule.push(Scheduled::Batch(ScheduledBatch {
            at,
            end,
            count: hash.count() as u32,
            hash: hash.hash(),
            clock_ms,
        }));
    }

    pub fn ticked(&mut self, tick: Tick, clock_ms: i64) {
        self.unsaved = true;
        self.clock_ms = Some(self.batch_clock(clock_ms));
        self.schedule.push(Scheduled::Tick { tick, clock_ms });
    }

    pub fn emitted(&mut self, effects: &Effects) {
        self.outputs.add(effects);
        self.output_bytes += effects.byte_len();
    }

    pub fn output_bytes(&self) -> usize {
        self.output_bytes
    }

    pub fn watermarks(&mut self, watermarks: Vec<(Channel, i64)>) {
        self.watermarks = watermarks;
    }

    pub fn sink_reached(&mut self, progress: SinkProgress) {
        self.sinks.retain(|known| known.sink != progress.sink);
        self.sinks.push(progress);
    }

    pub fn holds(&mut self, holds: Vec<Hold>) {
        self.holds = holds;
    }

    pub fn leave(&mut self) {
        if self.standing == Standing::Running {
            self.standing = Standing::Leaving;
        }
    }

    pub fn drain(&mut self, drain: DrainId) {
        if self.standing == Standing::Running {
            self.standing = Standing::Leaving;
            self.drain = Some(drain);
        }
    }

    pub fn reprocess(&self) -> Option<&Reprocess> {
        self.start.claim.reprocess.as_ref()
    }

    pub fn reprocessed(&mut self) {
        self.reprocessed = self.start.claim.reprocess.is_some();
    }

    pub fn urgency(&self) -> Urgency {
        let stored = matches!(self.upload, Upload::Stored(_));
        let full = self.schedule.len() >= SCHEDULE_ENTRIES_MAX;
        if self.standing == Standing::Leaving || self.reprocessed || full {
            Urgency::Now
        } else if matches!(self.standing, Standing::Released(_)) {
            Urgency::Clean
        } else if self.output_bytes > 0 || stored || !self.sinks.is_empty() || self.wants_snapshot() {
            Urgency::Output
        } else if self.schedule.is_empty() {
            Urgency::Clean
        } else {
            Urgency::Positions
        }
    }

    /// A snapshot was asked for out of turn and can be ordered: it needs a commit to belong to.
    fn wants_snapshot(&self) -> bool {
        self.forced && self.upload == Upload::None
    }

    fn is_dirty(&self) -> bool {
        !self.schedule.is_empty()
            || self.outputs.digest().count > 0
            || matches!(self.upload, Upload::Stored(_))
            || !self.sinks.is_empty()
            || self.wants_snapshot()
    }

    /// The records of this unit for the commit that is being made.
    pub fn commit(&mut self, owner: Owner, wall_ms: i64) -> Vec<JournalRecord> {
        if matches!(self.standing, Standing::Released(_)) {
            return Vec::new();
        }
        let mut records = Vec::new();
        if self.is_dirty() {
            records.push(JournalRecord::Commit(Box::new(self.commit_record(owner, wall_ms))));
        }
        if std::mem::take(&mut self.reprocessed)
            && let Some(Reprocess { id, .. }) = self.start.claim.reprocess.take()
        {
            records.push(JournalRecord::Reprocessed(Reprocessed { owner, id }));
        }
        if self.standing == Standing::Leaving {
            self.standing = Standing::Released(self.drain);
            records.push(JournalRecord::Released(Released { owner, seq: self.seq, drain: self.drain }));
        }
        records
    }

    fn commit_record(&mut self, owner: Owner, wall_ms: i64) -> Commit {
        self.seq = self.seq.next();
        let clock_ms = self.clock_ms.unwrap_or(wall_ms);
        self.clock_ms = Some(clock_ms);
        let snapshot = match std::mem::replace(&mut self.upload, Upload::None) {
            Upload::Stored(pointer) => Some(pointer),
            other => {
                self.upload = other;
                None
            }
        };
        let renewal = snapshot.as_ref().map(|_| Renewal {
            claim: Claim {
                resume: None,
                base: None,
                heritage: None,
                rollback_until_ms: None,
                ..self.start.claim.clone()
            },
            holds: self.holds.clone(),
        });
        self.output_bytes = 0;
        Commit {
            owner,
            seq: self.seq,
            clock_ms,
            positions: self.positions.iter().map(|(at, next)| (*at, *next)).collect(),
            schedule: std::mem::take(&mut self.schedule),
            watermarks: std::mem::take(&mut self.watermarks),
            outputs: std::mem::take(&mut self.outputs).digest(),
            snapshot,
            renewal,
            sinks: std::mem::take(&mut self.sinks),
        }
    }

    pub fn snapshot_due(&mut self, now_ms: u64, interval_ms: u64) -> Option<SnapshotOrder> {
        let elapsed = now_ms.saturating_sub(self.snapshot_at_ms) >= interval_ms;
        let wanted = self.forced || elapsed;
        let running = self.standing == Standing::Running;
        let moved = self.snapshot_seq != Some(self.seq) && self.seq != Seq(0);
        if !(wanted && running && moved && self.upload == Upload::None) {
            return None;
        }
        self.forced = false;
        self.unsaved = false;
        self.snapshot_at_ms = now_ms;
        self.snapshot_seq = Some(self.seq);
        self.upload = Upload::Ordered(self.seq);
        Some(SnapshotOrder { slot: self.slot(), seq: self.seq })
    }

    pub fn force_snapshot(&mut self) {
        self.forced = true;
    }

    /// Everything that is committed is in a durable snapshot that the journal points to.
    pub fn is_saved(&self) -> bool {
        !self.unsaved && self.upload == Upload::None
    }

    /// When a snapshot is due although nothing may be left to commit.
    pub fn snapshot_at(&self, interval_ms: u64) -> Option<u64> {
        let wanted = self.unsaved && self.standing == Standing::Running && self.upload == Upload::None;
        wanted.then(|| self.snapshot_at_ms.saturating_add(interval_ms))
    }

    pub fn header(
        &self,
        uid8: String,
        watermarks: Vec<(Channel, i64)>,
        ends: Vec<(DrainId, UnitId)>,
    ) -> SnapshotHeader {
        SnapshotHeader {
            uid8,
            unit: self.start.unit.clone(),
            seq: self.seq,
            plan: self.start.claim.plan,
            semantics: self.start.claim.semantics,
            lineage: self.start.claim.lineage,
            clock_ms: self.clock_ms.unwrap_or_default(),
            inputs: self.start.claim.inputs.clone(),
            positions: self.positions.iter().map(|(at, next)| (*at, *next)).collect(),
            watermarks,
            ends,
        }
    }

    pub fn snapshot_stored(&mut self, pointer: SnapshotPointer) {
        if self.upload == Upload::Ordered(pointer.seq) {
            self.upload = Upload::Stored(pointer);
        }
    }

    pub fn snapshot_failed(&mut self) {
        if matches!(self.upload, Upload::Ordered(_)) {
            self.upload = Upload::None;
            self.snapshot_seq = None;
            self.unsaved = true;
        }
    }
}
