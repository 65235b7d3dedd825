//! The envelope of a repartition topic: who wrote a block, at which commit, from which records of the source.
//!
//! The payload is the engine's; this module never looks into it.

use crate::format::{DecodeError, Decoder, Encoder, Magic};
use crate::identity::{DrainId, Lineage, Seq, UnitId};
use crate::journal::codec::{read_positions, write_positions};
use crate::journal::record::InputPartition;
use std::sync::Arc;

/// One record of a repartition topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope<'a> {
    /// A block of the engine.
    Block(BlockEnvelope<'a>),
    /// The upstream unit has drained: nothing of it follows in this partition unless the drain is resumed.
    End(End),
}

/// A block and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockEnvelope<'a> {
    /// The lineage of the topic: a block of another one is a mistake.
    pub lineage: Lineage,
    /// The upstream unit.
    pub from: UnitId,
    /// The commit of that unit that the block is part of.
    pub seq: Seq,
    /// The end of the source records that the block was made of, per source partition.
    pub source: Vec<(InputPartition, i64)>,
    /// Written in the replay of a rollback: what it causes was emitted before.
    pub suppressed: bool,
    /// The engine's bytes.
    pub payload: &'a [u8],
}

/// The end of one upstream unit in a drain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The lineage of the topic.
    pub lineage: Lineage,
    /// The drain.
    pub drain: DrainId,
    /// The upstream unit.
    pub from: UnitId,
    /// Its last commit.
    pub seq: Seq,
}

const BLOCK: u8 = 1;
const END: u8 = 2;

impl<'a> Envelope<'a> {
    /// The value of the Kafka record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(Magic::Block);
        match self {
            Self::Block(block) => {
                out.byte(BLOCK).number(u64::from(block.lineage.0));
                out.text(&block.from.stage).number(u64::from(block.from.index)).number(block.seq.0);
                write_positions(&mut out, &block.source);
                out.byte(u8::from(block.suppressed)).rest(block.payload);
            }
            Self::End(end) => {
                out.byte(END).number(u64::from(end.lineage.0)).number(end.drain.0);
                out.text(&end.from.stage).number(u64::from(end.from.index)).number(end.seq.0);
            }
        }
        out.finish()
    }

    /// Reads the value of a Kafka record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(Magic::Block, bytes)?;
        let kind = from.byte("kind")?;
        let lineage = Lineage(from.number32("lineage")?);
        match kind {
            BLOCK => Ok(Self::Block(BlockEnvelope {
                lineage,
                from: read_unit(&mut from)?,
                seq: Seq(from.number("seq")?),
                source: read_positions(&mut from)?,
                suppressed: match from.byte("suppressed")? {
                    0 => false,
                    1 => true,
                    _ => return Err(from.damaged("suppressed")),
                },
                payload: from.rest(),
            })),
            END => {
                let drain = DrainId(from.number("drain")?);
                let end = End { lineage, drain, from: read_unit(&mut from)?, seq: Seq(from.number("seq")?) };
                from.end()?;
                Ok(Self::End(end))
            }
            _ => Err(from.damaged("kind")),
        }
    }

    /// The upstream unit.
    pub fn from(&self) -> &UnitId {
        match self {
            Self::Block(block) => &block.from,
            Self::End(end) => &end.from,
        }
    }

    /// The lineage that the record says it is of.
    pub fn lineage(&self) -> Lineage {
        match self {
            Self::Block(block) => block.lineage,
            Self::End(end) => end.lineage,
        }
    }
}

fn read_unit(from: &mut Decoder<'_>) -> Result<UnitId, DecodeError> {
    Ok(UnitId { stage: Arc::from(from.text("stage")?), index: from.number32("unit")? })
}
