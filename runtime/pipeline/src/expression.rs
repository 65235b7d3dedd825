//! CEL: parsed once, checked, compiled to kernels over columns.
//!
//! ```text
//!  text -> parse (CEL syntax) -> check (names, types, fields) -> Expression
//!  Expression + Projection -> Kernel:  Frame, selection -> Column | narrower selection
//!                               |- hot loops over one type (kernel)
//!                               `- everything else row by row (interpret), same operators (operate, call)
//! ```
//!
//! What is accepted and what it means is written in `docs/reference/expressions.md`. Nothing here knows steps: the
//! caller adds the step's name to a message.

mod call;
mod check;
mod decimal;
mod describe;
mod function;
mod interpret;
mod json;
mod kernel;
mod operate;
mod parse;
mod program;
mod text;
mod time;
mod types;
mod value;

#[cfg(test)]
mod tests;

pub use kernel::{BindError, Context, Kernel};

use crate::column::FieldPath;
use std::sync::Arc;

/// The longest expression, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// A checked expression. Two expressions are equal when their texts are.
#[derive(Clone)]
pub struct Expression {
    text: Arc<str>,
    program: Arc<program::Program>,
}

/// What the place of an expression needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any value.
    Any,
    /// True or false: a filter, a route, an alert.
    Bool,
    /// A map: the new value of a record.
    Map,
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {position}: {message}")]
pub struct CompileError {
    /// Byte offset in the text.
    pub position: usize,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl Expression {
    /// Compiles an expression that may give any value.
    pub fn compile(text: &str) -> Result<Self, CompileError> {
        Self::compile_for(text, Expected::Any)
    }

    /// Compiles an expression for a place: one that certainly gives something else is refused.
    pub fn compile_for(text: &str, expected: Expected) -> Result<Self, CompileError> {
        if text.len() > MAX_TEXT_BYTES {
            let message =
                format!("the expression has {} bytes, at most {MAX_TEXT_BYTES} are allowed", text.len());
            return Err(CompileError { position: text.floor_char_boundary(MAX_TEXT_BYTES), message });
        }
        let parsed = parse::parse(text)?;
        let program = check::check(&parsed, expected)?;
        Ok(Self { text: text.into(), program: Arc::new(program) })
    }

    /// The text as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The paths of `event` that are read, each once, in the order of the text. The empty path is the whole record.
    pub fn fields(&self) -> &[FieldPath] {
        &self.program.fields
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}
