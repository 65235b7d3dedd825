//! Writing of values as JSON text, as `serde_json` writes them.

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
    loop {
        first -= 1;
        digits[first] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
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
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let digits = b"0123456789abcdef";
                let [high, low] = [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
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
