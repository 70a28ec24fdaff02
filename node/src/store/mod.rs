//! Release files by content: blobs and manifests under the BLAKE3 of what they hold.
//!
//! Invariants: a file that lies under its digest was complete, verified and fsynced before it got
//! that name; files are never changed, so any number of writers of one digest do each other no harm;
//! whatever is used is verified again first, and a file that rotted is taken away and fetched anew.
//! A write that fails or is cut off leaves nothing behind but a temporary file, which the next
//! start removes.

mod error;
mod fetch;
mod files;
mod incoming;
mod manifests;
mod peers;
mod quic;
mod serve;
mod tree;
mod wire;

use crate::ids::Digest;
use bytes::Bytes;
use files::Files;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::{FetchError, PeerFailure, StoreError, Wanted};
pub use fetch::{fetch, fetch_file, fetch_some};
pub use incoming::Writer;
pub use peers::{Answer, Question, StorePeers};
pub use quic::QuicPeers;
pub use serve::{ServeError, Server};

/// The store of this node. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    files: Arc<Files>,
}

impl Store {
    /// Opens the store in `root`, creates it where it is missing, and removes what interrupted writes
    /// left. One daemon owns a store.
    ///
    /// # Errors
    /// When the directories cannot be created, listed or cleaned.
    pub async fn open(root: PathBuf) -> Result<Self, StoreError> {
        let files = blocking(move || Files::open(root)).await?;
        Ok(Self { files: Arc::new(files) })
    }

    /// Whether the blob is here.
    ///
    /// # Errors
    /// When the disk cannot say.
    pub async fn has(&self, digest: Digest) -> Result<bool, StoreError> {
        Ok(self.missing(vec![digest]).await?.is_empty())
    }

    /// Which of these blobs are not here, each named once, in their order.
    ///
    /// # Errors
    /// When the disk cannot say.
    pub async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        let files = Arc::clone(&self.files);
        blocking(move || files.missing(digests)).await
    }

    /// Keeps a blob that is in memory. One that is here already is success.
    ///
    /// # Errors
    /// When the content is not what the digest says, or the disk refuses it; nothing is left then.
    pub async fn put(&self, digest: Digest, content: Bytes) -> Result<(), StoreError> {
        let size = u64::try_from(content.len()).expect("memory is smaller than 2^64");
        let mut writer = self.writer(digest, size).await?;
        writer.write(content).await?;
        writer.finish().await
    }

    /// Takes in a blob piece by piece.
    ///
    /// # Errors
    /// When there is no room for `size` bytes, or the disk refuses the file.
    pub async fn writer(&self, digest: Digest, size: u64) -> Result<Writer, StoreError> {
        Writer::begin(&self.files, Wanted::Blob(digest), size).await
    }

    /// The whole blob, verified.
    ///
    /// # Errors
    /// When it is not here, has rotted, or cannot be read.
    pub async fn read(&self, digest: Digest) -> Result<Bytes, StoreError> {
        let files = Arc::clone(&self.files);
        blocking(move || files.read(Wanted::Blob(digest))).await.map(Bytes::from)
    }

    /// Gives the blob a second name, beside the store and on its file system, without reading it: for whoever
    /// copies and verifies it. Blocks.
    ///
    /// # Errors
    /// When it is not here, or the name is taken.
    pub fn link(&self, digest: Digest, to: &Path) -> Result<(), StoreError> {
        let from = self.files.path(Wanted::Blob(digest));
        std::fs::hard_link(&from, to).map_err(StoreError::io("link", &from, 0))
    }

    /// The file behind a digest and its size, unverified: for whoever verifies it himself.
    async fn file(&self, wanted: Wanted) -> Result<Option<(tokio::fs::File, u64)>, StoreError> {
        let files = Arc::clone(&self.files);
        let found = blocking(move || files.find(wanted)).await?;
        Ok(found.map(|(file, size)| (tokio::fs::File::from_std(file), size)))
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is cancelled only while the runtime shuts down; whoever waits for this is dropped with it, or
            // left behind.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests;
