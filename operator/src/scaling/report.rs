//! What the user sees of a policy. Pure; written only when it is news.

use super::decide::{Decision, Input, Limit, number};
use ::pipeline::scaling::{Aim, Policy};
use crds::condition::condition;
use crds::scaling::{DecisionInput, LastDecision, ScalingPolicyStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Least time between two writes of measurements alone.
const PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// How a policy stands.
#[derive(Clone, Debug)]
pub enum Situation {
    /// It makes no sense.
    Invalid(String),
    /// Other policies have the same target.
    Conflict(Vec<String>),
    /// There is nothing to scale.
    NoTarget,
    /// What there is to scale is suspended.
    TargetSuspended,
    /// The pods are being replaced.
    TargetChanging,
    /// The number of pods was decided about.
    Decided(Box<Decision>),
}

/// What is known besides the situation.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `metadata.generation` of the policy.
    pub generation: i64,
    /// Name of the target.
    pub target: &'a str,
    /// The policy, if it makes sense.
    pub policy: Option<&'a Policy>,
    /// Pods that the target asks for now.
    pub replicas: Option<u32>,
    /// When that last changed.
    pub last_change: Option<Timestamp>,
    /// How long the last change took.
    pub pause_seconds: Option<f64>,
    /// When all this is.
    pub now: Timestamp,
}

/// The status after a look. Equal to `before` when there is no news.
pub fn status(before: &ScalingPolicyStatus, situation: &Situation, facts: &Facts<'_>) -> ScalingPolicyStatus {
    let mut after = before.clone();
    after.observed_generation = facts.generation;
    after.reference = Some(format!("StreamPipeline/{}", facts.target));
    after.conditions = conditions(&before.conditions, situation, facts);
    after.current_replicas = facts.replicas.map(i64::from).or(before.current_replicas);
    after.last_scale_time = facts.last_change.map(whole_second).or_else(|| before.last_scale_time.clone());
    after.last_pause_seconds =
        facts.pause_seconds.map(|seconds| seconds as i64).or(before.last_pause_seconds);
    if let Situation::Decided(decision) = situation {
        let (min, max) = decision.bounds;
        (after.min_replicas, after.max_replicas) = (Some(i64::from(min)), Some(i64::from(max)));
        decided(&mut after, decision, facts);
    }
    if is_news(before, &after, facts.now) { after } else { keep_measurements(before, after) }
}

fn decided(after: &mut ScalingPolicyStatus, decision: &Decision, facts: &Facts<'_>) {
    after.desired_replicas = Some(i64::from(decision.desired));
    after.limited = Some(decision.limited_by.map_or("-", Limit::as_str).to_owned());
    after.targets = facts.policy.map(|policy| targets(policy, decision));
    after.last_decision = Some(LastDecision {
        at: whole_second(facts.now),
        inputs: decision.inputs.iter().map(input).collect(),
        formula: decision.formula.clone(),
        desired: i64::from(decision.desired),
        limited_by: decision.limited_by.map(|limit| limit.as_str().to_owned()),
        reason: decision.reason.clone(),
    });
}

fn input(input: &Input) -> DecisionInput {
    DecisionInput {
        metric: input.metric.as_str().to_owned(),
        value: input.value.map(number),
        target: number(input.target),
    }
}

/// `1240/1k (avg)`: what one pod has of it, and what it should have; or the whole and what that should be.
fn targets(policy: &Policy, decision: &Decision) -> String {
    let pods = f64::from(decision.current.max(1));
    let one = |(goal, input): (&::pipeline::scaling::Goal, &Input)| {
        let average = matches!(goal.aim, Aim::PerPod(_));
        let value = input.value.map(|value| short(if average { value / pods } else { value }));
        let value = value.unwrap_or_else(|| "<unknown>".to_owned());
        let average = if average { " (avg)" } else { "" };
        format!("{value}/{}{average}", short(input.target))
    };
    policy.goals().iter().zip(&decision.inputs).map(one).collect::<Vec<_>>().join(", ")
}

/// `1k` for 1000, `1240` for 1240.
fn short(value: f64) -> String {
    let value = if value >= 100.0 { value.round() } else { value };
    let unit = [(1e9, "G"), (1e6, "M"), (1e3, "k")]
        .into_iter()
        .find(|(factor, _)| value >= *factor && value % factor == 0.0);
    unit.map_or_else(|| number(value), |(factor, unit)| format!("{}{unit}", number(value / factor)))
}

/// Times are stored in whole seconds: what is left of them would be news at every look.
fn whole_second(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// AbleToScale, ScalingActive, ScalingLimited, and Stalled while it holds. Their messages hold no measurement: those are
/// in the last decision.
fn conditions(before: &[Condition], situation: &Situation, facts: &Facts<'_>) -> Vec<Condition> {
    let now = whole_second(facts.now);
    let make = |kind: &str, holds: Option<bool>, reason: &str, message: &str| {
        condition(before, kind, holds, (reason, message), facts.generation, &now)
    };
    let both = |reason: &str, message: &str| {
        vec![
            make("AbleToScale", Some(false), reason, message),
            make("ScalingActive", Some(false), reason, message),
        ]
    };
    match situation {
        Situation::Invalid(message) => {
            let mut all = both("ConfigInvalid", message);
            all.push(make("Stalled", Some(true), "ConfigInvalid", message));
            all
        }
        Situation::Conflict(others) => {
            let others = others.join(", ");
            let message = format!(
                "StreamPipeline {} is scaled by {others} too; none of them scales it until one is left",
                facts.target
            );
            both("ConflictingPolicies", &message)
        }
        Situation::NoTarget => both(
            "TargetNotFound",
            &format!("StreamPipeline {} was not found in this namespace, or cannot be read", facts.target),
        ),
        Situation::TargetSuspended => both(
            "TargetSuspended",
            &format!("StreamPipeline {} is suspended; it is left alone", facts.target),
        ),
        Situation::TargetChanging => vec![
            make("AbleToScale", Some(false), "TargetChanging", "the pods of the pipeline are being replaced"),
            make("ScalingActive", None, "TargetChanging", "the pods of the pipeline are being replaced"),
        ],
        Situation::Decided(decision) => {
            let (active, reason, message) = activity(decision);
            let (limited, limit) = match decision.limited_by {
                Some(limit) => (true, limit.as_str()),
                None => (false, "DesiredWithinRange"),
            };
            let words =
                if limited { "see status.lastDecision.reason" } else { "the metrics have their will" };
            vec![
                make("AbleToScale", Some(true), "ReadyForNewScale", "the number of pods can be changed"),
                make("ScalingActive", Some(active), reason, &message),
                make("ScalingLimited", Some(limited), limit, words),
            ]
        }
    }
}

fn activity(decision: &Decision) -> (bool, &'static str, String) {
    match decision.limited_by {
        Some(Limit::Suspended) => (false, "Suspended", "spec.suspend is true".to_owned()),
        Some(Limit::MetricsUnavailable) => {
            let message = format!("{}; nothing is scaled until every pod says it", decision.reason);
            (false, "MetricsUnavailable", message)
        }
        _ => (true, "ValidMetricFound", "every metric is known".to_owned()),
    }
}

/// What changes seldom is news at once; measurements, and what was decided by them without being done, at most every 30
/// seconds and only when they moved.
fn is_news(before: &ScalingPolicyStatus, after: &ScalingPolicyStatus, now: Timestamp) -> bool {
    let kept = keep_measurements(before, after.clone());
    if kept != *before {
        return true;
    }
    let Some(last) = &before.last_decision else { return after.last_decision.is_some() };
    let Some(new) = &after.last_decision else { return false };
    let due = now.duration_since(last.at.0) >= PAUSE;
    due && (last.limited_by != new.limited_by
        || last.desired != new.desired
        || moved(&last.inputs, &new.inputs))
}

/// The status with the measurements that it had before.
fn keep_measurements(before: &ScalingPolicyStatus, mut after: ScalingPolicyStatus) -> ScalingPolicyStatus {
    let limited = |condition: &Condition| condition.type_ == "ScalingLimited";
    if let Some(old) = before.conditions.iter().find(|condition| limited(condition)) {
        after.conditions.iter_mut().filter(|new| limited(new)).for_each(|new| new.clone_from(old));
    }
    if before.last_decision.is_some() {
        after.last_decision.clone_from(&before.last_decision);
        after.desired_replicas = before.desired_replicas;
        after.limited.clone_from(&before.limited);
        after.targets.clone_from(&before.targets);
    }
    after
}

fn moved(before: &[DecisionInput], after: &[DecisionInput]) -> bool {
    let number = |input: &DecisionInput| input.value.as_ref().and_then(|value| value.parse::<f64>().ok());
    let one = |(old, new): (&DecisionInput, &DecisionInput)| match (number(old), number(new)) {
        (Some(from), Some(to)) => {
            let target = new.target.parse::<f64>().unwrap_or(0.0);
            (from - to).abs() > (from * 0.1).max(target * 0.01)
        }
        (from, to) => from != to,
    };
    before.len() != after.len() || before.iter().zip(after).any(one)
}

#[cfg(test)]
mod tests;
