//! Escapes inside JSON strings, by the rules of `serde_json`: surrogates come in pairs or not at all.

use super::scan::Scan;
use super::{RejectReason, SyntaxError};

/// The character of the escape whose backslash is at `p`, and the position behind it.
pub(super) fn escape(text: &[u8], p: usize) -> Scan<(char, usize)> {
    let plain = match text.get(p + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\x08',
        Some(b'f') => '\x0c',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text, p),
        Some(_) => return Err(RejectReason::syntax(p, SyntaxError::InvalidEscape)),
        None => return Err(RejectReason::syntax(text.len(), SyntaxError::UnexpectedEnd)),
    };
    Ok((plain, p + 2))
}

fn unicode(text: &[u8], p: usize) -> Scan<(char, usize)> {
    let first = hex(text, p)?;
    if let Some(plain) = char::from_u32(first) {
        return Ok((plain, p + 6));
    }
    let lone = RejectReason::syntax(p, SyntaxError::LoneSurrogate);
    if first >= 0xDC00 || text.get(p + 6..p + 8) != Some(b"\\u") {
        return Err(lone);
    }
    let second = hex(text, p + 6)?;
    if !(0xDC00..0xE000).contains(&second) {
        return Err(lone);
    }
    let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
    char::from_u32(code).map(|pair| (pair, p + 12)).ok_or(lone)
}

/// The four digits of the `\u` at `p`.
fn hex(text: &[u8], p: usize) -> Scan<u32> {
    let Some(digits) = text.get(p + 2..p + 6) else {
        return Err(RejectReason::syntax(text.len(), SyntaxError::UnexpectedEnd));
    };
    digits.iter().try_fold(0, |code, &digit| match char::from(digit).to_digit(16) {
        Some(value) => Ok(code << 4 | value),
        None => Err(RejectReason::syntax(p, SyntaxError::InvalidEscape)),
    })
}

/// Appends the string whose raw text is `raw` (without its quotes).
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Scan<()> {
    let mut p = 0;
    while let Some(plain) = memchr::memchr(b'\\', &raw[p..]) {
        out.extend_from_slice(&raw[p..p + plain]);
        let (character, next) = escape(raw, p + plain)?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        p = next;
    }
    out.extend_from_slice(&raw[p..]);
    Ok(())
}
