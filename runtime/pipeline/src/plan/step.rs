//! Steps: which one it is, its expressions, its window.

use super::build::exactly_one;
use super::connector::Sinks;
use super::field;
use super::mask::{Mask, mask};
use super::problems::{At, Problems};
use super::setting::duration;
use super::{Aggregate, AggregateFunction, Window, WindowKind};
use crate::column::FieldPath;
use crate::expression::{Expected, Expression};
use crate::manifest::ResolvedManifest;
use crate::problem::ProblemKind;
use crate::spec::{self, RouteBranch, StepSpec, StreamWindowSpec, defaults};
use std::sync::Arc;

/// The names that every row of a window has besides key fields and aggregates.
pub(super) const WINDOW_BOUNDS: [&str; 2] = ["window_start", "window_end"];

/// The branch of a route for all other records.
pub(super) const DEFAULT_BRANCH: &str = "default";

/// What a step does, valid.
#[derive(Clone, Debug)]
pub(super) enum StepKind {
    Filter(Expression),
    Map(Expression),
    Mask(Arc<Mask>),
    Route(Vec<(String, Expression)>),
    Window(Arc<Window>),
}

/// A valid step.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) kind: StepKind,
}

impl Window {
    /// The paths that it reads of each record, its event time aside.
    pub fn reads(&self) -> Vec<FieldPath> {
        let keys = self.key_by.iter().map(|(_, path)| path);
        let values = self.aggregates.iter().filter_map(|aggregate| aggregate.field.as_ref());
        keys.chain(values).cloned().collect()
    }

    /// The fields of its rows, in order: key fields, bounds, aggregates.
    pub fn row_fields(&self) -> Vec<&str> {
        let keys = self.key_by.iter().map(|(name, _)| name.as_str());
        keys.chain(WINDOW_BOUNDS)
            .chain(self.aggregates.iter().map(|aggregate| aggregate.name.as_str()))
            .collect()
    }
}

/// All steps; one that is not valid is none, with its problems reported.
pub(super) fn steps(
    resolved: &ResolvedManifest,
    sinks: &mut Sinks,
    at: &At,
    problems: &mut Problems,
) -> Vec<Option<Step>> {
    let steps = resolved.manifest().spec.steps.iter().enumerate();
    let mut one = |(i, step): (usize, &StepSpec)| {
        let kind = kind(resolved, step, sinks, &at.field("steps").index(i), problems)?;
        Some(Step { name: step.name.clone(), kind })
    };
    steps.map(&mut one).collect()
}

fn kind(
    resolved: &ResolvedManifest,
    step: &StepSpec,
    sinks: &mut Sinks,
    at: &At,
    problems: &mut Problems,
) -> Option<StepKind> {
    let blocks = [
        ("filter", step.filter.is_some()),
        ("map", step.map.is_some()),
        ("mask", step.mask.is_some()),
        ("route", step.route.is_some()),
        ("window", step.window.is_some()),
        ("windowRef", step.window_ref.is_some()),
    ];
    if !exactly_one(&blocks, at, problems) {
        return None;
    }
    if let Some(filter) = &step.filter {
        let at = at.field("filter").field("expression");
        compile(&filter.expression, Expected::Bool, &at, problems).map(StepKind::Filter)
    } else if let Some(map) = &step.map {
        let at = at.field("map").field("expression");
        compile(&map.expression, Expected::Map, &at, problems).map(StepKind::Map)
    } else if let Some(given) = &step.mask {
        mask(given, &at.field("mask"), problems).map(|mask| StepKind::Mask(Arc::new(mask)))
    } else if let Some(branches) = &step.route {
        route(branches, &at.field("route"), problems).map(StepKind::Route)
    } else {
        let (window, at) = match (&step.window, &step.window_ref) {
            (Some(window), _) => (window, at.field("window")),
            (None, reference) => {
                let name = reference.as_ref()?.name.as_str();
                let Some(window) = resolved.window(name) else {
                    let message = format!("StreamWindow `{name}` was not found");
                    problems.add(ProblemKind::RefNotFound, &at.field("windowRef").field("name"), message);
                    return None;
                };
                (window, At::spec_of("StreamWindow", name))
            }
        };
        self::window(&step.name, window, sinks, &at, problems)
            .map(|window| StepKind::Window(Arc::new(window)))
    }
}

/// The one place where expressions of a manifest are compiled.
fn compile(text: &str, expected: Expected, at: &At, problems: &mut Problems) -> Option<Expression> {
    match Expression::compile_for(text, expected) {
        Ok(expression) => Some(expression),
        Err(error) => {
            problems.add_inside(ProblemKind::Expression, at, error.position, error.message);
            None
        }
    }
}

fn route(branches: &[RouteBranch], at: &At, problems: &mut Problems) -> Option<Vec<(String, Expression)>> {
    let mut compiled = Vec::new();
    for (i, branch) in branches.iter().enumerate() {
        let at = at.index(i);
        if branch.name == DEFAULT_BRANCH {
            let message = "`default` is the branch of all other records and cannot be given to another one";
            problems.add(ProblemKind::DuplicateName, &at.field("name"), message);
        } else if branches[..i].iter().any(|before| before.name == branch.name) {
            let message = format!("there is already a branch `{}`", branch.name);
            problems.add(ProblemKind::DuplicateName, &at.field("name"), message);
        }
        let expression = compile(&branch.expression, Expected::Bool, &at.field("expression"), problems);
        compiled.push(expression.map(|expression| (branch.name.clone(), expression)));
    }
    compiled.into_iter().collect()
}

/// Checks a window apart from any pipeline: a sink that it only names cannot be known here.
pub(super) fn check_window(spec: &StreamWindowSpec, at: &At, problems: &mut Problems) {
    let mut spec = spec.clone();
    spec.late_sink = spec.late_sink.filter(|sink| sink.kafka.is_some() || sink.sink_ref.is_none());
    window("", &spec, &mut Sinks::default(), at, problems);
}

fn window(
    step: &str,
    spec: &StreamWindowSpec,
    sinks: &mut Sinks,
    at: &At,
    problems: &mut Problems,
) -> Option<Window> {
    exactly_one(&[("tumbling", spec.tumbling.is_some())], at, problems);
    let size = spec.tumbling.as_ref().map(|tumbling| &tumbling.size);
    let size_ms = duration(size, defaults::TUMBLING_SIZE, &at.field("tumbling").field("size"), problems);
    let key_by = keys(&spec.key_by, &at.field("keyBy"), problems);
    let aggregates = aggregates(&spec.aggregates, &key_by, &at.field("aggregates"), problems);
    let allowed = spec.allowed_lateness.as_ref();
    let allowed_lateness_ms =
        duration(allowed, defaults::ALLOWED_LATENESS, &at.field("allowedLateness"), problems);
    let late_sink = match &spec.late_sink {
        Some(sink) => Some(sinks.late(step, sink, &at.field("lateSink"), problems)?),
        None => None,
    };
    Some(Window {
        name: step.to_owned(),
        key_by,
        kind: WindowKind::Tumbling { size_ms },
        allowed_lateness_ms,
        aggregates,
        late_sink,
    })
}

fn keys(paths: &[String], at: &At, problems: &mut Problems) -> Vec<(String, FieldPath)> {
    let mut keys: Vec<(String, FieldPath)> = Vec::new();
    for (i, text) in paths.iter().enumerate() {
        let at = at.index(i);
        let Some(path) = field::path(text, &at, problems) else { continue };
        let name = path.0.last().cloned().unwrap_or_default();
        if WINDOW_BOUNDS.contains(&name.as_str()) {
            let message =
                format!("every row already has a field `{name}`; rename the key by a map step before");
            problems.add(ProblemKind::Window, &at, message);
        } else if let Some((_, other)) = keys.iter().find(|(other, _)| *other == name) {
            let message = if *other == path {
                format!("`{text}` is a key field already")
            } else {
                let other = other.0.join(".");
                format!(
                    "`{other}` and `{text}` would both be `{name}` in the row; rename one by a map step before"
                )
            };
            problems.add(ProblemKind::Window, &at, message);
        }
        keys.push((name, path));
    }
    keys
}

fn aggregates(
    given: &[spec::Aggregate],
    keys: &[(String, FieldPath)],
    at: &At,
    problems: &mut Problems,
) -> Vec<Aggregate> {
    let mut aggregates: Vec<Aggregate> = Vec::new();
    for (i, aggregate) in given.iter().enumerate() {
        let at = at.index(i);
        let name = aggregate.name.as_str();
        let clash = if WINDOW_BOUNDS.contains(&name) {
            Some(format!("every row already has a field `{name}`; allowed is any other name"))
        } else if keys.iter().any(|(key, _)| key == name) {
            Some(format!("`{name}` is a key field of the row; give the aggregate another name"))
        } else if aggregates.iter().any(|before| before.name == name) {
            Some(format!("there is already an aggregate `{name}`"))
        } else {
            None
        };
        if let Some(message) = clash {
            problems.add(ProblemKind::Window, &at.field("name"), message);
        }
        let function = match aggregate.function {
            spec::AggregateFunction::Count => AggregateFunction::Count,
            spec::AggregateFunction::Sum => AggregateFunction::Sum,
            spec::AggregateFunction::Average => AggregateFunction::Average,
            spec::AggregateFunction::Min => AggregateFunction::Min,
            spec::AggregateFunction::Max => AggregateFunction::Max,
        };
        if aggregate.field.is_none() && function != AggregateFunction::Count {
            let message = format!("`{function:?}` needs a `field`; only `Count` does without");
            problems.add(ProblemKind::Window, &at, message);
        }
        let field = aggregate.field.as_ref().and_then(|text| field::path(text, &at.field("field"), problems));
        aggregates.push(Aggregate { name: name.to_owned(), function, field });
    }
    aggregates
}
