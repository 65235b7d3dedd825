//! Situations for the tests of the decisions: a pipeline, its generations and its pods, made by few words.

use super::observe::{Facts, Generation, Observed, PodSeen};
use super::plan::{Decision, plan};
use super::validate::{Desired, Invalid, validate};
use crate::pods::Address;
use crate::settings::Settings;
use clap::Parser;
use control::PodStatus;
use control::generation::stateful_set;
use control::status::{Lag, UnitState, UnitStatus, WorkerStatus};
use crds::{StreamPipeline, StreamPipelineStatus};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

const PIPELINE: &str = "
apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata:
  name: clicks
  namespace: shop
  uid: 0a1b2c3d-0000-4000-8000-000000000000
  generation: 1
  resourceVersion: '7'
  finalizers: [weir.dev/cleanup]
spec:
  kafka: {secretRef: {name: my-kafka-access}}
  replicas: 2
  sources:
    - {name: clicks, kafka: {topic: clicks}}
  steps:
    - name: per-user
      windowRef: {name: per-user-5m}
  sinks:
    - {name: counts, kafka: {topic: clicks-per-user}}
";

const WINDOW: &str = "
keyBy: [user_id]
tumbling: {size: 5m}
aggregates: [{name: clicks, function: Count}]
";

/// A moment that does not change.
pub(crate) fn noon() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().expect("a time")
}

pub(crate) fn settings() -> Settings {
    Settings::parse_from(["weir-operator", "--runtime-image=weir:test", "--network-policy-for=weir-system"])
}

/// The reference pipeline, as a user has just created it.
pub(crate) fn created() -> Observed {
    Observed {
        now: noon(),
        pipeline: serde_saphyr::from_str(PIPELINE).expect("a pipeline"),
        windows: BTreeMap::from([(
            "per-user-5m".to_owned(),
            serde_saphyr::from_str(WINDOW).expect("a window"),
        )]),
        unreadable_windows: BTreeMap::new(),
        config_maps: BTreeMap::new(),
        generations: Vec::new(),
        cleanup: None,
        last: None,
        before: None,
        savepoint: None,
        restore: None,
    }
}

/// The reference pipeline with an edit.
pub(crate) fn edited(mut observed: Observed, edit: impl FnOnce(&mut StreamPipeline)) -> Observed {
    edit(&mut observed.pipeline);
    observed
}

/// The user has no room for pods beside those that work.
pub(crate) fn recreate(observed: Observed) -> Observed {
    use ::pipeline::spec::{UpdateStrategy, UpdateType};
    let strategy = UpdateStrategy { kind: Some(UpdateType::Recreate), ..UpdateStrategy::default() };
    edited(observed, |pipeline| pipeline.spec.update_strategy = Some(strategy))
}

/// The same situation some seconds later.
pub(crate) fn after(mut observed: Observed, seconds: i64) -> Observed {
    observed.now = observed.now.checked_add(SignedDuration::from_secs(seconds)).expect("in range");
    observed
}

pub(crate) fn desired(observed: &Observed) -> Result<Desired, Invalid> {
    validate(observed, &settings())
}

pub(crate) fn decide(observed: &Observed) -> Decision {
    plan(observed, &desired(observed))
}

/// The cluster after the intent of a decision was written and its actions were carried out by an API server whose
/// StatefulSets have no pods yet.
pub(crate) fn carried_out(mut observed: Observed, decision: &Decision) -> Observed {
    use super::plan::Action;
    let mut status = observed.status();
    decision.intent.write(&mut status);
    for action in &decision.actions {
        match action {
            Action::AddFinalizer | Action::RemoveFinalizer | Action::Tell(..) | Action::Clean(_) => {}
            Action::SaveFirst => {
                observed.before = Some(super::observe::SavepointSeen::Here(Box::default()));
            }
            Action::Save => observed.last = Some(super::observe::SavepointSeen::Here(Box::default())),
            Action::Restore => observed = with_restored_generation(observed),
            Action::ForgetRestore => observed.restore = None,
            Action::Start(number) => {
                let desired = desired(&observed).expect("valid");
                observed = with_generation(observed, *number, &desired);
            }
            Action::Resize(number, replicas) => of(&mut observed, *number).replicas = Some(*replicas),
            Action::Remove(number) => {
                let generation = of(&mut observed, *number);
                (generation.replicas, generation.pods) = (None, Vec::new());
            }
            Action::Forget(number) => observed.generations.retain(|generation| generation.number != *number),
        }
    }
    observed.pipeline.status = Some(status);
    observed
}

/// The ConfigMap and the Job of a pipeline that begins with a savepoint.
fn with_restored_generation(observed: Observed) -> Observed {
    let desired = desired(&observed).expect("valid");
    let place = match &desired.restore {
        Some(super::validate::Restoration::From { place, .. }) => place.clone(),
        other => unreachable!("{other:?} is no place"),
    };
    let mut observed = with_generation(observed, 1, &desired);
    observed.restore = Some(crate::job::JobSeen::Running(None));
    let generation = of(&mut observed, 1);
    generation.replicas = None;
    generation.facts.as_mut().expect("facts").file.restore = Some(place);
    observed
}

fn with_generation(mut observed: Observed, number: u64, desired: &Desired) -> Observed {
    let replicas = i32::try_from(desired.shape.replicas).expect("few");
    if observed.generation(number).is_none() {
        observed.generations.push(Generation { number, ..Generation::default() });
        observed.generations.sort_by_key(|generation| generation.number);
    }
    let file = control::GenerationFile {
        version: 1,
        namespace: "shop".to_owned(),
        pipeline: observed.name(),
        uid8: "0a1b2c3d".to_owned(),
        generation: number,
        plan_hash: desired.plan_hash.clone(),
        shape: desired.shape,
        priors: Vec::new(),
        rewinds: desired.reverted.and_then(|reverted| reverted.undone),
        restore: None,
        rollback_window_ms: None,
        ports: control::generation::Ports::default(),
        manifest: desired.manifest.clone(),
    };
    let generation = of(&mut observed, number);
    generation.replicas = Some(replicas);
    generation.facts.get_or_insert(Facts {
        file,
        revision_hash: desired.revision_hash.clone(),
        generation_hash: desired.generation_hash.clone(),
        image: Some(desired.image.clone()),
    });
    observed
}

pub(crate) fn of(observed: &mut Observed, number: u64) -> &mut Generation {
    observed.generations.iter_mut().find(|generation| generation.number == number).expect("a generation")
}

/// Every pod that generation `number` wants runs, with two units in this state each.
pub(crate) fn with_pods(mut observed: Observed, number: u64, state: UnitState) -> Observed {
    let drain = observed.status().transition.and_then(|transition| transition.drain);
    let drain = drain.or(observed.status().drained.map(|drained| drained.id));
    let name = observed.name();
    let generation = of(&mut observed, number);
    let replicas = generation.replicas.unwrap_or(0);
    generation.pods =
        (0..replicas).map(|ordinal| pod(&name, number, ordinal, state, drain.as_ref())).collect();
    observed
}

/// The pods of generation `number` disappear.
pub(crate) fn without_pods(mut observed: Observed, number: u64) -> Observed {
    of(&mut observed, number).pods.clear();
    observed
}

fn pod(pipeline: &str, number: u64, ordinal: i32, state: UnitState, drain: Option<&String>) -> PodSeen {
    let worker = u32::try_from(ordinal).expect("small");
    let left = matches!(state, UnitState::Released | UnitState::Cut);
    let stands_by =
        matches!(state, UnitState::Restoring | UnitState::Standby | UnitState::CaughtUp | UnitState::Failed);
    let unit = |unit| UnitStatus {
        stage: "per-user".to_owned(),
        unit,
        worker,
        state,
        reprocessing: false,
        seq: Some(41),
        drain: drain.cloned().filter(|_| left),
    };
    let report = PodStatus {
        units: vec![unit(worker), unit(worker + 2)],
        workers: vec![WorkerStatus { worker, incarnation: Some("0".repeat(32)) }],
        lag: Lag { records: Some(100), seconds: Some(1.5) },
        rate_records_per_second: Some(50.0),
        watermark_ms: Some(noon().as_millisecond() - 5_000),
        dead_letters: 3,
        newest_generation: Some(number - u64::from(stands_by)),
        settled: Some(true),
        ..report(number)
    };
    PodSeen {
        name: format!("{}-{ordinal}", stateful_set(pipeline, number)),
        address: Some(Address(format!("10.0.0.{ordinal}:8080"))),
        ready: state == UnitState::Live,
        restarts: 0,
        lost: None,
        trouble: None,
        report: Some(report),
    }
}

/// The node of this pod does not answer, since so many seconds.
pub(crate) fn with_lost_pod(mut observed: Observed, number: u64, ordinal: usize, seconds: i64) -> Observed {
    let since = crate::pipeline::plan::later(observed.now, -seconds);
    let pod = &mut of(&mut observed, number).pods[ordinal];
    (pod.lost, pod.report, pod.ready) = (Some(since), None, false);
    observed
}

fn report(generation: u64) -> PodStatus {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "v1", "uid8": "0a1b2c3d", "generation": generation, "planHash": "", "version": "0.1.0",
        "startedAtMs": noon().as_millisecond(), "newestGeneration": generation, "workers": [], "units": [],
        "unitsKnown": true,
    }))
    .expect("a report")
}

/// Decides and carries out until generation `number` is live, and returns the steady situation.
pub(crate) fn live(observed: Observed, number: u64) -> Observed {
    let decision = decide(&observed);
    let starting = carried_out(observed, &decision);
    let ready = with_pods(starting, number, UnitState::CaughtUp);
    let promoting = carried_out(ready.clone(), &decide(&ready));
    let live = with_pods(promoting, number, UnitState::Live);
    carried_out(live.clone(), &decide(&live))
}

pub(crate) fn status(observed: &Observed) -> StreamPipelineStatus {
    observed.status()
}
