//! The arithmetic of lag and rate. Pure; what is not known is none, never zero.

use std::collections::VecDeque;

/// How long the rate looks back, in milliseconds.
const RATE_OVER_MS: u64 = 30_000;
/// Between two samples of the rate, in milliseconds: the window holds at most 31 of them.
const SAMPLE_EVERY_MS: u64 = 1_000;

/// How far the reading of one partition of a source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The reader has passed everything below this offset, markers of transactions included.
    pub passed: i64,
    /// Timestamp of the newest record that was processed in this life.
    pub newest_ms: Option<i64>,
    /// When its lag was last seen to be 0, on the wall clock.
    pub caught_up_ms: Option<i64>,
}

/// What is not processed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Records, open transactions of producers and markers between records included: the high watermark counts them.
    pub records: u64,
    /// Estimated timestamp of the oldest of them; none when there is none, or when nothing is known of it.
    pub oldest_ms: Option<i64>,
}

/// What is not processed yet, over partitions and their high watermarks.
///
/// The log is not read ahead, so the age of the oldest record is estimated, from the partition with most records: its
/// oldest one is not older than the newest that was processed before it, nor than the moment at which nothing was left.
pub fn behind<'a>(readings: impl IntoIterator<Item = (&'a Reading, i64)>) -> Behind {
    let lags = readings.into_iter().map(|(reading, high)| (lag(reading, high), reading));
    let (mut records, mut worst) = (0, None::<(u64, &Reading)>);
    for (lag, reading) in lags.filter(|(lag, _)| *lag > 0) {
        records += lag;
        if worst.is_none_or(|(most, _)| lag > most) {
            worst = Some((lag, reading));
        }
    }
    Behind { records, oldest_ms: worst.and_then(|(_, reading)| reading.newest_ms.max(reading.caught_up_ms)) }
}

/// Records of one partition.
pub fn lag(reading: &Reading, high: i64) -> u64 {
    high.saturating_sub(reading.passed).max(0) as u64
}

/// Records per second over the last 30 seconds. It goes on through the lives of a worker.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    /// Time on the monotonic clock and the count at it, oldest first.
    samples: VecDeque<(u64, u64)>,
}

impl Rate {
    /// The count is `total` now. Called as often as one likes.
    pub fn sample(&mut self, now_ms: u64, total: u64) {
        if self.samples.back().is_some_and(|(at, _)| now_ms < at + SAMPLE_EVERY_MS) {
            return;
        }
        self.samples.push_back((now_ms, total));
        // One sample that is old enough stays: the window begins at it.
        while self.samples.get(1).is_some_and(|(at, _)| at + RATE_OVER_MS <= now_ms) {
            self.samples.pop_front();
        }
    }

    /// The rate; none before 30 seconds are over.
    pub fn per_second(&self) -> Option<f64> {
        let ((first_ms, first), (last_ms, last)) = (*self.samples.front()?, *self.samples.back()?);
        let elapsed_ms = last_ms.saturating_sub(first_ms);
        (elapsed_ms >= RATE_OVER_MS).then(|| last.saturating_sub(first) as f64 * 1_000.0 / elapsed_ms as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(passed: i64, newest_ms: Option<i64>, caught_up_ms: Option<i64>) -> Reading {
        Reading { passed, newest_ms, caught_up_ms }
    }

    #[test]
    fn lag_is_the_sum_over_partitions_and_age_comes_from_the_laggiest() {
        let fast = at(90, Some(5_000), Some(4_000));
        let slow = at(10, Some(1_000), None);
        let done = at(50, Some(9_000), Some(9_500));
        assert_eq!(
            behind([(&fast, 100), (&slow, 60), (&done, 50)]),
            Behind { records: 60, oldest_ms: Some(1_000) }
        );
        assert_eq!(behind([(&done, 50)]), Behind { records: 0, oldest_ms: None });
        assert_eq!(behind([]), Behind { records: 0, oldest_ms: None });
    }

    #[test]
    fn a_partition_that_was_empty_for_hours_is_not_hours_behind() {
        let waked = at(10, Some(1_000), Some(7_200_000));
        assert_eq!(behind([(&waked, 11)]).oldest_ms, Some(7_200_000));
    }

    #[test]
    fn the_age_of_records_of_which_nothing_was_seen_is_unknown() {
        assert_eq!(behind([(&at(0, None, None), 7)]), Behind { records: 7, oldest_ms: None });
    }

    #[test]
    fn an_end_that_is_older_than_the_reader_is_no_lag() {
        assert_eq!(lag(&at(10, None, None), 7), 0);
    }

    #[test]
    fn the_rate_is_unknown_until_thirty_seconds_are_over() {
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(), None);
        for second in 0..30 {
            rate.sample(second * 1_000, second * 50);
            assert_eq!(rate.per_second(), None, "after {second} s");
        }
        rate.sample(30_000, 1_500);
        assert_eq!(rate.per_second(), Some(50.0));
    }

    #[test]
    fn the_rate_forgets_what_is_older_and_holds_a_bounded_number_of_samples() {
        let mut rate = Rate::default();
        for tick in 0..4_000_u64 {
            // A hundred records per second for a minute, then none.
            rate.sample(tick * 250, (tick * 25).min(6_000));
            assert!(rate.samples.len() <= 32, "{}", rate.samples.len());
        }
        assert_eq!(rate.per_second(), Some(0.0));
    }

    #[test]
    fn a_long_pause_between_samples_does_not_hide_what_was_done_in_it() {
        let mut rate = Rate::default();
        rate.sample(0, 0);
        rate.sample(60_000, 600);
        assert_eq!(rate.per_second(), Some(10.0));
    }
}
