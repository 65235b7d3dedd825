//! A table of traces with what is expected of each: it is read by people, and every change of a decision shows.

use super::super::simulate::{Start, Trace, csv, simulate};
use super::*;
use crate::scaling::{HotPartition, Placement, Readings};
use ::pipeline::spec::ScalingPolicySpec;
use std::fmt::Write as _;

/// A policy for the pipeline `clicks`.
pub(super) fn policy(yaml: &str) -> Policy {
    let yaml = format!("{{scaleTargetRef: {{name: clicks}}, {yaml}}}");
    let spec: ScalingPolicySpec = serde_saphyr::from_str(&yaml).expect("a spec");
    Policy::build("clicks", &spec).expect("a policy")
}

/// A time, in seconds since the beginning.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

struct Case {
    title: &'static str,
    policy: &'static str,
    replicas: u32,
    units: &'static [u32],
    pause: Option<f64>,
    /// Head, and a row for each line: how often it is repeated, every 60 seconds.
    trace: (&'static str, &'static [(usize, &'static str)]),
}

/// Rows a minute apart.
fn trace((head, rows): (&str, &[(usize, &str)])) -> Trace {
    let mut text = format!("seconds,{head}\n");
    let rows = rows.iter().flat_map(|(times, row)| std::iter::repeat_n(row, *times));
    for (minute, row) in rows.enumerate() {
        writeln!(text, "{},{row}", minute * 60).expect("a string");
    }
    Trace::parse(&text).expect("a trace")
}

const LAG: &str = "maxReplicas: 12, metrics: [{consumerLag: {averageValue: 1000}}]";
const QUICK: &str = "maxReplicas: 12, metrics: [{consumerLag: {averageValue: 1000}}], behavior: {
    scaleUp: {cooldownSeconds: 0}, scaleDown: {cooldownSeconds: 0, stabilizationWindowSeconds: 0}}";

const CASES: &[Case] = &[
    Case {
        title: "a tenfold load is answered at once, and removed after its window",
        policy: LAG,
        replicas: 1,
        units: &[],
        pause: None,
        trace: ("lag_records", &[(2, "900"), (3, "9500"), (13, "400")]),
    },
    Case {
        title: "what is within a tenth changes nothing",
        policy: LAG,
        replicas: 5,
        units: &[],
        pause: None,
        trace: ("lag_records", &[(1, "5499"), (1, "4501"), (1, "5501")]),
    },
    Case {
        title: "a second step waits for the cooldown",
        policy: LAG,
        replicas: 2,
        units: &[],
        pause: None,
        trace: ("lag_records", &[(1, "4000"), (6, "8000")]),
    },
    Case {
        title: "partitions are the most, and counts that help nobody are rounded down",
        policy: QUICK,
        replicas: 1,
        units: &[6],
        pause: None,
        trace: ("lag_records", &[(1, "2000"), (1, "5000"), (1, "20000"), (1, "4400"), (1, "0")]),
    },
    Case {
        title: "nothing moves while a metric is not known, not even for another one",
        policy: "maxReplicas: 9, metrics: [{consumerLag: {averageValue: 1000}}, {lagSeconds: {value: 60}}]",
        replicas: 3,
        units: &[],
        pause: None,
        trace: ("lag_records,lag_seconds", &[(2, "9000,"), (2, ","), (1, "9000,60")]),
    },
    Case {
        title: "the metric that asks for most decides",
        policy: "maxReplicas: 20, metrics: [{lagSeconds: {value: 30}}, {cpu: {averageUtilization: 50}},
            {throughput: {averageValue: 100}}, {processingTime: {value: 250ms}}]",
        replicas: 4,
        units: &[],
        pause: None,
        trace: (
            "lag_seconds,cpu,throughput,processing_seconds",
            &[(1, "30,50,400,0.25"), (1, "30,50,900,0.25"), (6, "90,50,900,0.25")],
        ),
    },
    Case {
        title: "health asks for more and never for fewer",
        policy: "maxReplicas: 9, metrics: [{health: {}}]",
        replicas: 3,
        units: &[],
        pause: None,
        trace: ("health", &[(1, "1"), (1, "0.79"), (1, "0.6"), (6, "0"), (12, "1")]),
    },
    Case {
        title: "policies bound the step of each direction",
        policy: "maxReplicas: 40, metrics: [{consumerLag: {averageValue: 100}}], behavior: {
            scaleUp: {cooldownSeconds: 0, policies: [{type: Pods, value: 2, periodSeconds: 60}, {type: Percent, value: 100, periodSeconds: 120}]},
            scaleDown: {cooldownSeconds: 0, stabilizationWindowSeconds: 0, selectPolicy: Min,
              policies: [{type: Pods, value: 4, periodSeconds: 60}, {type: Percent, value: 10, periodSeconds: 60}]}}",
        replicas: 1,
        units: &[],
        pause: None,
        trace: ("lag_records", &[(6, "4000"), (4, "0")]),
    },
    Case {
        title: "a direction can be switched off",
        policy: "maxReplicas: 9, metrics: [{consumerLag: {averageValue: 1000}}], behavior: {
            scaleDown: {selectPolicy: Disabled, stabilizationWindowSeconds: 0}}",
        replicas: 2,
        units: &[],
        pause: None,
        trace: ("lag_records", &[(1, "6000"), (2, "0")]),
    },
    Case {
        title: "a step that would take no work from the busiest pod goes on to the next that does",
        policy: "maxReplicas: 40, metrics: [{consumerLag: {averageValue: 100}}], behavior: {
            scaleUp: {cooldownSeconds: 0, policies: [{type: Pods, value: 1, periodSeconds: 60}]}}",
        replicas: 2,
        units: &[4],
        pause: None,
        trace: ("lag_records", &[(3, "4000")]),
    },
    Case {
        title: "as many stay as keep up with what comes in",
        policy: QUICK,
        replicas: 4,
        units: &[],
        pause: None,
        trace: ("lag_records,throughput", &[(3, "40000,400"), (3, "900,400"), (2, "500,90")]),
    },
    Case {
        title: "a change that gains less than its pause is not made",
        policy: "maxReplicas: 12, metrics: [{consumerLag: {averageValue: 1000}}], behavior: {
            scaleUp: {cooldownSeconds: 0, stabilizationWindowSeconds: 120}}",
        replicas: 4,
        units: &[],
        pause: Some(120.0),
        trace: ("lag_records,throughput", &[(1, "9000,400"), (1, "7000,400"), (1, "5000,400"), (2, "60000,400")]),
    },
    Case {
        title: "the preset of ingestion is a pod for 10 000 records of the queue, 2 to 20",
        policy: "preset: Ingestion, behavior: {scaleUp: {cooldownSeconds: 0}, scaleDown: {cooldownSeconds: 0, stabilizationWindowSeconds: 0}}",
        replicas: 2,
        units: &[],
        pause: None,
        trace: ("queue_size", &[(1, "0"), (1, "35000"), (1, "900000"), (1, "70000"), (1, "1")]),
    },
    Case {
        title: "the preset of a processor is a pod for 5 000 records of lag or a second, 1 to 15",
        policy: "preset: Processor, behavior: {scaleUp: {cooldownSeconds: 0}, scaleDown: {cooldownSeconds: 0, stabilizationWindowSeconds: 0}}",
        replicas: 1,
        units: &[],
        pause: None,
        trace: (
            "lag_records,processing_seconds",
            &[(1, "0,0.2"), (1, "12000,0.2"), (1, "12000,6"), (1, "90000,6"), (1, "0,0")],
        ),
    },
    Case {
        title: "a schedule raises the bounds at once and lets go after it",
        policy: "maxReplicas: 9, metrics: [{consumerLag: {averageValue: 1000}}],
            schedules: [{name: rush, schedule: '2 0 1 1 *', duration: 3m, minReplicas: 6}],
            behavior: {scaleDown: {cooldownSeconds: 120, stabilizationWindowSeconds: 0}}",
        replicas: 2,
        units: &[],
        pause: None,
        trace: ("lag_records", &[(8, "2000")]),
    },
    Case {
        title: "a suspended policy leaves everything alone",
        policy: "preset: Processor, suspend: true",
        replicas: 3,
        units: &[],
        pause: None,
        trace: ("lag_records,processing_seconds", &[(1, "900000,90")]),
    },
];

#[test]
fn each_trace_has_its_decisions() {
    let mut text = String::new();
    for case in CASES {
        let trace = trace(case.trace);
        let start = Start {
            replicas: case.replicas,
            placement: Placement { units: case.units.to_vec(), workers_per_replica: 1 },
            pause_seconds: case.pause,
            epoch: Timestamp::UNIX_EPOCH,
        };
        let decisions = simulate(&policy(case.policy), &start, &trace);
        writeln!(text, "# {}: from {}", case.title, case.replicas).expect("a string");
        let lines = csv(&trace, &decisions);
        let inputs = std::iter::once(case.trace.0)
            .chain(case.trace.1.iter().flat_map(|(times, row)| std::iter::repeat_n(*row, *times)));
        for (line, input) in lines.lines().zip(inputs) {
            writeln!(text, "{input:<24} -> {line}").expect("a string");
        }
        text.push('\n');
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_hot_partition_is_named_instead_of_adding_pods() {
    let policy = policy(LAG);
    let readings = Readings { lag_records: Some(9_000.0), ..Readings::default() };
    let hot = Some(HotPartition { topic: "clicks".to_owned(), partition: 3, records: 8_800 });
    let observation = Observation { replicas: 2, readings, hot, ..Observation::default() };
    let decision = decide(&policy, &History::begin(at(0), 2, None), &observation, at(60));
    assert_eq!((decision.desired, decision.limited_by), (2, Some(Limit::HotPartition)));
    assert!(decision.reason.contains("partition 3 of topic clicks"), "{}", decision.reason);
}

#[test]
fn somebody_else_who_scales_starts_the_cooldown() {
    let policy = policy(LAG);
    let mut history = History::begin(at(0), 2, None);
    let readings = Readings { lag_records: Some(9_000.0), ..Readings::default() };
    let observation = Observation { replicas: 4, readings, ..Observation::default() };
    history.notice(at(600), 4);
    let soon = decide(&policy, &history, &observation, at(660));
    assert_eq!((soon.desired, soon.limited_by), (4, Some(Limit::Cooldown)));
    let later = decide(&policy, &history, &observation, at(900));
    assert_eq!((later.desired, later.limited_by), (9, None));
}

#[test]
fn an_operator_that_begins_anew_keeps_the_cooldown_and_removes_nothing_at_once() {
    let policy = policy(LAG);
    let readings = Readings { lag_records: Some(0.0), ..Readings::default() };
    let observation = Observation { replicas: 6, readings, ..Observation::default() };
    let history = History::begin(at(10_000), 6, Some(at(9_900)));
    for (second, limit) in [(10_015, Limit::Stabilization), (10_599, Limit::Stabilization)] {
        let decision = decide(&policy, &history, &observation, at(second));
        assert_eq!((decision.desired, decision.limited_by), (6, Some(limit)));
    }
    assert_eq!(decide(&policy, &history, &observation, at(10_600)).desired, 1);
    let full = Readings { lag_records: Some(12_000.0), ..Readings::default() };
    let observation = Observation { readings: full, ..observation };
    let cooling = decide(&policy, &history, &observation, at(10_015));
    assert_eq!((cooling.desired, cooling.limited_by), (6, Some(Limit::Cooldown)));
}
