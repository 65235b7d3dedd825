//! Functions on strings. Positions count code points; what they make is bounded.

use super::value::{Fault, Val};
use std::borrow::Cow;

/// The longest string that an expression makes, in bytes: as long as a record may be.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// The number of code points.
pub(super) fn size(text: &[u8]) -> i64 {
    text.iter().filter(|b| **b & 0xC0 != 0x80).count() as i64
}

/// All parts, one behind the other.
pub(super) fn concat(parts: &[&str]) -> Result<String, Fault> {
    check_len(parts.iter().map(|p| p.len()).sum())?;
    Ok(parts.concat())
}

/// Refuses a string that would be too long.
pub(super) fn check_len(len: usize) -> Result<(), Fault> {
    if len > MAX_BYTES {
        return Err(Fault::text(format!("a string would have {len} bytes, at most {MAX_BYTES} are allowed")));
    }
    Ok(())
}

/// The first `limit` places of `from` replaced by `to`; all when it is negative.
pub(super) fn replace(text: &str, from: &str, to: &str, limit: i64) -> Result<String, Fault> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = text.matches(from).take(limit).count();
    check_len((text.len() + found * to.len()).saturating_sub(found * from.len()))?;
    Ok(text.replacen(from, to, limit))
}

/// The parts between `separator`, at most `limit` of them, all when it is negative.
pub(super) fn split<'a>(text: &Cow<'a, str>, separator: &str, limit: i64) -> Vec<Val<'a>> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    match text {
        Cow::Borrowed(text) => pieces(text, separator, limit).map(Val::str).collect(),
        Cow::Owned(text) => pieces(text, separator, limit).map(|p| Val::string(p.to_owned())).collect(),
    }
}

/// An empty separator cuts between the code points, and only there.
fn pieces<'t>(text: &'t str, separator: &str, limit: usize) -> Box<dyn Iterator<Item = &'t str> + 't> {
    if limit == 0 || text.is_empty() && separator.is_empty() {
        return Box::new(std::iter::empty());
    }
    if !separator.is_empty() {
        return Box::new(text.splitn(limit, separator).collect::<Vec<_>>().into_iter());
    }
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).take(limit).collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    Box::new(starts.into_iter().zip(ends).map(move |(start, end)| &text[start..end]))
}

/// From code point `start` up to `end`, the end of the text when that is none.
pub(super) fn substring<'a>(
    text: &Cow<'a, str>,
    start: i64,
    end: Option<i64>,
) -> Result<Cow<'a, str>, Fault> {
    let from = offset(text, start)?;
    let to = end.map_or(Ok(text.len()), |end| offset(text, end))?;
    if to < from {
        return Err(Fault::text(format!(
            "substring ends at {} before it starts at {start}",
            end.unwrap_or(0)
        )));
    }
    Ok(match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[from..to]),
        Cow::Owned(text) => Cow::Owned(text[from..to].to_owned()),
    })
}

/// One code point; nothing at the end of the text.
pub(super) fn char_at(text: &str, position: i64) -> Result<String, Fault> {
    let at = offset(text, position)?;
    Ok(text[at..].chars().next().map(String::from).unwrap_or_default())
}

/// The position of the first `part` at or behind `start`, −1 without one.
pub(super) fn index_of(text: &str, part: &str, start: i64) -> Result<i64, Fault> {
    let from = offset(text, start)?;
    Ok(text[from..].find(part).map_or(-1, |at| size(&text.as_bytes()[..from + at])))
}

/// The position of the last `part`, −1 without one.
pub(super) fn last_index_of(text: &str, part: &str) -> i64 {
    text.rfind(part).map_or(-1, |at| size(&text.as_bytes()[..at]))
}

/// The byte offset of a position; the end of the text is one.
fn offset(text: &str, position: i64) -> Result<usize, Fault> {
    let outside = || Fault::text(format!("position {position} is outside of the string"));
    let position = usize::try_from(position).map_err(|_| outside())?;
    if text.is_ascii() {
        return if position <= text.len() { Ok(position) } else { Err(outside()) };
    }
    let mut starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    starts.nth(position).ok_or_else(outside)
}

/// The strings of a list with `separator` between them.
pub(super) fn join(items: &[Val<'_>], separator: &str) -> Result<String, Fault> {
    let mut text = String::new();
    for (i, item) in items.iter().enumerate() {
        let Val::String(item) = item else {
            return Err(Fault::text(format!("`join` takes a list of strings, item {i} is {}", item.kind())));
        };
        check_len(text.len() + item.len() + separator.len())?;
        if i > 0 {
            text.push_str(separator);
        }
        text.push_str(item);
    }
    Ok(text)
}
