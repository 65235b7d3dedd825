//! The end of a pipeline. Every step has a deadline, so that it also ends when Kafka, the nodes or the image are gone.

use super::{Action, Note, Phase, Planner};
use crate::pipeline::FINALIZER;
use crate::pipeline::observe::Cleanup;
use control::savepoint::RESTORED_GENERATION;
use crds::pipeline::{TransitionKind, TransitionStep};
use kube::ResourceExt;

impl Planner<'_> {
    pub(super) fn delete(&mut self) -> Phase {
        if !self.observed.pipeline.finalizers().iter().any(|name| name == FINALIZER) {
            return Phase::Deleting;
        }
        self.adopt();
        if self.kind() != Some(TransitionKind::Delete) {
            self.begin(TransitionKind::Delete, TransitionStep::Removing);
        }
        if self.stops_restoring() {
            return Phase::Deleting;
        }
        // Journals may have been made of a savepoint: they are deleted by what the Job knew of the pipeline.
        if self.intent.generation.is_none() && self.observed.facts(RESTORED_GENERATION).is_some() {
            self.intent.generation = Some(RESTORED_GENERATION);
        }
        let step = self.intent.transition.as_ref().map(|transition| transition.step);
        match step {
            Some(TransitionStep::Cleaning) => self.clean(),
            _ => self.remove_all(),
        }
        Phase::Deleting
    }

    /// The pods go. Input that they did not commit stays in Kafka; nothing has to be finished.
    fn remove_all(&mut self) {
        let running: Vec<u64> =
            self.observed.generations.iter().filter(|g| g.runs()).map(|g| g.number).collect();
        if !running.is_empty() && !self.late() {
            self.actions.extend(running.into_iter().map(Action::Remove));
            return;
        }
        if self.intent.generation.is_none() {
            self.actions.push(Action::RemoveFinalizer);
            return;
        }
        self.enter(TransitionStep::Cleaning);
        self.clean();
    }

    /// Internal topics are deleted by a Job of the runtime image, because the operator has no credentials of Kafka.
    fn clean(&mut self) {
        let facts =
            |number: &u64| self.observed.generation(*number).is_some_and(|found| found.facts.is_some());
        let generation = self.intent.generation.filter(facts);
        match (generation, self.observed.cleanup) {
            (_, Some(Cleanup::Succeeded)) => self.actions.push(Action::RemoveFinalizer),
            (Some(number), None) if !self.late() => self.actions.push(Action::Clean(number)),
            (Some(_), Some(Cleanup::Running)) if !self.late() => {}
            _ => {
                self.note = Some(Note::TopicsLeft);
                self.actions.push(Action::RemoveFinalizer);
            }
        }
    }
}
