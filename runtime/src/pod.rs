//! What the threads of one process share: intents on the way in, reports on the way out.
//!
//! Intents come from the control API or a signal and are only wishes: the protocol decides. Reports are made by the
//! workers at most twice a second; everybody else only reads them.

use crate::clock;
use crate::worker::Timings;
use control::call::DrainId;
use control::status::{PartitionLag, Problem, UnitStatus, WorkerStatus};
use pipeline::effect::{Counters, NodeCounters};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What somebody outside wants of the workers of this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intents {
    /// The generation that may claim.
    pub promoted: Option<u64>,
    /// Drain under this id; with `true` the state is made durable afterwards (`Cut`).
    pub drain: Option<(DrainId, bool)>,
    /// The drain that is over.
    pub resumed: Option<DrainId>,
    /// Finish the commit and end.
    pub stop: bool,
}

/// What one worker says about itself.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Number and incarnation.
    pub worker: Option<WorkerStatus>,
    /// Its units.
    pub units: Vec<UnitStatus>,
    /// Records and late and bad ones, committed since the process started.
    pub counters: Counters,
    /// Every source, step and sink of the plan: what is committed since the process started.
    pub nodes: BTreeMap<String, NodeReport>,
    /// How long its work took, since the process started.
    pub timings: Timings,
    /// Records read and not committed yet.
    pub queue_records: u64,
    /// Every window step of the plan.
    pub windows: BTreeMap<String, WindowReport>,
    /// Input records not yet processed by its live units; none while it is not live, and before the first look.
    pub lag_records: Option<u64>,
    /// The partition with most of them; none when there are none.
    pub laggiest: Option<PartitionLag>,
    /// Input records per second over the last 30 seconds; none during the first 30.
    pub rate_per_second: Option<f64>,
    /// Timestamp of the oldest record not yet processed, milliseconds, estimated; none when there is none, or when it
    /// is not known.
    pub oldest_unprocessed_ms: Option<i64>,
    /// Lowest watermark of its live units.
    pub watermark_ms: Option<i64>,
    /// The newest commit.
    pub last_commit_ms: Option<i64>,
    /// When the oldest of the newest durable snapshots of its units was taken; none when a unit that has committed has
    /// none, and when no unit has committed.
    pub oldest_snapshot_ms: Option<i64>,
    /// The same over its units that have committed something since; none when there is no such unit.
    pub oldest_unsaved_ms: Option<i64>,
    /// Its units that have committed have durable state of their own plan.
    pub settled: bool,
    /// The highest generation in any journal that it reads.
    pub newest_generation: Option<u64>,
    /// Another plan or placement claimed under our generation number.
    pub generation_collision: bool,
    /// How often it went back to *Going live*.
    pub restarts: u64,
    /// Bytes of state.
    pub state_bytes: u64,
    /// What is wrong now.
    pub problems: Vec<Problem>,
    /// It has nothing more to do: all input ended, or it was stopped.
    pub finished: bool,
}

/// One source, step or sink, over the units of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// What it is.
    pub kind: NodeRole,
    /// What was counted at it.
    pub counters: NodeCounters,
}

/// What a node of a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRole {
    /// Reads records.
    Source,
    /// Adds records up in windows.
    Window,
    /// Any other step.
    Step,
    /// Takes records.
    Sink,
}

/// One window step, over the units of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowReport {
    /// Windows with state in its live units; none while it is not live.
    pub open: Option<u64>,
    /// Late records, committed since the process started.
    pub late: u64,
}

/// Shared by the threads of one process.
#[derive(Debug, Default)]
pub struct Pod {
    intents: Mutex<Intents>,
    /// With the time at which it was made, since the process first asked for one.
    reports: Mutex<BTreeMap<u32, (Duration, Report)>>,
}

impl Pod {
    /// The intents as they are now.
    pub fn intents(&self) -> Intents {
        lock(&self.intents).clone()
    }

    /// Changes the intents.
    pub fn intend<T>(&self, change: impl FnOnce(&mut Intents) -> T) -> T {
        change(&mut lock(&self.intents))
    }

    /// Replaces the report of a worker.
    pub fn report(&self, worker: u32, report: Report) {
        lock(&self.reports).insert(worker, (clock::elapsed(), report));
    }

    /// The counters of some workers, added up.
    pub fn counters(&self, workers: std::ops::Range<u32>) -> Counters {
        let mut sum = Counters::default();
        lock(&self.reports).range(workers).for_each(|(_, (_, report))| sum.add(report.counters));
        sum
    }

    /// All reports, by worker.
    pub fn reports(&self) -> Vec<Report> {
        lock(&self.reports).values().map(|(_, report)| report.clone()).collect()
    }

    /// For how long the worker has been silent that has said nothing for longest; who has finished says no more.
    pub fn silence(&self) -> Duration {
        let reports = lock(&self.reports);
        let made = reports.values().filter(|(_, report)| !report.finished).map(|(at, _)| *at).min();
        made.map_or(Duration::ZERO, |at| clock::elapsed().saturating_sub(at))
    }
}

/// A thread that panicked has left whole values behind: they are replaced, never edited half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
