//! The status in each situation, and the rules of kstatus.

use super::{Counted, Facts, events, merge_patch, status};
use crate::pipeline::fixture::{
    after, carried_out, created, decide, desired, edited, live, of, with_pods, without_pods,
};
use crate::pipeline::observe::{Observed, Trouble};
use control::status::{Problem, SecretStatus, UnitState};
use control::{Condition as Kind, Reason};
use crds::StreamPipelineStatus;
use crds::condition::find;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn reported(observed: &Observed) -> StreamPipelineStatus {
    let (desired, decision) = (desired(observed), decide(observed));
    let facts = Facts { observed, desired: &desired, decision: &decision, failure: None };
    status(&facts, &Counted::default()).0
}

fn starting() -> Observed {
    carried_out(created(), &decide(&created()))
}

fn problem(condition: Kind, reason: Option<Reason>, permanent: bool) -> Problem {
    Problem {
        reason,
        condition,
        component: Some("clicks".to_owned()),
        message: "source 'clicks': topic `clickz` was not found on my-kafka:9092; did you mean `clicks`?"
            .to_owned(),
        permanent,
        since_ms: 0,
    }
}

fn with_problem(mut observed: Observed, problem: &Problem) -> Observed {
    for pod in &mut of(&mut observed, 1).pods {
        pod.report.as_mut().expect("a report").problems = vec![problem.clone()];
    }
    observed
}

fn with_trouble(mut observed: Observed, trouble: Trouble) -> Observed {
    let pod = &mut of(&mut observed, 1).pods[0];
    (pod.trouble, pod.report, pod.address) = (Some(trouble), None, None);
    observed
}

fn suspended() -> Observed {
    let observed = edited(live(created(), 1), |pipeline| pipeline.spec.suspend = Some(true));
    let draining = carried_out(observed.clone(), &decide(&observed));
    let cut = with_pods(draining, 1, UnitState::Cut);
    let stopping = carried_out(cut.clone(), &decide(&cut));
    without_pods(stopping, 1)
}

fn draining() -> Observed {
    let observed = edited(live(created(), 1), |pipeline| {
        pipeline.spec.sinks[0].kafka.as_mut().expect("a topic").topic = "elsewhere".to_owned();
    });
    carried_out(observed.clone(), &decide(&observed))
}

fn missing_window() -> Observed {
    Observed { windows: BTreeMap::new(), ..created() }
}

/// A window of a pipeline that runs gets another size.
fn resized() -> Observed {
    let mut observed = live(created(), 1);
    let window = observed.windows.get_mut("per-user-5m").expect("a window");
    window.tumbling.as_mut().expect("tumbling").size = ::pipeline::spec::Duration("10m".to_owned());
    observed
}

fn situations() -> Vec<(&'static str, Observed)> {
    let topic = problem(Kind::SourcesConnected, Some(Reason::TopicNotFound), false);
    let diverged = problem(Kind::Ready, Some(Reason::StateIncompatible), true);
    let idle = problem(Kind::WatermarkAdvancing, Some(Reason::IdleSource), false);
    let newer = problem(Kind::SinksConnected, None, false);
    let mut keyless = live(created(), 1);
    of(&mut keyless, 1).pods[0].report.as_mut().expect("a report").secrets = vec![SecretStatus {
        name: "my-kafka-access".to_owned(),
        missing_keys: vec!["bootstrapServers".to_owned()],
        hash: None,
    }];
    let mut silent = live(created(), 1);
    of(&mut silent, 1).pods[1].report = None;
    let mut unready = silent.clone();
    of(&mut unready, 1).pods[1].ready = false;
    vec![
        ("created", created()),
        ("starting, no pods yet", starting()),
        ("restoring", with_pods(starting(), 1, UnitState::Restoring)),
        ("promoting", with_pods(starting(), 1, UnitState::CaughtUp)),
        ("running", live(created(), 1)),
        ("one pod is silent and its readiness probe succeeds", silent),
        ("one pod is silent and not ready", unready),
        ("topic missing", with_problem(live(created(), 1), &topic)),
        (
            "topic missing while starting",
            with_problem(with_pods(starting(), 1, UnitState::Restoring), &topic),
        ),
        ("no retry can help", with_problem(live(created(), 1), &diverged)),
        ("a source is idle", with_problem(live(created(), 1), &idle)),
        ("a reason of a newer runtime", with_problem(live(created(), 1), &newer)),
        ("secret key missing", keyless),
        (
            "no room",
            with_trouble(
                with_pods(starting(), 1, UnitState::Restoring),
                Trouble::Unschedulable("0/3 nodes are available".to_owned()),
            ),
        ),
        (
            "crash loop",
            with_trouble(live(created(), 1), Trouble::Ends { code: 1, said: "out of memory".to_owned() }),
        ),
        (
            "the pods refuse what they are told to run",
            with_trouble(
                live(created(), 1),
                Trouble::Ends { code: 78, said: "secret `my-kafka-access`: no such key".to_owned() },
            ),
        ),
        ("draining", with_pods(draining(), 1, UnitState::Released)),
        ("draining takes too long", after(with_pods(draining(), 1, UnitState::Released), 61)),
        ("suspended", suspended()),
        ("window missing", missing_window()),
        (
            "spec invalid",
            edited(created(), |pipeline| pipeline.spec.sinks[0].from = Some(vec!["per-usr".to_owned()])),
        ),
        ("no Kafka", edited(created(), |pipeline| pipeline.spec.kafka = None)),
        ("another meaning of a window that has state", resized()),
        ("image not allowed", edited(created(), |pipeline| pipeline.spec.image = Some("evil:1".to_owned()))),
    ]
}

/// What cli-utils' kstatus makes of an object: the first rule that applies.
fn kstatus(observed: &Observed, status: &StreamPipelineStatus) -> &'static str {
    if observed.pipeline.metadata.generation != Some(status.observed_generation) {
        return "InProgress";
    }
    let is = |kind| find(&status.conditions, kind).is_some_and(|condition| condition.status == "True");
    match (is(Kind::Reconciling), is(Kind::Stalled), is(Kind::Ready)) {
        (true, _, _) => "InProgress",
        (_, true, _) => "Failed",
        (_, _, true) => "Current",
        _ => "InProgress",
    }
}

#[test]
fn the_status_in_each_situation() {
    let mut text = String::new();
    for (name, observed) in situations() {
        let status = reported(&observed);
        let ready = find(&status.conditions, Kind::Ready).expect("always there");
        writeln!(text, "{name}: {} for kstatus", kstatus(&observed, &status)).expect("a text");
        writeln!(
            text,
            "  READY {}  STATUS {}  REPLICAS {}  LAG {:?}  DLQ {:?}",
            ready.status,
            ready.reason,
            status.ready.as_deref().unwrap_or("-"),
            status.lag.as_ref().and_then(|lag| lag.records),
            status.dead_letters,
        )
        .expect("a text");
        writeln!(text, "  {}", ready.message).expect("a text");
        let others = status.conditions.iter().filter(|condition| condition.type_ != "Ready");
        let others =
            others.map(|condition| format!("{}={}/{}", condition.type_, condition.status, condition.reason));
        writeln!(text, "  {}", others.collect::<Vec<_>>().join(" ")).expect("a text");
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_rules_of_kstatus_hold_in_each_situation() {
    for (name, observed) in situations() {
        let status = reported(&observed);
        let generation = observed.pipeline.metadata.generation;
        assert_eq!(Some(status.observed_generation), generation, "{name}");
        assert!(
            status.conditions.iter().all(|condition| condition.observed_generation == generation),
            "{name}"
        );
        let has = |kind| find(&status.conditions, kind).is_some();
        assert!(!(has(Kind::Reconciling) && has(Kind::Stalled)), "{name}");
        let ready = find(&status.conditions, Kind::Ready).expect("always there");
        assert_eq!(ready.status == "True", !has(Kind::Reconciling) && !has(Kind::Stalled), "{name}");
        assert!(
            status.conditions.iter().all(|condition| Reason::parse(&condition.reason).is_some()),
            "{name}"
        );
    }
}

#[test]
fn the_whole_status_of_a_running_pipeline() {
    insta::assert_yaml_snapshot!(reported(&live(created(), 1)));
}

#[test]
fn what_could_not_be_done_is_said() {
    let observed = starting();
    let (desired, decision) = (desired(&observed), decide(&observed));
    let failure = Some("failed to apply: failed to apply StatefulSet clicks-g1: quota exceeded");
    let facts = Facts { observed: &observed, desired: &desired, decision: &decision, failure };
    let status = status(&facts, &Counted::default()).0;
    let ready = find(&status.conditions, Kind::Ready).expect("always there");
    assert!(ready.message.contains("quota exceeded") && ready.status == "False", "{}", ready.message);
}

#[test]
fn numbers_are_written_at_most_every_30_seconds_and_only_when_they_moved() {
    let observe = |observed: &Observed, counted: &Counted| {
        let (desired, decision) = (desired(observed), decide(observed));
        status(&Facts { observed, desired: &desired, decision: &decision, failure: None }, counted)
    };
    let written = |mut observed: Observed, status: &StreamPipelineStatus| {
        observed.pipeline.status = Some(status.clone());
        observed
    };
    let lag = |mut observed: Observed, records: u64, dead_letters: u64| {
        for pod in &mut of(&mut observed, 1).pods {
            let report = pod.report.as_mut().expect("a report");
            (report.lag.records, report.dead_letters) = (Some(records), dead_letters);
        }
        observed
    };
    let first = live(created(), 1);
    let (status, counted) = observe(&first, &Counted::default());
    assert_eq!((status.lag.as_ref().and_then(|lag| lag.records), status.dead_letters), (Some(200), Some(6)));
    let soon = lag(after(written(first.clone(), &status), 29), 9_000, 5);
    assert_eq!(observe(&soon, &counted).0.lag, status.lag, "too soon");
    let little = lag(after(written(first.clone(), &status), 31), 105, 3);
    assert_eq!(observe(&little, &counted).0.lag, status.lag, "moved by less than a tenth");
    let later = lag(after(written(first, &status), 31), 9_000, 5);
    let (status, counted) = observe(&later, &counted);
    assert_eq!((status.lag.and_then(|lag| lag.records), status.dead_letters), (Some(18_000), Some(10)));
    let mut restarted = lag(after(later, 31), 9_000, 1);
    restarted.pipeline.status.as_mut().expect("a status").dead_letters = status.dead_letters;
    for pod in &mut of(&mut restarted, 1).pods {
        pod.report.as_mut().expect("a report").started_at_ms += 40_000;
    }
    assert_eq!(observe(&restarted, &counted).0.dead_letters, Some(12), "a pod that restarts counts from 0");
}

#[test]
fn what_one_pod_does_not_know_is_unknown_and_not_less() {
    let mut observed = live(created(), 1);
    of(&mut observed, 1).pods[1].report.as_mut().expect("a report").lag.records = None;
    assert_eq!(reported(&observed).lag.and_then(|lag| lag.records), None);
}

#[test]
fn a_report_that_changes_nothing_is_no_patch() {
    let observed = live(created(), 1);
    let status = reported(&observed);
    let again = edited(after(observed, 5), |pipeline| pipeline.status = Some(status.clone()));
    assert_eq!(merge_patch(&status, &reported(&again)).expect("encodes"), None);
}

#[test]
fn a_merge_patch_has_what_changed_and_nulls_for_what_is_gone() {
    let before = json!({"a": 1, "b": {"c": 1, "d": [1]}, "e": "x"});
    let after = json!({"a": 1, "b": {"c": 2, "d": [1, 2]}});
    let patch = merge_patch(&before, &after).expect("encodes");
    assert_eq!(patch, Some(json!({"b": {"c": 2, "d": [1, 2]}, "e": null})));
}

#[test]
fn events_say_what_changed_once() {
    let reasons = |before: &Observed, observed: &Observed| {
        let events = events::events(&reported(before), &reported(observed), &decide(observed));
        events.into_iter().map(|event| event.reason).collect::<Vec<_>>()
    };
    let running = live(created(), 1);
    assert_eq!(reasons(&starting(), &running), ["Running"]);
    assert_eq!(reasons(&running, &running), Vec::<String>::new());
    let topic = problem(Kind::SourcesConnected, Some(Reason::TopicNotFound), false);
    assert_eq!(reasons(&running, &with_problem(running.clone(), &topic)), ["TopicNotFound"]);
    assert_eq!(reasons(&running, &suspended()), ["Drained", "Suspended"]);
}
