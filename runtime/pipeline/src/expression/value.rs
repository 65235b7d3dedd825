//! A value while one row is evaluated. Text is borrowed wherever it already lies in a buffer.

use super::json;
use super::types::Types;
use std::borrow::Cow;
use std::rc::Rc;

/// Keys and values, in order.
pub(super) type Entries<'a> = Rc<Vec<(Val<'a>, Val<'a>)>>;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    /// A number beyond 64 bits, as its JSON text.
    Decimal(&'a str),
    String(Cow<'a, str>),
    /// Nanoseconds since the epoch.
    Timestamp(i64),
    /// Nanoseconds.
    Duration(i64),
    /// An array or object as its JSON text, opened only when looked into.
    Json(&'a str),
    List(Rc<Vec<Val<'a>>>),
    Map(Entries<'a>),
    Optional(Option<Rc<Val<'a>>>),
}

/// Why a row has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The field (index into `Program::fields`) is not in the record.
    Missing(usize),
    /// Anything else, in words.
    Text(String),
}

impl Fault {
    /// A fault in words.
    pub fn text(message: impl Into<String>) -> Self {
        Self::Text(message.into())
    }
}

impl<'a> Val<'a> {
    /// Borrowed text.
    pub fn str(text: &'a str) -> Self {
        Self::String(Cow::Borrowed(text))
    }

    /// Owned text.
    pub fn string(text: String) -> Self {
        Self::String(Cow::Owned(text))
    }

    /// A list.
    pub fn list(items: Vec<Val<'a>>) -> Self {
        Self::List(Rc::new(items))
    }

    /// An optional value.
    pub fn optional(value: Option<Val<'a>>) -> Self {
        Self::Optional(value.map(Rc::new))
    }

    /// Its type; a number beyond 64 bits counts as a double, and who takes doubles must tell it apart.
    pub fn types(&self) -> Types {
        match self {
            Self::Null => Types::NULL,
            Self::Bool(_) => Types::BOOL,
            Self::Int(_) => Types::INT,
            Self::Double(_) | Self::Decimal(_) => Types::DOUBLE,
            Self::String(_) => Types::STRING,
            Self::Timestamp(_) => Types::TIMESTAMP,
            Self::Duration(_) => Types::DURATION,
            Self::Json(text) if json::is_list(text) => Types::LIST,
            Self::List(_) => Types::LIST,
            Self::Json(_) | Self::Map(_) => Types::MAP,
            Self::Optional(_) => Types::OPTIONAL,
        }
    }

    /// Its type in words, with an article.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a bool",
            Self::Int(_) => "an int",
            Self::Double(_) => "a double",
            Self::Decimal(_) => "a number beyond 64 bits",
            Self::String(_) => "a string",
            Self::Timestamp(_) => "a timestamp",
            Self::Duration(_) => "a duration",
            Self::Json(text) if json::is_list(text) => "a list",
            Self::List(_) => "a list",
            Self::Json(_) | Self::Map(_) => "a map",
            Self::Optional(_) => "an optional value",
        }
    }

    /// The items when it is a list.
    pub fn items(&self) -> Option<Result<Rc<Vec<Val<'a>>>, Fault>> {
        match self {
            Self::List(items) => Some(Ok(Rc::clone(items))),
            Self::Json(text) if json::is_list(text) => Some(json::items(text).map(Rc::new)),
            _ => None,
        }
    }

    /// The entries when it is a map.
    pub fn entries(&self) -> Option<Result<Entries<'a>, Fault>> {
        match self {
            Self::Map(entries) => Some(Ok(Rc::clone(entries))),
            Self::Json(text) if !json::is_list(text) => Some(json::entries(text).map(Rc::new)),
            _ => None,
        }
    }
}
