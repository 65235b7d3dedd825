//! The decisions over a table of situations, and walks through whole transitions.

use super::{Action, Phase};
use crate::pipeline::RESTARTED_AT_ANNOTATION;
use crate::pipeline::fixture::{
    after, carried_out, created, decide, desired, edited, live, of, recreate, status, with_pods, without_pods,
};
use crate::pipeline::observe::{Cleanup, Observed, PodSeen, Trouble};
use crate::pods::{Address, Instruction};
use control::call::DrainId;
use control::status::UnitState;
use crds::pipeline::{TransitionKind, TransitionStep};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use proptest::prelude::*;
use std::fmt::Write as _;

fn tells(actions: &[Action]) -> Vec<&Instruction> {
    let told = actions.iter().filter_map(|action| match action {
        Action::Tell(_, instruction) => Some(instruction),
        _ => None,
    });
    told.collect()
}

fn step(observed: &Observed) -> Option<(TransitionKind, TransitionStep)> {
    status(observed).transition.map(|transition| (transition.kind, transition.step))
}

fn replicas(observed: Observed, replicas: i32) -> Observed {
    edited(observed, |pipeline| pipeline.spec.replicas = Some(replicas))
}

fn other_topic(observed: Observed, topic: &str) -> Observed {
    edited(observed, |pipeline| {
        pipeline.spec.sinks[0].kafka.as_mut().expect("a topic").topic = topic.to_owned();
    })
}

fn suspend(observed: Observed, suspend: bool) -> Observed {
    edited(observed, |pipeline| pipeline.spec.suspend = Some(suspend))
}

fn deleted(observed: Observed) -> Observed {
    let now = Time(observed.now);
    edited(observed, |pipeline| pipeline.metadata.deletion_timestamp = Some(now))
}

/// Decides, carries out, and returns both.
fn walk(observed: Observed) -> (Observed, super::Decision) {
    let decision = decide(&observed);
    (carried_out(observed, &decision), decision)
}

#[test]
fn the_decision_in_each_situation() {
    let steady = live(created(), 1);
    let draining = walk(recreate(other_topic(steady.clone(), "elsewhere"))).0;
    let cut = with_pods(draining.clone(), 1, UnitState::Cut);
    let standing_by = walk(other_topic(steady.clone(), "elsewhere")).0;
    let changing = walk(with_pods(standing_by.clone(), 2, UnitState::CaughtUp)).0;
    let released = with_pods(changing.clone(), 1, UnitState::Cut);
    let rolling_back = walk(after(released.clone(), 76)).0;
    let suspending = walk(suspend(steady.clone(), true)).0;
    let situations = vec![
        ("a new pipeline", created()),
        (
            "a new pipeline without a finalizer",
            edited(created(), |pipeline| pipeline.metadata.finalizers = None),
        ),
        ("a new pipeline that is suspended", suspend(created(), true)),
        ("a window is missing", Observed { windows: std::collections::BTreeMap::new(), ..created() }),
        ("the pods of the first generation are not there yet", walk(created()).0),
        ("they restore", with_pods(walk(created()).0, 1, UnitState::Restoring)),
        ("they have caught up", with_pods(walk(created()).0, 1, UnitState::CaughtUp)),
        ("they are live", steady.clone()),
        ("the spec has changed", other_topic(steady.clone(), "elsewhere")),
        ("the next pods restore", with_pods(standing_by.clone(), 2, UnitState::Restoring)),
        ("they have caught up with the old ones", with_pods(standing_by, 2, UnitState::CaughtUp)),
        ("the old pods have finished", released.clone()),
        ("the next ones claim", with_pods(released, 2, UnitState::Claiming)),
        ("they do not, and are gone", rolling_back.clone()),
        ("the old ones work again", with_pods(walk(rolling_back).0, 1, UnitState::Live)),
        ("the spec has changed, and there is no room", recreate(other_topic(steady.clone(), "elsewhere"))),
        ("only the number of replicas has changed", replicas(steady.clone(), 5)),
        ("the old pods drain", with_pods(draining.clone(), 1, UnitState::Released)),
        ("all state of the old pods is durable", cut.clone()),
        ("the old pods are gone", walk(cut).0),
        ("the user suspends", suspend(steady.clone(), true)),
        ("the state of the suspended pods is durable", with_pods(suspending, 1, UnitState::Cut)),
        ("the user deletes", deleted(steady)),
    ];
    let mut text = String::new();
    for (name, observed) in situations {
        let decision = decide(&observed);
        let transition = decision.intent.transition.map(|t| format!("{:?} {:?}", t.kind, t.step));
        writeln!(text, "{name}\n  phase {:?}, transition {}\n  generation {:?} of revision {:?}, promoted {}, drained {}\n  actions {:?}",
            decision.phase,
            transition.as_deref().unwrap_or("none"),
            decision.intent.generation,
            decision.intent.revision,
            decision.intent.promoted,
            decision.intent.drained.is_some(),
            decision.actions).expect("a text");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_new_pipeline_starts_and_is_promoted_when_all_units_have_caught_up() {
    let (observed, decision) = walk(created());
    assert_eq!(decision.actions, [Action::Start(1)]);
    assert_eq!(step(&observed), Some((TransitionKind::Start, TransitionStep::Starting)));
    let restoring = with_pods(observed, 1, UnitState::Standby);
    assert_eq!(decide(&restoring).actions, []);
    let (observed, decision) = walk(with_pods(restoring, 1, UnitState::CaughtUp));
    assert_eq!(tells(&decision.actions), [&Instruction::Promote(1)]);
    assert!(decision.intent.promoted);
    let again = decide(&with_pods(observed.clone(), 1, UnitState::Claiming));
    assert_eq!(tells(&again.actions), [&Instruction::Promote(1)], "told again until all are live");
    let decision = decide(&with_pods(observed, 1, UnitState::Live));
    assert_eq!((decision.phase, decision.actions), (Phase::Steady, vec![]));
}

#[test]
fn one_silent_pod_keeps_the_others_from_being_promoted() {
    let mut observed = with_pods(walk(created()).0, 1, UnitState::CaughtUp);
    of(&mut observed, 1).pods[1].report = None;
    assert_eq!(decide(&observed).actions, []);
    of(&mut observed, 1).pods.pop();
    assert_eq!(decide(&observed).actions, []);
}

#[test]
fn a_worker_between_two_lives_knows_nothing_of_its_units() {
    let draining = walk(recreate(other_topic(live(created(), 1), "elsewhere"))).0;
    let mut observed = with_pods(draining, 1, UnitState::Cut);
    for pod in &mut of(&mut observed, 1).pods {
        let report = pod.report.as_mut().expect("a report");
        (report.units, report.workers[0].incarnation) = (Vec::new(), None);
    }
    assert!(!decide(&observed).actions.contains(&Action::Remove(1)), "no unit is no proof");
}

#[test]
fn without_room_a_changed_spec_drains_removes_and_starts_the_next_generation() {
    let observed = recreate(other_topic(live(created(), 1), "elsewhere"));
    let (observed, decision) = walk(observed);
    let id = status(&observed).transition.and_then(|transition| transition.drain).expect("an id");
    assert_eq!(
        decision.actions,
        [Action::Tell(1, Instruction::Drain(DrainId::new(id.clone()).expect("valid")))]
    );
    let (observed, _) = walk(after(with_pods(observed, 1, UnitState::Released), 5));
    let same = status(&observed).transition.and_then(|transition| transition.drain);
    assert_eq!(same, Some(id.clone()), "the same id at every look");
    let (observed, decision) = walk(with_pods(observed, 1, UnitState::Cut));
    assert_eq!(decision.actions, [Action::Remove(1)]);
    assert_eq!(decision.intent.drained.map(|drained| (drained.id, drained.generation)), Some((id, 1)));
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Start(2)]);
    let priors: Vec<u64> = decision.intent.priors.iter().map(|prior| prior.generation).collect();
    assert_eq!((priors, decision.intent.revision, decision.intent.promoted), (vec![1], Some(2), false));
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!(tells(&decision.actions), [&Instruction::Promote(2)], "a next generation resumes nothing");
    assert_eq!(decide(&with_pods(observed, 2, UnitState::Live)).phase, Phase::Steady);
}

#[test]
fn pods_are_not_removed_without_the_proof_that_all_state_is_durable() {
    let (draining, _) = walk(recreate(other_topic(live(created(), 1), "elsewhere")));
    for state in [UnitState::Live, UnitState::Released, UnitState::Unknown] {
        let late = after(with_pods(draining.clone(), 1, state), 3_600);
        let removed = decide(&late).actions.iter().any(|action| matches!(action, Action::Remove(_)));
        assert!(!removed || state == UnitState::Unknown, "{state:?}");
    }
    let mut silent = after(with_pods(draining.clone(), 1, UnitState::Cut), 3_600);
    of(&mut silent, 1).pods[0].report = None;
    assert!(
        !decide(&silent).actions.contains(&Action::Remove(1)),
        "a pod that runs and is silent may be at work"
    );
    let other_drain = edited(with_pods(draining, 1, UnitState::Cut), |pipeline| {
        let transition = pipeline.status.as_mut().and_then(|status| status.transition.as_mut());
        transition.expect("a transition").drain = Some("another".to_owned());
    });
    assert!(
        !decide(&other_drain).actions.contains(&Action::Remove(1)),
        "cut under another drain proves nothing"
    );
}

#[test]
fn a_generation_that_never_worked_is_replaced_after_the_deadline_and_stays_a_prior() {
    let (observed, _) = walk(with_pods(walk(created()).0, 1, UnitState::CaughtUp));
    let mut broken = with_pods(other_topic(observed, "elsewhere"), 1, UnitState::Claiming);
    of(&mut broken, 1).pods[0].trouble = Some(Trouble::Ends { code: 1, said: String::new() });
    let (draining, decision) = walk(broken);
    assert!(matches!(tells(&decision.actions)[..], [Instruction::Drain(_)]));
    let (removed, decision) = walk(after(draining, 61));
    assert_eq!((decision.actions, decision.intent.drained), (vec![Action::Remove(1)], None));
    let (_, decision) = walk(removed);
    assert_eq!(decision.intent.priors.iter().map(|prior| prior.generation).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_generation_that_was_never_promoted_is_replaced_at_once_and_is_no_prior() {
    let observed = other_topic(with_pods(walk(created()).0, 1, UnitState::Restoring), "elsewhere");
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Remove(1)]);
    let (_, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Start(2)]);
    assert_eq!(decision.intent.priors, []);
}

#[test]
fn more_replicas_stand_by_while_the_old_ones_work_and_take_over_when_all_are_near() {
    let (observed, decision) = walk(replicas(live(created(), 1), 5));
    assert_eq!(step(&observed), Some((TransitionKind::Scale, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
    assert_eq!(decision.intent.generation, Some(1), "it works");
    assert_eq!(decision.intent.priors.iter().map(|prior| prior.generation).collect::<Vec<_>>(), [1]);
    for state in [UnitState::Restoring, UnitState::Standby, UnitState::Failed] {
        assert_eq!(decide(&with_pods(observed.clone(), 2, state)).actions, [], "{state:?}");
    }
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!(decision.actions, [Action::Tell(2, Instruction::Promote(2))]);
    assert_eq!((decision.intent.generation, decision.intent.revision), (Some(2), Some(1)));
    assert_eq!(decision.intent.priors.iter().map(|prior| prior.generation).collect::<Vec<_>>(), [1]);
    let observed = with_pods(observed, 1, UnitState::Superseded);
    assert_eq!(decide(&with_pods(observed.clone(), 2, UnitState::Claiming)).actions.len(), 1, "told again");
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::Live));
    assert_eq!((decision.phase, decision.actions), (Phase::Steady, vec![Action::Remove(1)]));
    assert_eq!(of(&mut observed.clone(), 2).replicas, Some(5));
}

/// A restart, asked for by this text.
fn asked(observed: Observed, at: &str) -> Observed {
    edited(observed, |pipeline| {
        pipeline.annotations_mut().insert(RESTARTED_AT_ANNOTATION.to_owned(), at.to_owned());
    })
}

#[test]
fn a_restart_is_a_next_generation_of_the_same_revision() {
    let (observed, decision) = walk(asked(live(created(), 1), "2026-01-01T12:00:00Z"));
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!((decision.intent.generation, decision.intent.revision), (Some(2), Some(1)));
    let live = with_pods(with_pods(observed, 1, UnitState::Superseded), 2, UnitState::Live);
    assert_eq!(decide(&live).phase, Phase::Steady, "once");
    assert_eq!(
        decide(&asked(live, "2026-01-01T12:05:00Z")).phase,
        Phase::Changing,
        "another text is another restart"
    );
}

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

#[test]
fn an_edited_window_is_a_next_revision_of_who_uses_it() {
    let mut observed = live(created(), 1);
    observed.windows.get_mut("per-user-5m").expect("a window").allowed_lateness =
        Some(::pipeline::spec::Duration("1m".to_owned()));
    let (observed, decision) = walk(observed);
    assert_eq!(step(&observed), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(2)]);
}

#[test]
fn suspend_keeps_the_generation_and_resume_ends_its_drain() {
    let (observed, _) = walk(suspend(live(created(), 1), true));
    let (observed, decision) = walk(with_pods(observed, 1, UnitState::Cut));
    assert_eq!(decision.actions, [Action::Resize(1, 0)]);
    let id = decision.intent.drained.expect("a drain").id;
    let (observed, decision) = walk(without_pods(observed, 1));
    assert_eq!((decision.phase, decision.actions), (Phase::Suspended, vec![]));
    assert_eq!(decide(&after(observed.clone(), 3_600)).phase, Phase::Suspended);
    let (observed, decision) = walk(suspend(observed, false));
    assert_eq!(decision.actions, [Action::Start(1)]);
    let (observed, decision) = walk(with_pods(observed, 1, UnitState::Cut));
    let resume = Instruction::Resume(DrainId::new(id).expect("valid"));
    assert_eq!(tells(&decision.actions), [&resume, &Instruction::Promote(1)]);
    let (observed, decision) = walk(with_pods(observed, 1, UnitState::Live));
    assert_eq!((decision.phase, status(&observed).drained), (Phase::Steady, None));
}

#[test]
fn a_pipeline_that_is_to_run_again_before_it_has_stopped_is_not_taken_for_suspended() {
    let (observed, _) = walk(suspend(live(created(), 1), true));
    let (observed, _) = walk(with_pods(observed, 1, UnitState::Cut));
    let (observed, decision) = walk(suspend(without_pods(observed, 1), false));
    assert_eq!((decision.phase, decision.actions), (Phase::Changing, vec![Action::Start(1)]));
    assert_eq!(step(&observed), Some((TransitionKind::Resume, TransitionStep::Starting)));
}

#[test]
fn a_spec_that_changed_while_suspended_starts_the_next_generation_from_the_cut() {
    let (observed, _) = walk(suspend(live(created(), 1), true));
    let (observed, _) = walk(with_pods(observed, 1, UnitState::Cut));
    let (observed, _) = walk(without_pods(observed, 1));
    let (observed, decision) = walk(other_topic(suspend(observed, false), "elsewhere"));
    assert_eq!(decision.actions, [Action::Remove(1)], "the StatefulSet without pods");
    let (_, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Start(2)]);
    assert_eq!(decision.intent.priors.len(), 1);
}

#[test]
fn a_number_that_somebody_else_has_claimed_is_never_used() {
    let mut observed = live(created(), 1);
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").newest_generation = Some(7);
    }
    let (observed, _) = walk(observed);
    assert_eq!(step(&observed), Some((TransitionKind::Recreate, TransitionStep::Draining)));
    let (mut observed, _) = walk(with_pods(observed, 1, UnitState::Cut));
    // Pods that are gone cannot say what they saw; a newer one may.
    of(&mut observed, 1).replicas = None;
    let (_, decision) = walk(observed);
    assert!(decision.intent.generation > Some(1));
}

#[test]
fn a_lost_status_is_rebuilt_from_what_runs() {
    let observed = edited(live(created(), 1), |pipeline| pipeline.status = None);
    let (observed, decision) = walk(observed);
    assert_eq!((decision.intent.generation, decision.intent.promoted), (Some(1), true));
    assert_eq!(decide(&observed).phase, Phase::Steady, "no pod was touched");
}

#[test]
fn a_lost_status_of_a_deleted_pipeline_is_cleaned_all_the_same() {
    let (observed, _) = walk(deleted(edited(live(created(), 1), |pipeline| pipeline.status = None)));
    let (_, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Clean(1)]);
}

#[test]
fn what_somebody_else_has_resized_is_put_right() {
    let mut observed = live(created(), 1);
    of(&mut observed, 1).replicas = Some(7);
    assert_eq!(decide(&observed).actions, [Action::Resize(1, 2)]);
}

#[test]
fn an_older_generation_that_still_runs_goes_when_the_newest_is_live() {
    let mut observed = live(created(), 1);
    let mut older = of(&mut observed, 1).clone();
    (older.number, older.pods) = (0, Vec::new());
    observed.generations.insert(0, older);
    assert_eq!(decide(&observed).actions, [Action::Remove(0)]);
    of(&mut observed, 1).pods[0].report = None;
    assert_eq!(decide(&observed).actions, [], "not before");
}

#[test]
fn an_invalid_spec_touches_nothing_that_runs() {
    let observed = edited(live(created(), 1), |pipeline| pipeline.spec.sources.clear());
    let decision = decide(&observed);
    assert_eq!((decision.phase, decision.actions), (Phase::Invalid, vec![]));
}

#[test]
fn a_plan_that_cannot_use_the_state_touches_nothing_that_runs() {
    let resized = |mut observed: Observed| {
        let window = observed.windows.get_mut("per-user-5m").expect("a window");
        window.tumbling.as_mut().expect("tumbling").size = ::pipeline::spec::Duration("10m".to_owned());
        observed
    };
    let decision = decide(&resized(live(created(), 1)));
    assert_eq!((decision.phase, decision.actions), (Phase::Invalid, vec![]));
    let renamed = edited(resized(live(created(), 1)), |pipeline| {
        pipeline.spec.steps[0].name = "per-user-10m".to_owned();
    });
    assert_eq!(decide(&renamed).phase, Phase::Changing, "a step with another name starts empty");
    let never_live = carried_out(created(), &decide(&created()));
    assert_ne!(decide(&resized(never_live)).phase, Phase::Invalid, "there is no state yet");
}

#[test]
fn delete_removes_cleans_and_releases() {
    let (observed, decision) = walk(deleted(live(created(), 1)));
    assert_eq!(decision.actions, [Action::Remove(1)]);
    let (mut observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Clean(1)]);
    observed.cleanup = Some(Cleanup::Running);
    assert_eq!(decide(&observed).actions, []);
    observed.cleanup = Some(Cleanup::Succeeded);
    let decision = decide(&observed);
    assert_eq!((decision.actions, decision.note), (vec![Action::RemoveFinalizer], None));
}

#[test]
fn delete_ends_although_nothing_can_be_cleaned() {
    let (observed, _) = walk(deleted(live(created(), 1)));
    let (observed, _) = walk(observed);
    let gave_up = Observed { cleanup: Some(Cleanup::Failed), ..observed.clone() };
    let late = Observed { cleanup: Some(Cleanup::Running), ..after(observed, 121) };
    for observed in [gave_up, late] {
        let decision = decide(&observed);
        assert_eq!(
            (decision.actions, decision.note),
            (vec![Action::RemoveFinalizer], Some(super::Note::TopicsLeft))
        );
    }
}

#[test]
fn delete_of_a_pipeline_that_never_started_needs_no_cleaning() {
    let decision = decide(&deleted(created()));
    assert_eq!((decision.actions, decision.note), (vec![Action::RemoveFinalizer], None));
}

#[test]
fn past_generations_are_forgotten_in_the_end() {
    let mut observed = live(created(), 1);
    for turn in 2..=14 {
        observed = recreate(other_topic(observed, &format!("t{turn}")));
        let (draining, _) = walk(observed);
        let (removing, _) = walk(with_pods(draining, turn - 1, UnitState::Cut));
        observed = live(removing, turn);
    }
    let kept: Vec<u64> = observed.generations.iter().map(|generation| generation.number).collect();
    assert!(kept.len() <= 13 && kept.contains(&14) && kept.contains(&13), "{kept:?}");
    assert!(status(&observed).history.len() <= crds::pipeline::HISTORY_MAX);
}

/// What may happen to a cluster between two looks.
#[derive(Clone, Debug)]
pub(in crate::pipeline) enum Event {
    Topic(u8),
    Replicas(i32),
    Suspend(bool),
    Units(u8),
    PodsGone,
    Silent(bool),
    Later(i64),
    StatusLost,
}

pub(in crate::pipeline) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..3_u8).prop_map(Event::Topic),
        2 => (1..4_i32).prop_map(Event::Replicas),
        2 => any::<bool>().prop_map(Event::Suspend),
        12 => (0..7_u8).prop_map(Event::Units),
        3 => Just(Event::PodsGone),
        1 => any::<bool>().prop_map(Event::Silent),
        3 => (1..700_i64).prop_map(Event::Later),
        1 => Just(Event::StatusLost),
    ]
}

pub(in crate::pipeline) fn happens(observed: Observed, event: &Event) -> Observed {
    const STATES: [UnitState; 7] = [
        UnitState::Restoring,
        UnitState::CaughtUp,
        UnitState::Claiming,
        UnitState::Live,
        UnitState::Released,
        UnitState::Cut,
        UnitState::Failed,
    ];
    let numbers: Vec<u64> = observed.generations.iter().map(|generation| generation.number).collect();
    match event {
        Event::Topic(topic) => other_topic(observed, &format!("t{topic}")),
        Event::Replicas(count) => replicas(observed, *count),
        Event::Suspend(is) => suspend(observed, *is),
        Event::Later(seconds) => after(observed, *seconds),
        Event::StatusLost => edited(observed, |pipeline| pipeline.status = None),
        Event::Units(state) => numbers
            .into_iter()
            .fold(observed, |observed, number| with_pods(observed, number, STATES[usize::from(*state)])),
        Event::PodsGone => numbers.into_iter().fold(observed, without_pods),
        Event::Silent(silent) => {
            let mut observed = observed;
            for pod in observed.generations.iter_mut().flat_map(|generation| &mut generation.pods) {
                pod.address = Some(Address("10.0.0.1:8080".to_owned()));
                if *silent {
                    pod.report = None;
                }
            }
            observed
        }
    }
}

/// What must hold of every decision, whatever happened before.
fn check(observed: &Observed, decision: &super::Decision) {
    let before = status(observed);
    assert!(decision.intent.generation >= before.generation, "numbers only grow");
    let started: Vec<u64> = decision
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Start(number) => Some(*number),
            _ => None,
        })
        .collect();
    for number in &started {
        let successor = decision.intent.transition.as_ref().and_then(|transition| transition.successor);
        if successor == Some(*number) {
            continue;
        }
        let removed = |number: u64| decision.actions.contains(&Action::Remove(number));
        let mut others = observed.generations.iter().filter(|generation| generation.number != *number);
        assert!(others.all(|other| !other.runs() || removed(other.number)), "two generations at once");
        assert_eq!(Some(*number), decision.intent.generation);
    }
    let promoted_beside: Vec<u64> = decision
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Tell(number, Instruction::Promote(_)) => Some(*number),
            _ => None,
        })
        .filter(|number| Some(*number) != decision.intent.generation)
        .collect();
    for number in promoted_beside {
        let drains = |action: &Action| match action {
            Action::Tell(old, Instruction::Drain(_)) => Some(*old) == decision.intent.generation,
            _ => false,
        };
        assert!(decision.actions.iter().any(drains), "generation {number} is promoted beside one that works");
    }
    for action in &decision.actions {
        let stopped = match action {
            Action::Remove(number) | Action::Resize(number, 0) => *number,
            _ => continue,
        };
        let generation = observed.generation(stopped).expect("it exists");
        let works = generation.pods.iter().any(|pod| {
            pod.report
                .as_ref()
                .is_some_and(|report| report.units.iter().any(|unit| unit.state == UnitState::Live))
        });
        let promoted = before.promoted == Some(true) && before.generation == Some(stopped);
        let mut newer = observed.generations.iter().filter(|other| other.number > stopped);
        let superseded = newer.any(|other| other.every_unit(|unit| unit.state == UnitState::Live));
        assert!(
            !(works && promoted && decision.intent.drained.is_none() && !superseded),
            "live units are stopped without a cut"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_decision_breaks_the_rules_and_every_way_ends_live(events in prop::collection::vec(event(), 0..24)) {
        let mut observed = created();
        for event in &events {
            observed = happens(observed, event);
            let decision = decide(&observed);
            check(&observed, &decision);
            observed = carried_out(observed, &decision);
        }
        // From here on the cluster does what it is told.
        observed = suspend(observed, false);
        for _ in 0..40 {
            let decision = decide(&observed);
            check(&observed, &decision);
            let (phase, transition) = (decision.phase, decision.intent.transition.clone());
            observed = carried_out(observed, &decision);
            let Some(number) = decision.intent.generation else { continue };
            let live = matches!(phase, Phase::Steady | Phase::RolledBack) && of(&mut observed.clone(), number).every_unit(|unit| unit.state == UnitState::Live);
            if live {
                return Ok(());
            }
            let step = transition.as_ref().map(|transition| transition.step);
            if let Some(successor) = transition.and_then(|transition| transition.successor)
                && observed.generation(successor).is_some()
            {
                let claims = step == Some(TransitionStep::Draining);
                let state = if claims { UnitState::Live } else { UnitState::CaughtUp };
                observed = with_pods(observed, successor, state);
            }
            let state = match step {
                Some(TransitionStep::Draining) => UnitState::Cut,
                Some(TransitionStep::Starting) => UnitState::CaughtUp,
                _ => UnitState::Live,
            };
            observed = with_pods(after(observed, 1), number, state);
        }
        prop_assert!(false, "never live after {events:?}: {:?}", status(&observed));
    }
}
