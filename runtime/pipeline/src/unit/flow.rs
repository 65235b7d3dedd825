//! Records on their way through the nodes of a unit: one round per batch that came in, one flow per node that makes
//! records, and selections of rows between nodes.

use crate::column::Frame;
use crate::dead_letter::{Desk, Fault, Place};
use crate::effect::Effects;
use crate::expression::Context;
use crate::plan::{NodeId, SourceId};
use crate::record::RecordBatch;
use crate::unit::Channel;
use std::borrow::Cow;

/// What is the same for everything that a batch leads to.
pub(crate) struct Round<'a> {
    pub(crate) desk: Desk<'a>,
    /// The records as they came in; dead letters are copies of them.
    pub(crate) input: &'a RecordBatch,
    /// None for the rows of closing windows.
    pub(crate) source: Option<SourceId>,
    /// None for the rows of closing windows.
    pub(crate) topic: Option<&'a str>,
    /// Of the topic; the unit for the rows of closing windows.
    pub(crate) partition: u32,
    /// None for the rows of closing windows.
    pub(crate) channel: Option<Channel>,
    pub(crate) clock_ms: i64,
    /// Per row: event time, and the channel's watermark just before the row. Empty for the rows of closing windows,
    /// whose event time is their timestamp.
    pub(crate) times: &'a [Timing],
    /// Rows that come before the watermark has reached this travel whole into windows.
    pub(crate) catch_up_ms: i64,
}

/// When a row happened, and how far its channel was before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) event_ms: i64,
    pub(crate) before_ms: i64,
}

impl Round<'_> {
    /// Makes a record a dead letter; `origin` is its row in the input.
    pub(crate) fn refuse(&self, out: &mut Effects, step: &str, fault: &Fault, origin: usize) {
        self.desk.take(out, step, fault, self.place(origin), (self.input, origin));
    }

    pub(crate) fn place(&self, origin: usize) -> Place<'_> {
        Place { topic: self.topic, partition: self.partition, offset: self.input.records()[origin].offset }
    }

    #[inline]
    pub(crate) fn event_time(&self, origin: usize) -> i64 {
        self.times
            .get(origin)
            .map_or_else(|| self.input.records()[origin].timestamp_ms, |timing| timing.event_ms)
    }

    /// None for the rows of closing windows.
    #[inline]
    pub(crate) fn watermark_before(&self, origin: usize) -> Option<i64> {
        self.times.get(origin).map(|timing| timing.before_ms)
    }

    /// What expressions see besides the record.
    pub(crate) fn context<'b>(&'b self, batch: &'b RecordBatch) -> Context<'b> {
        let topic = self.topic.unwrap_or_default();
        Context { batch, topic, partition: self.partition, clock_ms: self.clock_ms }
    }
}

/// Records that one node made, decoded.
pub(crate) struct Flow<'a> {
    pub(crate) maker: NodeId,
    pub(crate) batch: Cow<'a, RecordBatch>,
    pub(crate) frame: Frame,
    /// Row in the round's input, by row; none when they are the same records.
    pub(crate) origins: Option<Vec<u32>>,
    /// Some values are null.
    pub(crate) has_tombstones: bool,
}

impl Flow<'_> {
    /// The row in the round's input that a row came from.
    #[inline]
    pub(crate) fn origin(&self, row: u32) -> usize {
        self.origins.as_ref().map_or(row, |origins| origins[row as usize]) as usize
    }

    /// True when the records are not those that came in.
    pub(crate) fn is_changed(&self) -> bool {
        self.origins.is_some()
    }

    pub(crate) fn is_tombstone(&self, row: u32) -> bool {
        self.batch.records()[row as usize].value.is_none()
    }

    /// Takes the tombstones out of rows.
    pub(crate) fn take_tombstones(&self, rows: &mut Vec<u32>) -> Vec<u32> {
        if !self.has_tombstones {
            return Vec::new();
        }
        let tombstones = rows.iter().copied().filter(|row| self.is_tombstone(*row)).collect();
        rows.retain(|row| !self.is_tombstone(*row));
        tombstones
    }
}

/// Rows of a flow, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Index into the flows of the round.
    pub(crate) flow: usize,
    pub(crate) rows: Vec<u32>,
}

/// Two ascending lists as one.
pub(crate) fn merge_rows(rows: &mut Vec<u32>, others: &[u32]) {
    if !others.is_empty() {
        rows.extend_from_slice(others);
        rows.sort_unstable();
    }
}

/// Several selections in the order in which their records came in, as runs of rows of one flow. A record that comes by
/// several ways comes several times, in the order of the selections.
pub(crate) fn in_order(flows: &[Flow<'_>], mut selections: Vec<Selection>) -> Vec<Selection> {
    if selections.len() <= 1 {
        return selections;
    }
    let mut heads = vec![0usize; selections.len()];
    let mut runs: Vec<Selection> = Vec::new();
    loop {
        let origin = |at: usize| {
            let selection = &selections[at];
            selection.rows.get(heads[at]).map(|row| flows[selection.flow].origin(*row))
        };
        let next = (0..selections.len()).filter_map(|at| Some((origin(at)?, at))).min();
        let Some((_, at)) = next else { break };
        let (flow, row) = (selections[at].flow, selections[at].rows[heads[at]]);
        heads[at] += 1;
        match runs.last_mut() {
            Some(run) if run.flow == flow && run.rows.last() < Some(&row) => run.rows.push(row),
            _ => runs.push(Selection { flow, rows: vec![row] }),
        }
    }
    selections.clear();
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::NewRecord;

    #[test]
    fn several_ways_meet_in_the_order_of_the_log() {
        let mut batch = RecordBatch::new();
        (0..6).for_each(|offset| batch.push(NewRecord { offset, ..NewRecord::default() }));
        let flow = |origins: Option<Vec<u32>>| Flow {
            maker: NodeId(0),
            batch: Cow::Borrowed(&batch),
            frame: Frame::default(),
            origins,
            has_tombstones: false,
        };
        let flows = [flow(None), flow(Some(vec![1, 2, 5]))];
        let select = |flow: usize, rows: &[u32]| Selection { flow, rows: rows.to_vec() };
        let runs = in_order(&flows, vec![select(0, &[0, 2, 3]), select(1, &[0, 1, 2])]);
        assert_eq!(
            runs,
            [
                select(0, &[0]),
                select(1, &[0]),
                select(0, &[2]),
                select(1, &[1]),
                select(0, &[3]),
                select(1, &[2])
            ]
        );
        assert_eq!(in_order(&flows, vec![select(0, &[4])]), [select(0, &[4])]);
    }
}
