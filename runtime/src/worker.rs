//! The one loop that owns clock, log and units. It reads, asks the protocol what to do, and does it; the meaning of
//! records is in `pipeline`, the rules of writing are in `protocol`.
//!
//! ```text
//!  open ──> read journals, replay ──> GoingLive: claim, fence, read ──> live: apply, commit, snapshot
//!    ^                                                                        │
//!    └───────────── anything that leaves us not knowing ──────────────────────┘
//! ```
//!
//! A worker is stepped from outside: one call does a bounded piece of work, so that a thread drives it with waiting and
//! a simulation drives many of them without.

mod claim;
mod cut;
mod error;
mod heritage;
mod journals;
mod kept;
mod life;
mod live;
mod measure;
mod nodes;
mod poison;
mod rewind;
mod secrets;
mod setup;
mod tally;
mod timing;
mod unit;

pub use error::WorkerError;
pub use life::{drain_number, drain_text};
pub use live::{COMMIT_BYTES, TRIM_EVERY_MS};
pub use setup::{Environment, SEMANTICS, Setup, Surroundings};
pub use timing::{Durations, Timings};

use crate::pod::{Intents, Report};
use control::call::{DrainId, bounded_message};
use control::status::{Problem, UnitState, WorkerStatus};
use control::{Condition, Reason};
use life::{Life, Stop};
use measure::Rate;
use nodes::{nodes, windows};
use protocol::commit::Timing;
use protocol::going_live::Comeback;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tally::Tally;

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since some start; only grows.
    pub monotonic_ms: u64,
    /// Milliseconds since the epoch.
    pub wall_ms: i64,
}

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something moved.
    Moved,
    /// Nothing to do now.
    Waited,
    /// Nothing more to do, ever: all input ended, or it was told to stop.
    Finished,
}

/// How long a failure is waited out: doubled each time, from the first to the last, in milliseconds.
const RETRY_MS: (u64, u64) = (200, 10_000);

/// How long a worker that has left everything to others waits before it looks whether they have it, in milliseconds.
const LEFT_MS: u64 = 2_000;

/// One worker.
pub struct Worker<E: Environment> {
    setup: Setup,
    environment: E,
    timing: Timing,
    life: Option<Life<E::Io>>,
    comeback: Comeback,
    /// Times in a row that it stood aside.
    aside: u32,
    /// Stages that only earlier plans have, as the journals tell.
    stages: BTreeSet<Arc<str>>,
    retry_at_ms: u64,
    retries: u32,
    problem: Option<Problem>,
    end: Option<End>,
    /// The drain for which it began another life after it had failed for good.
    tried_to_finish: Option<DrainId>,
    /// What the life that ended for good said of itself.
    last_words: Option<Report>,
    restarts: u64,
    was_live: bool,
    /// What the last life missed in the log or among the snapshots.
    gone: Option<String>,
    live_since_ms: u64,
    /// Lives in a row that ended before they had committed anything.
    barren: u32,
    /// It has worked with the keys that its plan has: they stay until it is drained.
    keyed: bool,
    /// What was counted in the lives that are over.
    tally: Tally,
    /// And how long their work took.
    timings: Timings,
    rate: Rate,
}

/// Why a worker has nothing more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Finished,
    Superseded,
    Collision,
    Failed,
}

impl<E: Environment> Worker<E> {
    /// A worker that has done nothing yet.
    pub fn new(setup: Setup, environment: E, timing: Timing) -> Self {
        Self {
            setup,
            environment,
            timing,
            life: None,
            comeback: Comeback::Fresh,
            aside: 0,
            stages: BTreeSet::new(),
            retry_at_ms: 0,
            retries: 0,
            problem: None,
            end: None,
            tried_to_finish: None,
            last_words: None,
            restarts: 0,
            was_live: false,
            gone: None,
            live_since_ms: 0,
            barren: 0,
            keyed: false,
            tally: Tally::default(),
            timings: Timings::default(),
            rate: Rate::default(),
        }
    }

    /// Does a bounded piece of work; waits for records up to `wait` when there is nothing else.
    pub fn step(&mut self, now: Now, wait: Duration, intents: &Intents) -> Step {
        let life = self.life.as_ref().and_then(Life::tally).map_or(0, |tally| tally.counters.records_in);
        self.rate.sample(now.monotonic_ms, self.tally.counters.records_in + life);
        self.finishes_after_all(intents);
        match self.end {
            Some(End::Finished) => return Step::Finished,
            Some(_) if intents.stop => return Step::Finished,
            Some(_) => return Step::Waited,
            None => {}
        }
        if self.life.is_none() && intents.stop {
            self.end = Some(End::Finished);
            return Step::Finished;
        }
        if self.life.is_none() && now.monotonic_ms < self.retry_at_ms {
            return Step::Waited;
        }
        let stop = match poison::caught(|| self.advance(now, wait, intents)) {
            Ok(Ok(step)) => return step,
            Ok(Err(stop)) => stop,
            Err(cause) => Stop::Failed(WorkerError::Panic { cause }),
        };
        if self.life.as_ref().is_some_and(Life::has_left) && !secrets::has_resumed(intents) {
            // Whoever takes over is at it, and needs the machine more.
            self.retry_at_ms = now.monotonic_ms + LEFT_MS;
        }
        self.stopped(stop, now)
    }

    /// A worker that has failed for good gets one more life to leave in good order, when it is told to: it reads nothing in
    /// it, and what it has committed is right.
    fn finishes_after_all(&mut self, intents: &Intents) {
        let Some((id, _)) = intents.drain.as_ref().filter(|(id, _)| intents.resumed.as_ref() != Some(id))
        else {
            return;
        };
        if self.end == Some(End::Failed) && self.tried_to_finish.as_ref() != Some(id) {
            self.tried_to_finish = Some(id.clone());
            self.end = None;
            self.last_words = None;
        }
    }

    fn advance(&mut self, now: Now, wait: Duration, intents: &Intents) -> Result<Step, Stop> {
        let Some(life) = &mut self.life else {
            if !self.keyed || secrets::has_resumed(intents) {
                secrets::renew(&mut self.setup, &mut self.environment)?;
            }
            let life = Life::open(&self.setup, &mut self.environment, self.comeback, &self.stages)?;
            tracing::info!(worker = self.setup.worker.0, phase = "Restoring", "reading journals");
            self.life = Some(life);
            return Ok(Step::Moved);
        };
        if life.may_part() && self.environment.is_outdated() {
            return Err(life.start_over("the way to Kafka has changed"));
        }
        let step = life.step(&self.setup, &mut self.environment, self.timing, now, wait, intents)?;
        if life.is_live() && !self.was_live {
            self.was_live = true;
            self.keyed = true;
            self.live_since_ms = now.monotonic_ms;
            self.aside = 0;
            self.gone = None;
            tracing::info!(worker = self.setup.worker.0, phase = "Live", "live");
        }
        // What failed live may fail again at the first commit: only one that succeeds shows that it is over, or a while with
        // nothing to commit.
        let lasts = life.may_part() && now.monotonic_ms >= self.live_since_ms + RETRY_MS.1;
        if self.was_live && (self.barren == 0 || life.has_committed() || lasts) {
            self.barren = 0;
            self.retries = 0;
            self.problem = None;
        }
        if step == Step::Finished {
            self.end = Some(End::Finished);
        }
        Ok(step)
    }

    /// A life is over.
    fn stopped(&mut self, stop: Stop, now: Now) -> Step {
        let last_words = self.life.as_ref().map(|_| self.report());
        let committed = self.life.as_ref().is_some_and(Life::has_committed);
        if let Some(life) = self.life.take() {
            self.tally.add(life.tally().unwrap_or(&Tally::default()));
            self.timings.add(life.timings().unwrap_or(&Timings::default()));
        }
        if std::mem::take(&mut self.was_live) {
            self.restarts += 1;
            self.barren = if committed { 0 } else { self.barren + 1 };
        }
        let worker = self.setup.worker.0;
        match stop {
            Stop::StartOver { previous, why } => {
                tracing::info!(worker, why = &*why, "starts over");
                // Once may be chance, and a hand-over must not wait for it.
                if self.barren > 1 {
                    self.failed_again(&why, now);
                }
                self.comeback = previous.map_or(Comeback::Fresh, |previous| Comeback::Lost {
                    previous,
                    attempt: self.aside,
                    since_ms: now.monotonic_ms,
                });
            }
            Stop::StandAside { until_ms } => {
                tracing::warn!(worker, until_ms, "another life of this worker is newer: standing aside");
                self.aside += 1;
                self.comeback = Comeback::Fresh;
                self.retry_at_ms = until_ms;
            }
            Stop::Gone { what, error } if self.gone.as_ref() == Some(&what) => self.failed(&error, now),
            Stop::Gone { what, error } => {
                tracing::info!(worker, what, "starts over: {}", chain(&error));
                self.comeback = Comeback::Fresh;
                self.gone = Some(what);
            }
            Stop::Stages(stages) => {
                tracing::info!(worker, ?stages, "an earlier plan had more stages");
                self.stages.extend(stages);
            }
            Stop::Superseded => {
                tracing::info!(worker, phase = "Superseded", "a newer generation has taken over");
                self.end = Some(End::Superseded);
            }
            Stop::Collision if self.setup.generation.is_none() => self.comeback = Comeback::Fresh,
            Stop::Collision => {
                tracing::error!(worker, "the generation number is taken by another plan or placement");
                self.end = Some(End::Collision);
            }
            Stop::Failed(error) => self.failed(&error, now),
        }
        self.last_words = last_words.filter(|_| self.end.is_some());
        Step::Moved
    }

    fn failed(&mut self, error: &WorkerError, now: Now) {
        let message = chain(error);
        let permanent = error.fails_closed();
        tracing::error!(worker = self.setup.worker.0, permanent, "{message}");
        let (condition, reason) = error.shown_as();
        let since_ms =
            self.problem.as_ref().filter(|p| p.reason == Some(reason)).map_or(now.wall_ms, |p| p.since_ms);
        let message = bounded_message(message);
        let component = error.component().map(str::to_owned);
        self.problem =
            Some(Problem { reason: Some(reason), condition, component, message, permanent, since_ms });
        self.comeback = Comeback::Fresh;
        if permanent {
            self.end = Some(End::Failed);
            return;
        }
        self.back_off(now);
    }

    /// Several lives in a row went live and could not commit.
    fn failed_again(&mut self, why: &str, now: Now) {
        let message = format!("nothing was committed in {} lives in a row: {why}", self.barren);
        let since_ms = self.problem.as_ref().map_or(now.wall_ms, |problem| problem.since_ms);
        self.problem = Some(Problem {
            reason: Some(Reason::BrokerUnreachable),
            condition: Condition::SinksConnected,
            component: None,
            message,
            permanent: false,
            since_ms,
        });
        self.back_off(now);
    }

    fn back_off(&mut self, now: Now) {
        let (first, last) = RETRY_MS;
        self.retry_at_ms = now.monotonic_ms + (first << self.retries.min(10)).min(last);
        self.retries += 1;
    }

    /// What the worker says about itself.
    pub fn report(&self) -> Report {
        let tally = self.tally();
        let mut report = Report { counters: tally.counters, ..Report::default() };
        report.nodes = nodes(&self.setup.plan, &tally);
        report.windows = windows(&report.nodes);
        report.timings = self.timings.clone();
        if let Some(now) = self.life.as_ref().and_then(Life::timings) {
            report.timings.add(now);
        }
        report.rate_per_second = self.rate.per_second();
        if let Some(life) = &self.life {
            life.report(&self.setup, &mut report);
        }
        let incarnation = self.life.as_ref().map(|life| format!("{:032x}", life.incarnation().0));
        report.worker = Some(WorkerStatus { worker: self.setup.worker.0, incarnation });
        if let Some(last) = &self.last_words {
            // Nothing of it changes any more: who asks may know which units they were.
            report.worker.clone_from(&last.worker);
            report.units.clone_from(&last.units);
            report.newest_generation = last.newest_generation;
        }
        report.restarts = self.restarts;
        report.problems.extend(self.problem.clone());
        report.finished = self.end == Some(End::Finished);
        report.generation_collision = self.end == Some(End::Collision);
        if let Some(state) = self.end.and_then(state_at_end) {
            report.units.iter_mut().for_each(|unit| unit.state = state);
        }
        report
    }

    /// What was counted in all lives.
    fn tally(&self) -> Tally {
        let mut sum = self.tally.clone();
        if let Some(now) = self.life.as_ref().and_then(Life::tally) {
            sum.add(now);
        }
        sum
    }

    /// What all lines of the log that it writes have in common. Never off: a warning has to say of which pipeline it is.
    pub fn span(&self) -> tracing::Span {
        let generation = self.setup.generation.map(|generation| generation.0);
        tracing::error_span!("worker", pipeline = self.setup.plan.name(), generation)
    }

    /// Where it is on its way, in one word, for logs and simulations.
    pub fn place(&self) -> &'static str {
        self.life.as_ref().map_or("restore", Life::place)
    }

    /// What it waits for, in words for a report.
    pub fn waiting(&self) -> String {
        match (&self.life, self.end) {
            (_, Some(end)) => format!("{end:?}"),
            (Some(life), None) => format!("{} {:?}", life.place(), life.waiting()),
            (None, None) => format!("no life until {}", self.retry_at_ms),
        }
    }

    /// The world, for who drives the worker.
    pub fn environment(&mut self) -> &mut E {
        &mut self.environment
    }
}

fn state_at_end(end: End) -> Option<UnitState> {
    match end {
        End::Finished => None,
        End::Superseded => Some(UnitState::Superseded),
        End::Collision | End::Failed => Some(UnitState::Failed),
    }
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
