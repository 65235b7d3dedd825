//! What the pods of a pipeline say, read once. Who does not answer is unknown, and with one pod unknown the pipeline is.

use super::measure::PodMeasured;
use super::quantity;
use crate::context::{Context, with_causes};
use crate::pipeline::observe::PodSeen;
use crate::pipeline::{GENERATION_LABEL, PIPELINE_LABEL};
use crds::StreamPipeline;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};

/// Which read failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The pipeline.
    #[error("failed to read StreamPipeline {0}")]
    Pipeline(String, #[source] kube::Error),
    /// Its pods.
    #[error("failed to list the pods of StreamPipeline {0}")]
    Pods(String, #[source] kube::Error),
}

/// The pipeline of this name; none when it does not exist, is being deleted, or cannot be read.
pub async fn pipeline(
    context: &Context,
    namespace: &str,
    name: &str,
) -> Result<Option<StreamPipeline>, Error> {
    let api: Api<DeserializeGuard<StreamPipeline>> = Api::namespaced(context.client.clone(), namespace);
    let found = api.get_opt(name).await.map_err(|source| Error::Pipeline(name.to_owned(), source))?;
    let pipeline = found.and_then(|found| found.0.ok());
    Ok(pipeline.filter(|pipeline| pipeline.metadata.deletion_timestamp.is_none()))
}

/// What each pod of the newest generation says; none as soon as one of them is missing or silent.
pub async fn pods(context: &Context, pipeline: &StreamPipeline) -> Result<Option<Vec<PodMeasured>>, Error> {
    let name = pipeline.name_any();
    let Some(generation) = pipeline.status.as_ref().and_then(|status| status.generation) else {
        return Ok(None);
    };
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &pipeline.namespace().unwrap_or_default());
    let labels = format!("{PIPELINE_LABEL}={name},{GENERATION_LABEL}={generation}");
    let listed = api.list(&ListParams::default().labels(&labels)).await;
    let pods = listed.map_err(|source| Error::Pods(name, source))?.items;
    let addresses: Option<Vec<_>> = pods.iter().map(|pod| PodSeen::from(pod).address).collect();
    let Some(addresses) = addresses else { return Ok(None) };
    let answers = context.pods.statuses(&addresses).await;
    let measured = pods.iter().zip(answers).map(|(pod, answer)| match answer {
        Ok(report) if report.generation == generation && report.is_complete() => Some(PodMeasured {
            name: pod.name_any(),
            report,
            cpu_request: request(pod, "cpu"),
            memory_request: request(pod, "memory"),
        }),
        Ok(_) => None,
        Err(error) => {
            tracing::debug!(pod = pod.name_any(), error = with_causes(&error), "a pod does not answer");
            None
        }
    });
    Ok(measured.collect())
}

/// What the container of a pod requests, in cores or bytes.
fn request(pod: &Pod, resource: &str) -> Option<f64> {
    let container = pod.spec.as_ref()?.containers.first()?;
    let requests = container.resources.as_ref()?.requests.as_ref()?;
    quantity::parse(&requests.get(resource)?.0).filter(|amount| *amount > 0.0)
}
