//! A savepoint: everything that a pipeline has to be given to go on elsewhere, in one folder that needs nothing else.
//!
//! ```text
//!  <folder>/manifest                         what the rest is, by hash; written last
//!  <folder>/<stage>/<unit>/<tag>-state       a snapshot with all of its pages
//!  <folder>/<stage>/<unit>/<tag>-blocks-<n>  what other units have sent it and it had not consumed
//! ```
//!
//! It is taken by a reader, who disturbs nobody: journals, snapshots and repartition topics are there to be read. What is
//! read at different moments fits together because of the order in which it is read ([`Taking`]): readers before writers, so
//! that what a unit has consumed is never missing where it was made; and what was made and not yet consumed is copied.
//!
//! It is restored into journals that nobody has written to ([`Restoring`]): they get the records that they would have if the
//! pipeline had worked there, and from then on nothing is special about it.

mod bytes;
mod restoring;
mod taking;

pub use restoring::{Restored, Restoring, Target};
pub use taking::{Asked, Next, Standing, Taking, Waits, inputs_of};

use crate::format::DecodeError;
use crate::identity::{Generation, Seq, UnitId};
use crate::journal::record::ClaimedInput;
use crate::snapshot::SnapshotPointer;
use pipeline::plan::{PlanHash, SecretsHash};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// Name of the manifest in its folder.
pub const MANIFEST: &str = "manifest";

/// What a savepoint holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Savepoint {
    /// Namespace of the pipeline that it was taken of.
    pub namespace: String,
    /// Name of that pipeline.
    pub pipeline: String,
    /// First eight characters of its uid.
    pub uid8: String,
    /// The newest generation that had claimed a unit.
    pub generation: Generation,
    /// The plan that the state belongs to.
    pub plan: PlanHash,
    /// The meaning of plans in the release that made the state.
    pub semantics: u32,
    /// The Secrets that entered values of the state; none when none did.
    pub secrets: Option<SecretsHash>,
    /// The resolved manifests that make the plan.
    pub manifest: String,
    /// The pipeline was drained: every unit had consumed all that was sent to it, and given out all that it had to.
    pub drained: bool,
    /// When it was taken, in milliseconds since the epoch.
    pub taken_at_ms: i64,
    /// The stages of the plan, in its order.
    pub stages: Vec<SavedStage>,
}

/// A stage, with all of its units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedStage {
    /// Its name.
    pub name: Arc<str>,
    /// By number.
    pub units: Vec<SavedUnit>,
}

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedUnit {
    /// Its inputs, and where it starts in partitions that it has no position of.
    pub inputs: Vec<ClaimedInput>,
    /// Its state, with the commit that it is of; none when it has never committed. The key is a name in the folder.
    pub state: Option<SnapshotPointer>,
    /// What it had not consumed, in order.
    pub blocks: Vec<Object>,
}

/// Something in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name there.
    pub name: Arc<str>,
    /// xxh3-128 of its bytes.
    pub hash: u128,
    /// Its length.
    pub bytes: u64,
}

/// Why a savepoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The manifest, or what it names, cannot be read.
    #[error("`{name}` of the savepoint cannot be read")]
    Damaged {
        /// What.
        name: Arc<str>,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// Other bytes than those that were written.
    #[error("`{name}` of the savepoint is not what was written")]
    Hash {
        /// What.
        name: Arc<str>,
    },
    /// A snapshot in it.
    #[error("the state of {unit} in the savepoint")]
    State {
        /// Of which unit.
        unit: UnitId,
        /// Why.
        #[source]
        source: crate::snapshot::SnapshotError,
    },
    /// The state belongs to another commit or unit than the manifest says.
    #[error("the state of {unit} in the savepoint is of {found}")]
    Foreign {
        /// Which unit it should be.
        unit: UnitId,
        /// What it is.
        found: String,
    },
}

impl Object {
    /// What is kept under this name.
    pub fn of(name: impl Into<Arc<str>>, bytes: &[u8]) -> Self {
        Self { name: name.into(), hash: xxh3_128(bytes), bytes: bytes.len() as u64 }
    }

    /// Checks what a store gave back.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Unusable> {
        if bytes.len() as u64 == self.bytes && xxh3_128(bytes) == self.hash {
            Ok(())
        } else {
            Err(Unusable::Hash { name: self.name.clone() })
        }
    }
}

impl Savepoint {
    /// All units with their names.
    pub fn units(&self) -> impl Iterator<Item = (UnitId, &SavedUnit)> {
        self.stages.iter().flat_map(|stage| {
            let id = |index| UnitId { stage: stage.name.clone(), index };
            (0..).zip(&stage.units).map(move |(index, unit)| (id(index), unit))
        })
    }

    /// Bytes of everything that it names.
    pub fn bytes(&self) -> u64 {
        let of_unit = |unit: &SavedUnit| {
            let blocks: u64 = unit.blocks.iter().map(|blocks| blocks.bytes).sum();
            unit.state.as_ref().map_or(0, |state| state.bytes) + blocks
        };
        self.units().map(|(_, unit)| of_unit(unit)).sum()
    }

    /// True when something was sent and not consumed.
    pub fn has_blocks(&self) -> bool {
        self.units().any(|(_, unit)| !unit.blocks.is_empty())
    }

    /// Nothing is between its units, and the state of all of them is there: whoever restores it begins as behind a drain, by
    /// any plan that can use the state.
    pub fn is_cut(&self) -> bool {
        let whole = |(_, unit): (UnitId, &SavedUnit)| unit.blocks.is_empty() && unit.state.is_some();
        self.drained || self.units().all(whole)
    }

    /// The commit that a unit stood at; 0 when it had never committed, or is not there.
    pub fn seq(&self, unit: &UnitId) -> Seq {
        let stage = self.stages.iter().find(|stage| stage.name == unit.stage);
        let found = stage.and_then(|stage| stage.units.get(unit.index as usize));
        found.and_then(|unit| unit.state.as_ref()).map_or(Seq(0), |state| state.seq)
    }
}

/// Blocks of one partition for a savepoint: each with the number of the input that reads it, and its value.
pub fn pack_blocks<'a>(values: impl IntoIterator<Item = (u16, &'a [u8])>) -> Vec<u8> {
    bytes::encode_blocks(values)
}

/// Name of the state of a unit in the folder. `tag` tells attempts apart: one that was given up and goes on writes nothing
/// over what another one has finished.
pub fn state_name(unit: &UnitId, tag: &str) -> String {
    format!("{}/{}/{tag}-state", unit.stage, unit.index)
}

/// Name of a part of what a unit had not consumed.
pub fn blocks_name(unit: &UnitId, tag: &str, part: usize) -> String {
    format!("{}/{}/{tag}-blocks-{part}", unit.stage, unit.index)
}
