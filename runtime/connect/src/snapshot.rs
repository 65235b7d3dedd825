//! Where snapshots are kept: whole objects, bytes in, bytes out.
//!
//! A store gives each object its own name ([`SnapshotStore::put`] returns it); only that name finds it again, and a
//! journal keeps it. Nothing here knows what a snapshot holds. [`Uploads`] puts a store behind a thread, so that a
//! worker hands over the making of an object and asks later.
//!
//! ```text
//!  worker ── Uploads ──(thread)── SnapshotStore: memory | file | topic | object
//! ```

mod file;
mod memory;
mod moved;
pub mod object;
#[cfg(test)]
mod tests;
mod topic;
mod uploads;

pub use file::FileStore;
pub use memory::MemoryStore;
pub use moved::MovedStore;
pub use object::ObjectStore;
pub use topic::TopicStore;
pub use uploads::{UPLOADS_MAX, Uploads, Work};

use crate::door::IoError;
use object::ObjectError;
use protocol::snapshot::SnapshotPointer;
use std::sync::Arc;

/// Whose objects these are: one unit of one stage. Nobody else writes or deletes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Name of the stage.
    pub stage: String,
    /// Number of the unit.
    pub unit: u32,
    /// How many units the stage has.
    pub units: u32,
}

/// A snapshot that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// What the journal is to point to.
    pub pointer: SnapshotPointer,
    /// The store's name of the oldest object that a restore needs.
    pub oldest: Arc<str>,
    /// Bytes of the whole state, of which the object may hold a part only.
    pub state_bytes: u64,
}

/// A key as [`SnapshotStore::put`] wants it: objects of a shard sort by `order`, and `content` tells two of one order
/// apart.
pub fn key(order: u64, content: &str) -> String {
    format!("{order:020}-{content}")
}

/// The part of a key that sorts.
fn order(key: &str) -> &str {
    key.split_once('-').map_or(key, |(order, _)| order)
}

/// Keeps objects. Calls block until the object is durable.
pub trait SnapshotStore: Send {
    /// Keeps an object and returns the store's name for it. `key` is a [`key`]: the same one is never used for other
    /// bytes, and a repeated put is allowed.
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError>;

    /// Exactly the object of this name, complete, or an error.
    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError>;

    /// Nothing older than the object `oldest` of the shard is needed any more: what has a lower order, or was put before
    /// it, may be deleted. `oldest` itself and everything behind it stays.
    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError>;

    /// Names of all complete objects of a shard, in order.
    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError>;
}

impl SnapshotStore for Box<dyn SnapshotStore> {
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        self.as_mut().put(shard, key, bytes)
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        self.as_mut().get(name)
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        self.as_mut().trim(shard, oldest)
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        self.as_mut().list(shard)
    }
}

/// What an owner keeps under names of its own choice, such as a savepoint. Calls block until the object is durable.
pub trait Folder: Send {
    /// Keeps an object under a name, in place of what was there. Parts of a name are separated by `/`.
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError>;

    /// Exactly the object of this name, complete, or an error.
    fn read(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError>;

    /// Deletes everything of the owner, and returns how many objects there were.
    fn clear(&mut self) -> Result<usize, SnapshotError>;
}

/// Why a store failed. `NotFound` and `Corrupt` mean that the state is gone; the rest is worth a retry.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No such object.
    #[error("snapshot `{name}` was not found in {store}")]
    NotFound {
        /// The store's name for it.
        name: String,
        /// Which store.
        store: String,
    },
    /// What was found is not what was written.
    #[error("snapshot `{name}` in {store} is damaged")]
    Corrupt {
        /// The store's name for it.
        name: String,
        /// Which store.
        store: String,
    },
    /// The name cannot be one of this store.
    #[error("`{name}` is not a name of a snapshot in {store}")]
    InvalidName {
        /// The name.
        name: String,
        /// Which store.
        store: String,
    },
    /// A file could not be read, written, listed or removed.
    #[error("failed to {operation} {path}")]
    File {
        /// What we tried.
        operation: &'static str,
        /// On which path.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The log could not be read or written.
    #[error("failed to {operation} snapshot topic `{topic}`")]
    Log {
        /// What we tried.
        operation: &'static str,
        /// The topic.
        topic: String,
        /// Why.
        #[source]
        source: IoError,
    },
    /// The transaction that carried the object did not commit for certain.
    #[error("snapshot `{key}` was not committed to topic `{topic}`")]
    NotCommitted {
        /// The caller's key.
        key: String,
        /// The topic.
        topic: String,
    },
    /// A bucket could not be opened, read, written, listed or trimmed.
    #[error(transparent)]
    Object(Box<ObjectError>),
    /// Too many uploads are under way.
    #[error("{in_flight} snapshot uploads are already under way")]
    Busy {
        /// How many.
        in_flight: usize,
    },
    /// The thread of the store could not be started, or has ended.
    #[error("the upload thread is not running")]
    Stopped,
}

impl From<ObjectError> for SnapshotError {
    fn from(error: ObjectError) -> Self {
        Self::Object(Box::new(error))
    }
}

impl SnapshotError {
    /// True when the store does not know us, or does not let us.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Log { source: IoError::Denied { .. } | IoError::LoginFailed { .. }, .. } => true,
            Self::Object(error) => error.is_refusal(),
            _ => false,
        }
    }

    /// True when to try again helps only after somebody changed something outside.
    pub fn needs_somebody(&self) -> bool {
        matches!(self, Self::Object(error) if error.needs_somebody())
    }

    /// True when the object is gone for good, so that a retry is useless.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::Corrupt { .. } | Self::InvalidName { .. })
    }
}
