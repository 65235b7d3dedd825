//! JSON text as values and back. Text of a record is opened one level at a time.

use super::time;
use super::value::{Fault, Val};
use crate::format::json::{MAX_DEPTH, write_f64, write_i64, write_string};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// True when the text is an array.
pub(super) fn is_list(text: &str) -> bool {
    text.trim_ascii_start().starts_with('[')
}

/// The items of an array.
pub(super) fn items(text: &str) -> Result<Vec<Val<'_>>, Fault> {
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(invalid)?;
    raw.into_iter().map(|item| value(item.get())).collect()
}

/// One item of an array; none when the index is behind its end.
pub(super) fn item(text: &str, index: usize) -> Result<Option<Val<'_>>, Fault> {
    let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(invalid)?;
    raw.get(index).map(|item| value(item.get())).transpose()
}

/// The entries of an object; of two with one name the last counts.
pub(super) fn entries(text: &str) -> Result<Vec<(Val<'_>, Val<'_>)>, Fault> {
    let Entries(raw) = serde_json::from_str(text).map_err(invalid)?;
    let mut entries: Vec<(Val<'_>, Val<'_>)> = Vec::with_capacity(raw.len());
    let mut places: hashbrown::HashMap<Cow<'_, str>, usize> = hashbrown::HashMap::with_capacity(raw.len());
    for (name, raw) in raw {
        let value = value(raw.get())?;
        if let Some(at) = places.get(&name) {
            entries[*at].1 = value;
        } else {
            places.insert(name.clone(), entries.len());
            entries.push((Val::String(name), value));
        }
    }
    Ok(entries)
}

/// One member of an object.
pub(super) fn member<'a>(text: &'a str, name: &str) -> Result<Option<Val<'a>>, Fault> {
    let Entries(raw) = serde_json::from_str(text).map_err(invalid)?;
    raw.iter().rev().find(|(n, _)| n == name).map(|(_, raw)| value(raw.get())).transpose()
}

/// A value of JSON text without space around it.
pub(super) fn value(text: &str) -> Result<Val<'_>, Fault> {
    Ok(match text.as_bytes().first() {
        Some(b'{' | b'[') => Val::Json(text),
        Some(b'"') => Val::String(string(text)?),
        Some(b't') => Val::Bool(true),
        Some(b'f') => Val::Bool(false),
        Some(b'n') => Val::Null,
        Some(b'-' | b'0'..=b'9') => number(text),
        _ => return Err(Fault::text("the record is not valid JSON")),
    })
}

fn string(text: &str) -> Result<Cow<'_, str>, Fault> {
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inside) if !inside.contains('\\') => Ok(Cow::Borrowed(inside)),
        _ => serde_json::from_str(text).map(Cow::Owned).map_err(invalid),
    }
}

/// A number, as the decoder reads it: one without fraction and exponent is an int, or a decimal beyond 64 bits; every
/// other is the nearest double.
fn number(text: &str) -> Val<'_> {
    if text.contains(['.', 'e', 'E']) {
        return text.parse().map_or(Val::Decimal(text), Val::Double);
    }
    text.parse().map_or(Val::Decimal(text), Val::Int)
}

fn invalid(_: serde_json::Error) -> Fault {
    Fault::text("the record is not valid JSON")
}

/// The members of an object in order, names unescaped, values as they are.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Name(name), raw)) = map.next_entry()? {
                    entries.push((name, raw));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Appends a value as JSON.
pub(super) fn write(val: &Val<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    write_nested(val, out, 0)
}

fn write_nested(val: &Val<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::text(format!("the value is nested deeper than {MAX_DEPTH}")));
    }
    match val {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Int(int) => write_i64(*int, out),
        Val::Double(double) => write_double(*double, out)?,
        Val::Decimal(text) | Val::Json(text) => out.extend_from_slice(text.as_bytes()),
        Val::String(text) => write_string(text.as_bytes(), out),
        Val::Timestamp(nanos) => write_string(time::format_timestamp(*nanos).as_bytes(), out),
        Val::Duration(nanos) => write_string(time::format_duration(*nanos).as_bytes(), out),
        Val::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_nested(item, out, depth + 1)?;
            }
            out.push(b']');
        }
        Val::Map(entries) => {
            out.push(b'{');
            for (i, (key, value)) in entries.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_key(key, out)?;
                write_nested(value, out, depth + 1)?;
            }
            out.push(b'}');
        }
        Val::Optional(Some(value)) => write_nested(value, out, depth + 1)?,
        Val::Optional(None) => return Err(Fault::text("an optional value without value cannot be written")),
    }
    Ok(())
}

/// Appends a name and its colon.
pub(super) fn write_key(key: &Val<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
    match key {
        Val::String(text) => write_string(text.as_bytes(), out),
        Val::Int(int) => write_string(int.to_string().as_bytes(), out),
        Val::Bool(bool) => write_string(bool.to_string().as_bytes(), out),
        other => return Err(Fault::text(format!("the key of a map must be a string, not {}", other.kind()))),
    }
    out.push(b':');
    Ok(())
}

/// Appends a double; JSON has no infinity and no NaN.
pub(super) fn write_double(double: f64, out: &mut Vec<u8>) -> Result<(), Fault> {
    if !double.is_finite() {
        return Err(Fault::text(format!("{double} cannot be written as JSON")));
    }
    write_f64(double, out);
    Ok(())
}
