//! Manifests in the store: kept as the bytes that their digest names, valid whenever they are read.

use super::error::{StoreError, Wanted};
use super::{Store, Writer, blocking, tree};
use crate::ids::Digest;
use bytes::Bytes;
use relupd_release::manifest::Manifest;
use std::path::PathBuf;
use std::sync::Arc;

impl Store {
    /// Checks a manifest and keeps it.
    ///
    /// # Errors
    /// When it is not valid, or the disk refuses it.
    pub async fn put_manifest(&self, bytes: Bytes) -> Result<Manifest, StoreError> {
        let wanted = Wanted::Manifest(Digest::of(&bytes));
        let manifest = parse(wanted, &bytes)?;
        let size = u64::try_from(bytes.len()).expect("memory is smaller than 2^64");
        let mut writer = self.writer_of(wanted, size).await?;
        writer.write(bytes).await?;
        writer.finish().await?;
        Ok(manifest)
    }

    /// The manifest with this digest.
    ///
    /// # Errors
    /// When it is not here, has rotted, cannot be read, or is not valid.
    pub async fn manifest(&self, digest: Digest) -> Result<Manifest, StoreError> {
        let files = Arc::clone(&self.files);
        let wanted = Wanted::Manifest(digest);
        blocking(move || parse(wanted, &files.read(wanted)?)).await
    }

    /// The contents of this release that are not here.
    ///
    /// # Errors
    /// When the disk cannot say.
    pub async fn missing_of(&self, manifest: &Manifest) -> Result<Vec<Digest>, StoreError> {
        self.missing(manifest.contents().into_keys().collect()).await
    }

    /// Whether every file of this release is here.
    ///
    /// # Errors
    /// When the disk cannot say.
    pub async fn is_complete(&self, manifest: &Manifest) -> Result<bool, StoreError> {
        Ok(self.missing_of(manifest).await?.is_empty())
    }

    /// Lays the release out as a tree in the directory `into`, verified and durable: once `into`
    /// exists, it is complete. What lay there before is replaced. Files are copies, so whatever
    /// happens to the tree does not reach the store.
    ///
    /// # Errors
    /// When a file is missing, has rotted, or the disk refuses it. `into` is then as it was, or gone.
    pub async fn materialize(&self, manifest: Arc<Manifest>, into: PathBuf) -> Result<(), StoreError> {
        let files = Arc::clone(&self.files);
        blocking(move || tree::build(&files, &manifest, &into)).await
    }

    pub(super) async fn writer_of(&self, wanted: Wanted, size: u64) -> Result<Writer, StoreError> {
        Writer::begin(&self.files, wanted, size).await
    }
}

fn parse(wanted: Wanted, bytes: &[u8]) -> Result<Manifest, StoreError> {
    Manifest::parse(bytes).map_err(|source| StoreError::InvalidManifest { wanted, source })
}
