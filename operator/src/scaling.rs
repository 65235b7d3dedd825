//! ScalingPolicy: how many pods a pipeline has.
//!
//! ```text
//!  collect (control API of the pods) ──> observation ─┐
//!                              history (in memory) ───┴─> decide (pure) ──> `/scale` of the pipeline, status, events
//! ```
//!
//! The decision is a function of the policy, of what is measured now and of what was measured before; the simulator of
//! `kubectl-weir` calls the same one. Unknown is not zero: while a metric of the policy is not known nothing moves.

pub mod controller;
pub mod collect;
pub mod measure;
pub mod quantity;
pub mod observation;
pub mod history;
pub mod decide;
pub mod report;
pub mod simulate;

pub use decide::{Decision, Limit, decide};
pub use history::History;
pub use observation::{HotPartition, Observation, Placement, Readings};
