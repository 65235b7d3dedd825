//! Collecting problems while a plan is made: each knows its object and field.

use crate::problem::{ObjectId, Path, Problem, ProblemKind};
use crate::spec::wire::Mismatch;
use std::collections::HashSet;

/// A field of an object: where the part of a manifest stands that is being checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    object: ObjectId,
    path: Path,
}

impl At {
    pub(super) fn spec_of(kind: &str, name: &str) -> Self {
        Self { object: ObjectId { kind: kind.to_owned(), name: name.to_owned() }, path: Path::spec() }
    }

    pub(super) fn data_of(config_map: &str, key: &str) -> Self {
        let object = ObjectId { kind: "ConfigMap".to_owned(), name: config_map.to_owned() };
        Self { object, path: Path::root().field("data").field(key) }
    }

    pub(super) fn field(&self, name: &str) -> Self {
        Self { object: self.object.clone(), path: self.path.field(name) }
    }

    pub(super) fn index(&self, index: usize) -> Self {
        Self { object: self.object.clone(), path: self.path.index(index) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// All problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    /// Fields that do not have their wire shape: whatever else is wrong with them follows from that.
    misshapen: HashSet<At>,
}

impl Problems {
    pub(super) fn add(&mut self, kind: ProblemKind, at: &At, message: impl Into<String>) {
        if !self.misshapen.contains(at) {
            self.push(Problem::new(kind, at.path.clone(), message).of(at.object.clone()));
        }
    }

    pub(super) fn add_inside(
        &mut self,
        kind: ProblemKind,
        at: &At,
        offset: usize,
        message: impl Into<String>,
    ) {
        if !self.misshapen.contains(at) {
            self.push(Problem::new(kind, at.path.clone(), message).of(at.object.clone()).at_offset(offset));
        }
    }

    pub(super) fn add_mismatches(&mut self, at: &At, mismatches: Vec<Mismatch>) {
        for mismatch in mismatches {
            let problem = Problem::new(mismatch.kind, mismatch.path.clone(), mismatch.message);
            self.push(problem.of(at.object.clone()));
            self.misshapen.insert(At { object: at.object.clone(), path: mismatch.path });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.found.len()
    }

    pub(super) fn into_found(self) -> Vec<Problem> {
        self.found
    }

    /// A window that two steps use is looked at twice, its problems are told once.
    fn push(&mut self, problem: Problem) {
        if !self.found.contains(&problem) {
            self.found.push(problem);
        }
    }
}
