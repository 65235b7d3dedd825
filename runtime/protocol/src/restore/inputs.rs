//! Records on their way into a replay, and positions on their way from one Claim to the next.

use super::Replay;
use crate::journal::record::{ClaimedInput, InputPartition};
use pipeline::record::RecordBatch;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Fetched records of one partition that were not applied yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Fed {
    /// Each with the first row that counts.
    batches: VecDeque<(RecordBatch, usize)>,
}

impl Fed {
    /// Appends a fetched batch; records that are known or lie before the position are passed over.
    pub fn push(&mut self, batch: RecordBatch, position: i64) {
        let from =
            self.batches.back().and_then(|(last, _)| last.next_offset()).unwrap_or(position).max(position);
        let row = batch.records().partition_point(|record| record.offset < from);
        if row < batch.len() {
            self.batches.push_back((batch, row));
        }
    }

    /// All records below `end`, once the record at `end - 1` (or a later one) is there.
    pub fn cut(&mut self, end: i64) -> Option<RecordBatch> {
        let complete =
            self.batches.back().and_then(|(last, _)| last.next_offset()).is_some_and(|next| next >= end);
        if !complete {
            return None;
        }
        let mut cut = RecordBatch::new();
        while let Some((batch, row)) = self.batches.front_mut() {
            let to = batch.records().partition_point(|record| record.offset < end);
            if *row == 0 && to == batch.len() && cut.is_empty() {
                cut = self.batches.pop_front().map(|(batch, _)| batch).unwrap_or_default();
                continue;
            }
            (*row..to).for_each(|at| cut.push_from(batch, at));
            if to < batch.len() {
                *row = to.max(*row);
                break;
            }
            self.batches.pop_front();
        }
        Some(cut)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.batches.iter().map(|(batch, _)| batch.byte_len()).sum()
    }
}

/// True when both lists name the same topics in the same order.
pub(super) fn same_topics(old: &[ClaimedInput], new: &[ClaimedInput]) -> bool {
    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_same_input(old, new))
}

/// True when both are one input: the same name, and the same topic. A topic that was made again is another one.
pub fn is_same_input(old: &ClaimedInput, new: &ClaimedInput) -> bool {
    old.name == new.name && old.topic == new.topic && old.topic_id == new.topic_id
}

/// Positions behind a Claim: those of inputs that both lists name, and the start positions that the Claim brings for
/// partitions without one.
pub fn carry_over(
    old: &[ClaimedInput],
    positions: &BTreeMap<InputPartition, i64>,
    new: &[ClaimedInput],
) -> BTreeMap<InputPartition, i64> {
    let mut carried = BTreeMap::new();
    for (index, input) in (0u16..).zip(new) {
        let before = old.iter().position(|known| is_same_input(known, input));
        if let Some(before) = before.and_then(|at| u16::try_from(at).ok()) {
            let known = positions.iter().filter(|(at, _)| at.input == before);
            carried.extend(
                known.map(|(at, next)| (InputPartition { input: index, partition: at.partition }, *next)),
            );
        }
        for (partition, start) in &input.starts {
            carried.entry(InputPartition { input: index, partition: *partition }).or_insert(*start);
        }
    }
    carried
}

/// One input of a unit as its plan wants it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedInput {
    /// Name of the source or of the upstream stage.
    pub name: Arc<str>,
    /// Its topic.
    pub topic: Arc<str>,
    /// Kafka's id of the topic today.
    pub topic_id: Arc<str>,
    /// The partitions that the unit reads.
    pub partitions: Vec<u32>,
}

/// The inputs for a Claim: start positions only for partitions that `replay` has no position of, each resolved to a
/// number by `start` (of an input and a partition).
///
/// # Errors
/// Those of `start`.
pub fn claimed_inputs<E>(
    replay: &Replay,
    wanted: &[WantedInput],
    mut start: impl FnMut(&WantedInput, u32) -> Result<i64, E>,
) -> Result<Vec<ClaimedInput>, E> {
    let bare: Vec<ClaimedInput> = wanted
        .iter()
        .map(|input| ClaimedInput {
            name: input.name.clone(),
            topic: input.topic.clone(),
            topic_id: input.topic_id.clone(),
            starts: Vec::new(),
        })
        .collect();
    let known = carry_over(&replay.inputs, &replay.positions, &bare);
    (0u16..)
        .zip(wanted.iter().zip(bare))
        .map(|(index, (input, mut claimed))| {
            for partition in &input.partitions {
                let at = InputPartition { input: index, partition: *partition };
                if !known.contains_key(&at) {
                    claimed.starts.push((*partition, start(input, *partition)?));
                }
            }
            Ok(claimed)
        })
        .collect()
}
