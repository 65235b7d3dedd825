//! The journal of a unit: its records, their bytes, and what a reader makes of them.
//!
//! [`record`] says what may be written, [`codec`] how; [`Ownership`] folds records to "who may write here", and
//! [`JournalView`] to "what has to be replayed". Only transactional writes; readers read committed.

pub mod codec;
pub mod ownership;
pub mod record;
pub mod view;

pub use ownership::{Head, Ownership};
pub use record::{
    Base, Claim, ClaimedInput, Commit, Cut, Heritage, Hold, InputPartition, JournalRecord, Leg, Released,
    Renewal, Reprocess, Reprocessed, SinkProgress,
};
pub use view::{JournalView, TailItem};
