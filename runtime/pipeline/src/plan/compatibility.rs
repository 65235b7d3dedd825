//! Whether a plan can take over the state of the plan before it: asked before anything is touched, and again by the
//! unit that does it.
//!
//! State belongs to a window step, by its name. The step may stand anywhere: other steps, sinks, stages and the order
//! of all of them decide nothing. What decides is the meaning of the bytes: the key fields, the size, the aggregates.
//!
//! | step in the new plan | its state |
//! |---|---|
//! | same name, same meaning | kept |
//! | same name, other meaning | refused |
//! | new name | empty |
//! | gone | dropped |

use super::{Aggregate, Input, NodeKind, Plan, SourceId, StageId, Window, WindowKind};
use crate::spec::Duration;

/// A window step that has the name of a step before it, and another meaning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "step `{step}` has state that means something else now: {}; give the step another name to start it empty, or take the change back",
    changes.join(", ")
)]
pub struct Incompatible {
    /// The step.
    pub step: String,
    /// What differs, in words, at least one.
    pub changes: Vec<String>,
}

/// Says whether units of `new` can take over the state of units of `old`, or which steps they cannot.
///
/// # Errors
/// Every step whose state would be misread, in the order of the new plan.
pub fn compatibility(old: &Plan, new: &Plan) -> Result<(), Vec<Incompatible>> {
    let found: Vec<Incompatible> = windows(new)
        .filter_map(|(_, window)| {
            let (_, before) = windows(old).find(|(_, before)| before.name == window.name)?;
            let changes = changes(before, window);
            (!changes.is_empty()).then(|| Incompatible { step: window.name.clone(), changes })
        })
        .collect();
    if found.is_empty() { Ok(()) } else { Err(found) }
}

/// What becomes of the state of `old` under `new`, which is compatible with it. Each list in the order of its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateChanges {
    /// Steps whose state is kept.
    pub kept: Vec<String>,
    /// Steps that start empty.
    pub empty: Vec<String>,
    /// Steps that are gone, and their state with them.
    pub dropped: Vec<String>,
    /// State or positions go from units of one stage to those of another: who takes over waits until they are durable.
    pub moves: bool,
}

/// What becomes of the state of `old` under `new`, as far as the plans alone tell.
pub fn state_changes(old: &Plan, new: &Plan) -> StateChanges {
    let mut changes = StateChanges::default();
    let stage_of = |plan: &Plan, at: StageId| plan.stage(at).name.clone();
    for (at, window) in windows(new) {
        match windows(old).find(|(_, before)| before.name == window.name) {
            Some((before, _)) => {
                changes.moves |= stage_of(old, before) != stage_of(new, at);
                changes.kept.push(window.name.clone());
            }
            None => changes.empty.push(window.name.clone()),
        }
    }
    let is_gone = |name: &String| windows(new).all(|(_, window)| window.name != *name);
    changes.dropped =
        windows(old).map(|(_, window)| window.name.clone()).filter(|name| is_gone(name)).collect();
    for source in (0..new.sources().len() as u16).map(SourceId) {
        let (before, now) = (reader_of(old, new, source), reader_of(new, new, source));
        let stages = before.zip(now).map(|(before, now)| (stage_of(old, before), stage_of(new, now)));
        changes.moves |= stages.is_some_and(|(before, now)| before != now);
    }
    changes
}

/// The stage of `old` that reads what `source` of `new` reads.
pub(crate) fn reader_of(old: &Plan, new: &Plan, source: SourceId) -> Option<StageId> {
    let reads = |input: &Input| match input {
        Input::Source(before) => is_same_source(old, *before, new, source),
        Input::Repartition { .. } => false,
    };
    let at = old.stages().iter().position(|stage| stage.inputs.iter().any(reads))?;
    Some(StageId(at as u16))
}

pub(crate) fn is_same_source(old: &Plan, before: SourceId, new: &Plan, now: SourceId) -> bool {
    let (before, now) = (&old.sources()[usize::from(before.0)], &new.sources()[usize::from(now.0)]);
    before.name == now.name && before.connector.topic() == now.connector.topic()
}

/// Every window with the stage that keeps its state.
pub(crate) fn windows(plan: &Plan) -> impl Iterator<Item = (StageId, &Window)> {
    (0u16..).zip(plan.stages()).flat_map(|(id, stage)| {
        stage.nodes.iter().filter_map(move |node| match &node.kind {
            NodeKind::MergeWindows { window, .. } => Some((StageId(id), &**window)),
            _ => None,
        })
    })
}

/// What decides the bytes and the meaning of state. Who takes late records and how long a window waits for them does
/// not: both concern records that are still to come.
fn changes(old: &Window, new: &Window) -> Vec<String> {
    let mut changes = Vec::new();
    if old.key_by != new.key_by {
        changes.push(format!("`keyBy` is {} instead of {}", keys(new), keys(old)));
    }
    let WindowKind::Tumbling { size_ms: before } = old.kind;
    let WindowKind::Tumbling { size_ms: now } = new.kind;
    if before != now {
        changes.push(format!("the size is {} instead of {}", Duration::text(now), Duration::text(before)));
    }
    aggregates(&old.aggregates, &new.aggregates, &mut changes);
    changes
}

fn keys(window: &Window) -> String {
    let keys: Vec<String> = window.key_by.iter().map(|(_, path)| path.0.join(".")).collect();
    format!("[{}]", keys.join(", "))
}

fn aggregates(old: &[Aggregate], new: &[Aggregate], changes: &mut Vec<String>) {
    let before = changes.len();
    for aggregate in new {
        match old.iter().find(|other| other.name == aggregate.name) {
            None => changes.push(format!("aggregate `{}` is new", aggregate.name)),
            Some(other) if other != aggregate => {
                let (name, now, then) = (&aggregate.name, does(aggregate), does(other));
                changes.push(format!("aggregate `{name}` is {now} instead of {then}"));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|other| new.iter().all(|aggregate| aggregate.name != other.name));
    changes.extend(gone.map(|other| format!("aggregate `{}` is gone", other.name)));
    if changes.len() == before && old != new {
        changes.push("the aggregates are in another order".to_owned());
    }
}

fn does(aggregate: &Aggregate) -> String {
    let of = aggregate.field.as_ref().map(|field| format!(" of `{}`", field.0.join("."))).unwrap_or_default();
    format!("{:?}{of}", aggregate.function)
}
