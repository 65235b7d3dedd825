//! Writing of values as JSON text, as `serde_json` writes them.

use super::scan;
use crate::column::{Frame, Tag, TextRef, Value};
use crate::format::time::write_rfc3339_ns;
use crate::record::RecordBatch;

/// Appends a value.
///
/// Decimals and JSON texts are copied as they are. A timestamp is an RFC 3339 string, a duration a string of seconds
/// such as `"300s"` or `"-1.5s"`. JSON has no word for a missing value, an error, a NaN or an infinity: they are `null`.
pub fn write_value(frame: &Frame, batch: &RecordBatch, value: Value, out: &mut Vec<u8>) {
    match value.tag {
        Tag::Missing | Tag::Null | Tag::Error => out.extend_from_slice(b"null"),
        Tag::Bool => out.extend_from_slice(if value.bits == 0 { b"false" } else { b"true" }),
        Tag::Int => write_i64(value.bits as i64, out),
        Tag::Double => write_f64(f64::from_bits(value.bits), out),
        Tag::Decimal | Tag::Json => {
            out.extend_from_slice(frame.text(batch, TextRef::from_bits(value.bits)));
        }
        Tag::String => write_string(frame.text(batch, TextRef::from_bits(value.bits)), out),
        Tag::Timestamp => {
            out.push(b'"');
            write_rfc3339_ns(value.bits as i64, out);
            out.push(b'"');
        }
        Tag::Duration => {
            out.push(b'"');
            write_seconds(value.bits as i64, out);
            out.push(b'"');
        }
    }
}

/// Appends an integer.
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(value.unsigned_abs(), out);
}

fn write_u64(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    while value >= 10 {
        let pair = (value % 100) as u8;
        value /= 100;
        first -= 2;
        digits[first..first + 2].copy_from_slice(&[b'0' + pair / 10, b'0' + pair % 10]);
    }
    if value != 0 || first == digits.len() {
        first -= 1;
        digits[first] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends the shortest text that reads as the same double; `null` for a NaN or an infinity.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    let start = out.len();
    if serde_json::to_writer(&mut *out, &value).is_err() {
        // Writing to memory does not fail.
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// Appends a string with its quotes; `text` is UTF-8.
pub fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((&byte, tail)) = tail.split_first() else { break };
        write_escape(byte, out);
        rest = tail;
    }
    out.push(b'"');
}

/// The number of bytes in front of the first one that needs an escape, eight at a time.
fn plain_len(text: &[u8]) -> usize {
    let (words, _) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let escaped = scan::escaped_in_strings(u64::from_le_bytes(*word));
        if escaped != 0 {
            return at * 8 + escaped.trailing_zeros() as usize / 8;
        }
    }
    let tail = &text[words.len() * 8..];
    words.len() * 8 + tail.iter().take_while(|&&byte| byte >= 0x20 && byte != b'"' && byte != b'\\').count()
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        0x08 => out.extend_from_slice(b"\\b"),
        0x0C => out.extend_from_slice(b"\\f"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Nanoseconds as seconds with as many decimals as are needed, the way CEL writes a duration.
fn write_seconds(nanoseconds: i64, out: &mut Vec<u8>) {
    const SECOND: u64 = 1_000_000_000;
    if nanoseconds < 0 {
        out.push(b'-');
    }
    let magnitude = nanoseconds.unsigned_abs();
    write_u64(magnitude / SECOND, out);
    let mut fraction = magnitude % SECOND;
    if fraction != 0 {
        out.push(b'.');
        while fraction != 0 {
            let unit = SECOND / 10;
            out.push(b'0' + (fraction / unit) as u8);
            fraction = fraction % unit * 10;
        }
    }
    out.push(b's');
}
