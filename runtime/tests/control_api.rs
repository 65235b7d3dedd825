//! The control API, the probes and the metrics page of a pod, through their routers: what is asked, what is answered,
//! and what is remembered.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use axum::body::Body;
use axum::http::{Request, StatusCode};
use control::call::{Accepted, DrainId, Refused, drain_path, promote_path, resume_path};
use control::status::{Problem, UnitState, UnitStatus, WorkerStatus};
use control::{Condition, GenerationFile, PodStatus, Reason};
use pipeline::effect::{Counters, NodeCounters};
use runtime::http::{Served, control_routes, metrics_routes};
use runtime::pod::{Intents, NodeReport, NodeRole, Pod, Report, WindowReport};
use runtime::secrets::Secrets;
use runtime::worker::{Durations, Timings};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

const GENERATION: &str = include_str!("../control/tests/golden/generation-v1.json");

/// A pod of generation 2 that nobody has reported to.
fn served() -> Served {
    Served {
        pod: Arc::new(Pod::default()),
        generation: Arc::new(serde_json::from_str::<GenerationFile>(GENERATION).unwrap()),
        started_at_ms: 1_767_225_600_000,
        secrets: Arc::new(Secrets::default()),
    }
}

fn unit(index: u32, state: UnitState) -> UnitStatus {
    UnitStatus {
        stage: "per-user".into(),
        unit: index,
        worker: 0,
        state,
        reprocessing: false,
        seq: Some(7),
        drain: None,
    }
}

/// A worker whose only unit is in this state.
fn worker(number: u32, state: UnitState) -> Report {
    Report {
        worker: Some(WorkerStatus { worker: number, incarnation: Some("ab".into()) }),
        units: vec![unit(number, state)],
        ..Report::default()
    }
}

fn with(reports: impl IntoIterator<Item = Report>) -> Served {
    let served = served();
    (0..).zip(reports).for_each(|(number, report)| served.pod.report(number, report));
    served
}

async fn call(served: &Served, method: &str, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = control_routes(served.clone()).oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), 4 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get(served: &Served, path: &str) -> (StatusCode, String) {
    call(served, "GET", path, "").await
}

async fn status(served: &Served) -> PodStatus {
    let (code, text) = get(served, control::call::STATUS_PATH).await;
    assert_eq!(code, StatusCode::OK);
    serde_json::from_str(&text).unwrap()
}

async fn post(served: &Served, path: &str) -> Result<(), String> {
    let (code, text) = call(served, "POST", path, r#"{"cut":true}"#).await;
    match code {
        StatusCode::ACCEPTED => {
            assert_eq!(serde_json::from_str::<Accepted>(&text).unwrap().generation, 2);
            Ok(())
        }
        StatusCode::CONFLICT => {
            let refused: Refused = serde_json::from_str(&text).unwrap();
            assert_eq!(refused.generation, 2);
            Err(refused.message)
        }
        other => Err(format!("{other}")),
    }
}

fn id(text: &str) -> DrainId {
    DrainId::new(text).unwrap()
}

const STATES: [UnitState; 9] = [
    UnitState::Restoring,
    UnitState::Standby,
    UnitState::CaughtUp,
    UnitState::Claiming,
    UnitState::Live,
    UnitState::Superseded,
    UnitState::Released,
    UnitState::Cut,
    UnitState::Failed,
];

#[tokio::test]
async fn the_status_names_every_state_as_it_is() {
    for state in STATES {
        let served = with([worker(0, state)]);
        let status = status(&served).await;
        assert_eq!(status.units[0].state, state);
        assert!(status.units_known && status.is_complete());
        assert_eq!((status.generation, &*status.uid8, &*status.api_version), (2, "0a1b2c3d", "v1"));
    }
}

#[tokio::test]
async fn ready_is_only_who_is_live_with_every_unit_and_healthy_is_who_answers() {
    for state in STATES {
        let served = with([worker(0, state), worker(1, UnitState::Live)]);
        let (code, text) = get(&served, "/ready").await;
        let expected =
            if state == UnitState::Live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(code, expected, "{state:?}: {text}");
        assert!(state == UnitState::Live || text.contains("per-user/0"), "{text}");
        assert_eq!(get(&served, "/health").await, (StatusCode::OK, "ok".to_owned()));
    }
    assert_eq!(get(&served(), "/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&served(), "/health").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_worker_between_two_lives_is_not_ready_and_knows_no_units() {
    let between = Report { worker: Some(WorkerStatus { worker: 1, incarnation: None }), ..Report::default() };
    let served = with([worker(0, UnitState::Live), between]);
    assert_eq!(get(&served, "/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let status = status(&served).await;
    assert!(!status.units_known && !status.is_complete());
}

#[tokio::test]
async fn a_pod_without_reports_knows_nothing_and_says_no_zero() {
    let status = status(&served()).await;
    assert!(!status.units_known);
    assert_eq!((status.lag.records, status.lag.seconds, status.rate_records_per_second), (None, None, None));
    assert_eq!((status.watermark_ms, status.last_commit_ms, status.oldest_snapshot_ms), (None, None, None));
}

#[tokio::test]
async fn only_its_own_generation_can_be_promoted() {
    let served = served();
    let refused = post(&served, &promote_path(3)).await.unwrap_err();
    assert!(refused.contains("generation 2, not 3"), "{refused}");
    assert_eq!(status(&served).await.promoted, None);
    for _again in 0..2 {
        assert_eq!(post(&served, &promote_path(2)).await, Ok(()));
    }
    assert_eq!(status(&served).await.promoted, Some(2));
    assert_eq!(post(&served, "/control/v1/promote/two").await, Err("400 Bad Request".to_owned()));
}

#[tokio::test]
async fn one_drain_is_asked_as_often_as_one_likes_another_only_after_it_is_resumed() {
    let served = served();
    assert_eq!(post(&served, &drain_path(&id("d-1"))).await, Ok(()));
    assert_eq!(post(&served, &drain_path(&id("d-1"))).await, Ok(()));
    assert_eq!(post(&served, &drain_path(&id("d-2"))).await, Err("drain `d-1` is not resumed".to_owned()));
    assert_eq!(status(&served).await.drain.as_deref(), Some("d-1"));
    assert_eq!(served.pod.intents().drain, Some((id("d-1"), true)));
    assert_eq!(post(&served, &resume_path(&id("d-1"))).await, Ok(()));
    assert_eq!(post(&served, &resume_path(&id("d-1"))).await, Ok(()));
    assert_eq!(status(&served).await.drain, None);
    assert_eq!(post(&served, &drain_path(&id("d-2"))).await, Ok(()));
    assert_eq!(status(&served).await.drain.as_deref(), Some("d-2"));
}

#[tokio::test]
async fn a_resume_of_another_drain_than_the_newest_is_refused() {
    let served = served();
    post(&served, &drain_path(&id("d-1"))).await.unwrap();
    let refused = post(&served, &resume_path(&id("d-0"))).await;
    assert_eq!(refused, Err("the newest drain is `d-1`".to_owned()));
    assert_eq!(status(&served).await.drain.as_deref(), Some("d-1"));
}

#[tokio::test]
async fn a_resume_that_a_restarted_pod_knows_no_drain_of_is_kept_for_the_journals() {
    let served = served();
    assert_eq!(post(&served, &resume_path(&id("d-9"))).await, Ok(()));
    assert_eq!(served.pod.intents(), Intents { resumed: Some(id("d-9")), ..Intents::default() });
}

#[tokio::test]
async fn ids_and_bodies_that_are_none_change_nothing() {
    let served = served();
    for text in ["UPPER", "a_b", &"x".repeat(64), "%20"] {
        for route in ["drain", "resume"] {
            let refused = post(&served, &format!("/control/v1/{route}/{text}")).await.unwrap_err();
            assert!(refused.contains("is not the id of a drain"), "{route} {text}: {refused}");
        }
    }
    for body in ["", "{}", "[]", r#"{"cut":1}"#] {
        let (code, _) = call(&served, "POST", &drain_path(&id("d-1")), body).await;
        assert!(code.is_client_error(), "{body}: {code}");
    }
    assert_eq!(get(&served, "/control/v1/drain/d-1").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&served, "/control/v2/status").await.0, StatusCode::NOT_FOUND);
    assert_eq!(served.pod.intents(), Intents::default());
}

#[tokio::test]
async fn a_drain_of_the_journal_is_named_only_when_this_process_was_told_its_name() {
    let mut released = worker(0, UnitState::Released);
    released.units[0].drain = Some(runtime::worker::drain_text(runtime::worker::drain_number("d-1")));
    let served = with([released]);
    assert_eq!(status(&served).await.units[0].drain, None);
    post(&served, &drain_path(&id("d-1"))).await.unwrap();
    assert_eq!(status(&served).await.units[0].drain.as_deref(), Some("d-1"));
}

fn node(kind: NodeRole, records: u64, dead_letters: u64) -> NodeReport {
    NodeReport { kind, counters: NodeCounters { records, late: 0, dead_letters } }
}

fn took(milliseconds: u64) -> Durations {
    let mut durations = Durations::default();
    durations.observe(Duration::from_millis(milliseconds));
    durations
}

/// A worker that knows everything.
fn measured() -> Report {
    Report {
        counters: Counters { records_in: 100, records_out: 90, late: 3, dead_letters: 2 },
        nodes: [
            ("clicks".to_owned(), node(NodeRole::Source, 100, 1)),
            ("per-user".to_owned(), node(NodeRole::Window, 99, 0)),
            ("counts".to_owned(), node(NodeRole::Sink, 90, 1)),
        ]
        .into(),
        timings: Timings { processing: took(7), ..Timings::default() },
        queue_records: 5,
        windows: [("per-user".to_owned(), WindowReport { open: Some(4), late: 3 })].into(),
        lag_records: Some(10),
        rate_per_second: Some(2.5),
        oldest_unprocessed_ms: Some(1_000),
        watermark_ms: Some(900),
        last_commit_ms: Some(2_000),
        oldest_snapshot_ms: Some(500),
        oldest_unsaved_ms: Some(500),
        restarts: 1,
        ..worker(0, UnitState::Live)
    }
}

#[tokio::test]
async fn numbers_add_up_over_workers_and_are_unknown_when_one_does_not_know() {
    let other = Report {
        oldest_snapshot_ms: Some(300),
        oldest_unprocessed_ms: None,
        lag_records: Some(0),
        ..measured()
    };
    let both = status(&with([measured(), other])).await;
    assert_eq!((both.records, both.dead_letters, both.worker_restarts), (200, 4, 2));
    assert_eq!((both.lag.records, both.rate_records_per_second), (Some(10), Some(5.0)));
    assert!(both.lag.seconds.is_some_and(|seconds| seconds > 1_000.0), "the age of the record of the first");
    assert_eq!((both.windows[0].open, both.windows[0].late), (Some(8), 6));
    assert_eq!((both.oldest_snapshot_ms, both.watermark_ms), (Some(300), Some(900)));

    let standby = Report { counters: Counters::default(), ..worker(1, UnitState::Standby) };
    let standby = Report { windows: [("per-user".to_owned(), WindowReport::default())].into(), ..standby };
    let unknown = status(&with([measured(), standby])).await;
    assert_eq!((unknown.lag.records, unknown.lag.seconds), (None, None));
    assert_eq!((unknown.rate_records_per_second, unknown.oldest_snapshot_ms), (None, None));
    assert_eq!((unknown.windows[0].open, unknown.windows[0].late), (None, 3));
    assert_eq!(unknown.records, 100);
}

#[tokio::test]
async fn a_lag_of_an_unknown_age_is_not_zero_seconds_and_no_lag_is() {
    let behind = Report { oldest_unprocessed_ms: None, ..measured() };
    assert_eq!(status(&with([behind])).await.lag.seconds, None);
    let done = Report { oldest_unprocessed_ms: None, lag_records: Some(0), ..measured() };
    assert_eq!(status(&with([done])).await.lag.seconds, Some(0.0));
}

#[tokio::test]
async fn problems_are_listed_worst_first_and_bounded() {
    let problem = |permanent, since_ms| Problem {
        reason: Some(Reason::TopicNotFound),
        condition: Condition::SourcesConnected,
        component: None,
        message: "m".into(),
        permanent,
        since_ms,
    };
    let problems = (0..40).map(|at| problem(at == 39, at)).collect();
    let status = status(&with([Report { problems, ..measured() }])).await;
    assert_eq!(status.problems.len(), control::status::PROBLEMS_MAX);
    assert!(status.problems[0].permanent);
}

#[tokio::test]
async fn secrets_are_looked_at_when_asked() {
    let manifest = "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {name: p}\nspec:\n  \
        kafka: {secretRef: {name: access}}\n  sources: [{name: in, kafka: {topic: in}}]\n  \
        sinks: [{name: out, kafka: {topic: out}}]\n";
    let plan = pipeline::plan::from_yaml(manifest).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let served = Served { secrets: Arc::new(Secrets::of(&plan, directory.path(), "shop/p/0a")), ..served() };
    let before = status(&served).await.secrets;
    assert_eq!((&*before[0].name, &*before[0].missing_keys[0]), ("access", "bootstrap.servers"));
    assert_eq!(before[0].hash, None);
    std::fs::create_dir(directory.path().join("access")).unwrap();
    std::fs::write(directory.path().join("access/bootstrap.servers"), "a:1").unwrap();
    let after = status(&served).await.secrets;
    assert!(after[0].missing_keys.is_empty() && after[0].hash.is_some(), "{after:?}");
}

async fn metrics(served: &Served) -> String {
    let request = Request::builder().uri("/metrics").body(Body::empty()).unwrap();
    let answer = metrics_routes(served.clone()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let bytes = axum::body::to_bytes(answer.into_body(), 4 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Name, labels and value.
type Sample = (String, Vec<(String, String)>, f64);

/// Every sample of a page.
fn samples(page: &str) -> Vec<Sample> {
    page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (head, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = head.split_once('{').unwrap_or((head, "}"));
    let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty());
    let labels = labels.map(|label| {
        let (key, value) = label.split_once('=').unwrap();
        (key.to_owned(), value.trim_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect(), value.parse().unwrap())
}

#[tokio::test]
async fn the_metrics_page_parses_and_its_labels_are_names_of_the_pipeline() {
    let page = metrics(&with([measured(), measured()])).await;
    let samples = samples(&page);
    let labelled = |name: &str, wanted: &str| {
        let has = |labels: &[(String, String)]| {
            wanted.is_empty() || labels.iter().any(|(_, value)| value == wanted)
        };
        let sample = samples.iter().find(|(found, labels, _)| found == name && has(labels));
        sample.unwrap_or_else(|| panic!("{name} {wanted} in {page}")).2
    };
    let value = |name: &str| labelled(name, "");
    let expected = [
        ("stream_messages_processed_total", "", 200.0),
        ("stream_consumer_lag", "", 20.0),
        ("weir_open_windows", "per-user", 8.0),
        ("analytics_active_windows", "", 8.0),
        ("weir_late_records_total", "per-user", 6.0),
        ("ingestion_messages_total", "clicks", 200.0),
        ("ingestion_validation_errors_total", "clicks", 2.0),
        ("ingestion_queue_size", "", 10.0),
        ("stream_processing_errors_total", "per-user", 0.0),
        ("stream_processing_errors_total", "counts", 2.0),
        ("analytics_events_processed_total", "per-user", 198.0),
        ("stream_processing_seconds_bucket", "0.005", 0.0),
        ("stream_processing_seconds_bucket", "0.01", 2.0),
        ("stream_processing_seconds_bucket", "+Inf", 2.0),
        ("stream_processing_seconds_count", "", 2.0),
        ("stream_processing_seconds_sum", "", 0.014),
        ("streaming_component_health", "", 1.0),
        ("streaming_active_components", "", 2.0),
    ];
    for (name, label, number) in expected {
        assert!((labelled(name, label) - number).abs() < 1e-9, "{name} {label}: {}", labelled(name, label));
    }
    assert!(value("weir_lag_seconds") > 1.0 && value("weir_snapshot_age_seconds") > 1.0);
    let keys: BTreeSet<_> = samples.iter().flat_map(|(_, labels, _)| labels).map(|(key, _)| &**key).collect();
    assert_eq!(keys, BTreeSet::from(["le", "pipeline", "source", "state", "step"]));
    assert!(samples.iter().flat_map(|(_, labels, _)| labels).all(|(_, value)| value.len() <= 63));
}

#[tokio::test]
async fn health_is_the_share_of_live_units_less_what_is_wrong() {
    let problem = |condition, permanent| Problem {
        reason: None,
        condition,
        component: None,
        message: "m".into(),
        permanent,
        since_ms: 1,
    };
    let with_problem = |problem: Problem| Report { problems: vec![problem], ..measured() };
    let cases = [
        (vec![measured(), worker(1, UnitState::Restoring)], 0.5),
        (vec![with_problem(problem(Condition::SinksConnected, false))], 0.5),
        (vec![with_problem(problem(Condition::Checkpointed, true))], 0.0),
        (vec![with_problem(problem(Condition::WatermarkAdvancing, false))], 1.0),
    ];
    for (reports, health) in cases {
        let served = served();
        for (worker, report) in (0..).zip(reports) {
            served.pod.report(worker, report);
        }
        let page = metrics(&served).await;
        let said = samples(&page).into_iter().find(|(name, _, _)| name == "streaming_component_health");
        assert!(said.is_some_and(|(_, _, value)| (value - health).abs() < 1e-9), "{health} in {page}");
    }
    assert!(!metrics(&served()).await.contains("streaming_component_health"), "nothing is known yet");
}

#[tokio::test]
async fn a_snapshot_of_a_unit_without_anything_new_is_not_old() {
    let saved = Report { oldest_unsaved_ms: None, ..measured() };
    let page = metrics(&with([saved])).await;
    let age = samples(&page).into_iter().find(|(name, _, _)| name == "weir_snapshot_age_seconds");
    assert!(age.is_some_and(|(_, _, age)| age.abs() < 1e-9), "{page}");
}

#[tokio::test]
async fn what_is_not_known_is_not_on_the_metrics_page() {
    let page = metrics(&with([measured(), worker(1, UnitState::Standby)])).await;
    for name in ["stream_consumer_lag", "weir_lag_seconds", "weir_snapshot_age_seconds"] {
        assert!(!page.contains(name), "{name} in {page}");
    }
    assert!(!metrics(&served()).await.contains("stream_consumer_lag"));
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_one_exists() {
    let text = include_str!("../../docs/reference/metrics.md");
    let (of_pods, _) = text.split_once("\n## Of the operator\n").unwrap();
    let documented: BTreeSet<_> =
        of_pods.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let page = metrics(&with([measured()])).await;
    let names = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let own: BTreeSet<_> = names.filter(|name| !name.starts_with("process_")).collect();
    assert_eq!(documented, own);
}
