//! The Cut that a life before this one owes: it drained a unit and was lost before the state was durable. This life
//! restores the unit to its last commit, uploads it, and writes the Cut; it does not go live for that.

use super::error::WorkerError;
use super::life::{Life, Stop, write_journal};
use super::setup::{Environment, Setup};
use super::unit::Member;
use connect::door::{CommitOutcome, IoError, KafkaIo};
use protocol::commit::cut_record;
use protocol::drain::missing_cut;
use protocol::identity::{DrainId, Seq, UnitId};
use protocol::snapshot::{SnapshotHeader, SnapshotPointer};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a step waits for the outcome of a transaction.
const OUTCOME_WAIT: Duration = Duration::from_millis(100);

/// Cuts on their way.
#[derive(Debug, Default)]
pub struct Cuts {
    /// By number of the upload: the journal, the drain, and the commit whose state was handed over.
    uploads: BTreeMap<u64, (usize, DrainId, Seq)>,
    durable: Vec<(usize, DrainId, SnapshotPointer)>,
    /// Journals whose Cut was asked for in this life, with the drain.
    asked: Vec<(usize, DrainId)>,
    in_flight: bool,
}

impl<Io: KafkaIo> Life<Io> {
    /// Saves own units that are drained and not cut, as soon as they are restored, before this life begins anything else.
    /// True while it is at it.
    pub(super) fn cuts_what_is_owed<E: Environment<Io = Io>>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
    ) -> Result<bool, Stop> {
        if self.cuts.in_flight {
            return self.awaits_cut();
        }
        if !self.stands_by() {
            return Ok(false);
        }
        for at in 0..self.members.len() {
            let Some((drain, seq)) = self.owed(&self.members[at]) else { continue };
            let slot = self.members[at].slot;
            if !self.cuts.asked.contains(&(slot, drain)) {
                self.upload(setup, environment, at, drain, seq)?;
                self.cuts.asked.push((slot, drain));
            }
        }
        self.uploaded(environment)?;
        if self.cuts.durable.is_empty() {
            return Ok(!self.cuts.uploads.is_empty());
        }
        self.write_cuts().map_err(|_| self.start_over("a cut could not be written"))?;
        Ok(true)
    }

    fn awaits_cut(&mut self) -> Result<bool, Stop> {
        match self.io.commit_outcome(OUTCOME_WAIT) {
            Ok(None) => Ok(true),
            Ok(Some(CommitOutcome::Committed)) => {
                self.cuts.in_flight = false;
                Ok(true)
            }
            Ok(Some(_)) | Err(_) => Err(self.start_over("a cut was not committed")),
        }
    }

    /// Uploads that ended.
    fn uploaded<E: Environment<Io = Io>>(&mut self, environment: &mut E) -> Result<(), WorkerError> {
        if self.cuts.uploads.is_empty() {
            return Ok(());
        }
        for (id, result) in environment.store().finished() {
            let Some((slot, drain, seq)) = self.cuts.uploads.remove(&id) else { continue };
            let unit = &self.surroundings.units[slot].1;
            let stored = result.map_err(|source| WorkerError::Store { key: of(unit, seq), source })?;
            self.cuts.durable.push((slot, drain, stored.pointer));
        }
        Ok(())
    }

    /// The drain and last commit of a unit of this generation whose state nobody has saved.
    fn owed(&self, member: &Member) -> Option<(DrainId, Seq)> {
        let ownership = member.view.ownership();
        ownership.lock().filter(|lock| lock.generation == self.me.owner.generation())?;
        missing_cut(ownership, member.replay.replayed())
    }

    fn upload<E: Environment<Io = Io>>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        at: usize,
        drain: DrainId,
        seq: Seq,
    ) -> Result<(), WorkerError> {
        let id = self.next_upload();
        let member = &mut self.members[at];
        let unit = member.id.clone();
        let Some(claim) = member.view.claim_in_force().cloned() else { return Ok(()) };
        let ends = member.engine()?.ends().entries();
        let header = SnapshotHeader {
            uid8: setup.identity.uid8.clone(),
            unit: unit.clone(),
            seq,
            plan: claim.plan,
            semantics: claim.semantics,
            lineage: claim.lineage,
            clock_ms: member.replay.clock_ms().unwrap_or_default(),
            inputs: member.replay.inputs().to_vec(),
            positions: member.replay.positions(),
            watermarks: Vec::new(),
            ends,
        };
        let topology = &self.surroundings.topology;
        let handed = member.hand_over(setup, environment, id, topology, header)?;
        handed.map_err(|source| WorkerError::Store { key: of(&unit, seq), source })?;
        self.cuts.uploads.insert(id, (member.slot, drain, seq));
        Ok(())
    }

    fn write_cuts(&mut self) -> Result<(), IoError> {
        self.initialise()?;
        self.io.begin()?;
        for (slot, drain, pointer) in std::mem::take(&mut self.cuts.durable) {
            let record = cut_record(self.me.owner, drain, pointer);
            write_journal(&mut self.io, &self.surroundings.journals[slot], &record, 0)?;
        }
        self.cuts.in_flight = true;
        self.io.start_commit()
    }
}

/// A snapshot that has no name yet.
fn of(unit: &UnitId, seq: Seq) -> String {
    format!("{unit} commit {seq}")
}
