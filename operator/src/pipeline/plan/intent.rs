//! The part of the status that is the journal: what the operator is about to do, written before it is done.

use crds::StreamPipelineStatus;
use crds::pipeline::{Drained, HistoryEntry, Prior, Probation, RestoredFrom, RolledBack, Transition};

/// What the operator is about to do.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Intent {
    /// Number of the newest generation.
    pub generation: Option<u64>,
    /// It was told to take over.
    pub promoted: bool,
    /// Number of the revision.
    pub revision: Option<i64>,
    /// Identity of the revision.
    pub revision_hash: Option<String>,
    /// Identity of its plan.
    pub plan_hash: Option<String>,
    /// The change that is being carried out.
    pub transition: Option<Transition>,
    /// The drain whose cuts are the newest records of all journals.
    pub drained: Option<Drained>,
    /// The change that is watched.
    pub probation: Option<Probation>,
    /// What was wanted and did not work.
    pub rolled_back: Option<RolledBack>,
    /// The revision that the user asked for last.
    pub rollback_to: Option<i64>,
    /// The saved state that the pipeline began with.
    pub restored_from: Option<RestoredFrom>,
    /// Whose workers the newest generation has to fence.
    pub priors: Vec<Prior>,
    /// Past revisions.
    pub history: Vec<HistoryEntry>,
}

impl Intent {
    /// The intent that the status says.
    pub fn of(status: &StreamPipelineStatus) -> Self {
        Self {
            generation: status.generation,
            promoted: status.promoted.unwrap_or(false),
            revision: status.revision,
            revision_hash: status.revision_hash.clone(),
            plan_hash: status.plan_hash.clone(),
            transition: status.transition.clone(),
            drained: status.drained.clone(),
            probation: status.probation.clone(),
            rolled_back: status.rolled_back.clone(),
            rollback_to: status.rollback_to,
            restored_from: status.restored_from.clone(),
            priors: status.priors.clone(),
            history: status.history.clone(),
        }
    }

    /// Makes the status say this intent.
    pub fn write(&self, status: &mut StreamPipelineStatus) {
        status.generation = self.generation;
        status.promoted = self.generation.map(|_| self.promoted);
        status.revision = self.revision;
        status.revision_hash.clone_from(&self.revision_hash);
        status.plan_hash.clone_from(&self.plan_hash);
        status.transition.clone_from(&self.transition);
        status.drained.clone_from(&self.drained);
        status.probation.clone_from(&self.probation);
        status.rolled_back.clone_from(&self.rolled_back);
        status.rollback_to = self.rollback_to;
        status.restored_from.clone_from(&self.restored_from);
        status.priors.clone_from(&self.priors);
        status.history.clone_from(&self.history);
    }
}
