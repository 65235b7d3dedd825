//! Does what was decided, in the order in which it was decided. No decision is made here: writing the intent comes
//! first, every effect is idempotent, and what is missing already needs no removal.

use super::build::{Manifests, Work};
use super::observe::Observed;
use super::plan::Intent;
use super::report::merge_patch;
use super::{FINALIZER, other_finalizers};
use crate::context::{Context, FIELD_MANAGER};
use crds::{StreamPipeline, StreamSavepoint};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;

/// Which write failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of finalizers.
    #[error("failed to change the finalizers of StreamPipeline {0}")]
    Finalizer(String, #[source] kube::Error),
    /// The intent has no JSON form.
    #[error("failed to encode the intent of StreamPipeline {0}")]
    Encode(String, #[source] serde_json::Error),
    /// The intent. A conflict means that the decision was made of an old object.
    #[error("failed to write the intent of StreamPipeline {0}")]
    Intent(String, #[source] kube::Error),
    /// An object that is to be.
    #[error("failed to apply {kind} {name}")]
    Apply {
        /// Its kind.
        kind: String,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
    /// A StatefulSet that gets another number of pods.
    #[error("failed to resize StatefulSet {0}")]
    Resize(String, #[source] kube::Error),
    /// An object that is to go.
    #[error("failed to remove {kind} {name}")]
    Remove {
        /// Its kind.
        kind: &'static str,
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// The intent was written before it failed, so that the status may be written as well.
    pub fn after_intent(&self) -> bool {
        match self {
            Self::Finalizer(..) | Self::Encode(..) | Self::Intent(..) => false,
            Self::Apply { .. } | Self::Resize(..) | Self::Remove { .. } => true,
        }
    }
}

/// True when nothing can be made any more because the namespace is being deleted.
pub fn namespace_goes(error: &Error) -> bool {
    matches!(error, Error::Apply { source, .. } if is_of_a_namespace_that_goes(source))
}

/// True for the answer of an API server that makes nothing in a namespace that is being deleted.
pub(crate) fn is_of_a_namespace_that_goes(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

/// Lets a pipeline that is being deleted disappear, with what it has in Kafka left behind.
pub async fn release(pipeline: &StreamPipeline, context: &Context) -> Result<(), Error> {
    let others = other_finalizers(pipeline.finalizers());
    let api = Api::namespaced(context.client.clone(), &pipeline.namespace().unwrap_or_default());
    tracing::warn!(
        pipeline = pipeline.name_any(),
        "internal topics are left: the namespace is being deleted"
    );
    put_finalizers(&api, pipeline.name_any(), others, None).await?;
    context.metrics.operated("release");
    Ok(())
}

/// Returns the new version; none when the object is gone.
async fn put_finalizers(
    api: &Api<StreamPipeline>,
    name: String,
    finalizers: Vec<String>,
    version: Option<String>,
) -> Result<Option<String>, Error> {
    let mut patch = json!({"metadata": {"finalizers": finalizers}});
    expect_version(&mut patch, version);
    let parameters = PatchParams::apply(FIELD_MANAGER);
    match api.patch_metadata(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(object) => Ok(object.metadata.resource_version),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(source) => Err(Error::Finalizer(name, source)),
    }
}

/// Writes the intent, then does the work.
pub async fn apply(
    observed: &Observed,
    intent: &Intent,
    work: Vec<Work>,
    context: &Context,
) -> Result<(), Error> {
    let executor =
        Executor { observed, context, namespace: observed.pipeline.namespace().unwrap_or_default() };
    let mut version = observed.pipeline.resource_version();
    // Nothing is made, not even the intent, for an object that could disappear without cleaning up.
    if work.iter().any(|work| matches!(work, Work::AddFinalizer)) {
        let mut finalizers = observed.pipeline.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        version = executor.finalizers(finalizers, version).await?;
        context.metrics.operated("protect");
    }
    executor.intent(intent, version).await?;
    for work in work {
        executor.act(work).await?;
    }
    Ok(())
}

/// Makes the API server refuse the patch when the object has changed since this version. A null would erase it.
pub(crate) fn expect_version(patch: &mut Value, version: Option<String>) {
    if let Some(version) = version {
        patch["metadata"]["resourceVersion"] = Value::String(version);
    }
}

struct Executor<'a> {
    observed: &'a Observed,
    context: &'a Context,
    namespace: String,
}

impl Executor<'_> {
    fn api<K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.namespace)
    }

    async fn finalizers(
        &self,
        finalizers: Vec<String>,
        version: Option<String>,
    ) -> Result<Option<String>, Error> {
        put_finalizers(&self.api(), self.observed.name(), finalizers, version).await
    }

    /// Written with the version of the object that the decision was made of, so that two decisions never mix.
    async fn intent(&self, intent: &Intent, version: Option<String>) -> Result<(), Error> {
        let name = self.observed.name();
        let before = self.observed.status();
        let mut after = before.clone();
        intent.write(&mut after);
        let patch = merge_patch(&before, &after).map_err(|source| Error::Encode(name.clone(), source))?;
        let Some(status) = patch else { return Ok(()) };
        let mut patch = json!({"status": status});
        expect_version(&mut patch, version);
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let written =
            self.api::<StreamPipeline>().patch_status(&name, &parameters, &Patch::Merge(&patch)).await;
        written.map(drop).map_err(|source| Error::Intent(name, source))
    }

    async fn act(&self, work: Work) -> Result<(), Error> {
        let operation = match work {
            Work::AddFinalizer => return Ok(()),
            Work::RemoveFinalizer => {
                self.finalizers(other_finalizers(self.observed.pipeline.finalizers()), None).await?;
                "release"
            }
            Work::Restore(restoring) => {
                self.put::<ServiceAccount>(restoring.service_account).await?;
                if let Some(config_map) = restoring.config_map {
                    self.put::<ConfigMap>(config_map).await?;
                }
                self.put::<Job>(restoring.job).await?;
                "restore"
            }
            Work::ForgetRestore(name) => {
                // It stays until its pod is gone: nobody writes any more when it is not there.
                self.remove_with::<Job>("Job", name, &DeleteParams::foreground()).await?;
                "forget"
            }
            Work::Start(manifests) => {
                // The objects are large, and most reconciles make none.
                Box::pin(self.start(*manifests)).await?;
                "start"
            }
            Work::Resize(name, replicas) => {
                self.resize(name, replicas).await?;
                "resize"
            }
            Work::Remove(name) => {
                // The StatefulSet goes last: as long as it is there, this is done again.
                self.remove::<PodDisruptionBudget>("PodDisruptionBudget", name.clone()).await?;
                self.remove::<StatefulSet>("StatefulSet", name).await?;
                "remove"
            }
            Work::Tell(addresses, instruction) => {
                self.context.pods.tell(&addresses, &instruction).await;
                "tell"
            }
            Work::Save(savepoint) => {
                self.put::<StreamSavepoint>(*savepoint).await?;
                "save"
            }
            Work::Clean(job) => {
                self.put::<Job>(*job).await?;
                "clean"
            }
            Work::Forget(name) => {
                self.remove::<ConfigMap>("ConfigMap", name).await?;
                "forget"
            }
        };
        self.context.metrics.operated(operation);
        Ok(())
    }

    async fn start(&self, manifests: Manifests) -> Result<(), Error> {
        self.put::<ServiceAccount>(manifests.service_account).await?;
        self.put::<Service>(manifests.service).await?;
        self.put::<PodDisruptionBudget>(manifests.disruption_budget).await?;
        if let Some(policy) = manifests.network_policy {
            self.put::<NetworkPolicy>(policy).await?;
        }
        if let Some(config_map) = manifests.config_map {
            self.put::<ConfigMap>(config_map).await?;
        }
        self.put::<StatefulSet>(manifests.stateful_set).await
    }

    async fn put<K>(&self, object: K) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Serialize
            + DeserializeOwned,
    {
        let name = object.name_any();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.api::<K>().patch(&name, &parameters, &Patch::Apply(&object)).await;
        applied.map(drop).map_err(|source| Error::Apply { kind: K::kind(&()).into_owned(), name, source })
    }

    async fn resize(&self, name: String, replicas: i32) -> Result<(), Error> {
        let patch = json!({"spec": {"replicas": replicas}});
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let resized = self.api::<StatefulSet>().patch(&name, &parameters, &Patch::Merge(&patch)).await;
        resized.map(drop).map_err(|source| Error::Resize(name, source))
    }

    async fn remove<K>(&self, kind: &'static str, name: String) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        self.remove_with::<K>(kind, name, &DeleteParams::background()).await
    }

    async fn remove_with<K>(
        &self,
        kind: &'static str,
        name: String,
        parameters: &DeleteParams,
    ) -> Result<(), Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
    {
        match self.api::<K>().delete(&name, parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(Error::Remove { kind, name, source }),
        }
    }
}
