//! A savepoint before a change of the plan.

use super::{Phase, other_topic, replicas, status, step, suspend, tells, walk};
use crate::pipeline::fixture::{after, created, decide, edited, live, recreate, with_pods};
use crate::pipeline::observe::{Observed, SavepointSeen};
use crate::pipeline::plan::Action;
use crate::pods::Instruction;
use ::pipeline::spec::{Checkpoint, UpdateStrategy};
use control::status::UnitState;
use crds::StreamSavepointStatus;
use crds::pipeline::{TransitionKind, TransitionStep};

fn saving(observed: Observed) -> Observed {
    edited(observed, |pipeline| {
        let storage = serde_saphyr::from_str("{uri: 's3://state'}").expect("a storage");
        pipeline.spec.checkpoint = Some(Checkpoint { interval: None, storage: Some(storage) });
        let strategy = pipeline.spec.update_strategy.take().unwrap_or_default();
        pipeline.spec.update_strategy = Some(UpdateStrategy { savepoint: Some(true), ..strategy });
    })
}

fn ready(observed: Observed) -> Observed {
    let status = StreamSavepointStatus { manifest_hash: Some("0a".repeat(16)), ..Default::default() };
    Observed { before: Some(SavepointSeen::Here(Box::new(status))), ..observed }
}

#[test]
fn another_plan_waits_for_a_savepoint_and_what_works_goes_on() {
    let (observed, decision) = walk(other_topic(live(saving(created()), 1), "elsewhere"));
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::Saving)));
    assert_eq!(decision.actions, [Action::SaveFirst]);
    let open = decide(&after(observed.clone(), 86_400));
    assert_eq!((open.phase, open.actions), (Phase::Changing, vec![]), "however long it takes");
    let gone = Observed { before: Some(SavepointSeen::Missing), ..observed.clone() };
    assert_eq!(decide(&gone).actions, [Action::SaveFirst], "somebody has deleted it: it is taken again");
    let (observed, decision) = walk(ready(observed));
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
    let (observed, _) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::Draining)), "as ever");
}

#[test]
fn without_room_the_pods_are_drained_behind_the_savepoint() {
    let (observed, decision) = walk(other_topic(recreate(live(saving(created()), 1)), "elsewhere"));
    assert_eq!(decision.actions.len(), 1);
    let (observed, decision) = walk(ready(saving(observed)));
    assert_eq!(step(&observed), Some((TransitionKind::Recreate, TransitionStep::Draining)));
    assert!(matches!(tells(&decision.actions)[..], [Instruction::Drain(_)]));
}

#[test]
fn what_keeps_the_plan_needs_no_savepoint() {
    let (observed, decision) = walk(replicas(live(saving(created()), 1), 5));
    assert_eq!(step(&observed), Some((TransitionKind::Scale, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
}

#[test]
fn what_is_no_longer_wanted_is_no_longer_waited_for() {
    let before = live(saving(created()), 1);
    let (observed, _) = walk(other_topic(before.clone(), "elsewhere"));
    let taken_back = edited(observed.clone(), |pipeline| pipeline.spec = before.pipeline.spec.clone());
    let (taken_back, decision) = walk(taken_back);
    assert_eq!((decision.phase, step(&taken_back)), (Phase::Steady, None));
    let without = edited(observed.clone(), |pipeline| {
        pipeline.spec.update_strategy.as_mut().expect("a strategy").savepoint = None;
    });
    let (without, decision) = walk(without);
    assert_eq!(step(&without), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
    let (suspended, decision) = walk(suspend(observed, true));
    assert_eq!(step(&suspended), Some((TransitionKind::Suspend, TransitionStep::Draining)));
    assert!(matches!(tells(&decision.actions)[..], [Instruction::Drain(_)]));
    assert_eq!(status(&suspended).generation, Some(1));
}
