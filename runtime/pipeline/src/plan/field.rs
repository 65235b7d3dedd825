//! Paths of fields.

use super::problems::{At, Problems};
use crate::column::FieldPath;
use crate::problem::ProblemKind;
use crate::spec::defaults::{FIELD_PATH_BYTES_MAX, FIELD_PATH_PARTS_MAX};

/// Parses `user.id`. What users write by habit, such as `event.user` or `$.user`, is pointed out.
pub(super) fn path(text: &str, at: &At, problems: &mut Problems) -> Option<FieldPath> {
    let parts: Vec<&str> = text.split('.').collect();
    let odd =
        |part: &&str| part.is_empty() || part.contains(|c: char| c.is_whitespace() || "[]'\"$*".contains(c));
    let message = if text.len() > FIELD_PATH_BYTES_MAX {
        format!("a path has at most {FIELD_PATH_BYTES_MAX} bytes")
    } else if parts.len() > FIELD_PATH_PARTS_MAX {
        format!("a path has at most {FIELD_PATH_PARTS_MAX} parts, this one has {}", parts.len())
    } else if parts.len() > 1 && parts[0] == "event" {
        let rest = parts[1..].join(".");
        format!("a path starts inside the record; write `{rest}` instead of `{text}`")
    } else if parts.iter().any(odd) {
        format!("`{text}` is not a path of a field; write names with dots between them, such as `user.id`")
    } else {
        return Some(FieldPath(parts.into_iter().map(str::to_owned).collect()));
    };
    problems.add(ProblemKind::FieldPath, at, message);
    None
}
