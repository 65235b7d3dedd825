//! What a unit wants to happen: records for sinks, blocks for the next stage, and what was counted on the way.
//!
//! The engine never writes; the worker does, when the protocol allows it.

use crate::plan::{NodeId, SinkId, StageId};
use crate::record::RecordBatch;

/// A batch of a sink takes no more records from this size on; spans reach to 4 GiB.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Everything that a unit made since the effects were last taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Records for sinks, in order. A sink comes again when its last batch has become large.
    pub outputs: Vec<(SinkId, RecordBatch)>,
    /// Blocks for units of later stages, in order.
    pub blocks: Vec<Block>,
    /// Counters, to be added to those of the unit.
    pub counters: Counters,
    /// What of them a node of the stage has dealt with.
    pub nodes: Vec<(NodeId, NodeCounters)>,
}

/// One columnar block for one unit of a later stage. The protocol puts its envelope around the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The stage that reads it.
    pub stage: StageId,
    /// The input of that stage, an index into `Stage::inputs`: each has a topic of its own.
    pub input: u16,
    /// The unit of that stage, which is the partition of the repartition topic.
    pub unit: u32,
    /// Starts with a magic and a version byte, see `window::block`.
    pub payload: Vec<u8>,
}

/// What happened to the records of a unit. All are numbers of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that came in.
    pub records_in: u64,
    /// Records given to user sinks (not late, not dead letters).
    pub records_out: u64,
    /// Late records, whether a `lateSink` takes them or not.
    pub late: u64,
    /// Dead letters, whether a `deadLetterSink` takes them or not.
    pub dead_letters: u64,
}

/// What happened at one node: a source, a step or a sink. All are numbers of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounters {
    /// Records that came to it.
    pub records: u64,
    /// Late ones among them.
    pub late: u64,
    /// Dead letters that it made.
    pub dead_letters: u64,
}

impl Effects {
    /// The batch that collects records for a sink, with room for those of one input batch.
    pub fn output(&mut self, sink: SinkId) -> &mut RecordBatch {
        let last = self.outputs.iter().rposition(|(id, _)| *id == sink);
        let at = last.filter(|at| self.outputs[*at].1.byte_len() < BATCH_BYTES_MAX).unwrap_or_else(|| {
            self.outputs.push((sink, RecordBatch::new()));
            self.outputs.len() - 1
        });
        &mut self.outputs[at].1
    }

    /// True when there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.outputs.iter().all(|(_, batch)| batch.is_empty())
    }

    /// Bytes to be written.
    pub fn byte_len(&self) -> usize {
        self.outputs.iter().map(|(_, batch)| batch.byte_len()).sum::<usize>()
            + self.blocks.iter().map(|block| block.payload.len()).sum::<usize>()
    }

    /// Does the work of a node that `records` records came to, and counts what became of them as that node's.
    pub(crate) fn at_node<T>(
        &mut self,
        node: NodeId,
        records: usize,
        work: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let before = self.counters;
        let result = work(self);
        let counters = NodeCounters {
            records: records as u64,
            late: self.counters.late - before.late,
            dead_letters: self.counters.dead_letters - before.dead_letters,
        };
        self.count_at(node, counters);
        result
    }

    fn count_at(&mut self, node: NodeId, counters: NodeCounters) {
        match self.nodes.iter_mut().find(|(at, _)| *at == node) {
            _ if counters == NodeCounters::default() => {}
            Some((_, known)) => known.add(counters),
            None => self.nodes.push((node, counters)),
        }
    }

    /// Adds what another step of the same unit made, behind what is here.
    pub fn append(&mut self, other: &mut Effects) {
        for (sink, batch) in other.outputs.drain(..) {
            (0..batch.len()).for_each(|row| self.output(sink).push_from(&batch, row));
        }
        self.blocks.append(&mut other.blocks);
        self.counters.add(std::mem::take(&mut other.counters));
        other.nodes.drain(..).for_each(|(node, counters)| self.count_at(node, counters));
    }
}

impl NodeCounters {
    /// Adds other counts to these.
    pub fn add(&mut self, other: Self) {
        self.records += other.records;
        self.late += other.late;
        self.dead_letters += other.dead_letters;
    }
}

impl Counters {
    /// Adds other counts to these.
    pub fn add(&mut self, other: Counters) {
        self.records_in += other.records_in;
        self.records_out += other.records_out;
        self.late += other.late;
        self.dead_letters += other.dead_letters;
    }
}
