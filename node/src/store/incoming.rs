//! Taking content in: into a file of its own, hashed on the way, and only once it is verified and
//! fsynced renamed to its digest. Dropped before that, it leaves nothing.

use super::blocking;
use super::error::{Found, StoreError, Wanted};
use super::files::{Files, create_folder, require_space, sync_folder};
use crate::fail_point;
use bytes::Bytes;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const PRIVATE_FILE: u32 = 0o600;

/// Takes in one blob. Nothing is kept before [`Self::finish`] returned `Ok`.
pub struct Writer {
    // Absent while a piece is being written in the background, and after an error.
    incoming: Option<Incoming>,
}

impl Writer {
    pub(super) async fn begin(files: &Arc<Files>, wanted: Wanted, size: u64) -> Result<Self, StoreError> {
        let files = Arc::clone(files);
        let incoming = blocking(move || Incoming::begin(files, wanted, size)).await?;
        Ok(Self { incoming: Some(incoming) })
    }

    /// Takes the next piece. A writer that returned an error, or whose call was dropped, must be
    /// dropped too.
    ///
    /// # Errors
    /// When there is more than was announced, or the disk refuses it.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), StoreError> {
        let mut incoming = self.take();
        let (incoming, result) = blocking(move || {
            let result = incoming.write(&piece);
            (incoming, result)
        })
        .await;
        self.incoming = Some(incoming);
        result
    }

    /// Verifies the whole and keeps it. Afterwards it survives a loss of power.
    ///
    /// # Errors
    /// When it is not what was announced, or the disk refuses it.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        let incoming = self.take();
        blocking(move || incoming.finish()).await
    }

    fn take(&mut self) -> Incoming {
        self.incoming.take().expect("a writer whose call was dropped is not used again")
    }
}

struct Incoming {
    files: Arc<Files>,
    wanted: Wanted,
    announced: u64,
    written: u64,
    hasher: blake3::Hasher,
    file: File,
    temporary: Temporary,
}

/// A file that goes when this goes, unless it got its final name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // After the rename it is gone already; what cannot be removed now is removed at the next start.
        let _ = point("remove", "store/incoming").and_then(|()| fs::remove_file(&self.0));
    }
}

impl Incoming {
    fn begin(files: Arc<Files>, wanted: Wanted, announced: u64) -> Result<Self, StoreError> {
        let path = files.fresh_incoming();
        require_space(path.parent().unwrap_or(&path), announced)?;
        let opened = point("create", "store/incoming")
            .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(PRIVATE_FILE).open(&path));
        let file = opened.map_err(StoreError::io("create", &path, announced))?;
        let temporary = Temporary(path);
        Ok(Self { files, wanted, announced, written: 0, hasher: blake3::Hasher::new(), file, temporary })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        let length = u64::try_from(piece.len()).expect("memory is smaller than 2^64");
        if self.announced - self.written < length {
            return Err(self.mismatch(Found::MoreThan { announced: self.announced }));
        }
        let written = point("write", "store/incoming").and_then(|()| self.file.write_all(piece));
        written.map_err(StoreError::io("write", &self.temporary.0, self.announced))?;
        self.hasher.update(piece);
        self.written += length;
        Ok(())
    }

    fn finish(self) -> Result<(), StoreError> {
        if self.written < self.announced {
            return Err(self.mismatch(Found::Only { bytes: self.written, announced: self.announced }));
        }
        let digest = self.hasher.finalize().into();
        if digest != self.wanted.digest() {
            return Err(self.mismatch(Found::Digest(digest)));
        }
        let synced = point("fsync", "store/incoming").and_then(|()| self.file.sync_all());
        synced.map_err(StoreError::io("sync", &self.temporary.0, self.announced))?;
        self.rename()
    }

    fn rename(&self) -> Result<(), StoreError> {
        let path = self.files.path(self.wanted);
        let shard = path.parent().expect("a blob lies in a shard");
        point("mkdir", "store/shard").map_err(StoreError::io("create the directory", shard, 0))?;
        create_folder(shard)?;
        let renamed = point("rename", "store/content").and_then(|()| fs::rename(&self.temporary.0, &path));
        renamed.map_err(StoreError::io("rename to", &path, self.announced))?;
        self.sync(shard, "store/shard")?;
        // The shard may be new: its own name must last as well.
        self.sync(shard.parent().expect("a shard lies in the store"), "store/shards")
    }

    fn sync(&self, folder: &Path, name: &str) -> Result<(), StoreError> {
        point("fsync", name).map_err(StoreError::io("sync the directory", folder, self.announced))?;
        sync_folder(folder)
    }

    fn mismatch(&self, found: Found) -> StoreError {
        StoreError::Mismatch { wanted: self.wanted, found }
    }
}

/// Named by what it is: the file's own name is another one each time.
fn point(operation: &str, what: &str) -> io::Result<()> {
    fail_point::file(operation, Path::new(what))
}
