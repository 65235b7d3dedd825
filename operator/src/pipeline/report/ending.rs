//! What is said of a pipeline whose state is kept, because it is deleted or changed.

use super::Facts;
use crate::pipeline::build::{last_name, name_before};
use crate::pipeline::observe::SavepointSeen;
use ::pipeline::spec::TerminationPolicy;
use control::{Condition as Kind, Reason};
use crds::condition::find;
use crds::pipeline::TransitionStep;

/// What helps when the state cannot be kept.
const GIVE_UP: &str = "set `spec.terminationPolicy: Discard` to give the state up";

/// The same before a change.
const GO_ON: &str = "set `spec.updateStrategy.savepoint: false` to go on without";

/// What it waits on while its state is saved.
pub(super) fn waits_on(facts: &Facts<'_>) -> String {
    let deleted = facts.observed.deleting();
    let name = if deleted { last_name(&facts.observed.pipeline) } else { name_of_upgrade(facts) };
    let said = match savepoint(facts) {
        Some(SavepointSeen::Here(status)) => {
            find(&status.conditions, Kind::Ready).map(|ready| ready.message.clone()).unwrap_or_default()
        }
        Some(SavepointSeen::Unreadable(error)) => format!("it cannot be read: {error}"),
        Some(SavepointSeen::Missing) | None => String::new(),
    };
    if has_failed(facts) && !deleted {
        return format!(
            "what runs goes on, because StreamSavepoint `{name}` has failed; mend the cause and delete that savepoint to have it taken again, or {GO_ON}: {said}"
        );
    }
    if has_failed(facts) {
        return format!(
            "topics and state stay, because StreamSavepoint `{name}` has failed; mend the cause and delete that savepoint to have it taken again, or {GIVE_UP}: {said}"
        );
    }
    let said = if said.is_empty() { said } else { format!(": {said}") };
    format!("waits for StreamSavepoint `{name}` to be ready{said}")
}

/// What to do when the pods do not finish.
pub(super) fn way_out(facts: &Facts<'_>) -> String {
    if keeps(facts) { format!("; nothing is deleted: mend the pods, or {GIVE_UP}") } else { String::new() }
}

fn savepoint<'a>(facts: &Facts<'a>) -> Option<&'a SavepointSeen> {
    let observed = facts.observed;
    if observed.deleting() { observed.last.as_ref() } else { observed.before.as_ref() }
}

fn name_of_upgrade(facts: &Facts<'_>) -> String {
    let began = facts.decision.intent.transition.as_ref().map(|transition| &transition.started_at);
    began.map(|began| name_before(&facts.observed.pipeline, began)).unwrap_or_default()
}

/// The savepoint of a change is not tried any more.
pub(super) fn has_failed_before(facts: &Facts<'_>) -> bool {
    let saves = facts.decision.intent.transition.as_ref();
    saves.is_some_and(|transition| transition.step == TransitionStep::Saving) && has_failed(facts)
}

fn has_failed(facts: &Facts<'_>) -> bool {
    match savepoint(facts) {
        Some(SavepointSeen::Here(status)) => find(&status.conditions, Kind::Stalled).is_some(),
        Some(SavepointSeen::Unreadable(_)) => true,
        Some(SavepointSeen::Missing) | None => false,
    }
}

/// The reason of a pipeline that is deleted; `SavepointFailed` when somebody has to act before it can go.
pub(super) fn reason(facts: &Facts<'_>, late: bool) -> Reason {
    let step = facts.decision.intent.transition.as_ref().map(|transition| transition.step);
    match step {
        Some(TransitionStep::Draining) if late => Reason::SavepointFailed,
        Some(TransitionStep::Saving) if late || has_failed(facts) => Reason::SavepointFailed,
        Some(TransitionStep::Draining | TransitionStep::Saving) => Reason::Savepointing,
        _ => Reason::Deploying,
    }
}

fn keeps(facts: &Facts<'_>) -> bool {
    facts.observed.pipeline.spec.termination_policy == Some(TerminationPolicy::Savepoint)
}
