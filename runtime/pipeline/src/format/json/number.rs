//! Numbers: eight digits at a time, and exact.

use super::scan::{Scan, Text};
use super::{RejectReason, SyntaxError};

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// No fraction, no exponent, fits 64 bits. `-0` is 0.
    Int(i64),
    /// Has a fraction or an exponent; the nearest double.
    Double(f64),
    /// No fraction, no exponent, beyond 64 bits: the text is the value.
    Decimal,
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The number that begins at `start`, and the position behind it.
#[inline(always)]
pub(crate) fn number(text: Text<'_>, start: usize) -> Scan<(usize, Number)> {
    let negative = text.at(start) == b'-';
    let first = start + usize::from(negative);
    let digits = text.word(first) ^ ZEROS;
    let count = digit_count(digits);
    // One to seven digits and something else behind them: most numbers.
    if count != 0 && count != 8 && (count == 1 || digits & 0xFF != 0) {
        let after = (digits >> (8 * count)) as u8 ^ 0x30;
        let end = first + count;
        if !matches!(after, b'.' | b'e' | b'E') && end <= text.end() {
            let value = eight_digits(digits << (64 - 8 * count)) as i64;
            return Ok((end, Number::Int(if negative { -value } else { value })));
        }
    }
    long_number(text, start, first, negative)
}

/// How many of eight bytes (each with `0x30` taken off) are digits, from the first on.
#[inline(always)]
fn digit_count(digits: u64) -> usize {
    let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    (others.trailing_zeros() / 8) as usize
}

/// The number of eight digits, the first one in the lowest byte.
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let high = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let low = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    high.wrapping_add(low) >> 32
}

const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Digits from `p` on: appended to `value` (modulo 2^64, so only right up to 19 digits), and the position behind them.
#[inline(always)]
fn digits(text: Text<'_>, mut p: usize, mut value: u64) -> (u64, usize) {
    loop {
        let word = text.word(p) ^ ZEROS;
        let count = digit_count(word);
        if count == 8 {
            value = value.wrapping_mul(100_000_000).wrapping_add(eight_digits(word));
            p += 8;
        } else {
            if count != 0 {
                let rest = eight_digits(word << (64 - 8 * count));
                value = value.wrapping_mul(POWERS[count]).wrapping_add(rest);
            }
            return (value, p + count);
        }
    }
}

#[inline(never)]
fn long_number(text: Text<'_>, start: usize, first: usize, negative: bool) -> Scan<(usize, Number)> {
    let (integer, end) = digits(text, first, 0);
    if end > text.end() {
        return cut(text, start);
    }
    let count = end - first;
    if count == 0 || (count > 1 && text.at(first) == b'0') {
        return Err(text.unexpected(first, SyntaxError::InvalidNumber));
    }
    if matches!(text.at(end), b'.' | b'e' | b'E') {
        return float(text, start, first, end, integer);
    }
    let int = if count < 19 { Some(integer) } else { exact(text.slice(first, end)) };
    let value = int.and_then(|magnitude| {
        if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
    });
    match value {
        Some(value) => Ok((end, Number::Int(value))),
        None if count > SAFE_DIGITS => in_range(text, start, end).map(|_| (end, Number::Decimal)),
        None => Ok((end, Number::Decimal)),
    }
}

fn exact(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// With so many digits in front of the point and an exponent of so few digits, nothing overflows a double.
const SAFE_DIGITS: usize = 200;
const SAFE_EXPONENT_DIGITS: usize = 2;

/// A number whose digits end at `integer_end`, where a fraction or an exponent begins.
fn float(
    text: Text<'_>,
    start: usize,
    first: usize,
    integer_end: usize,
    integer: u64,
) -> Scan<(usize, Number)> {
    let mut mantissa = integer;
    let mut end = integer_end;
    let mut scale = 0_i64;
    if text.at(end) == b'.' {
        let (with_fraction, fraction_end) = digits(text, end + 1, integer);
        scale = -((fraction_end - end - 1) as i64);
        if scale == 0 {
            return Err(text.unexpected(end + 1, SyntaxError::InvalidNumber));
        }
        mantissa = with_fraction;
        end = fraction_end;
    }
    let digit_count = end - first;
    let mut exponent_digits = 0;
    if matches!(text.at(end), b'e' | b'E') {
        let sign = text.at(end + 1);
        let exponent_first = end + 1 + usize::from(matches!(sign, b'+' | b'-'));
        let (exponent, exponent_end) = digits(text, exponent_first, 0);
        exponent_digits = exponent_end - exponent_first;
        if exponent_digits == 0 {
            return Err(text.unexpected(exponent_first, SyntaxError::InvalidNumber));
        }
        // A longer exponent is not looked at here.
        let exponent = if exponent_digits <= SAFE_EXPONENT_DIGITS { exponent as i64 } else { 0 };
        scale += if sign == b'-' { -exponent } else { exponent };
        end = exponent_end;
    }
    if end > text.end() {
        return cut(text, start);
    }
    // 19 digits with a point are at most 18 and a fraction: they fit 64 bits.
    if digit_count <= 19
        && exponent_digits <= SAFE_EXPONENT_DIGITS
        && let Some(magnitude) = small_double(mantissa, scale)
    {
        let negative = text.at(start) == b'-';
        return Ok((end, Number::Double(if negative { -magnitude } else { magnitude })));
    }
    let value = if integer_end - first <= SAFE_DIGITS && exponent_digits <= SAFE_EXPONENT_DIGITS {
        parse(text.slice(start, end)).ok_or(RejectReason::syntax(start, SyntaxError::InvalidNumber))?
    } else {
        in_range(text, start, end)?
    };
    Ok((end, Number::Double(value)))
}

/// `mantissa * 10^scale` when one rounding gives it: both factors are exact doubles then.
fn small_double(mantissa: u64, scale: i64) -> Option<f64> {
    const EXACT: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
        1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    if mantissa > 1 << 53 {
        return None;
    }
    let power = *EXACT.get(scale.unsigned_abs() as usize)?;
    Some(if scale < 0 { mantissa as f64 / power } else { mantissa as f64 * power })
}

fn parse(number: &[u8]) -> Option<f64> {
    std::str::from_utf8(number).ok()?.parse().ok()
}

/// The value of a number that may overflow. Where the limit is, `serde_json` decides.
#[cold]
fn in_range(text: Text<'_>, start: usize, end: usize) -> Scan<f64> {
    let number = text.slice(start, end);
    match (serde_json::from_slice::<f64>(number), parse(number)) {
        (Ok(_), Some(value)) if value.is_finite() => Ok(value),
        (Ok(value), _) => Ok(value),
        (Err(_), _) => Err(RejectReason::NumberOutOfRange { at: start as u32 }),
    }
}

/// The digits ran over the end of the text into the next record: the same again without what follows.
#[cold]
fn cut(text: Text<'_>, start: usize) -> Scan<(usize, Number)> {
    let alone = text.slice(start, text.end());
    let (len, value) = number(Text::new(alone, alone.len()), 0)
        .map_err(|reason| reason.map_position(|at| at + start as u32))?;
    Ok((start + len, value))
}
