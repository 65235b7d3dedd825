//! Snapshots as files under a directory: written aside, synced, then renamed, so that a name is complete or absent.

use super::{SnapshotError, SnapshotStore};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Files that begin so are being written.
const PARTIAL: &str = ".partial-";

/// A store in a directory.
pub struct FileStore {
    root: PathBuf,
    written: u64,
}

impl FileStore {
    /// A store in this directory, which is made when it does not exist.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, SnapshotError> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(failed("make", &root))?;
        Ok(Self { root, written: 0 })
    }

    /// A store at `file:///an/absolute/path`.
    pub fn open_address(address: &str) -> Result<Self, SnapshotError> {
        match address.strip_prefix("file://") {
            Some(path) if path.starts_with('/') => Self::open(path),
            _ => Err(SnapshotError::Address { address: address.to_owned() }),
        }
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
    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), SnapshotError> {
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

    fn collect(&self, directory: &Path, into: &mut Vec<String>) -> Result<(), SnapshotError> {
        let list = |e| failed("list", directory)(e);
        for entry in fs::read_dir(directory).map_err(list)? {
            let entry = entry.map_err(list)?;
            let path = entry.path();
            if entry.file_type().map_err(list)?.is_dir() {
                self.collect(&path, into)?;
            } else if !entry.file_name().to_string_lossy().starts_with(PARTIAL)
                && let Some(name) = path.strip_prefix(&self.root).ok().and_then(Path::to_str)
            {
                into.push(name.to_owned());
            }
        }
        Ok(())
    }
}

impl SnapshotStore for FileStore {
    fn put(&mut self, _shard: u32, key: &str, bytes: &[u8]) -> Result<String, SnapshotError> {
        let path = self.path(key)?;
        self.write(&path, bytes)?;
        Ok(key.to_owned())
    }

    fn get(&mut self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let path = self.path(name)?;
        fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SnapshotError::NotFound { name: name.to_owned(), store: self.store() },
            _ => failed("read", &path)(error),
        })
    }

    fn delete(&mut self, name: &str) -> Result<(), SnapshotError> {
        let path = self.path(name)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, SnapshotError> {
        let mut names = Vec::new();
        self.collect(&self.root, &mut names)?;
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        Ok(names)
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SnapshotError {
    let path = path.display().to_string();
    move |source| SnapshotError::File { operation, path, source }
}
