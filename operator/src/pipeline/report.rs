//! What the user sees: one status, made of what was seen and decided (pure), written by one patch if it changed, and
//! events about what changed.

mod counted;
mod ending;
mod event_time;
mod events;
mod numbers;
mod planned;
mod problems;
mod restoring;
mod verdicts;

pub use counted::Counted;
pub use events::{event, topics_left, warning};
pub(crate) use planned::state;
pub(crate) use verdicts::counted;

use super::observe::Observed;
use super::plan::{Decision, Phase};
use super::validate::{Desired, Invalid};
use super::{Error as ReconcileError, PIPELINE_LABEL};
use crate::context::{Context, FIELD_MANAGER, publish, with_causes};
use crds::condition::conditions;
use crds::{StreamPipeline, StreamPipelineStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Debug;

/// Why the status could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status has no JSON form.
    #[error("failed to encode the status of StreamPipeline {0}")]
    Encode(String, #[source] serde_json::Error),
    /// The API server refused it.
    #[error("failed to write the status of StreamPipeline {0}")]
    Write(String, #[source] kube::Error),
}

/// Everything that a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What was seen.
    pub observed: &'a Observed,
    /// What is wanted, or what is wrong with it.
    pub desired: &'a Result<Desired, Invalid>,
    /// What was decided.
    pub decision: &'a Decision,
    /// What could not be done.
    pub failure: Option<&'a str>,
}

/// Writes status and events.
pub async fn report(
    observed: &Observed,
    desired: &Result<Desired, Invalid>,
    decision: &Decision,
    failure: Option<&ReconcileError>,
    context: &Context,
) -> Result<(), Error> {
    let failure = failure.map(|error| with_causes(error));
    let facts = Facts { observed, desired, decision, failure: failure.as_deref() };
    let uid = observed.pipeline.uid().unwrap_or_default();
    let before = observed.status();
    let (after, counted) = status(&facts, &context.counted(&uid));
    let name = observed.name();
    let patch = merge_patch(&before, &after).map_err(|source| Error::Encode(name.clone(), source))?;
    if let Some(patch) = patch {
        let namespace = observed.pipeline.namespace().unwrap_or_default();
        let written = write_status::<StreamPipeline>(context, &namespace, &name, &patch).await;
        written.map_err(|source| Error::Write(name, source))?;
    }
    context.keep_counted(&uid, Some(counted).filter(|_| !observed.deleting()));
    for event in events::events(&before, &after, decision) {
        publish(&context.recorder, &event, &observed.pipeline.object_ref(&())).await;
    }
    Ok(())
}

/// Writes the status of an object that may be gone by now. The answer, which may be an object that can no longer be read,
/// is not looked at.
pub async fn write_status<K>(
    context: &Context,
    namespace: &str,
    name: &str,
    status: &Value,
) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug,
{
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(context.client.clone(), namespace);
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER), json!({"status": status}));
    match api.patch_subresource("status", name, &parameters, &Patch::Merge(&patch)).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        written => written.map(drop),
    }
}

/// The status, and the counters that it was made of.
pub fn status(facts: &Facts<'_>, counted: &Counted) -> (StreamPipelineStatus, Counted) {
    let Facts { observed, desired, decision, .. } = *facts;
    let before = observed.status();
    let mut after = before.clone();
    let generation = observed.pipeline.metadata.generation.unwrap_or_default();
    decision.intent.write(&mut after);
    after.observed_generation = generation;
    after.selector = Some(format!("{PIPELINE_LABEL}={}", observed.name()));
    match desired {
        Ok(desired) => {
            after.references.clone_from(&desired.references);
            after.sinks.clone_from(&desired.sinks);
        }
        Err(invalid) => after.references.clone_from(&invalid.references),
    }
    let current = decision.intent.generation.and_then(|number| observed.generation(number));
    let pods = current.map(|generation| generation.pods.as_slice()).unwrap_or_default();
    let wanted = match (desired, decision.phase) {
        (_, Phase::Suspended | Phase::Deleting) => 0,
        (Ok(desired), _) => i64::from(desired.shape.replicas),
        (Err(_), _) => current.and_then(|generation| generation.replicas).map_or(0, i64::from),
    };
    // Pods that stand by are no replicas yet: who scales by this number must not count them.
    let successor = decision.successor(observed);
    let standing_by = successor.map_or(0, |generation| generation.pods.len());
    let all = observed.generations.iter().map(|generation| generation.pods.len()).sum::<usize>();
    after.replicas = i32::try_from(all - standing_by).ok();
    after.ready = Some(format!("{}/{wanted}", pods.iter().filter(|pod| pod.live()).count()));
    after.restarts = current.map(|_| pods.iter().map(|pod| i64::from(pod.restarts)).sum());
    let pods_wanted = current.and_then(|generation| generation.replicas).unwrap_or_default();
    let pods_wanted = usize::try_from(pods_wanted).unwrap_or_default();
    let counted = numbers::write(&mut after, facts, pods, pods_wanted, counted);
    after.planned_action = planned::planned(facts);
    let verdicts = verdicts::verdicts(facts, pods);
    after.conditions = conditions(&before.conditions, &verdicts, generation, &Time(observed.now));
    (after, counted)
}

/// The JSON merge patch that makes `after` of `before`; none when they are equal.
pub fn merge_patch<T: Serialize>(before: &T, after: &T) -> Result<Option<Value>, serde_json::Error> {
    Ok(difference(&serde_json::to_value(before)?, &serde_json::to_value(after)?))
}

fn difference(before: &Value, after: &Value) -> Option<Value> {
    match (before, after) {
        (before, after) if before == after => None,
        (Value::Object(before), Value::Object(after)) => {
            let gone =
                before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
            let changed = after.iter().filter_map(|(key, value)| {
                let old = before.get(key).unwrap_or(&Value::Null);
                Some((key.clone(), difference(old, value)?))
            });
            Some(Value::Object(gone.chain(changed).collect::<Map<_, _>>()))
        }
        (_, after) => Some(after.clone()),
    }
}

#[cfg(test)]
mod tests;
