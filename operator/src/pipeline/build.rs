//! The objects that the actions need. Pure.
//!
//! Everything is made for one generation and named after it, except what all generations of a pipeline share: the
//! ServiceAccount, the headless Service and the Job that deletes internal topics.

mod affinity;
mod last;
mod network;
mod pod;
mod restore;
mod size;
pub(crate) mod task;

use super::observe::Observed;
use super::plan::{Action, Decision, Intent};
use super::validate::{Desired, Invalid};
use super::{GENERATION_ANNOTATION, GENERATION_LABEL, IMAGE_ANNOTATION, PIPELINE_LABEL, REVISION_ANNOTATION};
use crate::pods::{Address, Instruction};
use crate::settings::Settings;
use control::GenerationFile;
use control::generation::{FILE_KEY, FILE_VERSION, Placement, Ports, PriorGeneration, Shape, stateful_set};
use control::savepoint::{RESTORED_GENERATION, SavepointPlace};
use crds::pipeline::{Prior, TransitionKind, TransitionStep};
use crds::{StreamPipeline, StreamSavepoint};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use std::collections::BTreeMap;

/// Who made an object, for humans and for tools.
const MANAGED_BY: &str = "weir-operator";

/// An action with everything that it needs.
#[derive(Clone, Debug, Serialize)]
pub enum Work {
    /// See [`Action::AddFinalizer`].
    AddFinalizer,
    /// See [`Action::RemoveFinalizer`].
    RemoveFinalizer,
    /// See [`Action::Restore`].
    Restore(Box<Restoring>),
    /// See [`Action::ForgetRestore`]: name of the Job.
    ForgetRestore(String),
    /// See [`Action::Start`].
    Start(Box<Manifests>),
    /// See [`Action::Resize`]: name of the StatefulSet and number of pods.
    Resize(String, i32),
    /// See [`Action::Remove`]: name of the StatefulSet and of what protects its pods.
    Remove(String),
    /// See [`Action::Tell`].
    Tell(Vec<Address>, Instruction),
    /// See [`Action::Save`].
    Save(Box<StreamSavepoint>),
    /// See [`Action::Clean`].
    Clean(Box<Job>),
    /// See [`Action::Forget`]: name of the ConfigMap.
    Forget(String),
}

/// What the pods of one generation need, in the order in which it is applied.
#[derive(Clone, Debug, Serialize)]
pub struct Manifests {
    /// The identity of the pods, without any right and without a token.
    pub service_account: ServiceAccount,
    /// Gives the pods names.
    pub service: Service,
    /// Lets a node be drained pod by pod; removed before the StatefulSet is.
    pub disruption_budget: PodDisruptionBudget,
    /// Keeps others from the control API; none when the operator was told to make none.
    pub network_policy: Option<NetworkPolicy>,
    /// The generation file; none when it exists, because it never changes.
    pub config_map: Option<ConfigMap>,
    /// The pods.
    pub stateful_set: StatefulSet,
}

/// What makes the journals of a savepoint, in the order in which it is applied.
#[derive(Clone, Debug, Serialize)]
pub struct Restoring {
    /// The identity of the pod.
    pub service_account: ServiceAccount,
    /// The generation file; none when it exists, because it never changes.
    pub config_map: Option<ConfigMap>,
    /// The pod that does it.
    pub job: Job,
}

/// Why an object cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An object of the API server has name, namespace and uid.
    #[error("the pipeline has no {0}")]
    Incomplete(&'static str),
    /// The decision wants pods of a spec that is not valid.
    #[error("generation {0} cannot be made of a spec that is not valid")]
    Invalid(u64),
    /// The decision wants a savepoint to be restored, and nobody says which.
    #[error("there is no savepoint to begin with")]
    NoSavepoint,
    /// The generation file.
    #[error("failed to write the file of generation {0}")]
    File(u64, #[source] serde_saphyr::ser_error::Error),
}

/// Name of the ServiceAccount and of the headless Service of a pipeline.
pub fn shared_name(pipeline: &str) -> String {
    format!("{pipeline}-weir")
}

/// Name of the Job that deletes the internal topics of a pipeline.
pub fn cleanup_name(pipeline: &str) -> String {
    format!("{pipeline}-weir-cleanup")
}

/// Name of the Job that makes the journals of a pipeline of a savepoint.
pub fn restore_name(pipeline: &str) -> String {
    format!("{pipeline}-weir-restore")
}

/// Name of the StreamSavepoint that keeps the state of this very pipeline when it is deleted.
pub fn last_name(pipeline: &StreamPipeline) -> String {
    format!("{}-final-{}", pipeline.name_any(), uid8(pipeline).unwrap_or_default())
}

/// Name of the StreamSavepoint that keeps the state of before the change that is being carried out; none for any other
/// change than one that begins with a savepoint.
pub fn upgrade_name(pipeline: &StreamPipeline) -> Option<String> {
    let transition = pipeline.status.as_ref()?.transition.as_ref()?;
    let saves = transition.step == TransitionStep::Saving && transition.kind != TransitionKind::Delete;
    saves.then(|| name_before(pipeline, &transition.started_at))
}

/// The same, of a change that began at this time.
pub(crate) fn name_before(pipeline: &StreamPipeline, began: &Time) -> String {
    format!("{}-upgrade-{}", pipeline.name_any(), began.0.as_second())
}

/// Labels that every object of a pipeline has.
pub fn labels(pipeline: &str) -> BTreeMap<String, String> {
    let pairs = [
        (PIPELINE_LABEL, pipeline),
        ("app.kubernetes.io/name", "weir"),
        ("app.kubernetes.io/instance", pipeline),
        ("app.kubernetes.io/component", "runtime"),
        ("app.kubernetes.io/managed-by", MANAGED_BY),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The actions of a decision with everything that they need.
pub fn build(
    observed: &Observed,
    desired: &Result<Desired, Invalid>,
    decision: &Decision,
    settings: &Settings,
) -> Result<Vec<Work>, Error> {
    let name = observed.name();
    let addresses = |number: &u64| {
        let pods =
            observed.generation(*number).map(|generation| generation.pods.as_slice()).unwrap_or_default();
        pods.iter().filter_map(|pod| pod.address.clone()).collect::<Vec<_>>()
    };
    let work = |action: &Action| {
        Ok(match action {
            Action::AddFinalizer => Work::AddFinalizer,
            Action::RemoveFinalizer => Work::RemoveFinalizer,
            Action::Restore => {
                let desired = desired.as_ref().map_err(|_| Error::Invalid(RESTORED_GENERATION))?;
                Work::Restore(Box::new(restore::restoring(observed, desired, &decision.intent, settings)?))
            }
            Action::ForgetRestore => Work::ForgetRestore(restore_name(&name)),
            Action::Start(number) => {
                let desired = desired.as_ref().map_err(|_| Error::Invalid(*number))?;
                Work::Start(Box::new(manifests(observed, desired, *number, &decision.intent, settings)?))
            }
            Action::Resize(number, replicas) => Work::Resize(stateful_set(&name, *number), *replicas),
            Action::Remove(number) => Work::Remove(stateful_set(&name, *number)),
            Action::Tell(number, instruction) => Work::Tell(addresses(number), instruction.clone()),
            Action::Save => Work::Save(Box::new(last::at_the_end(&observed.pipeline)?)),
            Action::SaveFirst => {
                let began = decision.intent.transition.as_ref().map(|transition| &transition.started_at);
                let began = began.ok_or(Error::Incomplete("change"))?;
                Work::Save(Box::new(last::before(&observed.pipeline, began)?))
            }
            Action::Clean(number) => Work::Clean(Box::new(pod::cleanup_job(observed, *number, settings)?)),
            Action::Forget(number) => Work::Forget(stateful_set(&name, *number)),
        })
    };
    decision.actions.iter().map(work).collect()
}

fn manifests(
    observed: &Observed,
    desired: &Desired,
    number: u64,
    intent: &Intent,
    settings: &Settings,
) -> Result<Manifests, Error> {
    let exists = observed.generation(number).is_some_and(|generation| generation.facts.is_some());
    Ok(Manifests {
        service_account: service_account(&observed.pipeline)?,
        service: service(&observed.pipeline)?,
        disruption_budget: disruption_budget(&observed.pipeline, number)?,
        network_policy: network::policy(&observed.pipeline, settings)?,
        config_map: if exists { None } else { Some(config_map(observed, desired, number, intent, None)?) },
        stateful_set: stateful_set_of(observed, desired, number, intent, settings)?,
    })
}

/// Metadata of an object that belongs to the pipeline and disappears with it.
fn metadata(pipeline: &StreamPipeline, name: String, number: Option<u64>) -> Result<ObjectMeta, Error> {
    let mut labels = labels(&pipeline.name_any());
    if let Some(number) = number {
        labels.insert(GENERATION_LABEL.to_owned(), number.to_string());
    }
    let owner = pipeline.controller_owner_ref(&()).ok_or(Error::Incomplete("name or uid"))?;
    Ok(ObjectMeta {
        name: Some(name),
        namespace: Some(pipeline.namespace().ok_or(Error::Incomplete("namespace"))?),
        labels: Some(labels),
        owner_references: Some(vec![k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
            block_owner_deletion: Some(true),
            ..owner
        }]),
        ..ObjectMeta::default()
    })
}

fn service_account(pipeline: &StreamPipeline) -> Result<ServiceAccount, Error> {
    Ok(ServiceAccount {
        metadata: metadata(pipeline, shared_name(&pipeline.name_any()), None)?,
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    })
}

/// Pods that are not ready have names too: they have to be reached while they stand by.
fn service(pipeline: &StreamPipeline) -> Result<Service, Error> {
    let ports = Ports::default();
    let port = |name: &str, number: u16| ServicePort {
        name: Some(name.to_owned()),
        port: i32::from(number),
        ..ServicePort::default()
    };
    let name = pipeline.name_any();
    Ok(Service {
        metadata: metadata(pipeline, shared_name(&name), None)?,
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            ports: Some(vec![port("control", ports.control), port("metrics", ports.metrics)]),
            selector: Some(BTreeMap::from([(PIPELINE_LABEL.to_owned(), name)])),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    })
}

/// A node is drained one pod at a time: each pod that goes finishes its commit, and its units wait until it is back. One for
/// each generation: pods in standby are not ready, and must not be counted among those that are missing.
fn disruption_budget(pipeline: &StreamPipeline, number: u64) -> Result<PodDisruptionBudget, Error> {
    let name = pipeline.name_any();
    Ok(PodDisruptionBudget {
        metadata: metadata(pipeline, stateful_set(&name, number), Some(number))?,
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(pods_of(&name, number)),
            // A pod that is not ready protects nothing, and must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

/// The workers of one generation.
fn pods_of(pipeline: &str, number: u64) -> LabelSelector {
    let labels = [(PIPELINE_LABEL, pipeline.to_owned()), (GENERATION_LABEL, number.to_string())];
    LabelSelector {
        match_labels: Some(labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ..LabelSelector::default()
    }
}

/// The facts of a generation, immutable: what was written once is what pods that restart read.
fn config_map(
    observed: &Observed,
    desired: &Desired,
    number: u64,
    intent: &Intent,
    restore: Option<&SavepointPlace>,
) -> Result<ConfigMap, Error> {
    let file =
        GenerationFile { restore: restore.cloned(), ..generation_file(observed, desired, number, intent)? };
    let text = serde_saphyr::to_string(&file).map_err(|source| Error::File(number, source))?;
    let mut metadata = metadata(&observed.pipeline, file.stateful_set(), Some(number))?;
    metadata.annotations = Some(BTreeMap::from([
        (REVISION_ANNOTATION.to_owned(), desired.revision_hash.clone()),
        (GENERATION_ANNOTATION.to_owned(), desired.generation_hash.clone()),
        (IMAGE_ANNOTATION.to_owned(), desired.image.clone()),
    ]));
    Ok(ConfigMap {
        metadata,
        immutable: Some(true),
        data: Some(BTreeMap::from([(FILE_KEY.to_owned(), text)])),
        ..ConfigMap::default()
    })
}

/// The file that `weir worker` reads. It carries the manifests of every plan that the priors followed, once each: a
/// unit may have to restore what any of them wrote.
fn generation_file(
    observed: &Observed,
    desired: &Desired,
    number: u64,
    intent: &Intent,
) -> Result<GenerationFile, Error> {
    let priors = &intent.priors;
    let manifest_of = |prior: &Prior| {
        let facts = observed.facts(prior.generation);
        let facts = facts.filter(|facts| facts.file.restore.is_none());
        facts.map(|facts| facts.file.manifest.clone()).filter(|_| prior.plan_hash != desired.plan_hash)
    };
    let is_first =
        |at: usize, prior: &Prior| priors[..at].iter().all(|newer| newer.plan_hash != prior.plan_hash);
    let place = |prior: &Prior| observed.facts(prior.generation).and_then(|facts| facts.file.restore.clone());
    let priors = priors.iter().enumerate().map(|(at, prior)| PriorGeneration {
        generation: prior.generation,
        plan_hash: prior.plan_hash.clone(),
        shape: Shape {
            replicas: prior.replicas,
            workers_per_replica: prior.workers_per_replica,
            placement: Placement::Modulo,
        },
        manifest: if is_first(at, prior) { manifest_of(prior) } else { None },
        restore: place(prior),
    });
    Ok(GenerationFile {
        version: FILE_VERSION,
        namespace: observed.pipeline.namespace().ok_or(Error::Incomplete("namespace"))?,
        pipeline: observed.name(),
        uid8: uid8(&observed.pipeline)?,
        generation: number,
        plan_hash: desired.plan_hash.clone(),
        shape: desired.shape,
        priors: priors.collect(),
        rewinds: desired.reverted.and_then(|reverted| reverted.undone),
        restore: None,
        rollback_window_ms: desired.watch.map(|watch| watch.keep_ms),
        ports: Ports::default(),
        manifest: desired.manifest.clone(),
    })
}

/// The first 8 hex digits of the uid.
fn uid8(pipeline: &StreamPipeline) -> Result<String, Error> {
    let uid = pipeline.uid().ok_or(Error::Incomplete("uid"))?;
    Ok(uid.chars().filter(char::is_ascii_hexdigit).take(8).collect())
}

fn stateful_set_of(
    observed: &Observed,
    desired: &Desired,
    number: u64,
    intent: &Intent,
    settings: &Settings,
) -> Result<StatefulSet, Error> {
    let name = observed.name();
    Ok(StatefulSet {
        metadata: metadata(&observed.pipeline, stateful_set(&name, number), Some(number))?,
        spec: Some(StatefulSetSpec {
            replicas: i32::try_from(desired.shape.replicas).ok(),
            // Every pod owns its units from the start; none waits for another.
            pod_management_policy: Some("Parallel".to_owned()),
            service_name: Some(shared_name(&name)),
            selector: pods_of(&name, number),
            // A change of the pods is a new generation with a StatefulSet of its own.
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            template: pod::template(observed, desired, (number, intent), settings),
            ..StatefulSetSpec::default()
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests;
