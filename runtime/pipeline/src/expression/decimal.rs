//! Numbers as text: exact comparison of numbers that neither `i64` nor `f64` holds.

use std::cmp::Ordering;

/// A number taken apart: its value is `0.d1d2d3… × 10^exponent`, without zeros at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
struct Parts {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Parts {
    /// Takes a JSON number apart.
    fn of(text: &str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let zeros = digits.iter().take_while(|d| **d == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let exponent = Self::exponent(exponent).saturating_add(whole.len() as i64 - zeros as i64);
        let zero = digits.is_empty();
        Self { negative: negative && !zero, digits, exponent: if zero { 0 } else { exponent } }
    }

    /// An exponent; one beyond `i64` is as far away as `i64` goes.
    fn exponent(text: &str) -> i64 {
        text.parse().unwrap_or(if text.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 })
    }

    fn order(&self, other: &Self) -> Ordering {
        let sign = |p: &Self| if p.digits.is_empty() { 0 } else { 1 - 2 * i8::from(p.negative) };
        let by_sign = sign(self).cmp(&sign(other));
        if by_sign.is_ne() || self.digits.is_empty() {
            return by_sign;
        }
        let size = self.exponent.cmp(&other.exponent).then_with(|| self.digits.cmp(&other.digits));
        if self.negative { size.reverse() } else { size }
    }
}

/// The exact order of two numbers as text.
pub(super) fn order(left: &str, right: &str) -> Ordering {
    Parts::of(left).order(&Parts::of(right))
}

/// The exact order of a number as text and a double; none when that is NaN.
pub(super) fn order_double(left: &str, right: f64) -> Option<Ordering> {
    if right.is_nan() {
        return None;
    }
    if right.is_infinite() {
        return Some(if right > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    // A double has at most 1074 binary, and so decimal, places: this text is exact.
    Some(order(left, &format!("{right:.1074}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_exact() {
        let ascending = [
            "-1e999999999999999999999",
            "-9223372036854775809",
            "-1",
            "-0.5",
            "0",
            "1e-999",
            "0.1",
            "1",
            "1.0000000000000000001",
            "9",
            "10",
            "9223372036854775808",
            "9223372036854775808.5",
            "9223372036854775809",
            "1e400",
            "11e400",
        ];
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                assert_eq!(order(left, right), i.cmp(&j), "{left} {right}");
            }
        }
        assert_eq!(order("1.50e1", "15"), Ordering::Equal);
        assert_eq!(order("-0.0e7", "0"), Ordering::Equal);
    }

    #[test]
    fn a_double_is_compared_by_its_exact_value() {
        assert_eq!(order_double("9007199254740993", 9_007_199_254_740_992.0), Some(Ordering::Greater));
        assert_eq!(order_double("0.1", 0.1), Some(Ordering::Less));
        assert_eq!(order_double("1e400", f64::INFINITY), Some(Ordering::Less));
        assert_eq!(order_double("1e400", f64::NAN), None);
    }
}
