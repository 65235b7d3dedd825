//! Reconciles against an API server in memory and pods that speak the control API, with every single write failing once,
//! before and after it had its effect: whatever fails, the same end is reached, and nothing happens on the way that must
//! never happen.
#![expect(
    clippy::panic,
    clippy::large_futures,
    reason = "a test ends at the first surprise, and its futures are few"
)]

mod api;
mod election;
mod pods;
mod release;
mod savepoints;
mod scaling;

use api::{Api, Fault};
use clap::Parser;
use crds::{StreamPipeline, StreamPipelineStatus};
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::{reflector::store, watcher};
use operator::context::Context;
use operator::metrics::Metrics;
use operator::pipeline::{after_failure, reconcile};
use operator::pods::Pods;
use operator::settings::Settings;
use operator::window::{self, WindowContext};
use pods::Kubelet;
use serde_json::{Value, json};
use std::sync::Arc;

const PIPELINES: &str = "apis/weir.dev/v1alpha1/namespaces/shop/streampipelines";
const WINDOWS: &str = "apis/weir.dev/v1alpha1/namespaces/shop/streamwindows";
const JOBS: &str = "apis/batch/v1/namespaces/shop/jobs";
/// Looks after which everything must be over; a look is a second of a real operator.
const LOOKS_MAX: usize = 60;

/// A pipeline, as the user creates it.
fn pipeline() -> Value {
    json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "StreamPipeline",
        "metadata": {"name": "clicks", "namespace": "shop", "uid": "0a1b2c3d-0000-4000-8000-000000000000", "generation": 1},
        "spec": {
            "kafka": {"bootstrapServers": "kafka:9092"},
            "replicas": 2,
            "sources": [{"name": "clicks", "kafka": {"topic": "clicks"}}],
            "sinks": [{"name": "out", "kafka": {"topic": "out"}}],
        },
    })
}

/// A cluster with an operator that is started anew by every failure.
struct World {
    api: Api,
    kubelet: Kubelet,
    /// Every deadline of a change over is past as soon as it is written.
    impatient: bool,
}

impl World {
    fn new() -> Self {
        let api = Api::default();
        api.objects().put(PIPELINES, pipeline());
        Self { api, kubelet: Kubelet::default(), impatient: false }
    }

    fn operator(&self) -> Arc<Context> {
        let api = self.api.clone();
        let service = tower::service_fn(move |request| api.clone().answer(request));
        let client = Client::new(service, "shop");
        let reporter = Reporter { controller: "weir-operator".to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        let settings = Settings::parse_from(["weir-operator", "--runtime-image=weir:test"]);
        let pods = Pods::new().expect("a client");
        Arc::new(Context::new(client, pods, recorder, settings, Metrics::new().expect("metrics")))
    }

    fn pipeline(&self) -> Option<Value> {
        self.api.objects().all("streampipelines").into_iter().next()
    }

    fn status(&self) -> StreamPipelineStatus {
        let status = self.pipeline().map(|pipeline| pipeline["status"].clone()).unwrap_or_default();
        serde_json::from_value(status).unwrap_or_default()
    }

    /// The user edits the spec.
    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        let mut pipeline = self.pipeline().expect("it exists");
        edit(&mut pipeline["spec"]);
        let generation = pipeline["metadata"]["generation"].as_i64().expect("a number");
        pipeline["metadata"]["generation"] = json!(generation + 1);
        self.api.objects().put(PIPELINES, pipeline);
    }

    /// Reconciles until `done`; a failure starts a new operator, which remembers nothing.
    async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let mut context = self.operator();
        for _ in 0..LOOKS_MAX {
            if done(self) {
                return;
            }
            if let Some(object) = self.pipeline() {
                let object: DeserializeGuard<StreamPipeline> =
                    serde_json::from_value(object).expect("an object");
                if reconcile(Arc::new(object), context.clone()).await.is_err() {
                    context = self.operator();
                }
            }
            if savepoints::look(self, &context).await.is_err() {
                context = self.operator();
            }
            self.kubelet.sync(&self.api).await;
            self.finish_jobs();
            self.let_time_pass();
        }
        panic!("not over after {LOOKS_MAX} looks: {:#?}", self.pipeline());
    }

    fn let_time_pass(&self) {
        let Some(mut pipeline) = self.pipeline().filter(|_| self.impatient) else { return };
        let transition = &mut pipeline["status"]["transition"];
        if transition["step"] == "Draining" {
            transition["deadline"] = json!("2020-01-01T00:00:00Z");
            self.api.objects().put(PIPELINES, pipeline);
        }
    }

    fn finish_jobs(&self) {
        let jobs = self.api.objects().all("jobs");
        for mut job in jobs.into_iter().filter(|job| job["status"].is_null()) {
            savepoints::finish(self, &job);
            job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
            self.api.objects().put(JOBS, job);
        }
    }

    fn ready(&self) -> Option<String> {
        let status = self.status();
        let seen = self.pipeline()?["metadata"]["generation"].as_i64() == Some(status.observed_generation);
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready")?;
        (seen && ready.status == "True").then(|| ready.reason.clone())
    }

    fn is(&self, reason: &str) -> bool {
        self.ready().as_deref() == Some(reason)
    }
}

/// The life of a pipeline: created, changed, scaled, suspended, resumed, deleted.
async fn life(fault: Option<Fault>) -> (usize, Vec<String>) {
    let mut world = World::new();
    world.api.objects().fault = fault;
    world.until(|world| world.is("Running")).await;
    let first = world.status();
    assert_eq!((first.ready.as_deref(), first.revision), (Some("2/2"), Some(1)));

    world.edit(|spec| spec["sinks"][0]["kafka"]["topic"] = json!("elsewhere"));
    world.until(|world| world.is("Running")).await;
    assert_eq!(world.status().revision, Some(2));

    world.edit(|spec| spec["replicas"] = json!(3));
    world.until(|world| world.is("Running")).await;
    let scaled = world.status();
    assert_eq!(
        (scaled.ready.as_deref(), scaled.revision),
        (Some("3/3"), Some(2)),
        "scaling is no new revision"
    );

    world.edit(|spec| spec["suspend"] = json!(true));
    world.until(|world| world.is("Suspended")).await;
    assert_eq!(world.api.objects().all("pods").len(), 0);

    world.edit(|spec| spec["suspend"] = json!(false));
    world.until(|world| world.is("Running")).await;
    let resumed = world.status();
    assert_eq!(resumed.generation, scaled.generation, "resume goes on with the same generation");
    assert_eq!((resumed.drained, resumed.transition), (None, None));
    assert_eq!(world.api.objects().all("statefulsets").len(), 1, "one generation runs");

    world.api.objects().delete(PIPELINES, "clicks");
    world.until(|world| world.pipeline().is_none()).await;
    let violations = world.kubelet.kafka.lock().expect("free").violations.clone();
    let writes = world.api.objects().writes;
    (writes, violations)
}

/// A plan that does not take over is taken back, and another one takes over.
async fn roll_back(fault: Option<Fault>) -> (usize, Vec<String>) {
    let mut world = World::new();
    world.api.objects().fault = fault;
    world.until(|world| world.is("Running")).await;
    let first = world.status();
    world.kubelet.kafka.lock().expect("free").only_plan.clone_from(&first.plan_hash);
    world.impatient = true;
    world.edit(|spec| spec["sinks"][0]["kafka"]["topic"] = json!("elsewhere"));
    let is_back = |status: &StreamPipelineStatus| {
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        status.transition.is_none() && ready.is_some_and(|ready| ready.reason == "RolledBack")
    };
    world.until(|world| is_back(&world.status())).await;
    let back = world.status();
    assert_eq!((back.generation, back.revision), (first.generation, first.revision));
    assert_eq!(back.ready.as_deref(), Some("2/2"), "the old pods work");
    assert_eq!(world.api.objects().all("statefulsets").len(), 1, "one generation runs");
    world.until(|world| is_back(&world.status())).await;

    world.kubelet.kafka.lock().expect("free").only_plan = None;
    world.impatient = false;
    world.edit(|spec| spec["sinks"][0]["kafka"]["topic"] = json!("somewhere"));
    world.until(|world| world.is("Running")).await;
    let after = world.status();
    assert_eq!((after.revision, after.rolled_back), (Some(2), None));
    let violations = world.kubelet.kafka.lock().expect("free").violations.clone();
    let writes = world.api.objects().writes;
    (writes, violations)
}

/// A plan that has taken over and does not work is taken back, resized as what it is, and another one takes over.
async fn take_back(fault: Option<Fault>) -> (usize, Vec<String>) {
    let mut world = World::new();
    world.api.objects().fault = fault;
    world.kubelet.kafka.lock().expect("free").measured.insert("records".to_owned(), json!(1_000));
    world.until(|world| world.is("Running")).await;
    let first = world.status();
    world.kubelet.kafka.lock().expect("free").good_plan.clone_from(&first.plan_hash);
    world.edit(|spec| spec["sinks"][0]["kafka"]["topic"] = json!("elsewhere"));
    let is_back = |world: &World| {
        let status = world.status();
        let seen = world.pipeline().map(|pipeline| pipeline["metadata"]["generation"].as_i64());
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        seen == Some(Some(status.observed_generation))
            && status.transition.is_none()
            && ready.is_some_and(|ready| ready.reason == "RolledBack")
    };
    world.until(is_back).await;
    let back = world.status();
    assert_eq!(back.plan_hash, first.plan_hash, "the plan of before works");
    assert!(back.generation > first.generation, "in other pods");
    assert_eq!((back.ready.as_deref(), back.probation.is_none()), (Some("2/2"), true));
    assert_eq!(back.rolled_back.as_ref().and_then(|back| back.to), first.generation);

    world.edit(|spec| spec["replicas"] = json!(3));
    world.until(is_back).await;
    let scaled = world.status();
    assert_eq!((scaled.ready.as_deref(), &scaled.plan_hash), (Some("3/3"), &first.plan_hash));
    world.until(|world| world.api.objects().all("statefulsets").len() == 1).await;

    world.kubelet.kafka.lock().expect("free").good_plan = None;
    world.edit(|spec| spec["sinks"][0]["kafka"]["topic"] = json!("somewhere"));
    world.until(|world| world.is("Running")).await;
    let after = world.status();
    assert_ne!(after.plan_hash, first.plan_hash);
    assert_eq!(after.rolled_back, None);
    let violations = world.kubelet.kafka.lock().expect("free").violations.clone();
    let writes = world.api.objects().writes;
    (writes, violations)
}

fn prepare() {
    // Another test of this process may have installed it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test]
async fn a_pipeline_lives_without_failures() {
    prepare();
    let (writes, violations) = life(None).await;
    assert_eq!(violations, Vec::<String>::new());
    println!("{writes} writes");
    assert!(writes > 20, "{writes}");
}

#[tokio::test]
async fn every_write_may_fail_before_or_after_its_effect() {
    prepare();
    let (writes, _) = life(None).await;
    for number in 0..writes {
        for fault in [Fault::Before(number), Fault::After(number)] {
            let (_, violations) = life(Some(fault)).await;
            assert_eq!(violations, Vec::<String>::new(), "{fault:?}");
        }
    }
    println!("{writes} writes, each failed before and after its effect");
}

#[tokio::test]
async fn every_write_of_a_change_that_is_taken_back_may_fail_before_or_after_its_effect() {
    prepare();
    let (writes, violations) = roll_back(None).await;
    assert_eq!(violations, Vec::<String>::new());
    for number in 0..writes {
        for fault in [Fault::Before(number), Fault::After(number)] {
            let (_, violations) = roll_back(Some(fault)).await;
            assert_eq!(violations, Vec::<String>::new(), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn every_write_of_a_change_that_is_taken_back_after_all_may_fail_before_or_after_its_effect() {
    prepare();
    let (writes, violations) = take_back(None).await;
    assert_eq!(violations, Vec::<String>::new());
    for number in 0..writes {
        for fault in [Fault::Before(number), Fault::After(number)] {
            let (_, violations) = take_back(Some(fault)).await;
            assert_eq!(violations, Vec::<String>::new(), "{fault:?}");
        }
    }
    println!("{writes} writes, each failed before and after its effect");
}

#[tokio::test]
async fn a_pipeline_disappears_from_a_namespace_that_is_being_deleted() {
    prepare();
    let mut world = World::new();
    world.until(|world| world.is("Running")).await;
    world.api.objects().terminating = true;
    world.api.objects().delete(PIPELINES, "clicks");
    world.until(|world| world.pipeline().is_none()).await;
    assert_eq!(world.api.objects().all("jobs"), Vec::<Value>::new());
}

#[tokio::test]
async fn failures_that_do_not_end_are_said_in_events_now_and_then() {
    prepare();
    let world = World::new();
    let context = world.operator();
    let object: DeserializeGuard<StreamPipeline> =
        serde_json::from_value(world.pipeline().expect("it exists")).expect("an object");
    let object = Arc::new(object);
    world.api.objects().refuses = true;
    for look in 1..=40 {
        let error = reconcile(object.clone(), context.clone()).await.expect_err("nothing can be written");
        after_failure(object.clone(), &error, context.clone());
        let said = [4, 8, 16, 32].into_iter().filter(|failures| *failures <= look).count();
        assert_eq!(world.api.objects().events, said, "after {look}");
    }
}

#[tokio::test]
async fn a_pipeline_that_does_not_change_costs_no_write() {
    prepare();
    let mut world = World::new();
    world.until(|world| world.is("Running")).await;
    let context = world.operator();
    let mut look = async || {
        let object = world.pipeline().expect("it exists");
        let object: DeserializeGuard<StreamPipeline> = serde_json::from_value(object).expect("an object");
        reconcile(Arc::new(object), context.clone()).await.expect("nothing fails");
        world.kubelet.sync(&world.api).await;
        let objects = world.api.objects();
        (objects.writes, objects.events)
    };
    // The first look of an operator that has just begun may bring the numbers up to date.
    let before = look().await;
    for _ in 0..50 {
        assert_eq!(look().await, before);
    }
}

#[tokio::test]
async fn an_object_that_cannot_be_read_gets_a_status_and_breaks_nothing() {
    prepare();
    let mut world = World::new();
    world.until(|world| world.is("Running")).await;
    world.edit(|spec| spec["replicas"] = json!("many"));
    let context = world.operator();
    let look = async || {
        let object: DeserializeGuard<StreamPipeline> =
            serde_json::from_value(world.pipeline().expect("it exists")).expect("a guarded object");
        assert!(object.0.is_err());
        reconcile(Arc::new(object), context.clone()).await.expect("it is reported");
        world.api.objects().writes
    };
    let said = look().await;
    assert_eq!(look().await, said, "the write wakes the operator, which has nothing to add");
    let pipeline = world.pipeline().expect("it exists");
    let ready = pipeline["status"]["conditions"]
        .as_array()
        .expect("conditions")
        .iter()
        .find(|c| c["type"] == "Ready");
    assert_eq!(ready.map(|ready| ready["reason"].clone()), Some(json!("ConfigInvalid")));
    assert_eq!(world.api.objects().all("statefulsets").len(), 1, "what runs goes on");
    world.api.objects().delete(PIPELINES, "clicks");
    look().await;
    assert_eq!(world.pipeline(), None, "deleting never hangs");
}

/// The cache of pipelines may learn of an edit after the window was woken for it: the window looks again by itself.
#[tokio::test]
async fn a_window_learns_that_a_pipeline_no_longer_uses_it() {
    prepare();
    let world = World::new();
    let window = json!({
        "apiVersion": "weir.dev/v1alpha1",
        "kind": "StreamWindow",
        "metadata": {"name": "per-user", "namespace": "shop", "generation": 1},
        "spec": {"keyBy": ["user"], "tumbling": {"size": "5m"}, "aggregates": [{"name": "n", "function": "Count"}]},
    });
    world.api.objects().put(WINDOWS, window);
    let (pipelines, mut writer) = store();
    let (_listed, listed) = tokio::sync::watch::channel(true);
    let context = Arc::new(WindowContext { shared: world.operator(), pipelines, listed });
    let mut used_by = async |pipeline: Value| {
        let object: DeserializeGuard<StreamPipeline> = serde_json::from_value(pipeline).expect("an object");
        writer.apply_watcher_event(&watcher::Event::Apply(object));
        let window = world.api.objects().all("streamwindows")[0].clone();
        let object = serde_json::from_value(window).expect("an object");
        let action = window::reconcile(Arc::new(object), context.clone()).await.expect("it is reported");
        assert_ne!(action, Action::await_change());
        world.api.objects().all("streamwindows")[0]["status"]["usedBy"].clone()
    };
    let mut using = pipeline();
    using["spec"]["steps"] = json!([{"name": "w", "windowRef": {"name": "per-user"}}]);
    assert_eq!(used_by(using).await, json!(1));
    assert_eq!(used_by(pipeline()).await, json!(0));
}
