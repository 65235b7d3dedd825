//! What is said of a pipeline that begins with a savepoint.

use super::Facts;
use crate::job::{End, JobSeen};
use crate::pipeline::validate::Restoration;
use control::call::bounded_message;
use control::savepoint::{Failed, JobResult};
use crds::pipeline::TransitionStep;

/// What it waits on.
pub(super) fn waits_on(facts: &Facts<'_>) -> String {
    let restore = facts.desired.as_ref().ok().and_then(|desired| desired.restore.as_ref());
    let from = match restore {
        Some(Restoration::Waits(what)) => return what.clone(),
        Some(Restoration::From { place, .. }) => place.uri.as_str(),
        None => "a savepoint",
    };
    bounded_message(format!("restoring from {from}{}", hindrance(facts).unwrap_or_default()))
}

fn hindrance(facts: &Facts<'_>) -> Option<String> {
    match facts.observed.restore.as_ref()? {
        JobSeen::Running(trouble) => trouble.as_ref().map(|trouble| format!("; {trouble}")),
        JobSeen::Going | JobSeen::Ended(End { said: Ok(JobResult::Restored(_)), .. }) => None,
        JobSeen::Ended(End { said: Ok(JobResult::Failed(failed)), .. }) => {
            Some(format!("; it did not work, and is tried again: {}", failed.message))
        }
        JobSeen::Ended(End { said: Err(why), .. }) => {
            Some(format!("; it did not work, and is tried again: {why}"))
        }
        JobSeen::Ended(End { said: Ok(JobResult::Taken(_) | JobResult::Deleted), .. }) => {
            Some("; its Job has said something else, and is tried again".to_owned())
        }
    }
}

/// The Job has failed, and to try again changes nothing.
pub(super) fn failed_for_good<'a>(facts: &Facts<'a>) -> Option<&'a Failed> {
    let step = facts.decision.intent.transition.as_ref().map(|transition| transition.step);
    if step != Some(TransitionStep::Restoring) {
        return None;
    }
    match facts.observed.restore.as_ref()? {
        JobSeen::Ended(End { said: Ok(JobResult::Failed(failed)), .. }) if failed.permanent => Some(failed),
        _ => None,
    }
}
