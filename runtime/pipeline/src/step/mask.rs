//! `mask`: replaces fields of the value by texts that do not tell what they were. Key, headers, timestamp and all other
//! bytes of the value stay; tombstones pass.
//!
//! ```text
//!  value ─> text: where do the fields stand? ─> method: what becomes of this value? ─> new record
//! ```

mod method;
mod text;

use super::map::{Remake, push_with_value};
use crate::column::{Frame, Projection};
use crate::dead_letter::{Fault, Reason};
use crate::effect::Effects;
use crate::plan::{Mask, MaskKey, NodeId};
use crate::record::RecordBatch;
use crate::unit::flow::{Flow, Round, Selection};
use method::Method;
use std::borrow::Cow;
use text::Masker;

/// One mask.
#[derive(Clone, Debug)]
pub(crate) struct MaskStep {
    id: NodeId,
    name: String,
    masker: Masker,
    decoder: Remake,
    text: Vec<u8>,
}

impl MaskStep {
    /// Without the key that its method needs it redacts: a plan is replayed without its Secrets when they are gone, and
    /// then nothing of what it makes is used.
    pub(crate) fn new(
        id: NodeId,
        name: &str,
        mask: &Mask,
        key: Option<&MaskKey>,
        projection: &Projection,
    ) -> Self {
        Self {
            id,
            name: name.to_owned(),
            masker: Masker::new(&mask.fields, Method::new(&mask.method, key)),
            decoder: Remake::new(projection),
            text: Vec::new(),
        }
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
            let (batch, origins) = self.remake(round, &flows[flow], &rows, out);
            let mut frame = Frame::default();
            // The text was read to its end and changed in strings only: there is nothing to reject.
            self.decoder.decode(&batch, &mut frame);
            made.push(Selection { flow: flows.len(), rows: (0..batch.len() as u32).collect() });
            let has_tombstones = flows[flow].has_tombstones;
            let (batch, origins) = (Cow::Owned(batch), Some(origins));
            flows.push(Flow { maker: self.id, batch, frame, origins, has_tombstones });
        }
        made
    }

    /// New records, and the rows of the input that they come from.
    fn remake(
        &mut self,
        round: &Round<'_>,
        flow: &Flow<'_>,
        rows: &[u32],
        out: &mut Effects,
    ) -> (RecordBatch, Vec<u32>) {
        let (mut made, mut origins) = (RecordBatch::new(), Vec::with_capacity(rows.len()));
        for row in rows {
            let (at, origin) = (*row as usize, flow.origin(*row));
            let Some(value) = flow.batch.value(at) else {
                made.push_from(&flow.batch, at);
                origins.push(origin as u32);
                continue;
            };
            self.text.clear();
            if let Err(reason) = self.masker.mask(value, &mut self.text) {
                let fault = Fault::new(Reason::Undecodable, reason.to_string());
                round.refuse(out, &self.name, &fault, origin);
                continue;
            }
            if let Err(fault) = push_with_value(&mut made, &flow.batch, at, &self.text) {
                round.refuse(out, &self.name, &fault, origin);
                continue;
            }
            origins.push(origin as u32);
        }
        (made, origins)
    }
}

#[cfg(test)]
mod tests;
