//! Jobs of the runtime image: one pod that does one thing and ends, with what only pods have — credentials.

use super::labels;
use super::pod::{place_task, pod_spec};
use super::shared_name;
use super::size;
use crate::settings::Settings;
use ::pipeline::spec::StreamPipelineSpec;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeSet;

/// What one Job does, and what it needs for it.
#[derive(Clone, Debug)]
pub(crate) struct Task<'a> {
    /// Name of the pipeline that it is done for.
    pub(crate) pipeline: &'a str,
    /// What the user says of the pods of the pipeline; none when the pipeline is gone.
    pub(crate) spec: Option<&'a StreamPipelineSpec>,
    /// The generation whose file is mounted.
    pub(crate) generation: Option<u64>,
    /// Secrets that are mounted, whether they exist or not.
    pub(crate) secrets: BTreeSet<String>,
    /// Arguments of `weir`.
    pub(crate) args: Vec<String>,
    /// Times that it is tried again.
    pub(crate) retries: i32,
    /// How long it may run, in seconds.
    pub(crate) seconds: i64,
}

impl Task<'_> {
    /// The Job, under this name and for this owner.
    pub(crate) fn job(&self, metadata: ObjectMeta, settings: &Settings) -> Job {
        let image = self.spec.and_then(|spec| spec.image.as_ref()).filter(|image| settings.allows(image));
        let image = image.unwrap_or(&settings.runtime_image);
        let mut pod = pod_spec(self.pipeline, self.generation, image, &self.secrets, settings);
        pod.restart_policy = Some("Never".to_owned());
        // Without its pipeline the account of its pods is gone, and that of the namespace is what is left. No token either way.
        pod.service_account_name = self.spec.map(|_| shared_name(self.pipeline));
        if let Some(spec) = self.spec {
            place_task(&mut pod, spec);
        }
        for container in &mut pod.containers {
            container.args = Some(self.args.clone());
            container.resources = Some(size::of_task(self.spec));
        }
        // Without the label of a generation: it is none of the pods that a generation is made of. Those of the user may give
        // the pods the identity with which objects in a bucket are written and deleted.
        let mut pod_labels = self.spec.map(|spec| spec.pod_labels.clone()).unwrap_or_default();
        pod_labels.extend(labels(self.pipeline));
        let template = PodTemplateSpec {
            metadata: Some(ObjectMeta { labels: Some(pod_labels), ..ObjectMeta::default() }),
            spec: Some(pod),
        };
        Job {
            metadata,
            spec: Some(JobSpec {
                active_deadline_seconds: Some(self.seconds),
                backoff_limit: Some(self.retries),
                template,
                ..JobSpec::default()
            }),
            status: None,
        }
    }
}
