//! Restore: from the restore point of a journal through its schedule, outputs suppressed, to its last commit.
//!
//! [`Replay`] is fed with what was fetched and says what to apply: batches cut exactly as they were live, with their
//! clocks, and the boundaries at which outputs are compared. It follows a journal that grows.

mod inputs;

use crate::defences::Defences;
use crate::format::DecodeError;
use crate::identity::{Generation, Seq, UnitId};
use crate::journal::record::{Base, Claim, ClaimedInput, Commit, InputPartition};
use crate::journal::{JournalView, Ownership, TailItem};
use crate::schedule::{BatchHash, OutputDigest, Scheduled, ScheduledBatch};
use crate::snapshot::{SnapshotError, SnapshotHeader, SnapshotPointer};
use inputs::Fed;
pub use inputs::{WantedInput, carry_over, claimed_inputs, is_same_input};
use pipeline::plan::{PlanHash, SecretsHash};
use pipeline::record::RecordBatch;
use pipeline::unit::Tick;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the worker does next for this unit.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplayStep {
    /// Load this snapshot, give it to [`Replay::loaded`], and the state in it to the engine.
    Load(SnapshotPointer),
    /// From here on the unit follows this plan. None before: it starts empty. Another before: run the pure migration.
    Follow {
        /// The plan so far.
        from: Option<PlanHash>,
        /// The inputs so far.
        before: Vec<ClaimedInput>,
        /// The plan from here on, its inputs and lineage.
        claim: Arc<Claim>,
    },
    /// The unit was retired: its state is of the past. Whoever has its stage again starts empty.
    Forget,
    /// Read these partitions from these positions and [`Replay::feed`] what comes.
    Assign(Vec<(InputPartition, i64)>),
    /// Apply records; drop what the engine wants to write.
    Apply {
        /// Of which partition.
        at: InputPartition,
        /// All of the scheduled batch.
        batch: RecordBatch,
        /// The batch clock.
        clock_ms: i64,
    },
    /// Apply a tick.
    Tick {
        /// Which.
        tick: Tick,
        /// The batch clock.
        clock_ms: i64,
    },
    /// Here was a commit: do what the engine does at a commit, then give the digest of all outputs since the one before
    /// to [`Replay::committed`].
    Commit {
        /// Its number.
        seq: Seq,
        /// The batch clock.
        clock_ms: i64,
    },
    /// More records of this partition are needed.
    Feed(InputPartition),
    /// Everything that the view holds is replayed.
    UpToDate,
}

/// Why a replay stops. All fail closed; none is repaired by trying again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The log does not hold what the journal says was read, or the engine made something else of it.
    #[error("replay of {unit} differs from its journal at commit {seq}: {what}")]
    ReplayDiverged {
        /// The unit.
        unit: UnitId,
        /// The commit.
        seq: Seq,
        /// What differs.
        what: Divergence,
    },
    /// Commits between the restore point and the start of the journal are gone.
    #[error("journal of {unit} starts at commit {found}, the snapshot needs it from commit {needed}")]
    JournalStart {
        /// The unit.
        unit: UnitId,
        /// The commit needed.
        needed: Seq,
        /// The first that is there.
        found: Seq,
    },
    /// The snapshot cannot be used.
    #[error("snapshot of {unit} cannot be used")]
    Snapshot {
        /// The unit.
        unit: UnitId,
        /// Why.
        #[source]
        source: SnapshotError,
    },
    /// Commits without a Claim before them and without a snapshot that says their plan.
    #[error("journal of {unit} has commit {seq} without a claim")]
    NoPlan {
        /// The unit.
        unit: UnitId,
        /// The commit.
        seq: Seq,
    },
    /// A record of the journal cannot be read.
    #[error("journal of {unit} cannot be read at offset {offset}")]
    Journal {
        /// The unit.
        unit: UnitId,
        /// Where.
        offset: i64,
        /// Why.
        #[source]
        source: DecodeError,
    },
}

/// What differs in a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Divergence {
    /// Other records, or another number of them.
    #[error(
        "input {input} partition {partition} up to offset {end} holds {found} records instead of {expected}, or other ones"
    )]
    Records {
        /// Input.
        input: u16,
        /// Partition.
        partition: u32,
        /// End of the batch.
        end: i64,
        /// Records found.
        found: u64,
        /// Records expected.
        expected: u64,
    },
    /// A batch of a partition that the unit has no position of.
    #[error("input {input} partition {partition} has no position")]
    Position {
        /// Input.
        input: u16,
        /// Partition.
        partition: u32,
    },
    /// The positions after the batches are not those of the commit.
    #[error("positions differ")]
    Positions,
    /// The engine made other outputs.
    #[error("{found} outputs instead of {expected}, or other ones")]
    Outputs {
        /// Outputs made.
        found: u64,
        /// Outputs expected.
        expected: u64,
    },
}

/// Where in the current commit the replay is.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// The restore point is not loaded.
    Unloaded,
    /// Between records of the journal.
    Between,
    /// In a commit, before entry `entry` of its schedule.
    In { offset: i64, commit: Arc<Commit>, entry: usize },
    /// The engine works at the boundary of this commit.
    Boundary { offset: i64, commit: Arc<Commit> },
}

/// The replay of one unit.
#[derive(Clone, Debug)]
pub struct Replay {
    unit: UnitId,
    uid8: String,
    defences: Defences,
    place: Place,
    plan: Option<PlanHash>,
    inputs: Vec<ClaimedInput>,
    positions: BTreeMap<InputPartition, i64>,
    assign: bool,
    seq: Seq,
    clock_ms: Option<i64>,
    done_offset: i64,
    fed: BTreeMap<InputPartition, Fed>,
    /// Hash of the snapshot that was loaded.
    loaded: Option<u128>,
    /// Commits that were made with other Secrets were replayed since.
    estranged: bool,
    /// The plan in force is taken back: the state before it is wanted, not what it makes.
    rewinds: Option<Rewind>,
}

/// A change of plan that is to be taken back, and the plan that it is taken back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewind {
    /// The first generation with the plan that is taken back; some units may have been taken over by a later one.
    pub undone: Generation,
    /// The plan before.
    pub plan: PlanHash,
}

impl Rewind {
    /// The fold to go back to; none when the plan is in force (again), so that the journal is followed as it is.
    pub fn past<'a>(&self, view: &'a JournalView) -> Option<&'a JournalView> {
        if view.ownership().in_force() == Some(self.plan) {
            return None;
        }
        view.past().filter(|(by, _)| *by >= self.undone).map(|(_, past)| past)
    }

    /// True as long as nobody has claimed the unit to take the change back.
    pub fn is_open(&self, ownership: &Ownership) -> bool {
        ownership.in_force().is_some_and(|in_force| in_force != self.plan)
            || ownership.highest_generation() <= self.undone
    }
}

impl Replay {
    /// A replay from the journal's own restore point.
    pub fn new(uid8: &str, unit: UnitId, defences: Defences) -> Self {
        Self {
            unit,
            uid8: uid8.to_owned(),
            defences,
            place: Place::Unloaded,
            plan: None,
            inputs: Vec::new(),
            positions: BTreeMap::new(),
            assign: false,
            seq: Seq(0),
            clock_ms: None,
            done_offset: -1,
            fed: BTreeMap::new(),
            loaded: None,
            estranged: false,
            rewinds: None,
        }
    }

    /// The same, on the way back from a change of plan.
    #[must_use]
    pub fn rewinding(self, rewinds: Option<Rewind>) -> Self {
        Self { rewinds, ..self }
    }

    /// What to do next, as far as `view` goes.
    pub fn next(&mut self, view: &JournalView) -> Result<ReplayStep, RestoreError> {
        let view = self.rewinds.and_then(|rewind| rewind.past(view)).unwrap_or(view);
        loop {
            if self.assign {
                self.assign = false;
                return Ok(ReplayStep::Assign(self.positions()));
            }
            match self.place.clone() {
                Place::Unloaded => {
                    if let Some(pointer) = &view.restore_point().pointer {
                        return Ok(ReplayStep::Load(pointer.clone()));
                    }
                    self.seq = self.seq.max(view.void_through());
                    self.place = Place::Between;
                }
                // What other Secrets leave in memory is not what they leave in a snapshot: whoever comes later starts
                // from the newest one, so everybody does.
                Place::Between if self.estranged && self.is_outrun(view) => {
                    self.estranged = false;
                    self.place = Place::Unloaded;
                }
                Place::Between => {
                    if let Some(step) = self.between(view)? {
                        return Ok(step);
                    }
                }
                Place::In { offset, commit, entry } => {
                    if let Some(step) = self.entry(offset, commit, entry)? {
                        return Ok(step);
                    }
                }
                Place::Boundary { commit, .. } => {
                    return Ok(ReplayStep::Commit { seq: commit.seq, clock_ms: commit.clock_ms });
                }
            }
        }
    }

    /// Takes the snapshot that was asked for; gives the state for the engine and the header.
    pub fn loaded<'a>(
        &mut self,
        pointer: &SnapshotPointer,
        sealed: &'a [u8],
    ) -> Result<(SnapshotHeader, &'a [u8]), RestoreError> {
        let opened = if self.defences.exact_pointer {
            SnapshotHeader::restore(&self.uid8, &self.unit, pointer, sealed)
        } else {
            SnapshotHeader::open(sealed)
        };
        let (header, state) =
            opened.map_err(|source| RestoreError::Snapshot { unit: self.unit.clone(), source })?;
        self.place = Place::Between;
        self.plan = Some(header.plan);
        self.inputs.clone_from(&header.inputs);
        self.positions = header.positions.iter().copied().collect();
        self.seq = header.seq;
        self.clock_ms = Some(header.clock_ms);
        self.done_offset = -1;
        self.fed.clear();
        self.assign = true;
        self.loaded = Some(pointer.hash);
        Ok((header, state))
    }

    /// Takes records of an assigned partition, in offset order. Records before the position are dropped.
    pub fn feed(&mut self, at: InputPartition, batch: RecordBatch) {
        let Some(position) = self.positions.get(&at) else { return };
        self.fed.entry(at).or_default().push(batch, *position);
    }

    /// Takes the digest of the outputs at the boundary that was asked for.
    pub fn committed(&mut self, digest: OutputDigest) -> Result<(), RestoreError> {
        let Place::Boundary { offset, commit } = self.place.clone() else { return Ok(()) };
        if self.defences.hash_check && digest != commit.outputs {
            return Err(self.diverged(
                commit.seq,
                Divergence::Outputs { found: digest.count, expected: commit.outputs.count },
            ));
        }
        self.passed(offset, &commit);
        Ok(())
    }

    /// Passes the boundary that was asked for of a commit that was made with other Secrets than the engine has: its
    /// outputs cannot be made again, and are not needed. Inputs and positions were compared as ever.
    pub fn committed_with_other_secrets(&mut self) {
        if let Place::Boundary { offset, commit } = self.place.clone() {
            self.estranged = true;
            self.passed(offset, &commit);
        }
    }

    /// True when the journal points to another snapshot than the one that was loaded.
    fn is_outrun(&self, view: &JournalView) -> bool {
        view.restore_point().pointer.as_ref().is_some_and(|newest| Some(newest.hash) != self.loaded)
    }

    /// The Secrets that the commit at this boundary was made with; none when nobody says.
    pub fn secrets_of_commit(&self, view: &JournalView) -> Option<SecretsHash> {
        match &self.place {
            Place::Boundary { commit, .. } => {
                let view = self.rewinds.and_then(|rewind| rewind.past(view)).unwrap_or(view);
                view.secrets_of(&commit.owner)
            }
            _ => None,
        }
    }

    fn passed(&mut self, offset: i64, commit: &Commit) {
        self.seq = commit.seq;
        self.clock_ms = Some(commit.clock_ms);
        self.done_offset = offset;
        self.place = Place::Between;
    }

    /// The next record of the journal.
    fn between(&mut self, view: &JournalView) -> Result<Option<ReplayStep>, RestoreError> {
        if let Some(pointer) = self.newer_state(view) {
            self.place = Place::Unloaded;
            return Ok(Some(ReplayStep::Load(pointer.clone())));
        }
        let tail = view.tail_behind(self.seq);
        let next = tail.iter().find(|(offset, _)| *offset > self.done_offset);
        match next {
            None => Ok(Some(ReplayStep::UpToDate)),
            Some((offset, TailItem::Claim(claim))) => {
                self.done_offset = *offset;
                if let Some((base, next)) = claim.base.as_ref().zip(view.rewound_at(*offset)) {
                    self.reached(base, next)?;
                }
                let through = view.void_through();
                Ok(if claim.retired { Some(self.forget(through)) } else { self.follow(claim) })
            }
            Some((offset, TailItem::Commit(commit))) => {
                if commit.seq > self.seq.next() {
                    let (unit, needed, found) = (self.unit.clone(), self.seq.next(), commit.seq);
                    return Err(RestoreError::JournalStart { unit, needed, found });
                }
                if self.plan.is_none() {
                    return Err(RestoreError::NoPlan { unit: self.unit.clone(), seq: commit.seq });
                }
                self.place = Place::In { offset: *offset, commit: commit.clone(), entry: 0 };
                Ok(None)
            }
        }
    }

    /// The snapshot behind us without which there is no way on: it made the view forget what we have not replayed yet, be
    /// it up to the next commit or, at the end of a drain, up to the last.
    fn newer_state<'a>(&self, view: &'a JournalView) -> Option<&'a SnapshotPointer> {
        let pointer = view.restore_point().pointer.as_ref().filter(|pointer| pointer.seq > self.seq)?;
        let next = view.tail_behind(self.seq).iter().find_map(|(_, item)| match item {
            TailItem::Commit(commit) => Some(commit.seq),
            TailItem::Claim(_) => None,
        });
        (next != Some(self.seq.next())).then_some(pointer)
    }

    /// Passes a Claim: the plan, the inputs and their positions may change here.
    fn follow(&mut self, claim: &Arc<Claim>) -> Option<ReplayStep> {
        let positions = inputs::carry_over(&self.inputs, &self.positions, &claim.inputs);
        if positions != self.positions || !inputs::same_topics(&self.inputs, &claim.inputs) {
            self.positions = positions;
            self.fed.clear();
            self.assign = true;
        }
        let before = std::mem::replace(&mut self.inputs, claim.inputs.clone());
        let from = self.plan.replace(claim.plan);
        (from != Some(claim.plan)).then(|| ReplayStep::Follow { from, before, claim: claim.clone() })
    }

    /// Passes a Claim that goes back to the state which is reached here; the journal goes on behind `next`.
    fn reached(&mut self, base: &Base, next: Seq) -> Result<(), RestoreError> {
        // A snapshot of behind the Claim and before the first commit has the number that the journal goes on behind.
        if self.seq != base.through && self.seq != next {
            let (unit, needed, found) = (self.unit.clone(), base.through, self.seq);
            return Err(RestoreError::JournalStart { unit, needed, found });
        }
        self.seq = next;
        Ok(())
    }

    /// Passes a Claim that retires the unit: what comes behind it does not know what was before.
    fn forget(&mut self, through: Seq) -> ReplayStep {
        self.seq = self.seq.max(through);
        self.plan = None;
        self.inputs.clear();
        self.positions.clear();
        self.fed.clear();
        self.assign = true;
        ReplayStep::Forget
    }

    /// The next entry of a commit's schedule.
    fn entry(
        &mut self,
        offset: i64,
        commit: Arc<Commit>,
        entry: usize,
    ) -> Result<Option<ReplayStep>, RestoreError> {
        let step = match commit.schedule.get(entry) {
            None => {
                let expected = commit.positions.iter().copied();
                if self.defences.hash_check
                    && !expected.eq(self.positions.iter().map(|(at, next)| (*at, *next)))
                {
                    return Err(self.diverged(commit.seq, Divergence::Positions));
                }
                self.place = Place::Boundary { offset, commit };
                return Ok(None);
            }
            Some(Scheduled::Tick { tick, clock_ms }) => ReplayStep::Tick { tick: *tick, clock_ms: *clock_ms },
            Some(Scheduled::Batch(scheduled)) => match self.cut(commit.seq, scheduled)? {
                None => return Ok(Some(ReplayStep::Feed(scheduled.at))),
                Some(batch) => ReplayStep::Apply { at: scheduled.at, batch, clock_ms: scheduled.clock_ms },
            },
        };
        self.place = Place::In { offset, commit, entry: entry + 1 };
        Ok(Some(step))
    }

    /// Cuts a scheduled batch out of what was fed; none while records are missing.
    fn cut(&mut self, seq: Seq, scheduled: &ScheduledBatch) -> Result<Option<RecordBatch>, RestoreError> {
        let at = scheduled.at;
        if !self.positions.contains_key(&at) {
            let what = Divergence::Position { input: at.input, partition: at.partition };
            return Err(self.diverged(seq, what));
        }
        let Some(batch) = self.fed.entry(at).or_default().cut(scheduled.end) else { return Ok(None) };
        let mut hash = BatchHash::default();
        hash.add(&batch);
        let same = hash.count() == u64::from(scheduled.count) && hash.hash() == scheduled.hash;
        if self.defences.hash_check && !same {
            let what = Divergence::Records {
                input: at.input,
                partition: at.partition,
                end: scheduled.end,
                found: hash.count(),
                expected: u64::from(scheduled.count),
            };
            return Err(self.diverged(seq, what));
        }
        self.positions.insert(at, scheduled.end);
        Ok(Some(batch))
    }

    fn diverged(&self, seq: Seq, what: Divergence) -> RestoreError {
        RestoreError::ReplayDiverged { unit: self.unit.clone(), seq, what }
    }

    /// True when what the engine wants to write in this replay is dropped: it is in the log already.
    pub fn suppresses(&self) -> bool {
        self.defences.suppress_until_commit
    }

    /// The last commit that the state holds; none before the snapshot is loaded. This is
    /// [`JournalFacts::replayed`](crate::going_live::JournalFacts::replayed).
    pub fn replayed(&self) -> Option<Seq> {
        (self.place != Place::Unloaded).then_some(self.seq)
    }

    /// Positions, sorted: where live reading goes on once the replay is up to date.
    pub fn positions(&self) -> Vec<(InputPartition, i64)> {
        self.positions.iter().map(|(at, next)| (*at, *next)).collect()
    }

    /// The inputs as the plan in force knows them.
    pub fn inputs(&self) -> &[ClaimedInput] {
        &self.inputs
    }

    /// The plan in force; none before the first Claim.
    pub fn plan(&self) -> Option<PlanHash> {
        self.plan
    }

    /// The newest batch clock; the next batch has at least this one.
    pub fn clock_ms(&self) -> Option<i64> {
        self.clock_ms
    }

    /// Bytes fed and not applied yet, for back-pressure.
    pub fn fed_bytes(&self, at: InputPartition) -> usize {
        self.fed.get(&at).map_or(0, Fed::bytes)
    }
}
