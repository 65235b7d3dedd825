//! Savepoints by the clock: when the next one is due. The schedule has the words of those of a ScalingPolicy.

use super::Cron;
use super::check::zone;
use crate::problem::ProblemKind;
use crate::spec::SavepointSchedule;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How many are kept where nothing is said.
const HISTORY_LIMIT: usize = 10;
/// Older times are not looked for: one savepoint makes up for all that were missed.
const MINUTES_MAX: i64 = 31 * 1_440;

/// When savepoints are taken, and how many are kept.
#[derive(Clone, Debug)]
pub struct Clock {
    cron: Cron,
    zone: TimeZone,
    history_limit: usize,
}

impl Clock {
    /// What the spec means; or what is wrong with it, and in which field.
    pub fn build(spec: &SavepointSchedule) -> Result<Self, Vec<(ProblemKind, &'static str, String)>> {
        let mut problems = Vec::new();
        let cron = Cron::parse(&spec.schedule)
            .map_err(|error| problems.push((ProblemKind::BadText, "schedule", error.to_string())));
        let name = spec.time_zone.as_deref().unwrap_or("Etc/UTC");
        let zone = zone(name);
        if zone.is_none() {
            let message =
                format!("unknown time zone `{name}`; write one such as `Europe/Berlin` or `Etc/UTC`");
            problems.push((ProblemKind::UnknownValue, "timeZone", message));
        }
        let limit = spec.history_limit.map_or(Ok(HISTORY_LIMIT), usize::try_from);
        match (cron, zone, limit) {
            (Ok(cron), Some(zone), Ok(history_limit)) => Ok(Self { cron, zone, history_limit }),
            _ => Err(problems),
        }
    }

    /// A time of the schedule has come since the last one that was followed. One of the last minute may be noticed in the
    /// next.
    pub fn is_due(&self, last: Timestamp, now: Timestamp) -> bool {
        let minutes = now.duration_since(last).as_secs() / 60;
        self.cron.began_within(now, minutes.clamp(0, MINUTES_MAX), &self.zone)
    }

    /// How many are kept.
    pub fn history_limit(&self) -> usize {
        self.history_limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn nightly() -> SavepointSchedule {
        let zone = Some("Europe/Berlin".to_owned());
        SavepointSchedule { schedule: "0 2 * * *".to_owned(), time_zone: zone, history_limit: None }
    }

    #[test]
    fn a_time_is_followed_once_and_missed_times_are_one() {
        let clock = Clock::build(&nightly()).expect("valid");
        let due = |last: &str, now: &str| clock.is_due(at(last), at(now));
        assert!(!due("2026-01-05T12:00:00Z", "2026-01-06T00:59:59Z"));
        assert!(due("2026-01-05T12:00:00Z", "2026-01-06T01:00:10Z"), "two o'clock in Berlin");
        assert!(!due("2026-01-06T01:00:10Z", "2026-01-06T01:00:40Z"));
        assert!(!due("2026-01-06T01:00:10Z", "2026-01-06T23:00:00Z"));
        assert!(due("2026-01-06T01:00:50Z", "2026-01-07T01:00:05Z"), "earlier in its minute than before");
        assert!(due("2026-01-01T12:00:00Z", "2026-01-06T12:00:00Z"), "the operator was away");
        assert!(!due("2026-01-06T12:00:00Z", "2026-01-05T12:00:00Z"), "a clock that was put back");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        let wrong = SavepointSchedule {
            schedule: "daily".to_owned(),
            time_zone: Some("Mars".to_owned()),
            ..nightly()
        };
        let problems = Clock::build(&wrong).expect_err("nothing is right");
        let fields: Vec<&str> = problems.iter().map(|(_, field, _)| *field).collect();
        assert_eq!(fields, ["schedule", "timeZone"]);
        assert_eq!(Clock::build(&nightly()).expect("valid").history_limit(), 10);
    }
}
