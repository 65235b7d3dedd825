//! Who reads whom: names of sources, steps and branches become edges; every source and step is read by somebody.

use super::problems::{At, Problems};
use super::step::DEFAULT_BRANCH;
use crate::problem::{ProblemKind, suggest};
use crate::spec::{StepSpec, StreamPipelineSpec};

/// A source or a step, by its index in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Origin {
    Source(usize),
    Step(usize),
}

/// What is read: all records of an origin, or one branch of a route (its index; the number of branches is `default`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Read {
    pub(super) origin: Origin,
    pub(super) branch: u16,
}

/// All edges. A step reads only sources and steps before it, so there is no circle.
#[derive(Clone, Debug, Default)]
pub(super) struct Flow {
    pub(super) steps: Vec<Vec<Read>>,
    pub(super) sinks: Vec<Vec<Read>>,
}

impl Flow {
    pub(super) fn connect(spec: &StreamPipelineSpec, at: &At, problems: &mut Problems) -> Self {
        let before = problems.len();
        check_names(spec, at, problems);
        let mut connect = Connect { spec, problems };
        let steps = (0..spec.steps.len())
            .map(|i| connect.reads(spec.steps[i].from.as_deref(), i, "step", &at.field("steps").index(i)))
            .collect();
        let sinks = spec.sinks.iter().enumerate().map(|(i, sink)| {
            let at = at.field("sinks").index(i);
            connect.reads(sink.from.as_deref(), spec.steps.len(), "sink", &at)
        });
        let flow = Self { sinks: sinks.collect(), steps };
        // After a name that was not found it is open who was meant.
        if problems.len() == before {
            flow.check_read(spec, at, problems);
        }
        flow
    }

    fn check_read(&self, spec: &StreamPipelineSpec, at: &At, problems: &mut Problems) {
        let read =
            |origin: Origin| self.steps.iter().chain(&self.sinks).flatten().any(|read| read.origin == origin);
        for (i, source) in spec.sources.iter().enumerate().filter(|(i, _)| !read(Origin::Source(*i))) {
            let message = format!("no step and no sink reads source `{}`; name it in a `from`", source.name);
            problems.add(ProblemKind::Flow, &at.field("sources").index(i), message);
        }
        for (i, step) in spec.steps.iter().enumerate().filter(|(i, _)| !read(Origin::Step(*i))) {
            let message = format!("no step and no sink reads step `{}`; name it in a `from`", step.name);
            problems.add(ProblemKind::Flow, &at.field("steps").index(i), message);
        }
    }
}

fn check_names(spec: &StreamPipelineSpec, at: &At, problems: &mut Problems) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let sources =
        spec.sources.iter().enumerate().map(|(i, source)| ("source", "sources", i, source.name.as_str()));
    let steps = spec.steps.iter().enumerate().map(|(i, step)| ("step", "steps", i, step.name.as_str()));
    for (what, list, i, name) in sources.chain(steps) {
        if let Some((before, _)) = seen.iter().find(|(_, before)| *before == name) {
            let message =
                format!("there is already a {before} `{name}`; names of sources and steps are used once");
            problems.add(ProblemKind::DuplicateName, &at.field(list).index(i).field("name"), message);
        }
        seen.push((what, name));
    }
    for (i, sink) in spec.sinks.iter().enumerate() {
        if spec.sinks[..i].iter().any(|before| before.name == sink.name) {
            let message = format!("there is already a sink `{}`", sink.name);
            problems.add(ProblemKind::DuplicateName, &at.field("sinks").index(i).field("name"), message);
        }
    }
}

struct Connect<'a> {
    spec: &'a StreamPipelineSpec,
    problems: &'a mut Problems,
}

impl Connect<'_> {
    /// What a step or sink reads; `before` is the number of steps that it may read.
    fn reads(&mut self, from: Option<&[String]>, before: usize, what: &str, at: &At) -> Vec<Read> {
        let Some(names) = from else { return self.default_read(before, what, at).into_iter().collect() };
        let mut reads = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let at = at.field("from").index(i);
            match self.resolve(name, before) {
                Ok(read) if reads.contains(&read) => {
                    self.problems.add(ProblemKind::DuplicateName, &at, format!("`{name}` is read already"));
                }
                Ok(read) => reads.push(read),
                Err(message) => self.problems.add(ProblemKind::NameNotFound, &at, message),
            }
        }
        reads
    }

    fn default_read(&mut self, before: usize, what: &str, at: &At) -> Option<Read> {
        let origin = match (before.checked_sub(1), self.spec.sources.len()) {
            (Some(step), _) => Origin::Step(step),
            (None, 1) => Origin::Source(0),
            (None, _) => {
                let all: Vec<&str> = self.spec.sources.iter().map(|source| source.name.as_str()).collect();
                let message = format!(
                    "there are several sources; say which ones this {what} reads, such as `from: [{}]`",
                    all.join(", ")
                );
                self.problems.add(ProblemKind::Flow, at, message);
                return None;
            }
        };
        if let Origin::Step(step) = origin
            && let Some(branches) = branches(&self.spec.steps[step])
        {
            let name = &self.spec.steps[step].name;
            let message = format!(
                "the step before is the route `{name}`; say which branch this {what} reads: {}",
                listed(name, &branches)
            );
            self.problems.add(ProblemKind::Flow, at, message);
            return None;
        }
        Some(Read { origin, branch: 0 })
    }

    fn resolve(&self, text: &str, before: usize) -> Result<Read, String> {
        let (name, branch) = text.split_once('.').map_or((text, None), |(name, branch)| (name, Some(branch)));
        if let Some(source) = self.spec.sources.iter().position(|source| source.name == name) {
            return match branch {
                None => Ok(Read { origin: Origin::Source(source), branch: 0 }),
                Some(_) => Err(format!("source `{name}` has no branches; write `{name}`")),
            };
        }
        let Some(step) = self.spec.steps.iter().position(|step| step.name == name) else {
            let sources = self.spec.sources.iter().map(|source| source.name.as_str());
            let steps = self.spec.steps[..before].iter().map(|step| step.name.as_str());
            let hint = suggest(name, sources.chain(steps), "there are");
            return Err(format!("there is no source and no step `{name}` to read{hint}"));
        };
        if step >= before {
            let why = if step == before { "is this step itself" } else { "comes after this one" };
            return Err(format!("step `{name}` {why}; a step reads only sources and steps before it"));
        }
        match (branches(&self.spec.steps[step]), branch) {
            (None, None) => Ok(Read { origin: Origin::Step(step), branch: 0 }),
            (None, Some(_)) => {
                Err(format!("step `{name}` is not a route and has no branches; write `{name}`"))
            }
            (Some(branches), None) => {
                Err(format!("`{name}` is a route; say which branch is read: {}", listed(name, &branches)))
            }
            (Some(branches), Some(wanted)) => {
                let found = branches.iter().position(|branch| *branch == wanted);
                let index = found.ok_or_else(|| {
                    let hint = suggest(wanted, branches.iter().copied(), "there are");
                    format!("route `{name}` has no branch `{wanted}`{hint}")
                })?;
                Ok(Read { origin: Origin::Step(step), branch: index as u16 })
            }
        }
    }
}

/// The branches of a route, `default` last; none for other steps.
fn branches(step: &StepSpec) -> Option<Vec<&str>> {
    let branches = step.route.as_ref()?;
    Some(branches.iter().map(|branch| branch.name.as_str()).chain([DEFAULT_BRANCH]).collect())
}

fn listed(route: &str, branches: &[&str]) -> String {
    let all: Vec<String> = branches.iter().map(|branch| format!("`{route}.{branch}`")).collect();
    all.join(", ")
}
