//! A new pipeline begins with the state of a savepoint.

use super::{deleted, other_topic, replicas, status, step, suspend, tells, walk};
use crate::job::{End, JobSeen};
use crate::pipeline::fixture::{after, created, decide, desired, edited, of, with_pods};
use crate::pipeline::observe::{Cleanup, Observed, SavepointSeen};
use crate::pipeline::plan::{Action, Phase};
use crate::pods::Instruction;
use ::pipeline::spec::{Checkpoint, NameRef, RestoreFrom, TerminationPolicy};
use control::Reason;
use control::savepoint::{JobResult, RESTORED_DRAIN, Restored};
use control::status::UnitState;
use crds::StreamSavepointStatus;
use crds::pipeline::{TransitionKind, TransitionStep};

const URI: &str = "s3://state/savepoints/shop.before.0a1b2c3d";

fn from(savepoint: Option<&str>, uri: Option<&str>) -> RestoreFrom {
    RestoreFrom {
        savepoint_ref: savepoint.map(|name| NameRef { name: name.to_owned() }),
        uri: uri.map(str::to_owned),
        secret_ref: None,
        endpoint: None,
        region: None,
    }
}

/// A new pipeline that begins with what is saved at an address.
fn beginning() -> Observed {
    edited(created(), |pipeline| pipeline.spec.restore_from = Some(from(None, Some(URI))))
}

fn with_savepoint(seen: SavepointSeen) -> Observed {
    let observed =
        edited(created(), |pipeline| pipeline.spec.restore_from = Some(from(Some("before"), None)));
    Observed { savepoint: Some(seen), ..observed }
}

fn ended(observed: &Observed, said: Result<JobResult, &str>) -> Observed {
    let end = End { at: Some(observed.now), said: said.map_err(str::to_owned) };
    Observed { restore: Some(JobSeen::Ended(end)), ..observed.clone() }
}

fn done() -> JobResult {
    JobResult::Restored(Restored { plan_hash: "0c".repeat(16), units: 4, manifest_hash: "1d".repeat(16) })
}

/// The Job has made the journals.
fn restored(observed: &Observed) -> Observed {
    ended(observed, Ok(done()))
}

#[test]
fn the_job_comes_first_then_pods_behind_a_drain_that_is_known() {
    let (observed, decision) = walk(beginning());
    assert_eq!(decision.actions, [Action::Restore]);
    assert_eq!(step(&observed), Some((TransitionKind::Restore, TransitionStep::Restoring)));
    assert_eq!(status(&observed).generation, None);
    assert_eq!(decide(&observed).actions, [], "the Job works");

    let (observed, decision) = walk(restored(&observed));
    assert_eq!(decision.actions, [Action::Start(2)]);
    assert_eq!(step(&observed), Some((TransitionKind::Restore, TransitionStep::Starting)));
    let now = status(&observed);
    assert_eq!((now.generation, now.promoted, now.revision), (Some(2), Some(false), Some(1)));
    assert_eq!(now.drained.map(|drained| (drained.id, drained.generation)), Some((RESTORED_DRAIN.into(), 1)));
    let priors: Vec<_> = now.priors.iter().map(|prior| (prior.generation, prior.plan_hash.clone())).collect();
    assert_eq!(priors, [(1, "0c".repeat(16))], "the state has the plan of the savepoint");
    assert_eq!(now.probation, None);
    let from = now.restored_from.expect("it is written down");
    assert_eq!((from.uri.as_str(), from.plan_hash), (URI, "0c".repeat(16)));

    let (observed, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!(tells(&decision.actions), [&Instruction::Promote(2)], "nothing is resumed");
    let (observed, decision) = walk(with_pods(observed, 2, UnitState::Live));
    assert_eq!((decision.phase, decision.actions), (Phase::Steady, vec![]));
    assert_eq!((status(&observed).probation, status(&observed).drained), (None, None));
    // Units that may still have to restore what the savepoint holds are told where it is.
    let mut unsettled = replicas(observed.clone(), 3);
    for pod in &mut of(&mut unsettled, 2).pods {
        pod.report.as_mut().expect("a report").settled = Some(false);
    }
    let generations = |observed: &Observed| {
        status(&walk(observed.clone()).0).priors.iter().map(|prior| prior.generation).collect::<Vec<_>>()
    };
    assert_eq!(generations(&unsettled), [2, 1]);
    assert_eq!(generations(&replicas(observed, 3)), [2], "nobody needs it any more");
}

#[test]
fn a_savepoint_that_is_not_ready_is_waited_for_and_a_missing_one_is_told() {
    let problem = desired(&with_savepoint(SavepointSeen::Missing)).expect_err("nothing is there");
    assert_eq!(problem.reason, Reason::RefNotFound);
    let mut status = StreamSavepointStatus::default();
    let waiting = decide(&with_savepoint(SavepointSeen::Here(Box::new(status.clone()))));
    assert_eq!((waiting.phase, waiting.actions), (Phase::Waiting, vec![]));
    status.failure =
        Some(crds::savepoint::Failure { reason: "AuthFailed".into(), message: "403".into(), last: true });
    let failed = desired(&with_savepoint(SavepointSeen::Here(Box::new(status.clone()))));
    assert_eq!(failed.expect_err("it never will be").reason, Reason::ConfigInvalid);
    status.failure = None;
    (status.uri, status.manifest_hash) = (Some(URI.to_owned()), Some("0a".repeat(16)));
    let ready = with_savepoint(SavepointSeen::Here(Box::new(status)));
    let (restoring, decision) = walk(ready);
    assert_eq!(decision.actions, [Action::Restore]);
    // What was written down counts, whatever becomes of the savepoint.
    let gone = Observed { savepoint: Some(SavepointSeen::Missing), ..restoring };
    assert_eq!(walk(restored(&gone)).1.actions, [Action::Start(2)]);
}

#[test]
fn a_pipeline_that_has_begun_needs_no_savepoint_any_more() {
    let (observed, _) = walk(restored(&walk(beginning()).0));
    let mut observed = observed;
    observed.pipeline.spec.restore_from = Some(from(Some("gone"), None));
    assert!(desired(&observed).is_ok());
    let plain = desired(&created()).expect("valid");
    let begun = desired(&observed).expect("valid");
    assert_eq!((plain.revision_hash, plain.plan_hash), (begun.revision_hash, begun.plan_hash));
    assert_eq!(plain.generation_hash, begun.generation_hash);
}

#[test]
fn a_job_that_was_killed_is_made_again_after_a_pause_and_one_that_is_refused_after_a_long_one() {
    let (observed, _) = walk(beginning());
    let killed = ended(&observed, Err("its pod was evicted"));
    assert_eq!(decide(&killed).actions, []);
    let (observed, decision) = walk(after(killed, 15));
    assert_eq!(decision.actions, [Action::ForgetRestore]);
    let going = Observed { restore: Some(JobSeen::Going), ..observed.clone() };
    assert_eq!(decide(&going).actions, []);
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Restore]);
    let refused = JobResult::failed(Some(Reason::StateIncompatible), "format 9".to_owned(), true);
    let refused = after(ended(&observed, Ok(refused)), 299);
    assert_eq!(decide(&refused).actions, []);
    assert_eq!(decide(&after(refused.clone(), 1)).actions, [Action::ForgetRestore], "a Secret may be mended");
    // Somebody mends what the Job was told.
    let (observed, decision) = walk(other_topic(refused, "elsewhere"));
    assert_eq!(decision.actions, [Action::ForgetRestore]);
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Forget(1)]);
    assert_eq!(walk(observed).1.actions, [Action::Restore]);
}

#[test]
fn a_status_that_was_lost_is_found_again() {
    let (restoring, _) = walk(beginning());
    let lost = |observed: &Observed| edited(observed.clone(), |pipeline| pipeline.status = None);
    let (again, decision) = walk(lost(&restoring));
    assert_eq!(decision.actions, [], "the Job is there");
    assert_eq!(step(&again), Some((TransitionKind::Restore, TransitionStep::Restoring)));
    assert_eq!(decide(&lost(&restored(&restoring))).actions, [Action::Start(2)]);
    let mut without_map = restored(&restoring);
    without_map.generations.clear();
    assert_eq!(decide(&without_map).actions, [Action::Restore], "the next one has to know of the first");
    let (started, _) = walk(restored(&restoring));
    let (adopted, _) = walk(with_pods(lost(&started), 2, UnitState::Live));
    assert_eq!(status(&adopted).generation, Some(2), "never the one without pods");
}

#[test]
fn suspended_meanwhile_it_goes_on_with_the_second_generation() {
    let (restoring, _) = walk(beginning());
    let (observed, decision) = walk(suspend(restored(&restoring), true));
    assert_eq!((decision.phase, decision.actions), (Phase::Suspended, vec![]));
    assert_eq!(status(&observed).generation, Some(1));
    let keeping = edited(observed.clone(), |pipeline| {
        let storage = serde_saphyr::from_str("{uri: 's3://state'}").expect("a storage");
        pipeline.spec.checkpoint = Some(Checkpoint { interval: None, storage: Some(storage) });
        pipeline.spec.termination_policy = Some(TerminationPolicy::Savepoint);
    });
    assert_eq!(walk(deleted(keeping)).1.actions, [Action::Clean(1)], "its state is in the savepoint");
    let (observed, decision) = walk(suspend(observed, false));
    assert_eq!(decision.actions, [Action::Start(2)]);
    assert_eq!(step(&observed), Some((TransitionKind::Restore, TransitionStep::Starting)));

    // Suspended while its first pods start, they do not resume the drain of the first generation.
    let (observed, _) = walk(suspend(observed, true));
    let mut stopped = walk(observed).0;
    of(&mut stopped, 2).pods.clear();
    let (observed, _) = walk(stopped);
    assert_eq!(decide(&observed).phase, Phase::Suspended);
    let (observed, _) = walk(suspend(observed, false));
    let (_, decision) = walk(with_pods(observed, 2, UnitState::CaughtUp));
    assert_eq!(tells(&decision.actions), [&Instruction::Promote(2)]);
}

#[test]
fn a_spec_that_changes_behind_the_savepoint_is_no_probation_of_it() {
    let (observed, _) = walk(restored(&walk(beginning()).0));
    let changed = other_topic(with_pods(observed, 2, UnitState::Restoring), "elsewhere");
    let (observed, decision) = walk(changed);
    assert_eq!(decision.actions, [Action::Remove(2)]);
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Start(3)]);
    let now = status(&observed);
    assert_eq!(now.probation, None);
    assert_eq!(now.priors.iter().map(|prior| prior.generation).collect::<Vec<_>>(), [1]);
    let (_, decision) = walk(with_pods(observed, 3, UnitState::CaughtUp));
    assert_eq!(tells(&decision.actions), [&Instruction::Promote(3)]);
}

#[test]
fn deleted_meanwhile_its_job_goes_and_then_what_the_job_has_made() {
    let (restoring, _) = walk(beginning());
    let (observed, decision) = walk(deleted(restoring));
    assert_eq!(decision.actions, [Action::ForgetRestore]);
    let (observed, decision) = walk(observed);
    assert_eq!(decision.actions, [Action::Clean(1)]);
    let done = Observed { cleanup: Some(Cleanup::Succeeded), ..observed };
    assert_eq!(decide(&done).actions, [Action::RemoveFinalizer]);
    assert_eq!(decide(&deleted(beginning())).actions, [Action::RemoveFinalizer], "nothing was made");
}
