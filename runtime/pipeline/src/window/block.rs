//! The payload of a block: what a source unit tells one unit of the merging stage.
//!
//! ```text
//!  "WB" version | stage and node that wrote it | condition, watermark | shape of the window
//!  number of slices, each:   start | number of groups, their keys, their accumulators by aggregate
//!  number of whole records, each: length | record
//! ```
//! The watermark holds after everything in the block. A block with neither groups nor records only says the watermark.
//! Reading is total: any bytes are merged or refused.

use crate::plan::{AggregateFunction, NodeId, StageId, Window, WindowKind};
use crate::state::bytes::{Malformed, Reader, put_slice, put_varint, put_zigzag};
use crate::watermark::Status;

/// Blocks are cut at about this size, so that they fit a topic's records.
pub(crate) const BLOCK_BYTES: usize = 512 << 10;
const MAGIC: &[u8; 2] = b"WB";
const VERSION: u8 = 1;

/// A block that this version cannot take: the unit stops, it never skips it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It does not begin like a block.
    #[error("the payload is not a block")]
    NotABlock,
    /// It was written by another version.
    #[error("block version {found} is unknown, this program reads {VERSION}")]
    UnknownVersion {
        /// Version byte.
        found: u8,
    },
    /// It was written for another window, or for one with other keys, aggregates or size.
    #[error("the block is of another window")]
    OtherWindow,
    /// It is broken.
    #[error("the block is malformed")]
    Malformed(#[source] Malformed),
    /// The unit does not read blocks on this channel.
    #[error("the unit reads no blocks on input {input}")]
    UnknownInput {
        /// Index into `Stage::inputs`.
        input: u16,
    },
}

/// What has to be equal on both sides of a window.
pub(crate) fn shape(window: &Window) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, window.key_by.len() as u64);
    for aggregate in &window.aggregates {
        out.push(match (aggregate.function, &aggregate.field) {
            (AggregateFunction::Count, None) => 0,
            (AggregateFunction::Count, Some(_)) => 1,
            (AggregateFunction::Sum, _) => 2,
            (AggregateFunction::Average, _) => 3,
            (AggregateFunction::Min, _) => 4,
            (AggregateFunction::Max, _) => 5,
        });
    }
    match window.kind {
        WindowKind::Tumbling { size_ms } => put_zigzag(&mut out, size_ms),
    }
    out
}

/// The node that writes blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) stage: StageId,
    pub(crate) node: NodeId,
}

/// Appends the beginning of a block.
pub(crate) fn put_header(out: &mut Vec<u8>, writer: Writer, status: Status, shape: &[u8]) {
    out.extend_from_slice(MAGIC);
    out.push(VERSION);
    put_varint(out, u64::from(writer.stage.0));
    put_varint(out, u64::from(writer.node.0));
    status.encode(out);
    put_slice(out, shape);
}

/// Takes the beginning off a block; gives the status of its writer.
pub(crate) fn read_header(
    reader: &mut Reader<'_>,
    writer: Writer,
    expected: &[u8],
) -> Result<Status, BlockError> {
    if reader.take(2, "magic") != Ok(MAGIC) {
        return Err(BlockError::NotABlock);
    }
    match reader.u8("version") {
        Ok(VERSION) => {}
        Ok(found) => return Err(BlockError::UnknownVersion { found }),
        Err(_) => return Err(BlockError::NotABlock),
    }
    let stage = reader.varint("writing stage").map_err(BlockError::Malformed)?;
    let node = reader.varint("writing node").map_err(BlockError::Malformed)?;
    if (stage, node) != (u64::from(writer.stage.0), u64::from(writer.node.0)) {
        return Err(BlockError::OtherWindow);
    }
    let status = Status::decode(reader).map_err(BlockError::Malformed)?;
    let shape = reader.slice("shape").map_err(BlockError::Malformed)?;
    if shape == expected { Ok(status) } else { Err(BlockError::OtherWindow) }
}
