//! From a resolved manifest to a plan, with all problems at once.

use super::access::check_kafka;
use super::connector::{Sinks, sources};
use super::flow::Flow;
use super::problems::{At, Problems};
use super::setting::settings;
use super::{Plan, affinity, hash, projection, resource, rows, stage, step};
use crate::manifest::ResolvedManifest;
use crate::problem::{Problem, ProblemKind};
use crate::spec::{StreamWindowSpec, wire};

impl Plan {
    /// The plan of a pipeline, or everything that is wrong with it and with the windows and schemas that it uses.
    pub fn build(resolved: &ResolvedManifest) -> Result<Self, Vec<Problem>> {
        let mut problems = Problems::default();
        let plan = build(resolved, &mut problems);
        match plan {
            Some(plan) if problems.is_empty() => Ok(plan),
            _ => Err(problems.into_found()),
        }
    }
}

impl Plan {
    /// What is wrong with a StreamWindow for itself, whoever uses it. Whether the sink that its `lateSink` names
    /// exists is asked in each pipeline that uses the window.
    pub fn check_window(name: &str, spec: &StreamWindowSpec) -> Vec<Problem> {
        let at = At::spec_of("StreamWindow", name);
        let mut problems = Problems::default();
        if let Ok(value) = serde_json::to_value(spec) {
            problems.add_mismatches(&at, wire::check(&value, wire::window_schema(), at.path()));
        }
        step::check_window(spec, &at, &mut problems);
        problems.into_found()
    }
}

impl TryFrom<&ResolvedManifest> for Plan {
    type Error = Vec<Problem>;

    fn try_from(resolved: &ResolvedManifest) -> Result<Self, Self::Error> {
        Self::build(resolved)
    }
}

fn build(resolved: &ResolvedManifest, problems: &mut Problems) -> Option<Plan> {
    let manifest = resolved.manifest();
    let spec = &manifest.spec;
    let at = At::spec_of("StreamPipeline", &manifest.name);
    check_shape(resolved, &at, problems);
    if let Some(kafka) = &spec.kafka {
        check_kafka(kafka, &at.field("kafka"), problems);
    }
    if let Some(given) = &spec.resources {
        resource::check(given, &at.field("resources"), problems);
    }
    if let Some(given) = &spec.affinity {
        affinity::check(given, &at.field("affinity"), problems);
    }
    let settings = settings(spec, &at, problems);
    let sources = sources(resolved, &settings, &at, problems);
    let mut sinks = Sinks::of_users(spec, &at, problems);
    let steps = step::steps(resolved, &mut sinks, &at, problems);
    let dead_letter_sink = spec
        .dead_letter_sink
        .as_ref()
        .and_then(|sink| sinks.dead_letters(sink, &at.field("deadLetterSink"), problems));
    sinks.check_feedback(&sources, problems);
    let flow = Flow::connect(spec, &at, problems);
    sinks.check_fed(spec, problems);
    rows::check(spec, &flow, &steps, &at, problems);
    // Without problems every step has its kind, and without cycles every stage its place.
    let steps: Vec<_> = steps.into_iter().collect::<Option<_>>()?;
    if !problems.is_empty() {
        return None;
    }
    let mut stages = stage::cut(&sources, &steps, &sinks, &flow, &at, problems)?;
    projection::fill(&mut stages, &sources);
    let hash = hash::of(&settings, &sources, &steps, &sinks, dead_letter_sink, &flow);
    Some(Plan {
        name: manifest.name.clone(),
        namespace: manifest.namespace().to_owned(),
        hash,
        sources: sources.into_iter().map(|parsed| parsed.source).collect(),
        stages,
        sinks: sinks.into_all(),
        dead_letter_sink,
        settings,
        keys: super::MaskKeys::default(),
    })
}

/// The bounds of the wire shape, for objects that did not come through an API server of this version.
fn check_shape(resolved: &ResolvedManifest, at: &At, problems: &mut Problems) {
    let spec = &resolved.manifest().spec;
    if let Ok(value) = serde_json::to_value(spec) {
        problems.add_mismatches(at, wire::check(&value, wire::pipeline_schema(), at.path()));
    }
    for name in resolved.manifest().windows() {
        let at = At::spec_of("StreamWindow", name);
        if let Some(value) = resolved.window(name).and_then(|window| serde_json::to_value(window).ok()) {
            problems.add_mismatches(&at, wire::check(&value, wire::window_schema(), at.path()));
        }
    }
}

/// Exactly one of several blocks is set; else a problem that lists them.
pub(super) fn exactly_one(blocks: &[(&str, bool)], at: &At, problems: &mut Problems) -> bool {
    let set: Vec<String> =
        blocks.iter().filter(|(_, set)| *set).map(|(name, _)| format!("`{name}`")).collect();
    let all: Vec<String> = blocks.iter().map(|(name, _)| format!("`{name}`")).collect();
    let all = all.join(", ");
    let message = match (set.len(), blocks.len()) {
        (1, _) => return true,
        (0, 1) => format!("{all} is missing"),
        (0, _) => format!("none of {all} is set; exactly one is needed"),
        _ => format!("{} are set; exactly one of {all} is allowed", set.join(" and ")),
    };
    problems.add(ProblemKind::Union, at, message);
    false
}
