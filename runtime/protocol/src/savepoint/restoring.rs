//! What journals that nobody has written to have to say, so that a pipeline goes on where a savepoint was taken. Pure.
//!
//! ```text
//!  cut       Claim  Commit{seq}            Released{drain, seq}  Cut{pointer}     whoever comes next begins at a cut
//!  at work   Claim  Commit{seq, pointer}                                          whoever comes next goes on, by the same plan
//! ```
//! The state is that of the savepoint, with what is named after the pipeline made new: its uid, its repartition topics, and
//! the positions in them, which begin at 0. Blocks that nobody had consumed are written there again.

use super::bytes::decode_blocks;
use super::{SavedUnit, Savepoint, Unusable};
use crate::block::{BlockEnvelope, Envelope};
use crate::identity::{DrainId, Lineage, Owner, PipelineIdentity, PlacementHash, Seq, UnitId};
use crate::journal::record::{
    Claim, ClaimedInput, Commit, Cut, InputPartition, JournalRecord, Released, Renewal,
};
use crate::schedule::OutputHash;
use crate::snapshot::{SnapshotHeader, SnapshotPointer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the savepoint is restored into.
#[derive(Clone, Debug)]
pub struct Target {
    /// The names of the pipeline in Kafka.
    pub identity: PipelineIdentity,
    /// Who writes.
    pub owner: Owner,
    /// The drain that it begins behind when the savepoint is of a pipeline that stood still.
    pub drain: DrainId,
    /// Kafka's ids of the repartition topics, by name.
    pub topic_ids: BTreeMap<String, String>,
}

/// A savepoint on its way into the journals of a pipeline.
#[derive(Clone, Debug)]
pub struct Restoring<'a> {
    savepoint: &'a Savepoint,
    target: Target,
    /// As the pipeline was called that it was taken of.
    old: PipelineIdentity,
}

/// The state of a unit as the new pipeline keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Its header.
    pub header: SnapshotHeader,
    /// All of it, for the store of snapshots.
    pub sealed: Vec<u8>,
}

impl<'a> Restoring<'a> {
    /// The target has no ids of topics yet; see [`Restoring::repartition_topics`].
    pub fn new(savepoint: &'a Savepoint, target: Target) -> Self {
        let old = PipelineIdentity {
            namespace: savepoint.namespace.clone(),
            pipeline: savepoint.pipeline.clone(),
            uid8: savepoint.uid8.clone(),
        };
        Self { savepoint, target, old }
    }

    /// Who writes.
    pub fn owner(&self) -> Owner {
        self.target.owner
    }

    /// Kafka's ids of the repartition topics, by name.
    pub fn topic_ids(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.target.topic_ids
    }

    /// The topics of journals, by stage, with their partitions.
    pub fn journals(&self) -> Vec<(String, u32)> {
        let topic = |name: &str| self.target.identity.commits_topic(name);
        self.savepoint.stages.iter().map(|stage| (topic(&stage.name), stage.units.len() as u32)).collect()
    }

    /// The repartition topics that the units read, with their partitions.
    pub fn repartition_topics(&self) -> Vec<(String, u32)> {
        let mut topics = BTreeMap::new();
        for stage in &self.savepoint.stages {
            let inputs = stage.units.iter().flat_map(|unit| &unit.inputs);
            for input in inputs.filter(|input| self.is_own(input)) {
                topics.insert(self.topic(input), stage.units.len() as u32);
            }
        }
        topics.into_iter().collect()
    }

    /// The inputs of a unit that others write: topic and Kafka's id of it.
    pub fn sources(&self) -> BTreeMap<&str, &str> {
        let units = self.savepoint.stages.iter().flat_map(|stage| &stage.units);
        let inputs = units.flat_map(|unit| &unit.inputs).filter(|input| !self.is_own(input));
        inputs.map(|input| (&*input.topic, &*input.topic_id)).collect()
    }

    /// Checks the state of a unit and makes it that of the new pipeline.
    pub fn state(
        &self,
        unit: &UnitId,
        saved: &SavedUnit,
        bytes: &[u8],
    ) -> Result<Option<Restored>, Unusable> {
        let Some(pointer) = &saved.state else { return Ok(None) };
        let unusable = |source| Unusable::State { unit: unit.clone(), source };
        pointer.verify(bytes).map_err(unusable)?;
        let (header, state) = SnapshotHeader::open(bytes).map_err(unusable)?;
        if header.unit != *unit || header.seq != pointer.seq || header.plan != self.savepoint.plan {
            let found = format!("{} at commit {} under plan {}", header.unit, header.seq, header.plan);
            return Err(Unusable::Foreign { unit: unit.clone(), found });
        }
        let own = |at: &InputPartition| {
            header.inputs.get(usize::from(at.input)).is_some_and(|input| self.is_own(input))
        };
        let positions =
            header.positions.iter().map(|(at, next)| (*at, if own(at) { 0 } else { *next })).collect();
        // A journal at work points to a snapshot with a commit; one that was never committed becomes the first.
        let seq = if self.savepoint.is_cut() { header.seq } else { header.seq.max(Seq(1)) };
        let header = SnapshotHeader {
            seq,
            uid8: self.target.identity.uid8.clone(),
            lineage: self.lineage(),
            inputs: self.inputs(&header.inputs),
            positions,
            // The drains that they were of are over.
            ends: Vec::new(),
            ..header
        };
        Ok(Some(Restored { sealed: header.seal(state), header }))
    }

    /// What the journal of a unit has to say; `state` is where its state is by now.
    pub fn records(
        &self,
        saved: &SavedUnit,
        state: Option<(&SnapshotHeader, SnapshotPointer)>,
    ) -> Vec<JournalRecord> {
        let owner = self.target.owner;
        let claim = self.claim(saved);
        let mut records = vec![JournalRecord::Claim(Box::new(claim.clone()))];
        let Some((header, pointer)) = state else { return records };
        let drained = self.savepoint.is_cut();
        let seq = header.seq;
        if seq.0 > 0 {
            records.push(JournalRecord::Commit(Box::new(Commit {
                owner,
                seq,
                clock_ms: header.clock_ms,
                positions: header.positions.clone(),
                schedule: Vec::new(),
                watermarks: header.watermarks.clone(),
                outputs: OutputHash::default().digest(),
                snapshot: (!drained).then(|| pointer.clone()),
                renewal: (!drained).then(|| Renewal { claim, holds: Vec::new() }),
                sinks: Vec::new(),
            })));
        }
        if drained {
            let drain = self.target.drain;
            records.push(JournalRecord::Released(Released { owner, seq, drain: Some(drain) }));
            records.push(JournalRecord::Cut(Cut { owner, drain, pointer }));
        }
        records
    }

    /// Blocks of a part of what a unit had not consumed: the topic and the value of each, in order.
    pub fn blocks(
        &self,
        saved: &SavedUnit,
        name: &Arc<str>,
        bytes: &[u8],
    ) -> Result<Vec<(String, Vec<u8>)>, Unusable> {
        let damaged = |source| Unusable::Damaged { name: name.clone(), source };
        let inputs = self.inputs(&saved.inputs);
        let mut blocks = Vec::new();
        for (input, value) in decode_blocks(bytes).map_err(damaged)? {
            let Envelope::Block(block) = Envelope::decode(value).map_err(damaged)? else { continue };
            let Some(input) = inputs.get(usize::from(input)) else { continue };
            // What its writer has not in its state it gives out again.
            if block.seq > self.savepoint.seq(&block.from) {
                continue;
            }
            let block = Envelope::Block(BlockEnvelope { lineage: self.lineage(), ..block });
            blocks.push((input.topic.to_string(), block.encode()));
        }
        Ok(blocks)
    }

    fn claim(&self, saved: &SavedUnit) -> Claim {
        Claim {
            owner: self.target.owner,
            plan: self.savepoint.plan,
            // Nobody works by it: whoever comes next is another generation.
            placement: PlacementHash::of([]),
            semantics: self.savepoint.semantics,
            lineage: self.lineage(),
            resume: None,
            retired: false,
            secrets: self.savepoint.secrets,
            base: None,
            reprocess: None,
            rollback_until_ms: None,
            heritage: None,
            inputs: self.inputs(&saved.inputs),
            stages: self.savepoint.stages.iter().map(|stage| stage.name.clone()).collect(),
        }
    }

    fn lineage(&self) -> Lineage {
        Lineage(self.target.owner.generation().0)
    }

    /// A repartition topic of the pipeline that the savepoint was taken of.
    fn is_own(&self, input: &ClaimedInput) -> bool {
        self.old.lineage_of(&input.topic).is_some()
    }

    /// The topic in place of it; inputs have the name of what is in it.
    fn topic(&self, input: &ClaimedInput) -> String {
        self.target.identity.repartition_topic(&input.name, self.lineage())
    }

    fn inputs(&self, inputs: &[ClaimedInput]) -> Vec<ClaimedInput> {
        let renamed = |input: &ClaimedInput| {
            if !self.is_own(input) {
                return input.clone();
            }
            let topic = self.topic(input);
            let topic_id = self.target.topic_ids.get(&topic).map_or("", String::as_str).into();
            let starts = input.starts.iter().map(|(partition, _)| (*partition, 0)).collect();
            ClaimedInput { name: input.name.clone(), topic: topic.into(), topic_id, starts }
        };
        inputs.iter().map(renamed).collect()
    }
}
