//! Events: what changed, once. Pure.

use crate::pipeline::plan::{Decision, Note};
use control::{Condition as Kind, Reason};
use crds::StreamPipelineStatus;
use crds::condition::find;
use kube::runtime::events::{Event, EventType};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Longest note that the API server takes, in bytes.
const NOTE_BYTES_MAX: usize = 1_000;

/// What happened between two statuses.
pub(super) fn events(
    before: &StreamPipelineStatus,
    after: &StreamPipelineStatus,
    decision: &Decision,
) -> Vec<Event> {
    let mut events = Vec::new();
    if after.generation > before.generation
        && let (Some(generation), Some(revision)) = (after.generation, after.revision)
    {
        events.push(normal(
            "GenerationStarted",
            format!("generation {generation} starts with revision {revision}"),
        ));
    }
    if let (Some(drained), true) = (&after.drained, after.drained != before.drained) {
        let note = format!(
            "generation {} has finished and saved its state (drain {})",
            drained.generation, drained.id
        );
        events.push(normal("Drained", note));
    }
    if let Some(ready) = find(&after.conditions, Kind::Ready) {
        let old = find(&before.conditions, Kind::Ready);
        let same = old.is_some_and(|old| (&old.reason, &old.status) == (&ready.reason, &ready.status));
        let reason = Reason::parse(&ready.reason);
        match reason {
            Some(reason) if !same && expected(reason) => {
                events.push(normal(&ready.reason, ready.message.clone()));
            }
            Some(_) if !same => events.push(warning(&ready.reason, ready.message.clone())),
            _ => {}
        }
    }
    if decision.note == Some(Note::TopicsLeft) {
        let note = "the internal topics of the pipeline could not be deleted and are still in Kafka; their names begin with `weir.` and contain the first 8 digits of the uid of the pipeline";
        events.push(warning("TopicsLeft", note.to_owned()));
    }
    events
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
            | Reason::RollingBack
            | Reason::Succeeded
            | Reason::IdleSource
    )
}

fn normal(reason: &str, note: String) -> Event {
    event(EventType::Normal, reason, note)
}

fn warning(reason: &str, note: String) -> Event {
    event(EventType::Warning, reason, note)
}

/// Events of equal type, reason and action are merged for minutes, with the note of the first one. So the action holds
/// what tells notes apart.
fn event(type_: EventType, reason: &str, mut note: String) -> Event {
    if note.len() > NOTE_BYTES_MAX {
        let end = (0..=NOTE_BYTES_MAX).rev().find(|at| note.is_char_boundary(*at)).unwrap_or(0);
        note.truncate(end);
    }
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
