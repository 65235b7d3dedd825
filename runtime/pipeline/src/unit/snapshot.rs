//! The state of a unit at one moment: a head, which is small, and pages, which are shared with the unit until it writes to
//! them. So taking it costs the number of pages, and it is encoded elsewhere. The bytes are equal for equal states.
//!
//! ```text
//!  head: "WU" version | plan hash | stage, unit | channels | watermark | each window side in the order of its node
//!  pages: those of each side; of a merging one window by window: groups, held records
//! ```
//!
//! In version 1 there were no pages; all of it stood in the head.

use super::{BuildError, Kind, Topology, Unit};
use crate::plan::{Plan, PlanHash, StageId};
use crate::state::bytes::{Malformed, Reader, put_slice, put_varint};
use crate::state::page::Page;
use crate::watermark::{Channels, Status};
use crate::window::assign::Assign;
use std::sync::Arc;

const MAGIC: &[u8; 2] = b"WU";
const VERSION: u8 = 2;
/// The last version without pages.
const UNPAGED: u8 = 1;

/// The state of a unit at one moment, whatever the unit does meanwhile.
#[derive(Clone, Debug)]
pub struct Snapshot {
    head: Vec<u8>,
    pages: Vec<Arc<dyn Page>>,
}

/// The state of a unit as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved<'a> {
    /// What is no page.
    pub head: &'a [u8],
    /// The bytes of the pages, in their order.
    pub pages: Vec<&'a [u8]>,
}

impl Snapshot {
    /// Of its parts.
    pub fn new(head: Vec<u8>, pages: Vec<Arc<dyn Page>>) -> Self {
        Self { head, pages }
    }

    /// What is no page: a few hundred bytes, and some for each channel and each open window.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The pages, in their order.
    pub fn pages(&self) -> &[Arc<dyn Page>] {
        &self.pages
    }

    /// All of it in one piece, for [`Saved::whole`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let (mut out, mut page) = (Vec::new(), Vec::new());
        put_slice(&mut out, &self.head);
        for of in &self.pages {
            page.clear();
            of.encode(&mut page);
            put_slice(&mut out, &page);
        }
        out
    }
}

impl<'a> Saved<'a> {
    /// Reads what [`Snapshot::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes end too early.
    pub fn whole(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let head = reader.slice("head of a snapshot")?;
        let mut pages = Vec::new();
        while !reader.rest().is_empty() {
            pages.push(reader.slice("page of a snapshot")?);
        }
        Ok(Self { head, pages })
    }
}

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
    #[error("snapshot version {found} is unknown, this program reads up to {VERSION}")]
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
    /// The state. Right after [`Unit::on_commit`] it is complete; between commits it is refused.
    ///
    /// # Errors
    /// The unit holds rows that are not flushed.
    pub fn snapshot(&mut self) -> Result<Snapshot, SnapshotError> {
        if !self.assigns().all(Assign::is_flushed) {
            return Err(SnapshotError::NotFlushed);
        }
        let (mut head, mut pages) = (Vec::new(), Vec::new());
        head.extend_from_slice(MAGIC);
        head.push(VERSION);
        head.extend_from_slice(&self.plan.hash().0);
        put_varint(&mut head, u64::from(self.stage.0));
        put_varint(&mut head, u64::from(self.index));
        self.channels.encode(&mut head);
        self.combined.status().encode(&mut head);
        for operator in &mut self.operators {
            match &mut operator.kind {
                Kind::Assign(assign) => assign.snapshot(&mut self.page_ids, &mut head, &mut pages),
                Kind::Merge { merge, .. } => merge.snapshot(&mut self.page_ids, &mut head, &mut pages),
                _ => {}
            }
        }
        Ok(Snapshot::new(head, pages))
    }

    /// A unit with the state of a snapshot. `topology` is the one that the snapshot was taken with.
    ///
    /// # Errors
    /// What [`RestoreError`] says.
    pub fn restore(
        plan: Arc<Plan>,
        topology: &Topology,
        stage: StageId,
        index: u32,
        saved: &Saved<'_>,
    ) -> Result<Unit, RestoreError> {
        let mut reader = Reader::new(saved.head);
        let version = read_header(&mut reader, plan.hash())?;
        let mut unit = Unit::new(plan, topology, stage, index).map_err(RestoreError::Build)?;
        unit.read_state(version, &mut reader, &saved.pages)?;
        Ok(unit)
    }

    fn read_state(
        &mut self,
        version: u8,
        reader: &mut Reader<'_>,
        pages: &[&[u8]],
    ) -> Result<(), RestoreError> {
        let stage = reader.varint("stage").map_err(RestoreError::Malformed)?;
        let unit = reader.varint("unit").map_err(RestoreError::Malformed)?;
        if (stage, unit) != (u64::from(self.stage.0), u64::from(self.index)) {
            return Err(RestoreError::OtherUnit { stage, unit });
        }
        self.read_parts(version, reader, pages).map_err(RestoreError::Malformed)
    }

    fn read_parts(&mut self, version: u8, reader: &mut Reader<'_>, pages: &[&[u8]]) -> Result<(), Malformed> {
        let mut pages = pages.iter().copied();
        self.channels = Channels::decode(reader)?;
        self.combined.restore(Status::decode(reader)?);
        for operator in &mut self.operators {
            match &mut operator.kind {
                Kind::Assign(assign) if version == UNPAGED => assign.restore_unpaged(reader)?,
                Kind::Assign(assign) => assign.restore(reader, &mut pages)?,
                Kind::Merge { merge, .. } if version == UNPAGED => merge.restore_unpaged(reader)?,
                Kind::Merge { merge, .. } => merge.restore(reader, &mut pages)?,
                _ => {}
            }
        }
        if pages.next().is_some() {
            return Err(Malformed { what: "number of pages" });
        }
        reader.end("end of the snapshot")
    }
}

/// Gives the version.
fn read_header(reader: &mut Reader<'_>, expected: PlanHash) -> Result<u8, RestoreError> {
    if reader.take(2, "magic") != Ok(MAGIC) {
        return Err(RestoreError::NotASnapshot);
    }
    let version = match reader.u8("version") {
        Ok(version @ (UNPAGED | VERSION)) => version,
        Ok(found) => return Err(RestoreError::UnknownVersion { found }),
        Err(_) => return Err(RestoreError::NotASnapshot),
    };
    let hash = reader.take(16, "plan hash").map_err(RestoreError::Malformed)?;
    let found = PlanHash(hash.try_into().map_err(|_| RestoreError::NotASnapshot)?);
    if found == expected { Ok(version) } else { Err(RestoreError::OtherPlan { expected, found }) }
}
