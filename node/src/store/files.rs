//! The store's files on disk, synchronously: where they lie, how they are found and read.
//!
//! ```text
//! ROOT/blobs/ab/cdef...       content of a release's file
//! ROOT/manifests/ab/cdef...   list of a release's files
//! ROOT/incoming/N             not yet verified; emptied at each start
//! ```

use super::error::{StoreError, Wanted};
use crate::ids::Digest;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Releases carry configuration and cookies: nobody else reads them here.
const PRIVATE_DIRECTORY: u32 = 0o700;

pub(super) struct Files {
    root: PathBuf,
    next_incoming: AtomicU64,
}

impl Files {
    pub(super) fn open(root: PathBuf) -> Result<Self, StoreError> {
        let files = Self { root, next_incoming: AtomicU64::new(0) };
        for folder in ["blobs", "manifests", "incoming"] {
            create_folder(&files.root.join(folder))?;
        }
        sync_folder(&files.root)?;
        files.remove_interrupted()?;
        Ok(files)
    }

    fn remove_interrupted(&self) -> Result<(), StoreError> {
        let folder = self.root.join("incoming");
        let failed = |source| StoreError::io("list", &folder, 0)(source);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            fs::remove_file(&path).map_err(StoreError::io("remove the interrupted write", &path, 0))?;
        }
        Ok(())
    }

    pub(super) fn path(&self, wanted: Wanted) -> PathBuf {
        let folder = match wanted {
            Wanted::Manifest(_) => "manifests",
            Wanted::Blob(_) => "blobs",
        };
        let name = wanted.digest().to_string();
        let (shard, rest) = name.split_at(2);
        self.root.join(folder).join(shard).join(rest)
    }

    pub(super) fn fresh_incoming(&self) -> PathBuf {
        let number = self.next_incoming.fetch_add(1, Ordering::Relaxed);
        self.root.join("incoming").join(number.to_string())
    }

    pub(super) fn find(&self, wanted: Wanted) -> Result<Option<(File, u64)>, StoreError> {
        let path = self.path(wanted);
        match File::open(&path) {
            Ok(file) => {
                let size = file.metadata().map_err(StoreError::io("look at", &path, 0))?.len();
                Ok(Some((file, size)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("open", &path, 0)(error)),
        }
    }

    pub(super) fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        let mut seen = BTreeSet::new();
        let mut missing = Vec::new();
        for digest in digests {
            if seen.insert(digest) && !self.holds(Wanted::Blob(digest))? {
                missing.push(digest);
            }
        }
        Ok(missing)
    }

    pub(super) fn holds(&self, wanted: Wanted) -> Result<bool, StoreError> {
        let path = self.path(wanted);
        path.try_exists().map_err(StoreError::io("look for", &path, 0))
    }

    pub(super) fn read(&self, wanted: Wanted) -> Result<Vec<u8>, StoreError> {
        let (mut file, _) = self.find(wanted)?.ok_or(StoreError::Missing(wanted))?;
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(StoreError::io("read", &self.path(wanted), 0))?;
        if Digest::of(&content) == wanted.digest() { Ok(content) } else { Err(self.discard(wanted)) }
    }

    /// Takes a rotted file away, so that it counts as missing and is fetched again.
    pub(super) fn discard(&self, wanted: Wanted) -> StoreError {
        let path = self.path(wanted);
        match fs::remove_file(&path) {
            Ok(()) => StoreError::Rotted { wanted, path },
            Err(error) => StoreError::io("remove the rotted file", &path, 0)(error),
        }
    }
}

pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    let created = builder.recursive(true).mode(PRIVATE_DIRECTORY).create(path);
    created.map_err(StoreError::io("create the directory", path, 0))
}

/// Makes the names in a directory durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(StoreError::io("sync the directory", path, 0))
}

/// Refuses before the first byte what cannot end well.
pub(super) fn require_space(folder: &Path, needed: u64) -> Result<(), StoreError> {
    let status =
        rustix::fs::statvfs(folder).map_err(|errno| StoreError::io("look at", folder, 0)(errno.into()))?;
    if status.f_bavail.saturating_mul(status.f_frsize) < needed {
        return Err(StoreError::NoSpace { path: folder.to_owned(), needed });
    }
    Ok(())
}
