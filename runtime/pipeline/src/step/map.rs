//! `map`: replaces the value by what an expression gives, as JSON. Key, headers and timestamp stay; tombstones pass.

use super::{Kernels, expression_fault};
use crate::column::{Column, Frame, Projection, Tag};
use crate::dead_letter::{Fault, RECORD_BYTES_MAX, Reason};
use crate::effect::Effects;
use crate::format::json::{Decoder, Reject, write_value};
use crate::plan::NodeId;
use crate::record::{NewRecord, RecordBatch};
use crate::unit::flow::{Flow, Round, Selection};
use std::borrow::Cow;

/// One map.
#[derive(Clone, Debug)]
pub(crate) struct Map {
    id: NodeId,
    name: String,
    kernels: Kernels,
    decoder: Remake,
    values: Column,
    text: Vec<u8>,
}

/// Decodes records that a node of this unit made, if anybody reads their fields.
#[derive(Clone, Debug)]
pub(crate) struct Remake {
    decoder: Option<Decoder>,
    rejects: Vec<Reject>,
}

impl Remake {
    pub(crate) fn new(projection: &Projection) -> Self {
        let read = !projection.paths().is_empty();
        Self { decoder: read.then(|| Decoder::new(projection)), rejects: Vec::new() }
    }

    /// Fills the frame; gives the rows that could not be decoded.
    pub(crate) fn decode(&mut self, batch: &RecordBatch, frame: &mut Frame) -> &[Reject] {
        self.rejects.clear();
        match &mut self.decoder {
            Some(decoder) => decoder.decode(batch, frame, &mut self.rejects),
            None => frame.reset(batch.len(), 0),
        }
        &self.rejects
    }
}

impl Map {
    pub(crate) fn new(id: NodeId, name: &str, kernels: Kernels, projection: &Projection) -> Self {
        let decoder = Remake::new(projection);
        Self { id, name: name.to_owned(), kernels, decoder, values: Column::default(), text: Vec::new() }
    }

    /// Adds a flow of new records for each selection.
    pub(crate) fn run(
        &mut self,
        round: &Round<'_>,
        flows: &mut Vec<Flow<'_>>,
        selections: Vec<Selection>,
        out: &mut Effects,
    ) -> Vec<Selection> {
        let mut made = Vec::new();
        for Selection { flow, rows } in selections {
            let (batch, origins) = self.remake(round, &mut flows[flow], rows, out);
            let mut frame = Frame::default();
            let mut rows: Vec<u32> = (0..batch.len() as u32).collect();
            for reject in self.decoder.decode(&batch, &mut frame) {
                let fault = Fault::new(Reason::Undecodable, format!("the new value: {}", reject.reason));
                round.refuse(out, &self.name, &fault, origins[reject.row as usize] as usize);
                rows.retain(|row| *row != reject.row);
            }
            let has_tombstones = flows[flow].has_tombstones;
            made.push(Selection { flow: flows.len(), rows });
            let (batch, origins) = (Cow::Owned(batch), Some(origins));
            flows.push(Flow { maker: self.id, batch, frame, origins, has_tombstones });
        }
        made
    }

    /// New records, and the rows of the input that they come from.
    fn remake(
        &mut self,
        round: &Round<'_>,
        flow: &mut Flow<'_>,
        mut rows: Vec<u32>,
        out: &mut Effects,
    ) -> (RecordBatch, Vec<u32>) {
        let (mut made, mut origins) = (RecordBatch::new(), Vec::with_capacity(rows.len()));
        let all = rows.clone();
        flow.take_tombstones(&mut rows);
        let Some(kernel) = self.kernels.of(flow.maker) else { return (made, origins) };
        kernel.evaluate(&round.context(&flow.batch), &mut flow.frame, &rows, &mut self.values);
        for row in all {
            let origin = flow.origin(row);
            if flow.has_tombstones && flow.is_tombstone(row) {
                made.push_from(&flow.batch, row as usize);
            } else {
                let value = self.values.value(row as usize);
                if let Tag::Error | Tag::Missing = value.tag {
                    let message = match value.tag {
                        Tag::Error => {
                            flow.frame.errors.get(value.bits as usize).map_or("failed", String::as_str)
                        }
                        _ => "the expression gives no value",
                    };
                    round.refuse(out, &self.name, &expression_fault(&self.name, message), origin);
                    continue;
                }
                self.text.clear();
                write_value(&flow.frame, &flow.batch, value, &mut self.text);
                if let Err(fault) = push_with_value(&mut made, &flow.batch, row as usize, &self.text) {
                    round.refuse(out, &self.name, &fault, origin);
                    continue;
                }
            }
            origins.push(origin as u32);
        }
        (made, origins)
    }
}

#[cold]
fn too_large(bytes: usize) -> Fault {
    let message = format!("the new record has {bytes} bytes, at most {RECORD_BYTES_MAX} are allowed");
    Fault::new(Reason::RecordTooLarge, message)
}

/// Adds the record with another value, unless that makes it too large.
pub(super) fn push_with_value(
    to: &mut RecordBatch,
    batch: &RecordBatch,
    row: usize,
    value: &[u8],
) -> Result<(), Fault> {
    let old = batch.value(row).map_or(0, <[u8]>::len);
    let bytes = batch.record_bytes(row) - old + value.len();
    if bytes > RECORD_BYTES_MAX {
        return Err(too_large(bytes));
    }
    let record = &batch.records()[row];
    let (offset, timestamp_ms) = (record.offset, record.timestamp_ms);
    to.push(NewRecord { offset, timestamp_ms, key: batch.key(row), value: Some(value) });
    batch.headers(row).for_each(|(name, value)| to.push_header(name, value));
    Ok(())
}
