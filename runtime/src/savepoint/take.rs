//! Takes a savepoint: reads journals and what they point to, and copies it, step by step.

use super::{Journals, Reading, SavepointError};
use connect::door::{Fetched, IoError, KafkaIo, TopicPartition};
use connect::snapshot::{Folder, SnapshotStore};
use pipeline::plan::{Input, Plan, StageId};
use protocol::block::Envelope;
use protocol::identity::{Generation, PipelineIdentity, UnitId};
use protocol::journal::{ClaimedInput, JournalView};
use protocol::savepoint::{
    Asked, MANIFEST, Next, Object, SavedStage, SavedUnit, Savepoint, Standing, Taking, Unusable, Waits,
    blocks_name, inputs_of, pack_blocks, state_name,
};
use protocol::snapshot::{Contents, SnapshotHeader, SnapshotPointer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of blocks that are kept in memory; what is more is written before it is known whether it is needed.
const BLOCKS_IN_MEMORY: usize = 64 << 20;
/// Bytes of blocks in one object.
const PART_BYTES: usize = 8 << 20;

/// What is to be saved.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The plan that its journals follow.
    pub plan: Arc<Plan>,
    /// The resolved manifests that make the plan.
    pub manifest: String,
    /// Its names in Kafka.
    pub identity: PipelineIdentity,
    /// What tells this attempt from others in the same folder: letters and digits.
    pub tag: String,
}

/// A savepoint that is complete, and was read back.
#[derive(Clone, Debug)]
pub struct Complete {
    /// What it holds.
    pub savepoint: Savepoint,
    /// Hash of its manifest.
    pub hash: u128,
}

/// A savepoint that is being taken.
pub struct Taker<Io> {
    io: Io,
    subject: Subject,
    stages: Vec<Asked>,
    taking: Taking,
    journals: Journals,
    fetched: Vec<Fetched>,
    saved: BTreeMap<UnitId, Saved>,
    /// What is read of repartition topics: whose it is, and by which input.
    routes: BTreeMap<TopicPartition, (UnitId, u16)>,
    /// How far repartition topics are read.
    reading: Reading,
    /// Everything is chosen: only what is between units has to be read to its end.
    chosen: bool,
    /// What it waits for.
    waits: Option<Waits>,
}

/// What is saved of a unit.
#[derive(Default)]
struct Saved {
    inputs: Vec<ClaimedInput>,
    state: Option<SnapshotPointer>,
    blocks: Vec<(u16, Vec<u8>)>,
    parts: Vec<Object>,
}

impl<Io: KafkaIo> Taker<Io> {
    /// Finds the journals and begins to read them. The door is never used to write.
    pub fn begin(subject: Subject, mut io: Io) -> Result<Self, SavepointError> {
        let plan = &subject.plan;
        let mut stages = Vec::new();
        for (index, stage) in (0u16..).zip(plan.stages()) {
            let topic = subject.identity.commits_topic(&stage.name);
            let found = io.describe(&topic)?;
            let units = found.ok_or(SavepointError::NeverRan { topic })?.partitions;
            stages.push(Asked { name: Arc::from(&*stage.name), units, feeds: feeds(plan, StageId(index)) });
        }
        let topic = |stage: &Asked| subject.identity.commits_topic(&stage.name);
        let mut journals =
            Journals::new(stages.iter().map(|stage| (topic(stage), stage.name.clone(), stage.units)));
        journals.assign(&mut io)?;
        Ok(Self {
            io,
            taking: Taking::new(plan.hash(), stages.clone()),
            stages,
            subject,
            journals,
            fetched: Vec::new(),
            saved: BTreeMap::new(),
            routes: BTreeMap::new(),
            reading: Reading::default(),
            chosen: false,
            waits: None,
        })
    }

    /// What it waits for, if it does.
    pub fn waits(&self) -> Option<&Waits> {
        self.waits.as_ref()
    }

    /// Reads what there is, waiting up to `wait` for it, and copies what can be copied by now. None as long as it is not
    /// complete.
    pub fn step(
        &mut self,
        snapshots: &mut dyn SnapshotStore,
        folder: &mut dyn Folder,
        wall_ms: i64,
        wait: Duration,
    ) -> Result<Option<Complete>, SavepointError> {
        match self.fetch(wait) {
            // A journal, or blocks, were trimmed before they were read: what is needed now stands elsewhere.
            Err(SavepointError::Io(IoError::OffsetOutOfRange { .. })) => {
                self.again()?;
                return Ok(None);
            }
            fetched => fetched?,
        }
        if self.buffered() > BLOCKS_IN_MEMORY {
            self.write_blocks(folder)?;
        }
        if !self.journals.are_read() {
            return Ok(None);
        }
        if self.chosen {
            return if self.reading.is_done() { self.complete(folder, wall_ms).map(Some) } else { Ok(None) };
        }
        loop {
            match self.taking.next(&self.journals.views) {
                Next::Save(unit, standing) => {
                    if !self.save(&unit, standing, snapshots, folder)? {
                        self.again()?;
                        return Ok(None);
                    }
                }
                Next::Read => drop(self.journals.ask(&mut self.io)?),
                Next::Wait(waits) => {
                    self.waits = Some(waits);
                    self.journals.ask(&mut self.io)?;
                    return Ok(None);
                }
                Next::Again(waits) => {
                    self.waits = Some(waits);
                    self.again()?;
                }
                Next::Done => {
                    self.reading.ask(self.routes.keys().cloned().collect(), &mut self.io)?;
                    self.chosen = true;
                }
            }
            if !self.journals.are_read() || self.chosen {
                return Ok(None);
            }
        }
    }

    fn fetch(&mut self, wait: Duration) -> Result<(), SavepointError> {
        self.io.poll(wait, &mut self.fetched)?;
        for fetched in std::mem::take(&mut self.fetched) {
            if self.journals.take(&fetched)? {
                continue;
            }
            match fetched {
                Fetched::End { of, offset } => self.reading.passed(&of, offset),
                Fetched::Records { from, batch } => {
                    let Some((unit, input)) = self.routes.get(&from) else { continue };
                    let blocks = &mut self.saved.entry(unit.clone()).or_default().blocks;
                    let values = (0..batch.len()).filter_map(|row| batch.value(row));
                    blocks.extend(values.map(|value| (*input, value.to_vec())));
                    self.reading.passed(&from, batch.next_offset().unwrap_or_default());
                }
            }
        }
        Ok(())
    }

    /// What was chosen does not fit, or is gone: everything is chosen anew.
    fn again(&mut self) -> Result<(), SavepointError> {
        self.fetched.clear();
        let read: Vec<TopicPartition> = std::mem::take(&mut self.routes).into_keys().collect();
        self.io.unassign(&read)?;
        self.saved.clear();
        (self.reading, self.chosen) = (Reading::default(), false);
        self.taking = Taking::new(self.subject.plan.hash(), self.stages.clone());
        let stages = self.stages.iter();
        let topic = |stage: &Asked| self.subject.identity.commits_topic(&stage.name);
        self.journals = Journals::new(stages.map(|stage| (topic(stage), stage.name.clone(), stage.units)));
        Ok(self.journals.assign(&mut self.io)?)
    }

    /// Copies the state of a unit, and begins to read what it has not consumed; or finds out that it is of no use. False when
    /// the state is gone: its owner has a newer one.
    fn save(
        &mut self,
        unit: &UnitId,
        standing: Standing,
        snapshots: &mut dyn SnapshotStore,
        folder: &mut dyn Folder,
    ) -> Result<bool, SavepointError> {
        let claim = self.view(unit).and_then(JournalView::claim_in_force).cloned();
        let inputs = match (&standing, &claim) {
            (Standing::At(_), Some(claim)) => claim.inputs.clone(),
            _ => self.view(unit).map(inputs_of).unwrap_or_default(),
        };
        let mut saved = Saved { inputs, ..Saved::default() };
        let mut header = None;
        if let Standing::At(pointer) = &standing {
            let (found, whole) = match loaded(&self.subject.identity.uid8, unit, pointer, snapshots) {
                Err(SavepointError::Snapshot { source, .. })
                    if source.is_loss() && !self.taking.is_drained() =>
                {
                    return Ok(false);
                }
                loaded => loaded?,
            };
            let lineage = claim.map(|claim| claim.lineage);
            if found.plan != self.subject.plan.hash() || Some(found.lineage) != lineage {
                self.taking.outdated(pointer);
                return Ok(true);
            }
            let name = state_name(unit, &self.subject.tag);
            written(&name, &whole, folder)?;
            saved.state = Some(SnapshotPointer::to(name, &whole, pointer.seq));
            header = Some(found);
        }
        if !self.taking.is_drained() {
            self.follow(unit, &saved.inputs, header.as_ref())?;
        }
        self.saved.insert(unit.clone(), saved);
        self.taking.saved(unit, standing);
        self.waits = None;
        Ok(true)
    }

    /// Reads the repartition topics of a unit from where it stands.
    fn follow(
        &mut self,
        unit: &UnitId,
        inputs: &[ClaimedInput],
        header: Option<&SnapshotHeader>,
    ) -> Result<(), SavepointError> {
        let mut from = Vec::new();
        for (index, input) in (0u16..).zip(inputs) {
            if self.subject.identity.lineage_of(&input.topic).is_none() {
                continue;
            }
            let position = match header {
                Some(header) => {
                    header.positions.iter().find(|(at, _)| at.input == index).map(|(_, next)| *next)
                }
                None => input.starts.first().map(|(_, start)| *start),
            };
            let at = TopicPartition { topic: input.topic.to_string(), partition: unit.index };
            self.routes.insert(at.clone(), (unit.clone(), index));
            from.push((at, position.unwrap_or_default()));
        }
        if from.is_empty() { Ok(()) } else { Ok(self.io.assign(&from)?) }
    }

    fn view(&self, unit: &UnitId) -> Option<&JournalView> {
        let stage = self.stages.iter().position(|stage| stage.name == unit.stage)?;
        self.journals.views[stage].get(unit.index as usize)
    }

    fn buffered(&self) -> usize {
        self.saved.values().flat_map(|saved| &saved.blocks).map(|(_, value)| value.len()).sum()
    }

    /// Writes the blocks that are in memory. At the end those that their writers give out again are left out.
    fn write_blocks(&mut self, folder: &mut dyn Folder) -> Result<(), SavepointError> {
        let finished = self.chosen;
        for (unit, saved) in &mut self.saved {
            let mut part = Vec::new();
            let mut bytes = 0;
            for (input, value) in std::mem::take(&mut saved.blocks) {
                if finished && !was_given(&self.taking, unit, &value)? {
                    continue;
                }
                bytes += value.len();
                part.push((input, value));
                if bytes >= PART_BYTES {
                    write_part(unit, &self.subject.tag, saved.parts.len(), &part, folder)
                        .map(|object| saved.parts.push(object))?;
                    (part, bytes) = (Vec::new(), 0);
                }
            }
            if !part.is_empty() {
                write_part(unit, &self.subject.tag, saved.parts.len(), &part, folder)
                    .map(|object| saved.parts.push(object))?;
            }
        }
        Ok(())
    }

    /// Writes what is left, and the manifest last.
    fn complete(&mut self, folder: &mut dyn Folder, wall_ms: i64) -> Result<Complete, SavepointError> {
        self.write_blocks(folder)?;
        let views = || self.journals.views.iter().flatten();
        let claim = views().find_map(JournalView::claim_in_force);
        let mut saved = std::mem::take(&mut self.saved);
        let mut unit = |id: UnitId| {
            let Saved { inputs, state, parts, .. } = saved.remove(&id).unwrap_or_default();
            SavedUnit { inputs, state, blocks: parts }
        };
        let stages = self.stages.iter().map(|stage| SavedStage {
            name: stage.name.clone(),
            units: (0..stage.units).map(|index| unit(UnitId { stage: stage.name.clone(), index })).collect(),
        });
        let identity = &self.subject.identity;
        let savepoint = Savepoint {
            stages: stages.collect(),
            namespace: identity.namespace.clone(),
            pipeline: identity.pipeline.clone(),
            uid8: identity.uid8.clone(),
            generation: views()
                .map(|view| view.ownership().highest_generation())
                .max()
                .unwrap_or(Generation(0)),
            plan: self.subject.plan.hash(),
            semantics: claim.map_or(crate::worker::SEMANTICS, |claim| claim.semantics),
            secrets: claim.and_then(|claim| claim.secrets),
            manifest: self.subject.manifest.clone(),
            drained: self.taking.is_drained(),
            taken_at_ms: wall_ms,
        };
        let bytes = savepoint.encode();
        written(MANIFEST, &bytes, folder)?;
        Ok(Complete { savepoint, hash: Object::of(MANIFEST, &bytes).hash })
    }
}

/// True when another stage reads what this one gives out.
fn feeds(plan: &Plan, stage: StageId) -> bool {
    let inputs = plan.stages().iter().flat_map(|stage| &stage.inputs);
    inputs.into_iter().any(|input| matches!(input, Input::Repartition { stage: from, .. } if *from == stage))
}

/// True for a block that its writer has in its state: it will not give it out again.
fn was_given(taking: &Taking, reader: &UnitId, value: &[u8]) -> Result<bool, SavepointError> {
    let damaged = |source| Unusable::Damaged { name: format!("a block for {reader}").into(), source };
    Ok(match Envelope::decode(value).map_err(damaged)? {
        Envelope::Block(block) => taking.gave(&block.from, block.seq),
        Envelope::End(_) => false,
    })
}

/// A snapshot with everything that it needs in one piece, and its header.
fn loaded(
    uid8: &str,
    unit: &UnitId,
    pointer: &SnapshotPointer,
    snapshots: &mut dyn SnapshotStore,
) -> Result<(SnapshotHeader, Vec<u8>), SavepointError> {
    let lost = |source| SavepointError::Snapshot { unit: unit.clone(), source };
    let unusable = |source| SavepointError::State { unit: unit.clone(), source };
    let sealed = snapshots.get(&pointer.key).map_err(lost)?;
    let (header, state) = SnapshotHeader::restore(uid8, unit, pointer, &sealed).map_err(unusable)?;
    let contents = Contents::open(state).map_err(unusable)?;
    let others = contents.others().iter().map(|name| snapshots.get(name)).collect::<Result<Vec<_>, _>>();
    let others = others.map_err(lost)?;
    let whole = header.seal_whole(&contents.assemble(&others).map_err(unusable)?);
    Ok((header, whole))
}

fn write_part(
    unit: &UnitId,
    tag: &str,
    part: usize,
    blocks: &[(u16, Vec<u8>)],
    folder: &mut dyn Folder,
) -> Result<Object, SavepointError> {
    let bytes = pack_blocks(blocks.iter().map(|(input, value)| (*input, &**value)));
    let name = blocks_name(unit, tag, part);
    written(&name, &bytes, folder)?;
    Ok(Object::of(name, &bytes))
}

/// Writes an object and reads it back.
fn written(name: &str, bytes: &[u8], folder: &mut dyn Folder) -> Result<(), SavepointError> {
    folder.write(name, bytes).map_err(SavepointError::Folder)?;
    let back = folder.read(name).map_err(SavepointError::Folder)?;
    if back == bytes { Ok(()) } else { Err(Unusable::Hash { name: name.into() }.into()) }
}
