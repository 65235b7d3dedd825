//! Does what was decided about a savepoint: writes the status first, then acts. No decision is made here.

use super::FINALIZER;
use super::build;
use super::decide::{Action, Decision};
use super::observe::Observed;
use crate::context::{Context, FIELD_MANAGER};
use crate::pipeline::apply::{expect_version, is_of_a_namespace_that_goes};
use crate::pipeline::report::merge_patch;
use crds::{StreamSavepoint, StreamSavepointStatus};
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Api, ResourceExt};
use serde_json::json;

/// Which write failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list of finalizers.
    #[error("failed to change the finalizers of StreamSavepoint {0}")]
    Finalizer(String, #[source] kube::Error),
    /// The status has no JSON form.
    #[error("failed to encode the status of StreamSavepoint {0}")]
    Encode(String, #[source] serde_json::Error),
    /// The status. A conflict means that the decision was made of an old object.
    #[error("failed to write the status of StreamSavepoint {0}")]
    Status(String, #[source] kube::Error),
    /// A Job that is to be.
    #[error("failed to apply Job {0}")]
    Apply(String, #[source] kube::Error),
    /// A Job that is to go.
    #[error("failed to remove Job {0}")]
    Remove(String, #[source] kube::Error),
}

impl Error {
    /// Nothing can be made any more because the namespace is being deleted.
    pub(super) fn namespace_goes(&self) -> bool {
        matches!(self, Self::Apply(_, source) if is_of_a_namespace_that_goes(source))
    }
}

/// Writes the status, then does the work.
pub(super) async fn apply(
    observed: &Observed,
    decision: &Decision,
    status: &StreamSavepointStatus,
    context: &Context,
) -> Result<(), Error> {
    let executor = Executor { observed, context };
    let mut version = observed.savepoint.resource_version();
    // Nothing is written anywhere for an object that could disappear without cleaning up.
    if decision.actions.contains(&Action::AddFinalizer) {
        let mut finalizers = observed.savepoint.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        version = executor.finalizers(finalizers, version).await?;
        context.metrics.operated("protect");
    }
    executor.status(status, version).await?;
    for action in &decision.actions {
        executor.act(action, status).await?;
    }
    Ok(())
}

/// Lets a savepoint that is being deleted disappear, with what was saved left behind.
pub(super) async fn release(observed: &Observed, context: &Context) -> Result<(), Error> {
    tracing::warn!(
        savepoint = observed.savepoint.name_any(),
        "what was saved is left: the namespace is being deleted"
    );
    Executor { observed, context }.act(&Action::RemoveFinalizer, &observed.status()).await
}

struct Executor<'a> {
    observed: &'a Observed,
    context: &'a Context,
}

impl Executor<'_> {
    fn name(&self) -> String {
        self.observed.savepoint.name_any()
    }

    fn namespace(&self) -> String {
        self.observed.savepoint.namespace().unwrap_or_default()
    }

    fn savepoints(&self) -> Api<PartialObjectMeta<StreamSavepoint>> {
        Api::namespaced(self.context.client.clone(), &self.namespace())
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.context.client.clone(), &self.namespace())
    }

    /// Returns the new version; none when the object is gone.
    async fn finalizers(
        &self,
        finalizers: Vec<String>,
        version: Option<String>,
    ) -> Result<Option<String>, Error> {
        let mut patch = json!({"metadata": {"finalizers": finalizers}});
        expect_version(&mut patch, version);
        let parameters = PatchParams::apply(FIELD_MANAGER);
        match self.savepoints().patch_metadata(&self.name(), &parameters, &Patch::Merge(&patch)).await {
            Ok(object) => Ok(object.metadata.resource_version),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(source) => Err(Error::Finalizer(self.name(), source)),
        }
    }

    /// Written with the version of the object that the decision was made of, so that two decisions never mix.
    async fn status(&self, after: &StreamSavepointStatus, version: Option<String>) -> Result<(), Error> {
        let before = self.observed.status();
        let patch = merge_patch(&before, after).map_err(|source| Error::Encode(self.name(), source))?;
        let Some(status) = patch else { return Ok(()) };
        let mut patch = json!({"status": status});
        expect_version(&mut patch, version);
        let parameters = PatchParams::apply(FIELD_MANAGER);
        let written = self
            .savepoints()
            .patch_subresource("status", &self.name(), &parameters, &Patch::Merge(&patch))
            .await;
        written.map(drop).map_err(|source| Error::Status(self.name(), source))
    }

    async fn act(&self, action: &Action, status: &StreamSavepointStatus) -> Result<(), Error> {
        let (savepoint, settings) = (&self.observed.savepoint, &self.context.settings);
        let operation = match action {
            Action::AddFinalizer => return Ok(()),
            Action::RemoveFinalizer => {
                let others = savepoint.finalizers().iter().filter(|name| *name != FINALIZER).cloned();
                self.finalizers(others.collect(), None).await?;
                "release"
            }
            Action::Take => {
                self.put(build::take(self.observed, status, settings)).await?;
                "save"
            }
            Action::Delete => {
                self.put(build::delete(self.observed, settings)).await?;
                "clean"
            }
            Action::ForgetTake => {
                // That of the attempt that was seen, whichever comes next.
                let attempt = self.observed.status().attempts.unwrap_or(1);
                self.remove(build::take_name(savepoint, attempt)).await?;
                "forget"
            }
            Action::ForgetDelete => {
                self.remove(build::delete_name(savepoint)).await?;
                "forget"
            }
        };
        self.context.metrics.operated(operation);
        Ok(())
    }

    async fn put(&self, job: Job) -> Result<(), Error> {
        let name = job.name_any();
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = self.jobs().patch(&name, &parameters, &Patch::Apply(&job)).await;
        applied.map(drop).map_err(|source| Error::Apply(name, source))
    }

    /// The Job stays until its pod is gone: nobody writes any more when it is not there.
    async fn remove(&self, name: String) -> Result<(), Error> {
        match self.jobs().delete(&name, &DeleteParams::foreground()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(Error::Remove(name, source)),
        }
    }
}
