//! A worker that is killed restores its state from a bucket, and nothing is lost or counted twice. The buckets here are the
//! client's own, in memory and in a directory; those of a real server are in `restore_s3`.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "storage/rig.rs"]
mod rig;

use connect::snapshot::ObjectStore;
use std::sync::Arc;

fn check(client: Arc<dyn object_store::ObjectStore>) {
    rig::killed_and_restored(move || ObjectStore::over(client.clone(), "weir", "shop.long.0a").unwrap());
}

#[test]
fn a_worker_that_is_killed_restores_from_a_bucket_in_memory() {
    check(Arc::new(object_store::memory::InMemory::new()));
}

#[test]
fn a_worker_that_is_killed_restores_from_a_bucket_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    check(Arc::new(object_store::local::LocalFileSystem::new_with_prefix(directory.path()).unwrap()));
}
