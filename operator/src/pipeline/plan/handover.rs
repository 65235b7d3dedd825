//! A generation takes over from one that works. The plan is the same, so the new pods restore and follow the journals while
//! the old ones go on, and claim when all of them are near: the pause does not grow with the state.
//!
//! Until the new pods are promoted the old generation is the one of the intent, and the transition names its successor. So
//! whatever goes wrong before that costs nothing: the successor is removed, and the old pods have never stopped.

use super::{Action, Phase, Planner};
use crate::pipeline::observe::Generation;
use crate::pipeline::validate::Desired;
use control::status::{UnitState, UnitStatus};
use crds::pipeline::{TransitionKind, TransitionStep};

impl Planner<'_> {
    /// The plan stays as it is, every unit of the old pods is at work, and the user has nothing against pods beside them.
    pub(super) fn may_hand_over(&self, number: u64, desired: &Desired) -> bool {
        let works = self.intent.promoted && self.intent.drained.is_none();
        desired.handover
            && works
            && self.has_plan_of(number, desired)
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
        let unwanted =
            desired.suspend || !self.has_plan_of(number, desired) || self.is_current(number, desired);
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
        self.intent.generation = Some(successor);
        self.take_revision(desired);
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.successor = None;
        }
        self.enter(TransitionStep::Promoting);
        self.promote()
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
