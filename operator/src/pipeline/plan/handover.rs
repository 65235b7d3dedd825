//! A generation takes over from one that works. The new pods restore and follow the journals while the old ones go on, and
//! claim when all of them are near: the pause does not grow with the state.
//!
//! With the same plan they are promoted, and claim, fence and read are all. With another one the old pods are drained first:
//! no two plans are at work at once. Both are told in the same breath, because the protocol orders them: nobody claims before
//! every journal is released.
//!
//! Until the new pods are promoted (with another plan: until they have claimed) the old generation is the one of the intent,
//! and the transition names its successor. So whatever goes wrong before that is taken back: the successor is removed, and
//! the old pods have never stopped, or are resumed.

use super::{Action, CUT_SECONDS, Phase, Planner};
use crate::pipeline::observe::Generation;
use crate::pipeline::validate::Desired;
use crate::pods::Instruction;
use control::call::bounded_message;
use control::status::{UnitState, UnitStatus};
use crds::pipeline::{RolledBack, TransitionKind, TransitionStep};

impl Planner<'_> {
    /// Every unit of the old pods is at work, and the user has nothing against pods beside them.
    pub(super) fn may_hand_over(&self, number: u64, desired: &Desired) -> bool {
        let works = self.intent.promoted && self.intent.drained.is_none();
        desired.handover
            && works
            && self.observed.generation(number).is_some_and(|old| old.is_live() && !old.is_overtaken())
    }

    fn has_plan_of(&self, number: u64, desired: &Desired) -> bool {
        let facts = self.observed.generation(number).and_then(|generation| generation.facts.as_ref());
        facts.is_some_and(|facts| facts.file.plan_hash == desired.plan_hash)
    }

    /// The next generation is named, and its pods start.
    pub(super) fn hand_over(&mut self, number: u64, desired: &Desired) -> Phase {
        let kind = match self.kind_of_change(number, desired) {
            TransitionKind::Scale => TransitionKind::Scale,
            _ => TransitionKind::Handover,
        };
        // Every unit of the old generation is live: nobody before it has a journal.
        self.intent.priors = self.priors();
        self.begin(kind, TransitionStep::StandingBy);
        let successor = self.next_number();
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.successor = Some(successor);
        }
        self.stand_by()
    }

    /// The new pods restore and follow, until every unit can be promoted.
    pub(super) fn stand_by(&mut self) -> Phase {
        let successor = self.intent.transition.as_ref().and_then(|transition| transition.successor);
        let (Some(number), Some(successor), Some(desired)) =
            (self.intent.generation, successor, self.desired)
        else {
            return self.give_up();
        };
        let next = self.observed.generation(successor);
        let facts = next.and_then(|next| next.facts.as_ref());
        let outdated = facts.is_some_and(|facts| facts.generation_hash != desired.generation_hash);
        let overtaken = self.observed.generation(number).is_none_or(Generation::is_overtaken);
        let unwanted = desired.suspend || self.is_current(number, desired);
        if outdated || overtaken || unwanted {
            return self.give_up();
        }
        let wanted = i32::try_from(desired.shape.replicas).unwrap_or(i32::MAX);
        if next.and_then(|next| next.replicas) != Some(wanted) {
            self.actions.push(Action::Start(successor));
            return Phase::Changing;
        }
        let near = |unit: &UnitStatus| {
            matches!(unit.state, UnitState::CaughtUp | UnitState::Claiming | UnitState::Live)
        };
        if !next.is_some_and(|next| next.every_unit(near)) {
            return Phase::Changing;
        }
        if !self.has_plan_of(number, desired) {
            self.enter(TransitionStep::Draining);
            return self.change_over(successor);
        }
        self.succeed(successor);
        self.promote()
    }

    /// The old pods finish, the new ones claim what is released. From their first Claim on the way is forward only.
    pub(super) fn change_over(&mut self, successor: u64) -> Phase {
        let (Some(number), Some(id)) = (self.intent.generation, self.drain_id()) else {
            return self.give_up();
        };
        if self.observed.generation(successor).is_some_and(Generation::may_have_claimed) {
            self.succeed(successor);
            return self.promote();
        }
        let left = |good: &[UnitState]| {
            let of_drain = |unit: &UnitStatus| unit.drain.as_deref() == Some(id.as_str());
            let old = self.observed.generation(number);
            old.is_some_and(|old| old.every_unit(|unit| good.contains(&unit.state) && of_drain(unit)))
        };
        let released = left(&[UnitState::Released, UnitState::Cut]);
        // Units that take over from others wait until the state of those is durable.
        let patience = if left(&[UnitState::Cut]) { 0 } else { CUT_SECONDS };
        if released && self.late_by(patience) {
            return self.roll_back(successor);
        }
        let broken = self.observed.generation(number).is_none_or(|old| !old.may_work());
        if self.late() && !released && broken {
            // Nobody is left who could finish: all go, and the next pods restore from the journals.
            if let Some(transition) = self.intent.transition.as_mut() {
                transition.successor = None;
            }
            self.enter(TransitionStep::Removing);
            return self.remove();
        }
        self.actions.push(Action::Tell(number, Instruction::Drain(id)));
        self.actions.push(Action::Tell(successor, Instruction::Promote(successor)));
        Phase::Changing
    }

    /// The successor is the generation of the intent from now on.
    fn succeed(&mut self, successor: u64) {
        let facts = self.observed.generation(successor).and_then(|next| next.facts.as_ref());
        self.intent.generation = Some(successor);
        if let Some(facts) = facts {
            self.take_revision(&facts.revision_hash, &facts.file.plan_hash);
        }
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.successor = None;
        }
        self.enter(TransitionStep::Promoting);
    }

    /// The successor had everything and did not claim: the old pods are to go on.
    fn roll_back(&mut self, successor: u64) -> Phase {
        let drain = self.intent.transition.as_ref().and_then(|transition| transition.drain.clone());
        let rolled_back = self.observed.generation(successor).and_then(|next| {
            let reports = next.pods.iter().filter_map(|pod| pod.report.as_ref());
            let problem = reports.flat_map(|report| &report.problems).next();
            let why =
                problem.map_or("it does not say why; see the events of its pods", |problem| &problem.message);
            let message = format!("generation {successor} could not take over: {why}");
            let hash = next.facts.as_ref()?.generation_hash.clone();
            Some(RolledBack { generation: successor, hash, message: bounded_message(message) })
        });
        self.begin(TransitionKind::Resume, TransitionStep::Promoting);
        self.intent.rolled_back = rolled_back;
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.drain = drain;
            transition.successor = Some(successor);
        }
        self.take_back(successor)
    }

    /// The successor goes before the old pods are resumed. Should it have claimed after all, it is the one to go on.
    pub(super) fn take_back(&mut self, successor: u64) -> Phase {
        let next = self.observed.generation(successor).filter(|next| next.runs());
        match next {
            Some(next) if next.may_have_claimed() => {
                self.begin(TransitionKind::Handover, TransitionStep::Promoting);
                self.succeed(successor);
            }
            Some(_) => {
                self.actions.push(Action::Remove(successor));
                return Phase::Changing;
            }
            None => {
                if let Some(transition) = self.intent.transition.as_mut() {
                    transition.successor = None;
                }
            }
        }
        self.promote()
    }

    /// This was tried, and taken back.
    pub(super) fn is_rolled_back(&self, desired: &Desired) -> bool {
        self.intent.rolled_back.as_ref().is_some_and(|back| back.hash == desired.generation_hash)
    }

    /// The old pods go on. Whatever is wanted now is begun anew.
    fn give_up(&mut self) -> Phase {
        self.intent.transition = None;
        self.settle()
    }

    /// Pods of another generation than that of the intent, while nothing is being changed: a successor that was given up
    /// goes, and an older one when all its journals are claimed by the newest, which has superseded it.
    pub(super) fn sweep(&mut self) {
        let Some(number) = self.intent.generation.filter(|_| self.intent.promoted) else { return };
        let all_claimed = self.observed.generation(number).is_some_and(Generation::is_live);
        let over = |other: &&Generation| match other.number {
            newer if newer > number => !other.may_have_claimed(),
            older if older < number => all_claimed,
            _ => false,
        };
        let over = self.observed.generations.iter().filter(|other| other.runs()).filter(over);
        self.actions.extend(over.map(|other| Action::Remove(other.number)));
    }
}

impl Generation {
    /// A unit is further than standing by.
    fn may_have_claimed(&self) -> bool {
        let units = self.pods.iter().filter_map(|pod| pod.report.as_ref()).flat_map(|report| &report.units);
        let stands_by = [UnitState::Restoring, UnitState::Standby, UnitState::CaughtUp, UnitState::Failed];
        units.into_iter().any(|unit| !stands_by.contains(&unit.state))
    }
}
