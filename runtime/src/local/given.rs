//! What the command line names: it exists, it is named once, and nothing that is read is overwritten.

use super::{LocalError, Options, is_called, sink_topics, sources};
use pipeline::plan::{Plan, Sink};
use pipeline::problem::suggest;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

/// Standard input and output on the command line.
pub const STANDARD: &str = "-";

/// Refuses options that cannot be meant.
pub fn check(plans: &[Arc<Plan>], options: &Options) -> Result<(), LocalError> {
    let sources: Vec<(&str, &str)> = plans.iter().flat_map(|plan| sources(plan)).collect();
    for (name, _) in &options.inputs {
        if !sources.iter().any(|(source, _)| source == name) {
            let hint = suggest(name, unique(sources.iter().map(|(source, _)| *source)), "the sources are");
            return Err(LocalError::UnknownName {
                option: "--input",
                name: name.clone(),
                what: "source",
                hint,
            });
        }
    }
    let sinks: Vec<&Sink> = plans.iter().flat_map(|plan| plan.sinks()).collect();
    for (name, _) in &options.outputs {
        if !sinks.iter().any(|sink| is_called(sink.role, &sink.name, name)) {
            let hint = suggest(name, unique(sinks.iter().map(|sink| sink.name.as_str())), "the sinks are");
            return Err(LocalError::UnknownName {
                option: "--output",
                name: name.clone(),
                what: "sink",
                hint,
            });
        }
    }
    once("--input", &options.inputs)?;
    once("--output", &options.outputs)?;
    one_file_per_topic(&sources, options)?;
    standard_input_once(options)?;
    no_circle(plans)?;
    nothing_overwritten(options)
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    let mut seen = BTreeSet::new();
    names.filter(move |name| seen.insert(*name))
}

fn once(option: &'static str, given: &[(String, String)]) -> Result<(), LocalError> {
    let mut seen = BTreeSet::new();
    match given.iter().find(|(name, _)| !seen.insert(name)) {
        Some((name, _)) => Err(LocalError::Twice { option, name: name.clone() }),
        None => Ok(()),
    }
}

/// Sources that read one topic are fed from one file.
fn one_file_per_topic(sources: &[(&str, &str)], options: &Options) -> Result<(), LocalError> {
    let fed: Vec<(&str, &str, &str)> = sources
        .iter()
        .filter_map(|(name, topic)| Some((*name, *topic, path_of(&options.inputs, name)?)))
        .collect();
    for (at, (second, topic, path)) in fed.iter().enumerate() {
        if let Some((first, ..)) = fed[..at].iter().find(|(_, other, file)| other == topic && file != path) {
            return Err(LocalError::TwoFiles {
                first: (*first).to_owned(),
                second: (*second).to_owned(),
                topic: (*topic).to_owned(),
            });
        }
    }
    Ok(())
}

/// Input ends, and with it the output that another pipeline reads; in a circle nobody would ever come to an end.
fn no_circle(plans: &[Arc<Plan>]) -> Result<(), LocalError> {
    let mut left: Vec<&Arc<Plan>> = plans.iter().collect();
    loop {
        let before = left.len();
        let made: BTreeSet<String> = left.iter().flat_map(|plan| sink_topics(plan)).collect();
        left.retain(|plan| sources(plan).any(|(_, topic)| made.contains(topic)));
        if left.is_empty() {
            return Ok(());
        }
        if left.len() == before {
            let names: Vec<String> = left.iter().map(|plan| format!("`{}`", plan.name())).collect();
            return Err(LocalError::Circle { names: names.join(", ") });
        }
    }
}

fn standard_input_once(options: &Options) -> Result<(), LocalError> {
    let manifests =
        options.manifests.iter().filter(|path| *path == STANDARD).map(|_| "a manifest".to_owned());
    let inputs = options.inputs.iter().filter(|(_, path)| path == STANDARD);
    let readers: Vec<String> = manifests.chain(inputs.map(|(name, _)| format!("--input {name}"))).collect();
    match &readers[..] {
        [first, second, ..] => {
            Err(LocalError::StandardInput { first: first.clone(), second: second.clone() })
        }
        _ => Ok(()),
    }
}

/// An output file begins empty: it must not be one that is read.
fn nothing_overwritten(options: &Options) -> Result<(), LocalError> {
    let file = |path: &str| {
        let found = std::fs::metadata(path).ok().filter(|_| path != STANDARD);
        found.filter(std::fs::Metadata::is_file).map(|file| (file.dev(), file.ino()))
    };
    let read = options.manifests.iter().chain(options.inputs.iter().map(|(_, path)| path));
    let read: Vec<_> = read.filter_map(|path| file(path)).collect();
    let lost = options.outputs.iter().find(|(_, path)| file(path).is_some_and(|id| read.contains(&id)));
    match lost {
        Some((name, path)) => Err(LocalError::Overwrites { name: name.clone(), path: path.clone() }),
        None => Ok(()),
    }
}

/// What is given for a name.
pub fn path_of<'a>(given: &'a [(String, String)], name: &str) -> Option<&'a str> {
    given.iter().find(|(known, _)| known == name).map(|(_, path)| path.as_str())
}
