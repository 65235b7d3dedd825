//! Lag, rate, watermark and counters: written at most every 30 seconds, and only when one of them moved by more than a
//! tenth, because every write wakes every watcher. The precise numbers are metrics.

use super::Facts;
use super::counted::Counted;
use crate::pipeline::observe::PodSeen;
use crate::pipeline::plan::Phase;
use control::PodStatus;
use crds::StreamPipelineStatus;
use crds::pipeline::{LagStatus, WindowUse};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Least time between two writes of the numbers.
pub(super) const PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// Writes the numbers if it is time, and returns the counters that the status now stands for. `pods` are those of the
/// newest generation, which wants `wanted` of them.
pub(super) fn write(
    status: &mut StreamPipelineStatus,
    facts: &Facts<'_>,
    pods: &[PodSeen],
    wanted: usize,
    counted: &Counted,
) -> Counted {
    let now = facts.observed.now;
    let measured_at = status.measured_at.as_ref().map(|time| time.0);
    let due = measured_at.is_none_or(|at| now.duration_since(at) >= PAUSE);
    if matches!(facts.decision.phase, Phase::Suspended) {
        (status.lag, status.rate) = (None, None);
        return counted.clone();
    }
    let reports: Vec<(&str, &PodStatus)> =
        pods.iter().filter_map(|pod| Some((pod.name.as_str(), pod.report.as_ref()?))).collect();
    // Before the first report there is nothing to be known.
    if !due || reports.is_empty() && measured_at.is_none() {
        return counted.clone();
    }
    let complete = !reports.is_empty() && reports.len() >= wanted;
    // Of all generations: who stands by counts nothing yet, and who is on the way out may have counted something last.
    let everybody = facts.observed.generations.iter().flat_map(|generation| &generation.pods);
    let everybody = everybody.filter_map(|pod| Some((pod.name.as_str(), pod.report.as_ref()?)));
    let counters = if reports.is_empty() { counted.clone() } else { Counted::of(everybody) };
    let growth = counted.growth(&counters, millis(measured_at));
    let measured = measured(status, facts, complete, &reports, &growth);
    if !moved(status, &measured) {
        return counted.clone();
    }
    *status = StreamPipelineStatus { measured_at: Some(Time(now)), ..measured };
    counters
}

fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millisecond)
}

/// The status with the numbers of now. What one pod does not know, nobody knows; but that event time has come so far, and
/// that a snapshot was taken, stays true while a pod is silent.
fn measured(
    status: &StreamPipelineStatus,
    facts: &Facts<'_>,
    complete: bool,
    reports: &[(&str, &PodStatus)],
    growth: &super::counted::Growth,
) -> StreamPipelineStatus {
    let all = |value: &dyn Fn(&PodStatus) -> Option<f64>| -> Option<Vec<f64>> {
        reports.iter().map(|(_, report)| value(report)).collect::<Option<Vec<_>>>().filter(|_| complete)
    };
    let records = all(&|report| report.lag.records.map(|records| records as f64));
    let seconds = all(&|report| report.lag.seconds);
    let rate = all(&|report| report.rate_records_per_second);
    let lag = LagStatus {
        records: records.map(|records| records.iter().sum::<f64>() as i64),
        seconds: seconds.map(|seconds| seconds.iter().copied().fold(0.0, f64::max) as i64),
    };
    let kept = |now: Option<Time>, before: &Option<Time>| if complete { now } else { before.clone() };
    let watermark = watermark(reports.iter().map(|(_, report)| *report));
    StreamPipelineStatus {
        lag: Some(lag).filter(|lag| lag.records.is_some() || lag.seconds.is_some()),
        rate: rate.map(|rate| rate.iter().sum::<f64>() as i64),
        watermark: kept(watermark, &status.watermark),
        last_checkpoint: kept(whole_second(oldest_snapshot(reports)), &status.last_checkpoint),
        dead_letters: Some(status.dead_letters.unwrap_or(0).saturating_add(signed(growth.dead_letters))),
        windows: windows(status, facts, complete, reports, growth),
        ..status.clone()
    }
}

/// How far event time has come in these pods; one that has read no record yet holds nobody back.
pub(super) fn watermark<'a>(reports: impl Iterator<Item = &'a PodStatus>) -> Option<Time> {
    whole_second(reports.filter_map(|report| report.watermark_ms).min())
}

/// Times are stored in whole seconds: what is left of them would be news at every look.
fn whole_second(ms: Option<i64>) -> Option<Time> {
    Timestamp::from_second(ms?.div_euclid(1_000)).ok().map(Time)
}

/// Unknown as soon as a pod with a committed unit has a unit without a snapshot.
fn oldest_snapshot(reports: &[(&str, &PodStatus)]) -> Option<i64> {
    let has_committed = |report: &&PodStatus| report.units.iter().any(|unit| unit.seq.is_some());
    let committed = reports.iter().map(|(_, report)| *report).filter(has_committed);
    committed.map(|report| report.oldest_snapshot_ms).collect::<Option<Vec<_>>>()?.into_iter().min()
}

fn windows(
    status: &StreamPipelineStatus,
    facts: &Facts<'_>,
    complete: bool,
    reports: &[(&str, &PodStatus)],
    growth: &super::counted::Growth,
) -> Vec<WindowUse> {
    let steps = facts.observed.pipeline.spec.steps.iter();
    let windows = steps.filter(|step| step.window.is_some() || step.window_ref.is_some());
    windows
        .map(|step| {
            let before = status.windows.iter().find(|window| window.step == step.name);
            let of_step =
                reports.iter().flat_map(|(_, report)| &report.windows).filter(|w| w.step == step.name);
            let open: Option<Vec<u64>> = of_step.map(|window| window.open).collect();
            let late = before.and_then(|window| window.late).unwrap_or(0);
            WindowUse {
                step: step.name.clone(),
                window_ref: step.window_ref.as_ref().map(|window| window.name.clone()),
                open: open.filter(|open| complete && !open.is_empty()).map(|open| signed(open.iter().sum())),
                late: Some(late.saturating_add(signed(growth.late.get(&step.name).copied().unwrap_or(0)))),
            }
        })
        .collect()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// True when a number appeared, disappeared or moved by more than a tenth. A clock that moves on is no news, except
/// that it moves at all after half a minute.
fn moved(before: &StreamPipelineStatus, after: &StreamPipelineStatus) -> bool {
    let lag = |status: &StreamPipelineStatus| {
        status.lag.clone().unwrap_or(LagStatus { records: None, seconds: None })
    };
    let numbers = |status: &StreamPipelineStatus| {
        let windows = status.windows.iter().flat_map(|window| [window.open, window.late]);
        let fixed = [lag(status).records, lag(status).seconds, status.rate, status.dead_letters];
        fixed.into_iter().chain(windows).collect::<Vec<_>>()
    };
    let (old, new) = (numbers(before), numbers(after));
    old.len() != new.len()
        || old.iter().zip(&new).any(|(old, new)| by_a_tenth(*old, *new))
        || before.watermark != after.watermark
        || before.last_checkpoint != after.last_checkpoint
}

fn by_a_tenth(old: Option<i64>, new: Option<i64>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old.abs_diff(new) > old.unsigned_abs() / 10,
        (old, new) => old != new,
    }
}
