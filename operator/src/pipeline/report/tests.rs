//! The status, its numbers and its events, one matter a test. `table` has all situations side by side, `properties` what
//! holds in any.

mod argocd;
mod columns;
mod kstatus;
mod properties;
mod situations;
mod table;

use super::{Counted, Facts, events, merge_patch, status};
use crate::pipeline::fixture::{after, created, decide, desired, edited, of, with_pods, without_pods};
use crate::pipeline::observe::Observed;
use control::status::UnitState;
use control::{Condition as Kind, Reason};
use crds::StreamPipelineStatus;
use crds::condition::find;
use serde_json::json;
use situations::{missing_topic, problem, reported, running, secret, starting, suspended, with_problems};

#[test]
fn the_whole_status_of_a_running_pipeline() {
    insta::assert_yaml_snapshot!(reported(&running()));
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
    let first = running();
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
    let mut observed = running();
    of(&mut observed, 1).pods[1].report.as_mut().expect("a report").lag.records = None;
    assert_eq!(reported(&observed).lag.and_then(|lag| lag.records), None);
}

#[test]
fn what_a_pod_that_is_not_there_would_know_is_unknown() {
    let first = running();
    let seen = reported(&first);
    let written = edited(after(first, 31), |pipeline| pipeline.status = Some(seen.clone()));
    let mut lost = written.clone();
    of(&mut lost, 1).pods.pop();
    let status = reported(&lost);
    assert_eq!((status.lag, status.rate), (None, None), "a pod is missing");
    assert_eq!(status.watermark, seen.watermark, "event time has come so far all the same");
    let silent = without_pods(written, 1);
    let status = reported(&silent);
    assert_eq!((status.lag, status.rate, status.dead_letters), (None, None, seen.dead_letters));
}

/// Times in a status have whole seconds, those of pods have milliseconds.
#[test]
fn a_pipeline_that_stands_still_is_not_written() {
    let at = |mut observed: Observed| {
        for pod in &mut of(&mut observed, 1).pods {
            let report = pod.report.as_mut().expect("a report");
            report.watermark_ms = Some(1_767_268_795_678);
            report.oldest_snapshot_ms = Some(1_767_268_790_123);
        }
        observed
    };
    let first = at(running());
    let written = serde_json::to_value(reported(&first)).expect("encodes");
    let stored: StreamPipelineStatus = serde_json::from_value(written).expect("decodes");
    let later = edited(after(first, 31), |pipeline| pipeline.status = Some(stored.clone()));
    assert_eq!(merge_patch(&stored, &reported(&later)).expect("encodes"), None);
}

#[test]
fn a_secret_that_is_missing_is_one_problem_however_often_it_is_told() {
    let mut observed = with_pods(starting(), 1, UnitState::Restoring);
    for pod in &mut of(&mut observed, 1).pods {
        let report = pod.report.as_mut().expect("a report");
        let message = "secret `my-kafka-access`: key `bootstrap.servers` is missing in the Kafka access secret at /etc/weir";
        report.problems = vec![problem(Kind::ConfigValid, Some(Reason::SecretKeyMissing), false, message)];
        report.secrets = vec![secret(&["bootstrap.servers"], None)];
    }
    let status = reported(&observed);
    let ready = find(&status.conditions, Kind::Ready).expect("always there");
    let wanted = "Secret `my-kafka-access` was not found or is empty: create it with the key `bootstrap.servers`; the pods see it by themselves";
    assert_eq!((ready.reason.as_str(), ready.message.as_str()), ("SecretKeyMissing", wanted));
    for pod in &mut of(&mut observed, 1).pods {
        let report = pod.report.as_mut().expect("a report");
        report.problems[0].message = "secret `another`: key `security.protocol` asks for TLS".to_owned();
    }
    let status = reported(&observed);
    let ready = find(&status.conditions, Kind::Ready).expect("always there");
    assert!(ready.message.ends_with("asks for TLS (and 1 more)"), "{}", ready.message);
}

#[test]
fn a_pipeline_that_runs_says_what_is_live() {
    let status = reported(&running());
    let ready = find(&status.conditions, Kind::Ready).expect("always there");
    assert_eq!(ready.message, "2 pods, 4 units live");
    let events = events::events(&reported(&starting()), &status, &decide(&running()));
    assert_eq!(events[0].note.as_deref(), Some("2 pods, 4 units live"));
}

#[test]
fn references_are_listed_with_what_was_used_of_them() {
    let with = |schema: &str, unused: &str| {
        let mut observed = edited(created(), |pipeline| {
            pipeline.spec.sources[0].schema =
                serde_saphyr::from_str("configMapKeyRef: {name: click-schema, key: a.json}")
                    .expect("a schema");
        });
        let entries =
            [("a.json", schema), ("b.json", unused)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        observed.config_maps.insert("click-schema".to_owned(), entries.into());
        observed
    };
    let hashes = |observed: &Observed| {
        let references = reported(observed).references;
        references
            .into_iter()
            .map(|reference| (reference.kind, reference.name, reference.hash))
            .collect::<Vec<_>>()
    };
    let first = hashes(&with("{}", "{}"));
    let names: Vec<(&str, &str, bool)> =
        first.iter().map(|(kind, name, hash)| (kind.as_str(), name.as_str(), hash.is_some())).collect();
    let window = ("StreamWindow", "per-user-5m", true);
    let unknown = ("Secret", "my-kafka-access", false);
    assert_eq!(names, [window, ("ConfigMap", "click-schema", true), unknown]);
    assert_eq!(hashes(&with("{}", "[]")), first, "a key that nobody uses");
    let other = hashes(&with(r#"{"type": "object"}"#, "{}"));
    assert_eq!((other[0] == first[0], other[1] == first[1]), (true, false));
    let mut missing = with("{}", "{}");
    missing.config_maps.clear();
    assert_eq!(hashes(&missing)[1].2, None, "what is missing is listed without a hash");
    let told = situations::with_secret(running(), &secret(&[], Some("0a1b")));
    assert_eq!(hashes(&told)[1].2.as_deref(), Some("0a1b"), "as the pods report it");
}

#[test]
fn a_report_that_changes_nothing_is_no_patch() {
    let observed = running();
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
    let running = running();
    assert_eq!(reasons(&starting(), &running), ["Running"]);
    assert_eq!(reasons(&running, &running), Vec::<String>::new());
    assert_eq!(reasons(&running, &with_problems(running.clone(), &[missing_topic()])), ["TopicNotFound"]);
    assert_eq!(reasons(&running, &suspended()), ["Drained", "Suspended"]);
}
