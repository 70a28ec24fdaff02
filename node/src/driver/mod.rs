//! What relupd can do to one app on this host. A driver knows nothing of rollouts: it observes,
//! and it carries out single steps, each of which may be repeated at any time ("already done" is
//! success) and may be cut off at any instant (the next observation tells what became of it).

mod checks;
mod damage;
pub mod erlang;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
mod files;
pub mod launch;
mod pointer;
pub mod restart;
mod run_directory;

pub use relupd_core::driver::{
    Check, CheckResult, Condition, Drained, DriverError, Foreseen, Liveness, Measured, Method, Observation,
    Outlook, Purge, Rung, Running, Transition,
};
pub use run_directory::AppUser;

use crate::ids::ReleaseVersion;
use async_trait::async_trait;
use relupd_release::Digest;
use relupd_release::manifest::Manifest;
use relupd_release::verify::Difference;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// A release whose verified files lie in the local store, ready to be placed.
#[derive(Clone, Debug)]
pub struct StagedRelease {
    /// The version it claims and has been verified to be.
    pub version: ReleaseVersion,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// A directory outside the release root, on the same file system where possible, that holds the
    /// release's tree, complete and verified. The driver renames out of it and deletes the rest.
    pub tree: PathBuf,
}

/// A way that is planned, while nothing is prepared for it.
#[derive(Clone, Debug)]
pub struct Prospect {
    /// From where to where.
    pub transition: Transition,
    /// The digest of the target's manifest.
    pub manifest: Digest,
    /// What describes the target, where that is known.
    pub description: Option<Arc<Description>>,
    /// Bytes that it takes to place the target.
    pub size: u64,
}

/// The files that say what a release consists of and how it is entered; none of its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// `releases/VSN/NAME.rel`.
    pub rel: Vec<u8>,
    /// `releases/VSN/relup`, where there is one.
    pub relup: Option<Vec<u8>>,
}

/// The steps that every driver offers. All of them are idempotent.
#[async_trait]
pub trait ReleaseDriver: Send + Sync {
    /// Looks at disk, process and VM. Changes nothing.
    async fn observe(&self) -> Result<Observation, DriverError>;

    /// Brings a verified tree under the release root and registers it, without loading code into a
    /// running VM and without moving a pointer.
    async fn place(&self, release: &StagedRelease) -> Result<(), DriverError>;

    /// Where a placed release is not as its manifest says, but for what relupd or its operators write there.
    /// Reads all of it.
    async fn damage(
        &self,
        _version: &ReleaseVersion,
        _manifest: Arc<Manifest>,
    ) -> Result<Vec<Difference>, DriverError> {
        Ok(Vec::new())
    }

    /// Puts back what is missing of a placed release; whatever is there stays.
    async fn mend(&self, release: &StagedRelease) -> Result<(), DriverError> {
        self.place(release).await
    }

    /// Whether this version was placed and registered, and every directory of it is there.
    async fn is_placed(&self, version: &ReleaseVersion, manifest: &Digest) -> Result<bool, DriverError>;

    /// Everything that can be known before the transition. The order of checks is the order in
    /// which an operator should read them.
    async fn preflight(&self, transition: &Transition) -> Result<Vec<Check>, DriverError>;

    /// The same for a way that is planned: where its target is not placed, as much of it as can be told
    /// without. Changes nothing.
    async fn foresee(&self, prospect: &Prospect) -> Result<Vec<Foreseen>, DriverError>;

    /// Installs `to` as a trial: it runs, and a reboot would return to `from`.
    async fn install(&self, transition: &Transition) -> Result<(), DriverError>;

    /// Proves that what runs is `to`, wholly. Says what the installation did to processes, where that was
    /// measured.
    async fn verify(&self, transition: &Transition) -> Result<Option<Measured>, DriverError>;

    /// Waits a moment until no process lingers in old code, so that the commit cuts nobody off.
    async fn drain(&self, transition: &Transition, purge: Purge) -> Result<Drained, DriverError>;

    /// Makes `to` what the host boots into.
    async fn commit(&self, transition: &Transition) -> Result<(), DriverError>;

    /// Takes one rung back to `from`, and makes `from` permanent where it is not.
    async fn roll_back(&self, transition: &Transition, rung: Rung) -> Result<(), DriverError>;

    /// Repairs what an interrupted step left, towards the version that was decided.
    async fn repair(&self, decided: Option<&ReleaseVersion>) -> Result<(), DriverError>;

    /// Starts the permanent version.
    async fn start(&self) -> Result<(), DriverError>;

    /// Stops the app: asks, waits, then kills.
    async fn stop(&self) -> Result<(), DriverError>;

    /// The VM's liveness, pushed.
    fn liveness(&self) -> watch::Receiver<Liveness>;
}
