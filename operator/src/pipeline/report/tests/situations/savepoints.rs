//! Savepoints, and pipelines that begin with one.

use super::{Situation, as_stored, look, situation};
use crate::job::JobSeen;
use crate::pipeline::fixture::{created, edited, live, noon, with_pods};
use crate::pipeline::observe::{Observed, SavepointSeen};
use crate::savepoint::fixture::{after, asked, deleted, deletes, ended, taken as said, walk};
use crate::savepoint::observe::{Observed as OfSavepoint, PipelineSeen};
use crate::savepoint::{decide::decide, report};
use ::pipeline::spec::{Checkpoint, NameRef, RestoreFrom, TerminationPolicy, UpdateStrategy};
use control::Reason;
use control::savepoint::{JobResult, Restored};
use control::status::UnitState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

/// A new pipeline that begins with a savepoint which is seen like this.
fn beginning(seen: SavepointSeen) -> Observed {
    let observed = edited(created(), |pipeline| {
        pipeline.spec.restore_from = Some(RestoreFrom {
            savepoint_ref: Some(NameRef { name: "before-the-change".to_owned() }),
            uri: None,
            secret_ref: None,
            endpoint: None,
            region: None,
        });
    });
    Observed { savepoint: Some(seen), ..observed }
}

fn ready() -> SavepointSeen {
    let status = walk(OfSavepoint { take: Some(ended(Ok(said()))), ..walk(asked()).0 }).0.status();
    SavepointSeen::Here(Box::new(status))
}

pub(super) fn restored() -> Vec<Situation> {
    let restoring = look(beginning(ready()));
    let with = |restore| Observed { restore, ..restoring.clone() };
    let done = JobResult::Restored(Restored {
        plan_hash: "0c".repeat(16),
        units: 4,
        manifest_hash: "1d".repeat(16),
    });
    let refused = JobResult::failed(
        Some(Reason::StateIncompatible),
        "the savepoint is of format 9; this version reads up to 1".to_owned(),
        true,
    );
    let starting = look(with(Some(ended(Ok(done)))));
    let no_image = JobSeen::Running(Some("its pod has no image: weir:test: not found".to_owned()));
    vec![
        situation("a savepoint to begin with is missing", beginning(SavepointSeen::Missing)),
        situation("a savepoint to begin with is not ready", beginning(SavepointSeen::Here(Box::default()))),
        situation("a pipeline begins with a savepoint", restoring.clone()),
        situation("the pod that restores has no image", with(Some(no_image))),
        situation(
            "the Job that restores was killed",
            with(Some(ended(Err("its pod ended with exit code 137")))),
        ),
        situation("the savepoint cannot be used", with(Some(ended(Ok(refused))))),
        situation("the first pods after a savepoint start", with_pods(starting, 2, UnitState::Restoring)),
    ]
}

fn of_savepoint(name: &'static str, mut observed: OfSavepoint) -> Situation {
    let before = observed.status();
    let decision = decide(&observed);
    let status = report::status(&observed, &decision);
    let events = report::news(&before, &status, &decision);
    observed.savepoint.status = Some(status);
    let object = serde_json::to_value(&observed.savepoint).expect("encodes");
    as_stored(name, "StreamSavepoint", object, observed.now, events)
}

pub(super) fn taken() -> Vec<Situation> {
    let works = walk(asked()).0;
    let with = |take| OfSavepoint { take, ..works.clone() };
    let refused =
        JobResult::failed(Some(Reason::AuthFailed), "s3://state/weir: 403 AccessDenied".to_owned(), true);
    let unseen = serde_json::to_value(asked().savepoint).expect("encodes");
    let unseen = {
        let mut object = unseen;
        object["status"] = serde_json::json!({"observedGeneration": -1});
        object
    };
    let deleting = walk(deleted(walk(deletes(asked())).0)).0;
    let deleting = OfSavepoint { take: None, ..deleting };
    vec![
        as_stored(
            "a savepoint that the operator has not seen yet",
            "StreamSavepoint",
            unseen,
            noon(),
            Vec::new(),
        ),
        of_savepoint(
            "a savepoint of a pipeline that is missing",
            OfSavepoint { pipeline: PipelineSeen::Missing, ..asked() },
        ),
        of_savepoint("a savepoint that is asked for", asked()),
        of_savepoint("a savepoint whose Job was evicted", with(Some(ended(Err("its pod was evicted"))))),
        of_savepoint("a savepoint that the store refuses", with(Some(ended(Ok(refused))))),
        of_savepoint("a savepoint that is ready", with(Some(ended(Ok(said()))))),
        of_savepoint("a savepoint that was deleted", deleting.clone()),
        of_savepoint("a savepoint that was deleted, and whose store is gone", after(deleting, 300)),
    ]
}

/// A change before which the state is saved.
pub(super) fn upgrading() -> Vec<Situation> {
    let saving = edited(created(), |pipeline| {
        let storage = serde_saphyr::from_str("{uri: 's3://state'}").expect("a storage");
        pipeline.spec.checkpoint = Some(Checkpoint { interval: None, storage: Some(storage) });
        pipeline.spec.update_strategy =
            Some(UpdateStrategy { savepoint: Some(true), ..UpdateStrategy::default() });
    });
    let saving = look(super::edit_topic(live(saving, 1)));
    let refused =
        JobResult::failed(Some(Reason::AuthFailed), "s3://state/weir: 403 AccessDenied".to_owned(), true);
    let failed = walk(OfSavepoint { take: Some(ended(Ok(refused))), ..walk(asked()).0 }).0.status();
    let before = Some(SavepointSeen::Here(Box::new(failed)));
    vec![
        situation("another spec: the state of before is saved", saving.clone()),
        situation("another spec: the state of before cannot be saved", Observed { before, ..saving }),
    ]
}

/// A pipeline that is deleted and whose state is kept.
pub(super) fn ending() -> Vec<Situation> {
    let keeping = edited(created(), |pipeline| {
        let storage = serde_saphyr::from_str("{uri: 's3://state'}").expect("a storage");
        pipeline.spec.checkpoint = Some(Checkpoint { interval: None, storage: Some(storage) });
        pipeline.spec.termination_policy = Some(TerminationPolicy::Savepoint);
    });
    let deleted =
        edited(live(keeping, 1), |pipeline| pipeline.metadata.deletion_timestamp = Some(Time(noon())));
    let draining = with_pods(look(deleted), 1, UnitState::Released);
    let mut late = draining.clone();
    late.now = late.now.checked_add(SignedDuration::from_secs(601)).expect("in range");
    let removed = look(with_pods(draining.clone(), 1, UnitState::Cut));
    let saving = look(Observed { last: Some(SavepointSeen::Missing), ..removed });
    let refused =
        JobResult::failed(Some(Reason::AuthFailed), "s3://state: 403 AccessDenied".to_owned(), true);
    let failed = walk(OfSavepoint { take: Some(ended(Ok(refused))), ..walk(asked()).0 }).0.status();
    let failed = Observed { last: Some(SavepointSeen::Here(Box::new(failed))), ..saving.clone() };
    vec![
        situation("deleted, and the pods finish first", draining),
        situation("deleted, and the pods cannot finish", late),
        situation("deleted, and its state is saved", saving),
        situation("deleted, and its state cannot be saved", failed),
    ]
}
