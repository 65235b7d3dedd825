//! From the reports of the workers to what the pod says about itself. Pure.

use crate::http::Served;
use crate::pod::{Intents, Report};
use crate::worker::{drain_number, drain_text};
use control::PodStatus;
use control::call::API_VERSION;
use control::status::{Lag, PROBLEMS_MAX, UnitStatus, WindowStatus};

/// The answer to `GET /control/v1/status`.
pub fn pod_status(served: &Served, now_ms: i64) -> PodStatus {
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
        units_known: !reports.is_empty() && reports.iter().all(knows_its_units),
        lag: lag(&reports, now_ms),
        rate_records_per_second: rate(&reports),
        watermark_ms: reports.iter().filter_map(|r| r.watermark_ms).min(),
        records: reports.iter().map(|r| r.counters.records_in).sum(),
        dead_letters: reports.iter().map(|r| r.counters.dead_letters).sum(),
        windows: windows(&reports),
        last_commit_ms: reports.iter().filter_map(|r| r.last_commit_ms).max(),
        oldest_snapshot_ms: reports.iter().filter_map(|r| r.oldest_snapshot_ms).min(),
        worker_restarts: reports.iter().map(|r| r.restarts).sum(),
        problems,
        secrets: Vec::new(),
    }
}

/// Between two lives a worker knows nothing.
fn knows_its_units(report: &Report) -> bool {
    report.worker.as_ref().is_some_and(|worker| worker.incarnation.is_some())
}

/// Workers name a drain as the journal does, by a number; who asks knows it by the name that this process was told.
fn with_drain(unit: &UnitStatus, intents: &Intents) -> UnitStatus {
    let told = intents.drain.iter().map(|(id, _)| id).chain(&intents.resumed);
    let name = |number: &String| told.clone().find(|id| drain_text(drain_number(id.as_str())) == *number);
    UnitStatus { drain: unit.drain.as_ref().and_then(name).map(ToString::to_string), ..unit.clone() }
}

/// Unknown as soon as one worker does not know its part.
fn lag(reports: &[Report], now_ms: i64) -> Lag {
    let records =
        reports.iter().map(|r| r.lag_records).collect::<Option<Vec<_>>>().map(|all| all.iter().sum());
    let oldest = reports.iter().filter_map(|r| r.oldest_unprocessed_ms).min();
    let seconds = records.map(|_: u64| oldest.map_or(0.0, |at| (now_ms - at).max(0) as f64 / 1_000.0));
    Lag { records, seconds }
}

/// Unknown as soon as one worker has not run for long enough.
fn rate(reports: &[Report]) -> Option<f64> {
    reports.iter().map(|r| r.rate_per_second).sum()
}

fn windows(reports: &[Report]) -> Vec<WindowStatus> {
    let mut all = std::collections::BTreeMap::<&str, (u64, u64)>::new();
    for (step, (open, late)) in reports.iter().flat_map(|r| &r.windows) {
        let sums = all.entry(step).or_default();
        sums.0 += open;
        sums.1 += late;
    }
    let status = |(step, (open, late)): (&str, (u64, u64))| WindowStatus {
        step: step.to_owned(),
        open: Some(open),
        late,
    };
    all.into_iter().map(status).collect()
}
