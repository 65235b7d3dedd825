//! Objects that exist and cannot be read: their status says so, once. Their spec is not touched, and what runs for them
//! goes on.

use crate::context::{Context, FIELD_MANAGER, publish};
use crate::pipeline::report::warning;
use control::call::bounded_message;
use control::{Condition as Kind, Reason};
use crds::condition::{Verdict, conditions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::events::Event;
use kube::{Api, Resource};
use serde_json::{Value, json};

/// Why the status could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What it says so far.
    #[error("failed to read the status of {0}")]
    Read(String, #[source] kube::Error),
    /// The API server refused it.
    #[error("failed to write the status of {0}")]
    Write(String, #[source] kube::Error),
    /// The list of finalizers.
    #[error("failed to change the finalizers of {0}")]
    Release(String, #[source] kube::Error),
}

/// Says that an object cannot be read, if its status does not say that yet. `kinds` are the conditions that are False
/// because of it, besides `Stalled`, which is True.
pub async fn report<K>(object: &InvalidObject, kinds: &[Kind], context: &Context) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let name = object.metadata.name.clone().unwrap_or_default();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let found = api.get_opt(&name).await.map_err(|source| Error::Read(name.clone(), source))?;
    let Some(found) = found else { return Ok(()) };
    let generation = found.metadata.generation.unwrap_or_default();
    let Some(status) =
        status(&found.data["status"], &object.error, kinds, generation, &Time(Timestamp::now()))
    else {
        return Ok(());
    };
    let parameters = PatchParams::apply(FIELD_MANAGER);
    let patch = json!({"status": status});
    match api.patch_status(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        Err(source) => return Err(Error::Write(name, source)),
    }
    let event = warning(Reason::ConfigInvalid.as_str(), message(&object.error));
    publish(&context.recorder, &event, &found.object_ref(&resource)).await;
    Ok(())
}

/// Lets an object go that was deleted and cannot be read: deleting never hangs. What was made for it goes with it, because
/// it is the owner; `left` says what does not.
pub async fn release<K>(
    object: &InvalidObject,
    finalizer: &str,
    left: &Event,
    context: &Context,
) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let finalizers = object.metadata.finalizers.as_deref().unwrap_or_default();
    if !finalizers.iter().any(|name| name == finalizer) {
        return Ok(());
    }
    let name = object.metadata.name.clone().unwrap_or_default();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let others: Vec<&String> = finalizers.iter().filter(|name| *name != finalizer).collect();
    let patch =
        json!({"metadata": {"finalizers": others, "resourceVersion": object.metadata.resource_version}});
    let parameters = PatchParams::apply(FIELD_MANAGER);
    let mut gone = DynamicObject::new(&name, &resource).within(&namespace);
    gone.metadata.uid.clone_from(&object.metadata.uid);
    match api.patch_metadata(&name, &parameters, &Patch::Merge(&patch)).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => return Ok(()),
        Err(source) => return Err(Error::Release(name, source)),
    }
    publish(&context.recorder, left, &gone.object_ref(&resource)).await;
    Ok(())
}

fn message(error: &str) -> String {
    bounded_message(format!("the object cannot be read: {error}; correct it, what runs goes on unchanged"))
}

/// The status that says so; none when it says so already. What it says of other things stays, but for the conditions.
pub(crate) fn status(
    before: &Value,
    error: &str,
    kinds: &[Kind],
    generation: i64,
    now: &Time,
) -> Option<Value> {
    let old: Vec<Condition> = serde_json::from_value(before["conditions"].clone()).unwrap_or_default();
    let message = message(error);
    let verdict =
        |kind: &Kind| Verdict::new(*kind, *kind == Kind::Stalled, Reason::ConfigInvalid, message.clone());
    let verdicts: Vec<Verdict> = std::iter::once(&Kind::Stalled).chain(kinds).map(verdict).collect();
    let new = conditions(&old, &verdicts, generation, now);
    let same = old.len() == new.len() && new.iter().all(|condition| old.contains(condition));
    let seen = before["observedGeneration"].as_i64() == Some(generation);
    (!(same && seen)).then(|| json!({"observedGeneration": generation, "conditions": new}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::condition::find;

    #[test]
    fn what_is_said_already_is_not_said_again() {
        let at = |second| Time(Timestamp::from_second(second).expect("in range"));
        let kinds = [Kind::Ready, Kind::ConfigValid];
        let first = status(&Value::Null, "no number", &kinds, 2, &at(1)).expect("news");
        assert_eq!(first["conditions"].as_array().map(Vec::len), Some(3));
        assert_eq!(status(&first, "no number", &kinds, 2, &at(9)), None);
        let another = status(&first, "no text", &kinds, 3, &at(9)).expect("news");
        assert_eq!(
            another["conditions"][0]["lastTransitionTime"],
            first["conditions"][0]["lastTransitionTime"]
        );
        assert_eq!(another["observedGeneration"], 3);
        let conditions: Vec<Condition> =
            serde_json::from_value(another["conditions"].clone()).expect("conditions");
        assert!(find(&conditions, Kind::Ready).is_some_and(|ready| ready.message.contains("no text")));
    }
}
