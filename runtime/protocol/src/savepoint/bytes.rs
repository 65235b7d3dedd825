//! The bytes of a manifest, and of blocks that were not consumed.

use super::{Object, SavedStage, SavedUnit, Savepoint};
use crate::format::{DecodeError, Decoder, Encoder, Magic};
use crate::identity::Generation;
use crate::journal::codec::{read_inputs, read_pointer, write_inputs, write_pointer};
use pipeline::plan::SecretsHash;

/// What follows the head of a savepoint's object.
const MANIFEST: u8 = 1;
const BLOCKS: u8 = 2;

impl Savepoint {
    /// The bytes of the manifest.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Encoder::new(Magic::Savepoint);
        out.byte(MANIFEST).text(&self.namespace).text(&self.pipeline).text(&self.uid8);
        out.number(u64::from(self.generation.0)).plan(self.plan).number(u64::from(self.semantics));
        out.option(self.secrets, |out, secrets| {
            out.secrets(secrets);
        });
        out.text(&self.manifest).byte(u8::from(self.drained)).signed(self.taken_at_ms);
        out.list(&self.stages, |out, stage| {
            out.text(&stage.name).list(&stage.units, write_unit);
        });
        out.finish()
    }

    /// Reads a manifest.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(Magic::Savepoint, bytes)?;
        if from.byte("kind")? != MANIFEST {
            return Err(from.damaged("kind"));
        }
        let found = Self {
            namespace: from.text("namespace")?.to_owned(),
            pipeline: from.text("pipeline")?.to_owned(),
            uid8: from.text("uid")?.to_owned(),
            generation: Generation(from.number32("generation")?),
            plan: from.plan("plan")?,
            semantics: from.number32("semantics")?,
            secrets: from.option("secrets", |from| from.long_word("secrets").map(SecretsHash))?,
            manifest: from.text("manifests")?.to_owned(),
            drained: match from.byte("drained")? {
                0 => false,
                1 => true,
                _ => return Err(from.damaged("drained")),
            },
            taken_at_ms: from.signed("time")?,
            stages: from.list("stages", |from| {
                Ok(SavedStage { name: from.text("stage")?.into(), units: from.list("units", read_unit)? })
            })?,
        };
        from.end()?;
        Ok(found)
    }
}

fn write_unit(out: &mut Encoder, unit: &SavedUnit) {
    write_inputs(out, &unit.inputs);
    out.option(unit.state.as_ref(), write_pointer);
    out.list(&unit.blocks, |out, object| {
        out.text(&object.name).long_word(object.hash).number(object.bytes);
    });
}

fn read_unit(from: &mut Decoder<'_>) -> Result<SavedUnit, DecodeError> {
    Ok(SavedUnit {
        inputs: read_inputs(from)?,
        state: from.option("state", read_pointer)?,
        blocks: from.list("blocks", |from| {
            Ok(Object {
                name: from.text("name of blocks")?.into(),
                hash: from.long_word("hash of blocks")?,
                bytes: from.number("length of blocks")?,
            })
        })?,
    })
}

/// Values of one repartition partition, each with the number of the input that it was read by.
pub(super) fn encode_blocks<'a>(values: impl IntoIterator<Item = (u16, &'a [u8])>) -> Vec<u8> {
    let mut out = Encoder::new(Magic::Savepoint);
    out.byte(BLOCKS);
    for (input, value) in values {
        out.number(u64::from(input)).number(value.len() as u64).rest(value);
    }
    out.finish()
}

pub(super) fn decode_blocks(bytes: &[u8]) -> Result<Vec<(u16, &[u8])>, DecodeError> {
    let mut from = Decoder::new(Magic::Savepoint, bytes)?;
    if from.byte("kind")? != BLOCKS {
        return Err(from.damaged("kind"));
    }
    let mut values = Vec::new();
    while !from.is_empty() {
        values.push((from.number16("input of a block")?, from.bytes("block")?));
    }
    Ok(values)
}
