//! Sums that do not depend on the order of their terms: integers and doubles are added without any rounding, and the
//! total is rounded once, to the nearest double, ties to even.
//!
//! Three representations, from cheap to complete; a sum moves to the next one when a term does not fit:
//! ```text
//!  Int    i128                 only integers so far
//!  Fixed  i128 × 2^-76         magnitudes below 2^50, nothing finer than 2^-76: prices, latencies, temperatures
//!  Wide   2240 bits × 2^-1074  every finite double, and 2^64 of each
//! ```
//! Which one holds a sum may depend on the order; what it stands for never does.

use crate::state::bytes::{Malformed, Reader, put_varint, put_zigzag128};

/// The unit of a fixed sum is 2^-`FIXED_BITS`.
const FIXED_BITS: i32 = 76;
/// Terms and totals of a fixed sum stay below 2^`FIXED_LIMIT` units, so that one more term cannot overflow an `i128`.
const FIXED_LIMIT: u32 = 126;
/// Limbs of a wide sum: 2098 bits of doubles, 128 for carries, and the sign.
const LIMBS: usize = 35;
/// The unit of a wide sum is 2^-`WIDE_BITS`, the smallest double.
const WIDE_BITS: u32 = 1074;

/// An exact sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Exact {
    /// No term yet.
    #[default]
    Empty,
    /// Only integers so far.
    Int(i128),
    /// At least one double; units of 2^-76.
    Fixed(i128),
    /// At least one double, of any magnitude.
    Wide(Box<Wide>),
}

/// What a sum amounts to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Total {
    /// There was no term.
    None,
    /// All terms were integers; the value may lie outside 64 bits.
    Int(i128),
    /// At least one term was a double; infinite when the exact total is beyond every double.
    Double(f64),
}

impl Exact {
    /// Adds an integer.
    #[inline]
    pub(crate) fn add_int(&mut self, value: i64) {
        match self {
            Exact::Empty => *self = Exact::Int(i128::from(value)),
            // 2^64 terms of 64 bits fit: saturation is out of reach for sums that were ever added up.
            Exact::Int(sum) => *sum = sum.saturating_add(i128::from(value)),
            _ => self.add_int_part(i128::from(value)),
        }
    }

    /// Adds a finite double; an infinite one or a NaN, which JSON cannot say, is passed over.
    #[inline]
    pub(crate) fn add_double(&mut self, value: f64) {
        if let Some(term) = fixed(value) {
            return self.add_fixed(term);
        }
        if value.is_finite() {
            self.widen(|wide| wide.add_double(value));
        }
    }

    /// Adds another sum.
    pub(crate) fn merge(&mut self, other: &Exact) {
        match other {
            Exact::Empty => {}
            Exact::Int(sum) => match self {
                Exact::Empty => *self = Exact::Int(*sum),
                Exact::Int(mine) => *mine = mine.saturating_add(*sum),
                _ => self.add_int_part(*sum),
            },
            Exact::Fixed(sum) => self.add_fixed(*sum),
            Exact::Wide(sum) => self.widen(|wide| wide.add(sum)),
        }
    }

    /// What it amounts to.
    pub(crate) fn total(&self) -> Total {
        match self {
            Exact::Empty => Total::None,
            Exact::Int(sum) => Total::Int(*sum),
            Exact::Fixed(sum) => Total::Double(*sum as f64 * (-f64::from(FIXED_BITS)).exp2()),
            Exact::Wide(sum) => Total::Double(sum.round().to_f64()),
        }
    }

    /// The total divided by a number of values; finite when all terms were, none without values.
    pub(crate) fn mean(&self, count: u64) -> Option<f64> {
        if count == 0 {
            return None;
        }
        let mean = match self {
            Exact::Empty => return None,
            Exact::Int(sum) => *sum as f64 / count as f64,
            Exact::Fixed(sum) => *sum as f64 * (-f64::from(FIXED_BITS)).exp2() / count as f64,
            Exact::Wide(sum) => sum.round().divided_by(count),
        };
        Some(mean)
    }

    /// True when at least one term was a double.
    pub(crate) fn has_double(&self) -> bool {
        matches!(self, Exact::Fixed(_) | Exact::Wide(_))
    }

    /// Heap bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        if matches!(self, Exact::Wide(_)) { size_of::<Wide>() } else { 0 }
    }

    fn add_fixed(&mut self, term: i128) {
        match self {
            Exact::Empty => *self = Exact::Fixed(term),
            Exact::Fixed(sum) if fits_fixed(*sum) && fits_fixed(term) => *sum += term,
            Exact::Int(sum) => {
                let sum = *sum;
                *self = Exact::Fixed(term);
                self.add_int_part(sum);
            }
            _ => self.widen(|wide| wide.add_shifted(term, WIDE_BITS - FIXED_BITS as u32)),
        }
    }

    /// Adds integers to a sum that already has a double.
    fn add_int_part(&mut self, value: i128) {
        if value.unsigned_abs() < 1 << (FIXED_LIMIT - FIXED_BITS as u32) {
            self.add_fixed(value << FIXED_BITS);
        } else {
            self.widen(|wide| wide.add_shifted(value, WIDE_BITS));
        }
    }

    fn widen(&mut self, add: impl FnOnce(&mut Wide)) {
        let mut wide = match std::mem::take(self) {
            Exact::Wide(wide) => wide,
            Exact::Empty => Box::default(),
            Exact::Int(sum) => Box::new(Wide::of(sum, WIDE_BITS)),
            Exact::Fixed(sum) => Box::new(Wide::of(sum, WIDE_BITS - FIXED_BITS as u32)),
        };
        add(&mut wide);
        *self = Exact::Wide(wide);
    }

    /// Appends the sum.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Exact::Empty => out.push(0),
            Exact::Int(sum) => {
                out.push(1);
                put_zigzag128(out, *sum);
            }
            Exact::Fixed(sum) => {
                out.push(2);
                put_zigzag128(out, *sum);
            }
            Exact::Wide(sum) => {
                out.push(3);
                sum.encode(out);
            }
        }
    }

    /// Reads what [`Exact::encode`] wrote.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Exact, Malformed> {
        Ok(match reader.u8("sum")? {
            0 => Exact::Empty,
            1 => Exact::Int(reader.zigzag128("integer sum")?),
            2 => Exact::Fixed(reader.zigzag128("fixed sum")?),
            3 => Exact::Wide(Box::new(Wide::decode(reader)?)),
            _ => return Err(Malformed { what: "sum" }),
        })
    }
}

#[inline]
fn fits_fixed(units: i128) -> bool {
    units.unsigned_abs() < 1 << FIXED_LIMIT
}

/// A double in units of 2^-76, if it is a whole number of them and small enough.
#[inline]
fn fixed(value: f64) -> Option<i128> {
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32;
    if exponent == 0 || exponent == 0x7ff {
        return if value == 0.0 { Some(0) } else { None };
    }
    let mantissa = bits & ((1 << 52) - 1) | 1 << 52;
    let shift = exponent - 1075 + FIXED_BITS;
    let magnitude = if (0..=FIXED_LIMIT as i32 - 53).contains(&shift) {
        i128::from(mantissa) << shift
    } else if (-52..0).contains(&shift) && mantissa.trailing_zeros() as i32 >= -shift {
        i128::from(mantissa >> -shift)
    } else {
        return None;
    };
    Some(if bits >> 63 == 0 { magnitude } else { -magnitude })
}

/// A sum of any finite doubles: a two's complement number of 2240 bits in units of 2^-1074, lowest limb first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    limbs: [u64; LIMBS],
}

impl Default for Wide {
    fn default() -> Self {
        Self { limbs: [0; LIMBS] }
    }
}

/// A magnitude rounded to 53 bits: `mantissa × 2^(exponent - 1074)`.
#[derive(Clone, Copy, Debug)]
struct Rounded {
    negative: bool,
    mantissa: u64,
    exponent: u32,
}

impl Wide {
    fn of(value: i128, shift: u32) -> Self {
        let mut wide = Self::default();
        wide.add_shifted(value, shift);
        wide
    }

    fn add_double(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) =
            if exponent == 0 { (fraction, 0) } else { (fraction | 1 << 52, exponent - 1) };
        let mantissa = i128::from(mantissa);
        self.add_shifted(if bits >> 63 == 0 { mantissa } else { -mantissa }, shift);
    }

    /// Adds `value × 2^shift` units.
    fn add_shifted(&mut self, value: i128, shift: u32) {
        let magnitude = value.unsigned_abs();
        let (first, offset) = ((shift / 64) as usize, shift % 64);
        let low = magnitude << offset;
        let high = if offset == 0 { 0 } else { (magnitude >> (128 - offset)) as u64 };
        let words = [low as u64, (low >> 64) as u64, high];
        let mut carry = false;
        for (at, limb) in self.limbs.iter_mut().enumerate().skip(first) {
            let word = words.get(at - first).copied().unwrap_or(0);
            if at >= first + words.len() && !carry {
                break;
            }
            let (sum, over) = if value < 0 { limb.overflowing_sub(word) } else { limb.overflowing_add(word) };
            let carried = u64::from(carry);
            let (sum, again) =
                if value < 0 { sum.overflowing_sub(carried) } else { sum.overflowing_add(carried) };
            *limb = sum;
            carry = over || again;
        }
    }

    fn add(&mut self, other: &Wide) {
        let mut carry = false;
        for (limb, word) in self.limbs.iter_mut().zip(other.limbs) {
            let (sum, over) = limb.overflowing_add(word);
            let (sum, again) = sum.overflowing_add(u64::from(carry));
            *limb = sum;
            carry = over || again;
        }
    }

    fn is_negative(&self) -> bool {
        self.limbs[LIMBS - 1] >> 63 == 1
    }

    fn magnitude(&self) -> [u64; LIMBS] {
        let mut limbs = self.limbs;
        if self.is_negative() {
            let mut carry = true;
            for limb in &mut limbs {
                let (sum, over) = (!*limb).overflowing_add(u64::from(carry));
                *limb = sum;
                carry = over;
            }
        }
        limbs
    }

    fn round(&self) -> Rounded {
        let limbs = self.magnitude();
        let negative = self.is_negative();
        let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else {
            return Rounded { negative, mantissa: 0, exponent: 0 };
        };
        let highest = top as u32 * 64 + 63 - limbs[top].leading_zeros();
        if highest <= 52 {
            return Rounded { negative, mantissa: limbs[0], exponent: 0 };
        }
        let exponent = highest - 52;
        let mantissa = bits_at(&limbs, exponent);
        let half = bit(&limbs, exponent - 1);
        let beyond = (0..(exponent - 1) / 64).any(|limb| limbs[limb as usize] != 0)
            || limbs[((exponent - 1) / 64) as usize] & ((1 << ((exponent - 1) % 64)) - 1) != 0;
        let up = half && (beyond || mantissa & 1 == 1);
        Rounded { negative, mantissa: mantissa + u64::from(up), exponent }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let fill = if self.is_negative() { u64::MAX } else { 0 };
        let end = self.limbs.iter().rposition(|limb| *limb != fill).map_or(0, |at| at + 1);
        let start = self.limbs[..end].iter().position(|limb| *limb != 0).unwrap_or(end);
        out.push(u8::from(fill != 0));
        out.push(start as u8);
        out.push((end - start) as u8);
        for limb in &self.limbs[start..end] {
            put_varint(out, *limb);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let negative = reader.flag("sign of a wide sum")?;
        let start = usize::from(reader.u8("start of a wide sum")?);
        let end = start + usize::from(reader.u8("length of a wide sum")?);
        if end > LIMBS {
            return Err(Malformed { what: "length of a wide sum" });
        }
        let mut wide = Self::default();
        for limb in &mut wide.limbs[start..end] {
            *limb = reader.varint("limb of a wide sum")?;
        }
        wide.limbs[end..].fill(if negative { u64::MAX } else { 0 });
        Ok(wide)
    }
}

fn bit(limbs: &[u64; LIMBS], at: u32) -> bool {
    limbs[(at / 64) as usize] >> (at % 64) & 1 == 1
}

/// 53 bits from bit `at` upwards.
fn bits_at(limbs: &[u64; LIMBS], at: u32) -> u64 {
    let (limb, offset) = ((at / 64) as usize, at % 64);
    let low = limbs[limb] >> offset;
    let high = if offset == 0 { 0 } else { limbs.get(limb + 1).copied().unwrap_or(0) << (64 - offset) };
    (low | high) & ((1 << 53) - 1)
}

impl Rounded {
    fn to_f64(self) -> f64 {
        // A mantissa that was rounded up to 2^53 carries into the exponent by itself.
        let magnitude = if self.exponent >= 2046 {
            f64::INFINITY
        } else {
            f64::from_bits((u64::from(self.exponent) << 52) + self.mantissa)
        };
        if self.negative && self.mantissa != 0 { -magnitude } else { magnitude }
    }

    /// The quotient without leaving the range of doubles on the way: a mean is never larger than its largest term.
    fn divided_by(self, count: u64) -> f64 {
        let quotient = self.mantissa as f64 / count as f64;
        let exponent = f64::from(self.exponent) - f64::from(WIDE_BITS);
        let (first, second) = if exponent < -1000.0 {
            (-1000.0, exponent + 1000.0)
        } else {
            (exponent.min(970.0), (exponent - 970.0).max(0.0))
        };
        let magnitude = (quotient * first.exp2() * second.exp2()).min(f64::MAX);
        if self.negative && self.mantissa != 0 { -magnitude } else { magnitude }
    }
}

#[cfg(test)]
mod tests;
