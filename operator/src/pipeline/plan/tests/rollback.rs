//! A change that has taken over, and is taken back because it does not work.

use super::*;
use crate::pipeline::build::{Work, build};
use crate::pipeline::fixture::settings;
use ::pipeline::spec::{Duration, UpdateStrategy};
use control::GenerationFile;
use control::generation::FILE_KEY;

/// Generation 2 has taken over with another plan, and works.
fn changed() -> Observed {
    taken_over(other_topic(live(created(), 1), "elsewhere"), 1)
}

/// What is wanted is handed over from generation `number` to the next.
fn taken_over(observed: Observed, number: u64) -> Observed {
    let next = number + 1;
    let (standing_by, _) = walk(observed);
    let near = with_pods(with_pods(standing_by, number, UnitState::Live), next, UnitState::CaughtUp);
    let (draining, _) = walk(near);
    let claimed = with_pods(with_pods(draining, number, UnitState::Released), next, UnitState::Live);
    let (observed, _) = walk(claimed);
    walk(with_pods(observed, next, UnitState::Live)).0
}

fn crashing(mut observed: Observed, number: u64) -> Observed {
    of(&mut observed, number).pods[0].restarts += 3;
    observed
}

fn reports(mut observed: Observed, number: u64, edit: impl Fn(&mut control::PodStatus)) -> Observed {
    let pods = &mut of(&mut observed, number).pods;
    pods.iter_mut().filter_map(|pod| pod.report.as_mut()).for_each(edit);
    observed
}

fn strategy(observed: Observed, strategy: UpdateStrategy) -> Observed {
    edited(observed, |pipeline| pipeline.spec.update_strategy = Some(strategy))
}

/// The files of the generations that a decision starts.
fn files(observed: &Observed, decision: &crate::pipeline::plan::Decision) -> Vec<GenerationFile> {
    let work = build(observed, &desired(observed), decision, &settings()).expect("it can be made");
    let maps = work.into_iter().filter_map(|work| match work {
        Work::Start(manifests) => manifests.config_map,
        _ => None,
    });
    maps.map(|map| serde_saphyr::from_str(&map.data.expect("data")[FILE_KEY]).expect("a file")).collect()
}

#[test]
fn another_plan_is_watched_and_passes() {
    let observed = changed();
    let probation = status(&observed).probation.expect("it is watched");
    assert_eq!((probation.generation, probation.before), (2, 1));
    assert_eq!(probation.until, Some(Time(super::super::later(observed.now, 120))));
    assert_eq!(decide(&observed).phase, Phase::Steady);
    let worked = reports(after(observed.clone(), 121), 2, |report| report.records = 1);
    assert_eq!(decide(&worked).intent.probation, None);
    // Nothing has gone through it: that shows nothing, for a while.
    assert!(decide(&after(observed.clone(), 121)).intent.probation.is_some());
    assert_eq!(decide(&after(observed, 721)).intent.probation, None);
}

#[test]
fn the_same_plan_is_not_watched_and_goes_on_with_the_probation_that_there_is() {
    assert_eq!(status(&taken_over(replicas(live(created(), 1), 3), 1)).probation, None);
    let more = taken_over(replicas(changed(), 3), 2);
    let probation = status(&more).probation.expect("the plan is still watched");
    assert_eq!((probation.generation, probation.before), (2, 1));
    let back = decide(&crashing(more, 3)).intent.rolled_back.expect("it crashes");
    assert_eq!((back.generation, back.to), (2, Some(1)), "the change is undone, not the rescale");
}

#[test]
fn the_user_may_not_want_it() {
    let none = UpdateStrategy { probation: Some(Duration("0s".to_owned())), ..UpdateStrategy::default() };
    let unwatched = taken_over(other_topic(strategy(live(created(), 1), none), "elsewhere"), 1);
    assert_eq!(status(&unwatched).probation, None);
    let only_watched = UpdateStrategy { auto_rollback: Some(false), ..UpdateStrategy::default() };
    let decision = decide(&crashing(strategy(changed(), only_watched), 2));
    assert_eq!((decision.phase, decision.intent.rolled_back), (Phase::Steady, None));
}

#[test]
fn what_does_not_work_is_taken_back() {
    let now_ms = changed().now.as_millisecond();
    let fails = |observed: Observed| decide(&observed).intent.rolled_back.map(|back| back.message);
    assert_eq!(fails(changed()), None);
    let why = fails(crashing(changed(), 2)).expect("it crashes");
    assert_eq!(why, "generation 2 does not work: a pod has restarted 3 times");
    let mut twice = changed();
    of(&mut twice, 2).pods.iter_mut().for_each(|pod| pod.restarts = 2);
    assert_eq!(fails(twice), None, "that happens to any pod");
    let stuck = reports(after(changed(), 61), 2, |report| {
        (report.last_commit_ms, report.queue_records) = (Some(now_ms), Some(7));
    });
    assert_eq!(
        fails(stuck.clone()).as_deref(),
        Some("generation 2 does not work: nothing was committed for 60 s, and there is input")
    );
    assert_eq!(
        fails(reports(stuck, 2, |report| report.queue_records = Some(0))),
        None,
        "there is nothing to do"
    );
    let letters = |letters: u64, before: Option<i64>| {
        let mut observed = changed();
        let status = observed.pipeline.status.as_mut().expect("a status");
        status.probation.as_mut().expect("it is watched").dead_letters_per_mille = before;
        reports(observed, 2, |report| (report.records, report.dead_letters) = (1_000, letters))
    };
    assert_eq!(fails(letters(50, Some(0))), None);
    assert_eq!(fails(letters(60, None)), None, "nobody knows how it was before");
    assert_eq!(fails(letters(60, Some(10))), None);
    let why = fails(letters(61, Some(10))).expect("too many");
    assert!(
        why.ends_with("61 of 1000 records are dead letters, with the version before it were 10"),
        "{why}"
    );
    let suspended = after(letters(61, Some(10)), 1_500);
    let decision = decide(&suspended);
    assert_eq!((decision.intent.rolled_back, decision.intent.probation), (None, None), "that is long over");
}

fn failed(observed: Observed, number: u64) -> Observed {
    let problem = control::status::Problem {
        reason: Some(control::Reason::CrashLooping),
        condition: control::Condition::Ready,
        component: None,
        message: "the engine failed".to_owned(),
        permanent: true,
        since_ms: 0,
    };
    reports(observed, number, |report| report.problems = vec![problem.clone()])
}

#[test]
fn what_fails_before_all_of_it_works_is_taken_back_as_well() {
    let (standing_by, _) = walk(other_topic(live(created(), 1), "elsewhere"));
    let near = with_pods(with_pods(standing_by, 1, UnitState::Live), 2, UnitState::CaughtUp);
    let claiming = with_pods(with_pods(walk(near).0, 1, UnitState::Released), 2, UnitState::Claiming);
    let (promoting, _) = walk(claiming);
    assert_eq!(decide(&promoting).intent.rolled_back, None);
    let (observed, _) = walk(failed(promoting, 2));
    assert_eq!(step(&observed), Some((TransitionKind::Rollback, TransitionStep::StandingBy)));
}

#[test]
fn a_way_back_that_cannot_be_gone_is_given_up() {
    let (observed, _) = walk(walk(crashing(changed(), 2)).0);
    let (observed, decision) = walk(failed(with_pods(observed, 3, UnitState::Failed), 3));
    assert_eq!((decision.intent.rolled_back, decision.intent.probation), (None, None));
    assert_eq!(step(&observed), None, "the change goes on");
}

#[test]
fn what_was_before_is_kept_as_long_as_it_may_be_needed() {
    let mut observed = changed();
    for number in 2..=13 {
        observed = taken_over(replicas(observed, 2 + i32::from(number % 2 == 0)), number);
        observed = walk(without_pods(observed, number)).0;
    }
    assert!(
        observed.generation(1).is_some_and(|before| before.facts.is_some()),
        "{:?}",
        status(&observed).probation
    );
    let back = decide(&crashing(observed, 14)).intent.rolled_back.and_then(|back| back.to);
    assert_eq!(back, Some(1));
}

#[test]
fn a_lost_status_does_not_bring_the_change_back() {
    let (observed, _) = walk(walk(crashing(changed(), 2)).0);
    let back = taken_over(observed, 2);
    assert_eq!(decide(&back).phase, Phase::RolledBack);
    let back = edited(without_pods(back, 2), |pipeline| pipeline.status = None);
    let (back, _) = walk(with_pods(back, 3, UnitState::Live));
    let again = decide(&back);
    assert_eq!(again.phase, Phase::RolledBack);
    assert_eq!(again.intent.rolled_back.map(|back| (back.generation, back.to)), Some((2, Some(1))));
}

#[test]
fn taking_back_goes_to_the_state_of_before_and_stays_there() {
    let (observed, decision) = walk(crashing(changed(), 2));
    assert_eq!(step(&observed), Some((TransitionKind::Rollback, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [], "the intent first");
    let decision = decide(&observed);
    assert_eq!(decision.actions, [Action::Start(3)]);
    let [file] = &files(&observed, &decision)[..] else { panic!("one generation") };
    let before = observed.facts(1).expect("kept");
    assert_eq!((file.rewinds, &file.plan_hash), (Some(2), &before.file.plan_hash));
    assert_eq!(file.manifest, before.file.manifest);
    assert!(file.priors.iter().any(|prior| prior.generation == 2), "its pods are fenced");

    // However its pods are, they are told to finish.
    let near = with_pods(carried_out(observed, &decision), 3, UnitState::CaughtUp);
    let (observed, decision) = walk(near);
    assert_eq!(step(&observed), Some((TransitionKind::Rollback, TransitionStep::Draining)));
    let told: Vec<_> = decision.actions.iter().map(Action::operation).collect();
    assert_eq!(told, ["promote", "drain"]);
    let late = after(without_pods(observed.clone(), 2), 900);
    assert_eq!(
        decide(&late).intent.transition.and_then(|t| t.successor),
        Some(3),
        "there is no way back from here"
    );

    let claimed = with_pods(with_pods(observed, 2, UnitState::Released), 3, UnitState::Live);
    let again = reports(claimed, 3, |report| {
        report.units.iter_mut().for_each(|unit| unit.reprocessing = true);
    });
    let (observed, decision) = walk(again);
    assert_eq!(decision.phase, Phase::Changing, "it gives nothing out yet");
    let (observed, decision) = walk(with_pods(observed, 3, UnitState::Live));
    assert_eq!(decision.phase, Phase::RolledBack);
    let (observed, decision) = walk(without_pods(observed, 2));
    assert_eq!((decision.phase, status(&observed).probation), (Phase::RolledBack, None));
    assert_eq!(status(&observed).rolled_back.and_then(|back| back.to), Some(1));

    // It can be resized, suspended and resumed as what it is.
    let (scaling, decision) = walk(replicas(observed.clone(), 3));
    assert_eq!(step(&scaling), Some((TransitionKind::Scale, TransitionStep::StandingBy)));
    let [file] = &files(&replicas(observed.clone(), 3), &decision)[..] else { panic!("one generation") };
    assert_eq!((file.shape.replicas, &file.plan_hash), (3, &before_hash(&observed)));
    let scaled = taken_over(replicas(observed.clone(), 3), 3);
    assert_eq!(decide(&scaled).phase, Phase::RolledBack);
    let (draining, _) = walk(suspend(observed.clone(), true));
    assert_eq!(step(&draining), Some((TransitionKind::Suspend, TransitionStep::Draining)));

    // Another wish is another change; the old spec is what runs.
    let (other, _) = walk(other_topic(observed.clone(), "somewhere"));
    assert_eq!(step(&other), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(status(&other).rolled_back, None);
    let (old, decision) = walk(other_topic(observed, "clicks-per-user"));
    assert_eq!((decision.phase, status(&old).rolled_back), (Phase::Steady, None));
}

fn before_hash(observed: &Observed) -> String {
    let before = observed.facts(1);
    before.expect("kept").file.plan_hash.clone()
}

#[test]
fn without_room_the_pods_of_the_change_go_first() {
    let (observed, _) = walk(crashing(recreate(changed()), 2));
    assert_eq!(step(&observed), Some((TransitionKind::Rollback, TransitionStep::Draining)));
    let (observed, _) = walk(with_pods(observed, 2, UnitState::Cut));
    let (observed, decision) = walk(without_pods(observed, 2));
    assert_eq!(decision.actions, [Action::Start(3)]);
    assert_eq!(observed.facts(3).map(|f| &f.file.plan_hash), Some(&before_hash(&observed)));
    let (observed, _) = walk(with_pods(observed, 3, UnitState::CaughtUp));
    let (_, decision) = walk(with_pods(observed, 3, UnitState::Live));
    assert_eq!(decision.phase, Phase::RolledBack);
}

#[test]
fn nothing_is_taken_back_to_what_nobody_has_written_down() {
    let mut observed = crashing(changed(), 2);
    of(&mut observed, 1).facts = None;
    let decision = decide(&observed);
    assert_eq!((decision.phase, decision.intent.rolled_back), (Phase::Steady, None));
}

fn asks_for(observed: Observed, revision: Option<i64>) -> Observed {
    use ::pipeline::spec::RollbackTo;
    edited(observed, |pipeline| pipeline.spec.rollback_to = revision.map(|revision| RollbackTo { revision }))
}

/// The change has passed its probation.
fn passed() -> Observed {
    let worked = reports(after(changed(), 121), 2, |report| {
        (report.records, report.lag.records) = (1, Some(0));
    });
    walk(worked).0
}

#[test]
fn the_user_may_go_back_to_an_earlier_revision() {
    assert_eq!(status(&passed()).probation, None);
    let (observed, decision) = walk(asks_for(passed(), Some(1)));
    assert_eq!((decision.phase, decision.actions), (Phase::Changing, vec![]));
    let (observed, decision) = walk(observed);
    assert_eq!(step(&observed), Some((TransitionKind::Rollback, TransitionStep::StandingBy)));
    assert_eq!(decision.actions, [Action::Start(3)]);
    let facts = observed.facts(3).expect("it is made");
    assert_eq!(
        (&facts.file.plan_hash, facts.file.rewinds),
        (&before_hash(&observed), None),
        "with the state of now"
    );
    let back = taken_over(observed, 2);
    assert_eq!((decide(&back).phase, status(&back).probation), (Phase::RolledBack, None));

    // A later change of the spec wins, although the wish still stands there; taking it away ends it.
    let (other, _) = walk(other_topic(back.clone(), "somewhere"));
    assert_eq!(step(&other), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    let (forward, _) = walk(asks_for(back, None));
    assert_eq!(step(&forward), Some((TransitionKind::Handover, TransitionStep::StandingBy)));
    assert_eq!(status(&forward).rolled_back, None);
}

#[test]
fn in_a_probation_the_state_goes_back_too() {
    let (observed, _) = walk(asks_for(changed(), Some(1)));
    assert_eq!(step(&observed), Some((TransitionKind::Rollback, TransitionStep::StandingBy)));
    let decision = decide(&observed);
    let [file] = &files(&observed, &decision)[..] else { panic!("one generation") };
    assert_eq!((file.rewinds, &file.plan_hash), (Some(2), &before_hash(&observed)));
}

#[test]
fn only_what_is_kept_can_be_gone_back_to() {
    let refused = desired(&asks_for(passed(), Some(7))).expect_err("there is no such revision");
    assert_eq!(refused.message, "spec.rollbackTo.revision: revision 7 is not kept; there are 1, 2");
    assert_eq!(decide(&asks_for(passed(), Some(2))).phase, Phase::Steady, "it runs already");
}

#[test]
fn other_pods_of_the_same_plan_are_watched_too_and_taken_back_without_a_drain() {
    let moved = |observed: Observed| {
        edited(observed, |pipeline| {
            pipeline.spec.node_selector.insert("disk".to_owned(), "fast".to_owned());
        })
    };
    let observed = taken_over(moved(live(created(), 1)), 1);
    let probation = status(&observed).probation.expect("it is watched");
    assert_eq!((probation.generation, probation.before), (2, 1));
    let (observed, _) = walk(crashing(observed, 2));
    assert_eq!(step(&observed), Some((TransitionKind::Rollback, TransitionStep::StandingBy)));
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Start(3)]);
    let facts = observed.facts(3).expect("it is made");
    let before = observed.facts(1).expect("kept");
    assert_eq!(
        (&facts.revision_hash, facts.file.rewinds),
        (&before.revision_hash, None),
        "its state is the newest"
    );
    // Its pods may do what they like: whoever claims takes over.
    let mut crashed = with_pods(observed, 3, UnitState::CaughtUp);
    for pod in &mut of(&mut crashed, 2).pods {
        (pod.report, pod.address) = (None, None);
        pod.trouble = Some(Trouble::Ends { code: 1, said: "no".to_owned() });
    }
    let (observed, decision) = walk(crashed);
    assert_eq!(tells(&decision.actions), [&Instruction::Promote(3)]);
    let (observed, decision) = walk(with_pods(observed, 3, UnitState::Live));
    assert_eq!((decision.phase, status(&observed).probation), (Phase::RolledBack, None));
}
