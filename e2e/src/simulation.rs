//! The real worker loop and the real protocol over the log in memory, in one thread, with everything that chance can do
//! drawn from one seed: who moves next, what the network loses, who is killed, frozen, replaced or drained.
//!
//! The oracle is the same pipeline with one worker and no disturbance: the same records must come out, each once.

mod chance;
mod faults;
mod mutants;
mod saver;
mod world;

pub use chance::Chance;
pub use faults::Matrix;
pub use mutants::mutants;
pub use world::{Outcome, Violation, simulate};

/// A pipeline that reads the topic of all of them, with these steps and sinks.
macro_rules! manifest {
    ($name:literal, $rest:literal) => {
        concat!(
            "apiVersion: weir.dev/v1alpha1\nkind: StreamPipeline\nmetadata: {name: ",
            $name,
            "}\nspec:\n  sources: [{name: in, kafka: {topic: in}, eventTime: {field: ts, maxOutOfOrderness: 2s, idleTimeout: 1h}}]\n",
            $rest
        )
    };
}

/// The pipelines that are simulated: one stage, two and three.
pub const PIPELINES: [&str; 3] = [
    manifest!(
        "pass",
        r"  steps: [{name: kept, filter: {expression: event.n % 10 != 3}}]
  sinks: [{name: passed, kafka: {topic: passed}}]
"
    ),
    manifest!(
        "count",
        r"  steps:
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
"
    ),
    manifest!(
        "chain",
        r"  steps:
    - name: per-group
      window: {keyBy: [group], tumbling: {size: 5s}, aggregates: [{name: records, function: Count}]}
    - name: in-all
      window: {keyBy: [records], tumbling: {size: 20s}, aggregates: [{name: groups, function: Count}]}
  sinks:
    - {name: counts, from: [per-group], kafka: {topic: counts}}
    - {name: sizes, from: [in-all], kafka: {topic: sizes}}
"
    ),
];

/// What each of them is changed to and back from: what it writes to the topics of the first form is the same, although
/// its stages have other names, its windows other neighbours, and its first step another one before it.
pub const SUCCESSORS: [&str; 3] = [
    manifest!(
        "pass",
        r#"  steps:
    - {name: all, filter: {expression: "true"}}
    - {name: kept, filter: {expression: event.n % 10 != 3}}
  sinks:
    - {name: passed, from: [kept], kafka: {topic: passed}}
    - {name: copies, from: [all], kafka: {topic: extra}}
"#
    ),
    manifest!(
        "count",
        r#"  steps:
    - {name: kept, filter: {expression: event.n % 10 != 3}}
    - {name: wide, window: {keyBy: ['n'], tumbling: {size: 9s}, aggregates: [{name: all, function: Count}]}}
    - name: per-group
      from: [kept]
      window:
        keyBy: [group]
        tumbling: {size: 5s}
        aggregates: [{name: records, function: Count}, {name: total, function: Sum, field: 'n'}]
        lateSink: {kafka: {topic: late}}
    - {name: both, from: [wide, per-group], filter: {expression: "true"}}
  sinks:
    - {name: passed, from: [kept], kafka: {topic: passed}}
    - {name: counts, from: [per-group], kafka: {topic: counts}}
    - {name: everything, from: [both], kafka: {topic: extra}}
"#
    ),
    manifest!(
        "chain",
        r#"  steps:
    - {name: all, filter: {expression: "true"}}
    - name: per-group
      window: {keyBy: [group], tumbling: {size: 5s}, aggregates: [{name: records, function: Count}]}
    - {name: some, filter: {expression: "true"}}
    - name: in-all
      window: {keyBy: [records], tumbling: {size: 20s}, aggregates: [{name: groups, function: Count}]}
  sinks:
    - {name: counts, from: [per-group], kafka: {topic: counts}}
    - {name: sizes, from: [in-all], kafka: {topic: sizes}}
    - {name: copies, from: [some], kafka: {topic: extra}}
"#
    ),
];
