//! A bounded run ends when its input is processed and committed: it waits neither for the interval of idle commits nor for
//! the next snapshot. The clock is a number here.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use connect::door::Partitioning;
use connect::memory::{Log, Settings};
use connect::snapshot::{MemoryStore, Uploads};
use pipeline::record::{NewRecord, RecordBatch};
use runtime::local::{Bounds, LocalEnvironment, setup, timing};
use runtime::pod::Intents;
use runtime::worker::{Now, Step, Worker};
use std::sync::Arc;
use std::time::Duration;

const PASS: &str = "steps: []";
const COUNT: &str = "steps: [{name: w, window: {keyBy: [u], tumbling: {size: 1m}, aggregates: [{name: clicks, function: Count}]}}]";
/// One step takes a millisecond; idle commits come every 5 000, snapshots every 60 000.
const STEPS_MAX: u64 = 2_000;

/// Steps until the worker has finished.
fn steps_to_the_end(steps: &str, values: &[&str]) -> Option<u64> {
    let text = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {{name: p}}\nspec:\n  sources: [{{name: in, kafka: \
         {{topic: in}}}}]\n  {steps}\n  sinks: [{{name: out, kafka: {{topic: out}}}}]\n"
    );
    let plan = Arc::new(pipeline::plan::from_yaml(&text).unwrap());
    let (log, bounds) = (Log::new(Settings::default()), Bounds::default());
    log.create_topic("in", 1);
    log.create_topic("out", 1);
    let mut batch = RecordBatch::new();
    for value in values {
        batch.push(NewRecord { value: Some(value.as_bytes()), ..NewRecord::default() });
    }
    log.append("in", Partitioning::Exact(0), &batch).unwrap();
    bounds.end_topics(&log, ["in".to_owned()]);
    let environment = LocalEnvironment::new(log.clone(), Uploads::inline(MemoryStore::new()), bounds);
    let mut worker = Worker::new(setup(&plan, 0, 1), environment, timing(&plan));
    (0..STEPS_MAX).find(|step| {
        let now = Now { monotonic_ms: *step, wall_ms: *step as i64 };
        worker.step(now, Duration::ZERO, &Intents::default()) == Step::Finished
    })
}

#[test]
fn a_run_ends_when_its_input_is_committed() {
    for steps in [PASS, COUNT] {
        for values in [&[][..], &["no json"], &[r#"{"u":1}"#, r#"{"u":2}"#]] {
            assert!(steps_to_the_end(steps, values).is_some(), "{steps} {values:?}");
        }
    }
}
