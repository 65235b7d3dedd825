//! JSON Schema: what a value must fulfil. What it does not fulfil is a value, not a log line.
//!
//! The `jsonschema` crate is the truth, for drafts 4 to 2020-12 (the default; `$schema` chooses another). What is
//! common in schemas is besides compiled to checks over the bytes, which let most valid values pass without it.

mod fast;
mod keywords;
mod violation;

pub use violation::Violation;

use crate::format::json::Text;
use crate::record::RecordBatch;
use fast::Checks;
use jsonschema::{PatternOptions, Validator};
use std::ops::Range;
use std::sync::Arc;

/// A compiled JSON Schema. Clones share what was compiled.
///
/// It validates the whole value, also what a plan does not read. As `jsonschema` and the drafts from 6 on have it, `1.0`
/// is an integer; an integer beyond 64 bits is compared as the nearest double. `format` only informs from draft 2019-09
/// on. References reach inside the schema itself, never to a file or the network. Patterns match in linear time, so there
/// is no look-around and no back-reference.
#[derive(Clone, Debug)]
pub struct Schema {
    compiled: Arc<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    /// None when the schema has a keyword that they do not know.
    fast: Option<Checks>,
    general: Validator,
}

/// A text that is no usable JSON Schema: the fault of who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The text is too long.
    #[error("schema of {len} bytes is larger than {SCHEMA_MAX_BYTES} bytes")]
    TooLarge {
        /// Bytes.
        len: usize,
    },
    /// The text is not JSON.
    #[error("failed to read the schema as JSON")]
    Json {
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// The JSON is not a schema, or needs what is not there: another document, look-around in a pattern.
    #[error("failed to compile the schema at `{location}`: {reason}")]
    Keyword {
        /// JSON pointer into the schema.
        location: String,
        /// What is wrong there.
        reason: String,
    },
}

/// The longest schema, in bytes: what a ConfigMap can hold.
pub const SCHEMA_MAX_BYTES: usize = 1 << 20;

impl Schema {
    /// Compiles the text of a JSON Schema.
    pub fn compile(text: &str) -> Result<Schema, CompileError> {
        if text.len() > SCHEMA_MAX_BYTES {
            return Err(CompileError::TooLarge { len: text.len() });
        }
        let schema = serde_json::from_str(text).map_err(|source| CompileError::Json { source })?;
        let general = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex())
            .build(&schema)
            .map_err(|error| CompileError::Keyword {
                location: violation::shorten(error.instance_path().as_str(), 200),
                reason: violation::shorten(&error.to_string(), 500),
            })?;
        Ok(Schema { compiled: Arc::new(Compiled { fast: Checks::compile(&schema), general }) })
    }

    /// Checks the JSON text of a value; the violation is the first one that is found.
    pub fn validate(&self, value: &[u8]) -> Result<(), Violation> {
        self.validate_in(value, 0..value.len())
    }

    /// Checks the value of a record, a little faster than [`Schema::validate`]. A tombstone is valid.
    pub fn validate_row(&self, batch: &RecordBatch, row: usize) -> Result<(), Violation> {
        batch.records()[row].value.map_or(Ok(()), |span| self.validate_in(batch.bytes(), span.range()))
    }

    fn validate_in(&self, buffer: &[u8], value: Range<usize>) -> Result<(), Violation> {
        let text = Text::new(buffer, value.end);
        if self.compiled.fast.as_ref().is_some_and(|checks| checks.surely_valid(text, value.start)) {
            return Ok(());
        }
        let value = serde_json::from_slice(&buffer[value]).map_err(|_| Violation::not_json())?;
        self.compiled.general.validate(&value).map_err(|error| Violation::new(&error))
    }
}

#[cfg(test)]
mod tests;
