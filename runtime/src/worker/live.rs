//! Live: apply what comes, commit when it is due, keep the state durable.
//!
//! While a commit is in flight the next batches are read and applied into memory; only producing waits.

mod sources;
mod read;
mod fit;
mod write;
mod snapshots;
mod trim;
mod drain;
mod reprocess;
mod report;

use super::error::WorkerError;
use super::journals::is_reprocessed_elsewhere;
use super::life::{Life, Stop};
use super::measure::Behind;
use super::setup::{Environment, Setup};
use super::tally::{Counting, Tally};
use super::timing::{Stopwatch, Timings};
use super::unit::{Engine, Member, partitions};
use super::{Now, Step};
use crate::pod::Intents;
use connect::door::{CommitOutcome, IoError, KafkaIo, TopicPartition};
use control::status::PartitionLag;
use drain::OwedCut;
use pipeline::effect::Effects;
use protocol::commit::{CommitPermit, Due, GoBack, InFlight, Live, Outcome, Standing, Timing, UnitStart};
use protocol::going_live::{LiveGrant, Slot};
use reprocess::{Reprocessing, is_suppressed, uncounted};
use snapshots::{Failing, Upload, is_behind};
use sources::{Source, sources};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;
use trim::Trimming;

/// Bytes of output in memory above which nothing more is read until the commit in flight has ended.
const PENDING_BYTES_MAX: usize = 64 << 20;
/// Output bytes that force a commit.
pub const COMMIT_BYTES: usize = 8 << 20;
/// Between consumer group offsets for lag tools.
const OFFSETS_EVERY_MS: u64 = 5_000;
/// Between looks at the ends of the inputs.
const LOOK_EVERY_MS: u64 = 5_000;
/// Between deletions of records of our own topics.
pub const TRIM_EVERY_MS: u64 = 30_000;
/// How long a poll waits while a commit is in flight.
const FLIGHT_POLL: Duration = Duration::from_millis(1);

/// What only a live worker has.
pub struct LiveState {
    live: Live,
    permit: Option<CommitPermit>,
    flight: Option<InFlight>,
    /// Drained units whose last commit is in flight or committed, with the drain.
    channels: Vec<Source>,
    uploads: BTreeMap<u64, Upload>,
    cuts: BTreeMap<Slot, OwedCut>,
    /// When the newest commit was made, on the monotonic clock.
    committed_at_ms: u64,
    commit_interval_ms: u64,
    offsets_at_ms: u64,
    /// What the consumer group is told when the commit in flight is committed.
    offsets: Vec<(TopicPartition, i64)>,
    trimming: Trimming,
    failing: BTreeMap<Slot, Failing>,
    last_commit_ms: Option<i64>,
    look_at_ms: u64,
    /// None before the first look, and after one that failed.
    behind: Option<Behind>,
    /// The partition with most of it.
    laggiest: Option<PartitionLag>,
    counting: Counting,
    stopwatch: Stopwatch,
    stopping: bool,
    reprocessing: Reprocessing,
}

impl LiveState {
    /// Starts with the units of the grant, at the positions that the replay has reached.
    pub fn new<Io: KafkaIo>(
        life: &mut Life<Io>,
        setup: &Setup,
        grant: LiveGrant,
        timing: Timing,
        now: Now,
    ) -> Result<Self, Stop> {
        let (mut starts, mut channels) = (Vec::new(), Vec::new());
        for index in 0..life.members.len() {
            let positions = life.members[index].replay.positions();
            life.assign(index, &positions)?;
            let member = &mut life.members[index];
            let inputs = partitions(&member.replay, &positions);
            let all: Vec<_> = inputs.iter().map(|(_, partition, _)| partition.clone()).collect();
            life.io.pause(&all, false)?;
            if !grant.slots().contains(&(member.slot as Slot)) {
                continue;
            }
            let Some(claim) = member.view.claim_in_force() else { continue };
            starts.push(UnitStart {
                slot: member.slot as Slot,
                unit: member.id.clone(),
                claim: claim.as_ref().clone(),
                seq: member.view.ownership().seq(),
                positions,
                clock_ms: member.view.clock_ms(),
                // The state is of before the Claim: the first act is a snapshot.
                migrated: member.migrated || claim.base.is_some(),
            });
            channels.extend(sources(setup, index, member, inputs, now));
        }
        let held = is_reprocessed_elsewhere(&life.journals, &life.members, setup.rewind.as_ref());
        let ways = starts.iter().filter_map(|start| {
            Some((start.slot, start.claim.reprocess.as_ref()?, start.positions.as_slice()))
        });
        let reprocessing = Reprocessing::new(held, ways);
        let (mut live, permit) = Live::new(grant, timing, setup.defences, starts, now.monotonic_ms);
        for member in life.members.iter().filter(|member| is_behind(member, timing.snapshot_interval_ms)) {
            live.force_snapshot(member.slot as Slot);
        }
        Ok(Self {
            live,
            permit: Some(permit),
            flight: None,
            channels,
            uploads: BTreeMap::new(),
            cuts: BTreeMap::new(),
            committed_at_ms: 0,
            commit_interval_ms: timing.commit_interval_ms,
            offsets_at_ms: now.monotonic_ms,
            offsets: Vec::new(),
            trimming: Trimming::new(timing.trim_interval_ms, now),
            failing: BTreeMap::new(),
            last_commit_ms: None,
            look_at_ms: now.monotonic_ms,
            behind: None,
            laggiest: None,
            counting: Counting::default(),
            stopwatch: Stopwatch::default(),
            stopping: false,
            reprocessing,
        })
    }

    /// A bounded piece of work.
    pub fn step<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        now: Now,
        wait: Duration,
        intents: &Intents,
    ) -> Result<Step, Stop> {
        self.stopping |= intents.stop;
        let mut moved = self.outcome(life, environment, now, Duration::ZERO)?;
        // Before anything is read: records that cannot be processed must not keep a unit from finishing what it has.
        self.resumes(life, intents)?;
        self.drains(life, setup, intents);
        moved |= self.read(life, setup, environment, now, wait)?;
        moved |= self.reprocess(life, setup, now)?;
        moved |= self.ticks(life, setup, environment, now)?;
        self.uploaded(life, environment, now);
        moved |= self.commit(life, setup, environment, now)?;
        self.cut_drained(life, setup, environment, now)?;
        self.look(life, now);
        self.trim(life, setup, environment, now);
        if self.flight.is_none() && self.is_finished(life, environment) {
            return Ok(Step::Finished);
        }
        Ok(if moved { Step::Moved } else { Step::Waited })
    }

    /// Asks how the commit in flight ended.
    fn outcome<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        environment: &E,
        now: Now,
        wait: Duration,
    ) -> Result<bool, Stop> {
        let Some(flight) = self.flight.take() else { return Ok(false) };
        let mut why = "commit".to_owned();
        let outcome = match life.io.commit_outcome(wait) {
            Ok(None) => {
                self.flight = Some(flight);
                return Ok(false);
            }
            Ok(Some(CommitOutcome::Committed)) => Outcome::Committed,
            Ok(Some(CommitOutcome::Aborted)) => Outcome::Aborted,
            Err(error) if error.is_refusal() => return Err(Stop::Failed(WorkerError::Write(error))),
            Err(undelivered @ IoError::Undelivered { .. }) => {
                why = undelivered.to_string();
                Outcome::Aborted
            }
            Ok(Some(CommitOutcome::Unknown)) | Err(_) => Outcome::Unknown,
        };
        let permit = self.live.outcome(flight, outcome).map_err(|back| over(back, why))?;
        self.permit = Some(permit);
        life.io.commit_offsets(&std::mem::take(&mut self.offsets));
        self.counting.committed();
        self.stopwatch.committed(environment.elapsed());
        self.last_commit_ms = Some(now.wall_ms);
        Ok(true)
    }

    fn keep(&mut self, setup: &Setup, member: &mut Member, effects: Effects) {
        let nodes = &setup.plan.stage(member.stage).nodes;
        if is_suppressed(&self.live, member.slot as Slot) {
            self.counting.made(&uncounted(&effects), nodes);
        } else {
            self.counting.made(&effects, nodes);
        }
        self.live.emitted(member.slot as Slot, &effects);
        member.dirty = true;
        if !effects.is_empty() {
            member.pending.push(effects);
        }
    }

    /// When to commit. What a unit has added up, or a watermark that its readers do not know, is output too, although it
    /// becomes a block only at the commit.
    ///
    /// At the end (`last`) no commit is made for a snapshot alone.
    fn due<Io: KafkaIo>(&self, life: &mut Life<Io>, last: bool, now: Now) -> Due {
        let snapshot = match self.live.snapshot_due_at().filter(|_| !last) {
            Some(at) if at <= now.monotonic_ms => Due::Now,
            Some(at) => Due::At(at),
            None => Due::Nothing,
        };
        let due = self.live.due(now.monotonic_ms).min(snapshot);
        let mut engines = life.members.iter_mut().filter_map(|member| member.engine.as_mut());
        if due == Due::Now || !engines.any(Engine::needs_commit) {
            return due;
        }
        match self.committed_at_ms + self.commit_interval_ms {
            at if at <= now.monotonic_ms => Due::Now,
            at => due.min(Due::At(at)),
        }
    }

    /// Commits when it is due.
    fn commit<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        now: Now,
    ) -> Result<bool, Stop> {
        if self.permit.is_none() {
            return Ok(false);
        }
        let last = self.stopping || self.has_all(life, environment);
        let due = self.due(life, last, now);
        if due != Due::Now && !(last && due != Due::Nothing) {
            return Ok(false);
        }
        self.committed_at_ms = now.monotonic_ms;
        for member in &mut life.members {
            // A unit that another generation has, or has taken, is none of mine any more.
            let standing = self.live.standing(member.slot as Slot);
            let running = !matches!(standing, None | Some(Standing::Released(None)));
            if running && (member.dirty || member.engine()?.needs_commit()) {
                let effects = member.boundary()?;
                self.keep(setup, member, effects);
                member.dirty = false;
            }
        }
        let Some(permit) = self.permit.take() else { return Ok(false) };
        let (flight, records) = self.live.commit(permit, now.monotonic_ms, now.wall_ms);
        self.counting.sent();
        self.stopwatch.commit_began(environment.elapsed());
        self.flight = Some(flight);
        self.write(life, setup, environment, &records, now).map_err(|error| {
            tracing::warn!(worker = setup.worker.0, %error, "a transaction could not be written");
            if error.is_refusal() {
                return Stop::Failed(WorkerError::Write(error));
            }
            life.start_over("a transaction could not be written")
        })?;
        for order in self.live.snapshots_due(now.monotonic_ms) {
            self.snapshot(life, setup, environment, order, None, now)?;
        }
        Ok(true)
    }

    fn is_finished<E: Environment>(&self, life: &Life<E::Io>, environment: &E) -> bool {
        let clean = life.members.iter().all(|member| member.pending.is_empty());
        let saved = self.cuts.is_empty() && self.uploads.values().all(|upload| upload.cut.is_none());
        let last = self.stopping || (saved && self.has_all(life, environment));
        clean && self.live.due(u64::MAX) == Due::Nothing && last
    }

    /// True when all input has ended and is applied: nothing more comes that a commit could wait for.
    fn has_all<E: Environment>(&self, life: &Life<E::Io>, environment: &E) -> bool {
        let bounded =
            || self.channels.iter().all(|source| environment.end_of_input(&source.partition).is_some());
        let done = |member: &Member| member.engine.as_ref().is_some_and(Engine::is_finished);
        environment.is_bounded() && bounded() && life.members.iter().all(done)
    }

    /// True while no transaction is being ended.
    pub fn is_between_commits(&self) -> bool {
        self.flight.is_none()
    }

    /// True once others may have everything that this life had.
    pub fn has_left(&self, members: &[Member]) -> bool {
        let released = |member: &Member| {
            matches!(self.live.standing(member.slot as Slot), None | Some(Standing::Released(_)))
        };
        members.iter().all(released)
    }

    /// True once a commit of this life is known to be committed.
    pub fn has_committed(&self) -> bool {
        self.last_commit_ms.is_some()
    }

    /// A step is over, whatever came of it.
    pub fn stepped(&mut self, took: Duration) {
        self.stopwatch.stepped(took);
    }

    /// How long its work took.
    pub fn timings(&self) -> &Timings {
        self.stopwatch.known()
    }

    /// What is committed for certain.
    pub fn tally(&self) -> &Tally {
        self.counting.known()
    }
}

fn over(back: GoBack, why: impl Into<Cow<'static, str>>) -> Stop {
    tracing::warn!(%back, "a live worker goes back");
    Stop::StartOver { previous: Some(back.previous), why: why.into() }
}
