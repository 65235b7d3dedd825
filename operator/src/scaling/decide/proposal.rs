//! What each metric asks for.

use super::super::observation::Readings;
use ::pipeline::scaling::{Aim, Goal, Metric};

/// A metric that is this near to its target is on it.
const TOLERANCE: f64 = 0.1;
/// By how much health can at most multiply the pods at once: a sick pipeline is seldom a small one.
const HEALTH_FACTOR_MAX: f64 = 2.0;
/// More pods than any bound allows, so that no value overflows.
const PODS_MAX: f64 = 1_000_000.0;

/// What one metric asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proposal {
    /// Which metric.
    pub metric: Metric,
    /// How many pods.
    pub pods: u32,
    value: f64,
    aim: Aim,
    current: u32,
    /// The metric is on its target, or has no opinion.
    content: bool,
}

/// The proposal for most pods; of equal ones the first that says something. A policy has at least one metric, and all of
/// them are known here.
pub fn largest(goals: &[Goal], readings: &Readings, current: u32) -> Proposal {
    let proposals = goals.iter().map(|goal| propose(*goal, readings.of(goal.metric).unwrap_or(0.0), current));
    // Health that is good has no opinion: it keeps nobody else from removing pods.
    let mild = |proposal: &Proposal| matches!(proposal.aim, Aim::AtLeast(_)) && proposal.content;
    let (silent, outspoken): (Vec<_>, Vec<_>) = proposals.partition(mild);
    let all = if outspoken.is_empty() { silent } else { outspoken };
    let most = |a: Proposal, b: Proposal| if (b.pods, !b.content) > (a.pods, !a.content) { b } else { a };
    let nothing = Proposal {
        metric: Metric::Health,
        pods: current,
        value: 1.0,
        aim: Aim::AtLeast(0.0),
        current,
        content: true,
    };
    all.into_iter().reduce(most).unwrap_or(nothing)
}

fn propose(goal: Goal, value: f64, current: u32) -> Proposal {
    let pods_now = f64::from(current.max(1));
    let (ratio, pods) = match goal.aim {
        Aim::PerPod(target) => (value / (target * pods_now), value / target),
        Aim::Whole(target) => (value / target, pods_now * value / target),
        Aim::AtLeast(target) if value >= target => (1.0, pods_now),
        Aim::AtLeast(target) => {
            let factor = (target / value.max(f64::MIN_POSITIVE)).min(HEALTH_FACTOR_MAX);
            (factor, pods_now * factor)
        }
    };
    let content = (ratio - 1.0).abs() <= TOLERANCE;
    // What floating point adds to a whole number is no pod.
    let wanted = (pods - 1e-9).ceil().clamp(1.0, PODS_MAX) as u32;
    let pods = if content { current } else { wanted };
    Proposal { metric: goal.metric, pods, value, aim: goal.aim, current, content }
}

impl Proposal {
    /// The arithmetic.
    pub fn formula(&self) -> String {
        let (value, target) = (number(self.value), number(self.aim.target()));
        let Self { metric, current, .. } = self;
        let pods = match self.pods {
            1 if self.value <= 0.0 => "0 (1 is the least)".to_owned(),
            pods => pods.to_string(),
        };
        match self.aim {
            Aim::AtLeast(_) if self.content && self.value >= self.aim.target() => {
                format!("{metric} {value} is at least {target}")
            }
            _ if self.content => match self.aim {
                Aim::PerPod(_) => format!("{metric} {value} is within 10 % of {current} × {target}"),
                _ => format!("{metric} {value} is within 10 % of {target}"),
            },
            Aim::PerPod(_) => format!("{metric} {value} / {target} = {pods}"),
            Aim::Whole(_) => format!("{metric} {value} / {target} × {current} = {pods}"),
            Aim::AtLeast(_) => {
                format!(
                    "{metric} {value} below {target}: {current} × {target} / {value} (at most 2 ×) = {pods}"
                )
            }
        }
    }
}

/// A number as people write it: at most two digits behind the point.
pub fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
