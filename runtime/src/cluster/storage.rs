//! The store of snapshots that a plan asks for.
//!
//! ```text
//!  no checkpoint.storage ──> topics      file:///… ──> a directory      s3, gs, az ──> a bucket
//! ```
//!
//! Before somebody moved a pipeline to a bucket or a directory its snapshots went to topics, and its journals still point
//! there: what has the name of an object in a topic is read there.

use super::{SecretsFrom, StartError};
use crate::clock;
use crate::cluster::door::Door;
use crate::worker::Setup;
use connect::kafka::Io;
use connect::snapshot::object::{Credentials, CredentialsError, Secret};
use connect::snapshot::{FileStore, MovedStore, ObjectStore, SnapshotError, TopicStore, Uploads};
use pipeline::plan::{Bucket, Plan, Storage};
use std::path::Path;

/// The store of a worker, with its thread.
pub(super) fn uploads(setup: &Setup, door: &Door) -> Result<Uploads, StartError> {
    let topics = topic_store(setup, door.clone());
    let owner = setup.identity.folder();
    let uploads = match &setup.plan.settings().checkpoint_storage {
        None => Uploads::background(topics),
        Some(Storage::Directory(path)) => {
            let store = FileStore::open(path, owner).map_err(StartError::Storage)?;
            Uploads::background(MovedStore::new(topics, store))
        }
        Some(Storage::Bucket(bucket)) => {
            let store = object_store(bucket, owner, door.secrets()).map_err(StartError::Storage)?;
            Uploads::background(MovedStore::new(topics, store))
        }
    };
    uploads.map_err(StartError::Storage)
}

/// Says what the Secret of a bucket lacks, before anything is started.
pub(super) fn check(plan: &Plan, secrets: &SecretsFrom) -> Result<(), StartError> {
    let Some(Storage::Bucket(bucket)) = &plan.settings().checkpoint_storage else { return Ok(()) };
    let Some(name) = &bucket.secret else { return Ok(()) };
    match credentials(bucket, secrets) {
        Ok(_) => Ok(()),
        Err(source) => Err(StartError::StorageSecret { name: name.clone(), source }),
    }
}

/// The store of a bucket, with what its Secret holds whenever it is used.
pub(crate) fn object_store(
    bucket: &Bucket,
    owner: String,
    secrets: &SecretsFrom,
) -> Result<ObjectStore, SnapshotError> {
    let (of, secrets) = (bucket.clone(), secrets.clone());
    ObjectStore::new(bucket, owner, move || credentials(&of, &secrets))
}

fn credentials(bucket: &Bucket, secrets: &SecretsFrom) -> Result<Credentials, CredentialsError> {
    let name = bucket.secret.as_deref().unwrap_or_default();
    let read = |name: &str, key: &str| secrets.read(name, key);
    Credentials::read(bucket.cloud, &Secret { name, read: &read, place: secrets.place(name, "<KEY>") })
}

/// Reads the Secret of a bucket where it is mounted below a directory.
pub(crate) fn credentials_mounted(
    bucket: &Bucket,
    directory: &Path,
) -> Result<Credentials, CredentialsError> {
    credentials(bucket, &SecretsFrom::Mounted(directory.to_owned()))
}

fn topic_store(setup: &Setup, mut door: Door) -> TopicStore {
    let (identity, number) = (setup.identity.clone(), setup.worker.0);
    // Not the worker's own id: opening the store must not fence the worker.
    let id = format!("{}.snapshots.{number}.{:016x}", identity.group_id(), clock::random());
    let topic_of = move |stage: &str| identity.snapshots_topic(stage);
    TopicStore::new(topic_of, move || {
        door.renew();
        Ok(Box::new(Io::connect(&door.settings, &id)?))
    })
}
