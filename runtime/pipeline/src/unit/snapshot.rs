//! The state of a unit as bytes, equal for equal states.
//!
//! ```text
//!  "WU" version | plan hash | stage, unit | channels | watermark | each window side in the order of its node
//! ```

use super::{BuildError, Kind, Topology, Unit};
use crate::plan::{Plan, PlanHash, StageId};
use crate::state::bytes::{Malformed, Reader, put_varint};
use crate::watermark::{Channels, Status};
use std::sync::Arc;

const MAGIC: &[u8; 2] = b"WU";
const VERSION: u8 = 1;

/// A snapshot cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// Between commits there are rows on their way to the next stage; a snapshot is taken right after a commit.
    #[error("the unit holds rows that are not flushed; commit first")]
    NotFlushed,
}

/// A snapshot cannot be restored: the unit stops, it never starts empty instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It does not begin like a snapshot.
    #[error("the bytes are not a snapshot")]
    NotASnapshot,
    /// It was written by another version.
    #[error("snapshot version {found} is unknown, this program reads {VERSION}")]
    UnknownVersion {
        /// Version byte.
        found: u8,
    },
    /// It was taken with another plan.
    #[error("the snapshot is of plan {found}, not of {expected}")]
    OtherPlan {
        /// The plan to be restored.
        expected: PlanHash,
        /// The plan in the snapshot.
        found: PlanHash,
    },
    /// It is of another unit.
    #[error("the snapshot is of unit {unit} of stage {stage}")]
    OtherUnit {
        /// Stage in the snapshot.
        stage: u64,
        /// Unit in the snapshot.
        unit: u64,
    },
    /// It is broken.
    #[error("the snapshot is malformed")]
    Malformed(#[source] Malformed),
    /// The unit itself cannot be made.
    #[error("failed to build the unit")]
    Build(#[source] BuildError),
}

impl Unit {
    /// Appends the state. Right after [`Unit::on_commit`] it is complete; between commits it is refused.
    pub fn snapshot(&self, out: &mut Vec<u8>) -> Result<(), SnapshotError> {
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&self.plan.hash().0);
        put_varint(out, u64::from(self.stage.0));
        put_varint(out, u64::from(self.index));
        self.channels.encode(out);
        self.combined.status().encode(out);
        for operator in &self.operators {
            match &operator.kind {
                Kind::Assign(assign) if !assign.is_flushed() => return Err(SnapshotError::NotFlushed),
                Kind::Assign(assign) => assign.encode(out),
                Kind::Merge { merge, .. } => merge.encode(out),
                _ => {}
            }
        }
        Ok(())
    }

    /// A unit with the state of a snapshot. `topology` is the one that the snapshot was taken with.
    pub fn restore(
        plan: Arc<Plan>,
        topology: &Topology,
        stage: StageId,
        index: u32,
        bytes: &[u8],
    ) -> Result<Unit, RestoreError> {
        let mut reader = Reader::new(bytes);
        read_header(&mut reader, plan.hash())?;
        let mut unit = Unit::new(plan, topology, stage, index).map_err(RestoreError::Build)?;
        unit.read_state(&mut reader)?;
        Ok(unit)
    }

    fn read_state(&mut self, reader: &mut Reader<'_>) -> Result<(), RestoreError> {
        let stage = reader.varint("stage").map_err(RestoreError::Malformed)?;
        let unit = reader.varint("unit").map_err(RestoreError::Malformed)?;
        if (stage, unit) != (u64::from(self.stage.0), u64::from(self.index)) {
            return Err(RestoreError::OtherUnit { stage, unit });
        }
        self.read_parts(reader).map_err(RestoreError::Malformed)
    }

    fn read_parts(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        self.channels = Channels::decode(reader)?;
        self.combined.restore(Status::decode(reader)?);
        for operator in &mut self.operators {
            match &mut operator.kind {
                Kind::Assign(assign) => assign.restore(reader)?,
                Kind::Merge { merge, .. } => merge.restore(reader)?,
                _ => {}
            }
        }
        reader.end("end of the snapshot")
    }
}

fn read_header(reader: &mut Reader<'_>, expected: PlanHash) -> Result<(), RestoreError> {
    if reader.take(2, "magic") != Ok(MAGIC) {
        return Err(RestoreError::NotASnapshot);
    }
    match reader.u8("version") {
        Ok(VERSION) => {}
        Ok(found) => return Err(RestoreError::UnknownVersion { found }),
        Err(_) => return Err(RestoreError::NotASnapshot),
    }
    let hash = reader.take(16, "plan hash").map_err(RestoreError::Malformed)?;
    let found = PlanHash(hash.try_into().map_err(|_| RestoreError::NotASnapshot)?);
    if found == expected { Ok(()) } else { Err(RestoreError::OtherPlan { expected, found }) }
}
