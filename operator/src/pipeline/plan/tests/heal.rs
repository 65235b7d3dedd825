//! Pods that are lost with their node are replaced by those of another generation, which fences them.

use super::*;
use crate::pipeline::fixture::with_lost_pod;

#[test]
fn lost_pods_are_replaced_without_a_word_to_them() {
    let lost = with_lost_pod(live(replicas(created(), 2), 1), 1, 1, 15);
    let (observed, decision) = walk(lost);
    assert_eq!(step(&observed), Some((TransitionKind::Heal, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
    assert_eq!(decision.intent.generation, Some(1), "those that work go on");
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!(decision.actions, [Action::Tell(2, Instruction::Promote(2))]);
    assert_eq!((decision.intent.generation, decision.intent.revision), (Some(2), Some(1)));
    assert_eq!(decision.intent.priors.iter().map(|prior| prior.generation).collect::<Vec<_>>(), [1]);
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::Live));
    assert_eq!((decision.phase, decision.actions), (Phase::Steady, vec![Action::Remove(1)]));
    assert_eq!(step(&observed), None);
    assert!(decision.intent.probation.is_none() && decision.intent.history.len() == 1, "nothing has changed");
}

#[test]
fn all_pods_may_be_lost_and_the_user_may_want_no_pods_beside_others() {
    let one = with_lost_pod(live(replicas(created(), 1), 1), 1, 0, 100);
    for observed in [one.clone(), recreate(one)] {
        let (observed, decision) = walk(observed);
        assert_eq!(step(&observed).map(|(_, step)| step), Some(TransitionStep::StandingBy));
        assert_eq!(decision.actions, [Action::Start(2)], "nobody is there to be drained");
    }
}

#[test]
fn a_pod_that_is_silent_for_a_moment_or_comes_back_is_left_alone() {
    let before = live(replicas(created(), 2), 1);
    let moment = decide(&with_lost_pod(before.clone(), 1, 1, 14));
    assert_eq!((moment.phase, moment.actions), (Phase::Steady, Vec::new()));
    let (standing_by, _) = walk(with_lost_pod(before.clone(), 1, 1, 15));
    let back = with_pods(with_pods(standing_by, 2, UnitState::Standby), 1, UnitState::Live);
    let (observed, decision) = walk(back);
    assert_eq!((decision.phase, decision.actions), (Phase::Steady, vec![Action::Remove(2)]));
    assert_eq!((decision.intent.generation, step(&observed)), (Some(1), None));
}

#[test]
fn what_answers_is_not_lost_whatever_kubernetes_says() {
    let mut observed = live(replicas(created(), 2), 1);
    let since = crate::pipeline::plan::later(observed.now, -600);
    of(&mut observed, 1).pods[1].lost = Some(since);
    assert_eq!(decide(&observed).actions, []);
}

#[test]
fn more_pods_are_wanted_of_a_generation_that_has_lost_some() {
    let lost = with_lost_pod(live(replicas(created(), 2), 1), 1, 0, 60);
    let (observed, decision) = walk(replicas(lost, 4));
    assert_eq!(step(&observed), Some((TransitionKind::Scale, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
}
