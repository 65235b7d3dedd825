//! A comparison of a number with a constant as two ranges, one for ints and one for doubles.
//!
//! `x < 7` is `x` in `MIN..=6` for an int and in `-inf..=6.999…` for a double: one loop serves all comparisons, exactly,
//! also where an int and a double of more than 53 bits meet.

use crate::expression::operate::order_int_double;
use crate::expression::program::Order;
use std::cmp::Ordering;

/// The numbers for which a comparison holds. An empty range has its ends crossed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    /// Least and greatest int.
    pub int: (i64, i64),
    /// Least and greatest double; NaN is in no range.
    pub double: (f64, f64),
}

const NO_INT: (i64, i64) = (i64::MAX, i64::MIN);
const NO_DOUBLE: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

impl Bounds {
    /// True for an int that the comparison holds for.
    #[inline]
    pub fn has_int(&self, int: i64) -> bool {
        self.int.0 <= int && int <= self.int.1
    }

    /// True for a double that the comparison holds for.
    #[inline]
    pub fn has_double(&self, double: f64) -> bool {
        self.double.0 <= double && double <= self.double.1
    }

    /// `x op constant`
    pub fn order_int(op: Order, constant: i64) -> Self {
        let int = match op {
            Order::Less => constant.checked_sub(1).map_or(NO_INT, |hi| (i64::MIN, hi)),
            Order::LessOrEqual => (i64::MIN, constant),
            Order::Greater => constant.checked_add(1).map_or(NO_INT, |lo| (lo, i64::MAX)),
            Order::GreaterOrEqual => (constant, i64::MAX),
        };
        Self { int, double: doubles(op, constant as f64, order_int_double(constant, constant as f64)) }
    }

    /// `x op constant`
    pub fn order_double(op: Order, constant: f64) -> Self {
        if constant.is_nan() {
            return Self { int: NO_INT, double: NO_DOUBLE };
        }
        Self { int: ints(op, constant), double: doubles(op, constant, Some(Ordering::Equal)) }
    }

    /// `x == constant`
    pub fn equal_int(constant: i64) -> Self {
        let near = constant as f64;
        let exact = order_int_double(constant, near) == Some(Ordering::Equal);
        Self { int: (constant, constant), double: if exact { (near, near) } else { NO_DOUBLE } }
    }

    /// `x == constant`
    pub fn equal_double(constant: f64) -> Self {
        let near = constant as i64;
        let exact = order_int_double(near, constant) == Some(Ordering::Equal);
        let double = if constant.is_nan() { NO_DOUBLE } else { (constant, constant) };
        Self { int: if exact { (near, near) } else { NO_INT }, double }
    }
}

/// The doubles `x` with `x op c`, where `near` is the double next to `c` and `c_to_near` the order of those two.
fn doubles(op: Order, near: f64, c_to_near: Option<Ordering>) -> (f64, f64) {
    // Between `c` and `near` lies no other double, so that a `near` beside `c` is either in or out as a whole.
    let below = if c_to_near == Some(Ordering::Greater) { near } else { near.next_down() };
    let up_to = if c_to_near == Some(Ordering::Less) { near.next_down() } else { near };
    let above = if c_to_near == Some(Ordering::Less) { near } else { near.next_up() };
    let from = if c_to_near == Some(Ordering::Greater) { near.next_up() } else { near };
    match op {
        Order::Less if near == f64::NEG_INFINITY => NO_DOUBLE,
        Order::Greater if near == f64::INFINITY => NO_DOUBLE,
        Order::Less => (f64::NEG_INFINITY, below),
        Order::LessOrEqual => (f64::NEG_INFINITY, up_to),
        Order::Greater => (above, f64::INFINITY),
        Order::GreaterOrEqual => (from, f64::INFINITY),
    }
}

/// The ints `x` with `x op c`.
fn ints(op: Order, c: f64) -> (i64, i64) {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let upper = matches!(op, Order::Less | Order::LessOrEqual);
    if c >= BEYOND {
        return if upper { (i64::MIN, i64::MAX) } else { NO_INT };
    }
    if c < -BEYOND {
        return if upper { NO_INT } else { (i64::MIN, i64::MAX) };
    }
    let (floor, ceil) = (c.floor() as i64, c.ceil() as i64);
    match op {
        Order::Less => ceil.checked_sub(1).map_or(NO_INT, |hi| (i64::MIN, hi)),
        Order::LessOrEqual => (i64::MIN, floor),
        Order::Greater => floor.checked_add(1).map_or(NO_INT, |lo| (lo, i64::MAX)),
        Order::GreaterOrEqual => (ceil, i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::operate;
    use crate::expression::value::Val;
    use proptest::prelude::*;

    fn ints() -> impl Strategy<Value = i64> {
        let edges = [0, 1, -1, i64::MAX, i64::MIN, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, i64::MAX - 1];
        prop_oneof![any::<i64>(), -3_i64..3, proptest::sample::select(edges.to_vec())]
    }

    fn floats() -> impl Strategy<Value = f64> {
        let edges = [
            0.0,
            -0.0,
            0.5,
            f64::INFINITY,
            f64::NEG_INFINITY,
            9.223_372_036_854_776e18,
            9_007_199_254_740_992.0,
        ];
        prop_oneof![
            any::<f64>(),
            -3.0..3.0,
            proptest::sample::select(edges.to_vec()),
            ints().prop_map(|i| i as f64)
        ]
    }

    proptest! {
        #[test]
        fn ranges_agree_with_the_operators(i in ints(), j in ints(), x in floats(), y in floats(), op in 0..4) {
            let op = [Order::Less, Order::LessOrEqual, Order::Greater, Order::GreaterOrEqual][op as usize];
            let holds = |l: Val<'_>, r: Val<'_>| op.holds(operate::order(&l, &r).unwrap());
            prop_assert_eq!(Bounds::order_int(op, j).has_int(i), holds(Val::Int(i), Val::Int(j)));
            prop_assert_eq!(Bounds::order_int(op, j).has_double(x), holds(Val::Double(x), Val::Int(j)));
            prop_assert_eq!(Bounds::order_double(op, y).has_int(i), holds(Val::Int(i), Val::Double(y)));
            prop_assert_eq!(Bounds::order_double(op, y).has_double(x), holds(Val::Double(x), Val::Double(y)));
            let equal = |l: Val<'_>, r: Val<'_>| operate::equal(&l, &r).unwrap();
            prop_assert_eq!(Bounds::equal_int(j).has_int(i), equal(Val::Int(i), Val::Int(j)));
            prop_assert_eq!(Bounds::equal_int(j).has_double(x), equal(Val::Double(x), Val::Int(j)));
            prop_assert_eq!(Bounds::equal_double(y).has_int(i), equal(Val::Int(i), Val::Double(y)));
            prop_assert_eq!(Bounds::equal_double(y).has_double(x), equal(Val::Double(x), Val::Double(y)));
        }
    }
}
