//! From files to plans: reading, resolving and building in one call, with all problems of all files at once and each
//! with its line.

use super::{Plan, check_savepoint};
use crate::manifest::{Documents, ResolvedManifest, SecretData};
use crate::problem::{Path, Problem, ProblemKind};
use crate::scaling::Policy;
use crate::spec::ScalingPolicySpec;
use std::collections::BTreeMap;

/// A set of files without a problem.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The pipelines, in the order of the files. There may be none: a file of StreamWindows can be checked too.
    pub pipelines: Vec<LoadedPipeline>,
    documents: Documents,
}

/// One pipeline of a set of files.
#[derive(Clone, Debug)]
pub struct LoadedPipeline {
    /// What the user wrote, with what it refers to.
    pub resolved: ResolvedManifest,
    /// What it means.
    pub plan: Plan,
}

impl Loaded {
    /// The ScalingPolicy documents with their namespace and name.
    pub fn scaling_policies(&self) -> impl Iterator<Item = (&str, &str, &ScalingPolicySpec)> {
        self.documents.scaling_policies()
    }

    /// The Secret documents of a namespace, by name.
    pub fn secrets(&self, namespace: &str) -> BTreeMap<String, SecretData> {
        self.documents.secrets(namespace)
    }
}

/// Reads files, given as name and text, and builds the plan of every pipeline in them. StreamWindow, ConfigMap and
/// Secret documents of any file resolve references of the same namespace.
pub fn load<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Loaded, Vec<Problem>> {
    let documents = Documents::read(files);
    let mut problems = documents.problems().to_vec();
    let mut pipelines = Vec::new();
    for manifest in documents.pipelines() {
        let namespace = manifest.namespace().to_owned();
        let resolved = ResolvedManifest::new(manifest.clone(), &documents.references(&namespace));
        match Plan::build(&resolved) {
            Ok(plan) => pipelines.push(LoadedPipeline { resolved, plan }),
            Err(found) => {
                for mut problem in found {
                    documents.locate(&namespace, &mut problem);
                    if problem.kind == ProblemKind::RefNotFound && problem.message.ends_with("was not found")
                    {
                        problem.message =
                            format!("{} in namespace `{namespace}` of these files", problem.message);
                    }
                    if !follows(&documents, &namespace, &problem) && !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
            }
        }
    }
    for (namespace, name, window) in documents.windows() {
        for mut problem in Plan::check_window(name, window) {
            documents.locate(namespace, &mut problem);
            if !follows(&documents, namespace, &problem) && !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    for (namespace, name, policy) in documents.scaling_policies() {
        for mut problem in Policy::build(name, policy).err().unwrap_or_default() {
            documents.locate(namespace, &mut problem);
            if !follows(&documents, namespace, &problem) && !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    for (namespace, name, savepoint) in documents.savepoints() {
        for mut problem in check_savepoint(name, savepoint) {
            documents.locate(namespace, &mut problem);
            if !follows(&documents, namespace, &problem) && !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    if problems.is_empty() && documents.is_empty() {
        problems.push(Problem::new(ProblemKind::NoPipeline, Path::root(), "there is no manifest to read"));
    }
    if problems.is_empty() {
        return Ok(Loaded { pipelines, documents });
    }
    problems.sort_by_key(|problem| documents.rank(problem));
    Err(problems)
}

/// The plan of the one pipeline of a text, which also holds its windows and ConfigMaps.
pub fn from_yaml(text: &str) -> Result<Plan, Vec<Problem>> {
    let mut loaded = load([("<manifest>", text)])?;
    match (loaded.pipelines.pop(), loaded.pipelines.is_empty()) {
        (Some(pipeline), true) => Ok(pipeline.plan),
        (last, _) => {
            let found = loaded.pipelines.len() + usize::from(last.is_some());
            let message = format!("expected one StreamPipeline, found {found}");
            Err(vec![Problem::new(ProblemKind::NoPipeline, Path::root(), message)])
        }
    }
}

/// True when a problem only follows from one that was found while reading: the same field; a union whose key was
/// misspelt; a document that is there but not readable.
fn follows(documents: &Documents, namespace: &str, problem: &Problem) -> bool {
    let same_object = |before: &&Problem| before.object.is_some() && before.object == problem.object;
    let mut before = documents.problems().iter().filter(same_object);
    let explained = before.any(|before| {
        let misspelt = before.kind == ProblemKind::UnknownField && before.path.parent() == problem.path;
        before.path == problem.path || (misspelt && problem.kind == ProblemKind::Union)
    });
    explained || (problem.kind == ProblemKind::RefNotFound && documents.holds_reference(namespace, problem))
}
