//! Releases on this node: what is pushed here, what is fetched from peers, and trees for the driver.

use super::cluster::Cluster;
use crate::api::control::ControlError;
use crate::clock::wall;
use crate::config::Settings;
use crate::driver::{Description, StagedRelease};
use crate::ids::{Digest, NodeId};
use crate::state::release::{ReleaseId, ReleaseRecord};
use crate::store::{Store, StoreError, StorePeers, fetch, fetch_some};
use bytes::Bytes;
use relupd_core::chain;
use relupd_release::Contents;
use relupd_release::diff::{ReleaseDiff, Side};
use relupd_release::info::{ReleaseError, ReleaseInfo};
use relupd_release::manifest::{Entry, EntryKind, Manifest};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Semaphore;

/// Reads the file of an entry.
type ReadEntry = dyn FnMut(&Entry) -> std::io::Result<Vec<u8>>;

/// The node's releases.
pub(crate) struct Releases {
    store: Store,
    cluster: Cluster,
    peers: Arc<dyn StorePeers>,
    staging: PathBuf,
    scratch: PathBuf,
    pub(super) relups: Semaphore,
    staged: AtomicU64,
}

impl Releases {
    pub(crate) async fn open(
        settings: &Settings,
        cluster: Cluster,
        peers: Arc<dyn StorePeers>,
    ) -> Result<Self, StoreError> {
        let store = Store::open(settings.state_dir.join("store")).await?;
        let staging = settings.state_dir.join("staging");
        // What an earlier life of the daemon left there is of no use to anybody.
        match tokio::fs::remove_dir_all(&staging).await {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::Io { what: "clear", path: staging, source }),
        }
        let scratch = settings.run_dir.join("relup");
        Ok(Self {
            store,
            cluster,
            peers,
            staging,
            scratch,
            relups: Semaphore::new(1),
            staged: AtomicU64::new(0),
        })
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The files of a manifest that this node lacks.
    pub(crate) async fn missing(&self, manifest: &[u8]) -> Result<Vec<Digest>, ControlError> {
        let manifest = parse(manifest)?;
        self.store.missing_of(&manifest).await.map_err(refused)
    }

    /// Keeps one file.
    pub(crate) async fn put(&self, digest: Digest, content: Bytes) -> Result<(), ControlError> {
        self.store.put(digest, content).await.map_err(refused)
    }

    /// Keeps a manifest whose files are all here, and says what the release is.
    pub(crate) async fn seal(&self, bytes: &[u8], who: &str) -> Result<ReleaseRecord, ControlError> {
        let manifest = parse(bytes)?;
        let missing = self.store.missing_of(&manifest).await.map_err(refused)?;
        if !missing.is_empty() {
            let count = missing.len();
            return Err(ControlError::Invalid(format!(
                "{count} files of {} {} are not here; push it again, it goes on where it stopped",
                manifest.name(),
                manifest.version()
            )));
        }
        let info = self.info(&manifest).await?;
        self.store.put_manifest(Bytes::copy_from_slice(bytes)).await.map_err(refused)?;
        Ok(record(&manifest, info, who))
    }

    pub(super) async fn info(&self, manifest: &Manifest) -> Result<ReleaseInfo, ControlError> {
        self.look_into(manifest.clone(), |manifest, read| ReleaseInfo::extract(manifest, read)).await
    }

    /// What is in a release, fetched from whoever has it.
    pub(crate) async fn contents(&self, release: &ReleaseId) -> Result<Contents, ControlError> {
        let manifest = self.fetched(release).await.map_err(ControlError::Unavailable)?;
        self.look_into(manifest, |manifest, read| Contents::read(manifest, read)).await
    }

    /// What changes from one release to another, both fetched from whoever has them.
    pub(crate) async fn diff(&self, from: &ReleaseId, to: &ReleaseId) -> Result<ReleaseDiff, ControlError> {
        let from = self.fetched(from).await.map_err(ControlError::Unavailable)?;
        let to = self.fetched(to).await.map_err(ControlError::Unavailable)?;
        let mut read = self.reader();
        self.look_into(to, move |to, read_to| {
            let mut from = Side::open(&from, &mut read)?;
            ReleaseDiff::between(&mut from, &mut Side::open(to, read_to)?)
        })
        .await
    }

    /// Reads files from the store, where that may block.
    fn reader(&self) -> impl FnMut(&Entry) -> std::io::Result<Vec<u8>> + Send + 'static {
        let (store, runtime) = (self.store.clone(), tokio::runtime::Handle::current());
        move |entry: &Entry| match entry.kind {
            EntryKind::File { digest, .. } => runtime
                .block_on(store.read(digest))
                .map(|bytes| bytes.to_vec())
                .map_err(std::io::Error::other),
            EntryKind::Symlink { .. } | EntryKind::Directory => Err(std::io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Runs `look` where it may block, with a way to read the files of the manifest.
    async fn look_into<T: Send + 'static>(
        &self,
        manifest: Manifest,
        look: impl FnOnce(&Manifest, &mut ReadEntry) -> Result<T, ReleaseError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let mut read = self.reader();
        let looked = tokio::task::spawn_blocking(move || look(&manifest, &mut read)).await;
        looked
            .map_err(|source| ControlError::Internal {
                what: "read the release".to_owned(),
                source: Box::new(source),
            })?
            .map_err(|error| ControlError::Invalid(chain(&error)))
    }

    pub(super) async fn fetched(&self, release: &ReleaseId) -> Result<Manifest, String> {
        fetch(&self.store, &*self.peers, &self.others(), release.manifest)
            .await
            .map_err(|error| chain(&error))
    }

    /// What describes the release, fetched from whoever has it; nothing else of it is.
    pub(crate) async fn describe(&self, release: &ReleaseId) -> Result<Description, String> {
        let relup = format!("releases/{}/relup", release.version);
        let rel = format!("releases/{}/{}.rel", release.version, release.name);
        let wanted = |entry: &Entry| [&rel, &relup].iter().any(|path| entry.path.as_str() == path.as_str());
        let manifest = fetch_some(&self.store, &*self.peers, &self.others(), release.manifest, wanted).await;
        let manifest = manifest.map_err(|error| chain(&error))?;
        let read = async |path: &str| {
            let file = self.file_of(&manifest, path).await.map_err(|error| chain(&error))?;
            Ok::<_, String>(file.map(Vec::from))
        };
        let described = read(&rel).await?.ok_or_else(|| format!("{release} has no {rel}"))?;
        Ok(Description { rel: described, relup: read(&relup).await? })
    }

    /// A verified tree of the release, fetched from whoever has it.
    pub(crate) async fn stage(&self, release: &ReleaseId) -> Result<StagedRelease, String> {
        let manifest = self.fetched(release).await?;
        // A tree of its own for each call: two apps may stage the same release at the same time, and the
        // driver moves directories out of it.
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let tree = self.staging.join(format!("{}-{number}", release.manifest));
        self.store.materialize(Arc::new(manifest), tree.clone()).await.map_err(|error| chain(&error))?;
        Ok(StagedRelease { version: release.version.clone(), manifest: release.manifest, tree })
    }

    /// The content of a file of a release; none where there is none.
    pub(super) async fn file_of(
        &self,
        manifest: &Manifest,
        path: &str,
    ) -> Result<Option<Bytes>, ControlError> {
        match manifest.entry(path).map(|entry| &entry.kind) {
            Some(EntryKind::File { digest, .. }) => self.store.read(*digest).await.map(Some).map_err(refused),
            Some(EntryKind::Symlink { .. } | EntryKind::Directory) | None => Ok(None),
        }
    }

    /// A directory of its own for helper VMs, outside of what only the daemon may enter.
    pub(super) fn scratch_root(&self) -> &Path {
        &self.scratch
    }

    pub(super) fn scratch(&self) -> PathBuf {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        self.scratch.join(number.to_string())
    }

    fn others(&self) -> Vec<NodeId> {
        let (state, me) = (self.cluster.state(), self.cluster.me());
        state.present_nodes().map(|node| node.id).filter(|node| *node != me).collect()
    }
}

fn parse(bytes: &[u8]) -> Result<Manifest, ControlError> {
    Manifest::parse(bytes).map_err(|error| ControlError::Invalid(chain(&error)))
}

fn record(manifest: &Manifest, info: ReleaseInfo, who: &str) -> ReleaseRecord {
    ReleaseRecord {
        id: ReleaseId { name: info.name, version: info.version, manifest: manifest.digest() },
        erts: info.includes_erts.then(|| info.erts.to_string()),
        applications: info.applications.iter().map(ToString::to_string).collect(),
        hot_up_from: info.hot_up_from,
        hot_down_to: info.hot_down_to,
        size: info.size,
        files: info.files,
        pushed_by: who.to_owned(),
        pushed_at: wall(),
        made_from: None,
    }
}

fn refused(error: StoreError) -> ControlError {
    match &error {
        StoreError::NoSpace { path, .. } => ControlError::DiskFull { path: path.display().to_string() },
        StoreError::Mismatch { .. } | StoreError::InvalidManifest { .. } => {
            ControlError::Invalid(chain(&error))
        }
        StoreError::Missing(_) | StoreError::Rotted { .. } | StoreError::Io { .. } => {
            ControlError::Internal { what: "use the release store".to_owned(), source: Box::new(error) }
        }
    }
}
