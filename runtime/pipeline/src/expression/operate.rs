//! What the operators mean, value by value. The hot loops of `kernel` must agree with this.

use super::program::Arithmetic;
use super::text;
use super::value::{Fault, Val};
use super::{decimal, json};
use crate::format::json::MAX_DEPTH;
use std::cmp::Ordering;
use std::rc::Rc;

/// Why an operator has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The operands have types that it does not take.
    Types,
    /// The result does not fit.
    Overflow,
    /// The right side is zero.
    DivisionByZero,
    /// It is something else.
    Fault(Fault),
}

/// `left op right`
pub(super) fn arithmetic<'a>(op: Arithmetic, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, Wrong> {
    match (left, right) {
        (Val::Int(l), Val::Int(r)) => int(op, *l, *r).map(Val::Int),
        (Val::Int(l), Val::Double(r)) => double(op, *l as f64, *r).map(Val::Double),
        (Val::Double(l), Val::Int(r)) => double(op, *l, *r as f64).map(Val::Double),
        (Val::Double(l), Val::Double(r)) => double(op, *l, *r).map(Val::Double),
        _ => match op {
            Arithmetic::Add => add(left, right),
            Arithmetic::Subtract => subtract(left, right),
            _ => Err(Wrong::Types),
        },
    }
}

/// Integers: exact or nothing.
pub(super) fn int(op: Arithmetic, left: i64, right: i64) -> Result<i64, Wrong> {
    let result = match op {
        Arithmetic::Add => left.checked_add(right),
        Arithmetic::Subtract => left.checked_sub(right),
        Arithmetic::Multiply => left.checked_mul(right),
        Arithmetic::Divide | Arithmetic::Modulo if right == 0 => return Err(Wrong::DivisionByZero),
        Arithmetic::Divide => left.checked_div(right),
        Arithmetic::Modulo => left.checked_rem(right),
    };
    result.ok_or(Wrong::Overflow)
}

/// Doubles: IEEE 754, but division by zero is an error as it is for integers, and there is no `%`.
pub(super) fn double(op: Arithmetic, left: f64, right: f64) -> Result<f64, Wrong> {
    Ok(match op {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide if right == 0.0 => return Err(Wrong::DivisionByZero),
        Arithmetic::Divide => left / right,
        Arithmetic::Modulo => return Err(Wrong::Types),
    })
}

fn add<'a>(left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, Wrong> {
    let time = |sum: Option<i64>, make: fn(i64) -> Val<'a>| sum.map(make).ok_or(Wrong::Overflow);
    match (left, right) {
        (Val::String(l), Val::String(r)) => text::concat(&[l, r]).map(Val::string).map_err(Wrong::Fault),
        (Val::Timestamp(l), Val::Duration(r)) | (Val::Duration(l), Val::Timestamp(r)) => {
            time(l.checked_add(*r), Val::Timestamp)
        }
        (Val::Duration(l), Val::Duration(r)) => time(l.checked_add(*r), Val::Duration),
        _ => match (left.items(), right.items()) {
            (Some(l), Some(r)) => {
                let (mut l, r) = (l.map_err(Wrong::Fault)?, r.map_err(Wrong::Fault)?);
                Rc::make_mut(&mut l).extend(r.iter().cloned());
                Ok(Val::List(l))
            }
            _ => Err(Wrong::Types),
        },
    }
}

fn subtract<'a>(left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, Wrong> {
    let (result, make): (_, fn(i64) -> Val<'a>) = match (left, right) {
        (Val::Timestamp(l), Val::Duration(r)) => (l.checked_sub(*r), Val::Timestamp),
        (Val::Timestamp(l), Val::Timestamp(r)) | (Val::Duration(l), Val::Duration(r)) => {
            (l.checked_sub(*r), Val::Duration)
        }
        _ => return Err(Wrong::Types),
    };
    result.map(make).ok_or(Wrong::Overflow)
}

/// `-value`
pub(super) fn negate<'a>(value: &Val<'a>) -> Result<Val<'a>, Wrong> {
    match value {
        Val::Int(i) => i.checked_neg().map(Val::Int).ok_or(Wrong::Overflow),
        Val::Double(d) => Ok(Val::Double(-d)),
        _ => Err(Wrong::Types),
    }
}

/// The order of two values; none when one is NaN.
pub(super) fn order(left: &Val<'_>, right: &Val<'_>) -> Result<Option<Ordering>, Wrong> {
    if let Some(numbers) = order_numbers(left, right) {
        return Ok(numbers.ordering());
    }
    Ok(Some(match (left, right) {
        (Val::String(l), Val::String(r)) => l.cmp(r),
        (Val::Bool(l), Val::Bool(r)) => l.cmp(r),
        (Val::Timestamp(l), Val::Timestamp(r)) | (Val::Duration(l), Val::Duration(r)) => l.cmp(r),
        _ => return Err(Wrong::Types),
    }))
}

/// What two numbers are to each other.
enum Numbers {
    Ordered(Ordering),
    /// One is NaN.
    Unordered,
}

impl Numbers {
    fn ordering(self) -> Option<Ordering> {
        match self {
            Self::Ordered(ordering) => Some(ordering),
            Self::Unordered => None,
        }
    }
}

/// The exact order of two numbers of any kind; none when one is not a number at all.
fn order_numbers(left: &Val<'_>, right: &Val<'_>) -> Option<Numbers> {
    let ordering = match (left, right) {
        (Val::Int(l), Val::Int(r)) => Some(l.cmp(r)),
        (Val::Double(l), Val::Double(r)) => l.partial_cmp(r),
        (Val::Int(l), Val::Double(r)) => order_int_double(*l, *r),
        (Val::Double(l), Val::Int(r)) => order_int_double(*r, *l).map(Ordering::reverse),
        (Val::Decimal(l), Val::Decimal(r)) => Some(decimal::order(l, r)),
        (Val::Decimal(l), Val::Int(r)) => Some(decimal::order(l, &r.to_string())),
        (Val::Int(l), Val::Decimal(r)) => Some(decimal::order(&l.to_string(), r)),
        (Val::Decimal(l), Val::Double(r)) => decimal::order_double(l, *r),
        (Val::Double(l), Val::Decimal(r)) => decimal::order_double(r, *l).map(Ordering::reverse),
        _ => return None,
    };
    Some(ordering.map_or(Numbers::Unordered, Numbers::Ordered))
}

/// The exact order of an integer and a double, where rounding the integer would lie.
pub(super) fn order_int_double(left: i64, right: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if right.is_nan() {
        None
    } else if right >= BEYOND {
        Some(Ordering::Less)
    } else if right < -BEYOND {
        Some(Ordering::Greater)
    } else {
        let whole = right.trunc();
        Some(left.cmp(&(whole as i64)).then_with(|| whole.total_cmp(&right)))
    }
}

/// `left == right`: values of different types are different, numbers are compared as numbers.
pub(super) fn equal(left: &Val<'_>, right: &Val<'_>) -> Result<bool, Fault> {
    equal_nested(left, right, 0)
}

fn equal_nested(left: &Val<'_>, right: &Val<'_>, depth: u32) -> Result<bool, Fault> {
    if depth > MAX_DEPTH {
        return Err(Fault::text(format!("a value is nested deeper than {MAX_DEPTH}")));
    }
    if let Some(numbers) = order_numbers(left, right) {
        return Ok(numbers.ordering() == Some(Ordering::Equal));
    }
    match (left, right) {
        (Val::Null, Val::Null) => return Ok(true),
        (Val::Bool(l), Val::Bool(r)) => return Ok(l == r),
        (Val::String(l), Val::String(r)) => return Ok(l == r),
        (Val::Timestamp(l), Val::Timestamp(r)) | (Val::Duration(l), Val::Duration(r)) => return Ok(l == r),
        (Val::Json(l), Val::Json(r)) if l == r => return Ok(true),
        _ => {}
    }
    if let (Some(l), Some(r)) = (left.items(), right.items()) {
        return equal_items(&l?, &r?, depth);
    }
    match (left.entries(), right.entries()) {
        (Some(l), Some(r)) => equal_entries(&l?, &r?, depth),
        _ => Ok(false),
    }
}

fn equal_items(left: &[Val<'_>], right: &[Val<'_>], depth: u32) -> Result<bool, Fault> {
    if left.len() != right.len() {
        return Ok(false);
    }
    for (l, r) in left.iter().zip(right) {
        if !equal_nested(l, r, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_entries(
    left: &[(Val<'_>, Val<'_>)],
    right: &[(Val<'_>, Val<'_>)],
    depth: u32,
) -> Result<bool, Fault> {
    if left.len() != right.len() {
        return Ok(false);
    }
    let by_name: hashbrown::HashMap<&str, &Val<'_>> =
        right.iter().filter_map(|(k, v)| Some((name(k)?, v))).collect();
    for (key, value) in left {
        let other = match name(key) {
            Some(name) => by_name.get(name).copied(),
            None => find(right, key)?,
        };
        match other {
            Some(other) if equal_nested(value, other, depth + 1)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn name<'v>(key: &'v Val<'_>) -> Option<&'v str> {
    match key {
        Val::String(name) => Some(name),
        _ => None,
    }
}

/// The value of a key in a map that is already open.
fn find<'v, 'a>(entries: &'v [(Val<'a>, Val<'a>)], key: &Val<'_>) -> Result<Option<&'v Val<'a>>, Fault> {
    for (k, v) in entries {
        if equal_nested(k, key, MAX_DEPTH)? {
            return Ok(Some(v));
        }
    }
    Ok(None)
}

/// `container[key]`; none when there is no such item or entry.
pub(super) fn lookup<'a>(container: &Val<'a>, key: &Val<'_>) -> Result<Option<Val<'a>>, Wrong> {
    match (container, key) {
        (Val::Json(text), Val::String(name)) if !json::is_list(text) => {
            json::member(text, name).map_err(Wrong::Fault)
        }
        (Val::Json(text), Val::Int(_) | Val::Double(_)) if json::is_list(text) => {
            position(key).map_or(Ok(None), |at| json::item(text, at).map_err(Wrong::Fault))
        }
        (Val::Json(text), _) if !json::is_list(text) => Ok(None),
        (Val::List(items), Val::Int(_) | Val::Double(_)) => {
            Ok(position(key).and_then(|at| items.get(at).cloned()))
        }
        (Val::Map(entries), _) => find(entries, key).map(Option::<&Val<'_>>::cloned).map_err(Wrong::Fault),
        _ => Err(Wrong::Types),
    }
}

/// An index that can lie in a list: a whole number that is not negative.
fn position(key: &Val<'_>) -> Option<usize> {
    match key {
        Val::Int(i) => usize::try_from(*i).ok(),
        Val::Double(d) if d.fract() == 0.0 && (0.0..1e15).contains(d) => Some(*d as usize),
        _ => None,
    }
}

/// `value in container`: an item of a list, or a key of a map.
pub(super) fn is_in(value: &Val<'_>, container: &Val<'_>) -> Result<bool, Wrong> {
    if let Some(items) = container.items() {
        for item in items.map_err(Wrong::Fault)?.iter() {
            if equal(value, item).map_err(Wrong::Fault)? {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    match container {
        Val::Map(_) | Val::Json(_) => lookup(container, value).map(|found| found.is_some()),
        _ => Err(Wrong::Types),
    }
}
