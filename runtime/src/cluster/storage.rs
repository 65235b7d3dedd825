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
use connect::snapshot::{
    FileStore, Folder, MovedStore, ObjectStore, SnapshotError, SnapshotStore, TopicStore, Uploads,
};
use control::savepoint::SavepointPlace;
use pipeline::plan::{Bucket, Plan, Storage, storage};
use pipeline::spec::{CheckpointStorage, NameRef};
use protocol::identity::PipelineIdentity;
use std::path::Path;

/// The store of a worker, with its thread.
pub(super) fn uploads(setup: &Setup, door: &Door) -> Result<Uploads, StartError> {
    let store = snapshot_store(&setup.plan, &setup.identity, setup.worker.0, door)?;
    Uploads::background(store).map_err(StartError::Storage)
}

/// The store of snapshots of a pipeline; `number` tells those who use it apart.
pub(super) fn snapshot_store(
    plan: &Plan,
    identity: &PipelineIdentity,
    number: u32,
    door: &Door,
) -> Result<Box<dyn SnapshotStore>, StartError> {
    let topics = topic_store(identity.clone(), number, door.clone());
    let owner = identity.folder();
    Ok(match &plan.settings().checkpoint_storage {
        None => Box::new(topics),
        Some(Storage::Directory(path)) => {
            let store = FileStore::open(path, owner).map_err(StartError::Storage)?;
            Box::new(MovedStore::new(topics, store))
        }
        Some(Storage::Bucket(bucket)) => {
            let store = object_store(bucket, owner, door.secrets()).map_err(StartError::Storage)?;
            Box::new(MovedStore::new(topics, store))
        }
    })
}

/// The folder of a savepoint, and of nothing else.
pub(super) fn savepoint_folder(
    place: &SavepointPlace,
    secrets: &SecretsFrom,
) -> Result<Box<dyn Folder>, PlaceError> {
    let spec = CheckpointStorage {
        uri: place.uri.clone(),
        secret_ref: place.secret.clone().map(|name| NameRef { name }),
        endpoint: place.endpoint.clone(),
        region: place.region.clone(),
    };
    let storage = storage(&spec).map_err(PlaceError::Address)?;
    let address = || PlaceError::Address(format!("`{storage}` has no folder: write {storage}/NAME"));
    let failed = |source| PlaceError::Store { place: storage.to_string(), source };
    match &storage {
        Storage::Directory(path) => {
            let (parent, name) = path.trim_end_matches('/').rsplit_once('/').ok_or_else(address)?;
            let parent = if parent.is_empty() { "/" } else { parent };
            let name = Some(name).filter(|name| !name.is_empty()).ok_or_else(address)?;
            Ok(Box::new(FileStore::open(parent, name).map_err(failed)?))
        }
        Storage::Bucket(bucket) => {
            let (prefix, name) = bucket.prefix.rsplit_once('/').unwrap_or(("", &bucket.prefix));
            let name = Some(name).filter(|name| !name.is_empty()).ok_or_else(address)?;
            if let Some(secret) = &bucket.secret {
                credentials(bucket, secrets)
                    .map_err(|source| PlaceError::Secret { name: secret.clone(), source })?;
            }
            let parent = Bucket { prefix: prefix.to_owned(), ..bucket.clone() };
            Ok(Box::new(object_store(&parent, name.to_owned(), secrets).map_err(failed)?))
        }
    }
}

/// Why the place of a savepoint cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Its address.
    #[error("{0}")]
    Address(String),
    /// The Secret with the credentials.
    #[error("secret `{name}`")]
    Secret {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: CredentialsError,
    },
    /// The store.
    #[error("{place}")]
    Store {
        /// Which.
        place: String,
        /// Why.
        #[source]
        source: SnapshotError,
    },
}

impl PlaceError {
    /// A Secret, or a key of it, may be made later.
    pub fn is_missing_key(&self) -> bool {
        matches!(self, Self::Secret { source, .. } if source.is_missing_key())
    }
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

fn topic_store(identity: PipelineIdentity, number: u32, mut door: Door) -> TopicStore {
    // Not the worker's own id: opening the store must not fence the worker.
    let id = format!("{}.snapshots.{number}.{:016x}", identity.group_id(), clock::random());
    let topic_of = move |stage: &str| identity.snapshots_topic(stage);
    TopicStore::new(topic_of, move || {
        door.renew();
        Ok(Box::new(Io::connect(&door.settings, &id)?))
    })
}
