//! JSON text as values and back. Text of a record is opened one level at a time.

mod scan;

use super::time;
use super::value::{Fault, Val};
use crate::format::json::{MAX_DEPTH, write_f64, write_i64, write_string};
use std::borrow::Cow;

/// True when the text is an array.
pub(super) fn is_list(text: &str) -> bool {
    text.trim_ascii_start().starts_with('[')
}

/// The items of an array.
pub(super) fn items(text: &str) -> Result<Vec<Val<'_>>, Fault> {
    let mut items = Vec::new();
    scan::each_item(text, |raw| {
        items.push(value(raw));
        true
    })?;
    items.into_iter().collect()
}

/// One item of an array; none when the index is behind its end.
pub(super) fn item(text: &str, index: usize) -> Result<Option<Val<'_>>, Fault> {
    let (mut found, mut at) = (None, 0);
    scan::each_item(text, |raw| {
        if at == index {
            found = Some(raw);
        }
        at += 1;
        found.is_none()
    })?;
    found.map(value).transpose()
}

/// The entries of an object; of two with one name the last counts.
pub(super) fn entries(text: &str) -> Result<Vec<(Val<'_>, Val<'_>)>, Fault> {
    let mut entries: Vec<(Val<'_>, Val<'_>)> = Vec::new();
    let mut places: hashbrown::HashMap<Cow<'_, str>, usize> = hashbrown::HashMap::new();
    let mut fault = None;
    scan::each_member(text, |name, raw| match (value(raw), places.get(&name)) {
        (Ok(value), Some(at)) => entries[*at].1 = value,
        (Ok(value), None) => {
            places.insert(name.clone(), entries.len());
            entries.push((Val::String(name), value));
        }
        (Err(first), _) => fault = Some(first),
    })?;
    fault.map_or(Ok(entries), Err)
}

/// One member of an object.
pub(super) fn member<'a>(text: &'a str, name: &str) -> Result<Option<Val<'a>>, Fault> {
    let mut found = None;
    scan::each_member(text, |member, raw| {
        if member == name {
            found = Some(raw);
        }
    })?;
    found.map(value).transpose()
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

fn invalid<E>(_: E) -> Fault {
    Fault::text("the record is not valid JSON")
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
