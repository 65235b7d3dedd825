//! Snapshots in memory: local runs without `--state`, and the simulation.

use super::{Folder, Shard, SnapshotError, SnapshotStore, order};
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
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        let name = format!("{}{key}", folder(shard));
        self.lock().insert(name.clone(), bytes.to_vec());
        Ok(name)
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let not_found = || SnapshotError::NotFound { name: name.to_owned(), store: STORE.to_owned() };
        self.lock().get(name).cloned().ok_or_else(not_found)
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        let folder = folder(shard);
        let invalid = || SnapshotError::InvalidName { name: oldest.to_owned(), store: STORE.to_owned() };
        let oldest = order(oldest.strip_prefix(&folder).ok_or_else(invalid)?);
        self.lock().retain(|name, _| name.strip_prefix(&folder).is_none_or(|key| order(key) >= oldest));
        Ok(())
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        let folder = folder(shard);
        Ok(self.lock().keys().filter(|name| name.starts_with(&folder)).cloned().collect())
    }
}

impl Folder for MemoryStore {
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.lock().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        self.get(name)
    }

    fn clear(&mut self) -> Result<usize, SnapshotError> {
        Ok(std::mem::take(&mut *self.lock()).len())
    }
}

fn folder(shard: &Shard) -> String {
    format!("{}/{}/", shard.stage, shard.unit)
}
