//! What is known about the fields of records: the rows of a window have exactly its fields, so that a name that is not
//! among them is a mistake that need not wait for the first row.

use super::flow::{Flow, Origin, Read};
use super::problems::{At, Problems};
use super::step::{Step, StepKind};
use crate::column::FieldPath;
use crate::problem::{ProblemKind, suggest};
use crate::spec::StreamPipelineSpec;

/// The fields that records may have; none when that is open.
type Known = Option<Vec<String>>;

pub(super) fn check(
    spec: &StreamPipelineSpec,
    flow: &Flow,
    steps: &[Option<Step>],
    at: &At,
    problems: &mut Problems,
) {
    let mut outputs: Vec<Known> = Vec::new();
    for (i, step) in steps.iter().enumerate() {
        let input = merged(&flow.steps[i], &outputs);
        if let (Some(step), Some(known)) = (step, &input) {
            let rows = rows_of(&flow.steps[i], steps, flow);
            let at = at.field("steps").index(i);
            check_step(spec, i, step, &Rows { known, windows: &rows }, &at, problems);
        }
        outputs.push(match step.as_ref().map(|step| &step.kind) {
            Some(StepKind::Filter(_) | StepKind::Mask(_) | StepKind::Route(_)) => input,
            Some(StepKind::Window(window)) => {
                Some(window.row_fields().into_iter().map(str::to_owned).collect())
            }
            Some(StepKind::Map(_)) | None => None,
        });
    }
}

/// The fields of all records that are read; none as soon as those of one origin are open.
fn merged(reads: &[Read], outputs: &[Known]) -> Known {
    let mut all: Vec<String> = Vec::new();
    for read in reads {
        match read.origin {
            Origin::Source(_) => return None,
            Origin::Step(step) => all.extend(outputs.get(step)?.as_ref()?.iter().cloned()),
        }
    }
    (!reads.is_empty()).then_some(all)
}

/// The names of the windows that made the records that are read.
fn rows_of(reads: &[Read], steps: &[Option<Step>], flow: &Flow) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut open: Vec<Read> = reads.to_vec();
    while let Some(read) = open.pop() {
        let Origin::Step(i) = read.origin else { continue };
        match &steps[i] {
            Some(Step { name, kind: StepKind::Window(_) }) if !names.contains(name) => {
                names.push(name.clone());
            }
            Some(Step { kind: StepKind::Filter(_) | StepKind::Mask(_) | StepKind::Route(_), .. }) => {
                open.extend(&flow.steps[i]);
            }
            _ => {}
        }
    }
    names.sort();
    names
}

struct Rows<'a> {
    known: &'a [String],
    windows: &'a [String],
}

impl Rows<'_> {
    fn wrong(&self, path: &FieldPath) -> Option<String> {
        let first = path.0.first()?;
        if self.known.contains(first) {
            return None;
        }
        let windows: Vec<String> = self.windows.iter().map(|window| format!("`{window}`")).collect();
        let hint = suggest(first, self.known.iter().map(String::as_str), "they have");
        Some(format!("the rows of window {} have no field `{first}`{hint}", windows.join(" and ")))
    }
}

fn check_step(
    spec: &StreamPipelineSpec,
    i: usize,
    step: &Step,
    rows: &Rows<'_>,
    at: &At,
    problems: &mut Problems,
) {
    let mut check = |path: &FieldPath, text: &str, at: &At| {
        if let Some(message) = rows.wrong(path) {
            let offset = path.0.first().and_then(|first| text.find(&format!("event.{first}"))).unwrap_or(0);
            problems.add_inside(ProblemKind::FieldPath, at, offset, message);
        }
    };
    match &step.kind {
        StepKind::Filter(expression) | StepKind::Map(expression) => {
            let block = if matches!(step.kind, StepKind::Map(_)) { "map" } else { "filter" };
            let at = at.field(block).field("expression");
            expression.fields().iter().for_each(|path| check(path, expression.text(), &at));
        }
        StepKind::Mask(mask) => {
            let at = at.field("mask").field("fields");
            mask.fields.iter().enumerate().for_each(|(field, path)| check(path, "", &at.index(field)));
        }
        StepKind::Route(branches) => {
            for (branch, (_, expression)) in branches.iter().enumerate() {
                let at = at.field("route").index(branch).field("expression");
                expression.fields().iter().for_each(|path| check(path, expression.text(), &at));
            }
        }
        StepKind::Window(window) => {
            let at = match &spec.steps[i].window_ref {
                Some(reference) => At::spec_of("StreamWindow", &reference.name),
                None => at.field("window"),
            };
            for (key, (_, path)) in window.key_by.iter().enumerate() {
                check(path, "", &at.field("keyBy").index(key));
            }
            for (index, aggregate) in window.aggregates.iter().enumerate() {
                if let Some(path) = &aggregate.field {
                    check(path, "", &at.field("aggregates").index(index).field("field"));
                }
            }
        }
    }
}
