//! The daemon's part: says what runs here, and hands orders on to the installer.

use super::order::Order;
use super::progress::Progress;
use super::trust::TrustedKeys;
use crate::clock::wall;
use crate::config::UpgradeSettings;
use crate::daemon::cluster::Cluster;
use crate::format::Format;
use crate::ids::NodeId;
use crate::program::program;
use crate::store::{Store, StorePeers, fetch_file};
use relupd_core::chain;
use relupd_release::package::{self, Statement};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Whoever asks for a report wants an answer above all.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(2);

/// Below the state directory.
const STAGED: &str = "upgrade";

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The package's version; the program's own where it came by no package.
    pub version: String,
    /// The package's architecture; `None` where it came by no package.
    pub architecture: Option<String>,
    /// The newest format that it reads.
    pub reads: u16,
    /// Whether a quorum has just confirmed that it has everything.
    pub confirmed: bool,
    /// Digests of the keys that its host takes packages from.
    pub trusted: Vec<String>,
    /// The newest upgrade of its host.
    pub progress: Option<Progress>,
}

/// Upgrades of this node's host.
pub struct Upgrades {
    settings: UpgradeSettings,
    staged: PathBuf,
    cluster: Cluster,
    store: Store,
    peers: Arc<dyn StorePeers>,
    /// One order at a time.
    taking: Mutex<()>,
}

/// Where the daemon leaves orders.
#[must_use]
pub fn staged(state_dir: &Path) -> PathBuf {
    state_dir.join(STAGED)
}

impl Upgrades {
    /// Of the host with this state directory.
    #[must_use]
    pub fn new(
        settings: UpgradeSettings,
        state_dir: &Path,
        cluster: Cluster,
        store: Store,
        peers: Arc<dyn StorePeers>,
    ) -> Self {
        Self { settings, staged: staged(state_dir), cluster, store, peers, taking: Mutex::new(()) }
    }

    /// What this node says of itself.
    pub async fn report(&self) -> Report {
        let confirmed = tokio::time::timeout(CONFIRM_PATIENCE, self.cluster.read_barrier()).await;
        let program = program();
        Report {
            version: program.version.clone(),
            architecture: program.architecture.clone(),
            reads: Format::NEWEST.0,
            confirmed: matches!(confirmed, Ok(Ok(()))),
            // What cannot be read is trusted by nobody; an order says why.
            trusted: self.trusted_keys().map(|keys| keys.fingerprints()).unwrap_or_default(),
            progress: Progress::read(&self.settings.directory),
        }
    }

    /// Fetches the package and hands it to the installer, which will stop this daemon. `giver` is asked for the
    /// file first.
    ///
    /// # Errors
    /// Why nothing was handed on, for an operator.
    pub async fn take(&self, giver: NodeId, order: Order) -> Result<(), String> {
        let _one = self.taking.try_lock().map_err(|_| "another order is just being taken".to_owned())?;
        if let Some(progress) =
            Progress::read(&self.settings.directory).filter(|last| last.phase.is_unfinished())
        {
            return Err(format!("the installer is still at {} -> {}", progress.from, progress.to));
        }
        let keys = self.trusted_keys()?;
        let verified = keys.verify(&order.statement, &order.signature, wall().as_second());
        let statement = verified.map_err(|error| chain(&error))?;
        // It may be the one that the quorum cannot do without; the installer asks once more.
        self.cluster.read_barrier().await.map_err(|error| format!("it has no quorum: {error}"))?;
        self.fetch(giver, &statement).await?;
        self.check(&statement).await?;
        let (store, digest) = (self.store.clone(), statement.digest);
        let staged = self.staged.clone();
        let name = order.order.clone();
        let staging = tokio::task::spawn_blocking(move || {
            order.stage(&staged, |path| store.link(digest, path).map_err(std::io::Error::other))
        });
        let staged = staging.await.map_err(|error| error.to_string())?;
        staged.map_err(|error| format!("cannot stage the package in {}: {error}", self.staged.display()))?;
        tracing::warn!(order = name, version = statement.version, %giver, "handing a package of relupd to the installer");
        self.settings.installer.start(&self.staged).await
    }

    fn trusted_keys(&self) -> Result<TrustedKeys, String> {
        TrustedKeys::read(&self.settings.keys, None).map_err(|error| chain(&error))
    }

    async fn fetch(&self, giver: NodeId, statement: &Statement) -> Result<(), String> {
        let state = self.cluster.state();
        let others = state.present_nodes().map(|node| node.id).filter(|id| *id != giver);
        let peers: Vec<NodeId> =
            std::iter::once(giver).chain(others).filter(|id| *id != self.cluster.me()).collect();
        let fetched = fetch_file(&self.store, &*self.peers, &peers, statement.digest, statement.size).await;
        fetched.map_err(|error| format!("cannot fetch the package: {}", chain(&error)))
    }

    /// What the installer would refuse, or what would only show when the new daemon does not start.
    async fn check(&self, statement: &Statement) -> Result<(), String> {
        let content = self.store.read(statement.digest).await.map_err(|error| chain(&error))?;
        let facts = package::read(content.as_ref()).map_err(|error| chain(&error))?;
        let format = self.cluster.state().format;
        if Format(facts.format) < format {
            return Err(format!(
                "the package reads format {}, and the cluster writes {format}: it cannot come back to this version",
                facts.format
            ));
        }
        match &program().architecture {
            Some(own) if *own != facts.architecture => {
                Err(format!("the package is for {}, and this host is {own}", facts.architecture))
            }
            Some(_) | None => Ok(()),
        }
    }
}
