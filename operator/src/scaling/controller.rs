//! One look at a policy: collect, decide, scale, report. It talks to the API server and to pods, and decides nothing.

use super::collect;
use super::decide::{Decision, decide};
use super::history::History;
use super::measure::{Counters, measure};
use super::report::{Facts, Situation, status};
use crate::context::{Context, FIELD_MANAGER, publish, with_causes};
use crate::pipeline::report::{event, merge_patch, warning, write_status};
use crate::pipeline::validate::workers_per_replica;
use crate::unreadable;
use ::pipeline::scaling::Policy;
use control::Condition as Kind;
use crds::condition::find;
use crds::pipeline::{Transition, TransitionKind, TransitionStep};
use crds::scaling::ScalingPolicyStatus;
use crds::{ScalingPolicy, StreamPipeline};
use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::runtime::reflector::Store;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time between two looks.
const LOOK_AGAIN: Duration = Duration::from_secs(15);
/// A look that comes sooner after the last decision is too soon to measure anything.
const LOOK_EARLIEST_SECONDS: f64 = 10.0;

/// What the controller of policies needs.
pub struct ScalingContext {
    /// What every controller needs.
    pub shared: Arc<Context>,
    /// All policies.
    pub policies: Store<DeserializeGuard<ScalingPolicy>>,
}

/// What is remembered of a policy between two looks.
#[derive(Clone, Debug)]
pub struct Memory {
    history: History,
    counters: Counters,
    /// `metadata.generation` of the policy at the last decision, and when that was.
    decided: Option<(i64, Timestamp)>,
    /// When the change of the number of pods began that is not over yet.
    changing_since: Option<Timestamp>,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy.
    #[error("failed to read ScalingPolicy {0}")]
    Read(String, #[source] kube::Error),
    /// What it scales.
    #[error("failed to look at the target of ScalingPolicy {0}")]
    Collect(String, #[source] collect::Error),
    /// The number of pods.
    #[error("failed to scale StreamPipeline {0}")]
    Scale(String, #[source] kube::Error),
    /// The status has no JSON form.
    #[error("failed to encode the status of ScalingPolicy {0}")]
    Encode(String, #[source] serde_json::Error),
    /// The API server refused it.
    #[error("failed to write the status of ScalingPolicy {0}")]
    Write(String, #[source] kube::Error),
    /// Writing the status of an object that cannot be read.
    #[error("failed to report that the object cannot be read")]
    Unreadable(#[source] unreadable::Error),
}

/// Looks at one policy.
pub async fn reconcile(
    object: Arc<DeserializeGuard<ScalingPolicy>>,
    context: Arc<ScalingContext>,
) -> Result<Action, Error> {
    let began = Instant::now();
    let result = step(&object, &context, Timestamp::now()).await;
    context.shared.conclude(("ScalingPolicy", &key(&object)), &object.object_ref(&()), began, &result).await;
    result.map(|()| Action::requeue(LOOK_AGAIN))
}

/// What is done after a failed look.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the controller calls")]
pub fn after_failure(
    object: Arc<DeserializeGuard<ScalingPolicy>>,
    error: &Error,
    context: Arc<ScalingContext>,
) -> Action {
    let key = key(&object);
    let pause = context.shared.pause_after_failure(&key);
    tracing::warn!(policy = key, error = with_causes(error), ?pause, "reconcile failed");
    Action::requeue(pause)
}

fn key(object: &DeserializeGuard<ScalingPolicy>) -> String {
    format!("scaling policy {}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// One look at a time. The object is read again, because the cache may lag behind our own last write.
pub async fn step(
    cached: &DeserializeGuard<ScalingPolicy>,
    context: &ScalingContext,
    now: Timestamp,
) -> Result<(), Error> {
    let (namespace, name) = (cached.namespace().unwrap_or_default(), cached.name_any());
    let api: Api<DeserializeGuard<ScalingPolicy>> =
        Api::namespaced(context.shared.client.clone(), &namespace);
    let object = match api.get_opt(&name).await.map_err(|source| Error::Read(name.clone(), source))? {
        None => {
            context.shared.keep_scaling(&cached.uid().unwrap_or_default(), None);
            return Ok(());
        }
        Some(DeserializeGuard(Err(object))) => {
            let said = unreadable::report::<ScalingPolicy>(&object, &[], &context.shared).await;
            return said.map_err(Error::Unreadable);
        }
        Some(DeserializeGuard(Ok(object))) => object,
    };
    if object.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    Look { context, object: &object, namespace: &namespace, name: &name, now }.look().await
}

/// A look in the making.
struct Look<'a> {
    context: &'a ScalingContext,
    object: &'a ScalingPolicy,
    namespace: &'a str,
    name: &'a str,
    now: Timestamp,
}

impl Look<'_> {
    async fn look(&self) -> Result<(), Error> {
        let policy = match Policy::build(self.name, &self.object.spec) {
            Ok(policy) => policy,
            Err(problems) => {
                let texts: Vec<String> = problems.iter().take(5).map(ToString::to_string).collect();
                let message = control::call::bounded_message(texts.join("\n"));
                return self.say(&Situation::Invalid(message), None, None, None).await;
            }
        };
        let rivals = self.rivals(policy.target());
        if !rivals.is_empty() {
            return self.say(&Situation::Conflict(rivals), Some(&policy), None, None).await;
        }
        let pipeline = collect::pipeline(&self.context.shared, self.namespace, policy.target()).await;
        let Some(pipeline) = pipeline.map_err(|source| Error::Collect(self.name.to_owned(), source))? else {
            return self.say(&Situation::NoTarget, Some(&policy), None, None).await;
        };
        let replicas = replicas(&pipeline);
        let mut memory = self.remember(replicas);
        memory.history.notice(self.now, replicas);
        let situation = standing(&pipeline);
        memory.time(&pipeline, situation.is_none(), self.now);
        let result = match situation {
            Some(situation) => {
                // What the pods counted before they were replaced is not compared with what comes.
                memory.counters = Counters::default();
                self.say(&situation, Some(&policy), Some(replicas), Some(&memory)).await
            }
            None if memory.is_too_soon(self.generation(), self.now) => Ok(()),
            None => self.decide(&policy, &pipeline, &mut memory).await,
        };
        let uid = self.object.uid().unwrap_or_default();
        self.context.shared.keep_scaling(&uid, Some(memory));
        result
    }

    fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    fn before(&self) -> ScalingPolicyStatus {
        self.object.status.clone().unwrap_or_default()
    }

    /// What is remembered, or what the status says if nothing is.
    fn remember(&self, replicas: u32) -> Memory {
        let uid = self.object.uid().unwrap_or_default();
        self.context.shared.scaling(&uid).unwrap_or_else(|| {
            let status = self.before();
            let known = status.current_replicas.and_then(|count| u32::try_from(count).ok());
            let last_change = status.last_scale_time.map(|time| time.0);
            let history = History::begin(self.now, known.unwrap_or(replicas), last_change);
            Memory {
                history: history.with_pause(status.last_pause_seconds.map(|seconds| seconds as f64)),
                counters: Counters::default(),
                decided: None,
                changing_since: None,
            }
        })
    }

    /// Other policies of the namespace with this target.
    fn rivals(&self, target: &str) -> Vec<String> {
        let policies = self.context.policies.state();
        // Nobody is told of a policy that has gone.
        let known = |uid: &str| policies.iter().any(|policy| policy.uid().as_deref() == Some(uid));
        self.context.shared.forget_scaling(policies.len(), known);
        let others = policies.iter().filter_map(|policy| policy.0.as_ref().ok()).filter(|other| {
            other.namespace().as_deref() == Some(self.namespace)
                && other.name_any() != self.name
                && other.metadata.deletion_timestamp.is_none()
                && other.spec.scale_target_ref.name == target
        });
        let mut names: Vec<String> =
            others.map(|other| format!("ScalingPolicy {}", other.name_any())).collect();
        names.sort();
        names
    }

    async fn decide(
        &self,
        policy: &Policy,
        pipeline: &StreamPipeline,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        let pods = collect::pods(&self.context.shared, pipeline).await;
        let pods = pods.map_err(|source| Error::Collect(self.name.to_owned(), source))?;
        let workers = workers_per_replica(&pipeline.spec);
        let (observation, counters) =
            measure(pods.as_deref(), replicas(pipeline), workers, &memory.counters, self.now);
        let decision = decide(policy, &memory.history, &observation, self.now);
        memory.history.record(self.now, &observation, decision.wish);
        memory.counters = counters;
        memory.decided = Some((self.generation(), self.now));
        let mut replicas = observation.replicas;
        if decision.desired != decision.current && !policy.is_dry_run() {
            self.scale(pipeline, &decision).await?;
            replicas = decision.desired;
            memory.history.notice(self.now, replicas);
        }
        self.announce(policy, &decision).await;
        self.say(&Situation::Decided(Box::new(decision)), Some(policy), Some(replicas), Some(memory)).await
    }

    /// Writes the number of pods, unless the pipeline was changed since it was read.
    async fn scale(&self, pipeline: &StreamPipeline, decision: &Decision) -> Result<(), Error> {
        let api: Api<PartialObjectMeta<StreamPipeline>> =
            Api::namespaced(self.context.shared.client.clone(), self.namespace);
        let patch = json!({
            "metadata": {"resourceVersion": pipeline.resource_version()},
            "spec": {"replicas": decision.desired},
        });
        let (name, parameters) = (pipeline.name_any(), PatchParams::apply(FIELD_MANAGER));
        let scaled = api.patch_subresource("scale", &name, &parameters, &Patch::Merge(&patch)).await;
        scaled.map_err(|source| Error::Scale(name.clone(), source))?;
        self.context.shared.metrics.operated("scale");
        let Decision { current, desired, reason, .. } = decision;
        tracing::info!(policy = self.name, pipeline = name, current, desired, reason, "scaled");
        Ok(())
    }

    /// Says in an event what was done, or would have been.
    async fn announce(&self, policy: &Policy, decision: &Decision) {
        if decision.desired == decision.current {
            return;
        }
        let last = self.before().last_decision.map(|last| last.desired);
        if policy.is_dry_run() && last == Some(i64::from(decision.desired)) {
            return;
        }
        let reason = if policy.is_dry_run() { "WouldScale" } else { "Scaled" };
        let Decision { current, desired, reason: why, .. } = decision;
        let note = format!("{current} -> {desired} pods of {}: {why}", policy.target());
        let event = event(EventType::Normal, reason, note);
        publish(&self.context.shared.recorder, &event, &self.object.object_ref(&())).await;
    }

    /// Writes the status if it is news, and an event if something begins that the user has to know.
    async fn say(
        &self,
        situation: &Situation,
        policy: Option<&Policy>,
        replicas: Option<u32>,
        memory: Option<&Memory>,
    ) -> Result<(), Error> {
        let before = self.before();
        let facts = Facts {
            generation: self.generation(),
            target: &self.object.spec.scale_target_ref.name,
            policy,
            replicas,
            last_change: memory.and_then(|memory| memory.history.last_change()),
            pause_seconds: memory.and_then(|memory| memory.history.pause_seconds()),
            now: self.now,
        };
        let after = status(&before, situation, &facts);
        let name = self.name.to_owned();
        let Some(patch) =
            merge_patch(&before, &after).map_err(|source| Error::Encode(name.clone(), source))?
        else {
            return Ok(());
        };
        let written =
            write_status::<ScalingPolicy>(&self.context.shared, self.namespace, self.name, &patch).await;
        written.map_err(|source| Error::Write(name, source))?;
        for event in warnings(&before, &after) {
            publish(&self.context.shared.recorder, &event, &self.object.object_ref(&())).await;
        }
        Ok(())
    }
}

impl Memory {
    /// Looks that a watch has woken come as they like; decisions are some time apart.
    fn is_too_soon(&self, generation: i64, now: Timestamp) -> bool {
        self.decided.is_some_and(|(decided, at)| {
            decided == generation && now.duration_since(at).as_secs_f64() < LOOK_EARLIEST_SECONDS
        })
    }

    /// Measures how long a pipeline is not live when its number of pods changes.
    fn time(&mut self, pipeline: &StreamPipeline, settled: bool, now: Timestamp) {
        let status = pipeline.status.as_ref();
        let scaling = |change: &&Transition| {
            matches!(change.kind, TransitionKind::Scale | TransitionKind::Handover | TransitionKind::Heal)
        };
        if let Some(change) = status.and_then(|status| status.transition.as_ref()).filter(scaling) {
            match change.step {
                // The old pods work until the new ones claim, which may begin and end between two looks.
                TransitionStep::StandingBy => self.changing_since = Some(now),
                TransitionStep::Promoting => drop(self.changing_since.get_or_insert(now)),
                TransitionStep::Draining if change.successor.is_some() => {
                    self.changing_since.get_or_insert(now);
                }
                _ => self.changing_since = Some(change.started_at.0),
            }
        } else if let Some(began) = self.changing_since.filter(|_| settled) {
            let ready = status.and_then(|status| find(&status.conditions, Kind::Ready));
            let Some(ready) = ready.filter(|ready| ready.status == "True") else { return };
            let seconds = ready.last_transition_time.0.duration_since(began).as_secs_f64().max(0.0);
            self.history.paused(seconds);
            self.changing_since = None;
        }
    }
}

/// Pods that a pipeline asks for.
fn replicas(pipeline: &StreamPipeline) -> u32 {
    pipeline.spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(1)
}

/// Why there is nothing to decide about a pipeline now; none when there is.
fn standing(pipeline: &StreamPipeline) -> Option<Situation> {
    if pipeline.spec.suspend == Some(true) {
        return Some(Situation::TargetSuspended);
    }
    let seen = pipeline.status.as_ref().map(|status| Some(status.observed_generation));
    let changing = pipeline.status.as_ref().is_none_or(|status| status.transition.is_some());
    (changing || seen != Some(pipeline.metadata.generation)).then_some(Situation::TargetChanging)
}

/// A warning for each condition that has just become False for a reason that somebody has to know.
fn warnings(before: &ScalingPolicyStatus, after: &ScalingPolicyStatus) -> Vec<Event> {
    const TOLD: [&str; 4] = ["ConfigInvalid", "ConflictingPolicies", "MetricsUnavailable", "TargetNotFound"];
    let new = after.conditions.iter().filter(|condition| {
        let old = before.conditions.iter().find(|old| old.type_ == condition.type_);
        condition.type_ == "ScalingActive"
            && condition.status == "False"
            && TOLD.contains(&condition.reason.as_str())
            && old.is_none_or(|old| old.status != condition.status || old.reason != condition.reason)
    });
    new.map(|condition| warning(&condition.reason, condition.message.clone())).collect()
}
