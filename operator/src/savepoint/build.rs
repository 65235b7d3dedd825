//! The Jobs of a savepoint, and their names. Pure.

use super::observe::{Observed, PipelineSeen};
use crate::pipeline::build::labels;
use crate::pipeline::build::task::Task;
use crate::pipeline::observe::Facts;
use crate::pipeline::references;
use crate::settings::Settings;
use ::pipeline::manifest::Documents;
use ::pipeline::spec::StreamPipelineSpec;
use control::generation::FILE_PATH;
use crds::{StreamSavepoint, StreamSavepointStatus};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use std::collections::{BTreeMap, BTreeSet};

/// How long a Job may run at least.
const JOB_SECONDS: i64 = 600;
/// How much of the name of a savepoint is in the names of its Jobs, which have at most 63 characters.
const NAME_PART: usize = 40;

/// Name of the Job that saves, of one attempt.
pub fn take_name(savepoint: &StreamSavepoint, attempt: i64) -> String {
    format!("{}-save-{attempt}", own_name(savepoint))
}

/// Name of the Job that deletes what was saved.
pub fn delete_name(savepoint: &StreamSavepoint) -> String {
    format!("{}-delete", own_name(savepoint))
}

/// Of this very object: another one with its name has other Jobs.
fn own_name(savepoint: &StreamSavepoint) -> String {
    let name = savepoint.name_any();
    let part = name[..name.floor_char_boundary(NAME_PART)].trim_end_matches(['-', '.']);
    format!("{part}-{}", uid8(savepoint))
}

fn uid8(savepoint: &StreamSavepoint) -> String {
    let uid = savepoint.uid().unwrap_or_default();
    uid.chars().filter(char::is_ascii_hexdigit).take(8).collect()
}

/// The folder of a savepoint below the address of a store: of this very object, so that two never share one.
pub fn folder(uri: &str, savepoint: &StreamSavepoint) -> String {
    let (namespace, name) = (savepoint.namespace().unwrap_or_default(), savepoint.name_any());
    format!("{}/savepoints/{namespace}.{name}.{}", uri.trim_end_matches('/'), uid8(savepoint))
}

/// The Job that saves, of the attempt that the status names.
pub(super) fn take(observed: &Observed, status: &StreamSavepointStatus, settings: &Settings) -> Job {
    let mut args = ["savepoint", "take", "--generation-file", FILE_PATH].map(str::to_owned).to_vec();
    args.extend(place(status));
    let attempt = status.attempts.unwrap_or(1);
    let name = take_name(&observed.savepoint, attempt);
    let task = Task { generation: status.generation, args, ..task(observed, status) };
    task.job(metadata(&observed.savepoint, name), settings)
}

/// The Job that deletes what was saved.
pub(super) fn delete(observed: &Observed, settings: &Settings) -> Job {
    let status = observed.status();
    let mut args = ["savepoint", "delete", "--unfinished"].map(str::to_owned).to_vec();
    args.extend(place(&status));
    let task = Task { args, ..task(observed, &status) };
    task.job(metadata(&observed.savepoint, delete_name(&observed.savepoint)), settings)
}

fn task<'a>(observed: &'a Observed, status: &StreamSavepointStatus) -> Task<'a> {
    // What is being deleted may be gone before the pod begins.
    let pipeline =
        observed.pipeline.object().filter(|_| !observed.deleting() || is_there(&observed.pipeline));
    Task {
        pipeline: &observed.savepoint.spec.pipeline_ref.name,
        spec: pipeline.map(|pipeline| &pipeline.spec),
        generation: None,
        secrets: secrets(observed, status),
        args: Vec::new(),
        retries: 0,
        seconds: pipeline.map_or(JOB_SECONDS, |pipeline| patience(&pipeline.spec)),
    }
}

/// How long it may take to save a pipeline, in seconds. Every step that groups records may have to wait for a snapshot, and so
/// may what is before it.
pub fn patience(spec: &StreamPipelineSpec) -> i64 {
    let steps = spec.steps.iter().filter(|step| step.window.is_some() || step.window_ref.is_some()).count();
    let interval = spec.checkpoint.as_ref().and_then(|checkpoint| checkpoint.interval.as_ref());
    let interval_ms = interval.and_then(|interval| interval.milliseconds().ok()).unwrap_or(60_000);
    let snapshots = i64::try_from(steps + 2).unwrap_or(i64::MAX).saturating_mul(interval_ms) / 1_000;
    JOB_SECONDS.max(snapshots.saturating_add(120))
}

fn is_there(pipeline: &PipelineSeen) -> bool {
    pipeline.object().is_some_and(|pipeline| {
        pipeline.metadata.deletion_timestamp.is_none()
            && pipeline.status.as_ref().is_some_and(|status| status.generation.is_some())
    })
}

/// Those of the plan that wrote the state, and that of the place.
fn secrets(observed: &Observed, status: &StreamSavepointStatus) -> BTreeSet<String> {
    let mut secrets: BTreeSet<String> = status.secret.iter().cloned().collect();
    if let Some(facts) = observed.pipeline.facts().filter(|_| !observed.deleting()) {
        secrets.extend(secrets_of(facts));
    }
    secrets
}

fn secrets_of(facts: &Facts) -> BTreeSet<String> {
    // The windows that the manifest refers to stand in it.
    let documents = Documents::read([("generation", facts.file.manifest.as_str())]);
    let manifest = documents.pipelines().next();
    let of_plan = manifest.map(|manifest| references::secrets(&manifest.spec, &BTreeMap::new()));
    // State may still be that of the savepoint that the pipeline was made of.
    let places = facts.file.priors.iter().filter_map(|prior| prior.restore.as_ref());
    let of_places = places.filter_map(|place| place.secret.clone());
    of_plan.unwrap_or_default().into_iter().chain(of_places).collect()
}

fn place(status: &StreamSavepointStatus) -> impl Iterator<Item = String> {
    let options = [
        ("--uri", &status.uri),
        ("--secret", &status.secret),
        ("--endpoint", &status.endpoint),
        ("--region", &status.region),
    ];
    options.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value.clone()?])).flatten()
}

/// A Job disappears with its savepoint.
fn metadata(savepoint: &StreamSavepoint, name: String) -> ObjectMeta {
    let owner = savepoint
        .controller_owner_ref(&())
        .map(|owner| OwnerReference { block_owner_deletion: Some(true), ..owner });
    ObjectMeta {
        name: Some(name),
        namespace: savepoint.namespace(),
        labels: Some(labels(&savepoint.spec.pipeline_ref.name)),
        owner_references: Some(owner.into_iter().collect()),
        ..ObjectMeta::default()
    }
}
