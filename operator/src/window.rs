//! StreamWindow: nothing is made for it; its status says how it is used. Pipelines are read from the cache of their
//! controller: they say in their own status what their windows hold.

use crate::context::{Context, with_causes};
use crate::pipeline::references;
use crate::pipeline::report::{merge_patch, write_status};
use crate::unreadable;
use control::{Condition as Kind, Reason};
use crds::condition::{Verdict, conditions};
use crds::pipeline::WindowUse;
use crds::window::USERS_MAX;
use crds::{StreamPipeline, StreamWindow, StreamWindowStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::Store;
use kube::{Resource, ResourceExt};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A change of a pipeline may wake a window before the cache that the window reads has it, and a pipeline that has gone
/// wakes nobody twice. To look again costs no call.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// What the controller of windows needs.
pub struct WindowContext {
    /// What every controller needs.
    pub shared: Arc<Context>,
    /// All pipelines.
    pub pipelines: Store<DeserializeGuard<StreamPipeline>>,
    /// Becomes true when they are listed. The store itself wakes only one of those who wait for that.
    pub listed: watch::Receiver<bool>,
}

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status has no JSON form.
    #[error("failed to encode the status of StreamWindow {0}")]
    Encode(String, #[source] serde_json::Error),
    /// The API server refused it.
    #[error("failed to write the status of StreamWindow {0}")]
    Write(String, #[source] kube::Error),
    /// Writing the status of an object that cannot be read.
    #[error("failed to report that the object cannot be read")]
    Unreadable(#[source] unreadable::Error),
}

/// Writes the status of one window if it changed.
pub async fn reconcile(
    object: Arc<DeserializeGuard<StreamWindow>>,
    context: Arc<WindowContext>,
) -> Result<Action, Error> {
    let began = Instant::now();
    let result = step(&object, &context).await;
    context.shared.conclude(("StreamWindow", &key(&object)), &object.object_ref(&()), began, &result).await;
    result.map(|()| Action::requeue(LOOK_AGAIN))
}

async fn step(object: &DeserializeGuard<StreamWindow>, context: &WindowContext) -> Result<(), Error> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    if object.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    let window = match &object.0 {
        Ok(window) => window,
        Err(object) => {
            let said = unreadable::report::<StreamWindow>(object, &[Kind::Ready], &context.shared).await;
            return said.map_err(Error::Unreadable);
        }
    };
    let Some(pipelines) = known(&context.pipelines, context.listed.clone()).await else { return Ok(()) };
    let users = pipelines.iter().filter_map(|pipeline| pipeline.0.as_ref().ok());
    let users = users.filter(|pipeline| pipeline.namespace().as_deref() == Some(namespace.as_str()));
    let before = window.status.clone().unwrap_or_else(unseen);
    let after = status(window, users, &Time(Timestamp::now()));
    match merge_patch(&before, &after).map_err(|source| Error::Encode(name.clone(), source))? {
        Some(patch) => {
            let written = write_status::<StreamWindow>(&context.shared, &namespace, &name, &patch).await;
            written.map_err(|source| Error::Write(name, source))
        }
        None => Ok(()),
    }
}

/// The pipelines, once all of them were listed: before that nobody seems to use a window. None when the process ends.
async fn known(
    pipelines: &Store<DeserializeGuard<StreamPipeline>>,
    mut listed: watch::Receiver<bool>,
) -> Option<Vec<Arc<DeserializeGuard<StreamPipeline>>>> {
    let waited = listed.wait_for(|listed| *listed).await.map(drop);
    waited.ok().map(|()| pipelines.state())
}

/// What is done after a failed reconcile.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller calls")]
pub fn after_failure(
    object: Arc<DeserializeGuard<StreamWindow>>,
    error: &Error,
    context: Arc<WindowContext>,
) -> Action {
    let key = key(&object);
    let pause = context.shared.pause_after_failure(&key);
    tracing::warn!(window = key, error = with_causes(error), ?pause, "reconcile failed");
    Action::requeue(pause)
}

fn key(object: &DeserializeGuard<StreamWindow>) -> String {
    format!("window {}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

fn unseen() -> StreamWindowStatus {
    StreamWindowStatus {
        observed_generation: -1,
        conditions: Vec::new(),
        r#type: None,
        size: None,
        keys: None,
        used_by: None,
        users: Vec::new(),
        open: None,
        late: None,
    }
}

/// The status of a window that these pipelines may use. Pure.
pub fn status<'a>(
    window: &StreamWindow,
    pipelines: impl Iterator<Item = &'a StreamPipeline>,
    now: &Time,
) -> StreamWindowStatus {
    let name = window.name_any();
    let before = window.status.clone().unwrap_or_else(unseen);
    let users = pipelines.filter(|pipeline| references::windows(&pipeline.spec).contains(&name));
    let mut users: Vec<&StreamPipeline> = users.collect();
    users.sort_by_key(|pipeline| pipeline.name_any());
    let reported =
        users.iter().filter_map(|pipeline| pipeline.status.as_ref()).flat_map(|status| &status.windows);
    let held: Vec<_> = reported.filter(|window| window.window_ref.as_ref() == Some(&name)).collect();
    // What one pipeline does not know, nobody knows.
    let sum = |number: &dyn Fn(&WindowUse) -> Option<i64>| {
        let numbers: Option<Vec<i64>> = held.iter().map(|window| number(window)).collect();
        numbers.filter(|numbers| !numbers.is_empty()).map(|numbers| numbers.iter().sum())
    };
    let generation = window.metadata.generation.unwrap_or_default();
    let ready = Verdict::new(
        Kind::Ready,
        true,
        Reason::Running,
        match users.len() {
            0 => "no pipeline uses it".to_owned(),
            1 => "1 pipeline uses it".to_owned(),
            count => format!("{count} pipelines use it"),
        },
    );
    let spec = &window.spec;
    StreamWindowStatus {
        observed_generation: generation,
        conditions: conditions(&before.conditions, &[ready], generation, now),
        r#type: spec.tumbling.as_ref().map(|_| "Tumbling".to_owned()),
        size: spec.tumbling.as_ref().map(|tumbling| tumbling.size.to_string()),
        keys: Some(spec.key_by.join(",")),
        used_by: i64::try_from(users.len()).ok(),
        users: users.iter().take(USERS_MAX).map(|pipeline| pipeline.name_any()).collect(),
        open: sum(&|window| window.open),
        late: sum(&|window| window.late),
    }
}

#[cfg(test)]
mod tests;
