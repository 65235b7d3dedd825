//! Snapshots as objects in a bucket: `<prefix>/<owner>/<stage>/<unit>/<key>`, each written whole or not at all.
//!
//! Names of objects do not say in which bucket they are: a bucket that is copied elsewhere serves as well. Calls block, on
//! the thread of whoever calls, with a runtime of the store's own; every call has a deadline that grows with the bytes it
//! moves, and repeats requests that may be repeated.
//!
//! ```text
//!  SnapshotStore ── ObjectStore ── opener: bucket + credentials of now ── client of S3 | Google | Azure
//! ```

mod credentials;
mod fault;
mod open;
#[cfg(test)]
mod tests;

pub use credentials::{Credentials, CredentialsError, Secret};
pub use fault::{Answer, Fault};

use super::{Folder, Shard, SnapshotError, SnapshotStore, order};
use fault::fault;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt};
use open::Client;
use pipeline::plan::Bucket;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Most bytes of one request; bigger objects are moved in parts.
const PART_BYTES: usize = 8 << 20;
/// Parts that are on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// How long a call may take that moves nothing.
const DEADLINE: Duration = Duration::from_secs(90);
/// What is slower than this, in bytes a second, is given up.
const BYTES_PER_SECOND_MIN: u64 = 1 << 20;
/// How long it may take to give up an upload in parts.
const ABORT: Duration = Duration::from_secs(5);

/// Why an object was not kept, found or deleted.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The Secret.
    #[error("checkpoint storage cannot be opened")]
    Credentials(#[source] CredentialsError),
    /// What the Secret or the environment holds cannot be used.
    #[error("{bucket} cannot be opened: look at the Secret of checkpoint.storage.secretRef")]
    Open {
        /// Which bucket.
        bucket: String,
        /// Why.
        #[source]
        source: Answer,
    },
    /// The operating system.
    #[error("the client of checkpoint storage cannot be started")]
    Runtime(#[source] std::io::Error),
    /// The store.
    #[error("failed to {operation} {place}: {fault}")]
    Store {
        /// What we tried.
        operation: &'static str,
        /// On what, and where that is.
        place: String,
        /// What it means, and what helps.
        fault: Fault,
        /// What the store said.
        #[source]
        source: Answer,
    },
}

impl ObjectError {
    /// True when to try again helps only after somebody changed something.
    pub fn needs_somebody(&self) -> bool {
        match self {
            Self::Credentials(_) | Self::Open { .. } => true,
            Self::Runtime(_) => false,
            Self::Store { fault, .. } => fault.needs_somebody(),
        }
    }

    /// True when the store knows us and refuses, or does not know us.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Store { fault: Fault::Denied | Fault::NotKnown | Fault::NoIdentity, .. })
    }
}

/// A store in a bucket. Several owners may share bucket and prefix; nobody deletes what is another's.
pub struct ObjectStore {
    open: Box<dyn FnMut() -> Result<Client, ObjectError> + Send>,
    /// The bucket and how it is reached, as people are told.
    place: String,
    prefix: String,
    owner: String,
    runtime: Runtime,
}

impl ObjectStore {
    /// A store of `owner` in a bucket. Nothing is asked of the store yet. `credentials` reads the Secret of the bucket, and
    /// is called at every operation, so that a change of it is taken up; without a Secret it is never called.
    pub fn new(
        bucket: &Bucket,
        owner: impl Into<String>,
        credentials: impl FnMut() -> Result<Credentials, CredentialsError> + Send + 'static,
    ) -> Result<Self, SnapshotError> {
        let at = bucket.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
        let place = format!("{}://{}{at}", bucket.cloud.scheme(), bucket.name);
        Self::opened_by(open::opener(bucket.clone(), credentials), place, &bucket.prefix, owner.into())
    }

    /// A store of `owner` over a client that is made already; for buckets that have no address, such as one in memory.
    pub fn over(
        client: Arc<dyn object_store::ObjectStore>,
        prefix: &str,
        owner: impl Into<String>,
    ) -> Result<Self, SnapshotError> {
        let place = client.to_string();
        Self::opened_by(move || Ok(client.clone()), place, prefix, owner.into())
    }

    fn opened_by(
        open: impl FnMut() -> Result<Client, ObjectError> + Send + 'static,
        place: String,
        prefix: &str,
        owner: String,
    ) -> Result<Self, SnapshotError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ObjectError::Runtime)?;
        Ok(Self { open: Box::new(open), place, prefix: prefix.to_owned(), owner, runtime })
    }

    /// Runs an act on the bucket within its deadline.
    fn run<T>(
        &mut self,
        operation: &'static str,
        object: &str,
        bytes: u64,
        act: impl AsyncFnOnce(&Client) -> object_store::Result<T>,
    ) -> Result<T, SnapshotError> {
        let client = (self.open)()?;
        let deadline = DEADLINE + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN);
        let done = self.runtime.block_on(async { tokio::time::timeout(deadline, act(&client)).await });
        let (fault, source) = match done {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => (fault(&error), Answer::of(&error)),
            Err(_) => (Fault::TimedOut, Answer::new(format!("not done within {} s", deadline.as_secs()))),
        };
        let place = format!("`{object}` in {}", self.place);
        Err(ObjectError::Store { operation, place, fault, source }.into())
    }

    /// The place of a name in the bucket.
    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) }
    }

    fn path(&self, name: &str) -> Result<Path, SnapshotError> {
        let part_is_safe = |part: &str| {
            let safe = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(safe)
        };
        if name.len() <= 512 && name.split('/').all(part_is_safe) {
            Ok(Path::from(self.full(name)))
        } else {
            Err(SnapshotError::InvalidName { name: name.to_owned(), store: self.place.clone() })
        }
    }

    fn folder(&self, shard: &Shard) -> String {
        format!("{}/{}/{}/", self.owner, shard.stage, shard.unit)
    }

    fn put_object(&mut self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let path = self.path(name)?;
        self.run("write", &self.full(name), bytes.len() as u64, async |client| {
            if bytes.len() <= PART_BYTES {
                client.put(&path, bytes.to_vec().into()).await.map(|_| ())
            } else {
                put_in_parts(client, &path, bytes).await
            }
        })
    }

    /// True when the store says with certainty that an object is not there. That it was not found may as well mean that
    /// there is no bucket, and that is no loss of the object.
    fn is_certainly_gone(&mut self, name: &str, path: &Path) -> Result<bool, SnapshotError> {
        let folder = path.parts().count().saturating_sub(1);
        let folder: Path = path.parts().take(folder).collect();
        self.run("look for", &self.full(name), 0, async |client| {
            let mut listed = client.list(Some(&folder));
            while let Some(found) = listed.try_next().await? {
                if found.location == *path {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }
}

impl SnapshotStore for ObjectStore {
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        let name = format!("{}{key}", self.folder(shard));
        self.put_object(&name, bytes)?;
        Ok(name)
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path(name)?;
        let full = self.full(name);
        let found = self.run("read", &full, 0, async |client| match client.head(&path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            found => found.map(|found| Some(found.size)),
        })?;
        let Some(size) = found else {
            if self.is_certainly_gone(name, &path)? {
                return Err(SnapshotError::NotFound { name: name.to_owned(), store: self.place.clone() });
            }
            let (place, fault) = (format!("`{full}` in {}", self.place), Fault::Other);
            let source = Answer::new("it is listed, and was not found");
            return Err(ObjectError::Store { operation: "read", place, fault, source }.into());
        };
        self.run("read", &full, size, async |client| {
            let mut bytes = Vec::with_capacity(size as usize);
            while (bytes.len() as u64) < size {
                let from = bytes.len() as u64;
                let part = client.get_range(&path, from..size.min(from + PART_BYTES as u64)).await?;
                bytes.extend_from_slice(&part);
            }
            Ok(bytes)
        })
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        let folder = self.folder(shard);
        let invalid = || SnapshotError::InvalidName { name: oldest.to_owned(), store: self.place.clone() };
        let oldest = order(oldest.strip_prefix(&folder).ok_or_else(invalid)?).to_owned();
        let is_older = |name: &String| name.strip_prefix(&folder).is_some_and(|key| order(key) < &*oldest);
        let old = self.list(shard)?.into_iter().filter(is_older);
        let old: Vec<Path> = old.map(|name| self.path(&name)).collect::<Result<_, _>>()?;
        self.run("delete old snapshots of", &self.full(&folder), 0, async |client| {
            let old = futures::stream::iter(old.into_iter().map(Ok)).boxed();
            client.delete_stream(old).try_for_each(async |_| Ok(())).await
        })
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        let folder = self.folder(shard);
        let path = Path::from(self.full(&folder));
        let mut names: Vec<String> = self.run("list", &self.full(&folder), 0, async |client| {
            let found = client.list(Some(&path)).map_ok(|found| found.location.filename().map(str::to_owned));
            found.try_filter_map(async |key| Ok(key.map(|key| format!("{folder}{key}")))).try_collect().await
        })?;
        names.sort();
        Ok(names)
    }
}

impl Folder for ObjectStore {
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.put_object(&format!("{}/{name}", self.owner), bytes)
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        self.get(&format!("{}/{name}", self.owner))
    }

    fn clear(&mut self) -> Result<usize, SnapshotError> {
        let folder = Path::from(self.full(&self.owner));
        self.run("delete", &self.full(&self.owner), 0, async |client| {
            let found = client.list(Some(&folder)).map_ok(|found| found.location).boxed();
            client.delete_stream(found).try_fold(0, async |count, _| Ok(count + 1)).await
        })
    }
}

/// What was begun and fails is taken back; what nobody could take back is for a rule of the bucket.
async fn put_in_parts(client: &Client, path: &Path, bytes: &[u8]) -> object_store::Result<()> {
    let mut upload = client.put_multipart(path).await?;
    let sent = send_parts(upload.as_mut(), bytes).await;
    if sent.is_err() {
        let _ = tokio::time::timeout(ABORT, upload.abort()).await;
    }
    sent
}

async fn send_parts(upload: &mut dyn MultipartUpload, bytes: &[u8]) -> object_store::Result<()> {
    // Parts are numbered in the order in which they are asked for.
    let parts = bytes.chunks(PART_BYTES).map(|part| upload.put_part(part.to_vec().into()));
    futures::stream::iter(parts).buffer_unordered(PARTS_AT_ONCE).try_collect::<()>().await?;
    upload.complete().await.map(|_| ())
}
