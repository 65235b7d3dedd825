//! Topics of the user that do not exist: named with who wants them and what was probably meant, and waited for.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use connect::memory::{Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use control::{Condition, Reason};
use runtime::local::{Bounds, LocalEnvironment, setup, timing};
use runtime::pod::Intents;
use runtime::worker::{Now, Worker};
use std::sync::Arc;
use std::time::Duration;

const PIPELINE: &str = "apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: p}
spec:
  sources: [{name: in, kafka: {topic: clicks}}]
  sinks: [{name: out, kafka: {topic: counts}}]
";

/// The first problem that a new worker reports.
fn problem(log: &Log) -> Option<(Condition, Option<Reason>, String)> {
    let plan = Arc::new(pipeline::plan::from_yaml(PIPELINE).unwrap());
    let store = Uploads::inline(MemoryStore::new());
    let environment = LocalEnvironment::new(log.clone(), store, Bounds::default());
    let mut worker = Worker::new(setup(&plan, 0, 1), environment, timing(&plan));
    let now = Now { monotonic_ms: 0, wall_ms: 0 };
    for _ in 0..10 {
        worker.step(now, Duration::ZERO, &Intents::default());
    }
    let problems = worker.report().problems;
    assert!(problems.iter().all(|problem| !problem.permanent), "{problems:?}");
    problems.into_iter().next().map(|problem| (problem.condition, problem.reason, problem.message))
}

#[test]
fn a_missing_topic_is_named_with_its_user_and_what_was_meant() {
    let log = Log::new(Settings::default());
    log.create_topic("weir.clicks", 1);
    let told = |condition, message: &str| Some((condition, Some(Reason::TopicNotFound), message.to_owned()));
    let source = Condition::SourcesConnected;
    assert_eq!(problem(&log), told(source, "source 'in': topic `clicks` was not found"));
    log.create_topic("clickz", 1);
    assert_eq!(
        problem(&log),
        told(source, "source 'in': topic `clicks` was not found; did you mean `clickz`?")
    );
    log.create_topic("clicks", 1);
    log.create_topic("count", 1);
    let sink = "sink 'out': topic `counts` was not found; did you mean `count`?";
    assert_eq!(problem(&log), told(Condition::SinksConnected, sink));
    log.create_topic("counts", 1);
    assert_eq!(problem(&log), None);
}
