//! Situations for the tests of savepoints: one that was asked for, its pipeline and its Jobs, made by few words.

use super::decide::{Action, Decision, decide};
use super::observe::{Observed, PipelineSeen};
use super::{FINALIZER, report};
use crate::job::{End, JobSeen};
use crate::pipeline::fixture::{created, edited, live, noon, recreate};
use ::pipeline::spec::{Checkpoint, CheckpointStorage, NameRef};
use control::savepoint::{JobResult, Taken};
use crds::StreamSavepoint;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

const SAVEPOINT: &str = "
apiVersion: weir.dev/v1alpha1
kind: StreamSavepoint
metadata:
  name: before-the-change
  namespace: shop
  uid: 5a6b7c8d-0000-4000-8000-000000000000
  generation: 1
  resourceVersion: '7'
spec:
  pipelineRef: {name: clicks}
";

pub(crate) fn storage() -> CheckpointStorage {
    CheckpointStorage {
        uri: "s3://state/weir/".to_owned(),
        secret_ref: Some(NameRef { name: "bucket".to_owned() }),
        endpoint: Some("https://minio:9000".to_owned()),
        region: None,
    }
}

/// The reference pipeline, which runs and keeps its snapshots in a bucket.
pub(crate) fn running() -> crate::pipeline::observe::Observed {
    live(
        edited(recreate(created()), |pipeline| {
            pipeline.spec.checkpoint = Some(Checkpoint { interval: None, storage: Some(storage()) });
        }),
        1,
    )
}

pub(crate) fn seen(pipeline: &crate::pipeline::observe::Observed) -> PipelineSeen {
    let generation = pipeline.status().generation;
    PipelineSeen::Here {
        pipeline: Box::new(pipeline.pipeline.clone()),
        facts: generation.and_then(|number| pipeline.facts(number)).cloned().map(Box::new),
    }
}

pub(crate) fn asked() -> Observed {
    let savepoint: StreamSavepoint = serde_saphyr::from_str(SAVEPOINT).expect("a savepoint");
    Observed { now: noon(), savepoint, pipeline: seen(&running()), take: None, delete: None }
}

pub(crate) fn deletes(mut observed: Observed) -> Observed {
    observed.savepoint.spec.deletion_policy = Some(::pipeline::spec::DeletionPolicy::Delete);
    observed
}

pub(crate) fn deleted(mut observed: Observed) -> Observed {
    observed.savepoint.metadata.deletion_timestamp = Some(Time(observed.now));
    observed
}

pub(crate) fn after(mut observed: Observed, seconds: i64) -> Observed {
    observed.now = observed.now.checked_add(SignedDuration::from_secs(seconds)).expect("in range");
    observed
}

/// One look: decided, the status written, and the actions carried out.
pub(crate) fn walk(mut observed: Observed) -> (Observed, Decision) {
    let decision = decide(&observed);
    let status = report::status(&observed, &decision);
    for action in &decision.actions {
        let finalizers = &mut observed.savepoint.metadata.finalizers;
        match action {
            Action::AddFinalizer => *finalizers = Some(vec![FINALIZER.to_owned()]),
            Action::RemoveFinalizer => *finalizers = None,
            Action::Take => observed.take = Some(JobSeen::Running(None)),
            Action::ForgetTake => observed.take = None,
            Action::Delete => observed.delete = Some(JobSeen::Running(None)),
            Action::ForgetDelete => observed.delete = None,
        }
    }
    observed.savepoint.status = Some(status);
    (observed, decision)
}

pub(crate) fn ended(said: Result<JobResult, &str>) -> JobSeen {
    JobSeen::Ended(End { at: None, said: said.map_err(str::to_owned) })
}

pub(crate) fn taken() -> JobResult {
    JobResult::Taken(Taken {
        manifest_hash: "0a".repeat(16),
        bytes: 1_288_490_189,
        units: 12,
        plan_hash: "0b".repeat(16),
        generation: 1,
        taken_at_ms: noon().as_millisecond(),
        drained: false,
    })
}
