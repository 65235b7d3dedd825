//! A kernel: an expression bound to the columns of a frame. It works column at a time over the selected rows.
//!
//! ```text
//!  evaluate: values of all selected rows        machine
//!  filter:   the rows for which it is true      predicate (hot loops narrow the selection in place)
//!  {…}:      map literals, written as JSON      object
//! ```
//!
//! Hot loops handle one or two types and leave every other row aside as *cold*; cold rows go through the operators of
//! `operate`, one by one, so that there is one meaning.

mod arithmetic;
mod bounds;
mod call;
mod loops;
mod machine;
mod object;
mod predicate;
mod space;

use super::Expression;
use super::program::Program;
#[cfg(doc)]
use crate::column::Tag;
use crate::column::{Column, FieldPath, Frame, Projection};
use crate::record::RecordBatch;
use machine::Machine;
use space::Space;
use std::sync::Arc;

/// The message around the values of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The records that the frame was decoded from.
    pub batch: &'a RecordBatch,
    /// Where they come from: `meta.topic`.
    pub topic: &'a str,
    /// `meta.partition`.
    pub partition: u32,
    /// `now`, in milliseconds since the epoch: the clock of the batch.
    pub clock_ms: i64,
}

/// An expression reads a field that is not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no column has `{path}`")]
pub struct BindError {
    /// The field.
    pub path: FieldPath,
}

/// Where a field is: a column, and the way from its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Index into [`Frame::columns`].
    pub column: usize,
    /// Member names inside of it; empty when the column is the field itself.
    pub rest: Vec<String>,
}

/// An expression bound to a projection, with the buffers that it uses again and again.
#[derive(Debug)]
pub struct Kernel {
    pub(super) program: Arc<Program>,
    pub(super) sources: Vec<Source>,
    space: Space,
}

impl Kernel {
    /// Binds an expression: every field must have a column, or lie inside the value of one.
    pub fn bind(expression: &Expression, projection: &Projection) -> Result<Self, BindError> {
        let sources =
            expression.fields().iter().map(|path| source(path, projection)).collect::<Result<_, _>>()?;
        Ok(Self { program: Arc::clone(&expression.program), sources, space: Space::default() })
    }

    /// Evaluates on the selected rows, which must be in ascending order. `out` gets `frame.rows` rows, of which only the
    /// selected ones are defined: a value, [`Tag::Error`], or [`Tag::Missing`] for an optional value that is none.
    pub fn evaluate(
        &mut self,
        context: &Context<'_>,
        frame: &mut Frame,
        selection: &[u32],
        out: &mut Column,
    ) {
        out.reset(frame.rows);
        self.machine(context, frame).evaluate(selection, out);
    }

    /// Keeps the rows of an ascending selection for which the expression is true. Rows where it fails, or is neither
    /// true nor false, move to `failed` with the reason.
    pub fn filter(
        &mut self,
        context: &Context<'_>,
        frame: &mut Frame,
        selection: &mut Vec<u32>,
        failed: &mut Vec<(u32, String)>,
    ) {
        let mut errors = Vec::new();
        self.machine(context, frame).filter(selection, &mut errors);
        errors.sort_unstable();
        failed.extend(
            errors
                .into_iter()
                .map(|(row, error)| (row, frame.errors.get(error as usize).cloned().unwrap_or_default())),
        );
    }

    fn machine<'k>(&'k mut self, context: &'k Context<'k>, frame: &'k mut Frame) -> Machine<'k> {
        self.space.start(self.sources.len());
        Machine { program: &self.program, sources: &self.sources, context, frame, space: &mut self.space }
    }
}

impl Clone for Kernel {
    /// The same kernel with buffers of its own.
    fn clone(&self) -> Self {
        Self { program: Arc::clone(&self.program), sources: self.sources.clone(), space: Space::default() }
    }
}

/// The column of a path, else that of its longest beginning.
fn source(path: &FieldPath, projection: &Projection) -> Result<Source, BindError> {
    (0..=path.0.len())
        .rev()
        .find_map(|len| {
            let column = projection.find(&FieldPath(path.0[..len].to_vec()))?;
            Some(Source { column, rest: path.0[len..].to_vec() })
        })
        .ok_or_else(|| BindError { path: path.clone() })
}
