//! `mask` steps: which fields, which method, and the Secret that a method is keyed with.

use super::access::SecretKey;
use super::field;
use super::problems::{At, Problems};
use crate::column::FieldPath;
use crate::problem::ProblemKind;
use crate::spec::{self, MaskMethod};

/// The characters that `Partial` shows when the user says nothing.
const KEEP: u32 = 4;

/// What a mask step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The fields. None lies inside another one.
    pub fields: Vec<FieldPath>,
    /// What becomes of their values.
    pub method: Masking,
}

/// What becomes of a masked value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masking {
    /// HMAC-SHA-256 in hexadecimal digits.
    Hash(SecretKey),
    /// A constant.
    Redact,
    /// A star for each character but some.
    Partial(Keep),
    /// Another text of the same form.
    Tokenise(SecretKey),
}

/// The characters that are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The first ones.
    First(u32),
    /// The last ones.
    Last(u32),
}

impl Mask {
    /// The key that it needs.
    pub fn secret(&self) -> Option<&SecretKey> {
        match &self.method {
            Masking::Hash(key) | Masking::Tokenise(key) => Some(key),
            Masking::Redact | Masking::Partial(_) => None,
        }
    }
}

impl std::fmt::Display for Masking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hash(key) => write!(f, "Hash with {key}"),
            Self::Redact => f.write_str("Redact"),
            Self::Partial(Keep::First(count)) => write!(f, "Partial, keeps the first {count}"),
            Self::Partial(Keep::Last(count)) => write!(f, "Partial, keeps the last {count}"),
            Self::Tokenise(key) => write!(f, "Tokenise with {key}"),
        }
    }
}

pub(super) fn mask(given: &spec::Mask, at: &At, problems: &mut Problems) -> Option<Mask> {
    let fields = fields(&given.fields, &at.field("fields"), problems);
    let method = method(given, at, problems);
    Some(Mask { fields: fields?, method: method? })
}

fn fields(given: &[String], at: &At, problems: &mut Problems) -> Option<Vec<FieldPath>> {
    let mut paths: Vec<FieldPath> = Vec::new();
    let mut valid = true;
    for (i, text) in given.iter().enumerate() {
        let at = at.index(i);
        let Some(path) = field::path(text, &at, problems) else {
            valid = false;
            continue;
        };
        if let Some(other) = paths.iter().find(|other| is_inside(&path, other) || is_inside(other, &path)) {
            let (inside, other) = (is_inside(&path, other), other.0.join("."));
            let message = if other == *text {
                format!("`{text}` is masked already")
            } else if inside {
                format!("`{text}` is inside `{other}`, which is masked as a whole; remove one of them")
            } else {
                format!("`{text}` contains `{other}`, which is masked by itself; remove one of them")
            };
            problems.add(ProblemKind::FieldPath, &at, message);
        }
        paths.push(path);
    }
    valid.then_some(paths)
}

fn is_inside(path: &FieldPath, other: &FieldPath) -> bool {
    path.0.starts_with(&other.0)
}

fn method(given: &spec::Mask, at: &At, problems: &mut Problems) -> Option<Masking> {
    let name = given.method;
    if given.keep_first.is_some() && given.keep_last.is_some() {
        let message = "`keepFirst` and `keepLast` are set; at most one of them is allowed";
        problems.add(ProblemKind::Union, at, message);
    }
    for (field, set) in [("keepFirst", given.keep_first.is_some()), ("keepLast", given.keep_last.is_some())] {
        if set && name != MaskMethod::Partial {
            let message = format!("method `{name:?}` does not use `{field}`; only `Partial` does");
            problems.add(ProblemKind::Union, &at.field(field), message);
        }
    }
    let secret = given.secret_key_ref.as_ref().map(SecretKey::from);
    match (name, secret) {
        (MaskMethod::Hash, Some(key)) => Some(Masking::Hash(key)),
        (MaskMethod::Tokenise, Some(key)) => Some(Masking::Tokenise(key)),
        (MaskMethod::Hash | MaskMethod::Tokenise, None) => {
            let message =
                format!("method `{name:?}` needs a key; set `secretKeyRef` to the name and key of a Secret");
            problems.add(ProblemKind::MissingField, at, message);
            None
        }
        (MaskMethod::Redact | MaskMethod::Partial, Some(_)) => {
            let message = format!("method `{name:?}` uses no key; remove it, or use `Hash` or `Tokenise`");
            problems.add(ProblemKind::Union, &at.field("secretKeyRef"), message);
            None
        }
        (MaskMethod::Redact, None) => Some(Masking::Redact),
        (MaskMethod::Partial, None) => {
            let count = |given: Option<i32>| given.and_then(|count| u32::try_from(count).ok());
            Some(Masking::Partial(match (count(given.keep_first), count(given.keep_last)) {
                (Some(first), _) => Keep::First(first),
                (None, last) => Keep::Last(last.unwrap_or(KEEP)),
            }))
        }
    }
}
