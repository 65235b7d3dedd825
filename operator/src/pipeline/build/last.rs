//! What keeps the state of a pipeline that is deleted, or changed.

use super::{Error, labels, last_name, name_before};
use crate::savepoint::TRIGGER_LABEL;
use ::pipeline::spec::{DeletionPolicy, NameRef, StreamSavepointSpec};
use crds::{StreamPipeline, StreamSavepoint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::{Resource, ResourceExt};

/// Of a pipeline that is deleted: what it holds stays.
pub(super) fn at_the_end(pipeline: &StreamPipeline) -> Result<StreamSavepoint, Error> {
    savepoint(pipeline, last_name(pipeline), "Termination", DeletionPolicy::Retain)
}

/// Of before a change of the plan that began at this time. It takes along what it holds when it is deleted.
pub(super) fn before(pipeline: &StreamPipeline, began: &Time) -> Result<StreamSavepoint, Error> {
    savepoint(pipeline, name_before(pipeline, began), "Upgrade", DeletionPolicy::Delete)
}

/// It belongs to nobody: it is there when the pipeline is gone.
fn savepoint(
    pipeline: &StreamPipeline,
    own_name: String,
    trigger: &str,
    deletion_policy: DeletionPolicy,
) -> Result<StreamSavepoint, Error> {
    let name = pipeline.name_any();
    let mut labels = labels(&name);
    labels.insert(TRIGGER_LABEL.to_owned(), trigger.to_owned());
    let storage = pipeline.spec.checkpoint.as_ref().and_then(|checkpoint| checkpoint.storage.clone());
    Ok(StreamSavepoint {
        api_version: StreamSavepoint::api_version(&()).into_owned(),
        kind: StreamSavepoint::kind(&()).into_owned(),
        metadata: ObjectMeta {
            name: Some(own_name),
            namespace: Some(pipeline.namespace().ok_or(Error::Incomplete("namespace"))?),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: StreamSavepointSpec {
            pipeline_ref: NameRef { name },
            deletion_policy: Some(deletion_policy),
            storage,
        },
        status: None,
    })
}
