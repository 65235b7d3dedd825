//! JSON: a projecting, columnar decoder and a writer of values.
//!
//! ```text
//!  RecordBatch -> decode: [ fields: where is the next key? ] -> [ scan: what is its value? ] -> Frame, rejects
//!  Frame + Value -> write -> bytes
//! ```
//!
//! Whether a text is JSON is decided exactly as `serde_json` decides it for a `serde_json::Value`, and besides by two
//! bounds: [`MAX_BYTES`] and [`MAX_DEPTH`]. That holds for every byte of the text, whether a field is projected or not.

#![expect(
    clippy::inline_always,
    reason = "decoding is one loop per record, built of these; benches/decode.rs measures it"
)]

mod decode;
mod escape;
mod fields;
mod literal;
mod number;
mod scan;
mod write;

pub use decode::Decoder;
pub(crate) use escape::unescape;
pub(crate) use literal::Literal;
pub(crate) use number::{Number, number};
pub(crate) use scan::{Scan, Text, deeper};
pub use write::{write_f64, write_i64, write_string, write_value};

/// The longest text of one value, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The deepest value: a scalar alone is at depth 1, a member of an object and an element of an array are one deeper than
/// the object or array, and an empty object or array counts as if it had a member.
pub const MAX_DEPTH: u32 = 128;

/// A record whose value is not JSON, or beyond a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The row in the batch.
    pub row: u32,
    /// Why.
    pub reason: RejectReason,
}

/// Why a text is rejected. Positions are bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectReason {
    /// It is not JSON.
    #[error("invalid JSON at byte {at}: {what}")]
    Syntax {
        /// Position.
        at: u32,
        /// What is wrong there.
        what: SyntaxError,
    },
    /// A string is not UTF-8.
    #[error("invalid UTF-8 in the string at byte {at}")]
    Utf8 {
        /// Position of the string.
        at: u32,
    },
    /// A number is beyond the range of a double.
    #[error("number out of range at byte {at}")]
    NumberOutOfRange {
        /// Position of the number.
        at: u32,
    },
    /// Nested more than [`MAX_DEPTH`] deep.
    #[error("deeper than {MAX_DEPTH} levels at byte {at}")]
    TooDeep {
        /// Position of the bracket that goes too deep.
        at: u32,
    },
    /// Longer than [`MAX_BYTES`].
    #[error("value of {len} bytes is larger than {MAX_BYTES} bytes")]
    TooLarge {
        /// Length in bytes.
        len: u32,
    },
    /// Something follows the JSON value.
    #[error("trailing data at byte {at}")]
    Trailing {
        /// Where it begins.
        at: u32,
    },
}

/// What is wrong at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A value should begin here.
    #[error("expected a value")]
    ExpectedValue,
    /// A string that names a member should begin here.
    #[error("expected a key")]
    ExpectedKey,
    /// A `:` should be here.
    #[error("expected `:`")]
    ExpectedColon,
    /// `,` or `}` should be here.
    #[error("expected `,` or `}}`")]
    ExpectedCommaOrBrace,
    /// `,` or `]` should be here.
    #[error("expected `,` or `]`")]
    ExpectedCommaOrBracket,
    /// The text ends too early.
    #[error("unexpected end")]
    UnexpectedEnd,
    /// A number of a form that JSON does not have.
    #[error("invalid number")]
    InvalidNumber,
    /// A backslash that begins no escape of JSON.
    #[error("invalid escape")]
    InvalidEscape,
    /// Half of a surrogate pair.
    #[error("lone surrogate")]
    LoneSurrogate,
    /// A control character inside a string.
    #[error("control character in a string")]
    ControlCharacter,
}

impl RejectReason {
    #[cold]
    fn syntax(at: usize, what: SyntaxError) -> Self {
        Self::Syntax { at: at as u32, what }
    }

    /// The same reason with another position.
    fn map_position(self, to: impl Fn(u32) -> u32) -> Self {
        match self {
            Self::Syntax { at, what } => Self::Syntax { at: to(at), what },
            Self::Utf8 { at } => Self::Utf8 { at: to(at) },
            Self::NumberOutOfRange { at } => Self::NumberOutOfRange { at: to(at) },
            Self::TooDeep { at } => Self::TooDeep { at: to(at) },
            Self::Trailing { at } => Self::Trailing { at: to(at) },
            Self::TooLarge { len } => Self::TooLarge { len },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
