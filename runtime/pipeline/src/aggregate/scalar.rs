//! One value on its own, away from the batch it came from, and the order of values of different types.

use crate::column::{Frame, Tag, TextRef, Value};
use crate::format::json::{write_f64, write_i64, write_string};
use crate::record::RecordBatch;
use crate::state::bytes::{Malformed, Reader, put_slice, put_zigzag};
use std::cmp::Ordering;

/// A value that an aggregate can hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Scalar {
    /// Missing or null: aggregates pass it over.
    #[default]
    None,
    /// `true` or `false`.
    Bool(bool),
    /// 64 bits, exact.
    Int(i64),
    /// Finite.
    Double(f64),
    /// A number that neither holds, as its text.
    Decimal(Box<str>),
    /// Text.
    String(Box<str>),
    /// There is a value, and nobody asked which one (`Count` of a field).
    Present,
}

impl Scalar {
    /// The value of a column in a row, if it is of a type that can be held.
    pub(crate) fn read(frame: &Frame, batch: &RecordBatch, value: Value) -> Option<Scalar> {
        Some(match value.tag {
            Tag::Missing | Tag::Null => Scalar::None,
            Tag::Bool => Scalar::Bool(value.bits != 0),
            Tag::Int => Scalar::Int(value.bits as i64),
            Tag::Double => Scalar::Double(f64::from_bits(value.bits)),
            Tag::Decimal => Scalar::Decimal(text(frame, batch, value)?.into()),
            Tag::String => Scalar::String(text(frame, batch, value)?.into()),
            _ => return None,
        })
    }

    /// The value as the double next to it, for numbers.
    pub(crate) fn as_double(&self) -> Option<f64> {
        match self {
            Scalar::Int(value) => Some(*value as f64),
            Scalar::Double(value) => Some(*value),
            Scalar::Decimal(text) => decimal(text),
            _ => None,
        }
    }

    /// The order of `Min` and `Max`: false, true, numbers by value, text by Unicode code points. Of numbers that are
    /// equal the integer comes first, then the double, then the decimal text, so that the result never depends on who came first.
    pub(crate) fn order(&self, other: &Scalar) -> Ordering {
        match (self, other) {
            (Scalar::Int(a), Scalar::Int(b)) => a.cmp(b),
            (Scalar::Double(a), Scalar::Double(b)) => a.total_cmp(b),
            (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
            (Scalar::String(a), Scalar::String(b)) => a.as_bytes().cmp(b.as_bytes()),
            _ => self.class().cmp(&other.class()).then_with(|| self.order_numbers(other)),
        }
    }

    fn class(&self) -> u8 {
        match self {
            Scalar::None => 0,
            Scalar::Present => 1,
            Scalar::Bool(_) => 2,
            Scalar::Int(_) | Scalar::Double(_) | Scalar::Decimal(_) => 3,
            Scalar::String(_) => 4,
        }
    }

    fn order_numbers(&self, other: &Scalar) -> Ordering {
        let by_value = match (self, other) {
            (Scalar::Int(a), Scalar::Double(b)) => order_int_double(*a, *b),
            (Scalar::Double(a), Scalar::Int(b)) => order_int_double(*b, *a).reverse(),
            _ => {
                let (a, b) = (self.as_double().unwrap_or(0.0), other.as_double().unwrap_or(0.0));
                a.partial_cmp(&b).unwrap_or(Ordering::Equal)
            }
        };
        by_value.then_with(|| match (self, other) {
            (Scalar::Decimal(a), Scalar::Decimal(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Scalar::None => 0,
            Scalar::Bool(_) => 1,
            Scalar::Int(_) => 2,
            Scalar::Double(_) => 3,
            Scalar::Decimal(_) => 4,
            Scalar::String(_) => 5,
            Scalar::Present => 6,
        }
    }

    /// Appends the value as JSON; `null` for none.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Scalar::None | Scalar::Present => out.extend_from_slice(b"null"),
            Scalar::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
            Scalar::Int(value) => write_i64(*value, out),
            Scalar::Double(value) => write_f64(*value, out),
            Scalar::Decimal(text) => out.extend_from_slice(text.as_bytes()),
            Scalar::String(text) => write_string(text.as_bytes(), out),
        }
    }

    /// Appends the value.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        match self {
            Scalar::None | Scalar::Present => {}
            Scalar::Bool(value) => out.push(u8::from(*value)),
            Scalar::Int(value) => put_zigzag(out, *value),
            Scalar::Double(value) => out.extend_from_slice(&value.to_bits().to_le_bytes()),
            Scalar::Decimal(text) | Scalar::String(text) => put_slice(out, text.as_bytes()),
        }
    }

    /// Reads what [`Scalar::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Scalar, Malformed> {
        Ok(match reader.u8("type of a value")? {
            0 => Scalar::None,
            1 => Scalar::Bool(reader.flag("boolean")?),
            2 => Scalar::Int(reader.zigzag("integer")?),
            3 => Scalar::Double(finite(reader)?),
            4 => Scalar::Decimal(number(reader)?),
            5 => Scalar::String(utf8(reader)?.into()),
            6 => Scalar::Present,
            _ => return Err(Malformed { what: "type of a value" }),
        })
    }

    /// Heap bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Scalar::Decimal(text) | Scalar::String(text) => text.len(),
            _ => 0,
        }
    }
}

/// The double next to a decimal text; none when it is beyond every double.
pub(crate) fn decimal(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

fn text<'a>(frame: &'a Frame, batch: &'a RecordBatch, value: Value) -> Option<&'a str> {
    std::str::from_utf8(frame.text(batch, TextRef::from_bits(value.bits))).ok()
}

fn finite(reader: &mut Reader<'_>) -> Result<f64, Malformed> {
    let malformed = Malformed { what: "double" };
    let bytes: [u8; 8] = reader.take(8, "double")?.try_into().map_err(|_| malformed)?;
    let value = f64::from_bits(u64::from_le_bytes(bytes));
    if value.is_finite() { Ok(value) } else { Err(malformed) }
}

fn utf8<'a>(reader: &mut Reader<'a>) -> Result<&'a str, Malformed> {
    std::str::from_utf8(reader.slice("text")?).map_err(|_| Malformed { what: "text" })
}

/// A text that may stand in JSON as a number.
fn number(reader: &mut Reader<'_>) -> Result<Box<str>, Malformed> {
    let text = utf8(reader)?;
    let number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if number { Ok(text.into()) } else { Err(Malformed { what: "decimal" }) }
}

/// The exact order of an integer and a finite double.
fn order_int_double(int: i64, double: f64) -> Ordering {
    // Both bounds are doubles; between them the truncated double is an i64.
    if double >= 9_223_372_036_854_775_808.0 {
        return Ordering::Less;
    }
    if double < -9_223_372_036_854_775_808.0 {
        return Ordering::Greater;
    }
    let whole = double.trunc();
    int.cmp(&(whole as i64)).then_with(|| 0.0f64.partial_cmp(&(double - whole)).unwrap_or(Ordering::Equal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_types_have_one_order() {
        let ordered = [
            Scalar::Bool(false),
            Scalar::Bool(true),
            Scalar::Double(-1e300),
            Scalar::Int(i64::MIN),
            Scalar::Double(-0.5),
            Scalar::Int(0),
            Scalar::Double(0.5),
            Scalar::Int(1),
            Scalar::Double(1.0),
            Scalar::Int(9_007_199_254_740_992),
            Scalar::Double(9_007_199_254_740_992.0),
            Scalar::Int(9_007_199_254_740_993),
            Scalar::Int(i64::MAX),
            Scalar::Double(9_223_372_036_854_775_808.0),
            Scalar::Decimal("123456789012345678901".into()),
            Scalar::String("".into()),
            Scalar::String("1".into()),
            Scalar::String("a".into()),
            Scalar::String("ä".into()),
        ];
        for (i, a) in ordered.iter().enumerate() {
            for (j, b) in ordered.iter().enumerate() {
                assert_eq!(a.order(b), i.cmp(&j), "{a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn values_come_back_from_bytes() {
        for value in [
            Scalar::None,
            Scalar::Bool(true),
            Scalar::Int(-5),
            Scalar::Double(0.1),
            Scalar::Decimal("1e999".into()),
            Scalar::String("a\"ä".into()),
            Scalar::Present,
        ] {
            let mut bytes = Vec::new();
            value.encode(&mut bytes);
            assert_eq!(Scalar::decode(&mut Reader::new(&bytes)), Ok(value));
        }
        assert!(Scalar::decode(&mut Reader::new(&[4, 3, b'1', b',', b'2'])).is_err(), "not a number");
        assert!(Scalar::decode(&mut Reader::new(&[9])).is_err());
    }
}
