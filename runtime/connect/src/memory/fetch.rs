//! The reading half of a door: positions, fair turns, ends.

use super::io::Io;
use super::partition::Limit;
use super::{State, out_of_range};
use crate::door::{Fetched, IoError, TopicPartition};
use pipeline::record::RecordBatch;

/// Most bytes that one `poll` hands out.
const POLL_BYTES_MAX: usize = 8 << 20;

/// Where a door stands in a partition.
pub(super) struct Reading {
    pub position: i64,
    pub paused: bool,
    pub end_told: Option<i64>,
}

impl Io {
    /// Hands out what one partition has; true when that was something.
    fn take(
        state: &State,
        at: &TopicPartition,
        reading: &mut Reading,
        limit: Limit,
        into: &mut Vec<Fetched>,
    ) -> Result<usize, IoError> {
        let partition = state.partition(at)?;
        let mut batch = RecordBatch::new();
        let position = reading.position;
        reading.position =
            partition.read(position, limit, &mut batch).map_err(|_| out_of_range(at, position))?;
        let bytes = batch.byte_len();
        if !batch.is_empty() {
            into.push(Fetched::Records { from: at.clone(), batch });
        }
        let stable =
            if limit.uncommitted { partition.high_watermark() } else { partition.last_stable_offset() };
        if reading.position == stable && reading.end_told != Some(stable) {
            reading.end_told = Some(stable);
            into.push(Fetched::End { of: at.clone(), offset: stable });
        }
        Ok(bytes)
    }

    pub(super) fn poll_once(&mut self, state: &mut State, into: &mut Vec<Fetched>) -> Result<(), IoError> {
        for (at, reading) in &self.reading {
            let partition = state.partition(at)?;
            if reading.position < partition.log_start() || reading.position > partition.high_watermark() {
                return Err(out_of_range(at, reading.position));
            }
        }
        let count = self.reading.len().max(1);
        let mut bytes = 0;
        for step in 0..self.reading.len() {
            if bytes >= POLL_BYTES_MAX {
                break;
            }
            let limit = state.next_limit();
            let at = (self.turn + step) % count;
            if let Some((at, reading)) = self.reading.iter_mut().nth(at)
                && !reading.paused
            {
                bytes += Self::take(state, at, reading, limit, into)?;
            }
        }
        self.turn = (self.turn + 1) % count;
        Ok(())
    }
}
