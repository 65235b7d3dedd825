//! What to do next: from what is wanted and what is seen to an intent, actions, and when to look again. Pure.
//!
//! ```text
//!   (nothing) ──Start──────────────────────> Starting ──> Promoting ──> steady
//!   (nothing) ──Restore──> Restoring ──────> Starting ──> Promoting ──> steady
//!   steady ──Handover|Scale|Heal──> StandingBy ──────────> Promoting ──> steady      (the same plan)
//!   steady ──Handover────────> StandingBy ──> Draining ──> Promoting ──> steady      (another plan)
//!                                               └──Resume──> Promoting ──> rolled back
//!   steady ──Rollback────────> StandingBy ──> Draining ──> Promoting ──> rolled back  (it took over, and does not work)
//!   steady ──Handover|Recreate──> Saving ──> … as without                            (updateStrategy.savepoint)
//!   steady ──Recreate|Scale──> Draining ──> Removing ──> Starting ──> Promoting ──> steady
//!   steady ──Suspend─────────> Draining ──> Removing ──> suspended ──Resume──> Starting ──> Promoting ──> steady
//!   any ─────Delete──────────> Removing ──> Cleaning ──> gone
//!   any ─────Delete──────────> Draining ──> Removing ──> Saving ──> Cleaning ──> gone   (terminationPolicy: Savepoint)
//! ```
//!
//! The intent is written to the status before any action is carried out. Every action is idempotent, so a look that
//! ends half-way is repeated by the next. Changes are carried out one after the other, always forward.

mod delete;
mod generation;
mod handover;
mod intent;
mod probation;
mod restore;
mod saving;
mod steps;

pub use intent::Intent;

use super::FINALIZER;
use super::observe::{Generation, Observed};
use super::validate::{Desired, Invalid};
use crate::pods::Instruction;
use crds::pipeline::{Transition, TransitionKind, TransitionStep};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::Serialize;
use std::time::Duration;

/// How long pods may take to finish and to make their state durable before the status says that they are late.
const DRAIN_SECONDS: i64 = 60;
/// How long new pods may take to start and to restore.
const START_SECONDS: i64 = 600;
/// How long the Job may take that makes journals of a savepoint: it copies all of its state.
pub(super) const RESTORE_SECONDS: i64 = 3_600;
/// How long new pods may take to claim their journals.
const PROMOTE_SECONDS: i64 = 60;
/// How much longer they may take to make it durable where others wait for it.
const CUT_SECONDS: i64 = 600;
/// How much longer new pods may take to claim once it is.
const CLAIM_SECONDS: i64 = 15;
/// How long pods may take to disappear.
const REMOVE_SECONDS: i64 = 120;
/// How long it may take to keep the state of a pipeline that is deleted.
const SAVE_SECONDS: i64 = 1_200;
/// How long the Job that deletes internal topics may take.
const CLEAN_SECONDS: i64 = 120;
/// ConfigMaps of past generations that are kept.
const GENERATIONS_KEPT: usize = 10;

/// What to do next.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What the status has to say before anything is done.
    pub intent: Intent,
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// Where the pipeline stands.
    pub phase: Phase,
    /// When to look again even if nothing changes.
    pub look_again: Duration,
    /// Something that the user must learn although no condition can say it any more.
    pub note: Option<Note>,
}

impl Decision {
    /// The generation that stands by, as far as it exists.
    pub fn successor<'a>(&self, observed: &'a Observed) -> Option<&'a Generation> {
        observed.generation(self.intent.transition.as_ref()?.successor?)
    }
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Action {
    /// From now on the pipeline may only disappear after its internal topics.
    AddFinalizer,
    /// The pipeline may disappear.
    RemoveFinalizer,
    /// The generation that stands for a savepoint, and the Job that makes the journals of it.
    Restore,
    /// This Job goes, so that another one can be made.
    ForgetRestore,
    /// Everything that the pods of this generation need, and its StatefulSet.
    Start(u64),
    /// The StatefulSet of this generation gets this many pods.
    Resize(u64, i32),
    /// The StatefulSet of this generation goes, and its pods with it.
    Remove(u64),
    /// The pods of this generation are told.
    Tell(u64, Instruction),
    /// The StreamSavepoint that keeps the state of a pipeline that is deleted.
    Save,
    /// The StreamSavepoint that keeps the state of before a change of the plan.
    SaveFirst,
    /// The Job that deletes the internal topics, by the facts of this generation.
    Clean(u64),
    /// The ConfigMap of this past generation goes.
    Forget(u64),
}

impl Action {
    /// The name under which it is counted.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::AddFinalizer => "protect",
            Self::RemoveFinalizer => "release",
            Self::Restore => "restore",
            Self::Start(_) => "start",
            Self::Resize(..) => "resize",
            Self::Remove(_) => "remove",
            Self::Tell(_, Instruction::Promote(_)) => "promote",
            Self::Tell(_, Instruction::Drain(_)) => "drain",
            Self::Tell(_, Instruction::Resume(_)) => "resume",
            Self::Save | Self::SaveFirst => "save",
            Self::Clean(_) => "clean",
            Self::Forget(_) | Self::ForgetRestore => "forget",
        }
    }
}

/// Where the pipeline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// The spec has a problem; what runs goes on.
    Invalid,
    /// It begins with a savepoint that is not ready yet.
    Waiting,
    /// No pod runs, as asked.
    Suspended,
    /// The wanted generation was told to work, and nothing is being changed.
    Steady,
    /// What is wanted could not take over: the generation before it works.
    RolledBack,
    /// The transition of the intent is being carried out.
    Changing,
    /// The pipeline was deleted.
    Deleting,
}

/// Something that the user must learn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Note {
    /// The internal topics of the deleted pipeline are still there.
    TopicsLeft,
}

/// Decides what to do next.
pub fn plan(observed: &Observed, desired: &Result<Desired, Invalid>) -> Decision {
    let mut planner = Planner {
        observed,
        desired: desired.as_ref().ok(),
        intent: Intent::of(&observed.status()),
        actions: Vec::new(),
        note: None,
    };
    let phase = if observed.deleting() { planner.delete() } else { planner.go_on() };
    let step = planner.intent.transition.as_ref().map(|transition| transition.step);
    let look_again = match step {
        // A savepoint that comes to its end wakes the operator.
        Some(TransitionStep::Saving) => Duration::from_secs(10),
        _ => look_again(phase),
    };
    Decision { intent: planner.intent, actions: planner.actions, phase, look_again, note: planner.note }
}

/// Watches wake the operator for everything but what only pods know, so that a look is needed for them only.
fn look_again(phase: Phase) -> Duration {
    match phase {
        Phase::Changing | Phase::Deleting => Duration::from_secs(1),
        Phase::Steady | Phase::RolledBack => Duration::from_secs(5),
        Phase::Waiting => Duration::from_secs(10),
        Phase::Invalid => Duration::from_secs(30),
        Phase::Suspended => Duration::from_mins(5),
    }
}

/// A decision in the making.
struct Planner<'a> {
    observed: &'a Observed,
    /// None while the spec has a problem: then nothing new is begun.
    desired: Option<&'a Desired>,
    intent: Intent,
    actions: Vec<Action>,
    note: Option<Note>,
}

impl Planner<'_> {
    fn go_on(&mut self) -> Phase {
        self.adopt();
        if self.desired.is_some() && !self.observed.pipeline.finalizers().iter().any(|name| name == FINALIZER)
        {
            self.actions.push(Action::AddFinalizer);
        }
        let step = self.intent.transition.as_ref().map(|transition| transition.step);
        match step {
            None => self.settle(),
            Some(step) => self.go_on_with(step),
        }
    }

    /// Nothing is being changed: is something to be?
    fn settle(&mut self) -> Phase {
        self.sweep();
        let Some(desired) = self.desired else { return Phase::Invalid };
        // Asked again it is another wish.
        if self.observed.pipeline.spec.rollback_to.is_none() {
            self.intent.rollback_to = None;
        }
        let Some(number) = self.intent.generation else {
            if desired.suspend {
                return Phase::Suspended;
            }
            if let Some(phase) = self.begin_restored(desired) {
                return phase;
            }
            self.begin(TransitionKind::Start, TransitionStep::Starting);
            self.next_generation(desired);
            return self.start();
        };
        let stopped = self.stopped(number);
        let rolled_back = self.is_rolled_back(desired);
        // What was taken back is not begun again because a node is gone.
        let same = rolled_back || self.is_current(number, desired) && !self.has_lost_pods(number);
        let (kind, step) = match (desired.suspend, same, stopped) {
            (true, _, true) => return Phase::Suspended,
            (true, _, false) => (TransitionKind::Suspend, self.first_step()),
            (false, true, true) => (TransitionKind::Resume, TransitionStep::Starting),
            (false, true, false) if rolled_back => return Phase::RolledBack,
            (false, true, false) if self.goes_back(number, desired) => return Phase::Changing,
            (false, true, false) if desired.reverted.is_some() => return self.stays_back(number, desired),
            (false, true, false) if self.is_failing(number, desired) => return Phase::Changing,
            (false, true, false) => {
                self.intent.rolled_back = None;
                self.keep(number, desired);
                return Phase::Steady;
            }
            (false, false, _) if self.saves_first(number, desired) => {
                return self.save_first(number, desired);
            }
            (false, false, _) => return self.change(number, desired),
        };
        self.begin(kind, step);
        self.go_on_with(step)
    }

    fn go_on_with(&mut self, step: TransitionStep) -> Phase {
        match step {
            TransitionStep::Restoring => self.restore(),
            TransitionStep::StandingBy => self.stand_by(),
            TransitionStep::Draining => self.drain(),
            TransitionStep::Saving => self.save_before(),
            TransitionStep::Removing | TransitionStep::Cleaning => self.remove(),
            TransitionStep::Starting => self.start(),
            TransitionStep::Promoting => self.promote(),
        }
    }

    /// Pods that may have claimed a journal are drained before they go; nobody else has anything to finish.
    fn first_step(&self) -> TransitionStep {
        let works = self.intent.promoted && self.intent.drained.is_none();
        if works && self.intent.generation.is_some_and(|number| !self.stopped(number)) {
            TransitionStep::Draining
        } else {
            TransitionStep::Removing
        }
    }

    fn begin(&mut self, kind: TransitionKind, step: TransitionStep) {
        let now = self.observed.now;
        let started_at = Time(now);
        // Whoever is suspended and resumed has not said anything new, nor is it new to have other pods of what was before.
        let reverted = self.desired.is_some_and(|desired| desired.reverted.is_some());
        if !reverted && !matches!(kind, TransitionKind::Suspend | TransitionKind::Resume) {
            self.intent.rolled_back = None;
        }
        self.intent.transition = Some(Transition {
            kind,
            step,
            successor: None,
            drain: None,
            deadline: started_at.clone(),
            started_at,
        });
        self.enter(step);
    }

    /// The transition goes on with this step, which gets its own deadline.
    fn enter(&mut self, step: TransitionStep) {
        let now = self.observed.now;
        let seconds = match step {
            // Nothing waits for the end of a pipeline but whoever has deleted it.
            TransitionStep::Draining if self.kind() == Some(TransitionKind::Delete) => CUT_SECONDS,
            TransitionStep::Saving => SAVE_SECONDS,
            TransitionStep::Draining => DRAIN_SECONDS,
            TransitionStep::Removing => REMOVE_SECONDS,
            TransitionStep::Restoring => RESTORE_SECONDS,
            TransitionStep::StandingBy | TransitionStep::Starting => START_SECONDS,
            // Behind the Claims there may be much to be processed again.
            TransitionStep::Promoting if self.kind() == Some(TransitionKind::Rollback) => START_SECONDS,
            TransitionStep::Promoting => PROMOTE_SECONDS,
            TransitionStep::Cleaning => CLEAN_SECONDS,
        };
        let generation = self.intent.generation.unwrap_or_default();
        let Some(transition) = self.intent.transition.as_mut() else { return };
        transition.step = step;
        transition.deadline = Time(later(now, seconds));
        if step == TransitionStep::Draining {
            transition.drain = Some(format!("g{generation}-{:x}", now.as_millisecond()));
        }
    }

    fn late(&self) -> bool {
        self.late_by(0)
    }

    /// The step should have ended so many seconds ago.
    fn late_by(&self, seconds: i64) -> bool {
        let transition = self.intent.transition.as_ref();
        transition.is_some_and(|transition| later(transition.deadline.0, seconds) < self.observed.now)
    }

    fn successor(&self) -> Option<u64> {
        self.intent.transition.as_ref()?.successor
    }

    fn kind(&self) -> Option<TransitionKind> {
        self.intent.transition.as_ref().map(|transition| transition.kind)
    }

    /// Nothing is to be changed: what somebody else has changed is put right, and what is long over goes.
    fn keep(&mut self, number: u64, desired: &Desired) {
        let wanted = i32::try_from(desired.shape.replicas).unwrap_or(i32::MAX);
        let Some(current) = self.observed.generation(number) else { return };
        if current.replicas.is_some_and(|replicas| replicas != wanted) {
            self.actions.push(Action::Resize(number, wanted));
        }
        self.forget();
    }

    /// Past generations beyond those that are kept.
    fn forget(&mut self) {
        let current = self.intent.generation;
        let back = self.intent.rolled_back.as_ref().and_then(|back| back.to);
        let watched = self.intent.probation.as_ref().map(|probation| probation.before);
        let past = self.observed.generations.iter().filter(|generation| {
            let prior = self.intent.priors.iter().any(|prior| prior.generation == generation.number);
            let number = Some(generation.number);
            ![current, back, watched].contains(&number) && !prior && !generation.runs()
        });
        let mut numbers: Vec<u64> = past.map(|generation| generation.number).collect();
        numbers.truncate(numbers.len().saturating_sub(GENERATIONS_KEPT));
        self.actions.extend(numbers.into_iter().map(Action::Forget));
    }
}

/// So many seconds behind a time.
pub(super) fn later(now: Timestamp, seconds: i64) -> Timestamp {
    now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
pub(super) mod tests;
