//! The first failure of several threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kept until the run has ended; later ones mostly follow from it. Clones are the same.
pub struct First<E>(Arc<Mutex<Option<E>>>);

impl<E> First<E> {
    /// Something failed.
    pub fn set(&self, error: E) {
        self.lock().get_or_insert(error);
    }

    /// True after a failure.
    pub fn is_set(&self) -> bool {
        self.lock().is_some()
    }

    /// The failure.
    pub fn take(&self) -> Option<E> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> Default for First<E> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<E> Clone for First<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}
