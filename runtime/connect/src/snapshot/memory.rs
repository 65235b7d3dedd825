//! Snapshots in memory: local runs without `--state`, and the simulation.

use super::{SnapshotError, SnapshotStore};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const STORE: &str = "memory";

/// A store in memory. Clones are the same store.
#[derive(Clone, Default)]
pub struct MemoryStore {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes an object behind the back of its owner, to see that it is noticed. False when there is none.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.lock().get_mut(name).map(change).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotStore for MemoryStore {
    fn put(&mut self, _shard: u32, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        self.lock().insert(key.to_owned(), bytes.to_vec());
        Ok(key.to_owned())
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let not_found = || SnapshotError::NotFound { name: name.to_owned(), store: STORE.to_owned() };
        self.lock().get(name).cloned().ok_or_else(not_found)
    }

    fn delete(&mut self, name: &str) -> Result<(), SnapshotError> {
        self.lock().remove(name);
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, SnapshotError> {
        Ok(self.lock().keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }
}
