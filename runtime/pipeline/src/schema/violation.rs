//! What is wrong with a value, without the value: a violation goes into logs and headers, where payload must not be.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;

/// The first thing in a value that its schema does not allow.
///
/// Both texts are bounded, and together hold at most 100 bytes of the value: names of members, never their values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value does not match the schema at `{path}`: {message}")]
pub struct Violation {
    /// JSON pointer to the place; empty is the whole value.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

const PATH_MAX_BYTES: usize = 64;
const NAME_MAX_BYTES: usize = 36;
const MESSAGE_MAX_BYTES: usize = 300;

impl Violation {
    pub(super) fn new(error: &ValidationError<'_>) -> Self {
        let message = match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                match unexpected.first() {
                    Some(name) => format!("property `{}` is not allowed", shorten(name, NAME_MAX_BYTES)),
                    None => "a property is not allowed".to_owned(),
                }
            }
            Kind::UnevaluatedItems { .. } => "an item is not allowed".to_owned(),
            Kind::PropertyNames { .. } => "a property has a name that is not allowed".to_owned(),
            Kind::FromUtf8 { .. } => "the decoded content is not UTF-8".to_owned(),
            _ => shorten(&error.masked_with("the value").to_string(), MESSAGE_MAX_BYTES),
        };
        Violation { path: shorten(error.instance_path().as_str(), PATH_MAX_BYTES), message }
    }

    pub(super) fn not_json() -> Self {
        Violation { path: String::new(), message: "the value is not JSON".to_owned() }
    }
}

/// The beginning of a text, with a mark when it is not all.
pub(super) fn shorten(text: &str, max_bytes: usize) -> String {
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    let mark = '…';
    format!("{}{mark}", &text[..text.floor_char_boundary(max_bytes - mark.len_utf8())])
}
