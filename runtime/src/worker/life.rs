//! One life of a worker: from an empty memory to live, or to the reason why not. Everything in it is dropped together.

mod report;
mod stop;
mod survey;

pub use stop::Stop;

use super::claim::open_lineage;
use super::cut::Cuts;
use super::error::WorkerError;
use super::heritage::check_heritage;
use super::journals::{Journal, all_ended, lineage, stages_of_others};
use super::live::LiveState;
use super::setup::{Environment, Setup, Surroundings};
use super::unit::{Member, partitions};
use super::{Now, Step};
use crate::pod::Intents;
use connect::door::{Fetched, IoError, KafkaIo, Partitioning, TopicPartition};
use pipeline::plan::PlanHash;
use pipeline::record::{NewRecord, RecordBatch};
use protocol::commit::Timing;
use protocol::going_live::{Action, Comeback, Event, GoingLive, Lost, Me, Phase, WaitingFor};
use protocol::identity::{DrainId, Generation, Incarnation, Lineage, Owner, Writer};
use protocol::journal::record::{InputPartition, JournalRecord};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use survey::{read_journals, survey};

/// Where fetched records go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Route {
    Journal(usize),
    Input { member: usize, at: InputPartition },
}

/// One life.
pub struct Life<Io> {
    pub(super) io: Io,
    pub(super) me: Me,
    pub(super) surroundings: Surroundings,
    pub(super) journals: Vec<Journal>,
    pub(super) members: Vec<Member>,
    pub(super) routes: HashMap<TopicPartition, Route>,
    pub(super) fetched: Vec<Fetched>,
    going: GoingLive,
    pub(super) lineage: Option<(Lineage, BTreeMap<String, String>)>,
    pub(super) claims_in_flight: bool,
    /// The own producer is ready to write.
    initialised: bool,
    /// What it waits for, to be logged when it changes.
    waiting: Option<WaitingFor>,
    live: Option<LiveState>,
    /// The stages of other plans and the plan that was drained, as they were looked at.
    pub(super) others: Option<(BTreeSet<Arc<str>>, Option<PlanHash>)>,
    pub(super) cuts: Cuts,
    uploads: u64,
}

impl<Io: KafkaIo> Life<Io> {
    /// Opens the door, finds the topics, and begins to read the journals.
    pub fn open<E: Environment<Io = Io>>(
        setup: &Setup,
        environment: &mut E,
        comeback: Comeback,
        stages: &BTreeSet<Arc<str>>,
    ) -> Result<Self, Stop> {
        let generation = match setup.generation {
            Some(generation) => generation,
            None => survey(setup, environment)?,
        };
        let writer = Writer { generation, worker: setup.worker };
        let mut io = environment.connect(&setup.identity.transactional_id(writer))?;
        let surroundings = Surroundings::discover(setup, stages, &mut io)?;
        let owner = Owner { writer, incarnation: environment.incarnation() };
        let me = Me {
            owner,
            plan: setup.plan.hash(),
            placement: surroundings.placement,
            promotion: setup.promotion,
            prior: setup.prior.clone(),
            comeback,
            release_wait_ms: 2 * setup.plan.settings().commit_interval_ms,
        };
        let mut members = Vec::new();
        let mut journals = Vec::new();
        for (slot, (stage, unit)) in surroundings.units.iter().enumerate() {
            let own = surroundings.is_own(setup, slot);
            journals.push(Journal::new(own.then_some(members.len())));
            if own {
                members.push(Member::new(setup, slot, *stage, unit.clone()));
            }
        }
        let retired = surroundings.units.len()..surroundings.journals.len();
        journals.extend(retired.map(|slot| Journal::of_retired(surroundings.is_own(setup, slot))));
        let routes = read_journals(&surroundings, &mut io)?;
        Ok(Self {
            io,
            me,
            surroundings,
            journals,
            members,
            routes,
            fetched: Vec::new(),
            going: GoingLive::new(),
            lineage: None,
            claims_in_flight: false,
            initialised: false,
            waiting: None,
            live: None,
            others: None,
            cuts: Cuts::default(),
            uploads: 0,
        })
    }

    /// True once it may write.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// True once it is live and has committed.
    pub fn has_committed(&self) -> bool {
        self.live.as_ref().is_some_and(LiveState::has_committed)
    }

    /// True once it was live and others may have all of its units.
    pub fn has_left(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.has_left(&self.members))
    }

    /// True while no transaction is being ended: to start over now leaves nothing in doubt.
    pub fn may_part(&self) -> bool {
        !self.claims_in_flight && self.live.as_ref().is_none_or(LiveState::is_between_commits)
    }

    /// A number for an upload that no other life uses: what a life before handed over may end in this one.
    pub(super) fn next_upload(&mut self) -> u64 {
        self.uploads += 1;
        (self.incarnation().0 as u64).wrapping_add(self.uploads)
    }

    /// Its random id.
    pub fn incarnation(&self) -> Incarnation {
        self.me.owner.incarnation
    }

    /// A bounded piece of work.
    pub fn step<E: Environment<Io = Io>>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        timing: Timing,
        now: Now,
        wait: Duration,
        intents: &Intents,
    ) -> Result<Step, Stop> {
        if let Some(mut live) = self.live.take() {
            let began = environment.elapsed();
            let step = live.step(self, setup, environment, now, wait, intents);
            live.stepped(environment.elapsed().saturating_sub(began));
            // Kept when it failed, too: what it has committed is counted.
            self.live = Some(live);
            return step;
        }
        if intents.stop {
            return Ok(Step::Finished);
        }
        let moved = self.read(setup, wait)?;
        self.replay(setup, environment)?;
        self.observe(intents);
        if self.cuts_what_is_owed(setup, environment)? {
            return Ok(if moved { Step::Moved } else { Step::Waited });
        }
        let others = stages_of_others(&self.journals, self.me.plan);
        self.look_at_plans(setup, &others)?;
        let journals = self.journals.iter().enumerate();
        let facts: Vec<_> = journals
            .map(|(slot, journal)| {
                let is_new = !others.contains(&self.surroundings.unit(slot).stage);
                journal.facts(&self.members, is_new)
            })
            .collect();
        let action = self.going.next(&self.me, &setup.defences, now.monotonic_ms, &facts);
        drop(facts);
        self.check_secrets(setup, intents, &action)?;
        match action {
            Action::Follow(waiting) => {
                if self.waiting != Some(waiting) {
                    tracing::info!(worker = setup.worker.0, waits_for = ?waiting, "on the way to live");
                    self.waiting = Some(waiting);
                }
                if self.going.caught_up() && matches!(waiting, WaitingFor::Promotion | WaitingFor::Drain) {
                    self.prepare(setup)?;
                }
                Ok(if moved { Step::Moved } else { Step::Waited })
            }
            action => self.act(setup, environment, action, timing, now).map(|()| Step::Moved),
        }
    }

    /// Polls, and gives what came to whom it concerns. Used before live only.
    fn read(&mut self, setup: &Setup, wait: Duration) -> Result<bool, Stop> {
        // A claim in flight is waited for below.
        let wait = if self.claims_in_flight { Duration::ZERO } else { wait };
        self.fetched.clear();
        let mut fetched = std::mem::take(&mut self.fetched);
        let polled = self.io.poll(wait, &mut fetched);
        for item in &mut fetched {
            match item {
                Fetched::Records { from, batch } => match self.routes.get(from) {
                    Some(Route::Journal(slot)) => {
                        self.journals[*slot].read(batch, &mut self.members, &from.topic)?;
                    }
                    Some(Route::Input { member, at }) => {
                        let batch = std::mem::take(batch);
                        self.members[*member].replay.feed(*at, batch);
                    }
                    None => {}
                },
                Fetched::End { of, offset } => {
                    if let Some(Route::Journal(slot)) = self.routes.get(of) {
                        self.journals[*slot].end(*offset);
                    }
                }
            }
        }
        let moved = fetched.iter().any(|item| matches!(item, Fetched::Records { .. }));
        self.fetched = fetched;
        polled.map_err(|error| self.not_read(setup, error))?;
        Ok(moved)
    }

    /// Replays every own unit as far as it goes. Inputs of a unit that waits for nothing are paused: a standby follows
    /// its journal, it does not hoard the input.
    fn replay<E: Environment<Io = Io>>(&mut self, setup: &Setup, environment: &mut E) -> Result<(), Stop> {
        if !all_ended(&self.journals) {
            return Ok(());
        }
        for index in 0..self.members.len() {
            // What a newer generation does here is not for this one to follow; it may have a plan that nobody told it.
            let highest = self.members[index].view.ownership().highest_generation();
            if setup.defences.superseded && highest > self.me.owner.generation() {
                continue;
            }
            let was_hungry = self.members[index].hungry;
            let pumped = self.members[index].pump(setup, environment, &self.surroundings);
            let assign = pumped.map_err(not_loaded)?;
            let assigned = assign.is_some();
            if let Some(positions) = assign {
                self.assign(index, &positions)?;
            }
            let member = &self.members[index];
            if assigned || was_hungry != member.hungry {
                let inputs = partitions(&member.replay, &member.replay.positions());
                let inputs: Vec<_> = inputs.into_iter().map(|(_, partition, _)| partition).collect();
                self.io.pause(&inputs, !member.hungry)?;
            }
        }
        Ok(())
    }

    /// Reads the inputs of a unit from these positions, and nothing else for it.
    pub(super) fn assign(&mut self, index: usize, positions: &[(InputPartition, i64)]) -> Result<(), Stop> {
        let all = partitions(&self.members[index].replay, positions);
        let is_old = |route: &Route| matches!(route, Route::Input { member, .. } if *member == index);
        let wanted = |partition: &TopicPartition| all.iter().any(|(_, wanted, _)| wanted == partition);
        let gone: Vec<_> = self
            .routes
            .iter()
            .filter(|(p, route)| is_old(route) && !wanted(p))
            .map(|(p, _)| p.clone())
            .collect();
        self.io.unassign(&gone)?;
        for partition in &gone {
            self.routes.remove(partition);
        }
        let from: Vec<_> = all.iter().map(|(_, partition, next)| (partition.clone(), *next)).collect();
        self.io.assign(&from)?;
        for (at, partition, _) in all {
            self.routes.insert(partition, Route::Input { member: index, at });
        }
        Ok(())
    }

    /// True while it stands by: nothing was begun.
    pub(super) fn stands_by(&self) -> bool {
        *self.going.phase() == Phase::Standby && all_ended(&self.journals)
    }

    /// What the way from promoted to live would wait for, done while there is nothing to wait for: nobody else has the own
    /// id, because no Claim of this generation is there.
    fn prepare(&mut self, setup: &Setup) -> Result<(), Stop> {
        if self.initialised {
            return Ok(());
        }
        let lineage = lineage(&self.journals, self.me.owner.generation(), self.me.plan);
        open_lineage(setup, &self.surroundings, lineage, &mut self.io)?;
        // Told as a problem: nothing was promised yet, and who cannot even begin must not be promoted.
        self.initialise().map_err(|error| WorkerError::Write(error).into())
    }

    /// The own producer gets its epoch, once in a life.
    pub(super) fn initialise(&mut self) -> Result<(), IoError> {
        if !self.initialised {
            self.io.init_transactions()?;
            self.initialised = true;
        }
        Ok(())
    }

    fn observe(&mut self, intents: &Intents) {
        if let Some(generation) = intents.promoted {
            self.going.observe(&self.me, Event::Promoted(Generation(generation as u32)));
        }
        if let Some(id) = &intents.resumed {
            self.going.observe(&self.me, Event::Resume(drain_number(id.as_str())));
        }
    }

    fn act<E: Environment<Io = Io>>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        action: Action,
        timing: Timing,
        now: Now,
    ) -> Result<(), Stop> {
        let worker = setup.worker.0;
        let event = match action {
            Action::Follow(_) => return Ok(()),
            Action::Initialise => known(self.initialise(), Event::Initialised)?,
            Action::Claim(orders) => match self.claim(setup, environment, &orders, now)? {
                Some(committed) => Event::Claimed { committed, now_ms: now.monotonic_ms },
                None => return Ok(()),
            },
            Action::Fence(writers) => {
                tracing::info!(worker, phase = "Claiming", ids = writers.len(), "fencing");
                let ids: Vec<_> =
                    writers.iter().map(|writer| setup.identity.transactional_id(*writer)).collect();
                known(self.io.fence(&ids), Event::Fenced)?
            }
            Action::MeasureEnds(slots) => {
                let journal = |slot: &u32| self.surroundings.journals[*slot as usize].clone();
                match self.io.watermarks(&slots.iter().map(journal).collect::<Vec<_>>()) {
                    Ok(ends) => Event::Ends(ends.into_iter().map(|(_, high)| high).collect()),
                    Err(error) if error.is_refusal() => return Err(error.into()),
                    Err(_) => Event::CallFailed,
                }
            }
            Action::Live(grant) => {
                check_heritage(&self.surroundings, &self.journals, &self.members)?;
                let live = LiveState::new(self, setup, grant, timing, now)?;
                self.live = Some(live);
                return Ok(());
            }
            Action::StandAside { until_ms } => return Err(Stop::StandAside { until_ms }),
            Action::StartOver(Lost::CallFailed) => return Err(self.start_over("a call failed")),
            Action::StartOver(Lost::Fenced) => return Err(self.start_over("fenced")),
            Action::StartOver(Lost::ClaimNotCommitted) => return Err(self.start_over("claim not committed")),
            Action::Superseded => return Err(Stop::Superseded),
            Action::GenerationCollision => return Err(Stop::Collision),
        };
        self.going.observe(&self.me, event);
        Ok(())
    }

    /// A topic of our own may be trimmed while a slow reader is still behind: a journal is read again from the start of the
    /// log, where everything that is needed stands, and it names a newer snapshot from which no trimmed block is needed.
    /// An input of the user may not.
    pub(super) fn not_read(&self, setup: &Setup, error: IoError) -> Stop {
        if let IoError::OffsetOutOfRange { topic, partition, offset } = &error {
            let at = TopicPartition { topic: topic.clone(), partition: *partition };
            if matches!(self.routes.get(&at), Some(Route::Journal(_))) {
                return self.start_over("a journal was trimmed before it was read");
            }
            if setup.identity.made(topic) {
                return Stop::Gone {
                    what: format!("{topic}/{partition} at {offset}"),
                    error: Box::new(WorkerError::Io(error)),
                };
            }
        }
        error.into()
    }

    pub(super) fn start_over(&self, why: &'static str) -> Stop {
        Stop::StartOver { previous: Some(self.me.owner.incarnation), why: why.into() }
    }
}

/// Writes one record to a journal.
pub(super) fn write_journal(
    io: &mut impl KafkaIo,
    journal: &TopicPartition,
    record: &JournalRecord,
    timestamp_ms: i64,
) -> Result<(), IoError> {
    let value = record.encode();
    let mut batch = RecordBatch::new();
    batch.push(NewRecord { offset: 0, timestamp_ms, key: None, value: Some(&value) });
    io.produce(&journal.topic, Partitioning::Exact(journal.partition), &batch)
}

/// A snapshot may be deleted while a slow reader is still on its way to it: the journal names a newer one by then.
fn not_loaded(error: WorkerError) -> Stop {
    match error {
        WorkerError::Store { ref key, ref source } if source.is_loss() => {
            Stop::Gone { what: key.clone(), error: Box::new(error) }
        }
        error => error.into(),
    }
}

/// The event of a call that succeeds or leaves us not knowing. What is refused would be refused again: it is told.
fn known(result: Result<(), IoError>, event: Event) -> Result<Event, Stop> {
    match result {
        Ok(()) => Ok(event),
        Err(IoError::Fenced { .. }) => Ok(Event::OwnIdFenced),
        Err(error) if error.is_refusal() => Err(WorkerError::Write(error).into()),
        Err(_) => Ok(Event::CallFailed),
    }
}

/// The number of a drain from its name: the same for every pod and every repetition.
pub fn drain_number(name: &str) -> DrainId {
    DrainId::of(name)
}

/// The number as reports carry it until the name is known.
pub fn drain_text(drain: DrainId) -> String {
    format!("{:016x}", drain.0)
}
