//! Live: apply what comes, commit when it is due, keep the state durable.
//!
//! While a commit is in flight the next batches are read and applied into memory; only producing waits.

use super::life::{Life, Route, Stop, drain_number, write_journal};
use super::setup::{Environment, Setup};
use super::unit::{Engine, Member, partitions};
use super::{Now, Step};
use crate::pod::{Intents, Report};
use crate::topology::repartition_name;
use connect::door::{CommitOutcome, Fetched, IoError, KafkaIo, Partitioning, TopicPartition};
use control::status::UnitState;
use pipeline::effect::Effects;
use pipeline::plan::{Input, SinkConnector, StageId};
use pipeline::record::{NewRecord, RecordBatch};
use pipeline::unit::{Channel, Tick, Topology};
use protocol::block::{BlockEnvelope, End, Envelope};
use protocol::commit::{
    CommitPermit, Due, GoBack, InFlight, Live, Outcome, SnapshotOrder, Standing, Timing, UnitStart,
};
use protocol::going_live::{LiveGrant, Slot};
use protocol::identity::{DrainId, Lineage, Seq, UnitId};
use protocol::journal::record::{Commit, InputPartition, JournalRecord};
use protocol::snapshot::SnapshotPointer;
use protocol::trim;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of output in memory above which nothing more is read until the commit in flight has ended.
const PENDING_BYTES_MAX: usize = 64 << 20;
/// Output bytes that force a commit.
pub const COMMIT_BYTES: usize = 8 << 20;
/// Between consumer group offsets for lag tools, and between looks at the ends of the inputs.
const OFFSETS_EVERY_MS: u64 = 5_000;
/// Between deletions of records of our own topics.
const TRIM_EVERY_MS: u64 = 30_000;
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
    next_upload: u64,
    cuts: BTreeMap<Slot, DrainId>,
    /// When the newest commit was made, on the monotonic clock.
    committed_at_ms: u64,
    commit_interval_ms: u64,
    offsets_at_ms: u64,
    trim_at_ms: u64,
    last_commit_ms: Option<i64>,
    lag_records: Option<u64>,
    stopping: bool,
}

/// A partition of a source, watched for silence and for its end.
struct Source {
    member: usize,
    at: InputPartition,
    partition: TopicPartition,
    idle_timeout_ms: u64,
    quiet_since_ms: u64,
    /// The next offset to be applied.
    position: i64,
    /// The newest end that the reader has seen.
    end_seen: Option<i64>,
    idle: bool,
    ended: bool,
    /// Timestamp of the newest record.
    newest_ms: Option<i64>,
}

/// A snapshot on its way.
struct Upload {
    slot: Slot,
    seq: Seq,
    sealed_hash: SnapshotPointer,
    cut: Option<DrainId>,
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
                migrated: member.migrated,
            });
            channels.extend(sources(setup, index, member, inputs, now));
        }
        let (live, permit) = Live::new(grant, timing, setup.defences, starts, now.monotonic_ms);
        Ok(Self {
            live,
            permit: Some(permit),
            flight: None,
            channels,
            uploads: BTreeMap::new(),
            next_upload: 0,
            cuts: BTreeMap::new(),
            committed_at_ms: 0,
            commit_interval_ms: timing.commit_interval_ms,
            offsets_at_ms: now.monotonic_ms,
            trim_at_ms: now.monotonic_ms + TRIM_EVERY_MS,
            last_commit_ms: None,
            lag_records: None,
            stopping: false,
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
        let mut moved = self.outcome(life, now, Duration::ZERO)?;
        moved |= self.read(life, now, wait)?;
        moved |= self.ticks(life, environment, now)?;
        self.drains(life, setup, intents);
        self.uploaded(environment);
        moved |= self.commit(life, setup, environment, now)?;
        self.cut_drained(life, setup, environment)?;
        self.housekeeping(life, setup, now)?;
        if self.flight.is_none() && self.is_finished(life, environment) {
            return Ok(Step::Finished);
        }
        Ok(if moved { Step::Moved } else { Step::Waited })
    }

    /// Asks how the commit in flight ended.
    fn outcome<Io: KafkaIo>(&mut self, life: &mut Life<Io>, now: Now, wait: Duration) -> Result<bool, Stop> {
        let Some(flight) = self.flight.take() else { return Ok(false) };
        let outcome = match life.io.commit_outcome(wait) {
            Ok(None) => {
                self.flight = Some(flight);
                return Ok(false);
            }
            Ok(Some(CommitOutcome::Committed)) => Outcome::Committed,
            Ok(Some(CommitOutcome::Aborted)) => Outcome::Aborted,
            Ok(Some(CommitOutcome::Unknown)) | Err(_) => Outcome::Unknown,
        };
        let permit = self.live.outcome(flight, outcome).map_err(|back| over(back, "commit"))?;
        self.permit = Some(permit);
        self.last_commit_ms = Some(now.wall_ms);
        Ok(true)
    }

    /// Polls and applies. Too much output in memory means: wait for the commit instead.
    fn read<Io: KafkaIo>(&mut self, life: &mut Life<Io>, now: Now, wait: Duration) -> Result<bool, Stop> {
        let pending: usize = life.members.iter().flat_map(|m| &m.pending).map(Effects::byte_len).sum();
        if self.flight.is_some() && pending >= PENDING_BYTES_MAX {
            return self.outcome(life, now, wait);
        }
        let wait = match (&self.flight, self.due(life, now)) {
            (Some(_), _) => wait.min(FLIGHT_POLL),
            (None, Due::Now) => Duration::ZERO,
            (None, Due::At(at)) => wait.min(Duration::from_millis(at.saturating_sub(now.monotonic_ms))),
            (None, Due::Nothing) => wait,
        };
        let mut fetched = std::mem::take(&mut life.fetched);
        fetched.clear();
        let polled = life.io.poll(wait, &mut fetched);
        let mut applied = Ok(());
        for item in &fetched {
            applied = self.take(life, item, now);
            if applied.is_err() {
                break;
            }
        }
        let moved = fetched.iter().any(|item| matches!(item, Fetched::Records { .. }));
        life.fetched = fetched;
        applied?;
        polled.map_err(|error| life.not_read(error))?;
        Ok(moved)
    }

    fn take<Io: KafkaIo>(&mut self, life: &mut Life<Io>, item: &Fetched, now: Now) -> Result<(), Stop> {
        let (Fetched::Records { from: of, .. } | Fetched::End { of, .. }) = item;
        match (life.routes.get(of).copied(), item) {
            (Some(Route::Journal(slot)), Fetched::Records { from, batch }) => {
                life.journals[slot].read(batch, &mut life.members, &from.topic)?;
                let Some(member) = life.members.iter().find(|member| member.slot == slot) else {
                    return Ok(());
                };
                self.live
                    .follow(slot as Slot, &member.view, life.me.plan)
                    .map_err(|back| over(back, "another life of this worker has claimed"))
            }
            (Some(Route::Journal(slot)), Fetched::End { offset, .. }) => {
                life.journals[slot].end(*offset);
                Ok(())
            }
            (Some(Route::Input { member, at }), Fetched::Records { batch, .. }) => {
                self.apply(life, member, at, batch, now)
            }
            (Some(Route::Input { member, at }), Fetched::End { offset, .. }) => {
                if let Some(source) = self.channels.iter_mut().find(|s| s.member == member && s.at == at) {
                    source.end_seen = Some(source.end_seen.map_or(*offset, |seen| seen.max(*offset)));
                }
                Ok(())
            }
            (None, _) => Ok(()),
        }
    }

    fn apply<Io: KafkaIo>(
        &mut self,
        life: &mut Life<Io>,
        member: usize,
        at: InputPartition,
        batch: &RecordBatch,
        now: Now,
    ) -> Result<(), Stop> {
        let member_index = member;
        let member = &mut life.members[member];
        let slot = member.slot as Slot;
        if self.stopping || self.live.standing(slot) != Some(Standing::Running) {
            return Ok(());
        }
        let clock_ms = self.live.batch_clock(slot, now.wall_ms);
        let effects = member.engine()?.apply(at, batch, clock_ms)?;
        self.live.applied(slot, at, batch, clock_ms);
        self.keep(member, effects);
        if let Some(source) = self.channels.iter_mut().find(|s| s.member == member_index && s.at == at) {
            source.quiet_since_ms = now.monotonic_ms;
            source.idle = false;
            source.position = batch.next_offset().unwrap_or(source.position);
            source.newest_ms = batch.records().last().map(|record| record.timestamp_ms);
        }
        Ok(())
    }

    fn keep(&mut self, member: &mut Member, effects: Effects) {
        self.live.emitted(member.slot as Slot, &effects);
        member.dirty = true;
        if !effects.is_empty() {
            member.pending.push(effects);
        }
    }

    /// Silence at the very end of a partition, and the end of a bounded one.
    fn ticks<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        environment: &mut E,
        now: Now,
    ) -> Result<bool, Stop> {
        let mut due = Vec::new();
        for (index, source) in self.channels.iter().enumerate() {
            let Some(seen) = source.end_seen.filter(|seen| *seen >= source.position && !source.ended) else {
                continue;
            };
            let channel = Channel { input: source.at.input, partition: source.at.partition };
            if let Some(end) = environment.end_of_input(&source.partition) {
                if seen >= end {
                    due.push((index, Tick::EndOfInput(channel)));
                }
            } else if !source.idle
                && now.monotonic_ms.saturating_sub(source.quiet_since_ms) >= source.idle_timeout_ms
            {
                // An open transaction of a producer hides records: then the high watermark is above what was seen.
                let ends = life.io.watermarks(std::slice::from_ref(&source.partition))?;
                if ends.first().is_some_and(|(_, high)| seen >= *high) {
                    due.push((index, Tick::Idle(channel)));
                }
            }
        }
        let moved = !due.is_empty();
        for (index, tick) in due {
            let source = &mut self.channels[index];
            source.idle = true;
            source.ended |= matches!(tick, Tick::EndOfInput(_));
            let member = &mut life.members[source.member];
            let slot = member.slot as Slot;
            if self.live.standing(slot) != Some(Standing::Running) {
                continue;
            }
            let clock_ms = self.live.batch_clock(slot, now.wall_ms);
            let effects = member.engine()?.tick(tick, clock_ms);
            self.live.ticked(slot, tick, clock_ms);
            self.keep(member, effects);
        }
        Ok(moved)
    }

    /// A drain asked for: units that have nothing more to read leave with their next commit.
    fn drains<Io: KafkaIo>(&mut self, life: &mut Life<Io>, setup: &Setup, intents: &Intents) {
        let Some((id, cut)) = &intents.drain else { return };
        if intents.resumed.as_ref() == Some(id) {
            return;
        }
        let drain = drain_number(id.as_str());
        for member in &life.members {
            let slot = member.slot as Slot;
            if self.live.standing(slot) != Some(Standing::Running) {
                continue;
            }
            let upstream = upstream_units(setup, &life.surroundings.topology, member.stage);
            let complete = member
                .engine
                .as_ref()
                .is_some_and(|engine| engine.ends().complete(drain, &upstream, &setup.defences));
            if complete {
                self.live.drained(slot, drain);
                if *cut {
                    self.cuts.insert(slot, drain);
                }
            }
        }
    }

    /// When to commit. What a unit has added up, or a watermark that its readers do not know, is output too, although it
    /// becomes a block only at the commit.
    fn due<Io: KafkaIo>(&self, life: &mut Life<Io>, now: Now) -> Due {
        let due = self.live.due(now.monotonic_ms);
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
        let due = self.due(life, now);
        if due != Due::Now && !(self.stopping && due != Due::Nothing) {
            return Ok(false);
        }
        self.committed_at_ms = now.monotonic_ms;
        for member in &mut life.members {
            let running = self.live.standing(member.slot as Slot) != Some(Standing::Released(None));
            if running && (member.dirty || member.engine()?.needs_commit()) {
                let effects = member.engine()?.boundary();
                self.keep(member, effects);
                member.dirty = false;
            }
        }
        let Some(permit) = self.permit.take() else { return Ok(false) };
        let (flight, records) = self.live.commit(permit, now.monotonic_ms, now.wall_ms);
        self.flight = Some(flight);
        self.write(life, setup, environment, &records, now).map_err(|error| {
            tracing::warn!(worker = setup.worker.0, %error, "a transaction could not be written");
            life.start_over("a transaction could not be written")
        })?;
        for order in self.live.snapshots_due(now.monotonic_ms) {
            self.snapshot(life, setup, environment, order, None)?;
        }
        Ok(true)
    }

    /// C1 to C6, without waiting for the outcome.
    fn write<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        records: &[(Slot, JournalRecord)],
        now: Now,
    ) -> Result<(), IoError> {
        life.io.begin()?;
        for index in 0..life.members.len() {
            let slot = life.members[index].slot as Slot;
            let commit = records.iter().find_map(|(of, record)| match record {
                JournalRecord::Commit(commit) if *of == slot => Some(&**commit),
                _ => None,
            });
            let pending = std::mem::take(&mut life.members[index].pending);
            if let Some(commit) = commit {
                write_effects(life, setup, environment, index, &pending, commit, now)?;
            }
        }
        for (slot, record) in records {
            if let JournalRecord::Released(released) = record
                && let Some(drain) = released.drain
            {
                write_ends(life, setup, *slot, drain, released.seq, now)?;
            }
            write_journal(&mut life.io, &life.surroundings.journals[*slot as usize], record, now.wall_ms)?;
        }
        if now.monotonic_ms >= self.offsets_at_ms {
            self.offsets_at_ms = now.monotonic_ms + OFFSETS_EVERY_MS;
            let offsets: Vec<_> = self.channels.iter().map(|s| (s.partition.clone(), s.position)).collect();
            life.io.send_offsets(&setup.identity.group_id(), &offsets)?;
        }
        life.io.start_commit()
    }

    /// Takes the state of a unit and hands it to the store.
    fn snapshot<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
        order: SnapshotOrder,
        cut: Option<DrainId>,
    ) -> Result<(), Stop> {
        let Some(member) = life.members.iter_mut().find(|member| member.slot == order.slot as usize) else {
            return Ok(());
        };
        let id = member.id.clone();
        let engine = member.engine()?;
        let header = self.live.snapshot_header(&setup.identity.uid8, order.slot, Vec::new(), engine.ends());
        let Some(header) = header else { return Ok(()) };
        let state = engine.snapshot(&id)?;
        let sealed = header.seal(&state);
        let key = format!("{}/{}", member.id.stage, SnapshotPointer::content_name(&sealed));
        let sealed_hash = SnapshotPointer::to(key.as_str(), &sealed, order.seq);
        let id = self.next_upload;
        self.next_upload += 1;
        match environment.store().start_put(id, order.slot, &key, sealed) {
            Ok(()) => {
                self.uploads.insert(id, Upload { slot: order.slot, seq: order.seq, sealed_hash, cut });
            }
            Err(error) => {
                tracing::warn!(unit = %member.id, %error, "snapshot was not taken");
                self.live.snapshot_failed(order.slot);
            }
        }
        Ok(())
    }

    /// Snapshots that became durable.
    fn uploaded<E: Environment>(&mut self, environment: &mut E) {
        for (id, result) in environment.store().finished() {
            let Some(upload) = self.uploads.remove(&id) else { continue };
            match result {
                Ok(name) => {
                    let pointer = SnapshotPointer { key: name.into(), ..upload.sealed_hash };
                    match upload.cut {
                        Some(drain) => self.live.cut(upload.slot, drain, pointer),
                        None => self.live.snapshot_stored(upload.slot, pointer),
                    }
                }
                Err(error) => {
                    tracing::warn!(slot = upload.slot, seq = upload.seq.0, %error, "snapshot was not stored");
                    match upload.cut {
                        Some(drain) => drop(self.cuts.insert(upload.slot, drain)),
                        None => self.live.snapshot_failed(upload.slot),
                    }
                }
            }
        }
    }

    /// The state of drained units, once their last commit is known to be committed.
    fn cut_drained<E: Environment>(
        &mut self,
        life: &mut Life<E::Io>,
        setup: &Setup,
        environment: &mut E,
    ) -> Result<(), Stop> {
        if self.flight.is_some() || self.cuts.is_empty() {
            return Ok(());
        }
        let ready: Vec<_> = self
            .cuts
            .iter()
            .filter(|(slot, drain)| self.live.standing(**slot) == Some(Standing::Released(Some(**drain))))
            .map(|(slot, drain)| (*slot, *drain))
            .collect();
        for (slot, drain) in ready {
            self.cuts.remove(&slot);
            // Nothing is committed behind a release: the newest commit of the journal is the last one of the unit.
            let seq = self.live.seq(slot);
            self.snapshot(life, setup, environment, SnapshotOrder { slot, seq }, Some(drain))?;
        }
        Ok(())
    }

    /// Looks at the ends of the inputs, and deletes what nobody needs any more.
    fn housekeeping<Io: KafkaIo>(
        &mut self,
        life: &mut Life<Io>,
        setup: &Setup,
        now: Now,
    ) -> Result<(), Stop> {
        if now.monotonic_ms < self.trim_at_ms {
            return Ok(());
        }
        self.trim_at_ms = now.monotonic_ms + TRIM_EVERY_MS;
        let journals = life.members.iter().filter_map(|member| {
            let below = trim::journal(&member.view, &setup.defences)?;
            Some((life.surroundings.journals[member.slot].clone(), below))
        });
        let below: Vec<_> = journals.collect();
        if !below.is_empty() {
            life.io.delete_records(&below)?;
        }
        Ok(())
    }

    fn is_finished<E: Environment>(&self, life: &Life<E::Io>, environment: &E) -> bool {
        let clean = life.members.iter().all(|member| member.pending.is_empty());
        let bounded =
            self.channels.iter().all(|source| environment.end_of_input(&source.partition).is_some());
        let done = |member: &Member| member.engine.as_ref().is_some_and(|engine| engine.is_finished());
        let all_done = bounded && life.members.iter().all(done) && environment.is_bounded();
        clean && self.live.due(u64::MAX) == Due::Nothing && (self.stopping || all_done)
    }

    /// How far a unit is.
    pub fn state_of(&self, member: &Member) -> UnitState {
        match self.live.standing(member.slot as Slot) {
            Some(Standing::Running | Standing::Leaving) => UnitState::Live,
            Some(Standing::Released(Some(_))) => UnitState::Released,
            Some(Standing::Released(None)) | None => UnitState::Superseded,
        }
    }

    /// Adds what only a live worker knows.
    pub fn report<Io: KafkaIo>(&self, life: &Life<Io>, report: &mut Report, _now: Now) {
        let engines = life.members.iter().filter_map(|member| member.engine.as_ref());
        report.watermark_ms = engines.filter_map(|engine| engine.unit().watermark_ms()).min();
        report.last_commit_ms = self.last_commit_ms;
        report.lag_records = self.lag_records;
    }
}

/// The sources of a unit, to be watched.
fn sources(
    setup: &Setup,
    index: usize,
    member: &Member,
    inputs: Vec<(InputPartition, TopicPartition, i64)>,
    now: Now,
) -> Vec<Source> {
    let stage = setup.plan.stage(member.stage);
    inputs
        .into_iter()
        .filter_map(|(at, partition, position)| {
            let Some(Input::Source(source)) = stage.inputs.get(usize::from(at.input)) else { return None };
            let time = &setup.plan.sources()[usize::from(source.0)].time;
            Some(Source {
                member: index,
                at,
                partition,
                idle_timeout_ms: time.idle_timeout_ms.max(0) as u64,
                quiet_since_ms: now.monotonic_ms,
                position,
                end_seen: None,
                idle: false,
                ended: false,
                newest_ms: None,
            })
        })
        .collect()
}

/// Who has to end before units of a stage can: every upstream unit, once per window that it writes blocks of.
fn upstream_units(setup: &Setup, topology: &Topology, stage: StageId) -> Vec<UnitId> {
    let mut all = Vec::new();
    for input in &setup.plan.stage(stage).inputs {
        let Input::Repartition { stage: from, .. } = input else { continue };
        let window = repartition_name(&setup.plan, *input).unwrap_or_default();
        all.extend((0..topology.units(*from)).map(|index| UnitId { stage: window.into(), index }));
    }
    all
}

/// Outputs of one unit in one commit.
fn write_effects<E: Environment>(
    life: &mut Life<E::Io>,
    setup: &Setup,
    environment: &mut E,
    index: usize,
    pending: &[Effects],
    commit: &Commit,
    now: Now,
) -> Result<(), IoError> {
    let id = life.members[index].id.clone();
    let lineage = lineage_of(&life.members[index]);
    let mut blocks: BTreeMap<(StageId, u16, u32), RecordBatch> = BTreeMap::new();
    for effects in pending {
        for (sink, batch) in effects.outputs.iter().filter(|(_, batch)| !batch.is_empty()) {
            match &setup.plan.sink(*sink).connector {
                SinkConnector::Kafka { topic, .. } => {
                    life.io.produce(topic, Partitioning::ByKey { unkeyed: id.index }, batch)?;
                }
                SinkConnector::File { .. } | SinkConnector::Log => environment.emit(*sink, batch)?,
            }
        }
        for block in &effects.blocks {
            let envelope = Envelope::Block(BlockEnvelope {
                lineage,
                from: id.clone(),
                seq: commit.seq,
                source: commit.positions.clone(),
                suppressed: false,
                payload: &block.payload,
            });
            let batch = blocks.entry((block.stage, block.input, block.unit)).or_default();
            push_value(batch, &envelope.encode(), now);
        }
    }
    for ((stage, input, unit), batch) in blocks {
        let input = setup.plan.stage(stage).inputs.get(usize::from(input)).copied();
        let window = input.and_then(|input| repartition_name(&setup.plan, input)).unwrap_or_default();
        let topic = setup.identity.repartition_topic(window, lineage);
        life.io.produce(&topic, Partitioning::Exact(unit), &batch)?;
    }
    Ok(())
}

/// `End` of a drained unit, into every partition that it feeds.
fn write_ends<Io: KafkaIo>(
    life: &mut Life<Io>,
    setup: &Setup,
    slot: Slot,
    drain: DrainId,
    seq: Seq,
    now: Now,
) -> Result<(), IoError> {
    let Some(member) = life.members.iter().find(|member| member.slot == slot as usize) else { return Ok(()) };
    let lineage = lineage_of(member);
    let from = member.stage;
    for (index, stage) in setup.plan.stages().iter().enumerate() {
        for input in &stage.inputs {
            let Input::Repartition { stage: upstream, .. } = input else { continue };
            let window = repartition_name(&setup.plan, *input).filter(|_| *upstream == from);
            let Some(window) = window else { continue };
            let topic = setup.identity.repartition_topic(window, lineage);
            // One `End` per topic: it is named after the window, so that a reader of two topics waits for both.
            let from = UnitId { stage: window.into(), index: member.id.index };
            let end = Envelope::End(End { lineage, drain, from, seq }).encode();
            for unit in 0..life.surroundings.topology.units(StageId(index as u16)) {
                let mut batch = RecordBatch::new();
                push_value(&mut batch, &end, now);
                life.io.produce(&topic, Partitioning::Exact(unit), &batch)?;
            }
        }
    }
    Ok(())
}

fn push_value(batch: &mut RecordBatch, value: &[u8], now: Now) {
    batch.push(NewRecord { offset: 0, timestamp_ms: now.wall_ms, key: None, value: Some(value) });
}

fn lineage_of(member: &Member) -> Lineage {
    member.view.claim_in_force().map_or(Lineage(0), |claim| claim.lineage)
}

fn over(back: GoBack, why: &'static str) -> Stop {
    tracing::warn!(%back, "a live worker goes back");
    Stop::StartOver { previous: Some(back.previous), why }
}
