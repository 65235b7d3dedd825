//! What is being done to a pipeline, or will be when it is resumed, in words. Pure.

use super::{Facts, counted};
use crate::pipeline::plan::Phase;
use ::pipeline::plan::{Plan, from_yaml, state_changes};
use control::call::bounded_message;
use crds::pipeline::TransitionKind;
use std::fmt::Write as _;

/// What the change of the spec comes to; none while pods are what the spec says, or nothing can be said.
pub(super) fn planned(facts: &Facts<'_>) -> Option<String> {
    let desired = facts.desired.as_ref().ok()?;
    let intent = &facts.decision.intent;
    let works = facts.observed.facts(intent.generation?)?;
    if works.generation_hash == desired.generation_hash {
        return None;
    }
    let transition = intent.transition.as_ref();
    let how = match transition.map(|transition| (transition.kind, transition.successor)) {
        None if facts.decision.phase == Phase::Suspended => "when it is resumed",
        Some((TransitionKind::Rollback, _)) => "taken back",
        Some((TransitionKind::Handover | TransitionKind::Scale | TransitionKind::Heal, Some(_))) => {
            "handed over"
        }
        Some((TransitionKind::Recreate | TransitionKind::Scale, None)) => {
            "the old pods finish, save their state and go; then new ones start"
        }
        _ => return None,
    };
    let (before, after) = (works.file.shape.replicas, desired.shape.replicas);
    let same_plan = works.file.plan_hash == desired.plan_hash;
    let what = match (same_plan, before == after) {
        (true, true) => "the same plan, other pods".to_owned(),
        (true, false) => format!("the same plan, {} instead of {before}", counted(after as usize, "pod")),
        (false, _) => "another plan".to_owned(),
    };
    let plans = (!same_plan).then(|| (from_yaml(&works.file.manifest), from_yaml(&desired.manifest)));
    let state = match plans {
        Some((Ok(old), Ok(new))) => format!("; {}", state(&old, &new)),
        _ => String::new(),
    };
    Some(bounded_message(format!("{how}: {what}{state}")))
}

/// What becomes of the state of steps from one plan to another.
pub(crate) fn state(old: &Plan, new: &Plan) -> String {
    let changes = state_changes(old, new);
    let mut text = String::from("state:");
    let groups = [(&changes.kept, "kept"), (&changes.empty, "starts empty"), (&changes.dropped, "dropped")];
    for (names, what) in groups.into_iter().filter(|(names, _)| !names.is_empty()) {
        let separator = if text.ends_with(':') { "" } else { ";" };
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(text, "{separator} {} {what}", names.join(", "));
    }
    if text.ends_with(':') {
        text.push_str(" there is none");
    }
    text
}
