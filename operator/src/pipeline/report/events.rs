//! Events: what changed, once. Pure.

use crate::context::bounded_note;
use crate::pipeline::plan::{Decision, Note};
use control::{Condition as Kind, Reason};
use crds::StreamPipelineStatus;
use crds::condition::find;
use kube::runtime::events::{Event, EventType};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Events that are no reason of `Ready`.
#[cfg(test)]
pub(super) const OTHERS: [&str; 4] =
    [GENERATION_STARTED, DRAINED, TOPICS_LEFT, crate::savepoint::report::SAVEPOINT_LEFT];
const GENERATION_STARTED: &str = "GenerationStarted";
const DRAINED: &str = "Drained";
const TOPICS_LEFT: &str = "TopicsLeft";

/// What happened between two statuses.
pub(super) fn events(
    before: &StreamPipelineStatus,
    after: &StreamPipelineStatus,
    decision: &Decision,
) -> Vec<Event> {
    let mut events = Vec::new();
    if newest(after) > newest(before) {
        events.extend(started(after));
    }
    if let (Some(drained), true) = (&after.drained, after.drained != before.drained) {
        let note = format!(
            "generation {} has finished and saved its state (drain {})",
            drained.generation, drained.id
        );
        events.push(normal(DRAINED, note));
    }
    events.extend(judgement(before, after));
    if decision.note == Some(Note::TopicsLeft) {
        events.push(topics_left());
    }
    events
}

fn newest(status: &StreamPipelineStatus) -> Option<u64> {
    successor(status).max(status.generation)
}

fn successor(status: &StreamPipelineStatus) -> Option<u64> {
    status.transition.as_ref()?.successor
}

/// Pods of a new generation are made.
fn started(status: &StreamPipelineStatus) -> Option<Event> {
    let (generation, revision) = (status.generation?, status.revision?);
    let note = match successor(status) {
        Some(next) => {
            format!("generation {next} starts beside generation {generation}, which works until then")
        }
        None => format!("generation {generation} starts with revision {revision}"),
    };
    Some(normal(GENERATION_STARTED, note))
}

/// `Ready` for another reason, or somebody has to act now.
fn judgement(before: &StreamPipelineStatus, after: &StreamPipelineStatus) -> Option<Event> {
    let ready = find(&after.conditions, Kind::Ready)?;
    let old = find(&before.conditions, Kind::Ready);
    let stalled = |status: &StreamPipelineStatus| find(&status.conditions, Kind::Stalled).is_some();
    let same = old.is_some_and(|old| (&old.reason, &old.status) == (&ready.reason, &ready.status));
    if same && stalled(before) == stalled(after) {
        return None;
    }
    let calm = !stalled(after) && Reason::parse(&ready.reason).is_some_and(expected);
    let make = if calm { normal } else { warning };
    Some(make(&ready.reason, ready.message.clone()))
}

/// The pipeline is gone, or will be in a moment, and its internal topics or snapshots are not.
pub fn topics_left() -> Event {
    let note = "what the pipeline has of its own could not be deleted: internal topics may still be in Kafka, and snapshots in the bucket of checkpoint.storage; their names contain namespace, name and the first 8 digits of the uid of the pipeline, those of topics begin with `weir.`";
    warning(TOPICS_LEFT, note.to_owned())
}

/// Reasons that nobody has to act on.
fn expected(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Running
            | Reason::Suspended
            | Reason::Deploying
            | Reason::Savepointing
            | Reason::HandingOver
            | Reason::Scaling
            | Reason::Succeeded
            | Reason::IdleSource
    )
}

fn normal(reason: &str, note: String) -> Event {
    event(EventType::Normal, reason, note)
}

/// Somebody has to see to it.
pub fn warning(reason: &str, note: String) -> Event {
    event(EventType::Warning, reason, note)
}

/// Events of equal type, reason and action are merged for minutes, with the note of the first one. So the action holds
/// what tells notes apart.
pub fn event(type_: EventType, reason: &str, note: String) -> Event {
    let note = bounded_note(note);
    let hash = Sha256::digest(note.as_bytes()).iter().take(4).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    Event {
        type_,
        reason: reason.to_owned(),
        note: Some(note).filter(|note| !note.is_empty()),
        action: format!("Reconcile-{hash}"),
        secondary: None,
    }
}
