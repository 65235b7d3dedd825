//! Savepoints over a real log and real stores: what [`protocol::savepoint`] decides is carried out here.
//!
//! ```text
//!  journals, repartition topics ──read──┐
//!  snapshots ───────────────────read──> Taker ──write──> Folder ──read──> restore ──write──> journals, snapshots, blocks
//! ```

mod error;
mod restore;
mod take;

pub use error::SavepointError;
pub use restore::{Destination, restore};
pub use take::{Complete, Subject, Taker};

use connect::door::{Fetched, IoError, KafkaIo, TopicPartition};
use connect::snapshot::Folder;
use protocol::format::DecodeError;
use protocol::identity::UnitId;
use protocol::journal::{JournalRecord, JournalView};
use protocol::savepoint::{MANIFEST, Object, Savepoint, Unusable};
use std::collections::BTreeMap;

/// Reads the manifest of a savepoint, and says its hash.
pub fn open(folder: &mut dyn Folder) -> Result<(Savepoint, u128), SavepointError> {
    let bytes = match folder.read(MANIFEST) {
        Err(error) if error.is_loss() => return Err(SavepointError::None { source: error }),
        bytes => bytes.map_err(SavepointError::Folder)?,
    };
    let damaged = |source: DecodeError| Unusable::Damaged { name: MANIFEST.into(), source };
    let savepoint = Savepoint::decode(&bytes).map_err(|error| SavepointError::Unusable(damaged(error)))?;
    Ok((savepoint, Object::of(MANIFEST, &bytes).hash))
}

/// Some journals, as far as they were read.
struct Journals {
    /// By stage and unit.
    views: Vec<Vec<JournalView>>,
    places: BTreeMap<TopicPartition, (usize, usize, UnitId)>,
    reading: Reading,
}

/// How far partitions were read, and how far they have to be.
#[derive(Default)]
struct Reading {
    read: BTreeMap<TopicPartition, i64>,
    ends: BTreeMap<TopicPartition, i64>,
}

impl Reading {
    /// They have to be read to the ends that they have now.
    fn ask(&mut self, of: Vec<TopicPartition>, io: &mut impl KafkaIo) -> Result<Vec<i64>, IoError> {
        let watermarks = if of.is_empty() { Vec::new() } else { io.watermarks(&of)? };
        self.ends = of.into_iter().zip(watermarks.iter().map(|(_, high)| *high)).collect();
        Ok(watermarks.into_iter().map(|(low, _)| low).collect())
    }

    /// Everything below `next` was read.
    fn passed(&mut self, of: &TopicPartition, next: i64) {
        self.read.insert(of.clone(), next);
    }

    /// Everything was read that was asked for. Where nothing was read there is nothing.
    fn is_done(&self) -> bool {
        self.ends.iter().all(|(at, end)| *end == 0 || self.read.get(at).is_some_and(|next| next >= end))
    }
}

impl Journals {
    /// Those of stages with so many units each; nothing is read yet.
    fn new(stages: impl IntoIterator<Item = (String, std::sync::Arc<str>, u32)>) -> Self {
        let (mut views, mut places) = (Vec::new(), BTreeMap::new());
        for (stage, (topic, name, units)) in stages.into_iter().enumerate() {
            views.push((0..units).map(|_| JournalView::default()).collect());
            for index in 0..units {
                let unit = UnitId { stage: name.clone(), index };
                let at = TopicPartition { topic: topic.clone(), partition: index };
                places.insert(at, (stage, index as usize, unit));
            }
        }
        Self { views, places, reading: Reading::default() }
    }

    /// Begins to read them from the start of their logs, to the ends that they have now.
    fn assign(&mut self, io: &mut impl KafkaIo) -> Result<(), IoError> {
        let starts = self.ask(io)?;
        let from: Vec<_> = self.places.keys().cloned().zip(starts).collect();
        io.assign(&from)
    }

    /// They have to be read to the ends that they have now.
    fn ask(&mut self, io: &mut impl KafkaIo) -> Result<Vec<i64>, IoError> {
        self.reading.ask(self.places.keys().cloned().collect(), io)
    }

    /// Takes what was fetched, if it is of a journal.
    fn take(&mut self, fetched: &Fetched) -> Result<bool, SavepointError> {
        let (Fetched::Records { from: of, .. } | Fetched::End { of, .. }) = fetched;
        let Some((stage, index, unit)) = self.places.get(of) else { return Ok(false) };
        let next = match fetched {
            Fetched::End { offset, .. } => *offset,
            Fetched::Records { batch, .. } => {
                for row in 0..batch.len() {
                    let offset = batch.records()[row].offset;
                    let record = JournalRecord::decode(batch.value(row).unwrap_or_default());
                    let record = record.map_err(|source| SavepointError::Record {
                        unit: unit.clone(),
                        offset,
                        source,
                    })?;
                    let applied = self.views[*stage][*index].apply(offset, record);
                    applied.map_err(|source| SavepointError::Journal { unit: unit.clone(), source })?;
                }
                batch.next_offset().unwrap_or_default()
            }
        };
        self.reading.passed(of, next);
        Ok(true)
    }

    /// Everything was read that was asked for.
    fn are_read(&self) -> bool {
        self.reading.is_done()
    }
}
