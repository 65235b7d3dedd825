use super::super::{Aim, Bounds, Metric, Policy};
use crate::spec::ScalingPolicySpec;

fn policy(yaml: &str) -> Result<Policy, Vec<String>> {
    let spec: ScalingPolicySpec =
        serde_saphyr::from_str(&format!("{{scaleTargetRef: {{name: clicks}}, {yaml}}}")).expect("a spec");
    Policy::build("clicks", &spec).map_err(|found| found.iter().map(ToString::to_string).collect())
}

fn refused(yaml: &str) -> String {
    policy(yaml).expect_err("a problem").join("\n")
}

#[test]
fn a_short_policy_has_the_defaults() {
    let policy = policy("maxReplicas: 12, metrics: [{consumerLag: {averageValue: 1000}}]").expect("a policy");
    assert_eq!(policy.bounds, Bounds { min: 1, max: 12 });
    assert_eq!((policy.up.cooldown_seconds, policy.up.stabilization_seconds), (300, 0));
    assert_eq!((policy.down.cooldown_seconds, policy.down.stabilization_seconds), (600, 600));
    assert_eq!(policy.goals.len(), 1);
    assert!(!policy.suspend && !policy.dry_run);
}

#[test]
fn presets_are_the_formulas_with_their_bounds_and_the_user_wins() {
    let ingestion = policy("preset: Ingestion").expect("a policy");
    assert_eq!(ingestion.bounds, Bounds { min: 2, max: 20 });
    assert_eq!(
        (ingestion.goals[0].metric, ingestion.goals[0].aim),
        (Metric::QueueSize, Aim::PerPod(10_000.0))
    );
    let mine = policy("preset: Processor, maxReplicas: 4, metrics: [{consumerLag: {averageValue: 7}}]")
        .expect("a policy");
    assert_eq!(mine.bounds, Bounds { min: 1, max: 4 });
    let goals: Vec<_> = mine.goals.iter().map(|goal| (goal.metric, goal.aim)).collect();
    assert_eq!(goals, [(Metric::ProcessingTime, Aim::PerPod(1.0)), (Metric::ConsumerLag, Aim::PerPod(7.0)),]);
    assert_eq!(
        policy("preset: Ingestion, maxReplicas: 1").expect("a policy").bounds,
        Bounds { min: 1, max: 1 }
    );
}

#[test]
fn health_aims_at_its_default_or_at_what_is_written() {
    let target = |health: &str| {
        let policy = policy(&format!("maxReplicas: 2, metrics: [{{health: {health}}}]")).expect("a policy");
        policy.goals[0].aim
    };
    assert_eq!(target("{}"), Aim::AtLeast(0.8));
    assert_eq!(target("{target: '0.95'}"), Aim::AtLeast(0.95));
    for wrong in ["0", "0.0", "1.5", "a", "-1"] {
        assert!(
            policy(&format!("maxReplicas: 2, metrics: [{{health: {{target: '{wrong}'}}}}]")).is_err(),
            "{wrong}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (yaml, words) in [
        ("metrics: [{lagSeconds: {value: 9}}]", "the field `maxReplicas` is missing"),
        ("maxReplicas: 3", "there is nothing to scale by"),
        ("maxReplicas: 3, minReplicas: 4, preset: Processor", "spec.minReplicas: 4 is more than the 3"),
        ("maxReplicas: 3, metrics: [{}]", "spec.metrics[0]: set exactly one of"),
        (
            "maxReplicas: 3, metrics: [{lagSeconds: {value: 9}, cpu: {averageUtilization: 80}}]",
            "several are set",
        ),
        (
            "maxReplicas: 3, metrics: [{lagSeconds: {value: 9}}, {lagSeconds: {value: 8}}]",
            "spec.metrics[1]: lagSeconds is there twice",
        ),
        ("maxReplicas: 3, metrics: [{processingTime: {value: 2h}}]", "2h is not from 1ms to 1h"),
        (
            "maxReplicas: 3, metrics: [{consumerLag: {averageValue: 0}}]",
            "spec.metrics[0].consumerLag.averageValue",
        ),
        (
            "preset: Processor, schedules: [{name: a, schedule: 0 8 * * 1 2, duration: 1h, minReplicas: 2}]",
            "spec.schedules[0].schedule: a schedule has five fields",
        ),
        (
            "preset: Processor, schedules: [{name: a, schedule: 0 8 * * *, timeZone: Mars, duration: 1h, minReplicas: 2}]",
            "spec.schedules[0].timeZone: unknown time zone `Mars`",
        ),
        (
            "preset: Processor, schedules: [{name: a, schedule: 0 8 * * *, duration: 1s, minReplicas: 2}]",
            "spec.schedules[0].duration: 1s is not from 1m to 31d",
        ),
        (
            "preset: Processor, schedules: [{name: a, schedule: 0 8 * * *, duration: 1h}]",
            "set minReplicas, maxReplicas or both",
        ),
        (
            "preset: Processor, schedules: [{name: a, schedule: 0 8 * * *, duration: 1h, minReplicas: 20}]",
            "20 at least and 15 at most cannot both hold",
        ),
    ] {
        let found = refused(yaml);
        assert!(found.contains(words), "{yaml}: {found}");
    }
}

#[test]
fn of_active_schedules_the_first_counts() {
    let policy = policy(
        "maxReplicas: 9, preset: Processor, schedules: [
           {name: noon, schedule: 0 12 * * *, duration: 1h, minReplicas: 7},
           {name: day, schedule: 0 8 * * *, timeZone: Europe/Berlin, duration: 10h, minReplicas: 3, maxReplicas: 4}]",
    )
    .expect("a policy");
    for (now, expected, name) in [
        ("2026-01-05T12:30:00Z", Bounds { min: 7, max: 9 }, Some("noon")),
        ("2026-01-05T07:00:00Z", Bounds { min: 3, max: 4 }, Some("day")),
        ("2026-01-05T06:59:00Z", Bounds { min: 1, max: 9 }, None),
    ] {
        assert_eq!(policy.bounds_at(now.parse().expect("a time")), (expected, name), "{now}");
    }
}
