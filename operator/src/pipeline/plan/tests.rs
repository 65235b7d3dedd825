//! The decisions over a table of situations, and walks through whole transitions.

mod ending;
mod handover;
mod heal;
mod restore;
mod rollback;
mod saving;

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
    Crashes(u64),
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
        2 => (1..4_u64).prop_map(Event::Crashes),
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
        Event::Crashes(number) => {
            let mut observed = observed;
            let of_it = observed.generations.iter_mut().filter(|generation| generation.number == *number);
            of_it.flat_map(|generation| &mut generation.pods).for_each(|pod| pod.restarts += 3);
            observed
        }
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
