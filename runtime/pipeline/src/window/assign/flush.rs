//! What leaves the source side of a window: blocks of about half a megabyte, at least one per flush for every unit that
//! has something to learn.

use super::unit_of;
use crate::effect::{Block, Effects};
use crate::plan::StageId;
use crate::state::bytes::{Malformed, Reader, put_slice, put_varint, put_zigzag};
use crate::state::groups::Groups;
use crate::watermark::Status;
use crate::window::block::{BLOCK_BYTES, Writer, put_header};
use crate::window::whole::Whole;

/// Who reads the blocks of a window side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// The stage.
    pub(crate) stage: StageId,
    /// Index into its inputs.
    pub(crate) input: u16,
}

/// Whole records that wait for a flush, and what readers were told last.
#[derive(Debug)]
pub(super) struct Outbox {
    writer: Writer,
    to: Destination,
    shape: Vec<u8>,
    said: Status,
    wholes: Vec<Wholes>,
    scratch: Vec<u8>,
}

/// Encoded whole records for one unit.
#[derive(Clone, Debug, Default)]
struct Wholes {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Outbox {
    pub(super) fn new(writer: Writer, to: Destination, units: u32, shape: Vec<u8>) -> Self {
        let wholes = vec![Wholes::default(); units.max(1) as usize];
        Self { writer, to, shape, said: Status::START, wholes, scratch: Vec::new() }
    }

    pub(super) fn said(&self) -> Status {
        self.said
    }

    pub(super) fn restore(&mut self, said: Status) {
        self.said = said;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.wholes.iter().all(|wholes| wholes.ends.is_empty())
    }

    pub(super) fn whole_bytes(&self) -> usize {
        self.wholes.iter().map(|wholes| wholes.bytes.len()).sum()
    }

    pub(super) fn push_whole(&mut self, hash: u64, whole: &Whole) {
        let units = self.wholes.len() as u32;
        let to = &mut self.wholes[unit_of(hash, units)];
        self.scratch.clear();
        whole.encode(&mut self.scratch);
        put_slice(&mut to.bytes, &self.scratch);
        to.ends.push(to.bytes.len());
    }

    /// Sends groups and whole records to the units that own them, and `status` to all units when it is news.
    pub(super) fn send(&mut self, slices: &[(i64, Groups)], status: Status, out: &mut Effects) {
        let units = self.wholes.len() as u32;
        let mut shares = vec![Vec::new(); units as usize];
        for (at, (_, groups)) in slices.iter().enumerate() {
            for group in 0..groups.len() as u32 {
                let share: &mut Vec<(usize, Vec<u32>)> = &mut shares[unit_of(groups.hash(group), units)];
                match share.last_mut() {
                    Some((slice, list)) if *slice == at => list.push(group),
                    _ => share.push((at, vec![group])),
                }
            }
        }
        for (unit, share) in shares.iter().enumerate() {
            let wholes = std::mem::take(&mut self.wholes[unit]);
            if share.is_empty() && wholes.ends.is_empty() && status == self.said {
                continue;
            }
            let mut cutter = Cutter::new(self, unit as u32, out);
            cutter.add_groups(slices, share);
            cutter.add_wholes(&wholes);
            cutter.finish(status);
        }
        self.said = status;
    }
}

/// Cuts what goes to one unit into blocks. Only the last one says the new watermark.
struct Cutter<'a> {
    outbox: &'a Outbox,
    unit: u32,
    out: &'a mut Effects,
    sections: Vec<u8>,
    section_count: u64,
    wholes: Vec<u8>,
    whole_count: u64,
}

impl<'a> Cutter<'a> {
    fn new(outbox: &'a Outbox, unit: u32, out: &'a mut Effects) -> Self {
        Self { outbox, unit, out, sections: Vec::new(), section_count: 0, wholes: Vec::new(), whole_count: 0 }
    }

    fn add_groups(&mut self, slices: &[(i64, Groups)], share: &[(usize, Vec<u32>)]) {
        for (slice, list) in share {
            let (start_ms, groups) = &slices[*slice];
            let mut rest = list.as_slice();
            while !rest.is_empty() {
                self.cut_if_full();
                let (now, later) = rest.split_at(self.how_many(groups, rest));
                put_zigzag(&mut self.sections, *start_ms);
                groups.encode(now, &mut self.sections);
                self.section_count += 1;
                rest = later;
            }
        }
    }

    /// How many groups still fit, at least one.
    fn how_many(&self, groups: &Groups, list: &[u32]) -> usize {
        let mut bytes = self.len();
        let fits = list.iter().take_while(|group| {
            bytes += groups.key(**group).len() + groups.accumulators.encoded_bytes(**group as usize);
            bytes <= BLOCK_BYTES
        });
        fits.count().max(1)
    }

    fn add_wholes(&mut self, wholes: &Wholes) {
        let mut start = 0;
        for end in &wholes.ends {
            self.cut_if_full();
            self.wholes.extend_from_slice(&wholes.bytes[start..*end]);
            self.whole_count += 1;
            start = *end;
        }
    }

    fn len(&self) -> usize {
        self.sections.len() + self.wholes.len()
    }

    fn cut_if_full(&mut self) {
        if self.len() >= BLOCK_BYTES {
            self.finish(self.outbox.said);
        }
    }

    fn finish(&mut self, status: Status) {
        let mut payload = Vec::with_capacity(self.len() + 64);
        put_header(&mut payload, self.outbox.writer, status, &self.outbox.shape);
        put_varint(&mut payload, self.section_count);
        payload.append(&mut self.sections);
        put_varint(&mut payload, self.whole_count);
        payload.append(&mut self.wholes);
        (self.section_count, self.whole_count) = (0, 0);
        self.out.blocks.push(Block {
            stage: self.outbox.to.stage,
            input: self.outbox.to.input,
            unit: self.unit,
            payload,
        });
    }
}

/// Whether adding up before sending pays: it does not when most rows are groups of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Thrift {
    rows: u64,
    /// Flushes to go before it is tried again; 0 adds up.
    pause: u8,
}

/// Fewer rows say nothing.
const ROWS_MIN: u64 = 1024;
/// Above 7 groups per 10 rows it does not pay.
const GROUPS_PER_TEN_ROWS: u64 = 7;
/// Flushes without adding up before the next try.
const PAUSE: u8 = 15;

impl Thrift {
    #[inline]
    pub(super) fn adds_up(&mut self) -> bool {
        self.rows += 1;
        self.pause == 0
    }

    /// A flush of `groups` groups.
    pub(super) fn learn(&mut self, groups: usize) {
        if self.rows == 0 {
            return;
        }
        if self.pause > 0 {
            self.pause -= 1;
        } else if self.rows >= ROWS_MIN && groups as u64 * 10 > self.rows * GROUPS_PER_TEN_ROWS {
            self.pause = PAUSE;
        }
        self.rows = 0;
    }

    pub(super) fn encode(self, out: &mut Vec<u8>) {
        out.push(self.pause);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { rows: 0, pause: reader.u8("pause of adding up")? })
    }
}
