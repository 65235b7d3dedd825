//! Why a life is over.

use crate::worker::error::WorkerError;
use connect::door::IoError;
use protocol::identity::Incarnation;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Why a life is over.
#[derive(Debug)]
pub enum Stop {
    /// A new life begins at once; `previous` is none when the last one wrote nothing.
    StartOver {
        /// The life that is over.
        previous: Option<Incarnation>,
        /// For the log, and for the status when it happens again and again.
        why: Cow<'static, str>,
    },
    /// A new life begins at this time.
    StandAside {
        /// When, on the monotonic clock.
        until_ms: u64,
    },
    /// What was to be read was trimmed meanwhile, because the journal points further by now: a new life begins there. When
    /// that misses the same, it is a loss.
    Gone {
        /// What is missing.
        what: String,
        /// As an error, should it be one.
        error: Box<WorkerError>,
    },
    /// A new life begins at once, and looks at the journals of these stages of earlier plans too.
    Stages(BTreeSet<Arc<str>>),
    /// A newer generation has everything.
    Superseded,
    /// The generation number is taken.
    Collision,
    /// Something failed.
    Failed(WorkerError),
}

impl From<WorkerError> for Stop {
    fn from(error: WorkerError) -> Self {
        Self::Failed(error)
    }
}

impl From<IoError> for Stop {
    fn from(error: IoError) -> Self {
        Self::Failed(WorkerError::Io(error))
    }
}
