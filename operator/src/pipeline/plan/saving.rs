//! Before another plan takes over, the state is saved as a StreamSavepoint, where the user wants that. What works goes on
//! meanwhile. Without a savepoint that is complete no change of the plan goes on.

use super::{Action, Phase, Planner};
use crate::pipeline::observe::SavepointSeen;
use crate::pipeline::validate::Desired;
use crds::pipeline::{TransitionKind, TransitionStep};

impl Planner<'_> {
    /// Another plan is wanted than that of pods that were at work, and their state is to be saved first.
    pub(super) fn saves_first(&self, number: u64, desired: &Desired) -> bool {
        let works = self.intent.promoted && self.intent.drained.is_none() && !self.stopped(number);
        let changes = desired.reverted.is_none() && !self.has_plan_of(number, desired);
        desired.saves_first && works && changes
    }

    /// The change begins with a savepoint.
    pub(super) fn save_first(&mut self, number: u64, desired: &Desired) -> Phase {
        let hands_over = self.may_hand_over(number, desired);
        let kind = if hands_over { TransitionKind::Handover } else { TransitionKind::Recreate };
        self.begin(kind, TransitionStep::Saving);
        self.save_before()
    }

    /// The pods that work go on until the savepoint is complete.
    pub(super) fn save_before(&mut self) -> Phase {
        let (Some(number), Some(desired)) = (self.intent.generation, self.desired) else {
            return self.abandon();
        };
        if desired.suspend || !self.saves_first(number, desired) || self.is_rolled_back(desired) {
            return self.abandon();
        }
        match &self.observed.before {
            None | Some(SavepointSeen::Missing) => {
                self.actions.push(Action::SaveFirst);
                Phase::Changing
            }
            Some(SavepointSeen::Here(status)) if status.manifest_hash.is_some() => {
                self.intent.transition = None;
                self.change(number, desired)
            }
            Some(SavepointSeen::Here(_) | SavepointSeen::Unreadable(_)) => Phase::Changing,
        }
    }

    /// It is no longer wanted, or no longer like this: what is wanted now is begun anew.
    fn abandon(&mut self) -> Phase {
        self.intent.transition = None;
        self.settle()
    }

    /// Pods are replaced by those of the next generation.
    pub(super) fn change(&mut self, number: u64, desired: &Desired) -> Phase {
        if self.may_hand_over(number, desired) {
            return self.hand_over(number, desired);
        }
        let (kind, step) = (self.kind_of_change(number, desired), self.first_step());
        self.begin(kind, step);
        self.go_on_with(step)
    }
}
