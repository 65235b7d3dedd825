//! Snapshots: the pointer that a journal holds, the header before the engine's bytes, and which of them are where.
//!
//! A snapshot is content-addressed and immutable. It is taken at a commit before the next batch is applied, uploaded in
//! the background, and counts from the moment its pointer stands in a later Commit of the same incarnation.

mod archive;
mod contents;

pub use archive::{Archive, Limits, Packed};
pub use contents::Contents;

use crate::format::{DecodeError, Decoder, Encoder, Magic};
use crate::identity::{DrainId, Lineage, Seq, UnitId};
use crate::journal::codec::{
    read_inputs, read_positions, read_watermarks, write_inputs, write_positions, write_watermarks,
};
use crate::journal::record::{ClaimedInput, InputPartition};
use pipeline::plan::PlanHash;
use pipeline::unit::{Channel, Saved};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Where a snapshot is and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SnapshotPointer {
    /// The store's name for it; only the store reads it.
    pub key: Arc<str>,
    /// xxh3-128 of all its bytes, header included.
    pub hash: u128,
    /// Its length.
    pub bytes: u64,
    /// The commit whose state it holds.
    pub seq: Seq,
}

impl SnapshotPointer {
    /// The pointer to a sealed snapshot that a store keeps under `key`.
    pub fn to(key: impl Into<Arc<str>>, sealed: &[u8], seq: Seq) -> Self {
        Self { key: key.into(), hash: xxh3_128(sealed), bytes: sealed.len() as u64, seq }
    }

    /// The same, where `key` makes the store's name of one that is made from the content: the same snapshot always has
    /// it, two different ones never share it.
    pub fn of(sealed: &[u8], seq: Seq, key: impl FnOnce(&str) -> String) -> Self {
        let pointer = Self::to("", sealed, seq);
        Self { key: key(&format!("{:032x}", pointer.hash)).into(), ..pointer }
    }

    /// Checks what a store gave back.
    pub fn verify(&self, sealed: &[u8]) -> Result<(), SnapshotError> {
        if sealed.len() as u64 != self.bytes {
            return Err(SnapshotError::Length {
                key: self.key.clone(),
                found: sealed.len() as u64,
                expected: self.bytes,
            });
        }
        if xxh3_128(sealed) != self.hash {
            return Err(SnapshotError::Hash { key: self.key.clone() });
        }
        Ok(())
    }
}

/// What stands before the engine's bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotHeader {
    /// First eight characters of the pipeline's uid.
    pub uid8: String,
    /// The unit.
    pub unit: UnitId,
    /// The commit whose state it is.
    pub seq: Seq,
    /// The plan that the state belongs to.
    pub plan: PlanHash,
    /// The meaning of plans in the release that wrote it.
    pub semantics: u32,
    /// The repartition topics that its positions belong to.
    pub lineage: Lineage,
    /// The batch clock.
    pub clock_ms: i64,
    /// The inputs that positions count.
    pub inputs: Vec<ClaimedInput>,
    /// Positions, sorted.
    pub positions: Vec<(InputPartition, i64)>,
    /// Watermarks per channel.
    pub watermarks: Vec<(Channel, i64)>,
    /// The Ends that the unit has consumed, see [`Ends`](crate::drain::Ends).
    pub ends: Vec<(DrainId, UnitId)>,
}

/// Why a snapshot cannot be used. Each fails closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Truncated or longer than it was.
    #[error("snapshot `{key}` has {found} bytes, the journal says {expected}")]
    Length {
        /// Its name.
        key: Arc<str>,
        /// Bytes found.
        found: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// Other bytes than those that were written.
    #[error("snapshot `{key}` does not have the hash that the journal says")]
    Hash {
        /// Its name.
        key: Arc<str>,
    },
    /// The header cannot be read.
    #[error("snapshot header cannot be read")]
    Header(#[source] DecodeError),
    /// The list of its pages cannot be read.
    #[error("the pages of a snapshot cannot be found")]
    Contents(#[source] DecodeError),
    /// A page is not what it was.
    #[error("page {number} of a snapshot, in {object}, does not have the hash that the snapshot says")]
    Page {
        /// Which, in the order of the state.
        number: usize,
        /// The object that holds it.
        object: Arc<str>,
    },
    /// It belongs to another pipeline, unit or commit.
    #[error("snapshot is of {found}, wanted {wanted}")]
    Foreign {
        /// What it is of.
        found: String,
        /// What was asked for.
        wanted: String,
    },
}

impl SnapshotHeader {
    /// Header and state in one piece: what a store keeps.
    pub fn seal(&self, state: &[u8]) -> Vec<u8> {
        let mut out = Encoder::new(Magic::Snapshot);
        out.text(&self.uid8).text(&self.unit.stage).number(u64::from(self.unit.index));
        out.number(self.seq.0).plan(self.plan).number(u64::from(self.semantics));
        out.number(u64::from(self.lineage.0)).signed(self.clock_ms);
        write_inputs(&mut out, &self.inputs);
        write_positions(&mut out, &self.positions);
        write_watermarks(&mut out, &self.watermarks);
        out.list(&self.ends, |out, (drain, unit)| {
            out.number(drain.0).text(&unit.stage).number(u64::from(unit.index));
        });
        out.rest(state);
        out.finish()
    }

    /// Header and state in one piece, with all pages in it, wherever they were.
    pub fn seal_whole(&self, saved: &Saved<'_>) -> Vec<u8> {
        let mut own = Vec::with_capacity(saved.pages.iter().map(|page| page.len()).sum());
        let entry = |page: &&[u8]| {
            let offset = own.len() as u64;
            own.extend_from_slice(page);
            contents::Entry { object: 0, offset, bytes: page.len() as u64, hash: xxh3_128(page) }
        };
        let entries: Vec<contents::Entry> = saved.pages.iter().map(entry).collect();
        let mut sealed = self.seal(&[]);
        contents::put(&mut sealed, saved.head, &[], &entries, &own);
        sealed
    }

    /// Splits a sealed snapshot into header and state.
    pub fn open(sealed: &[u8]) -> Result<(Self, &[u8]), SnapshotError> {
        Self::read(sealed).map_err(SnapshotError::Header)
    }

    fn read(sealed: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let mut from = Decoder::new(Magic::Snapshot, sealed)?;
        let header = Self {
            uid8: from.text("uid")?.to_owned(),
            unit: UnitId { stage: Arc::from(from.text("stage")?), index: from.number32("unit")? },
            seq: Seq(from.number("seq")?),
            plan: from.plan("plan")?,
            semantics: from.number32("semantics")?,
            lineage: Lineage(from.number32("lineage")?),
            clock_ms: from.signed("clock")?,
            inputs: read_inputs(&mut from)?,
            positions: read_positions(&mut from)?,
            watermarks: read_watermarks(&mut from)?,
            ends: from.list("ends", |from| {
                let drain = DrainId(from.number("end")?);
                let stage = Arc::from(from.text("end")?);
                Ok((drain, UnitId { stage, index: from.number32("end")? }))
            })?,
        };
        Ok((header, from.rest()))
    }

    /// Verifies what a store gave back against the journal's pointer and opens it.
    pub fn restore<'a>(
        uid8: &str,
        unit: &UnitId,
        pointer: &SnapshotPointer,
        sealed: &'a [u8],
    ) -> Result<(Self, &'a [u8]), SnapshotError> {
        pointer.verify(sealed)?;
        let (header, state) = Self::open(sealed)?;
        if header.uid8 != uid8 || header.unit != *unit || header.seq != pointer.seq {
            return Err(SnapshotError::Foreign {
                found: format!("{} {} commit {}", header.uid8, header.unit, header.seq),
                wanted: format!("{uid8} {unit} commit {}", pointer.seq),
            });
        }
        Ok((header, state))
    }
}
