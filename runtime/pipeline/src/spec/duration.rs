//! Durations: kept as the text that the user wrote, so that nothing differs between what was applied and what is read
//! back.

use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// A duration such as `100ms`, `30s`, `5m`, `1h30m` or `7d`: whole numbers with units, the largest unit first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(inline)]
pub struct Duration(
    #[schemars(length(min = 2, max = 32), pattern(r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$"))]
    pub String,
);

/// Units with their length in milliseconds, in the order in which they may appear.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not numbers with units.
    #[error(
        "`{0}` is not a duration; write whole numbers with the units d, h, m, s, ms, the largest first, such as `5m` or `1h30m`"
    )]
    Malformed(String),
    /// More than 64 bits of milliseconds.
    #[error("`{0}` is longer than any duration that can be used here")]
    TooLong(String),
}

impl Duration {
    /// The length in milliseconds.
    pub fn milliseconds(&self) -> Result<i64, DurationError> {
        let malformed = || DurationError::Malformed(self.0.clone());
        let too_long = || DurationError::TooLong(self.0.clone());
        let mut rest = self.0.as_str();
        let mut units = UNITS.iter();
        let mut total = 0_i64;
        if rest.is_empty() {
            return Err(malformed());
        }
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, behind) = rest.split_at(digits);
            let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, next) = behind.split_at(letters);
            if number.is_empty() {
                return Err(malformed());
            }
            // The iterator only moves on, so a unit that repeats or comes too late is not found.
            let (_, length) = units.find(|(name, _)| *name == unit).ok_or_else(malformed)?;
            let number: i64 = number.parse().map_err(|_| too_long())?;
            total = number.checked_mul(*length).and_then(|ms| total.checked_add(ms)).ok_or_else(too_long)?;
            rest = next;
        }
        Ok(total)
    }

    /// The shortest text of a length in milliseconds, such as `1h30m`.
    pub fn text(milliseconds: i64) -> String {
        if milliseconds == 0 {
            return "0s".to_owned();
        }
        let mut rest = milliseconds;
        let mut text = String::new();
        for (unit, length) in UNITS {
            if rest / length > 0 {
                let _ = write!(text, "{}{unit}", rest / length);
                rest %= length;
            }
        }
        text
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Duration;

    #[test]
    fn a_duration_is_whole_numbers_with_units_the_largest_first() {
        let good = [
            ("0s", 0),
            ("100ms", 100),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1d2h3m4s5ms", 93_784_005),
        ];
        for (text, want) in good {
            assert_eq!(Duration(text.to_owned()).milliseconds(), Ok(want), "{text}");
        }
        for text in
            ["", "5", "m", "5 m", "5M", "1.5h", "-5m", "30m1h", "5m5m", "5w", "9999999999999999d", "5mm"]
        {
            assert!(Duration(text.to_owned()).milliseconds().is_err(), "{text}");
        }
    }

    #[test]
    fn the_text_of_a_length_reads_back() {
        for ms in [0, 1, 999, 1_000, 61_000, 86_400_000, 93_784_005] {
            assert_eq!(Duration(Duration::text(ms)).milliseconds(), Ok(ms));
        }
    }
}
