//! One unit of a worker: its journal, its replay, its engine, and what was applied since the last commit.
//!
//! Live and in replay the same functions feed the engine, so that the same log gives the same state.

use super::error::WorkerError;
use super::heritage::{heirlooms, known, renewed};
use super::kept::Kept;
use super::setup::{Environment, Setup, Surroundings};
use connect::door::TopicPartition;
use connect::snapshot::{Shard, SnapshotError, SnapshotStore, Stored, Work, key};
use pipeline::effect::Effects;
use pipeline::plan::{Input, Plan, PlanHash, SecretsHash, StageId};
use pipeline::record::RecordBatch;
use pipeline::unit::{Channel, Predecessor, Saved, Snapshot, Tick, Topology, Unit};
use protocol::block::Envelope;
use protocol::drain::Ends;
use protocol::identity::{Seq, UnitId};
use protocol::journal::JournalView;
use protocol::journal::record::{Claim, ClaimedInput, InputPartition};
use protocol::restore::{Replay, ReplayStep, RestoreError, Rewind};
use protocol::schedule::OutputHash;
use protocol::snapshot::{
    Archive, Contents, Limits, SnapshotError as Unusable, SnapshotHeader, SnapshotPointer,
};
use std::sync::{Arc, Mutex, PoisonError};

/// One unit.
pub struct Member {
    /// Its place in the list of journals.
    pub slot: usize,
    /// Its stage in the worker's own plan.
    pub stage: StageId,
    /// Its name.
    pub id: UnitId,
    /// Its journal, as far as it was read.
    pub view: JournalView,
    /// On the way to live.
    pub replay: Replay,
    /// The engine; none before the first Claim or snapshot.
    pub engine: Option<Engine>,
    /// True while the replay waits for records.
    pub hungry: bool,
    /// Outputs of the replay since its last commit.
    replayed: OutputHash,
    /// The state was carried over to another plan.
    pub migrated: bool,
    /// What waits for the next commit, in the order it was made.
    pub pending: Vec<Effects>,
    /// True when something was applied since the last commit.
    pub dirty: bool,
    /// Snapshots that were loaded or taken, and that the journal may point to.
    pub kept: Kept,
    /// The change of plan that is taken back.
    pub rewind: Option<Rewind>,
}

/// The engine under the plan that it follows now.
pub struct Engine {
    unit: Unit,
    plan: Arc<Plan>,
    stage: StageId,
    /// Those of the plan.
    secrets: Option<SecretsHash>,
    /// `End`s of upstream units, consumed live or in replay.
    ends: Ends,
    /// Where the pages of the state are. Only the work on a snapshot looks into it, one after the other.
    archive: Arc<Mutex<Archive>>,
}

impl Member {
    /// A unit that was not restored yet.
    pub fn new(setup: &Setup, slot: usize, stage: StageId, id: UnitId) -> Self {
        Self {
            slot,
            stage,
            replay: Replay::new(&setup.identity.uid8, id.clone(), setup.defences).rewinding(setup.rewind),
            id,
            view: JournalView::default(),
            engine: None,
            hungry: false,
            replayed: OutputHash::default(),
            migrated: false,
            pending: Vec::new(),
            dirty: false,
            kept: Kept::default(),
            rewind: setup.rewind,
        }
    }

    /// Whose its snapshots are.
    pub fn shard(&self, topology: &Topology) -> Shard {
        Shard { stage: self.id.stage.to_string(), unit: self.id.index, units: topology.units(self.stage) }
    }

    /// The last commit that its state has taken in, as far as there is something to take in: on the way back from a change
    /// of plan that is all, once the state before it is there.
    pub fn replayed(&self) -> Option<Seq> {
        let replayed = self.replay.replayed()?;
        let past = self.rewind.and_then(|rewind| rewind.past(&self.view));
        match past {
            Some(past) if past.ownership().seq() == replayed => Some(self.view.ownership().seq()),
            _ => Some(replayed),
        }
    }

    /// True when its newest durable state was written by this plan, or nobody had any state here: no restore follows another.
    pub fn is_settled(&self, plan: PlanHash) -> bool {
        if let Some(pointer) = &self.view.restore_point().pointer {
            return self.kept.plan(pointer.hash) == Some(plan);
        }
        let ownership = self.view.ownership();
        let inherits = self.view.claim_in_force().is_some_and(|claim| claim.heritage.is_some());
        ownership.seq().0 == 0 && !ownership.knows_other_than(plan) && !inherits
    }

    /// Hands its state right behind a commit to the store, as number `id`. It is encoded there.
    pub fn hand_over<E: Environment>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        id: u64,
        topology: &Topology,
        header: SnapshotHeader,
    ) -> Result<Result<(), SnapshotError>, WorkerError> {
        let (shard, unit) = (self.shard(topology), self.id.clone());
        let work = self.engine()?.snapshot(&unit, shard, setup, header)?;
        Ok(environment.store().start(id, work))
    }

    /// Replays as far as the journal and the fetched records go. Gives the partitions to be read when they change.
    pub fn pump<E: Environment>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        surroundings: &Surroundings,
    ) -> Result<Option<Vec<(InputPartition, i64)>>, WorkerError> {
        let mut assign = None;
        self.hungry = false;
        if let Some(rewind) = self.rewind
            && let Some(in_force) = self.view.ownership().in_force()
            && in_force != rewind.plan
            && rewind.past(&self.view).is_none()
        {
            return Err(WorkerError::PastNotKept { unit: self.id.clone(), undone: rewind.undone });
        }
        loop {
            let step = self.replay.next(&self.view).map_err(WorkerError::Restore)?;
            match step {
                ReplayStep::Load(pointer) => self.load(setup, environment, surroundings, &pointer)?,
                ReplayStep::Follow { claim, before, .. } => {
                    self.follow(setup, environment, surroundings, &claim, &before)?;
                }
                ReplayStep::Forget => {
                    self.engine = None;
                    self.replayed = OutputHash::default();
                }
                ReplayStep::Assign(positions) => assign = Some(positions),
                ReplayStep::Apply { at, batch, clock_ms } => {
                    let effects = self.apply(at, &batch, clock_ms)?;
                    self.replayed.add(&effects);
                }
                ReplayStep::Tick { tick, clock_ms } => {
                    let effects = self.tick(tick, clock_ms)?;
                    self.replayed.add(&effects);
                }
                ReplayStep::Commit { .. } => {
                    let effects = self.boundary()?;
                    self.replayed.add(&effects);
                    let digest = std::mem::take(&mut self.replayed).digest();
                    let made_with = self.replay.secrets_of_commit(&self.view);
                    if made_with.is_some() && made_with != self.engine()?.secrets {
                        self.replay.committed_with_other_secrets();
                    } else {
                        self.replay.committed(digest).map_err(WorkerError::Restore)?;
                    }
                }
                ReplayStep::Feed(_) => {
                    self.hungry = true;
                    return Ok(assign);
                }
                ReplayStep::UpToDate => return Ok(assign),
            }
        }
    }

    /// The engine, which is there once a Claim or a snapshot was seen.
    pub fn engine(&mut self) -> Result<&mut Engine, WorkerError> {
        self.engine.as_mut().ok_or_else(|| WorkerError::NoState { unit: self.id.clone() })
    }

    fn load<E: Environment>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        surroundings: &Surroundings,
        pointer: &SnapshotPointer,
    ) -> Result<(), WorkerError> {
        let sealed = environment
            .store()
            .get(&pointer.key)
            .map_err(|source| WorkerError::Store { key: pointer.key.to_string(), source })?;
        let (header, state) = self.replay.loaded(pointer, &sealed).map_err(WorkerError::Restore)?;
        let (contents, others) = contents(environment, &self.id, state)?;
        let saved = contents.assemble(&others).map_err(unusable(&self.id))?;
        let oldest = contents.others().first().map_or(pointer.key.clone(), |name| Arc::from(*name));
        self.kept.add(pointer.hash, &header, header.clock_ms, oldest);
        let plan = known(setup, &self.id, header.plan)?;
        let mut engine = Engine::restore(plan, &self.id, surroundings, &saved)?;
        engine.ends = header.ends.into_iter().collect();
        self.engine = Some(engine);
        Ok(())
    }

    /// How wide everything was when this unit was claimed. A partition that a topic got later is none of the channels that the
    /// unit began with, so that a replay begins with the same.
    fn topology_at_claim(
        &self,
        plan: &Arc<Plan>,
        surroundings: &Surroundings,
    ) -> Result<Topology, WorkerError> {
        let mut topology = surroundings.topology_of(plan);
        let positions = self.replay.positions();
        let inputs = &plan.stage(stage_of(plan, &self.id)?).inputs;
        for (index, input) in (0_u16..).zip(inputs) {
            let Input::Source(source) = input else { continue };
            let read = positions.iter().filter(|(at, _)| at.input == index);
            let width = read.map(|(at, _)| at.partition + 1).max().unwrap_or(0);
            topology.source_partitions[usize::from(source.0)] = width;
        }
        Ok(topology)
    }

    /// The unit follows the plan of this Claim from here on; `before` are its inputs so far.
    fn follow<E: Environment>(
        &mut self,
        setup: &Setup,
        environment: &mut E,
        surroundings: &Surroundings,
        claim: &Claim,
        before: &[ClaimedInput],
    ) -> Result<(), WorkerError> {
        let plan = known(setup, &self.id, claim.plan)?;
        let topology = self.topology_at_claim(plan, surroundings)?;
        let old = self.engine.take();
        self.engine = Some(match (old, &claim.heritage) {
            (Some(engine), _) if engine.plan.hash() == plan.hash() => engine,
            (None, None) => Engine::new(plan, &self.id, &topology)?,
            (old, heritage) => {
                let hash = heritage.as_ref().map(|heritage| heritage.plan);
                let hash = hash.or(old.as_ref().map(|engine| engine.plan.hash())).unwrap_or(claim.plan);
                let from = known(setup, &self.id, hash)?;
                let mut all = heirlooms(setup, environment, surroundings, claim)?;
                let renewed = renewed(before, &claim.inputs);
                all.extend(old.map(|engine| Predecessor { unit: engine.unit, renewed }));
                self.migrated = true;
                Engine::migrate(from, plan, &self.id, &topology, all)?
            }
        });
        Ok(())
    }
}

impl Engine {
    fn new(plan: &Arc<Plan>, id: &UnitId, topology: &Topology) -> Result<Self, WorkerError> {
        let stage = stage_of(plan, id)?;
        let unit = Unit::new(plan.clone(), topology, stage, id.index)
            .map_err(|source| WorkerError::Build { unit: id.clone(), source })?;
        Ok(Self::around(unit, plan, stage))
    }

    fn restore(
        plan: &Arc<Plan>,
        id: &UnitId,
        surroundings: &Surroundings,
        saved: &Saved<'_>,
    ) -> Result<Self, WorkerError> {
        let stage = stage_of(plan, id)?;
        let unit = Unit::restore(plan.clone(), &surroundings.topology_of(plan), stage, id.index, saved)
            .map_err(|source| WorkerError::State { unit: id.clone(), source })?;
        Ok(Self::around(unit, plan, stage))
    }

    /// What units of the plan `from` leave, under another plan; refused when the meaning of the state changed.
    fn migrate(
        from: &Plan,
        plan: &Arc<Plan>,
        id: &UnitId,
        topology: &Topology,
        old: Vec<Predecessor>,
    ) -> Result<Self, WorkerError> {
        let stage = stage_of(plan, id)?;
        let unit = Unit::migrate(from, plan.clone(), topology, stage, id.index, old)
            .map_err(|source| WorkerError::Migrate { unit: id.clone(), source })?;
        Ok(Self::around(unit, plan, stage))
    }

    fn around(unit: Unit, plan: &Arc<Plan>, stage: StageId) -> Self {
        Self {
            unit,
            secrets: plan.secrets_hash(),
            plan: plan.clone(),
            stage,
            ends: Ends::default(),
            archive: Arc::default(),
        }
    }

    /// Applies records of one partition of one input.
    pub fn apply(
        &mut self,
        at: InputPartition,
        batch: &RecordBatch,
        clock_ms: i64,
    ) -> Result<Effects, WorkerError> {
        let mut effects = Effects::default();
        let input = self.plan.stage(self.stage).inputs.get(usize::from(at.input));
        if matches!(input, Some(Input::Repartition { .. })) {
            self.blocks(at, batch, clock_ms, &mut effects)?;
        } else {
            let channel = Channel { input: at.input, partition: at.partition };
            self.unit.on_batch(channel, batch, clock_ms, &mut effects);
        }
        Ok(effects)
    }

    fn blocks(
        &mut self,
        at: InputPartition,
        batch: &RecordBatch,
        clock_ms: i64,
        effects: &mut Effects,
    ) -> Result<(), WorkerError> {
        for row in 0..batch.len() {
            let offset = batch.records()[row].offset;
            let value = batch.value(row).unwrap_or_default();
            let envelope =
                Envelope::decode(value).map_err(|source| WorkerError::Envelope { offset, source })?;
            match envelope {
                Envelope::Block(block) => {
                    let channel = Channel { input: at.input, partition: block.from.index };
                    self.unit
                        .on_block(channel, block.payload, clock_ms, effects)
                        .map_err(|source| WorkerError::Block { offset, source })?;
                }
                Envelope::End(end) => self.ends.consume(&end),
            }
        }
        Ok(())
    }

    /// Applies an empty batch.
    pub fn tick(&mut self, tick: Tick, clock_ms: i64) -> Effects {
        let mut effects = Effects::default();
        self.unit.on_tick(tick, clock_ms, &mut effects);
        effects
    }

    /// The boundary of a commit: buffers are emptied.
    pub fn boundary(&mut self) -> Effects {
        let mut effects = Effects::default();
        self.unit.on_commit(&mut effects);
        effects
    }

    /// The state right behind a commit, as work for the store.
    fn snapshot(
        &mut self,
        id: &UnitId,
        shard: Shard,
        setup: &Setup,
        header: SnapshotHeader,
    ) -> Result<Work, WorkerError> {
        let state = self.unit.snapshot();
        let state = state.map_err(|source| WorkerError::Snapshot { unit: id.clone(), source })?;
        let (archive, limits) = (Arc::clone(&self.archive), setup.snapshots);
        Ok(Box::new(move |store| store_snapshot(store, &shard, &archive, &limits, &header, &state)))
    }

    /// True when there is something to say at a commit even if nothing was applied.
    pub fn needs_commit(&mut self) -> bool {
        self.unit.needs_commit()
    }

    /// True when every channel has ended.
    pub fn is_finished(&self) -> bool {
        self.unit.watermark_ms() == Some(i64::MAX)
    }

    /// The state machine itself, to be looked at.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Drains whose upstream units have all ended.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }
}

/// Encodes what changed since the last snapshot that was stored, and stores it.
fn store_snapshot(
    store: &mut dyn SnapshotStore,
    shard: &Shard,
    archive: &Mutex<Archive>,
    limits: &Limits,
    header: &SnapshotHeader,
    state: &Snapshot,
) -> Result<Stored, SnapshotError> {
    let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
    let packed = archive.pack(limits, header, state, |content| key(header.seq.0, content));
    let name: Arc<str> = store.put(shard, &packed.pointer.key, &packed.sealed)?.into();
    let pointer = SnapshotPointer { key: name.clone(), ..packed.pointer.clone() };
    let state_bytes = packed.state_bytes;
    Ok(Stored { pointer, oldest: archive.stored(packed, name), state_bytes })
}

/// The state in a snapshot, and the other objects that hold pages of it.
pub(super) fn contents<'a, E: Environment>(
    environment: &mut E,
    id: &UnitId,
    state: &'a [u8],
) -> Result<(Contents<'a>, Vec<Vec<u8>>), WorkerError> {
    let contents = Contents::open(state).map_err(unusable(id))?;
    let get = |name: &&str| {
        let found = environment.store().get(name);
        found.map_err(|source| WorkerError::Store { key: (*name).to_owned(), source })
    };
    let others = contents.others().iter().map(get).collect::<Result<_, _>>()?;
    Ok((contents, others))
}

/// A snapshot of a unit that is not what it was.
pub(super) fn unusable(id: &UnitId) -> impl FnOnce(Unusable) -> WorkerError {
    let unit = id.clone();
    |source| WorkerError::Restore(RestoreError::Snapshot { unit, source })
}

/// The stage of that name in a plan.
pub(super) fn stage_of(plan: &Plan, id: &UnitId) -> Result<StageId, WorkerError> {
    let index = plan.stages().iter().position(|stage| *stage.name == *id.stage);
    index
        .map(|index| StageId(index as u16))
        .ok_or_else(|| WorkerError::NoStage { unit: id.clone(), plan: plan.hash() })
}

/// The partitions of the log behind positions of a unit.
pub fn partitions(
    replay: &Replay,
    positions: &[(InputPartition, i64)],
) -> Vec<(InputPartition, TopicPartition, i64)> {
    positions
        .iter()
        .filter_map(|(at, next)| {
            let input = replay.inputs().get(usize::from(at.input))?;
            let topic = input.topic.to_string();
            Some((*at, TopicPartition { topic, partition: at.partition }, *next))
        })
        .collect()
}
