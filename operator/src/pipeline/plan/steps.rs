//! The steps of a transition, each with the edge to the next.

use super::{Action, Phase, Planner};
use crate::pipeline::observe::Generation;
use crate::pods::Instruction;
use control::call::DrainId;
use control::status::UnitState;
use crds::pipeline::{Drained, TransitionKind, TransitionStep};

impl Planner<'_> {
    pub(super) fn current(&self) -> Option<&Generation> {
        self.observed.generation(self.intent.generation?)
    }

    pub(super) fn drain_id(&self) -> Option<DrainId> {
        DrainId::new(self.intent.transition.as_ref()?.drain.clone()?).ok()
    }

    /// The pods finish, release and make their state durable. They are removed with the proof that all did; without it
    /// only when the deadline has passed and none of them can be at work, because then nobody is left who could give
    /// it, and the next generation restores from the journals or refuses to.
    pub(super) fn drain(&mut self) -> Phase {
        if let Some(successor) = self.successor() {
            return self.change_over(successor);
        }
        let (Some(number), Some(id)) = (self.intent.generation, self.drain_id()) else {
            self.enter(TransitionStep::Removing);
            return self.remove();
        };
        let all_cut = self.is_cut(&id);
        let nobody = self.stopped(number);
        let hopeless =
            nobody || self.late() && self.current().is_none_or(|generation| !generation.may_work());
        if all_cut {
            self.intent.drained = Some(Drained { id: id.as_str().to_owned(), generation: number });
        }
        if all_cut || hopeless {
            self.enter(TransitionStep::Removing);
            return self.remove();
        }
        self.actions.push(Action::Tell(number, Instruction::Drain(id)));
        Phase::Changing
    }

    /// Every unit has made its state durable under this drain.
    pub(super) fn is_cut(&self, id: &DrainId) -> bool {
        let cut = |unit: &control::status::UnitStatus| {
            unit.state == UnitState::Cut && unit.drain.as_deref() == Some(id.as_str())
        };
        self.current().is_some_and(|generation| generation.every_unit(cut))
    }

    /// The pods go; then the next generation comes, or nothing.
    pub(super) fn remove(&mut self) -> Phase {
        if self.kind() == Some(TransitionKind::Suspend) {
            return self.stop();
        }
        let running: Vec<u64> =
            self.observed.generations.iter().filter(|g| g.runs()).map(|g| g.number).collect();
        if !running.is_empty() {
            self.actions.extend(running.into_iter().map(Action::Remove));
            return Phase::Changing;
        }
        match self.desired {
            None => Phase::Invalid,
            Some(desired) if desired.suspend => {
                self.intent.transition = None;
                Phase::Suspended
            }
            Some(desired) => {
                self.next_generation(desired);
                self.enter(TransitionStep::Starting);
                self.start()
            }
        }
    }

    /// The StatefulSet stays, without pods.
    fn stop(&mut self) -> Phase {
        let Some(number) = self.intent.generation else { return Phase::Suspended };
        let running = self.observed.generations.iter().filter(|other| other.runs());
        let others: Vec<u64> = running.map(|other| other.number).filter(|other| *other != number).collect();
        if self.stopped(number) && others.is_empty() {
            self.intent.transition = None;
            // The user may want it to run again already.
            return self.settle();
        }
        if self.current().is_some_and(|generation| generation.replicas.is_some_and(|replicas| replicas != 0))
        {
            self.actions.push(Action::Resize(number, 0));
        }
        // All that they could do was done by the newest, or is left to who resumes it.
        self.actions.extend(others.into_iter().map(Action::Remove));
        Phase::Changing
    }

    /// The pods start and restore, until every unit can be promoted.
    pub(super) fn start(&mut self) -> Phase {
        let Some(number) = self.intent.generation else { return Phase::Changing };
        if let Some(desired) = self.desired {
            let exists = self.current().is_some_and(|generation| generation.facts.is_some());
            let rolled_back = self.is_rolled_back(desired);
            if desired.suspend || (exists && !self.is_current(number, desired) && !rolled_back) {
                return self.retreat(desired.suspend);
            }
            if rolled_back && let Some(old) = self.pods_of_old_shape(number) {
                self.actions.push(old);
                return Phase::Changing;
            }
            if !exists {
                self.take_revision(&desired.revision_hash, &desired.plan_hash);
            }
            let wanted = i32::try_from(desired.shape.replicas).unwrap_or(i32::MAX);
            let has = self.current().and_then(|generation| generation.replicas);
            if !rolled_back && has != Some(wanted) {
                self.actions.push(Action::Start(number));
                return Phase::Changing;
            }
        }
        let resumes = self.kind() == Some(TransitionKind::Resume);
        let near = |unit: &control::status::UnitStatus| match unit.state {
            UnitState::CaughtUp | UnitState::Claiming | UnitState::Live => true,
            // Its journal is locked until the drain is resumed.
            UnitState::Released | UnitState::Cut => resumes,
            _ => false,
        };
        if !self.current().is_some_and(|generation| generation.every_unit(near)) {
            return Phase::Changing;
        }
        self.enter(TransitionStep::Promoting);
        self.intent.promoted = true;
        // The drain of another generation is none that this one would resume.
        let drained = self.intent.drained.take().filter(|drained| drained.generation == number);
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.drain = drained.map(|drained| drained.id);
        }
        self.promote()
    }

    /// The pods take over. They are told at every look, until every unit is live.
    pub(super) fn promote(&mut self) -> Phase {
        let Some(number) = self.intent.generation else { return Phase::Changing };
        if let Some(successor) = self.successor() {
            return self.take_back(successor);
        }
        if self.current().is_some_and(Generation::is_live) {
            if self.is_reprocessing() {
                return Phase::Changing;
            }
            self.intent.transition = None;
            return self.settle();
        }
        if self.has_failed_at_once(number) {
            return Phase::Changing;
        }
        let gone = self.current().is_none_or(|generation| generation.replicas.is_none());
        if let Some(desired) = self.desired {
            let changed =
                desired.suspend || !(self.is_current(number, desired) || self.is_rolled_back(desired));
            // One change after the other, unless this one does not get anywhere.
            if changed && (self.late() || self.in_trouble() || gone) {
                return self.retreat(desired.suspend);
            }
            if gone && self.is_current(number, desired) {
                self.actions.push(Action::Start(number));
                return Phase::Changing;
            }
        }
        for id in self.drains_to_resume() {
            self.actions.push(Action::Tell(number, Instruction::Resume(id)));
        }
        self.actions.push(Action::Tell(number, Instruction::Promote(number)));
        Phase::Changing
    }

    /// The pods of a generation that is resumed although the spec says something else, as many as it had.
    fn pods_of_old_shape(&self, number: u64) -> Option<Action> {
        let generation = self.observed.generation(number)?;
        let wanted = i32::try_from(generation.facts.as_ref()?.file.shape.replicas).ok()?;
        (generation.replicas != Some(wanted)).then_some(Action::Resize(number, wanted))
    }

    /// What was begun is no longer wanted.
    fn retreat(&mut self, suspend: bool) -> Phase {
        let kind = if suspend { TransitionKind::Suspend } else { TransitionKind::Recreate };
        let step = self.first_step();
        self.begin(kind, step);
        self.go_on_with(step)
    }

    fn in_trouble(&self) -> bool {
        self.current().is_some_and(|generation| {
            generation.pods.iter().any(|pod| {
                pod.trouble.is_some() || pod.report.as_ref().is_some_and(|report| !report.problems.is_empty())
            })
        })
    }

    /// The drain that the status names, and those that the units of this generation report: a status that was lost
    /// does not know the id of the drain that locks the journals.
    fn drains_to_resume(&self) -> Vec<DrainId> {
        if self.kind() != Some(TransitionKind::Resume) {
            return Vec::new();
        }
        let locked = |state: UnitState| matches!(state, UnitState::Released | UnitState::Cut);
        let pods = self.current().map(|generation| generation.pods.as_slice()).unwrap_or_default();
        let units = pods.iter().filter_map(|pod| pod.report.as_ref()).flat_map(|report| &report.units);
        let reported = units.filter(|unit| locked(unit.state)).filter_map(|unit| unit.drain.clone());
        let named = self.intent.transition.as_ref().and_then(|transition| transition.drain.clone());
        let mut ids: Vec<DrainId> =
            named.into_iter().chain(reported).filter_map(|id| DrainId::new(id).ok()).collect();
        ids.sort();
        ids.dedup();
        ids
    }
}
