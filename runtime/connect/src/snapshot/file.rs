//! Snapshots as files under a directory: written aside, synced, then renamed, so that a name is complete or absent.

use super::{Folder, Shard, SnapshotError, SnapshotStore, order};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Files that begin so are being written.
const PARTIAL: &str = ".partial-";

/// A store in a directory: `<owner>/<stage>/<unit>/<key>`. Several owners may share a directory; nobody deletes what is
/// another's.
pub struct FileStore {
    root: PathBuf,
    owner: String,
    written: u64,
}

impl FileStore {
    /// A store of `owner` in this directory, which is made when it does not exist.
    pub fn open(root: impl Into<PathBuf>, owner: impl Into<String>) -> Result<Self, SnapshotError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(failed("make", &root))?;
        Ok(Self { root, owner: owner.into(), written: 0 })
    }

    fn path(&self, name: &str) -> Result<PathBuf, SnapshotError> {
        let part_is_safe = |part: &str| {
            let safe = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(safe)
        };
        if name.len() <= 512 && name.split('/').all(part_is_safe) {
            Ok(self.root.join(name))
        } else {
            Err(SnapshotError::InvalidName { name: name.to_owned(), store: self.store() })
        }
    }

    fn store(&self) -> String {
        format!("file://{}", self.root.display())
    }

    /// Writes beside the target and renames; the directory is synced so that the name survives a crash.
    fn write_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
        let directory = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(directory).map_err(failed("make", directory))?;
        self.written += 1;
        let partial = directory.join(format!("{PARTIAL}{}-{}", std::process::id(), self.written));
        let written = File::create(&partial)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&partial, path));
        if written.is_err() {
            let _ = fs::remove_file(&partial);
        }
        written.map_err(failed("write", path))?;
        File::open(directory).and_then(|d| d.sync_all()).map_err(failed("sync", directory))
    }

    fn folder(&self, shard: &Shard) -> String {
        format!("{}/{}/{}/", self.owner, shard.stage, shard.unit)
    }

    fn remove(&self, name: &str) -> Result<(), SnapshotError> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}

impl SnapshotStore for FileStore {
    fn put(&mut self, shard: &Shard, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        let name = format!("{}{key}", self.folder(shard));
        let path = self.path(&name)?;
        self.write_file(&path, bytes)?;
        Ok(name)
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path(name)?;
        fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SnapshotError::NotFound { name: name.to_owned(), store: self.store() },
            _ => failed("read", &path)(error),
        })
    }

    fn trim(&mut self, shard: &Shard, oldest: &str) -> Result<(), SnapshotError> {
        let folder = self.folder(shard);
        let invalid = || SnapshotError::InvalidName { name: oldest.to_owned(), store: self.store() };
        let oldest = order(oldest.strip_prefix(&folder).ok_or_else(invalid)?).to_owned();
        let is_older = |name: &String| name.strip_prefix(&folder).is_some_and(|key| order(key) < &*oldest);
        let old: Vec<String> = self.list(shard)?.into_iter().filter(is_older).collect();
        old.iter().try_for_each(|name| self.remove(name))
    }

    fn list(&mut self, shard: &Shard) -> Result<Vec<String>, SnapshotError> {
        let folder = self.folder(shard);
        let directory = self.root.join(&folder);
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("list", &directory))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let key = entry.map_err(failed("list", &directory))?.file_name().to_string_lossy().into_owned();
            if !key.starts_with(PARTIAL) {
                names.push(format!("{folder}{key}"));
            }
        }
        names.sort();
        Ok(names)
    }
}

impl Folder for FileStore {
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), SnapshotError> {
        let path = self.path(&format!("{}/{name}", self.owner))?;
        self.write_file(&path, bytes)
    }

    fn read(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        self.get(&format!("{}/{name}", self.owner))
    }

    fn clear(&mut self) -> Result<usize, SnapshotError> {
        let folder = self.path(&self.owner)?;
        let files = count(&folder).map_err(failed("list", &folder))?;
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &folder)(error)),
            _ => Ok(files),
        }
    }
}

/// Files below a directory; none when it does not exist.
fn count(directory: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    entries
        .map(|entry| entry.and_then(|e| if e.file_type()?.is_dir() { count(&e.path()) } else { Ok(1) }))
        .sum()
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.display().to_string();
    move |source| SnapshotError::File { operation, path, source }
}
