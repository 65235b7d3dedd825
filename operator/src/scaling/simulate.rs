//! A policy against a trace: what it would have decided. Pure, and the same decision as on a cluster.

mod trace;

pub use trace::{Row, Trace, TraceError};

use super::decide::{Decision, decide};
use super::history::History;
use super::observation::{Observation, Placement};
use ::pipeline::scaling::Policy;
use jiff::{SignedDuration, Timestamp};

/// Where a simulation begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// Pods.
    pub replicas: u32,
    /// What the work is divided into.
    pub placement: Placement,
    /// How long the output stands still at a change, in seconds.
    pub pause_seconds: Option<f64>,
    /// The time of second 0.
    pub epoch: Timestamp,
}

/// The decisions of a policy, one for each row. Every decision is carried out at once, also that of a policy that only
/// tries; the trace does not answer to it.
pub fn simulate(policy: &Policy, start: &Start, trace: &Trace) -> Vec<Decision> {
    let mut replicas = start.replicas;
    let mut history: Option<History> = None;
    let mut decisions = Vec::with_capacity(trace.rows.len());
    for row in &trace.rows {
        let now = at(start.epoch, row.seconds);
        let history = history
            .get_or_insert_with(|| History::begin(now, replicas, None).with_pause(start.pause_seconds));
        let placement = start.placement.clone();
        let observation = Observation { replicas, placement, readings: row.readings, hot: None };
        let decision = decide(policy, history, &observation, now);
        history.record(now, &observation, decision.wish);
        history.notice(now, decision.desired);
        replicas = decision.desired;
        decisions.push(decision);
    }
    decisions
}

/// The trace says that its seconds are in range.
fn at(epoch: Timestamp, seconds: f64) -> Timestamp {
    epoch.checked_add(SignedDuration::from_millis((seconds * 1_000.0) as i64)).unwrap_or(Timestamp::MAX)
}

/// The decisions as CSV, one line for each row of the trace.
pub fn csv(trace: &Trace, decisions: &[Decision]) -> String {
    let mut text = "seconds,replicas,limited_by,reason\n".to_owned();
    for (row, decision) in trace.rows.iter().zip(decisions) {
        let limit = decision.limited_by.map(super::Limit::as_str).unwrap_or_default();
        text.push_str(&format!("{},{},{limit},{}\n", row.text, decision.desired, cell(&decision.reason)));
    }
    text
}

/// Text that ends no cell.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
