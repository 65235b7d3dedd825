//! A view from outside the log: committed records, each once, for sinks that are no topics.

use super::partition::Limit;
use super::{Log, out_of_range};
use crate::door::{IoError, TopicPartition};
use pipeline::record::RecordBatch;

/// Reads committed records of all partitions of a topic, each once.
pub struct Reader {
    pub(super) log: Log,
    pub(super) topic: String,
    pub(super) positions: Vec<i64>,
}

impl Reader {
    /// What was committed since the last call, with the partition, at most one batch per partition.
    pub fn read(&mut self) -> Result<Vec<(u32, RecordBatch)>, IoError> {
        let state = self.log.lock();
        let limit = Limit { uncommitted: false, ..state.settings.limit() };
        let mut new = Vec::new();
        let partitions = state.topic(&self.topic)?.partitions.iter();
        for ((number, partition), position) in (0..).zip(partitions).zip(&mut self.positions) {
            let mut batch = RecordBatch::new();
            let of = TopicPartition { topic: self.topic.clone(), partition: number };
            *position =
                partition.read(*position, limit, &mut batch).map_err(|_| out_of_range(&of, *position))?;
            if !batch.is_empty() {
                new.push((number, batch));
            }
        }
        Ok(new)
    }
}
