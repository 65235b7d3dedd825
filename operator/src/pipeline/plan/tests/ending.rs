//! A pipeline is deleted, and its state is kept.

use super::{deleted, status, step, suspend, tells, walk};
use crate::pipeline::fixture::{after, created, decide, edited, live, of, with_pods, without_pods};
use crate::pipeline::observe::{Cleanup, Observed, SavepointSeen};
use crate::pipeline::plan::Action;
use crate::pods::Instruction;
use ::pipeline::spec::{Checkpoint, TerminationPolicy};
use control::status::UnitState;
use crds::StreamSavepointStatus;
use crds::pipeline::{TransitionKind, TransitionStep};

fn keeping() -> Observed {
    edited(created(), |pipeline| {
        let storage = serde_saphyr::from_str("{uri: 's3://state'}").expect("a storage");
        pipeline.spec.checkpoint = Some(Checkpoint { interval: None, storage: Some(storage) });
        pipeline.spec.termination_policy = Some(TerminationPolicy::Savepoint);
    })
}

fn ready(observed: Observed) -> Observed {
    let status = StreamSavepointStatus { manifest_hash: Some("0a".repeat(16)), ..Default::default() };
    Observed { last: Some(SavepointSeen::Here(Box::new(status))), ..observed }
}

fn discard(observed: Observed) -> Observed {
    edited(observed, |pipeline| pipeline.spec.termination_policy = None)
}

#[test]
fn the_pods_finish_and_the_topics_go_when_the_state_is_saved() {
    let (observed, decision) = walk(deleted(live(keeping(), 1)));
    assert_eq!(step(&observed), Some((TransitionKind::Delete, TransitionStep::Draining)));
    assert!(matches!(tells(&decision.actions)[..], [Instruction::Drain(_)]));
    let (observed, decision) = walk(with_pods(observed, 1, UnitState::Cut));
    assert_eq!(decision.actions, [Action::Remove(1)]);
    assert!(status(&observed).drained.is_some());
    let (observed, decision) = walk(Observed { last: Some(SavepointSeen::Missing), ..observed });
    assert_eq!(decision.actions, [Action::Save]);
    assert_eq!(step(&observed), Some((TransitionKind::Delete, TransitionStep::Saving)));
    let (observed, decision) = walk(after(observed, 86_400));
    assert_eq!(decision.actions, [], "however long it takes");
    let (observed, decision) = walk(ready(observed));
    assert_eq!(decision.actions, [Action::Clean(1)]);
    let done = Observed { cleanup: Some(Cleanup::Succeeded), ..observed };
    assert_eq!(decide(&done).actions, [Action::RemoveFinalizer]);
}

#[test]
fn pods_that_cannot_finish_stay_until_the_state_is_given_up() {
    let (observed, _) = walk(deleted(live(keeping(), 1)));
    for state in [UnitState::Live, UnitState::Released, UnitState::Failed, UnitState::Unknown] {
        let late = after(with_pods(observed.clone(), 1, state), 86_400);
        let actions = decide(&late).actions;
        assert!(actions.iter().all(|action| matches!(action, Action::Tell(..))), "{state:?}: {actions:?}");
    }
    let (given_up, decision) = walk(discard(observed));
    assert_eq!(decision.actions, [Action::Remove(1)]);
    assert_eq!(walk(without_pods(given_up, 1)).1.actions, [Action::Clean(1)]);
}

#[test]
fn a_savepoint_that_fails_keeps_the_topics_until_the_state_is_given_up() {
    let (observed, _) = walk(deleted(live(keeping(), 1)));
    let (observed, _) = walk(with_pods(observed, 1, UnitState::Cut));
    let (observed, _) = walk(Observed { last: Some(SavepointSeen::Missing), ..observed });
    assert_eq!(decide(&after(observed.clone(), 86_400)).actions, []);
    let again = Observed { last: Some(SavepointSeen::Missing), ..observed.clone() };
    assert_eq!(decide(&again).actions, [Action::Save], "somebody has deleted the one that failed");
    assert_eq!(walk(discard(observed)).1.actions, [Action::Clean(1)]);
}

#[test]
fn a_suspended_pipeline_is_saved_as_it_stands_and_one_that_never_worked_is_not() {
    let (observed, _) = walk(suspend(live(keeping(), 1), true));
    let (observed, _) = walk(with_pods(observed, 1, UnitState::Cut));
    let (observed, _) = walk(without_pods(observed, 1));
    let (observed, _) = walk(deleted(observed));
    assert_eq!(step(&observed), Some((TransitionKind::Delete, TransitionStep::Removing)));
    let (_, decision) = walk(Observed { last: Some(SavepointSeen::Missing), ..observed });
    assert_eq!(decision.actions, [Action::Save]);
    let (starting, _) = walk(keeping());
    let (starting, decision) = walk(deleted(starting));
    assert_eq!(decision.actions, [Action::Remove(1)]);
    assert_eq!(walk(starting).1.actions, [Action::Clean(1)], "there is no state");
}

#[test]
fn pods_that_were_about_to_take_over_do_so_before_they_finish() {
    let (observed, _) = walk(with_pods(walk(keeping()).0, 1, UnitState::CaughtUp));
    let (observed, decision) = walk(deleted(with_pods(observed, 1, UnitState::CaughtUp)));
    assert!(matches!(tells(&decision.actions)[..], [Instruction::Promote(1), Instruction::Drain(_)]));
    let mut gone = observed;
    of(&mut gone, 1).replicas = None;
    let (_, decision) = walk(Observed { last: Some(SavepointSeen::Missing), ..without_pods(gone, 1) });
    assert_eq!(decision.actions, [Action::Save], "without pods nobody can finish");
}
