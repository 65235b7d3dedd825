//! The real worker loop and the real protocol over the log in memory, in one thread, with everything that chance can do
//! drawn from one seed: who moves next, what the network loses, who is killed, frozen, replaced or drained.
//!
//! The oracle is the same pipeline with one worker and no disturbance: the same records must come out, each once.

mod chance;
mod faults;
mod mutants;
mod world;

pub use chance::Chance;
pub use faults::Matrix;
pub use mutants::mutants;
pub use world::{Outcome, Violation, simulate};

/// The pipelines that are simulated: one stage, two and three.
pub const PIPELINES: [&str; 3] = [
    r#"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: pass}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, maxOutOfOrderness: 2s, idleTimeout: 1h}}]
  steps: [{name: kept, filter: {expression: event.n % 10 != 3}}]
  sinks: [{name: passed, kafka: {topic: passed}}]
"#,
    r#"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: count}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, maxOutOfOrderness: 2s, idleTimeout: 1h}}]
  steps:
    - {name: kept, filter: {expression: event.n % 10 != 3}}
    - name: per-group
      window:
        keyBy: [group]
        tumbling: {size: 5s}
        aggregates: [{name: records, function: Count}, {name: total, function: Sum, field: 'n'}]
        lateSink: {kafka: {topic: late}}
  sinks:
    - {name: passed, from: [kept], kafka: {topic: passed}}
    - {name: counts, from: [per-group], kafka: {topic: counts}}
"#,
    r#"apiVersion: weir.dev/v1alpha1
kind: StreamPipeline
metadata: {name: chain}
spec:
  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, maxOutOfOrderness: 2s, idleTimeout: 1h}}]
  steps:
    - name: per-group
      window: {keyBy: [group], tumbling: {size: 5s}, aggregates: [{name: records, function: Count}]}
    - name: in-all
      window: {keyBy: [records], tumbling: {size: 20s}, aggregates: [{name: groups, function: Count}]}
  sinks:
    - {name: counts, from: [per-group], kafka: {topic: counts}}
    - {name: sizes, from: [in-all], kafka: {topic: sizes}}
"#,
];
