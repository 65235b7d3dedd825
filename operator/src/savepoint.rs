//! StreamSavepoint: a Job of the runtime image saves the state of a pipeline, because the operator has no credentials.
//!
//! ```text
//!   (nothing) ──> waits for the pipeline ──> Job ──> Ready, for good
//!                                             ^ └──> failed ──> later again, or Stalled, for good
//!                                             └───────┘
//!   deleted ──> Job that deletes what was saved ──> gone          (deletionPolicy: Delete)
//! ```
//!
//! `observe` and `apply` talk to the API server; `decide` is pure, and what it says is written to the status before it is done.

pub mod apply;
pub mod build;
pub mod decide;
#[cfg(test)]
pub(crate) mod fixture;
pub mod observe;
pub mod report;
pub mod schedule;

use crate::context::{Context, with_causes};
use crate::unreadable;
use control::Condition as Kind;
use crds::StreamSavepoint;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use std::time::Instant;

/// The finalizer that waits for what was saved to be deleted.
pub const FINALIZER: &str = "weir.dev/savepoint";
/// Label that says who wanted a savepoint, on those that the operator creates.
pub const TRIGGER_LABEL: &str = "weir.dev/trigger";

/// Why a reconcile failed; it is tried again after a pause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading the cluster.
    #[error("failed to observe")]
    Observe(#[source] observe::Error),
    /// Changing the cluster.
    #[error("failed to apply")]
    Apply(#[source] apply::Error),
    /// Writing the status of an object that cannot be read.
    #[error("failed to report that the object cannot be read")]
    Unreadable(#[source] unreadable::Error),
}

/// Brings one savepoint a step nearer to what its object says.
pub async fn reconcile(
    object: Arc<DeserializeGuard<StreamSavepoint>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let began = Instant::now();
    let result = step(&object, &context).await;
    context.conclude(("StreamSavepoint", &key(&object)), &object.object_ref(&()), began, &result).await;
    result
}

async fn step(object: &DeserializeGuard<StreamSavepoint>, context: &Context) -> Result<Action, Error> {
    let observed = match observe::observe(object, context).await.map_err(Error::Observe)? {
        observe::Outcome::Gone => return Ok(Action::await_change()),
        observe::Outcome::Unreadable(object) => {
            let said = if object.metadata.deletion_timestamp.is_some() {
                let left = report::left(None);
                unreadable::release::<StreamSavepoint>(&object, FINALIZER, &left, context).await
            } else {
                unreadable::report::<StreamSavepoint>(&object, &[Kind::Ready], context).await
            };
            said.map_err(Error::Unreadable)?;
            return Ok(Action::await_change());
        }
        observe::Outcome::Seen(observed) => observed,
    };
    let decision = decide::decide(&observed);
    let status = report::status(&observed, &decision);
    match apply::apply(&observed, &decision, &status, context).await {
        // No Job can be made in a namespace that is being deleted, and nobody is to wait for one.
        Err(error) if observed.deleting() && error.namespace_goes() => {
            apply::release(&observed, context).await.map_err(Error::Apply)?;
            return Ok(Action::await_change());
        }
        applied => applied.map_err(Error::Apply)?,
    }
    report::publish_news(&observed, &decision, &status, context).await;
    Ok(decision.look_again.map_or_else(Action::await_change, Action::requeue))
}

/// What is done after a failed reconcile.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller calls")]
pub fn after_failure(
    object: Arc<DeserializeGuard<StreamSavepoint>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    let key = key(&object);
    let pause = context.pause_after_failure(&key);
    tracing::warn!(savepoint = key, error = with_causes(error), ?pause, "reconcile failed");
    Action::requeue(pause)
}

fn key(object: &DeserializeGuard<StreamSavepoint>) -> String {
    format!("savepoint {}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests;
