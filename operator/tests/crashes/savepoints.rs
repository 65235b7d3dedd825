//! Savepoints are taken, restored and deleted although any write may fail.

use crate::api::Fault;
use crate::{PIPELINES, World, prepare};
use control::savepoint::{JobResult, RESTORED_DRAIN, RESTORED_GENERATION, Restored, Taken};
use crds::StreamSavepoint;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use operator::context::Context;
use operator::savepoint;
use serde_json::{Value, json};
use std::sync::Arc;

const SAVEPOINTS: &str = "apis/weir.dev/v1alpha1/namespaces/shop/streamsavepoints";
const PODS: &str = "api/v1/namespaces/shop/pods";
const URI: &str = "s3://state/prod";

/// The pod of a Job does what it is told, and says so at its end.
pub(crate) fn finish(world: &World, job: &Value) {
    let args = job["spec"]["template"]["spec"]["containers"][0]["args"].clone();
    let args: Vec<String> = serde_json::from_value(args).expect("arguments");
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["savepoint", "take", ..] => JobResult::Taken(Taken {
            manifest_hash: "0a".repeat(16),
            bytes: 1_024,
            units: 2,
            plan_hash: "0b".repeat(16),
            generation: 1,
            taken_at_ms: 0,
            drained: false,
        }),
        ["savepoint", "restore", ..] => {
            world.kubelet.restored(RESTORED_GENERATION, RESTORED_DRAIN);
            JobResult::Restored(Restored {
                plan_hash: "0b".repeat(16),
                units: 2,
                manifest_hash: "1e".repeat(16),
            })
        }
        ["savepoint", "delete", ..] => JobResult::Deleted,
        _ => return,
    };
    let name = job["metadata"]["name"].as_str().expect("a name");
    let ended = json!({"name": "weir", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 0, "message": result.encode()}}});
    world.api.objects().put(
        PODS,
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "shop", "labels": {"batch.kubernetes.io/job-name": name}},
            "spec": {"containers": []}, "status": {"containerStatuses": [ended]},
        }),
    );
}

fn object() -> Value {
    json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "StreamSavepoint",
        "metadata": {"name": "before", "namespace": "shop", "uid": "5a6b7c8d-0000-4000-8000-000000000000", "generation": 1},
        "spec": {"pipelineRef": {"name": "clicks"}, "deletionPolicy": "Delete", "storage": {"uri": URI}},
    })
}

fn found(world: &World) -> Option<Value> {
    world.api.objects().all("streamsavepoints").into_iter().next()
}

/// Reconciles every savepoint that there is.
pub(crate) async fn look(world: &World, context: &Arc<Context>) -> Result<(), savepoint::Error> {
    let all = world.api.objects().all("streamsavepoints");
    for object in all {
        let object: DeserializeGuard<StreamSavepoint> = serde_json::from_value(object).expect("an object");
        savepoint::reconcile(Arc::new(object), context.clone()).await?;
    }
    Ok(())
}

/// Reconciles the savepoint until `done`; a failure starts a new operator, which remembers nothing.
async fn until(world: &World, done: impl Fn(&World) -> bool) {
    let mut context = world.operator();
    for _ in 0..20 {
        if done(world) {
            return;
        }
        if look(world, &context).await.is_err() {
            context = world.operator();
        }
        world.finish_jobs();
    }
    assert!(done(world), "not over: {:#?}", found(world));
}

/// A savepoint is taken and deleted. Returns the writes.
async fn take(fault: Option<Fault>) -> usize {
    let mut world = World::new();
    world.until(|world| world.is("Running")).await;
    world.api.objects().put(SAVEPOINTS, object());
    world.api.objects().writes = 0;
    world.api.objects().fault = fault;
    let is_ready = |world: &World| {
        found(world).is_some_and(|savepoint| {
            let conditions = savepoint["status"]["conditions"].as_array().cloned().unwrap_or_default();
            conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
        })
    };
    until(&world, |world| is_ready(world) && world.api.objects().all("jobs").is_empty()).await;
    let savepoint = found(&world).expect("it is there");
    assert_eq!(savepoint["status"]["uri"], json!(format!("{URI}/savepoints/shop.before.5a6b7c8d")));
    assert_eq!(savepoint["status"]["attempts"], json!(1), "once, whatever fails");
    assert_eq!(savepoint["metadata"]["finalizers"], json!(["weir.dev/savepoint"]));

    let mut savepoint = found(&world).expect("it is there");
    savepoint["metadata"]["deletionTimestamp"] = json!(Timestamp::now());
    world.api.objects().put(SAVEPOINTS, savepoint);
    until(&world, |world| found(world).is_none()).await;
    let deleted = world.api.objects().all("jobs");
    assert_eq!(deleted.len(), 1, "what was saved is deleted: {fault:?} {deleted:?}");
    world.api.objects().writes
}

/// A pipeline begins with a savepoint, runs, and is deleted.
async fn restore(fault: Option<Fault>) -> (usize, Vec<String>) {
    let mut world = World::new();
    world.edit(|spec| spec["restoreFrom"] = json!({"uri": format!("{URI}/savepoints/shop.before.5a6b7c8d")}));
    world.api.objects().fault = fault;
    world.until(|world| world.is("Running")).await;
    let status = world.status();
    assert_eq!((status.generation, status.revision, status.probation), (Some(2), Some(1), None));
    assert_eq!(status.restored_from.expect("it is known").plan_hash, "0b".repeat(16));
    world.api.objects().delete(PIPELINES, "clicks");
    world.until(|world| world.pipeline().is_none()).await;
    let violations = world.kubelet.kafka.lock().expect("free").violations.clone();
    let writes = world.api.objects().writes;
    (writes, violations)
}

/// A pipeline is deleted, and its state is kept.
async fn end(fault: Option<Fault>) -> (usize, Vec<String>) {
    let mut world = World::new();
    world.edit(|spec| {
        spec["checkpoint"] = json!({"storage": {"uri": URI}});
        spec["terminationPolicy"] = json!("Savepoint");
    });
    world.until(|world| world.is("Running")).await;
    world.api.objects().writes = 0;
    world.api.objects().fault = fault;
    world.api.objects().delete(PIPELINES, "clicks");
    world.until(|world| world.pipeline().is_none()).await;
    let last = found(&world).expect("it outlives the pipeline");
    assert_eq!(last["metadata"]["name"], "clicks-final-0a1b2c3d");
    assert_eq!(last["status"]["manifestHash"], json!("0a".repeat(16)), "saved before anything went");
    assert_eq!(last["status"]["trigger"], "Termination");
    let violations = world.kubelet.kafka.lock().expect("free").violations.clone();
    let writes = world.api.objects().writes;
    (writes, violations)
}

#[tokio::test]
async fn every_write_of_an_end_that_keeps_the_state_may_fail_before_or_after_its_effect() {
    prepare();
    let (writes, violations) = end(None).await;
    assert_eq!(violations, Vec::<String>::new());
    for number in 0..writes {
        for fault in [Fault::Before(number), Fault::After(number)] {
            let (_, violations) = end(Some(fault)).await;
            assert_eq!(violations, Vec::<String>::new(), "{fault:?}");
        }
    }
    println!("{writes} writes, each failed before and after its effect");
}

#[tokio::test]
async fn every_write_of_a_savepoint_may_fail_before_or_after_its_effect() {
    prepare();
    let writes = take(None).await;
    assert!(writes > 5, "{writes}");
    for number in 0..writes {
        for fault in [Fault::Before(number), Fault::After(number)] {
            take(Some(fault)).await;
        }
    }
    println!("{writes} writes, each failed before and after its effect");
}

#[tokio::test]
async fn every_write_of_a_pipeline_that_begins_with_a_savepoint_may_fail_before_or_after_its_effect() {
    prepare();
    let (writes, violations) = restore(None).await;
    assert_eq!(violations, Vec::<String>::new());
    for number in 0..writes {
        for fault in [Fault::Before(number), Fault::After(number)] {
            let (_, violations) = restore(Some(fault)).await;
            assert_eq!(violations, Vec::<String>::new(), "{fault:?}");
        }
    }
    println!("{writes} writes, each failed before and after its effect");
}
