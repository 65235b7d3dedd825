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

use super::{Action, CLAIM_SECONDS, CUT_SECONDS, Phase, Planner};
use crate::pipeline::observe::Generation;
use crate::pipeline::validate::Desired;
use crate::pods::Instruction;
use control::call::bounded_message;
use control::status::{PodStatus, UnitState, UnitStatus};
use crds::pipeline::{RolledBack, TransitionKind, TransitionStep};

impl Planner<'_> {
    /// The old pods work, or will again in a moment, and the user has nothing against pods beside them.
    pub(super) fn may_hand_over(&self, number: u64, desired: &Desired) -> bool {
        let works = self.intent.promoted && self.intent.drained.is_none();
        let hands_over = |old: &Generation| {
            !old.is_overtaken() && (old.is_live() || old.is_alive() && !old.is_in_trouble())
        };
        // What does not work is asked for nothing: of the same plan whoever claims takes over, and another one waits.
        let takes_back =
            self.rolls_back(number) || desired.reverted.is_some() && self.has_plan_of(number, desired);
        let takes_back = takes_back && !self.stopped(number);
        // Pods that are lost are fenced by those that take their place: nobody has to ask them.
        let heals = self.has_lost_pods(number) && self.has_plan_of(number, desired);
        works && heals
            || desired.handover
                && works
                && (takes_back || self.observed.generation(number).is_some_and(hands_over))
    }

    pub(super) fn has_plan_of(&self, number: u64, desired: &Desired) -> bool {
        self.observed.facts(number).is_some_and(|facts| facts.file.plan_hash == desired.plan_hash)
    }

    /// The next generation is named, and its pods start.
    pub(super) fn hand_over(&mut self, number: u64, desired: &Desired) -> Phase {
        let kind = match self.kind_of_change(number, desired) {
            _ if self.is_current(number, desired) => TransitionKind::Heal,
            TransitionKind::Recreate if desired.reverted.is_some() => TransitionKind::Rollback,
            TransitionKind::Scale => TransitionKind::Scale,
            _ => TransitionKind::Handover,
        };
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
        let (Some(number), Some(successor), Some(desired)) =
            (self.intent.generation, self.successor(), self.desired)
        else {
            return self.give_up();
        };
        let next = self.observed.generation(successor);
        let facts = next.and_then(|next| next.facts.as_ref());
        let outdated = facts.is_some_and(|facts| facts.generation_hash != desired.generation_hash);
        let overtaken = self.observed.generation(number).is_none_or(Generation::is_overtaken);
        let unwanted = desired.suspend || self.is_current(number, desired) && !self.has_lost_pods(number);
        if self.gives_up_going_back(successor) {
            self.intent.transition = None;
            return Phase::Changing;
        }
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
        if self.has_plan_of(number, desired) {
            self.succeed(successor);
            return self.promote();
        }
        // Another plan claims only what the old pods have finished.
        let old = self.observed.generation(number);
        if old.is_some_and(Generation::is_live) || self.rolls_back(number) {
            self.enter(TransitionStep::Draining);
            return self.change_over(successor);
        }
        if old.is_some_and(Generation::is_in_trouble) {
            return self.give_up();
        }
        if !self.late() {
            return Phase::Changing;
        }
        self.intent.transition = None;
        self.sweep();
        let step = self.first_step();
        self.begin(self.kind_of_change(number, desired), step);
        self.go_on_with(step)
    }

    /// The old pods finish, the new ones claim what is released. From their first Claim on the way is forward only.
    pub(super) fn change_over(&mut self, successor: u64) -> Phase {
        let (Some(number), Some(id)) = (self.intent.generation, self.drain_id()) else {
            return self.give_up();
        };
        if self.may_have_claimed(successor) {
            self.succeed(successor);
            return self.promote();
        }
        let old = self.observed.generation(number);
        let left = |good: &[UnitState]| {
            let of_drain = |unit: &UnitStatus| unit.drain.as_deref() == Some(id.as_str());
            old.is_some_and(|old| old.every_unit(|unit| good.contains(&unit.state) && of_drain(unit)))
        };
        let released = left(&[UnitState::Released, UnitState::Cut]);
        // What is taken back does not get another chance.
        let last = self.rolls_back(number);
        // Units that take over from others wait until the state of those is durable.
        let patience = if left(&[UnitState::Cut]) { CLAIM_SECONDS } else { CUT_SECONDS };
        if !last && released && self.late_by(patience) {
            return self.roll_back(successor, true);
        }
        // Nobody is left who could finish: that is no fault of the successor.
        if !last && !released && self.late() && !old.is_some_and(Generation::is_alive) {
            return self.roll_back(successor, false);
        }
        // In this order: who may claim waits for who finishes.
        self.actions.push(Action::Tell(successor, Instruction::Promote(successor)));
        self.actions.push(Action::Tell(number, Instruction::Drain(id)));
        Phase::Changing
    }

    /// The successor is the generation of the intent from now on.
    fn succeed(&mut self, successor: u64) {
        let facts = self.observed.facts(successor);
        let before = self.intent.generation.replace(successor);
        if let Some(facts) = facts {
            self.put_on_probation(successor, before, (&facts.revision_hash, &facts.file.plan_hash));
            self.take_revision(&facts.revision_hash, &facts.file.plan_hash);
        }
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.successor = None;
        }
        self.enter(TransitionStep::Promoting);
    }

    /// The old pods are to go on. A successor that had everything and did not claim is not tried again.
    fn roll_back(&mut self, successor: u64, blamed: bool) -> Phase {
        let drain = self.intent.transition.as_ref().and_then(|transition| transition.drain.clone());
        let next = self.observed.generation(successor);
        let facts = next.and_then(|next| next.facts.as_ref());
        // What is wanted by now may be something else.
        let wanted = self
            .desired
            .filter(|desired| facts.is_some_and(|facts| facts.generation_hash == desired.generation_hash));
        let rolled_back = wanted.filter(|_| blamed).map(|desired| {
            let reports = next.iter().flat_map(|next| &next.pods).filter_map(|pod| pod.report.as_ref());
            let problem = reports.flat_map(|report| &report.problems).next();
            let why =
                problem.map_or("it does not say why; see the events of its pods", |problem| &problem.message);
            let message = bounded_message(format!("generation {successor} could not take over: {why}"));
            let hash = desired.attempt_hash.clone();
            RolledBack { generation: successor, to: None, rewinds: false, asked: false, hash, message }
        });
        self.begin(TransitionKind::Resume, TransitionStep::Promoting);
        self.intent.rolled_back = rolled_back;
        if let Some(transition) = self.intent.transition.as_mut() {
            transition.drain = drain;
            transition.successor = Some(successor);
        }
        self.take_back(successor)
    }

    /// The successor goes before the old pods are resumed, unless its pods do not go: on a node that is lost they stay, and
    /// the protocol keeps them out. Should it have claimed after all, it is the one to go on.
    pub(super) fn take_back(&mut self, successor: u64) -> Phase {
        if self.may_have_claimed(successor) {
            self.begin(TransitionKind::Handover, TransitionStep::Promoting);
            self.succeed(successor);
        } else if self.observed.generation(successor).is_some_and(Generation::runs) && !self.late() {
            self.actions.push(Action::Remove(successor));
            return Phase::Changing;
        } else if let Some(transition) = self.intent.transition.as_mut() {
            transition.successor = None;
        }
        self.promote()
    }

    /// This was tried, and taken back, and the generation before it still has the journals.
    pub(super) fn is_rolled_back(&self, desired: &Desired) -> bool {
        let works =
            desired.reverted.is_none() && self.current().is_some_and(|current| !current.is_overtaken());
        let same = |back: &RolledBack| !back.asked && back.hash == desired.attempt_hash;
        works && self.intent.rolled_back.as_ref().is_some_and(same)
    }

    /// A unit of this generation is further than standing by, or somebody has read a Claim of it.
    fn may_have_claimed(&self, number: u64) -> bool {
        self.somebody_read_a_claim_of(number)
            || self.observed.generation(number).is_some_and(Generation::may_have_claimed)
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
            newer if newer > number => !self.may_have_claimed(newer),
            older if older < number => all_claimed,
            _ => false,
        };
        let over = self.observed.generations.iter().filter(|other| other.runs()).filter(over);
        let over: Vec<Action> = over.map(|other| Action::Remove(other.number)).collect();
        self.actions.extend(over);
    }
}

impl Generation {
    /// A unit is further than standing by.
    fn may_have_claimed(&self) -> bool {
        let units = self.pods.iter().filter_map(|pod| pod.report.as_ref()).flat_map(|report| &report.units);
        let stands_by = [UnitState::Restoring, UnitState::Standby, UnitState::CaughtUp, UnitState::Failed];
        units.into_iter().any(|unit| !stands_by.contains(&unit.state))
    }

    /// It does not come back by itself.
    fn is_in_trouble(&self) -> bool {
        self.pods.iter().any(|pod| {
            let failed = |report: &PodStatus| {
                report.units.iter().any(|unit| unit.state == UnitState::Failed)
                    || report.problems.iter().any(|problem| problem.permanent)
            };
            pod.trouble.is_some() || pod.report.as_ref().is_some_and(failed)
        })
    }

    /// Somebody of it works, or will again: a pod that says nothing, one between two lives, or a unit on its way.
    fn is_alive(&self) -> bool {
        let gone = |unit: &UnitStatus| matches!(unit.state, UnitState::Failed | UnitState::Superseded);
        self.pods.iter().any(|pod| {
            let report = pod.report.as_ref();
            pod.silent() || report.is_some_and(|r| !r.is_complete() || !r.units.iter().all(gone))
        })
    }
}
