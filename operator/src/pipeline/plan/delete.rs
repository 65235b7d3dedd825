//! The end of a pipeline. Every step has a deadline, so that it also ends when Kafka, the nodes or the image are gone.

use super::{Action, Note, Phase, Planner};
use crate::pipeline::FINALIZER;
use crate::pipeline::observe::{Cleanup, Generation, SavepointSeen};
use crate::pods::Instruction;
use ::pipeline::spec::TerminationPolicy;
use control::savepoint::RESTORED_GENERATION;
use control::status::UnitState;
use crds::pipeline::{Drained, TransitionKind, TransitionStep};
use kube::ResourceExt;

impl Planner<'_> {
    pub(super) fn delete(&mut self) -> Phase {
        if !self.observed.pipeline.finalizers().iter().any(|name| name == FINALIZER) {
            return Phase::Deleting;
        }
        self.adopt();
        if self.kind() != Some(TransitionKind::Delete) {
            let step = if self.keeps_state() { self.first_step() } else { TransitionStep::Removing };
            self.begin(TransitionKind::Delete, step);
        }
        if self.stops_restoring() {
            return Phase::Deleting;
        }
        // Journals may have been made of a savepoint: they are deleted by what the Job knew of the pipeline.
        if self.intent.generation.is_none() && self.observed.facts(RESTORED_GENERATION).is_some() {
            self.intent.generation = Some(RESTORED_GENERATION);
        }
        let mut step = self.intent.transition.as_ref().map(|transition| transition.step);
        // Somebody gives the state up.
        if !self.keeps_state() && matches!(step, Some(TransitionStep::Draining | TransitionStep::Saving)) {
            step = Some(TransitionStep::Removing);
            self.enter(TransitionStep::Removing);
        }
        match step {
            Some(TransitionStep::Draining) => self.drain_to_keep(),
            Some(TransitionStep::Saving) => self.keep_state(),
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
        if self.keeps_state() {
            self.enter(TransitionStep::Saving);
            return self.keep_state();
        }
        self.enter(TransitionStep::Cleaning);
        self.clean();
    }

    /// The user wants the state, and there may be some: a generation was told to take over. What was restored and has done
    /// nothing since is in its savepoint.
    fn keeps_state(&self) -> bool {
        let policy = self.observed.pipeline.spec.termination_policy;
        let is_restored = self.current().is_some_and(Generation::is_restored);
        let has_worked = (self.intent.promoted || !self.intent.priors.is_empty()) && !is_restored;
        policy == Some(TerminationPolicy::Savepoint) && self.intent.generation.is_some() && has_worked
    }

    /// The pods finish, so that whoever goes on with the state repeats nothing. They are not removed before, however long it
    /// takes: somebody has to mend them, or to give the state up.
    fn drain_to_keep(&mut self) {
        let (Some(number), Some(id)) = (self.intent.generation, self.drain_id()) else {
            self.enter(TransitionStep::Removing);
            return self.remove_all();
        };
        if self.is_cut(&id) {
            self.intent.drained = Some(Drained { id: id.as_str().to_owned(), generation: number });
        }
        let all = |states: &[UnitState]| {
            self.current().is_some_and(|current| current.every_unit(|unit| states.contains(&unit.state)))
        };
        // Without pods nobody is left who could finish, and nobody who could disturb. Pods that were about to be resumed have
        // finished under another drain.
        if all(&[UnitState::Cut]) || self.stopped(number) {
            self.enter(TransitionStep::Removing);
            return self.remove_all();
        }
        // Whoever was about to take over has to, before it can finish.
        if !all(&[UnitState::Live, UnitState::Released, UnitState::Cut]) {
            self.actions.push(Action::Tell(number, Instruction::Promote(number)));
        }
        self.actions.push(Action::Tell(number, Instruction::Drain(id)));
    }

    /// The topics stay until the state is saved elsewhere.
    fn keep_state(&mut self) {
        match &self.observed.last {
            None | Some(SavepointSeen::Missing) => self.actions.push(Action::Save),
            Some(SavepointSeen::Here(status)) if status.manifest_hash.is_some() => {
                self.enter(TransitionStep::Cleaning);
                self.clean();
            }
            Some(SavepointSeen::Here(_) | SavepointSeen::Unreadable(_)) => {}
        }
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
