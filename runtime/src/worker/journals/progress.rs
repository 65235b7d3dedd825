//! How far a unit is, and what of its way a rollback would have to know: the part of a journal's fold that looks at positions.

use super::course::Course;
use pipeline::plan::PlanHash;
use protocol::identity::{DrainId, Generation};
use protocol::journal::record::{Claim, ClaimedInput, InputPartition, JournalRecord};
use protocol::restore::carry_over;
use std::collections::BTreeMap;

/// The fold.
#[derive(Debug)]
pub struct Progress {
    /// Inputs and positions of the unit.
    inputs: Vec<ClaimedInput>,
    positions: BTreeMap<InputPartition, i64>,
    /// The newest batch clock.
    clock_ms: i64,
    /// The way since the newest change of plan, and until when it may be taken back, by the clock of the batches.
    course: Option<(Course, i64)>,
    /// What the unit processes again, by the name of its `End`s.
    reprocess: Option<DrainId>,
    /// What it processed again last.
    reprocessed: Option<DrainId>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            inputs: Vec::new(),
            positions: BTreeMap::new(),
            clock_ms: i64::MIN,
            course: None,
            reprocess: None,
            reprocessed: None,
        }
    }
}

impl Progress {
    /// Takes the next record.
    pub fn apply(&mut self, record: &JournalRecord) {
        match record {
            JournalRecord::Commit(commit) => {
                self.clock_ms = self.clock_ms.max(commit.clock_ms);
                self.positions = commit.positions.iter().copied().collect();
                // It goes when the fold of before goes: with the first snapshot behind its time.
                let over = commit.snapshot.is_some().then_some(self.clock_ms);
                self.course.take_if(|(_, until_ms)| over.is_some_and(|now| *until_ms < now));
                if let Some((course, _)) = &mut self.course {
                    course.commit(commit);
                }
                if let Some(renewal) = &commit.renewal {
                    self.inputs.clone_from(&renewal.claim.inputs);
                    self.reprocess = renewal.claim.reprocess.as_ref().map(|reprocess| reprocess.id);
                }
            }
            JournalRecord::Reprocessed(done) => {
                self.reprocess.take_if(|id| *id == done.id);
                self.reprocessed = Some(done.id);
            }
            _ => {}
        }
    }

    /// A Claim came in force, after one with the plan `before`.
    pub fn claimed(&mut self, claim: &Claim, before: Option<PlanHash>) {
        let changes = before != Some(claim.plan);
        let said = claim.reprocess.as_ref().map(|reprocess| reprocess.id);
        let pending = self.reprocess.filter(|_| !changes);
        self.reprocess = pending.or(said.filter(|id| self.reprocessed != Some(*id)));
        self.positions = carry_over(&self.inputs, &self.positions, &claim.inputs);
        self.inputs.clone_from(&claim.inputs);
        match claim.rollback_until_ms.filter(|_| changes) {
            Some(until_ms) => self.course = Some((Course::behind(claim, self.positions.clone()), until_ms)),
            // The change is taken back: who does that elsewhere may still ask how far it came here.
            None if changes => self.course.iter_mut().for_each(|(course, _)| course.end()),
            None => {}
        }
    }

    /// The way since a generation, or a later one, changed the plan.
    pub fn course(&self, since: Generation) -> Option<&Course> {
        self.course.as_ref().map(|(course, _)| course).filter(|course| course.since() >= since)
    }

    /// True while the change of plan may be taken back: then nothing is deleted that stood there before.
    pub fn may_be_undone(&self) -> bool {
        self.course.as_ref().is_some_and(|(_, until_ms)| *until_ms >= self.clock_ms)
    }

    /// True while it processes again what a rollback gave it.
    pub fn is_reprocessing(&self) -> bool {
        self.reprocess.is_some()
    }
}
