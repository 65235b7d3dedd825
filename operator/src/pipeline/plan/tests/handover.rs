//! One generation takes over from another.

use super::*;

#[test]
fn another_place_to_run_leaves_the_plan_and_is_handed_over() {
    let before = live(created(), 1);
    let moved = edited(before.clone(), |pipeline| {
        let affinity = serde_json::json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"weir.dev/pipeline": "clicks"}}},
        ]}});
        pipeline.spec.affinity = Some(serde_json::from_value(affinity).expect("an affinity"));
    });
    let (old, new) = (desired(&before).expect("valid"), desired(&moved).expect("valid"));
    assert_eq!(old.plan_hash, new.plan_hash);
    assert_ne!(old.revision_hash, new.revision_hash, "the pods are others");
    let (observed, decision) = walk(moved);
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
}

#[test]
fn pods_do_not_stand_by_where_the_user_or_the_old_pods_forbid_it() {
    let more = || replicas(live(created(), 1), 5);
    for (why, observed, kind) in [
        ("the user", recreate(more()), TransitionKind::Scale),
        ("the user, of another plan", recreate(other_topic(more(), "t")), TransitionKind::Recreate),
        ("a unit that has failed", with_pods(more(), 1, UnitState::Failed), TransitionKind::Scale),
    ] {
        let (observed, decision) = walk(observed);
        assert_eq!(step(&observed), Some((kind, TransitionStep::Draining)), "{why}");
        assert!(matches!(tells(&decision.actions)[..], [Instruction::Drain(_)]), "{why}");
        let (observed, _) = walk(with_pods(observed, 1, UnitState::Cut));
        let (observed, decision) = walk(observed);
        assert_eq!(decision.intent.generation, Some(2), "{why}");
        assert_eq!(of(&mut observed.clone(), 2).replicas, Some(5), "{why}");
    }
}

#[test]
fn old_pods_that_come_back_in_a_moment_are_waited_for() {
    let restarting = with_pods(other_topic(live(created(), 1), "elsewhere"), 1, UnitState::Claiming);
    let (observed, decision) = walk(restarting);
    assert_eq!(decision.actions, [Action::Start(2)]);
    let ready = with_pods(observed, 2, UnitState::CaughtUp);
    assert_eq!(decide(&ready).actions, [], "they have to finish");
    let back = decide(&with_pods(ready.clone(), 1, UnitState::Live));
    assert!(matches!(back.actions[..], [Action::Tell(2, _), Action::Tell(1, Instruction::Drain(_))]));
    let failed = decide(&with_pods(ready.clone(), 1, UnitState::Failed));
    assert!(matches!(failed.actions[..], [Action::Remove(2), Action::Tell(1, Instruction::Drain(_))]));
    let never = decide(&after(ready, 601));
    assert!(matches!(never.actions[..], [Action::Remove(2), Action::Tell(1, Instruction::Drain(_))]));
    let (more, _) = walk(with_pods(replicas(live(created(), 1), 5), 1, UnitState::Claiming));
    let more = decide(&with_pods(more, 2, UnitState::CaughtUp));
    assert_eq!(more.actions, [Action::Tell(2, Instruction::Promote(2))], "the same plan needs nobody");
}

#[test]
fn what_is_no_longer_wanted_goes_without_a_word_to_the_pods_that_work() {
    let standing_by = with_pods(walk(replicas(live(created(), 1), 5)).0, 2, UnitState::Standby);
    let (observed, decision) = walk(replicas(standing_by.clone(), 2));
    assert_eq!((decision.phase, decision.actions), (Phase::Steady, vec![Action::Remove(2)]));
    assert_eq!(decision.intent.generation, Some(1));
    assert_eq!(decide(&observed).actions, []);
    let (_, decision) = walk(replicas(standing_by.clone(), 3));
    assert_eq!(decision.actions, [Action::Remove(2), Action::Start(3)], "another number, never used before");
    let (observed, decision) = walk(suspend(standing_by.clone(), true));
    assert!(matches!(&decision.actions[..], [Action::Remove(2), Action::Tell(1, Instruction::Drain(_))]));
    assert_eq!(step(&observed), Some((TransitionKind::Suspend, TransitionStep::Draining)));
    let (observed, decision) = walk(other_topic(standing_by, "elsewhere"));
    assert_eq!(decision.actions, [Action::Remove(2), Action::Start(3)], "another plan");
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
}

#[test]
fn another_plan_stands_by_and_takes_over_when_the_old_pods_have_finished() {
    let (observed, decision) = walk(other_topic(live(created(), 1), "elsewhere"));
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
    assert_eq!(decide(&with_pods(observed.clone(), 2, UnitState::Standby)).actions, []);
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    let id = status(&observed).transition.and_then(|transition| transition.drain).expect("an id");
    let drain = Action::Tell(1, Instruction::Drain(DrainId::new(id).expect("valid")));
    let both = [Action::Tell(2, Instruction::Promote(2)), drain];
    assert_eq!(decision.actions, both, "the protocol orders them");
    assert_eq!(
        (decision.intent.generation, decision.intent.revision),
        (Some(1), Some(1)),
        "until it has claimed"
    );
    let finished = with_pods(observed.clone(), 1, UnitState::Released);
    assert_eq!(decide(&other_topic(finished.clone(), "again")).actions, both, "one change after the other");
    let (observed, decision) = walk(with_pods(finished, 2, UnitState::Claiming));
    assert_eq!(decision.actions, [Action::Tell(2, Instruction::Promote(2))]);
    assert_eq!((decision.intent.generation, decision.intent.revision), (Some(2), Some(2)));
    assert_eq!(decision.intent.priors.iter().map(|prior| prior.generation).collect::<Vec<_>>(), [1]);
    let observed = with_pods(with_pods(observed, 1, UnitState::Superseded), 2, UnitState::Live);
    let (_, decision) = walk(observed);
    assert_eq!((decision.phase, decision.actions), (Phase::Steady, vec![Action::Remove(1)]));
}

/// Generation 2 has another plan and everything that it needs; generation 1 has finished for it.
fn finished() -> Observed {
    let standing_by = walk(other_topic(live(created(), 1), "elsewhere")).0;
    let changing = walk(with_pods(standing_by, 2, UnitState::CaughtUp)).0;
    with_pods(changing, 1, UnitState::Cut)
}

#[test]
fn a_plan_that_does_not_take_over_is_taken_back_and_not_tried_again() {
    let id = status(&finished()).transition.and_then(|transition| transition.drain).expect("an id");
    assert!(decide(&after(finished(), 74)).intent.rolled_back.is_none());
    let (observed, decision) = walk(after(finished(), 76));
    assert_eq!(decision.actions, [Action::Remove(2)], "nobody is resumed beside it");
    let (observed, decision) = walk(observed);
    let resume = Action::Tell(1, Instruction::Resume(DrainId::new(id).expect("valid")));
    assert_eq!(decision.actions, [resume, Action::Tell(1, Instruction::Promote(1))]);
    let (observed, decision) = walk(with_pods(observed, 1, UnitState::Live));
    assert_eq!((decision.phase, decision.actions), (Phase::RolledBack, vec![]));
    assert_eq!((decision.intent.generation, decision.intent.revision), (Some(1), Some(1)));
    assert_eq!(decide(&after(observed.clone(), 3_600)).phase, Phase::RolledBack);
    assert_eq!(
        decide(&replicas(observed.clone(), 5)).phase,
        Phase::RolledBack,
        "the plan is no better for it"
    );
    let lost = decide(&crate::pipeline::fixture::with_lost_pod(observed.clone(), 1, 0, 600));
    assert_eq!((lost.phase, lost.actions), (Phase::RolledBack, vec![]), "what was tried is no better for it");
    let (suspended, _) = walk(suspend(observed.clone(), true));
    let (suspended, _) = walk(with_pods(suspended, 1, UnitState::Cut));
    let (suspended, decision) = walk(without_pods(suspended, 1));
    assert_eq!(decision.phase, Phase::Suspended);
    let (resumed, decision) = walk(suspend(suspended, false));
    assert_eq!(decision.actions, [Action::Resize(1, 2)], "what worked is resumed, not what was tried");
    let (resumed, _) = walk(with_pods(resumed, 1, UnitState::Cut));
    assert_eq!(walk(with_pods(resumed, 1, UnitState::Live)).1.phase, Phase::RolledBack);
    let again = walk(asked(observed.clone(), "2026-01-01T12:00:00Z")).1;
    assert_eq!((again.actions, again.intent.rolled_back), (vec![Action::Start(3)], None), "as asked");
    let back = decide(&other_topic(observed.clone(), "clicks-per-user"));
    assert_eq!((back.phase, back.intent.rolled_back), (Phase::Steady, None), "what runs is wanted again");
    assert_eq!(decide(&other_topic(observed, "another")).actions, [Action::Start(3)]);
}

#[test]
fn a_plan_that_claims_while_it_is_taken_back_goes_on() {
    let (mut observed, _) = walk(after(finished(), 76));
    assert_eq!(of(&mut observed, 2).replicas, None, "its StatefulSet is gone");
    // Its pods are gone as well, and have claimed before: the old ones have read it.
    let mut observed = with_pods(observed, 1, UnitState::Superseded);
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").newest_generation = Some(2);
    }
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Start(2)], "it comes back");
    assert_eq!((decision.intent.generation, decision.intent.rolled_back), (Some(2), None));
    let (_, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!(decision.actions, [Action::Tell(2, Instruction::Promote(2))]);
}

#[test]
fn a_claim_that_only_the_old_pods_have_seen_counts() {
    let mut observed = with_pods(with_pods(finished(), 1, UnitState::Superseded), 2, UnitState::Failed);
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").newest_generation = Some(2);
    }
    let (observed, decision) = walk(observed);
    assert_eq!((decision.intent.generation, decision.intent.revision), (Some(2), Some(2)));
    let (_, decision) = walk(other_topic(after(observed, 61), "mended"));
    assert!(matches!(tells(&decision.actions)[..], [Instruction::Drain(_)]), "another spec is a way out");
}

#[test]
fn pods_on_a_lost_node_do_not_keep_the_old_ones_from_going_on() {
    let mut stuck = with_pods(walk(after(finished(), 76)).0, 1, UnitState::Cut);
    let lost = PodSeen { report: None, ready: false, ..of(&mut stuck, 1).pods[0].clone() };
    of(&mut stuck, 2).pods = vec![lost];
    assert_eq!(decide(&stuck).actions, [Action::Remove(2)]);
    let told = decide(&after(stuck, 61)).actions;
    assert!(matches!(tells(&told)[..], [Instruction::Resume(_), Instruction::Promote(1)]), "{told:?}");
}

#[test]
fn a_plan_is_not_blamed_for_old_pods_that_do_not_finish() {
    let slow = after(with_pods(finished(), 1, UnitState::Live), 3_600);
    assert!(
        matches!(decide(&slow).actions[..], [Action::Tell(2, _), Action::Tell(1, _)]),
        "a sink may be slow"
    );
    let saving = with_pods(finished(), 1, UnitState::Released);
    assert!(decide(&after(saving.clone(), 600)).intent.rolled_back.is_none(), "others may need the state");
    assert!(decide(&after(saving, 700)).intent.rolled_back.is_some());
    for on_its_way in [UnitState::Restoring, UnitState::CaughtUp, UnitState::Claiming] {
        let restarted = after(with_pods(finished(), 1, on_its_way), 3_600);
        let actions = decide(&restarted).actions;
        assert!(matches!(actions[..], [Action::Tell(2, _), Action::Tell(1, _)]), "{on_its_way:?}");
    }
    let broken = after(with_pods(finished(), 1, UnitState::Failed), 61);
    let (observed, decision) = walk(broken);
    assert_eq!((decision.actions, decision.intent.rolled_back), (vec![Action::Remove(2)], None));
    let (_, decision) = walk(with_pods(walk(observed).0, 1, UnitState::Live));
    assert_eq!(decision.actions, [Action::Start(3)], "tried again, once they work");
}

#[test]
fn a_plan_whose_state_is_not_durable_yet_is_carried_on() {
    let changed = walk(with_pods(finished(), 2, UnitState::Claiming)).0;
    let changed = with_pods(with_pods(changed, 1, UnitState::Superseded), 2, UnitState::Live);
    let steady = walk(changed).0;
    let priors = |observed: Observed| {
        let decision = decide(&replicas(observed, 5));
        decision.intent.priors.iter().map(|prior| prior.generation).collect::<Vec<_>>()
    };
    assert_eq!(priors(steady.clone()), [2]);
    let mut unsettled = steady;
    of(&mut unsettled, 2).pods[0].report.as_mut().expect("a report").settled = Some(false);
    assert_eq!(priors(unsettled.clone()), [2, 1], "a restore may have to follow the plan of generation 1");
    of(&mut unsettled, 2).pods[0].report.as_mut().expect("a report").settled = None;
    assert_eq!(priors(unsettled), [2, 1], "nobody knows");
}

#[test]
fn a_lost_status_is_rebuilt_from_the_pods_that_work_and_not_from_those_that_stand_by() {
    let standing_by = walk(other_topic(live(created(), 1), "elsewhere")).0;
    let lost = edited(with_pods(standing_by, 2, UnitState::CaughtUp), |pipeline| pipeline.status = None);
    let (observed, decision) = walk(lost);
    assert_eq!(decision.intent.generation, Some(1));
    assert!(decision.actions.contains(&Action::Remove(2)) && !decision.actions.contains(&Action::Remove(1)));
    assert_eq!(status(&observed).generation, Some(1));
}

#[test]
fn a_successor_that_cannot_start_leaves_the_old_pods_at_work() {
    let observed = walk(replicas(live(created(), 1), 5)).0;
    let observed = after(with_pods(observed, 2, UnitState::Failed), 3_600);
    assert_eq!(decide(&observed).actions, []);
    let observed = after(without_pods(observed, 2), 3_600);
    assert_eq!((decide(&observed).actions, decide(&observed).phase), (vec![], Phase::Changing));
}
