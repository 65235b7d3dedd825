//! What the user sees of a savepoint: its conditions, and events about what changed. Pure, but for the publishing.

use super::decide::{Course, Decision};
use super::observe::Observed;
use crate::context::{Context, publish};
use crate::pipeline::report::{event, warning};
use control::{Condition as Kind, Reason};
use crds::StreamSavepointStatus;
use crds::condition::{Verdict, conditions, find};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::runtime::events::{Event, EventType};

/// The event that says that what was saved could not be deleted.
pub const SAVEPOINT_LEFT: &str = "SavepointLeft";

/// The whole status after a decision.
pub fn status(observed: &Observed, decision: &Decision) -> StreamSavepointStatus {
    let mut status = decision.status.clone();
    let generation = observed.savepoint.metadata.generation.unwrap_or_default();
    let Some((ready, stalled)) = ready(decision) else { return status };
    let reconciling = !stalled && ready.holds != Some(true);
    let verdicts = [
        Verdict::new(Kind::Reconciling, reconciling, ready.reason, ready.message.clone()),
        Verdict::new(Kind::Stalled, stalled, ready.reason, ready.message.clone()),
        ready,
    ];
    status.conditions = conditions(&observed.status().conditions, &verdicts, generation, &Time(observed.now));
    status.observed_generation = generation;
    status
}

/// The summary, and whether somebody has to act; none for what is being deleted, whose status stays as it is.
fn ready(decision: &Decision) -> Option<(Verdict, bool)> {
    let verdict = |holds: bool, reason, message: &str| Verdict::new(Kind::Ready, holds, reason, message);
    Some(match &decision.course {
        Course::Taken => (verdict(true, Reason::Succeeded, &taken(&decision.status)), false),
        Course::Failed(failure) => {
            let reason = Reason::parse(&failure.reason).unwrap_or(Reason::SavepointFailed);
            (verdict(false, reason, &failure.message), true)
        }
        Course::Refused(reason, message) => (verdict(false, *reason, message), true),
        Course::Waits(message) => (verdict(false, Reason::Savepointing, message), false),
        Course::Deleting => return None,
    })
}

fn taken(status: &StreamSavepointStatus) -> String {
    let unit = |count: i64| if count == 1 { "1 unit".to_owned() } else { format!("{count} units") };
    let units = status.units.map(unit).unwrap_or_default();
    let (size, uri) = (status.size.as_deref().unwrap_or_default(), status.uri.as_deref().unwrap_or_default());
    let stood = if status.drained == Some(true) { ", of a pipeline that stood still" } else { "" };
    format!("{size} of {units} are saved in {uri}{stood}")
}

/// Says in events what changed.
pub(super) async fn publish_news(
    observed: &Observed,
    decision: &Decision,
    after: &StreamSavepointStatus,
    context: &Context,
) {
    for event in news(&observed.status(), after, decision) {
        publish(&context.recorder, &event, &observed.savepoint.object_ref(&())).await;
    }
}

/// What changed between two statuses, once.
pub fn news(
    before: &StreamSavepointStatus,
    after: &StreamSavepointStatus,
    decision: &Decision,
) -> Vec<Event> {
    let mut events = Vec::new();
    if decision.left {
        events.push(left(after.uri.as_deref()));
    }
    let (old, new) = (find(&before.conditions, Kind::Ready), find(&after.conditions, Kind::Ready));
    if let Some(new) = new
        && old.is_none_or(|old| (&old.reason, &old.status) != (&new.reason, &new.status))
    {
        let stalled = find(&after.conditions, Kind::Stalled).is_some();
        let note = new.message.clone();
        let made =
            if stalled { warning(&new.reason, note) } else { event(EventType::Normal, &new.reason, note) };
        events.push(made);
    }
    events
}

/// The savepoint is gone, or will be in a moment, and what was saved is not.
pub fn left(uri: Option<&str>) -> Event {
    let place =
        uri.unwrap_or("the store, in a folder below savepoints/ with its namespace, its name and its uid");
    warning(SAVEPOINT_LEFT, format!("what was saved could not be deleted: objects may still be in {place}"))
}
