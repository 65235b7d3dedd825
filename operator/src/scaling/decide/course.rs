//! The way from what the metrics ask for to what is done: each step may take something back, and says so.

use super::super::history::History;
use super::super::observation::{Observation, Placement};
use super::Limit;
use super::proposal::{Proposal, number};
use ::pipeline::scaling::{Amount, Bounds, Metric, Policy, Rules, Select, Step};
use jiff::{SignedDuration, Timestamp};

/// A decision in the making.
pub struct Course<'a> {
    observation: &'a Observation,
    history: &'a History,
    now: Timestamp,
    proposal: Proposal,
    /// What is asked for by now.
    count: u32,
    /// What the bounds alone make of the present count: where a forbidden change ends.
    base: u32,
    /// Fewest pods that the bounds allow.
    least: u32,
    limit: Option<Limit>,
    words: Vec<String>,
}

impl<'a> Course<'a> {
    pub fn new(
        observation: &'a Observation,
        history: &'a History,
        now: Timestamp,
        proposal: Proposal,
    ) -> Self {
        Self {
            observation,
            history,
            now,
            proposal,
            count: proposal.pods,
            base: observation.replicas,
            least: 1,
            limit: None,
            words: vec![proposal.formula()],
        }
    }

    /// Of what was asked for in the window of each direction the change counts that is least.
    pub fn stabilise(&mut self, policy: &Policy) {
        let current = self.observation.replicas;
        let wished = |seconds| self.history.wishes(self.now, seconds).chain([self.count]);
        let (up, down) = (policy.up().stabilization_seconds, policy.down().stabilization_seconds);
        let least = wished(up).min().unwrap_or(self.count);
        let most = wished(down).max().unwrap_or(self.count);
        let stable = current.max(least).min(most);
        if stable != self.count {
            let seconds = if self.count > current { up } else { down };
            self.limit(stable, Limit::Stabilization, format!("{stable} over the last {seconds} s"));
        }
    }

    /// Bounds of the policy hold at once; more pods than partitions are never asked for.
    pub fn bound(&mut self, bounds: Bounds, schedule: Option<&str>) {
        let of = schedule.map(|name| format!(" of schedule {name}")).unwrap_or_default();
        let useful = self.observation.placement.most_useful();
        let most = useful.map_or(bounds.max, |useful| useful.min(bounds.max));
        self.least = bounds.min.min(most);
        self.base = self.observation.replicas.clamp(self.least, bounds.max.max(self.least));
        if self.count > most {
            if most < bounds.max {
                self.limit(most, Limit::PartitionCount, format!("more than {most} would be idle"));
            } else {
                self.limit(most, Limit::MaxReplicas, format!("at most {most} (maxReplicas{of})"));
            }
        } else if self.count < self.least {
            self.limit(self.least, Limit::MinReplicas, format!("at least {} (minReplicas{of})", self.least));
        }
    }

    /// Goes as far up or down as the rules of the direction allow.
    pub fn go(&mut self, policy: &Policy) {
        if self.count > self.base {
            self.go_up(policy.up());
        } else if self.count < self.base {
            self.go_down(policy.down());
        }
    }

    /// Pods, what limited them, and why.
    pub fn end(self) -> (u32, Option<Limit>, String) {
        (self.count, self.limit, self.words.join("; "))
    }

    fn limit(&mut self, count: u32, limit: Limit, words: String) {
        self.count = count;
        self.limit = Some(limit);
        self.words.push(words);
    }

    fn stay(&mut self, limit: Limit, words: String) {
        self.limit(self.base, limit, words);
    }

    fn go_up(&mut self, rules: &Rules) {
        if let Some(hot) = self.observation.hot.as_ref().filter(|_| self.is_about_lag()) {
            let words = format!(
                "nearly all of the lag ({} records) is in partition {} of topic {} and more pods would not read it faster",
                hot.records, hot.partition, hot.topic
            );
            return self.stay(Limit::HotPartition, words);
        }
        if rules.select == Select::Disabled {
            return self.stay(Limit::ScaleUpPolicy, "scaleUp is disabled".to_owned());
        }
        self.step_up(rules);
        self.round_down();
        if self.count > self.base {
            self.weigh();
        }
        if self.count > self.base {
            self.cool_down(rules.cooldown_seconds);
        }
    }

    fn go_down(&mut self, rules: &Rules) {
        if rules.select == Select::Disabled {
            return self.stay(Limit::ScaleDownPolicy, "scaleDown is disabled".to_owned());
        }
        let mut least = self.least;
        if let Some((needed, words)) = self.needed_by_present_rate() {
            least = least.max(needed.min(self.base));
            if least > self.count {
                self.limit(least, Limit::PresentRate, words);
            }
        }
        let allowed = allowed(rules, |step| down_to(step, self.base, self.changed(step)), u32::max, u32::min);
        if let Some(allowed) = allowed.map(|allowed| allowed.min(self.base)) {
            least = least.max(allowed);
            if least > self.count {
                self.limit(least, Limit::ScaleDownPolicy, format!("down to {least} at once"));
            }
        }
        let rounded = self.placement().rounded_down(self.count, least.min(self.count));
        if rounded < self.count {
            let words = format!("{rounded} leave the busiest pod as much as {}", self.count);
            self.limit(rounded, Limit::UnitsPerWorker, words);
        }
        if self.count < self.base {
            self.cool_down(rules.cooldown_seconds);
        }
    }

    fn placement(&self) -> &'a Placement {
        &self.observation.placement
    }

    /// Pods that came in the period of a step, less those that went.
    fn changed(&self, step: &Step) -> i64 {
        self.history.changed(self.now, step.period_seconds)
    }

    fn step_up(&mut self, rules: &Rules) {
        let allowed = allowed(rules, |step| up_to(step, self.base, self.changed(step)), u32::min, u32::max);
        let Some(allowed) = allowed.map(|allowed| allowed.max(self.base)) else { return };
        if allowed >= self.count {
            return;
        }
        // A step that takes no work from the busiest pod is a pause for nothing: the next one that does is taken.
        let idle = self.placement().rounded_down(allowed, self.base) == self.base && allowed > self.base;
        let further = if idle { self.placement().next_useful(self.base, self.count) } else { None };
        let count = further.unwrap_or(allowed);
        self.limit(count, Limit::ScaleUpPolicy, format!("up to {count} at once"));
    }

    fn round_down(&mut self) {
        let rounded = self.placement().rounded_down(self.count, self.base);
        if rounded < self.count {
            let words = format!("{} would leave the busiest pod as much as {rounded}", self.count);
            self.limit(rounded, Limit::UnitsPerWorker, words);
        }
    }

    fn cool_down(&mut self, seconds: i64) {
        let Some(last) = self.history.last_change() else { return };
        let elapsed = self.now.duration_since(last);
        if elapsed < SignedDuration::from_secs(seconds) {
            let left = seconds - elapsed.as_secs();
            self.stay(Limit::Cooldown, format!("{} in {left} s", self.count));
        }
    }

    fn is_about_lag(&self) -> bool {
        matches!(self.proposal.metric, Metric::ConsumerLag | Metric::LagSeconds)
    }

    /// Records per second that come in: those that are read, and those by which the lag grows.
    fn incoming(&self) -> Option<f64> {
        let rate = self.observation.readings.throughput?;
        let growth = self.observation.readings.lag_records.and_then(|lag| self.history.growth(self.now, lag));
        Some(rate + growth.unwrap_or(0.0).max(0.0))
    }

    fn needed_by_present_rate(&self) -> Option<(u32, String)> {
        let (incoming, capacity) = (self.incoming()?, self.history.capacity()?);
        let needed = (incoming / capacity - 1e-9).ceil().max(1.0) as u32;
        let words =
            format!("{needed} keep up with {} records/s at {} a pod", number(incoming), number(capacity));
        Some((needed, words))
    }

    /// Nothing is gained by pods with which the lag is gone later than without them, because they cost a pause.
    fn weigh(&mut self) {
        if let Some((now, then, pause)) = self.catch_up_seconds().filter(|(now, then, _)| then >= now) {
            let words = format!(
                "caught up in {} s as it is and in {} s with {} after a pause of {} s",
                number(now.ceil()),
                number(then.ceil()),
                self.count,
                number(pause.ceil())
            );
            self.stay(Limit::Cost, words);
        }
    }

    /// In how many seconds the lag is gone: without a change, and with one that costs the pause of the last one. None
    /// when it is not known, or the lag does not shrink by itself.
    fn catch_up_seconds(&self) -> Option<(f64, f64, f64)> {
        if !self.is_about_lag() {
            return None;
        }
        let (lag, rate) = (self.observation.readings.lag_records?, self.observation.readings.throughput?);
        let (pause, capacity) = (self.history.pause_seconds()?, self.history.capacity()?);
        let shrinking = -self.history.growth(self.now, lag)?;
        let incoming = (rate - shrinking).max(0.0);
        let surplus = capacity * f64::from(self.count) - incoming;
        if shrinking <= 0.0 || surplus <= 0.0 {
            return None;
        }
        Some((lag / shrinking, pause + (lag + incoming * pause) / surplus, pause))
    }
}

/// How far the steps of a direction allow to go; none when there are no steps. `least` and `most` choose the smaller and
/// the larger change.
fn allowed(
    rules: &Rules,
    reach: impl Fn(&Step) -> u32,
    least: fn(u32, u32) -> u32,
    most: fn(u32, u32) -> u32,
) -> Option<u32> {
    let choose = if rules.select == Select::Min { least } else { most };
    rules.steps.iter().map(reach).reduce(choose)
}

/// Pods at the beginning of the period of a step.
fn before(current: u32, changed: i64) -> f64 {
    (i64::from(current) - changed).max(0) as f64
}

fn up_to(step: &Step, current: u32, changed: i64) -> u32 {
    let before = before(current, changed);
    match step.amount {
        Amount::Pods(pods) => (before + f64::from(pods)) as u32,
        Amount::Percent(percent) => (before * (1.0 + f64::from(percent) / 100.0)).ceil() as u32,
    }
}

fn down_to(step: &Step, current: u32, changed: i64) -> u32 {
    let before = before(current, changed);
    match step.amount {
        Amount::Pods(pods) => (before - f64::from(pods)).max(0.0) as u32,
        Amount::Percent(percent) => (before * (1.0 - f64::from(percent) / 100.0)).max(0.0) as u32,
    }
}
