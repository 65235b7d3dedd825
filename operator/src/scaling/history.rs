//! What was wished, done and measured before. It is kept in memory only: an operator that begins anew knows the number of
//! pods and the time of the last change from the status, and begins its windows with them, so that it removes nothing
//! before it has seen a whole window.

use super::observation::{Observation, Readings};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

/// How long wishes and changes are kept: the longest window and period that a policy may have.
const KEPT: SignedDuration = SignedDuration::from_secs(3_600);
/// How long a measured capacity counts.
const CAPACITY_KEPT: SignedDuration = SignedDuration::from_secs(1_800);
/// How far back growth of the lag is measured.
const GROWTH_OVER: SignedDuration = SignedDuration::from_secs(120);
/// The least time over which growth of the lag is measured.
const GROWTH_OVER_LEAST: SignedDuration = SignedDuration::from_secs(30);
/// Pods are as fast as they can be while what waits would take them longer than this to read.
const SATURATED_SECONDS: f64 = 5.0;
/// Most entries of each kind, whatever the time between two looks.
const ENTRIES_MAX: usize = 1_024;

/// What was wished, done and measured before.
#[derive(Clone, Debug)]
pub struct History {
    /// Pods at the last look.
    replicas: u32,
    /// Pods that the metrics asked for.
    wishes: VecDeque<(Timestamp, u32)>,
    /// Pods that came (positive) or went.
    changes: VecDeque<(Timestamp, i64)>,
    last_change: Option<Timestamp>,
    /// Lag in records since the last change.
    lags: VecDeque<(Timestamp, f64)>,
    /// Records per second of one pod that had as much to do as it could.
    capacities: VecDeque<(Timestamp, f64)>,
    /// How long the output stood still at the last change, in seconds.
    pause_seconds: Option<f64>,
}

impl History {
    /// The history of a pipeline that was not looked at before.
    pub fn begin(now: Timestamp, replicas: u32, last_change: Option<Timestamp>) -> Self {
        Self {
            replicas,
            wishes: VecDeque::from([(now, replicas)]),
            changes: VecDeque::new(),
            last_change,
            lags: VecDeque::new(),
            capacities: VecDeque::new(),
            pause_seconds: None,
        }
    }

    /// A change costs so many seconds without output.
    #[must_use]
    pub fn with_pause(self, seconds: Option<f64>) -> Self {
        Self { pause_seconds: seconds, ..self }
    }

    /// A change has cost so many seconds.
    pub fn paused(&mut self, seconds: f64) {
        self.pause_seconds = Some(seconds);
    }

    /// The number of pods is another one than at the last look, whoever changed it.
    pub fn notice(&mut self, now: Timestamp, replicas: u32) {
        if replicas == self.replicas {
            return;
        }
        self.changes.push_back((now, i64::from(replicas) - i64::from(self.replicas)));
        self.replicas = replicas;
        self.last_change = Some(now);
        // Lag that has grown while nobody read says nothing about the pods.
        self.lags.clear();
    }

    /// Keeps what was seen, and what the metrics asked for if they were known.
    pub fn record(&mut self, now: Timestamp, observation: &Observation, wish: Option<u32>) {
        self.notice(now, observation.replicas);
        self.wishes.extend(wish.map(|wish| (now, wish)));
        let Readings { lag_records, throughput, .. } = observation.readings;
        if let (Some(lag), Some(rate)) = (lag_records, throughput) {
            let saturated = |lag: f64| rate > 0.0 && lag >= rate * SATURATED_SECONDS;
            let before = self.lags.back().is_some_and(|(_, before)| saturated(*before));
            if before && saturated(lag) {
                self.capacities.push_back((now, rate / f64::from(observation.replicas.max(1))));
            }
        }
        self.lags.extend(lag_records.map(|lag| (now, lag)));
        forget(&mut self.wishes, now, KEPT);
        forget(&mut self.changes, now, KEPT);
        forget(&mut self.lags, now, GROWTH_OVER);
        forget(&mut self.capacities, now, CAPACITY_KEPT);
    }

    /// When the number of pods last changed.
    pub fn last_change(&self) -> Option<Timestamp> {
        self.last_change
    }

    /// What the metrics asked for in the last seconds.
    pub fn wishes(&self, now: Timestamp, seconds: i64) -> impl Iterator<Item = u32> + '_ {
        since(&self.wishes, now, seconds).map(|(_, wish)| *wish)
    }

    /// How many more pods there are than so many seconds ago.
    pub fn changed(&self, now: Timestamp, seconds: i64) -> i64 {
        since(&self.changes, now, seconds).map(|(_, change)| change).sum()
    }

    /// By how many records per second the lag grows, with what is measured now.
    pub fn growth(&self, now: Timestamp, lag: f64) -> Option<f64> {
        let (since, first) = self.lags.iter().find(|(at, _)| now.duration_since(*at) <= GROWTH_OVER)?;
        let elapsed = now.duration_since(*since);
        (elapsed >= GROWTH_OVER_LEAST).then(|| (lag - first) / elapsed.as_secs_f64())
    }

    /// The most records per second that one pod was seen to do.
    pub fn capacity(&self) -> Option<f64> {
        self.capacities.iter().map(|(_, capacity)| *capacity).reduce(f64::max)
    }

    /// How long the output stood still at the last change, in seconds.
    pub fn pause_seconds(&self) -> Option<f64> {
        self.pause_seconds
    }
}

fn since<T>(
    entries: &VecDeque<(Timestamp, T)>,
    now: Timestamp,
    seconds: i64,
) -> impl Iterator<Item = &(Timestamp, T)> {
    entries.iter().filter(move |(at, _)| now.duration_since(*at) < SignedDuration::from_secs(seconds))
}

fn forget<T>(entries: &mut VecDeque<(Timestamp, T)>, now: Timestamp, kept: SignedDuration) {
    while entries.len() > ENTRIES_MAX || entries.front().is_some_and(|(at, _)| now.duration_since(*at) > kept)
    {
        entries.pop_front();
    }
}
