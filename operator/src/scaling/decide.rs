//! How many pods there should be. Pure: no clock, no memory of its own, no I/O.
//!
//! ```text
//!  each metric proposes ─> the largest ─> stabilisation ─> bounds, partitions ─┬─ up:   hot partition, steps, rounding, cost ─┬─> cooldown
//!                                                                              └─ down: present rate, steps, rounding ────────┘
//! ```
//!
//! Windows, steps and tolerance are those of the HorizontalPodAutoscaler. Bounds hold at once; everything else leaves the
//! number of pods as it is when it forbids a change, and says so: the last that had a say is the limit.

mod course;
mod proposal;

pub use proposal::number;

use super::history::History;
use super::observation::Observation;
use ::pipeline::scaling::{Metric, Policy};
use course::Course;
use jiff::Timestamp;

/// A decision, with everything that is needed to understand it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Pods that there are.
    pub current: u32,
    /// Pods that there should be.
    pub desired: u32,
    /// What the metrics alone ask for; none when they are not known or nobody asked.
    pub wish: Option<u32>,
    /// What kept the metrics from having their will.
    pub limited_by: Option<Limit>,
    /// What was measured, in the order of the policy.
    pub inputs: Vec<Input>,
    /// The arithmetic of the metric that asked for most.
    pub formula: String,
    /// The arithmetic and what limited it, in words.
    pub reason: String,
    /// The bounds that held.
    pub bounds: (u32, u32),
}

/// A metric that went into a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// Which metric.
    pub metric: Metric,
    /// Its value; none when it is not known.
    pub value: Option<f64>,
    /// What it should be.
    pub target: f64,
}

/// What keeps the metrics from having their will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// The policy is suspended.
    Suspended,
    /// A metric is not known.
    MetricsUnavailable,
    /// Fewer pods are not allowed.
    MinReplicas,
    /// More pods are not allowed.
    MaxReplicas,
    /// More pods than partitions would be idle.
    PartitionCount,
    /// Further pods would take no work from the busiest one.
    UnitsPerWorker,
    /// It was not asked for long enough.
    Stabilization,
    /// The policies of `scaleUp` allow no larger step.
    ScaleUpPolicy,
    /// The policies of `scaleDown` allow no larger step.
    ScaleDownPolicy,
    /// The last change was too short a time ago.
    Cooldown,
    /// Fewer pods would not keep up with the present rate.
    PresentRate,
    /// The lag is in one partition, which one worker has to read alone.
    HotPartition,
    /// The pause of the change costs more than it gains.
    Cost,
}

impl Limit {
    /// The word in the status and in the output of the simulator.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "Suspended",
            Self::MetricsUnavailable => "MetricsUnavailable",
            Self::MinReplicas => "MinReplicas",
            Self::MaxReplicas => "MaxReplicas",
            Self::PartitionCount => "PartitionCount",
            Self::UnitsPerWorker => "UnitsPerWorker",
            Self::Stabilization => "Stabilization",
            Self::ScaleUpPolicy => "ScaleUpPolicy",
            Self::ScaleDownPolicy => "ScaleDownPolicy",
            Self::Cooldown => "Cooldown",
            Self::PresentRate => "PresentRate",
            Self::HotPartition => "HotPartition",
            Self::Cost => "Cost",
        }
    }
}

/// Decides how many pods there should be.
pub fn decide(policy: &Policy, history: &History, observation: &Observation, now: Timestamp) -> Decision {
    let (bounds, schedule) = policy.bounds_at(now);
    let goals = policy.goals().iter();
    let inputs: Vec<Input> = goals
        .map(|goal| Input {
            metric: goal.metric,
            value: observation.readings.of(goal.metric).filter(|value| value.is_finite()),
            target: goal.aim.target(),
        })
        .collect();
    let hold = |limit, reason: String| Decision {
        current: observation.replicas,
        desired: observation.replicas,
        wish: None,
        limited_by: Some(limit),
        inputs: inputs.clone(),
        formula: String::new(),
        reason,
        bounds: (bounds.min, bounds.max),
    };
    if policy.is_suspended() {
        return hold(Limit::Suspended, "the policy is suspended".to_owned());
    }
    let unknown: Vec<&str> =
        inputs.iter().filter(|input| input.value.is_none()).map(|input| input.metric.as_str()).collect();
    if !unknown.is_empty() {
        let verb = if unknown.len() == 1 { "is" } else { "are" };
        return hold(Limit::MetricsUnavailable, format!("{} {verb} not known", unknown.join(" and ")));
    }
    let largest = proposal::largest(policy.goals(), &observation.readings, observation.replicas);
    let mut course = Course::new(observation, history, now, largest);
    course.stabilise(policy);
    course.bound(bounds, schedule);
    course.go(policy);
    let (desired, limited_by, reason) = course.end();
    Decision {
        current: observation.replicas,
        desired,
        wish: Some(largest.pods),
        limited_by,
        inputs,
        formula: largest.formula(),
        reason,
        bounds: (bounds.min, bounds.max),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
