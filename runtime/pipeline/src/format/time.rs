//! Points in time as text: RFC 3339, read and written without allocation.

const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since the epoch of an RFC 3339 text such as `2026-01-01T00:05:00.25+02:00`.
///
/// `T` and `Z` may be lower case, and a space may stand for `T`. The offset is required. Digits beyond milliseconds are
/// cut off. A leap second (`:60`) is read as the second before it, so that it is no error and time does not run ahead.
pub fn parse_rfc3339_ms(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b'T' | b't' | b' ', h0, h1, b':', i0, i1, b':', s0, s1] =
        *head
    else {
        return None;
    };
    let year = i64::from(two(y0, y1)?) * 100 + i64::from(two(y2, y3)?);
    let (month, day) = (two(m0, m1)?, two(d0, d1)?);
    let (hour, minute, second) = (two(h0, h1)?, two(i0, i1)?, two(s0, s1)?);
    if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction_ms, rest) = fraction(rest)?;
    let offset_minutes = offset(rest)?;
    let seconds = i64::from(hour * 3600 + minute * 60 + second.min(59)) - offset_minutes * 60;
    Some(days_from_civil(year, month, day) * MS_PER_DAY + seconds * 1000 + fraction_ms)
}

/// Appends milliseconds since the epoch as `2026-01-01T00:05:00Z`, with three decimals when there is a fraction.
///
/// A year beyond 9999 or before 0 is written with a sign and six digits or more, which RFC 3339 does not have.
pub fn write_rfc3339_ms(ms: i64, out: &mut Vec<u8>) {
    let fraction = ms.rem_euclid(1000) as u32;
    write_seconds(ms.div_euclid(1000), out);
    if fraction != 0 {
        out.push(b'.');
        push_digits(u64::from(fraction), 3, out);
    }
    out.push(b'Z');
}

/// Appends nanoseconds since the epoch as `2026-01-01T00:05:00Z`, with three, six or nine decimals when needed.
pub fn write_rfc3339_ns(ns: i64, out: &mut Vec<u8>) {
    let fraction = ns.rem_euclid(1_000_000_000) as u64;
    write_seconds(ns.div_euclid(1_000_000_000), out);
    if fraction != 0 {
        out.push(b'.');
        match fraction {
            f if f % 1_000_000 == 0 => push_digits(f / 1_000_000, 3, out),
            f if f % 1_000 == 0 => push_digits(f / 1_000, 6, out),
            f => push_digits(f, 9, out),
        }
    }
    out.push(b'Z');
}

fn write_seconds(seconds: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let time = seconds.rem_euclid(86_400) as u64;
    if (0..=9999).contains(&year) {
        push_digits(year as u64, 4, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        push_digits(year.unsigned_abs(), 6, out);
    }
    for (separator, value) in
        [(b'-', month), (b'-', day), (b'T', time / 3600), (b':', time / 60 % 60), (b':', time % 60)]
    {
        out.push(separator);
        push_digits(value, 2, out);
    }
}

/// Appends a number with leading zeros.
fn push_digits(value: u64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    let mut rest = value;
    while rest != 0 {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[first.min(digits.len() - width)..]);
}

/// A number of two digits.
#[inline]
fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Milliseconds of an optional fraction, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let ms = (0..3).fold(0, |ms, i| ms * 10 + if i < count { i64::from(digits[i] - b'0') } else { 0 });
    Some((ms, &digits[count..]))
}

/// Minutes east of UTC.
fn offset(text: &[u8]) -> Option<i64> {
    match *text {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two(h0, h1)?, two(m0, m1)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = i64::from(hours * 60 + minutes);
            Some(if sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the epoch to a date of the Gregorian calendar. Years begin in March here, so that the leap day is the last.
fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = i64::from((153 * ((month + 9) % 12) + 2) / 5 + day - 1);
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day since the epoch.
fn civil_from_days(days: i64) -> (i64, u64, u64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as u64, day as u64)
}

#[cfg(test)]
mod tests;
