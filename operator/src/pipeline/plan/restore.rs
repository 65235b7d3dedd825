//! A new pipeline begins with the state of a savepoint: a Job makes its journals, which then say that generation 1 was drained
//! under a known id. So the first pods, those of generation 2, come as they come after any drain with another plan.
//!
//! Generation 1 has a ConfigMap, by which the Job knows the pipeline, and never a pod. What it is made of can be mended until
//! the Job has succeeded: nobody has claimed anything.

use super::{Action, Phase, Planner};
use crate::job::{End, JobSeen};
use crate::pipeline::observe::Generation;
use crate::pipeline::validate::{Desired, Restoration};
use control::savepoint::{JobResult, RESTORED_DRAIN, RESTORED_GENERATION, Restored};
use crds::pipeline::{Drained, RestoredFrom, TransitionKind, TransitionStep};

/// Pause between a Job that failed and the next one.
const PAUSE_SECONDS: i64 = 15;
/// The same where somebody has to change something first: a Secret, a right, a topic. Nobody tells the operator of it.
const LONG_PAUSE_SECONDS: i64 = 300;

impl Planner<'_> {
    /// The first step of a pipeline of which nothing exists; none when it begins empty.
    pub(super) fn begin_restored(&mut self, desired: &Desired) -> Option<Phase> {
        match desired.restore.as_ref()? {
            Restoration::Waits(_) => Some(Phase::Waiting),
            Restoration::From { .. } => {
                self.begin(TransitionKind::Restore, TransitionStep::Restoring);
                Some(self.restore())
            }
        }
    }

    /// The Job makes the journals, until it has.
    pub(super) fn restore(&mut self) -> Phase {
        let job = self.observed.restore.as_ref();
        let facts = self.observed.facts(RESTORED_GENERATION);
        if let Some(JobSeen::Ended(End { said: Ok(JobResult::Restored(restored)), .. })) = job
            && facts.is_some()
        {
            return self.go_on_restored(&restored.clone());
        }
        let Some(desired) = self.desired else { return Phase::Invalid };
        let outdated = facts.is_some_and(|facts| facts.revision_hash != desired.revision_hash);
        match job {
            Some(JobSeen::Going) => {}
            // It was told something else than what is wanted now.
            Some(_) if outdated => self.actions.push(Action::ForgetRestore),
            None if outdated => self.actions.push(Action::Forget(RESTORED_GENERATION)),
            None => self.actions.push(Action::Restore),
            // The next generation has to know of the first, whatever has become of its ConfigMap.
            Some(JobSeen::Ended(_)) if facts.is_none() => self.actions.push(Action::Restore),
            Some(JobSeen::Ended(end)) if self.is_over(end) => self.actions.push(Action::ForgetRestore),
            Some(JobSeen::Running(_) | JobSeen::Ended(_)) => {}
        }
        Phase::Changing
    }

    fn is_over(&self, end: &End) -> bool {
        let pause = if is_permanent(end) { LONG_PAUSE_SECONDS } else { PAUSE_SECONDS };
        end.at.is_none_or(|at| super::later(at, pause) <= self.observed.now)
    }

    /// The journals are there, as if generation 1 had been drained: the next one takes over from it.
    fn go_on_restored(&mut self, restored: &Restored) -> Phase {
        let place = self.observed.facts(RESTORED_GENERATION).and_then(|facts| facts.file.restore.clone());
        self.intent.restored_from = place.map(|place| RestoredFrom {
            uri: place.uri,
            manifest_hash: Some(restored.manifest_hash.clone()),
            plan_hash: restored.plan_hash.clone(),
        });
        self.intent.generation = Some(RESTORED_GENERATION);
        self.intent.promoted = true;
        self.intent.drained =
            Some(Drained { id: RESTORED_DRAIN.to_owned(), generation: RESTORED_GENERATION });
        match self.desired {
            Some(desired) if !desired.suspend => {
                self.next_generation(desired);
                self.enter(TransitionStep::Starting);
                self.start()
            }
            _ => {
                self.intent.transition = None;
                self.settle()
            }
        }
    }

    /// A Job may still write journals; before they are deleted it has to be gone. False when it is.
    pub(super) fn stops_restoring(&mut self) -> bool {
        match self.observed.restore {
            None | Some(JobSeen::Ended(_)) => false,
            Some(JobSeen::Going) => !self.late(),
            Some(JobSeen::Running(_)) => {
                self.actions.push(Action::ForgetRestore);
                !self.late()
            }
        }
    }
}

impl Generation {
    /// It stands for a savepoint, and never has pods.
    pub(super) fn is_restored(&self) -> bool {
        self.facts.as_ref().is_some_and(|facts| facts.file.restore.is_some())
    }
}

/// To try again changes nothing until somebody changes something.
fn is_permanent(end: &End) -> bool {
    matches!(&end.said, Ok(JobResult::Failed(failed)) if failed.permanent)
}
