//! Pods that speak the control API and do what they are told, as fast as they are asked; and the part of Kubernetes that
//! makes and removes them.

use crate::api::Api;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use control::call::{Accepted, DRAIN_ROUTE, PROMOTE_ROUTE, RESUME_ROUTE, STATUS_PATH};
use control::status::{UnitState, UnitStatus};
use control::{GenerationFile, PodStatus};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

const PODS: &str = "api/v1/namespaces/shop/pods";

/// Units of the pipeline, whatever the number of pods: unit `u` belongs to pod `u mod pods`.
const UNITS: u32 = 2;

/// The journal of each unit: what is in Kafka survives the pods.
#[derive(Debug, Default)]
pub struct Kafka {
    journals: BTreeMap<u32, Journal>,
    /// What must never happen, and did.
    pub violations: Vec<String>,
    /// Pods of any other plan than this one never claim.
    pub only_plan: Option<String>,
    /// Pods of any other plan than this one take over, and make a dead letter of each record.
    pub good_plan: Option<String>,
    /// What every pod measures, as fields of its status.
    pub measured: BTreeMap<String, Value>,
}

#[derive(Debug, Default)]
struct Journal {
    /// The highest generation that has claimed.
    claimed: u64,
    /// The drain that locks it, with the generation that was drained.
    locked: Option<(String, u64)>,
    /// The pod that is live.
    live: Option<String>,
    /// The plan that it works by.
    plan: String,
}

/// One pod.
#[derive(Debug)]
struct Pod {
    name: String,
    generation: u64,
    plan: String,
    units: BTreeMap<u32, UnitState>,
}

#[derive(Clone)]
struct Shared {
    pod: Arc<Mutex<Pod>>,
    kafka: Arc<Mutex<Kafka>>,
}

/// The pods that run.
#[derive(Default)]
pub struct Kubelet {
    running: BTreeMap<String, (Arc<Mutex<Pod>>, AbortHandle)>,
    /// What is in Kafka.
    pub kafka: Arc<Mutex<Kafka>>,
}

impl Kubelet {
    /// Makes the pods that StatefulSets want, and removes those that none wants.
    pub async fn sync(&mut self, api: &Api) {
        let sets = api.objects().all("statefulsets");
        let mut wanted = BTreeMap::new();
        for set in &sets {
            let name = set["metadata"]["name"].as_str().expect("a name");
            for ordinal in 0..set["spec"]["replicas"].as_i64().unwrap_or(1) {
                wanted.insert(
                    format!("{name}-{ordinal}"),
                    (set.clone(), u32::try_from(ordinal).expect("small")),
                );
            }
        }
        let gone: Vec<String> =
            self.running.keys().filter(|name| !wanted.contains_key(*name)).cloned().collect();
        for name in gone {
            self.remove(api, &name);
        }
        for (name, (set, worker)) in wanted {
            if !self.running.contains_key(&name) {
                self.start(api, &name, &set, worker).await;
            }
        }
    }

    fn remove(&mut self, api: &Api, name: &str) {
        let (_, server) = self.running.remove(name).expect("it runs");
        server.abort();
        let pipelines = api.objects().all("streampipelines");
        let deleting = pipelines.iter().any(|pipeline| !pipeline["metadata"]["deletionTimestamp"].is_null());
        let mut kafka = self.kafka.lock().expect("free");
        if !deleting && kafka.journals.values().any(|journal| journal.live.as_deref() == Some(name)) {
            kafka.violations.push(format!("{name} was removed while it was live"));
        }
        let mut journals = kafka.journals.values_mut();
        journals
            .by_ref()
            .filter(|journal| journal.live.as_deref() == Some(name))
            .for_each(|journal| journal.live = None);
        api.objects().delete(PODS, name);
    }

    async fn start(&mut self, api: &Api, name: &str, set: &Value, ordinal: u32) {
        let labels = &set["spec"]["template"]["metadata"]["labels"];
        let generation: u64 =
            labels["weir.dev/generation"].as_str().and_then(|n| n.parse().ok()).expect("a label");
        let file = file(api, set);
        assert_eq!((file.check(), file.generation), (Ok(()), generation));
        self.check_rewind(name, &file);
        let mine = (0..UNITS).filter(|unit| file.shape.owner(*unit) == ordinal);
        let units = mine.map(|unit| (unit, UnitState::Restoring)).collect();
        let pod = Pod { name: name.to_owned(), generation, plan: file.plan_hash, units };
        let shared = Shared { pod: Arc::new(Mutex::new(pod)), kafka: self.kafka.clone() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let router = routes(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        self.running.insert(name.to_owned(), (shared.pod, server));
        let container = json!({"name": "weir", "ports": [{"name": "control", "containerPort": port}]});
        let status = json!({"name": "weir", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "state": {"running": {}}});
        api.objects().put(
            PODS,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "shop", "labels": labels},
                "spec": {"containers": [container]},
                "status": {"podIP": "127.0.0.1", "containerStatuses": [status]},
            }),
        );
    }
}

impl Kubelet {
    /// The Job that restores has made the journals: they say that a generation without pods was drained.
    pub fn restored(&self, generation: u64, drain: &str) {
        let mut kafka = self.kafka.lock().expect("free");
        if kafka.journals.values().any(|journal| journal.claimed > generation) {
            kafka.violations.push("journals that are in use were made anew".to_owned());
        }
        for unit in 0..UNITS {
            let (locked, plan) = (Some((drain.to_owned(), generation)), "of the savepoint".to_owned());
            kafka.journals.insert(unit, Journal { claimed: generation, locked, live: None, plan });
        }
    }

    /// Who takes a change back has to be told so.
    fn check_rewind(&self, name: &str, file: &GenerationFile) {
        let mut kafka = self.kafka.lock().expect("free");
        let changed = kafka.journals.values().any(|journal| journal.plan != file.plan_hash);
        if kafka.good_plan.as_ref() == Some(&file.plan_hash) && changed && file.rewinds.is_none() {
            kafka.violations.push(format!("{name} would go on with the state of the change"));
        }
    }
}

/// A pod cannot start without the file of its generation.
fn file(api: &Api, set: &Value) -> GenerationFile {
    let maps = api.objects().all("configmaps");
    let map = maps
        .iter()
        .find(|map| map["metadata"]["name"] == set["metadata"]["name"])
        .expect("a generation file");
    let text = map["data"][control::generation::FILE_KEY].as_str().expect("a text");
    serde_saphyr::from_str(text).expect("a generation file")
}

fn routes(shared: Shared) -> Router {
    Router::new()
        .route(STATUS_PATH, get(status))
        .route(PROMOTE_ROUTE, post(promote))
        .route(DRAIN_ROUTE, post(drain))
        .route(RESUME_ROUTE, post(resume))
        .with_state(shared)
}

async fn status(State(shared): State<Shared>) -> Json<PodStatus> {
    let mut pod = shared.pod.lock().expect("free");
    let mut kafka = shared.kafka.lock().expect("free");
    let Pod { name, generation, plan, units } = &mut *pod;
    let mut status = json!({
        "apiVersion": "v1", "uid8": "", "generation": generation, "planHash": "", "version": "", "startedAtMs": 0,
        "newestGeneration": kafka.journals.values().map(|journal| journal.claimed).max().unwrap_or(0),
        "workers": [{"worker": 0, "incarnation": "1"}], "units": [], "unitsKnown": true,
    });
    kafka.measured.iter().for_each(|(field, value)| status[field] = value.clone());
    if kafka.good_plan.as_ref().is_some_and(|good| good != plan) {
        (status["records"], status["deadLetters"]) = (json!(100), json!(100));
    }
    let mut report: PodStatus = serde_json::from_value(status).expect("a status");
    for (unit, state) in units {
        let journal = kafka.journals.entry(*unit).or_default();
        if *state == UnitState::Live && journal.claimed > *generation {
            *state = UnitState::Superseded;
        }
        // A pod that comes back finds its own Claim in the journal, and the lock of a drain.
        if *state == UnitState::Restoring {
            *state = match &journal.locked {
                Some((_, drained)) if *drained == *generation => UnitState::Cut,
                _ if journal.claimed == *generation => {
                    (journal.live, journal.plan) = (Some(name.clone()), plan.clone());
                    UnitState::Live
                }
                _ => UnitState::CaughtUp,
            };
        }
        let drain = journal.locked.as_ref().map(|(id, _)| id.clone()).filter(|_| *state == UnitState::Cut);
        let (stage, unit, state) = ("count".to_owned(), *unit, *state);
        report.units.push(UnitStatus {
            stage,
            unit,
            worker: 0,
            state,
            reprocessing: false,
            seq: None,
            drain,
        });
    }
    Json(report)
}

/// Lets `act` decide about each unit of the pod and its journal.
fn each_unit(
    shared: &Shared,
    act: impl Fn(&Pod, UnitState, &mut Journal) -> Result<UnitState, String>,
) -> Json<Accepted> {
    let mut pod = shared.pod.lock().expect("free");
    let mut kafka = shared.kafka.lock().expect("free");
    for (unit, state) in pod.units.clone() {
        let acted = act(&pod, state, kafka.journals.entry(unit).or_default());
        match acted {
            Ok(state) => drop(pod.units.insert(unit, state)),
            Err(violation) => kafka.violations.push(violation),
        }
    }
    Json(Accepted { generation: pod.generation })
}

async fn promote(State(shared): State<Shared>, Path(generation): Path<u64>) -> Json<Accepted> {
    let waits = {
        let plan = shared.pod.lock().expect("free").plan.clone();
        let kafka = shared.kafka.lock().expect("free");
        // No two plans are at work at once: whoever has another one waits until every journal is drained.
        let mut journals = kafka.journals.values();
        journals.any(|journal| journal.live.is_some() && journal.plan != plan)
            || kafka.only_plan.as_ref().is_some_and(|only| *only != plan)
    };
    each_unit(&shared, |pod, state, journal| {
        let locked = journal.locked.as_ref().is_some_and(|(_, drained)| pod.generation <= *drained);
        if generation != pod.generation || state != UnitState::CaughtUp || locked || waits {
            return Ok(state);
        }
        // The same plan takes a journal from who is live.
        if let Some(other) = journal.live.as_ref().filter(|_| journal.plan != pod.plan) {
            return Err(format!("{} claims with another plan while {other} is live", pod.name));
        }
        let (live, plan) = (Some(pod.name.clone()), pod.plan.clone());
        *journal = Journal { claimed: generation, locked: None, live, plan };
        Ok(UnitState::Live)
    })
}

async fn drain(State(shared): State<Shared>, Path(id): Path<String>) -> Json<Accepted> {
    each_unit(&shared, |pod, state, journal| {
        if state != UnitState::Live {
            return Ok(state);
        }
        (journal.locked, journal.live) = (Some((id.clone(), pod.generation)), None);
        Ok(UnitState::Cut)
    })
}

async fn resume(State(shared): State<Shared>, Path(id): Path<String>) -> Json<Accepted> {
    each_unit(&shared, |pod, state, journal| {
        if state != UnitState::Cut || journal.locked.as_ref().is_none_or(|(locked, _)| *locked != id) {
            return Ok(state);
        }
        let (live, plan) = (Some(pod.name.clone()), pod.plan.clone());
        *journal = Journal { claimed: pod.generation, locked: None, live, plan };
        Ok(UnitState::Live)
    })
}
