//! What the user wants, checked: the same plan as `weir lint` and the workers make, or everything that is wrong. Pure.

mod restore;
mod reverted;

use super::observe::Observed;
use super::references;
use crate::settings::Settings;
use ::pipeline::manifest::{Manifest, References, ResolvedManifest};
use ::pipeline::plan::{Guarantee, Incompatible, Plan, SinkConnector, compatibility, from_yaml};
use ::pipeline::problem::{Problem, ProblemKind};
use ::pipeline::spec::{Size, StreamPipelineSpec, UpdateType};
use control::Reason;
use control::generation::{Placement, Shape};
use control::savepoint::SavepointPlace;
use crds::pipeline::SinkGuarantee;
use crds::reference::Reference;
use kube::ResourceExt;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Most problems that a status message lists; the rest is counted.
const PROBLEMS_SHOWN: usize = 5;

/// What the user wants, valid.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The spec that the pods are made of.
    pub spec: Box<StreamPipelineSpec>,
    /// It is not what the spec says, but what ran before a change that is taken back.
    pub reverted: Option<Reverted>,
    /// The revision that the user asks for now, with a generation that ran it.
    pub asks_for: Option<(i64, u64)>,
    /// The saved state that a new pipeline begins with; none when it begins without, or has begun.
    pub restore: Option<Restoration>,
    /// How a change of the plan is watched; none when it is not.
    pub watch: Option<Watch>,
    /// The resolved manifests for the pods.
    pub manifest: String,
    /// Identity of the plan, 32 hex digits.
    pub plan_hash: String,
    /// Identity of everything that makes the pods, except how many there are.
    pub revision_hash: String,
    /// Identity of everything that makes the pods, and of the restart that was asked for last.
    pub generation_hash: String,
    /// Identity of what is tried when it is tried again: the revision, and the restart that was asked for last.
    pub attempt_hash: String,
    /// Pods and workers.
    pub shape: Shape,
    /// New pods may stand by beside the old ones.
    pub handover: bool,
    /// Before another plan takes over the state is saved.
    pub saves_first: bool,
    /// No unit is to run.
    pub suspend: bool,
    /// Image of the pods.
    pub image: String,
    /// What is referred to, with the content that was used.
    pub references: Vec<Reference>,
    /// Secrets that the pods mount.
    pub secrets: BTreeSet<String>,
    /// What is promised about each sink.
    pub sinks: Vec<SinkGuarantee>,
}

/// How what is wanted came about, where it is not the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reverted {
    /// The generation that changed the plan, when the state goes back to what was before it.
    pub undone: Option<u64>,
}

/// The saved state that a new pipeline begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restoration {
    /// It is not there yet: what is waited for.
    Waits(String),
    /// It is there.
    From {
        /// Where it is.
        place: SavepointPlace,
        /// Its identity, as far as it is known.
        manifest_hash: Option<String>,
    },
}

/// How a change of the plan is watched after it has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// For how long.
    pub seconds: i64,
    /// It is taken back when it does not work.
    pub takes_back: bool,
    /// How long the state of before is kept for that, in milliseconds.
    pub keep_ms: i64,
}

/// What is wrong with what the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// `RefNotFound` when everything that is wrong is something missing, `StateIncompatible` when the plan is good and
    /// cannot use the state that there is, else `ConfigInvalid`.
    pub reason: Reason,
    /// Every problem, one a line, as far as they fit.
    pub message: String,
    /// What is referred to, so that the status can list what is missing.
    pub references: Vec<Reference>,
}

/// Checks what the user wants.
pub fn validate(observed: &Observed, settings: &Settings) -> Result<Desired, Invalid> {
    let spec = &observed.pipeline.spec;
    let references = references(observed);
    let mut problems = other_problems(observed, settings);
    let plan = match Plan::build(&resolve(observed, spec.clone())) {
        Ok(plan) => plan,
        Err(found) => {
            problems.extend(found.iter().filter(|problem| !explained(problem, observed)).map(line));
            return Err(invalid(&problems, references));
        }
    };
    problems.extend(without_kafka(&plan));
    let asks_for = reverted::asks_for(observed).unwrap_or_else(|problem| {
        problems.push((Reason::ConfigInvalid, problem));
        None
    });
    let restore = restore::restoration(observed).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    if !problems.is_empty() {
        return Err(invalid(&problems, references));
    }
    if let Err(steps) = uses_state(observed, &plan) {
        return Err(incompatible(&steps, references));
    }
    let manifest = match resolve(observed, without_pods(spec)).to_yaml() {
        Ok(manifest) => manifest,
        Err(error) => return Err(invalid(&[(Reason::ConfigInvalid, error.to_string())], references)),
    };
    let image = spec.image.clone().unwrap_or_else(|| settings.runtime_image.clone());
    let shape = shape(spec);
    let plan_hash = plan.hash().to_string();
    let revision_hash = hash(&[&manifest, &image, &plan_hash, &settings.image_pull_policy]);
    let restarted_at = observed.restarted_at();
    let generation_hash = generation_hash(&revision_hash, shape, restarted_at);
    let attempt: Vec<&str> = std::iter::once(revision_hash.as_str()).chain(restarted_at).collect();
    let settings = plan.settings();
    let desired = Desired {
        spec: Box::new(spec.clone()),
        reverted: None,
        asks_for,
        restore,
        watch: settings.rollback_window_ms().map(|keep_ms| Watch {
            seconds: settings.probation_ms / 1_000,
            takes_back: settings.auto_rollback,
            keep_ms,
        }),
        attempt_hash: hash(&attempt),
        generation_hash,
        revision_hash,
        plan_hash,
        shape,
        image,
        manifest,
        handover: may_hand_over(spec),
        saves_first: spec.update_strategy.as_ref().and_then(|strategy| strategy.savepoint).unwrap_or(false),
        suspend: spec.suspend.unwrap_or(false),
        secrets: references::secrets(spec, &observed.windows),
        sinks: guarantees(&plan),
        references,
    };
    reverted::or_reverted(observed, desired)
}

/// Identity of the pods: their revision, how many there are, and when they were last asked to be made anew.
fn generation_hash(revision_hash: &str, shape: Shape, restarted_at: Option<&str>) -> String {
    let (replicas, workers) = (shape.replicas.to_string(), shape.workers_per_replica.to_string());
    let parts: Vec<&str> =
        [revision_hash, replicas.as_str(), workers.as_str()].into_iter().chain(restarted_at).collect();
    hash(&parts)
}

/// The spec without what only the operator reads: the number of pods and whether they run are no part of what the pods are
/// told, so that neither makes a new revision.
fn without_pods(spec: &StreamPipelineSpec) -> StreamPipelineSpec {
    StreamPipelineSpec {
        replicas: None,
        suspend: None,
        update_strategy: None,
        rollback_to: None,
        restore_from: None,
        termination_policy: None,
        savepoints: None,
        image: None,
        ..spec.clone()
    }
}

/// The manifest with what it refers to.
fn resolve(observed: &Observed, spec: StreamPipelineSpec) -> ResolvedManifest {
    let manifest = Manifest { namespace: observed.pipeline.namespace(), name: observed.name(), spec };
    let references =
        References { windows: observed.windows.clone(), config_maps: observed.config_maps.clone() };
    ResolvedManifest::new(manifest, &references)
}

/// What only a cluster can get wrong.
fn other_problems(observed: &Observed, settings: &Settings) -> Vec<(Reason, String)> {
    let spec = &observed.pipeline.spec;
    let name = observed.name();
    let mut problems = Vec::new();
    if name.len() > crds::pipeline::NAME_MAX {
        let message = format!(
            "the name has {} characters, at most {} are allowed",
            name.len(),
            crds::pipeline::NAME_MAX
        );
        problems.push((Reason::ConfigInvalid, message));
    }
    if let Some(image) = spec.image.as_ref().filter(|image| !settings.allows(image)) {
        let message = format!(
            "spec.image: `{image}` is not allowed by this operator; leave it out, or add it to the operator's allowed images"
        );
        problems.push((Reason::ConfigInvalid, message));
    }
    for (window, error) in &observed.unreadable_windows {
        problems.push((Reason::ConfigInvalid, format!("StreamWindow/{window} cannot be read: {error}")));
    }
    problems
}

/// On a cluster nobody else can say where Kafka is; a local run can do without.
fn without_kafka(plan: &Plan) -> Option<(Reason, String)> {
    let (what, name, _) = plan.kafka_accesses().find(|(_, _, access)| access.is_none())?;
    let message =
        format!("{what} '{name}' has no Kafka; set `spec.kafka` to `bootstrapServers` or `secretRef`");
    Some((Reason::ConfigInvalid, message))
}

/// Asks before anything is touched whether the plan can take over the state that there is: that of the newest generation
/// that was told to take over. A manifest that this version no longer understands is left to the workers, which ask too.
fn uses_state(observed: &Observed, plan: &Plan) -> Result<(), Vec<Incompatible>> {
    let status = observed.status();
    let newest = status.generation.filter(|_| status.promoted == Some(true));
    let owner = newest.or_else(|| status.priors.first().map(|prior| prior.generation));
    // What a savepoint holds only the pods can read.
    let facts = owner.and_then(|number| observed.facts(number)).filter(|facts| facts.file.restore.is_none());
    let Some(before) = facts.and_then(|facts| from_yaml(&facts.file.manifest).ok()) else { return Ok(()) };
    compatibility(&before, plan)
}

/// A window that exists and cannot be read is reported as such, not as missing.
fn explained(problem: &Problem, observed: &Observed) -> bool {
    problem.kind == ProblemKind::RefNotFound
        && observed.unreadable_windows.keys().any(|name| problem.message.contains(name.as_str()))
}

fn line(problem: &Problem) -> (Reason, String) {
    let reason = match problem.kind {
        ProblemKind::RefNotFound => Reason::RefNotFound,
        _ => Reason::ConfigInvalid,
    };
    (reason, problem.to_string())
}

fn incompatible(steps: &[Incompatible], references: Vec<Reference>) -> Invalid {
    let problems: Vec<_> = steps.iter().map(|step| (Reason::StateIncompatible, step.to_string())).collect();
    invalid(&problems, references)
}

fn invalid(problems: &[(Reason, String)], references: Vec<Reference>) -> Invalid {
    let all = |one: Reason| problems.iter().all(|(reason, _)| *reason == one);
    let reason = [Reason::RefNotFound, Reason::StateIncompatible].into_iter().find(|reason| all(*reason));
    let shown: Vec<&str> = problems.iter().take(PROBLEMS_SHOWN).map(|(_, text)| text.as_str()).collect();
    let mut message = shown.join("\n");
    if problems.len() > PROBLEMS_SHOWN {
        let _ = write!(message, "\nand {} more", problems.len() - PROBLEMS_SHOWN);
    }
    Invalid {
        reason: reason.unwrap_or(Reason::ConfigInvalid),
        message: control::call::bounded_message(message),
        references,
    }
}

/// Workers of a pod by its size: written down here and not counted by the machine, because a worker that nobody wrote
/// down cannot be fenced.
pub fn workers_per_replica(spec: &StreamPipelineSpec) -> u32 {
    match spec.size {
        None | Some(Size::Small | Size::Medium) => 1,
        Some(Size::Large) => 2,
        Some(Size::XLarge) => 4,
    }
}

fn shape(spec: &StreamPipelineSpec) -> Shape {
    let replicas = spec.replicas.and_then(|replicas| u32::try_from(replicas).ok()).unwrap_or(1);
    Shape { replicas, workers_per_replica: workers_per_replica(spec), placement: Placement::Modulo }
}

fn may_hand_over(spec: &StreamPipelineSpec) -> bool {
    let kind = spec.update_strategy.as_ref().and_then(|strategy| strategy.kind);
    kind.unwrap_or(UpdateType::Handover) == UpdateType::Handover
}

/// What is referred to, with a hash of the content that is used.
fn references(observed: &Observed) -> Vec<Reference> {
    let spec = &observed.pipeline.spec;
    let reference = |kind: &str, name: &str, hash: Option<String>| Reference {
        kind: kind.to_owned(),
        name: name.to_owned(),
        hash,
    };
    let windows = references::windows(spec).into_iter().map(|name| {
        let window = observed.windows.get(&name).and_then(|window| serde_json::to_string(window).ok());
        reference("StreamWindow", &name, window.map(|text| hash(&[&text])))
    });
    let maps = references::config_maps(spec).into_iter().map(|name| {
        let used = used_keys(spec, &name);
        let map = observed.config_maps.get(&name);
        let hash = map.map(|map| hash_of_map(map.iter().filter(|(key, _)| used.contains(key.as_str()))));
        reference("ConfigMap", &name, hash)
    });
    let secrets = references::secrets(spec, &observed.windows);
    let secrets = secrets.iter().map(|name| reference("Secret", name, reported_hash(observed, name)));
    windows.chain(maps).chain(secrets).collect()
}

fn used_keys<'a>(spec: &'a StreamPipelineSpec, map: &str) -> BTreeSet<&'a str> {
    let keys = spec.sources.iter().filter_map(|source| source.schema.as_ref()?.config_map_key_ref.as_ref());
    keys.filter(|key| key.name == map).map(|key| key.key.as_str()).collect()
}

fn hash_of_map<'a>(entries: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let entries: BTreeMap<_, _> = entries.collect();
    let parts: Vec<&str> =
        entries.into_iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]).collect();
    hash(&parts)
}

/// The hash of a Secret as the pods of the newest generation report it; the operator never reads Secrets.
fn reported_hash(observed: &Observed, name: &str) -> Option<String> {
    let pods = observed.generations.last().map(|generation| generation.pods.as_slice()).unwrap_or_default();
    let mut secrets = pods.iter().filter_map(|pod| pod.report.as_ref()).flat_map(|report| &report.secrets);
    secrets.find(|secret| secret.name == name)?.hash.clone()
}

fn guarantees(plan: &Plan) -> Vec<SinkGuarantee> {
    let guarantee = |connector: &SinkConnector| match (connector, plan.settings().guarantee) {
        (SinkConnector::Log, _) | (_, Guarantee::AtLeastOnce) => "AtLeastOnce",
        (SinkConnector::Kafka { .. } | SinkConnector::File { .. }, Guarantee::ExactlyOnce) => "ExactlyOnce",
    };
    let sinks = plan.sinks().iter();
    sinks
        .map(|sink| SinkGuarantee {
            name: sink.name.clone(),
            guarantee: guarantee(&sink.connector).to_owned(),
        })
        .collect()
}

/// 16 hex digits of a SHA-256 over the parts, each with its length, so that no two lists of parts run together.
fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
