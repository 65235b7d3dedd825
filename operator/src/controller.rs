//! The controllers: what is watched, and which object each change wakes.

use crate::backoff;
use crate::context::{Context, with_causes};
use crate::lease::{Elector, Handles, Term, Timing};
use crate::metrics::Metrics;
use crate::pipeline::{PIPELINE_LABEL, references};
use crate::pods::Pods;
use crate::scaling::controller::{self as scaling, ScalingContext};
use crate::serve::{self, Readiness};
use crate::settings::Settings;
use crate::window::WindowContext;
use crate::{pipeline, pods, savepoint, window};
use control::Condition as Kind;
use crds::condition::find;
use crds::{ScalingPolicy, StreamPipeline, StreamSavepoint, StreamWindow};
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Reconciles of one kind that run at the same time.
const RECONCILES_AT_ONCE: u16 = 16;
/// How long reconciles that have begun may take to end when the process ends.
const END_DEADLINE: Duration = Duration::from_secs(10);

type Pipeline = DeserializeGuard<StreamPipeline>;
type Window = DeserializeGuard<StreamWindow>;
type Scaling = DeserializeGuard<ScalingPolicy>;
type Savepoint = DeserializeGuard<StreamSavepoint>;

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No access to a cluster.
    #[error("failed to find out how to reach the cluster")]
    Cluster(#[source] kube::Error),
    /// The client of the pods.
    #[error("failed to prepare the client of the pods")]
    Pods(#[source] pods::Error),
    /// The metrics.
    #[error("failed to register the metrics")]
    Metrics(#[source] prometheus::Error),
    /// The signal that ends the process.
    #[error("failed to listen for the signal that ends the process")]
    Signal(#[source] std::io::Error),
    /// An HTTP server.
    #[error("failed to serve HTTP")]
    Serve(#[source] serve::Error),
}

/// Runs until the process is told to end; finishes the reconciles that have begun, then lets another operator begin.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let client = Client::try_default().await.map_err(Error::Cluster)?;
    let metrics = Metrics::new().map_err(Error::Metrics)?;
    let pods = Pods::new().map_err(Error::Pods)?;
    let reporter = Reporter { controller: "weir-operator".to_owned(), instance: None };
    let recorder = Recorder::new(client.clone(), reporter);
    let (health_address, metrics_address) = (settings.health_address, settings.metrics_address);
    let term = Term::default();
    let handles = Handles { term: term.clone(), recorder: recorder.clone(), metrics: metrics.clone() };
    let elector = elector(&client, &settings, handles);
    let context = Arc::new(Context::new(client, pods, recorder, settings, metrics.clone()));
    let (stop, stopped) = watch::channel(false);
    let (finish, finished) = watch::channel(false);
    let readiness = Readiness::default();
    let work = async {
        let signal = async {
            let result = tokio::select! {
                result = termination() => result,
                // Without its servers the process would not be noticed to work.
                () = turned(stopped.clone()) => Ok(()),
            };
            readiness.set(false);
            tracing::info!("the process is told to end");
            // Nobody listens any more when everything has ended already.
            let _ = stop.send(true);
            result
        };
        let controllers = controllers(context, term, readiness.clone(), stopped.clone());
        let result = tokio::join!(controllers, signal).1;
        let _ = finish.send(true);
        result
    };
    let health = serve::health(health_address, readiness.clone(), stopped.clone());
    let numbers = serve::metrics(metrics_address, metrics, stopped.clone());
    let served = async {
        let result = tokio::try_join!(health, numbers).map_err(Error::Serve);
        let _ = stop.send(true);
        result
    };
    let (worked, served, ()) = tokio::join!(work, served, elector.run(finished));
    served.map(drop).and(worked)
}

fn elector(client: &Client, settings: &Settings, handles: Handles) -> Elector {
    let namespace = settings.lease_namespace.as_deref().unwrap_or(client.default_namespace());
    let me = Elector::identity(&settings.identity);
    Elector::new(client.clone(), namespace, &settings.lease, me, Timing::default(), handles)
}

/// Ends when the value turns true, or nobody is left who could turn it.
async fn turned(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn termination() -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signal)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

fn api<K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>>(
    context: &Context,
) -> Api<K> {
    match &context.settings.namespace {
        Some(namespace) => Api::namespaced(context.client.clone(), namespace),
        None => Api::all(context.client.clone()),
    }
}

/// Everything is watched all the time, so that an operator that begins to lead knows all objects; what is woken while
/// another one leads is passed over, and all of it is woken when a term begins.
async fn controllers(
    context: Arc<Context>,
    term: Term,
    readiness: Readiness,
    stopped: watch::Receiver<bool>,
) {
    let ours = watcher::Config::default().labels(PIPELINE_LABEL);
    let config = Config::default().concurrency(RECONCILES_AT_ONCE);
    let pipelines =
        Controller::new(api::<Pipeline>(&context), watcher::Config::default()).with_config(config.clone());
    let store = pipelines.store();
    let (of_windows, of_maps, of_savepoints) = (store.clone(), store.clone(), store.clone());
    let in_office = term.clone();
    let pipelines = pipelines
        .owns(api::<StatefulSet>(&context), ours.clone())
        .owns(api::<Job>(&context), ours.clone())
        .watches(api::<Pod>(&context), ours, |pod| labelled(&pod))
        .watches(api::<Window>(&context), watcher::Config::default(), move |window| {
            users_of_window(&of_windows, &window)
        })
        .watches(api::<PartialObjectMeta<ConfigMap>>(&context), watcher::Config::default(), move |map| {
            users_of_map(&of_maps, &map)
        })
        .watches(api::<Savepoint>(&context), watcher::Config::default(), move |savepoint| {
            ended_by(&savepoint).into_iter().chain(users_of_savepoint(&of_savepoints, &savepoint))
        })
        .reconcile_all_on(term.begins())
        .trigger_backoff(backoff::Watches::of("pipelines"))
        .graceful_shutdown_on(turned(stopped.clone()))
        .run(
            move |object, context| led(in_office.clone(), pipeline::reconcile(object, context)),
            pipeline::after_failure,
            context.clone(),
        );
    let windows = Controller::new(api::<Window>(&context), watcher::Config::default()).with_config(config);
    let window_store = windows.store();
    let (tell_listed, listed) = watch::channel(false);
    let window_context =
        Arc::new(WindowContext { shared: context.clone(), pipelines: store.clone(), listed });
    let in_office = term.clone();
    let windows = windows
        .watches(api::<Pipeline>(&context), watcher::Config::default(), |pipeline| windows_of(&pipeline))
        .reconcile_all_on(term.begins())
        .trigger_backoff(backoff::Watches::of("windows"))
        .graceful_shutdown_on(turned(stopped.clone()))
        .run(
            move |object, context| led(in_office.clone(), window::reconcile(object, context)),
            window::after_failure,
            window_context,
        );
    let scaling = scaling_policies(context.clone(), term.clone(), stopped.clone());
    let savepoints = savepoints(context.clone(), term.clone(), stopped.clone());
    let schedules = schedules(context.clone(), term.clone(), stopped.clone());
    let ready = async {
        let listed = tokio::join!(store.wait_until_ready(), window_store.wait_until_ready());
        // Nobody listens any more when everything has ended already.
        let _ = tell_listed.send(listed.0.is_ok());
        readiness.set(listed.0.is_ok() && listed.1.is_ok() && !*stopped.borrow());
    };
    let beside = async {
        let beside =
            async { tokio::join!(ready, count(&store, &context.metrics, &term), forget(&context, &term)) };
        tokio::select! {
            _ = beside => {}
            () = turned(stopped.clone()) => {}
        }
    };
    tokio::join!(
        ends(pipelines, stopped.clone()),
        ends(windows, stopped.clone()),
        scaling,
        savepoints,
        schedules,
        beside
    );
}

/// Policies are looked at by the clock, and when they or what they scale change.
async fn scaling_policies(context: Arc<Context>, term: Term, stopped: watch::Receiver<bool>) {
    let config = Config::default().concurrency(RECONCILES_AT_ONCE);
    let policies = Controller::new(api::<Scaling>(&context), watcher::Config::default()).with_config(config);
    let store = policies.store();
    let of_pipelines = store.clone();
    let scaling_context = Arc::new(ScalingContext { shared: context.clone(), policies: store });
    let policies = policies
        .watches(api::<Pipeline>(&context), watcher::Config::default(), move |pipeline| {
            policies_of(&of_pipelines, &pipeline)
        })
        .reconcile_all_on(term.begins())
        .trigger_backoff(backoff::Watches::of("scaling policies"))
        .graceful_shutdown_on(turned(stopped.clone()))
        .run(
            move |object, context| led(term.clone(), scaling::reconcile(object, context)),
            scaling::after_failure,
            scaling_context,
        );
    ends(policies, stopped).await;
}

/// Savepoints are looked at when they, their Jobs or their pipelines change.
async fn savepoints(context: Arc<Context>, term: Term, stopped: watch::Receiver<bool>) {
    let ours = watcher::Config::default().labels(PIPELINE_LABEL);
    let config = Config::default().concurrency(RECONCILES_AT_ONCE);
    let savepoints =
        Controller::new(api::<Savepoint>(&context), watcher::Config::default()).with_config(config);
    let of_pipelines = savepoints.store();
    let savepoints = savepoints
        .owns(api::<Job>(&context), ours)
        .watches(api::<Pipeline>(&context), watcher::Config::default(), move |pipeline| {
            savepoints_of(&of_pipelines, &pipeline)
        })
        .reconcile_all_on(term.begins())
        .trigger_backoff(backoff::Watches::of("savepoints"))
        .graceful_shutdown_on(turned(stopped.clone()))
        .run(
            move |object, context| led(term.clone(), savepoint::reconcile(object, context)),
            savepoint::after_failure,
            context.clone(),
        );
    ends(savepoints, stopped).await;
}

/// Schedules of savepoints are looked at by the clock, and when one of their savepoints is over.
async fn schedules(context: Arc<Context>, term: Term, stopped: watch::Receiver<bool>) {
    let config = Config::default().concurrency(RECONCILES_AT_ONCE);
    let scheduled = watcher::Config::default().labels(&format!("{}=Schedule", savepoint::TRIGGER_LABEL));
    let schedules = Controller::new(api::<Pipeline>(&context), watcher::Config::default())
        .with_config(config)
        .watches(api::<Savepoint>(&context), scheduled, |savepoint| labelled(&savepoint))
        .reconcile_all_on(term.begins())
        .trigger_backoff(backoff::Watches::of("schedules"))
        .graceful_shutdown_on(turned(stopped.clone()))
        .run(
            move |object, context| led(term.clone(), savepoint::schedule::reconcile(object, context)),
            savepoint::schedule::after_failure,
            context.clone(),
        );
    ends(schedules, stopped).await;
}

/// A reconcile of the operator that leads. Whoever does not lead leaves the object alone.
async fn led<E>(term: Term, reconcile: impl Future<Output = Result<Action, E>>) -> Result<Action, E> {
    term.during(reconcile).await.unwrap_or_else(|| Ok(Action::await_change()))
}

/// Runs a controller until the process ends. Reconciles that have begun get a while to end; what they leave is as if
/// the process had been killed.
async fn ends<T, E: std::error::Error>(
    controller: impl Stream<Item = Result<T, E>>,
    stopped: watch::Receiver<bool>,
) {
    let too_long = async {
        turned(stopped).await;
        tokio::time::sleep(END_DEADLINE).await;
    };
    tokio::select! {
        () = controller.for_each(async |result| log(result.map(drop))) => {}
        () = too_long => tracing::warn!("reconciles that have begun are abandoned"),
    }
}

/// What was remembered in one term is not used in the next.
async fn forget(context: &Context, term: &Term) {
    let mut terms = pin!(term.begins());
    while terms.next().await.is_some() {
        context.forget();
        term.over().await;
        context.forget();
    }
}

/// What the runtime of the controllers reports besides failed reconciles, which are logged where they are handled.
fn log<E: std::error::Error>(result: Result<(), E>) {
    if let Err(error) = result {
        tracing::debug!(error = with_causes(&error), "a watch or a reconcile reports");
    }
}

/// Keeps the number of pipelines by status; of several operators the one that leads has it.
async fn count(store: &Store<Pipeline>, metrics: &Metrics, term: &Term) {
    let mut tick = tokio::time::interval(Duration::from_secs(10));
    loop {
        tick.tick().await;
        if !term.lasts() {
            metrics.count_pipelines(std::iter::empty());
            continue;
        }
        let pipelines = store.state();
        let status = |pipeline: &Arc<Pipeline>| {
            let status = pipeline.0.as_ref().ok().and_then(|pipeline| pipeline.status.as_ref());
            status.and_then(|status| find(&status.conditions, Kind::Ready)).map(|ready| ready.reason.clone())
        };
        let reasons: Vec<String> = pipelines
            .iter()
            .map(|pipeline| status(pipeline).unwrap_or_else(|| "Unknown".to_owned()))
            .collect();
        metrics.count_pipelines(reasons.iter().map(String::as_str));
    }
}

/// The pipeline that an object was made for.
fn labelled<K: ResourceExt>(object: &K) -> Option<ObjectRef<Pipeline>> {
    let name = object.labels().get(PIPELINE_LABEL)?;
    Some(ObjectRef::new(name).within(&object.namespace()?))
}

fn users_of_window(store: &Store<Pipeline>, window: &Window) -> Vec<ObjectRef<Pipeline>> {
    users(store, window.namespace().as_deref(), |pipeline| {
        references::windows(&pipeline.spec).contains(&window.name_any())
    })
}

fn users_of_map(store: &Store<Pipeline>, map: &PartialObjectMeta<ConfigMap>) -> Vec<ObjectRef<Pipeline>> {
    users(store, map.namespace().as_deref(), |pipeline| {
        references::config_maps(&pipeline.spec).contains(&map.name_any())
    })
}

/// The pipeline that waits for a savepoint to end with.
fn ended_by(savepoint: &Savepoint) -> Option<ObjectRef<Pipeline>> {
    let trigger = savepoint.labels().get(savepoint::TRIGGER_LABEL)?;
    (trigger == "Termination").then(|| labelled(savepoint)).flatten()
}

/// The pipelines that wait for a savepoint to begin with.
fn users_of_savepoint(store: &Store<Pipeline>, savepoint: &Savepoint) -> Vec<ObjectRef<Pipeline>> {
    users(store, savepoint.namespace().as_deref(), |pipeline| {
        let from = pipeline.spec.restore_from.as_ref().and_then(|from| from.savepoint_ref.as_ref());
        let waits = pipeline.status.as_ref().is_none_or(|status| status.generation.is_none());
        waits && from.is_some_and(|from| from.name == savepoint.name_any())
    })
}

fn users(
    store: &Store<Pipeline>,
    namespace: Option<&str>,
    uses: impl Fn(&StreamPipeline) -> bool,
) -> Vec<ObjectRef<Pipeline>> {
    let pipelines = store.state();
    let same = pipelines.iter().filter(|pipeline| pipeline.namespace().as_deref() == namespace);
    same.filter(|pipeline| pipeline.0.as_ref().is_ok_and(&uses))
        .map(|pipeline| ObjectRef::from_obj(&**pipeline))
        .collect()
}

/// The policies that scale a pipeline.
fn policies_of(store: &Store<Scaling>, pipeline: &Pipeline) -> Vec<ObjectRef<Scaling>> {
    let (namespace, name) = (pipeline.namespace(), pipeline.name_any());
    let policies = store.state();
    let scales = |policy: &&Arc<Scaling>| {
        policy.namespace() == namespace
            && policy.0.as_ref().is_ok_and(|policy| policy.spec.scale_target_ref.name == name)
    };
    policies.iter().filter(scales).map(|policy| ObjectRef::from_obj(&**policy)).collect()
}

/// The savepoints of a pipeline that are not over.
fn savepoints_of(store: &Store<Savepoint>, pipeline: &Pipeline) -> Vec<ObjectRef<Savepoint>> {
    let (namespace, name) = (pipeline.namespace(), pipeline.name_any());
    let savepoints = store.state();
    let waits = |savepoint: &&Arc<Savepoint>| {
        savepoint.namespace() == namespace
            && savepoint.0.as_ref().is_ok_and(|object| {
                let over = object.status.as_ref().is_some_and(savepoint::decide::is_over);
                object.spec.pipeline_ref.name == name && !over
            })
    };
    savepoints.iter().filter(waits).map(|savepoint| ObjectRef::from_obj(&**savepoint)).collect()
}

/// The windows that a pipeline refers to. A window that it no longer refers to learns that by the next change of it or
/// of another user.
fn windows_of(pipeline: &Pipeline) -> Vec<ObjectRef<Window>> {
    let Ok(object) = &pipeline.0 else { return Vec::new() };
    let namespace = object.namespace().unwrap_or_default();
    let reported = object.status.iter().flat_map(|status| &status.references);
    let reported =
        reported.filter(|reference| reference.kind == "StreamWindow").map(|reference| reference.name.clone());
    let mut names = references::windows(&object.spec);
    names.extend(reported);
    names.into_iter().map(|name| ObjectRef::new(&name).within(&namespace)).collect()
}
