use super::*;
use crate::scaling::{History, Observation, Readings, decide};
use ::pipeline::spec::ScalingPolicySpec;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn policy() -> Policy {
    let yaml =
        "{scaleTargetRef: {name: clicks}, maxReplicas: 12, metrics: [{consumerLag: {averageValue: 1000}}]}";
    let spec: ScalingPolicySpec = serde_saphyr::from_str(yaml).expect("a spec");
    Policy::build("clicks", &spec).expect("a policy")
}

/// The status after a look at a pipeline of three pods with this lag.
fn look(before: &ScalingPolicyStatus, lag: Option<f64>, seconds: i64) -> ScalingPolicyStatus {
    let policy = policy();
    let readings = Readings { lag_records: lag, ..Readings::default() };
    let observation = Observation { replicas: 3, readings, ..Observation::default() };
    let decision = decide(&policy, &History::begin(at(0), 3, Some(at(0))), &observation, at(seconds));
    let situation = Situation::Decided(Box::new(decision));
    status(before, &situation, &facts(&policy, seconds))
}

fn facts(policy: &Policy, seconds: i64) -> Facts<'_> {
    Facts {
        generation: 4,
        target: "clicks",
        policy: Some(policy),
        replicas: Some(3),
        last_change: Some(at(0)),
        pause_seconds: None,
        now: at(seconds),
    }
}

fn condition_of<'a>(status: &'a ScalingPolicyStatus, kind: &str) -> Option<(&'a str, &'a str)> {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((found.status.as_str(), found.reason.as_str()))
}

#[test]
fn a_decision_fills_the_columns_and_shows_its_arithmetic() {
    let status = look(&ScalingPolicyStatus::default(), Some(6_000.0), 60);
    assert_eq!(status.reference.as_deref(), Some("StreamPipeline/clicks"));
    assert_eq!(status.targets.as_deref(), Some("2k/1k (avg)"));
    assert_eq!((status.min_replicas, status.max_replicas), (Some(1), Some(12)));
    assert_eq!((status.current_replicas, status.desired_replicas), (Some(3), Some(3)));
    assert_eq!(status.limited.as_deref(), Some("Cooldown"));
    assert_eq!(condition_of(&status, "AbleToScale"), Some(("True", "ReadyForNewScale")));
    assert_eq!(condition_of(&status, "ScalingActive"), Some(("True", "ValidMetricFound")));
    assert_eq!(condition_of(&status, "ScalingLimited"), Some(("True", "Cooldown")));
    let last = status.last_decision.expect("a decision");
    assert_eq!(last.formula, "consumerLag 6000 / 1000 = 6");
    assert_eq!(last.reason, "consumerLag 6000 / 1000 = 6; 6 in 240 s");
    assert_eq!((last.inputs[0].value.as_deref(), last.inputs[0].target.as_str()), (Some("6000"), "1000"));
}

#[test]
fn what_is_measured_is_news_after_half_a_minute_and_when_it_moved() {
    let first = look(&ScalingPolicyStatus::default(), Some(3_000.0), 600);
    assert_eq!(look(&first, Some(3_000.0), 700), first, "nothing changed");
    assert_eq!(look(&first, Some(3_200.0), 700), first, "less than a tenth");
    assert_eq!(look(&first, Some(9_000.0), 615), first, "too soon");
    let moved = look(&first, Some(3_290.0), 630);
    assert_eq!(moved, first, "less than a tenth");
    let moved = look(&first, Some(3_400.0), 630);
    assert_eq!(moved.last_decision.as_ref().map(|last| last.at.0), Some(at(630)));
}

#[test]
fn metrics_that_are_cut_off_are_news_at_once_and_once() {
    let first = look(&ScalingPolicyStatus::default(), Some(3_000.0), 600);
    let cut = look(&first, None, 615);
    assert_eq!(condition_of(&cut, "ScalingActive"), Some(("False", "MetricsUnavailable")));
    assert_eq!(cut.limited.as_deref(), Some("MetricsUnavailable"));
    assert_eq!(cut.targets.as_deref(), Some("<unknown>/1k (avg)"));
    assert_eq!(look(&cut, None, 700), cut);
}

#[test]
fn what_is_in_the_way_is_said_and_said_once() {
    let policy = policy();
    for (situation, able, active) in [
        (Situation::NoTarget, ("False", "TargetNotFound"), ("False", "TargetNotFound")),
        (Situation::TargetSuspended, ("False", "TargetSuspended"), ("False", "TargetSuspended")),
        (Situation::TargetChanging, ("False", "TargetChanging"), ("Unknown", "TargetChanging")),
        (
            Situation::Conflict(vec!["ScalingPolicy other".to_owned()]),
            ("False", "ConflictingPolicies"),
            ("False", "ConflictingPolicies"),
        ),
        (Situation::Invalid("no".to_owned()), ("False", "ConfigInvalid"), ("False", "ConfigInvalid")),
    ] {
        let first = status(&ScalingPolicyStatus::default(), &situation, &facts(&policy, 60));
        assert_eq!(condition_of(&first, "AbleToScale"), Some(able));
        assert_eq!(condition_of(&first, "ScalingActive"), Some(active));
        assert_eq!(condition_of(&first, "ScalingLimited"), None);
        assert_eq!(status(&first, &situation, &facts(&policy, 900)), first, "{situation:?}");
    }
}

#[test]
fn numbers_are_short_where_nothing_is_lost() {
    for (value, text) in
        [(1_000.0, "1k"), (1_240.0, "1240"), (2e6, "2M"), (0.85, "0.85"), (0.0, "0"), (413.33, "413")]
    {
        assert_eq!(short(value), text);
    }
}
