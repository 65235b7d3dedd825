//! What the functions mean. The caller has checked the types of the arguments against the signature.

use super::function::{Function, Part, Signature};
use super::value::{Fault, Val};
use super::{text, time};
use std::borrow::Cow;

/// No function takes more.
pub(super) const MAX_ARGUMENTS: usize = 4;

/// Calls a function.
pub(super) fn call<'a>(signature: &Signature, arguments: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    match (signature.function, arguments) {
        (Function::Size, [value]) => size(value),
        (Function::Contains, [Val::String(s), Val::String(part)]) => Ok(Val::Bool(s.contains(&**part))),
        (Function::StartsWith, [Val::String(s), Val::String(part)]) => Ok(Val::Bool(s.starts_with(&**part))),
        (Function::EndsWith, [Val::String(s), Val::String(part)]) => Ok(Val::Bool(s.ends_with(&**part))),
        (Function::LowerAscii, [Val::String(s)]) => Ok(Val::string(s.to_ascii_lowercase())),
        (Function::UpperAscii, [Val::String(s)]) => Ok(Val::string(s.to_ascii_uppercase())),
        (Function::Trim, [Val::String(Cow::Borrowed(s))]) => Ok(Val::str(s.trim())),
        (Function::Trim, [Val::String(s)]) => Ok(Val::string(s.trim().to_owned())),
        (Function::Replace, [Val::String(s), Val::String(from), Val::String(to), rest @ ..]) => {
            text::replace(s, from, to, int(rest).unwrap_or(-1)).map(Val::string)
        }
        (Function::Split, [Val::String(s), Val::String(separator), rest @ ..]) => {
            Ok(Val::list(text::split(s, separator, int(rest).unwrap_or(-1))))
        }
        (Function::Substring, [Val::String(s), Val::Int(start), rest @ ..]) => {
            text::substring(s, *start, int(rest)).map(Val::String)
        }
        (Function::IndexOf, [Val::String(s), Val::String(part), rest @ ..]) => {
            text::index_of(s, part, int(rest).unwrap_or(0)).map(Val::Int)
        }
        (Function::LastIndexOf, [Val::String(s), Val::String(part)]) => {
            Ok(Val::Int(text::last_index_of(s, part)))
        }
        (Function::CharAt, [Val::String(s), Val::Int(at)]) => text::char_at(s, *at).map(Val::string),
        (Function::Join, [list, rest @ ..]) => join(list, rest),
        (Function::Time(part), [value, rest @ ..]) => time_part(part, value, rest).map(Val::Int),
        (Function::HasValue, [Val::Optional(value)]) => Ok(Val::Bool(value.is_some())),
        (Function::OptionalValue, [Val::Optional(value)]) => {
            value.as_deref().cloned().ok_or_else(|| Fault::text("the optional value is not there"))
        }
        (Function::Dyn, [value]) => Ok(value.clone()),
        (function, [value]) => convert(function, value),
        _ => Err(Fault::text(format!("`{}` cannot take these arguments", signature.name))),
    }
}

fn int(arguments: &[Val<'_>]) -> Option<i64> {
    match arguments {
        [Val::Int(i)] => Some(*i),
        _ => None,
    }
}

fn size<'a>(value: &Val<'a>) -> Result<Val<'a>, Fault> {
    let size = match (value, value.items()) {
        (Val::String(s), _) => text::size(s.as_bytes()),
        (_, Some(items)) => items?.len() as i64,
        _ => value.entries().transpose()?.map_or(0, |entries| entries.len() as i64),
    };
    Ok(Val::Int(size))
}

fn join<'a>(list: &Val<'a>, rest: &[Val<'a>]) -> Result<Val<'a>, Fault> {
    let items = list.items().transpose()?.unwrap_or_default();
    let separator = match rest {
        [Val::String(separator)] => separator,
        _ => "",
    };
    text::join(&items, separator).map(Val::string)
}

/// `string(x)`, `int(x)` and so on.
fn convert<'a>(function: Function, value: &Val<'a>) -> Result<Val<'a>, Fault> {
    let converted = match function {
        Function::String => Some(Val::String(to_string(value))),
        Function::Int => to_int(value).map(Val::Int),
        Function::Double => to_double(value).map(Val::Double),
        Function::Bool => match value {
            Val::Bool(b) => Some(Val::Bool(*b)),
            Val::String(s) => match &**s {
                "true" | "True" | "TRUE" | "t" | "1" => Some(Val::Bool(true)),
                "false" | "False" | "FALSE" | "f" | "0" => Some(Val::Bool(false)),
                _ => None,
            },
            _ => None,
        },
        Function::Timestamp => match value {
            Val::Timestamp(nanos) => Some(*nanos),
            Val::Int(seconds) => seconds.checked_mul(1_000_000_000),
            Val::String(s) => time::parse_timestamp(s),
            _ => None,
        }
        .map(Val::Timestamp),
        Function::Duration => match value {
            Val::Duration(nanos) => Some(*nanos),
            Val::String(s) => time::parse_duration(s),
            _ => None,
        }
        .map(Val::Duration),
        _ => None,
    };
    converted.ok_or_else(|| unreadable(function, value))
}

fn unreadable(function: Function, value: &Val<'_>) -> Fault {
    let shown = to_string(value);
    let cut = shown.floor_char_boundary(64);
    let dots = if cut < shown.len() { "…" } else { "" };
    let wanted = match function {
        Function::Int => "an int of 64 bits",
        Function::Double => "a double",
        Function::Bool => "a bool (`true` or `false`)",
        Function::Timestamp => "an RFC 3339 timestamp such as `2026-01-31T08:00:00Z`, from 1678 to 2261",
        _ => "a duration such as `1h30m` or `1.5s`",
    };
    Fault::text(format!("`{}{dots}` is not {wanted}", &shown[..cut]))
}

/// `string(value)`
pub(super) fn to_string<'a>(value: &Val<'a>) -> Cow<'a, str> {
    match value {
        Val::String(s) => s.clone(),
        Val::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
        Val::Int(i) => Cow::Owned(i.to_string()),
        Val::Double(d) if *d == 0.0 || (1e-5..1e21).contains(&d.abs()) => Cow::Owned(d.to_string()),
        Val::Double(d) => Cow::Owned(format!("{d:e}")),
        Val::Decimal(text) => Cow::Borrowed(text),
        Val::Timestamp(nanos) => Cow::Owned(time::format_timestamp(*nanos)),
        Val::Duration(nanos) => Cow::Owned(time::format_duration(*nanos)),
        other => Cow::Borrowed(other.kind()),
    }
}

fn to_int(value: &Val<'_>) -> Option<i64> {
    match value {
        Val::Int(i) => Some(*i),
        // Both ends are exact: 2^63 itself does not fit.
        Val::Double(d) if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(d) => {
            Some(*d as i64)
        }
        Val::String(s) => s.parse().ok(),
        Val::Timestamp(nanos) => Some(nanos.div_euclid(1_000_000_000)),
        _ => None,
    }
}

fn to_double(value: &Val<'_>) -> Option<f64> {
    match value {
        Val::Int(i) => Some(*i as f64),
        Val::Double(d) => Some(*d),
        Val::Decimal(text) => text.parse().ok(),
        Val::String(s) => s.parse().ok(),
        _ => None,
    }
}

fn time_part(part: Part, value: &Val<'_>, zone: &[Val<'_>]) -> Result<i64, Fault> {
    if let [Val::String(zone)] = zone
        && !matches!(&**zone, "UTC" | "Z" | "+00:00" | "00:00" | "-00:00")
    {
        return Err(Fault::text(format!("`{zone}` is not a time zone that is known; use \"UTC\"")));
    }
    let nanos = match value {
        Val::Timestamp(nanos) => *nanos,
        Val::Duration(nanos) => return Ok(duration_part(part, *nanos)),
        other => return Err(Fault::text(format!("a time is needed, not {}", other.kind()))),
    };
    let civil = time::civil(nanos);
    Ok(match part {
        Part::FullYear => i64::from(civil.year()),
        Part::Month => i64::from(civil.month()) - 1,
        Part::Date => i64::from(civil.day()),
        Part::DayOfMonth => i64::from(civil.day()) - 1,
        Part::DayOfWeek => i64::from(civil.weekday().to_sunday_zero_offset()),
        Part::DayOfYear => i64::from(civil.day_of_year()) - 1,
        Part::Hours => i64::from(civil.hour()),
        Part::Minutes => i64::from(civil.minute()),
        Part::Seconds => i64::from(civil.second()),
        Part::Milliseconds => i64::from(civil.millisecond()),
    })
}

/// A duration as a whole in that unit; only the milliseconds are those of the last second.
fn duration_part(part: Part, nanos: i64) -> i64 {
    match part {
        Part::Hours => nanos / 3_600_000_000_000,
        Part::Minutes => nanos / 60_000_000_000,
        Part::Seconds => nanos / 1_000_000_000,
        _ => nanos % 1_000_000_000 / 1_000_000,
    }
}
