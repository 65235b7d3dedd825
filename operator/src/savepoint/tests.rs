//! Walks of a savepoint through its life, and what its Jobs are made of.

use super::decide::{Action, Course, decide, size};
use super::fixture::{after, asked, deleted, deletes, ended, running, seen, storage, taken, walk};
use super::observe::{Observed, PipelineSeen};
use super::{TRIGGER_LABEL, build, report};
use crate::job::JobSeen;
use crate::pipeline::fixture::{created, edited, live, noon, settings};
use ::pipeline::spec::CheckpointStorage;
use control::savepoint::JobResult;
use control::{Condition as Kind, Reason};
use crds::StreamSavepointStatus;
use crds::condition::find;
use crds::savepoint::Trigger;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

fn ready(observed: &Observed) -> (String, String, String) {
    let status = observed.status();
    let ready = find(&status.conditions, Kind::Ready).expect("always there").clone();
    let stalled = find(&status.conditions, Kind::Stalled).is_some();
    let reconciling = find(&status.conditions, Kind::Reconciling).is_some();
    assert!(!(stalled && reconciling), "{:?}", status.conditions);
    assert_eq!(ready.status == "True", !stalled && !reconciling);
    let word = if stalled { "Stalled" } else { &ready.status };
    (word.to_owned(), ready.reason, ready.message)
}

fn words(observed: &Observed) -> (String, String) {
    let (word, reason, _) = ready(observed);
    (word, reason)
}

fn pair(word: &str, reason: Reason) -> (String, String) {
    (word.to_owned(), reason.as_str().to_owned())
}

#[test]
fn a_savepoint_is_taken_by_a_job_and_is_ready_for_good() {
    let (observed, decision) = walk(asked());
    assert_eq!(decision.actions, [Action::Take]);
    let status = observed.status();
    let uri = "s3://state/weir/savepoints/shop.before-the-change.5a6b7c8d";
    assert_eq!((status.uri.as_deref(), status.secret.as_deref()), (Some(uri), Some("bucket")));
    assert_eq!((status.attempts, status.generation, status.revision), (Some(1), Some(1), Some(1)));
    assert_eq!(words(&observed), pair("False", Reason::Savepointing));
    assert_eq!(decide(&observed).actions, [], "the Job works");

    let (observed, decision) = walk(Observed { take: Some(ended(Ok(taken()))), ..observed });
    assert_eq!(decision.actions, [Action::ForgetTake], "behind the status");
    let (word, reason, message) = ready(&observed);
    assert_eq!((word.as_str(), reason.as_str()), ("True", "Succeeded"));
    assert_eq!(message, format!("1.2 GiB of 12 units are saved in {uri}"));
    let status = observed.status();
    assert_eq!((status.size.as_deref(), status.trigger), (Some("1.2 GiB"), Some(Trigger::User)));

    let gone = after(Observed { pipeline: PipelineSeen::Missing, ..observed }, 86_400);
    let (again, decision) = walk(gone.clone());
    assert_eq!((decision.actions, decision.look_again), (vec![], None));
    assert_eq!(again.status(), gone.status(), "whatever becomes of the pipeline");
}

#[test]
fn a_status_that_was_written_and_a_job_that_was_not_made_give_the_same_job() {
    let (observed, _) = walk(asked());
    let (again, decision) = walk(Observed { take: None, ..observed.clone() });
    assert_eq!(decision.actions, [Action::Take]);
    assert_eq!(again.status().attempts, Some(1));
    let job = |observed: &Observed| build::take(observed, &observed.status(), &settings());
    assert_eq!(job(&observed), job(&again));
}

#[test]
fn a_pipeline_that_is_missing_is_a_reference_that_is_not_found() {
    let (observed, _) = walk(Observed { pipeline: PipelineSeen::Missing, ..asked() });
    assert_eq!(words(&observed), pair("Stalled", Reason::RefNotFound));
    let (observed, _) = walk(Observed { pipeline: seen(&running()), ..observed });
    assert_eq!(words(&observed), pair("False", Reason::Savepointing), "it was created later");
}

#[test]
fn without_a_place_the_user_is_told_what_to_set() {
    let (observed, decision) = walk(Observed { pipeline: seen(&live(created(), 1)), ..asked() });
    assert_eq!(decision.actions, []);
    let (word, reason, message) = ready(&observed);
    assert_eq!((word.as_str(), reason.as_str()), ("Stalled", "ConfigInvalid"));
    assert!(message.contains("spec.storage") && message.contains("spec.checkpoint.storage"), "{message}");
    let mut own = observed;
    own.savepoint.spec.storage = Some(CheckpointStorage { secret_ref: None, ..storage() });
    let (own, decision) = walk(own);
    assert_eq!((decision.actions, own.status().secret), (vec![Action::Take], None));
    let mut wrong = asked();
    wrong.savepoint.spec.storage = Some(CheckpointStorage { uri: "ftp://a".to_owned(), ..storage() });
    assert_eq!(words(&walk(wrong).0), pair("Stalled", Reason::ConfigInvalid));
}

#[test]
fn a_pipeline_that_starts_or_changes_is_waited_for() {
    let new = edited(created(), |pipeline| {
        pipeline.spec.checkpoint = running().pipeline.spec.checkpoint;
    });
    let changing = edited(running(), |pipeline| {
        let mut status = pipeline.status.clone().expect("a status");
        status.transition = serde_json::from_value(serde_json::json!({
            "kind": "Handover", "step": "StandingBy", "startedAt": noon(), "deadline": noon(),
        }))
        .expect("a transition");
        pipeline.status = Some(status);
    });
    for pipeline in [new, changing] {
        let (observed, decision) = walk(Observed { pipeline: seen(&pipeline), ..asked() });
        assert_eq!(decision.actions, []);
        assert_eq!(words(&observed), pair("False", Reason::Savepointing));
        assert_eq!(walk(Observed { pipeline: seen(&running()), ..observed }).1.actions, [Action::Take]);
    }
}

#[test]
fn what_fails_for_now_is_tried_again_and_in_the_end_given_up() {
    let (mut observed, _) = walk(asked());
    let mut attempts = 1;
    loop {
        observed = Observed { take: Some(ended(Err("its pod was evicted"))), ..after(observed, 20) };
        let (failed, decision) = walk(observed);
        assert_eq!(decision.actions, [Action::ForgetTake]);
        observed = failed;
        if matches!(decision.course, Course::Failed(_)) {
            break;
        }
        assert_eq!(words(&observed), pair("False", Reason::Savepointing));
        assert_eq!(decide(&observed).actions, [], "not at once");
        let (next, decision) = walk(after(observed, 60));
        attempts += 1;
        assert_eq!((decision.actions, next.status().attempts), (vec![Action::Take], Some(attempts)));
        observed = next;
    }
    assert!(attempts > 5, "{attempts}");
    let (word, reason, message) = ready(&observed);
    assert_eq!((word.as_str(), reason.as_str()), ("Stalled", "SavepointFailed"));
    assert!(message.contains("evicted"), "{message}");
    assert_eq!(decide(&after(observed, 3_600)).actions, [], "it stays so");
}

#[test]
fn what_cannot_get_better_is_not_tried_again() {
    let (observed, _) = walk(asked());
    let failed = JobResult::failed(Some(Reason::AuthFailed), "the store refuses the key".to_owned(), true);
    let (observed, decision) = walk(Observed { take: Some(ended(Ok(failed))), ..observed });
    assert_eq!(decision.actions, [Action::ForgetTake]);
    assert_eq!(words(&observed), pair("Stalled", Reason::AuthFailed));
    assert_eq!(report::news(&StreamSavepointStatus::default(), &observed.status(), &decision).len(), 1);
}

#[test]
fn of_a_pipeline_that_is_being_deleted_only_its_last_savepoint_is_taken() {
    let ending = edited(running(), |pipeline| pipeline.metadata.deletion_timestamp = Some(Time(noon())));
    let (observed, _) = walk(Observed { pipeline: seen(&ending), ..asked() });
    assert_eq!(words(&observed), pair("Stalled", Reason::SavepointFailed));
    let mut last = Observed { pipeline: seen(&ending), ..asked() };
    last.savepoint.labels_mut().insert(TRIGGER_LABEL.to_owned(), "Termination".to_owned());
    let (last, decision) = walk(last);
    assert_eq!((decision.actions, last.status().trigger), (vec![Action::Take], Some(Trigger::Termination)));
}

#[test]
fn what_was_saved_is_deleted_before_a_savepoint_that_says_so_disappears() {
    let (observed, decision) = walk(deletes(asked()));
    assert_eq!(decision.actions, [Action::AddFinalizer, Action::Take], "protected first");
    let (observed, decision) = walk(deleted(observed));
    assert_eq!(decision.actions, [Action::ForgetTake], "nobody writes while others delete");
    let (going, decision) = walk(Observed { take: Some(JobSeen::Going), ..observed });
    assert_eq!(decision.actions, []);
    let (observed, decision) = walk(Observed { take: None, ..going });
    assert_eq!(decision.actions, [Action::Delete]);
    let (observed, decision) = walk(Observed { delete: Some(ended(Err("evicted"))), ..observed });
    assert_eq!(decision.actions, [Action::ForgetDelete]);
    let (observed, _) = walk(observed);
    let late = walk(after(observed.clone(), 300)).1;
    assert!(late.left && late.actions == [Action::RemoveFinalizer], "deleting never hangs");
    assert_eq!(report::news(&observed.status(), &observed.status(), &late)[0].reason, report::SAVEPOINT_LEFT);
    let (_, decision) = walk(Observed { delete: Some(ended(Ok(JobResult::Deleted))), ..observed });
    assert_eq!((decision.actions, decision.left), (vec![Action::RemoveFinalizer], false));
}

#[test]
fn a_savepoint_is_kept_unless_it_says_otherwise() {
    let (observed, decision) = walk(asked());
    assert!(!decision.actions.contains(&Action::AddFinalizer));
    assert_eq!(decide(&deleted(observed)).actions, []);
    let never_tried = Observed { pipeline: PipelineSeen::Missing, ..deletes(asked()) };
    let (never_tried, decision) = walk(never_tried);
    assert_eq!(decision.actions, [], "nothing has to be deleted yet");
    assert_eq!(decide(&deleted(never_tried)).actions, []);
}

fn take_job(observed: &Observed) -> Job {
    build::take(observed, &observed.status(), &settings())
}

#[test]
fn the_job_that_takes_a_savepoint() {
    insta::assert_yaml_snapshot!(take_job(&walk(asked()).0));
}

#[test]
fn the_job_that_deletes_what_was_saved_when_the_pipeline_is_gone() {
    let observed = Observed { pipeline: PipelineSeen::Missing, ..deleted(walk(deletes(asked())).0) };
    insta::assert_yaml_snapshot!(build::delete(&observed, &settings()));
}

#[test]
fn names_of_jobs_fit_into_a_label_and_belong_to_one_object() {
    let mut observed = walk(asked()).0;
    observed.savepoint.metadata.name = Some("a".repeat(39) + "-." + &"b".repeat(200));
    let name = build::take_name(&observed.savepoint, 100);
    assert!(name.len() <= 63, "{name}");
    assert!(name.starts_with(&("a".repeat(39) + "-5a6b7c8d-")), "{name}");
    observed.savepoint.metadata.uid = Some("99999999-0000-4000-8000-000000000000".to_owned());
    assert_ne!(build::take_name(&observed.savepoint, 100), name);
}

#[test]
fn a_size_is_a_text_for_people() {
    for (bytes, text) in
        [(0, "0 B"), (999, "999 B"), (1_536, "1.5 KiB"), (1_288_490_189, "1.2 GiB"), (u64::MAX, "16.0 EiB")]
    {
        assert_eq!(size(bytes), text);
    }
}
