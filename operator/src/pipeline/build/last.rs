//! What keeps the state of a pipeline that is deleted.

use super::{Error, labels, last_name};
use crate::savepoint::TRIGGER_LABEL;
use ::pipeline::spec::{DeletionPolicy, NameRef, StreamSavepointSpec};
use crds::{StreamPipeline, StreamSavepoint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

/// It belongs to nobody: it is there when the pipeline is gone.
pub(super) fn savepoint(pipeline: &StreamPipeline) -> Result<StreamSavepoint, Error> {
    let name = pipeline.name_any();
    let mut labels = labels(&name);
    labels.insert(TRIGGER_LABEL.to_owned(), "Termination".to_owned());
    let storage = pipeline.spec.checkpoint.as_ref().and_then(|checkpoint| checkpoint.storage.clone());
    Ok(StreamSavepoint {
        api_version: StreamSavepoint::api_version(&()).into_owned(),
        kind: StreamSavepoint::kind(&()).into_owned(),
        metadata: ObjectMeta {
            name: Some(last_name(pipeline)),
            namespace: Some(pipeline.namespace().ok_or(Error::Incomplete("namespace"))?),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        spec: StreamSavepointSpec {
            pipeline_ref: NameRef { name },
            deletion_policy: Some(DeletionPolicy::Retain),
            storage,
        },
        status: None,
    })
}
