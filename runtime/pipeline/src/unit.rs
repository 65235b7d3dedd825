//! A unit: a deterministic state machine over batches. It joins format, time, steps, windows and state without I/O.
//!
//! The same sequence of calls gives the same effects and the same state, whatever the machine; and another cut of the
//! same records into batches gives the same rows.

use crate::effect::Effects;
use crate::plan::{Plan, StageId};
use crate::record::RecordBatch;
use std::sync::Arc;

/// One partition of one input of a unit; each has its own watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// Index into `Stage::inputs`.
    pub input: u16,
    /// Partition of the source topic; for repartitioned inputs the upstream unit.
    pub partition: u32,
}

/// Something that happened without a record. Each is an empty batch in the schedule, so that replay sees it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// A source partition had nothing to read for its `idle_timeout_ms`: it stops holding back the watermark until
    /// its next record.
    Idle(Channel),
    /// A bounded source partition ended: its watermark goes to the end of time.
    EndOfInput(Channel),
}
