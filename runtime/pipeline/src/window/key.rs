//! The key of a group: the key fields of a record as bytes that are equal exactly when the keys are, and that say
//! everything the output row needs.
//!
//! Each field is a type byte and a payload; texts carry their length, except in the last field, which takes the rest.
//! Types differ (`1` is not `"1"`); numbers are equal when their values are (`1` and `1.0` are one key, written `1`).

use crate::aggregate::Input;
use crate::column::{Tag, TextRef, Value};
use crate::dead_letter::{Fault, Reason};
use crate::format::json::{write_f64, write_i64, write_string};
use crate::state::bytes::{Reader, put_varint};
use std::fmt::Write as _;

/// The longest text in a key field, in bytes.
pub(crate) const FIELD_BYTES_MAX: usize = 64 << 10;

/// Appends one field. `last` is true for the last field of the key.
#[inline]
pub(crate) fn put_field(
    out: &mut Vec<u8>,
    name: &str,
    input: Input<'_>,
    value: Value,
    last: bool,
) -> Result<(), Fault> {
    match value.tag {
        Tag::String | Tag::Decimal => {
            let text = input.frame.text(input.batch, TextRef::from_bits(value.bits));
            if text.len() > FIELD_BYTES_MAX {
                return Err(too_large(name, text.len()));
            }
            out.push(value.tag as u8);
            if !last {
                put_varint(out, text.len() as u64);
            }
            out.extend_from_slice(text);
        }
        Tag::Int => put_int(out, value.bits as i64),
        Tag::Double => put_double(out, f64::from_bits(value.bits)),
        Tag::Bool => out.extend_from_slice(&[Tag::Bool as u8, u8::from(value.bits != 0)]),
        _ => return Err(not_a_key(name, value.tag)),
    }
    Ok(())
}

fn put_int(out: &mut Vec<u8>, value: i64) {
    out.push(Tag::Int as u8);
    out.extend_from_slice(&value.to_le_bytes());
}

#[expect(clippy::float_cmp, reason = "the question is whether the double is this integer")]
fn put_double(out: &mut Vec<u8>, value: f64) {
    let whole = value as i64;
    // The cast saturates, and i64::MAX as a double is 2^63: equal, though not the same number.
    if whole as f64 == value && whole != i64::MAX {
        return put_int(out, whole);
    }
    out.push(Tag::Double as u8);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

#[cold]
fn too_large(name: &str, len: usize) -> Fault {
    let message = format!("key field `{name}` has {len} bytes, at most {FIELD_BYTES_MAX} are allowed");
    Fault::new(Reason::KeyTooLarge, message)
}

#[cold]
fn not_a_key(name: &str, tag: Tag) -> Fault {
    let mut message = format!("key field `{name}` is ");
    let (reason, what) = match tag {
        Tag::Missing => (Reason::KeyMissing, "missing"),
        Tag::Null => (Reason::KeyMissing, "null"),
        _ => (Reason::KeyUnusable, "an object or array; a key is text, a number or a boolean"),
    };
    let _ = write!(message, "{what}");
    Fault::new(reason, message)
}

/// A field of a key.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Field<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Decimal(&'a str),
    String(&'a str),
}

fn read_field<'a>(reader: &mut Reader<'a>, last: bool) -> Option<Field<'a>> {
    let what = "key";
    let tag = reader.u8(what).ok()?;
    if tag == Tag::Bool as u8 {
        return reader.flag(what).ok().map(Field::Bool);
    }
    if tag == Tag::Int as u8 {
        return Some(Field::Int(i64::from_le_bytes(reader.take(8, what).ok()?.try_into().ok()?)));
    }
    if tag == Tag::Double as u8 {
        let value = f64::from_bits(u64::from_le_bytes(reader.take(8, what).ok()?.try_into().ok()?));
        return value.is_finite().then_some(Field::Double(value));
    }
    let text = if last { reader.take(reader.rest().len(), what).ok()? } else { reader.slice(what).ok()? };
    let text = std::str::from_utf8(text).ok()?;
    if tag == Tag::String as u8 {
        return Some(Field::String(text));
    }
    let number = tag == Tag::Decimal as u8
        && !text.is_empty()
        && text.bytes().all(|b| b"+-.eE0123456789".contains(&b));
    number.then_some(Field::Decimal(text))
}

/// True when bytes are a key of `fields` fields.
pub(crate) fn is_valid(key: &[u8], fields: usize) -> bool {
    let mut reader = Reader::new(key);
    (0..fields).all(|at| read_field(&mut reader, at + 1 == fields).is_some()) && reader.rest().is_empty()
}

/// Appends the fields as members of a JSON object, without braces.
pub(crate) fn write_members(names: &[Vec<u8>], key: &[u8], out: &mut Vec<u8>) {
    let mut reader = Reader::new(key);
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b':');
        if let Some(field) = read_field(&mut reader, at + 1 == names.len()) {
            write_json(field, out);
        }
    }
}

/// Appends the key of an output record: the plain value of a single field, else an object of all fields.
pub(crate) fn write_record_key(names: &[Vec<u8>], key: &[u8], out: &mut Vec<u8>) {
    if names.len() > 1 {
        out.push(b'{');
        write_members(names, key, out);
        out.push(b'}');
        return;
    }
    match read_field(&mut Reader::new(key), true) {
        Some(Field::String(text)) => out.extend_from_slice(text.as_bytes()),
        Some(field) => write_json(field, out),
        None => {}
    }
}

fn write_json(field: Field<'_>, out: &mut Vec<u8>) {
    match field {
        Field::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Field::Int(value) => write_i64(value, out),
        Field::Double(value) => write_f64(value, out),
        Field::Decimal(text) => out.extend_from_slice(text.as_bytes()),
        Field::String(text) => write_string(text.as_bytes(), out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Frame;
    use crate::record::RecordBatch;

    fn key(values: &[(Tag, &str)]) -> Result<Vec<u8>, Fault> {
        let (mut frame, batch) = (Frame::default(), RecordBatch::new());
        let mut out = Vec::new();
        for (at, (tag, text)) in values.iter().enumerate() {
            let bits = match tag {
                Tag::Int => text.parse::<i64>().unwrap() as u64,
                Tag::Double => text.parse::<f64>().unwrap().to_bits(),
                Tag::Bool => u64::from(*text == "true"),
                _ => frame.intern(text.as_bytes()).bits(),
            };
            let input = Input { frame: &frame, batch: &batch };
            put_field(&mut out, "k", input, Value { tag: *tag, bits }, at + 1 == values.len())?;
        }
        Ok(out)
    }

    fn written(values: &[(Tag, &str)]) -> (String, String) {
        let key = key(values).unwrap();
        assert!(is_valid(&key, values.len()));
        let names: Vec<Vec<u8>> = (0..values.len()).map(|at| format!("\"f{at}\"").into_bytes()).collect();
        let (mut members, mut plain) = (Vec::new(), Vec::new());
        write_members(&names, &key, &mut members);
        write_record_key(&names, &key, &mut plain);
        (String::from_utf8(members).unwrap(), String::from_utf8(plain).unwrap())
    }

    #[test]
    fn one_field_is_its_plain_value_and_several_are_an_object() {
        assert_eq!(written(&[(Tag::String, "a\"b")]), (r#""f0":"a\"b""#.into(), "a\"b".into()));
        assert_eq!(written(&[(Tag::Int, "-7")]), (r#""f0":-7"#.into(), "-7".into()));
        assert_eq!(written(&[(Tag::Bool, "true")]), (r#""f0":true"#.into(), "true".into()));
        let both = r#""f0":"de","f1":0.5,"f2":"""#;
        assert_eq!(
            written(&[(Tag::String, "de"), (Tag::Double, "0.5"), (Tag::String, "")]),
            (both.into(), format!("{{{both}}}"))
        );
        assert_eq!(written(&[(Tag::Decimal, "123456789012345678901")]).1, "123456789012345678901");
    }

    #[test]
    fn types_make_keys_differ_and_equal_numbers_do_not() {
        let int = key(&[(Tag::Int, "1")]).unwrap();
        assert_ne!(int, key(&[(Tag::String, "1")]).unwrap());
        assert_ne!(int, key(&[(Tag::Bool, "true")]).unwrap());
        assert_eq!(int, key(&[(Tag::Double, "1.0")]).unwrap());
        assert_eq!(key(&[(Tag::Double, "-0.0")]).unwrap(), key(&[(Tag::Int, "0")]).unwrap());
        assert_ne!(
            key(&[(Tag::Double, "9223372036854775808")]).unwrap(),
            key(&[(Tag::Int, "9223372036854775807")]).unwrap()
        );
        let split = |a, b| key(&[(Tag::String, a), (Tag::String, b)]).unwrap();
        assert_ne!(split("a", "bc"), split("ab", "c"));
    }

    #[test]
    fn what_cannot_be_a_key_is_a_fault() {
        let reason = |values: &[(Tag, &str)]| key(values).unwrap_err().reason;
        assert_eq!(reason(&[(Tag::Missing, "")]), Reason::KeyMissing);
        assert_eq!(reason(&[(Tag::Null, "")]), Reason::KeyMissing);
        assert_eq!(reason(&[(Tag::Json, "{}")]), Reason::KeyUnusable);
        assert_eq!(reason(&[(Tag::String, &"x".repeat(FIELD_BYTES_MAX + 1))]), Reason::KeyTooLarge);
        assert!(key(&[(Tag::String, &"x".repeat(FIELD_BYTES_MAX))]).is_ok());
    }
}
