//! StreamPipeline: six calls in the order of the files. Only `observe` and `apply` (and the patch of `report`) talk to
//! the API server and to pods; what they do is decided in between by functions of plain data.

pub mod apply;
pub mod build;
#[cfg(test)]
pub(crate) mod fixture;
pub mod observe;
pub mod plan;
pub mod references;
pub mod report;
pub mod validate;

use crate::context::{Context, with_causes};
use crate::unreadable;
use crds::StreamPipeline;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use std::time::Instant;

/// Label with the name of the pipeline, on everything that is made for it.
pub const PIPELINE_LABEL: &str = "weir.dev/pipeline";
/// Label with the number of the generation, on everything that is made for one.
pub const GENERATION_LABEL: &str = "weir.dev/generation";
/// Annotation with the hash of the revision, on the ConfigMap of a generation.
pub const REVISION_ANNOTATION: &str = "weir.dev/revision-hash";
/// Annotation with the hash of revision and shape, on the ConfigMap of a generation.
pub const GENERATION_ANNOTATION: &str = "weir.dev/generation-hash";
/// Annotation with the image of the pods, on the ConfigMap of a generation.
pub const IMAGE_ANNOTATION: &str = "weir.dev/image";
/// Annotation by which a user asks for new pods of the same plan: every other text is a restart.
pub const RESTARTED_AT_ANNOTATION: &str = "weir.dev/restartedAt";
/// The finalizer that waits for internal topics to be deleted.
pub const FINALIZER: &str = "weir.dev/cleanup";

/// The finalizers of others.
pub fn other_finalizers(all: &[String]) -> Vec<String> {
    all.iter().filter(|name| *name != FINALIZER).cloned().collect()
}

/// Why a reconcile failed; it is tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading the cluster.
    #[error("failed to observe")]
    Observe(#[source] observe::Error),
    /// Making manifests.
    #[error("failed to build")]
    Build(#[source] build::Error),
    /// Changing the cluster.
    #[error("failed to apply")]
    Apply(#[source] apply::Error),
    /// Writing the status.
    #[error("failed to report")]
    Report(#[source] report::Error),
    /// Writing the status of an object that cannot be read.
    #[error("failed to report that the object cannot be read")]
    Unreadable(#[source] unreadable::Error),
}

/// Brings one pipeline a step nearer to what its object says.
pub async fn reconcile(
    object: Arc<DeserializeGuard<StreamPipeline>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let began = Instant::now();
    let result = step(&object, &context).await;
    context.conclude(("StreamPipeline", &key(&object)), &object.object_ref(&()), began, &result).await;
    result
}

async fn step(object: &DeserializeGuard<StreamPipeline>, context: &Context) -> Result<Action, Error> {
    let observed = match observe::observe(object, context).await.map_err(Error::Observe)? {
        observe::Outcome::Gone => return Ok(Action::await_change()),
        observe::Outcome::Unreadable(object) => {
            let kinds = [control::Condition::Ready, control::Condition::ConfigValid];
            let said = if object.metadata.deletion_timestamp.is_some() {
                unreadable::release::<StreamPipeline>(&object, FINALIZER, &report::topics_left(), context)
                    .await
            } else {
                unreadable::report::<StreamPipeline>(&object, &kinds, context).await
            };
            said.map_err(Error::Unreadable)?;
            return Ok(Action::await_change());
        }
        observe::Outcome::Seen(observed) => observed,
    };
    let desired = validate::validate(&observed, &context.settings);
    let decision = plan::plan(&observed, &desired);
    let work = build::build(&observed, &desired, &decision, &context.settings).map_err(Error::Build)?;
    let applied = apply::apply(&observed, &decision.intent, work, context).await;
    // No Job can be made in a namespace that is being deleted, and nobody is to wait for one.
    if observed.deleting() && applied.as_ref().is_err_and(apply::namespace_goes) {
        apply::release(&observed.pipeline, context).await.map_err(Error::Apply)?;
        return Ok(Action::await_change());
    }
    if let Err(error) = &applied
        && !error.after_intent()
    {
        return applied.map_err(Error::Apply).map(|()| Action::await_change());
    }
    let applied = applied.map_err(Error::Apply);
    report::report(&observed, &desired, &decision, applied.as_ref().err(), context)
        .await
        .map_err(Error::Report)?;
    applied.map(|()| Action::requeue(decision.look_again))
}

/// What is done after a failed reconcile.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller calls")]
pub fn after_failure(
    object: Arc<DeserializeGuard<StreamPipeline>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let pause = context.pause_after_failure(&key(&object));
    tracing::warn!(pipeline = key(&object), error = with_causes(error), ?pause, "reconcile failed");
    Action::requeue(pause)
}

fn key(object: &DeserializeGuard<StreamPipeline>) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}
