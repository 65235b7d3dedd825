//! A store whose older objects may still be in topics: somebody moved a pipeline to another storage, and its journals point
//! to where its state was.

use super::topic::is_name;
use super::{Shard, SnapshotError, SnapshotStore};

/// Writes to one store; reads what has the name of an object in a topic from the other. Nothing is trimmed in the topics:
/// they go with the pipeline.
pub struct MovedStore<T, S> {
    topics: T,
    store: S,
}

impl<T: SnapshotStore, S: SnapshotStore> MovedStore<T, S> {
    /// `topics` gives the older objects.
    pub fn new(topics: T, store: S) -> Self {
        Self { topics, store }
    }
}

impl<T: SnapshotStore, S: SnapshotStore> SnapshotStore for MovedStore<T, S> {
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        self.store.put(shard, key, bytes)
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        if is_name(name) { self.topics.get(name) } else { self.store.get(name) }
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        if is_name(oldest) { Ok(()) } else { self.store.trim(shard, oldest) }
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        self.store.list(shard)
    }
}
