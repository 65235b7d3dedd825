//! From the reports of the workers to what the pod says about itself. Pure.

use crate::http::Served;
use crate::pod::{Intents, NodeReport, Report, WindowReport};
use crate::usage::usage;
use crate::worker::{Timings, drain_number, drain_text};
use control::Condition;
use control::PodStatus;
use control::call::API_VERSION;
use control::status::{
    Lag, PROBLEMS_MAX, PartitionLag, Processing, SecretStatus, UnitState, UnitStatus, WindowStatus,
};
use std::collections::BTreeMap;

/// The answer to `GET /control/v1/status`. `secrets` is what is mounted now.
pub fn pod_status(served: &Served, secrets: Vec<SecretStatus>, now_ms: i64) -> PodStatus {
    let reports = served.pod.reports();
    let intents = served.pod.intents();
    let file = &served.generation;
    let mut problems: Vec<_> = reports.iter().flat_map(|r| r.problems.iter().cloned()).collect();
    problems.sort_by_key(|p| (!p.permanent, p.since_ms));
    problems.truncate(PROBLEMS_MAX);
    let drain = intents.drain.as_ref().filter(|(id, _)| intents.resumed.as_ref() != Some(id));
    PodStatus {
        api_version: API_VERSION.to_owned(),
        uid8: file.uid8.clone(),
        generation: file.generation,
        plan_hash: file.plan_hash.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_ms: served.started_at_ms,
        newest_generation: reports.iter().filter_map(|r| r.newest_generation).max(),
        generation_collision: reports.iter().any(|r| r.generation_collision),
        promoted: intents.promoted,
        drain: drain.map(|(id, _)| id.to_string()),
        workers: reports.iter().filter_map(|r| r.worker.clone()).collect(),
        units: reports.iter().flat_map(|r| &r.units).map(|unit| with_drain(unit, &intents)).collect(),
        units_known: units_known(&reports),
        lag: lag(&reports, now_ms),
        rate_records_per_second: rate(&reports),
        queue_records: queue(&reports),
        processing: processing(&reports),
        health: health(&reports),
        usage: usage(),
        laggiest: laggiest(&reports),
        watermark_ms: reports.iter().filter_map(|r| r.watermark_ms).min(),
        records: reports.iter().map(|r| r.counters.records_in).sum(),
        dead_letters: reports.iter().map(|r| r.counters.dead_letters).sum(),
        windows: windows(&reports),
        last_commit_ms: reports.iter().filter_map(|r| r.last_commit_ms).max(),
        oldest_snapshot_ms: oldest_snapshot(&reports),
        settled: Some(!reports.is_empty() && reports.iter().all(|report| report.settled)),
        worker_restarts: reports.iter().map(|r| r.restarts).sum(),
        problems,
        secrets,
    }
}

/// Between two lives a worker knows nothing.
pub(crate) fn units_known(reports: &[Report]) -> bool {
    let knows = |report: &Report| report.worker.as_ref().is_some_and(|worker| worker.incarnation.is_some());
    !reports.is_empty() && reports.iter().all(knows)
}

/// Workers name a drain as the journal does, by a number; who asks knows it by the name that this process was told.
fn with_drain(unit: &UnitStatus, intents: &Intents) -> UnitStatus {
    let told = intents.drain.iter().map(|(id, _)| id).chain(&intents.resumed);
    let name = |number: &String| told.clone().find(|id| drain_text(drain_number(id.as_str())) == *number);
    UnitStatus { drain: unit.drain.as_ref().and_then(name).map(ToString::to_string), ..unit.clone() }
}

/// Unknown as soon as one worker does not know its part.
pub(crate) fn lag(reports: &[Report], now_ms: i64) -> Lag {
    if reports.is_empty() {
        return Lag::default();
    }
    let age = |report: &Report| match report.lag_records? {
        0 => Some(0.0),
        _ => report.oldest_unprocessed_ms.map(|at| now_ms.saturating_sub(at).max(0) as f64 / 1_000.0),
    };
    let ages: Option<Vec<f64>> = reports.iter().map(age).collect();
    Lag {
        records: reports.iter().map(|r| r.lag_records).sum(),
        seconds: ages.map(|ages| ages.into_iter().fold(0.0, f64::max)),
    }
}

/// Unknown as soon as one worker is not live: what it has read is gone.
fn queue(reports: &[Report]) -> Option<u64> {
    let live = |report: &Report| report.lag_records.map(|_| report.queue_records);
    Some(reports).filter(|reports| !reports.is_empty())?.iter().map(live).sum()
}

/// All commits of all workers.
fn processing(reports: &[Report]) -> Option<Processing> {
    let all = Some(reports).filter(|reports| !reports.is_empty()).map(timings)?;
    Some(Processing { seconds: all.ingestion.seconds(), commits: all.ingestion.count() })
}

/// Unknown as soon as one worker does not know its part.
fn laggiest(reports: &[Report]) -> Option<PartitionLag> {
    let known = reports.iter().all(|report| report.lag_records.is_some());
    let all = reports.iter().filter_map(|report| report.laggiest.as_ref()).filter(|_| known);
    all.max_by_key(|lag| lag.records).cloned()
}

/// Unknown as soon as a worker with a committed unit does not know its part.
pub(crate) fn oldest_snapshot(reports: &[Report]) -> Option<i64> {
    let committed = reports.iter().filter(|report| report.units.iter().any(|unit| unit.seq.is_some()));
    committed.map(|report| report.oldest_snapshot_ms).collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// From 0 to 1: the share of the units that are live; half of it while something is wrong that may pass, 0 when it does
/// not pass by itself. Unknown until every worker knows its units.
pub(crate) fn health(reports: &[Report]) -> Option<f64> {
    if !units_known(reports) {
        return None;
    }
    let units = || reports.iter().flat_map(|report| &report.units);
    let live = units().filter(|unit| unit.state == UnitState::Live).count();
    let share = if units().next().is_none() { 1.0 } else { live as f64 / units().count() as f64 };
    let problems = reports.iter().flat_map(|report| &report.problems);
    let worst = problems
        .filter(|problem| problem.condition != Condition::WatermarkAdvancing)
        .map(|problem| if problem.permanent { 0.0 } else { 0.5 })
        .fold(1.0, f64::min);
    Some(share * worst)
}

/// Every source, step and sink, added up over the workers.
pub(crate) fn nodes(reports: &[Report]) -> BTreeMap<&str, NodeReport> {
    let mut all = BTreeMap::<&str, NodeReport>::new();
    for (name, node) in reports.iter().flat_map(|report| &report.nodes) {
        all.entry(name).and_modify(|sum| sum.counters.add(node.counters)).or_insert(*node);
    }
    all
}

/// How long the work of all workers took.
pub(crate) fn timings(reports: &[Report]) -> Timings {
    let mut all = Timings::default();
    for report in reports {
        all.add(&report.timings);
    }
    all
}

/// Unknown as soon as one worker has not run for long enough.
pub(crate) fn rate(reports: &[Report]) -> Option<f64> {
    Some(reports).filter(|reports| !reports.is_empty())?.iter().map(|r| r.rate_per_second).sum()
}

/// Late records add up; the open windows are unknown as soon as one worker does not know its part.
pub(crate) fn windows(reports: &[Report]) -> Vec<WindowStatus> {
    let mut all = BTreeMap::<&str, WindowReport>::new();
    for (step, window) in reports.iter().flat_map(|r| &r.windows) {
        all.entry(step)
            .and_modify(|sum| {
                sum.open = sum.open.zip(window.open).map(|(a, b)| a + b);
                sum.late += window.late;
            })
            .or_insert(*window);
    }
    let status = |(step, window): (&str, WindowReport)| WindowStatus {
        step: step.to_owned(),
        open: window.open,
        late: window.late,
    };
    all.into_iter().map(status).collect()
}
