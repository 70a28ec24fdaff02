//! What relupd can do to one app on this host. A driver knows nothing of rollouts: it observes,
//! and it carries out single steps, each of which may be repeated at any time ("already done" is
//! success) and may be cut off at any instant (the next observation tells what became of it).

mod checks;
pub mod erlang;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
mod files;
pub mod launch;
mod pointer;
pub mod restart;
mod run_directory;

pub use run_directory::AppUser;

use crate::ids::{BootNonce, ReleaseVersion};
use crate::service::ServiceError;
use async_trait::async_trait;
use relupd_release::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// How a node gets from one version to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// By relup, in the living VM.
    Hot,
    /// Stop, switch, start.
    Restart,
    /// Nothing is installed yet: start for the first time.
    First,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot => "hot",
            Self::Restart => "restart",
            Self::First => "first",
        })
    }
}

/// What was found on this host. Never written by anybody but this host's agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// The version that the host boots into; `None` where nothing is installed.
    pub permanent: Option<ReleaseVersion>,
    /// What runs now.
    pub running: Running,
    /// What the sources taken together amount to.
    pub condition: Condition,
}

impl Observation {
    /// The running version, where one is known.
    #[must_use]
    pub fn version(&self) -> Option<&ReleaseVersion> {
        match &self.running {
            Running::Up { version, .. } => Some(version),
            Running::Down | Running::Unknown { .. } => None,
        }
    }

    /// Whether one version runs, wholly, permanent or on trial.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match self.condition {
            Condition::Trial | Condition::Clean | Condition::Debris { .. } => true,
            Condition::Absent
            | Condition::Stopped
            | Condition::HalfEnvironment { .. }
            | Condition::TornPointers { .. }
            | Condition::HandlerLies { .. }
            | Condition::MixedCode { .. }
            | Condition::Unknown { .. } => false,
        }
    }
}

/// Whether the app runs, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Running {
    /// No process.
    Down,
    /// It runs this version, in this life of its VM.
    Up { version: ReleaseVersion, boot_nonce: BootNonce },
    /// A process is there, but it does not answer: neither up nor down.
    Unknown { reason: String },
}

/// The classes of what an agent can find, after the sources (pointers on disk, RELEASES, release
/// handler, module digests, application environment) were held against each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Nothing of the app is on this host.
    Absent,
    /// Every source says the same version, which runs and is permanent.
    Clean,
    /// A trial: `running` differs from `permanent`, and every source agrees on that.
    Trial,
    /// Down, with pointers that agree.
    Stopped,
    /// Code of the old version under the environment of the new one. Cure: restart.
    HalfEnvironment { detail: String },
    /// The pointers on disk disagree. Cure: write the version that was decided.
    TornPointers { detail: String },
    /// The release handler believes what neither disk nor code says.
    HandlerLies { detail: String },
    /// Modules of neither or of both versions. Cure: restart.
    MixedCode { detail: String },
    /// Directories that belong to no registered release. Harmless; staged again.
    Debris { detail: String },
    /// Could not be told.
    Unknown { reason: String },
}

/// One check of a preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The check's name, e.g. `P3 relup leads there`; its first word is its key.
    pub name: String,
    /// What came of it.
    pub result: CheckResult,
}

impl Check {
    /// The name that a policy knows it by, e.g. `P3`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.name.split(' ').next().unwrap_or(&self.name)
    }
}

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckResult {
    /// Holds.
    Passed,
    /// Holds for `restart`, not for `hot`.
    NotHot {
        reason: String,
        #[serde(default)]
        remedy: String,
    },
    /// Does not hold, and the app's policy takes that for a warning.
    Warning { reason: String },
    /// Does not hold.
    Failed { reason: String, remedy: String },
}

/// A step that the driver is asked to take: from where to where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The version to come from; `None` for a first installation.
    pub from: Option<ReleaseVersion>,
    /// The version to go to.
    pub to: ReleaseVersion,
    /// How.
    pub method: Method,
    /// The step's id: repeating a step under the same id attaches to it and never runs it twice.
    pub operation: String,
}

/// A rung of the ladder of ways back, gentlest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rung {
    /// Relup down in the living VM, then make `from` permanent if it is not.
    RelupDown,
    /// Point the host at `from`, then restart the app.
    Restart,
    /// `from` is nothing: stop the app and take its files away.
    Unplace,
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RelupDown => "relup down",
            Self::Restart => "restart",
            Self::Unplace => "unplace",
        })
    }
}

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

/// Whether the app's VM is there, pushed the instant it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Not known yet, e.g. right after the daemon's start.
    Unknown,
    /// It runs, in this life.
    Up { boot_nonce: BootNonce },
    /// It is gone.
    Down,
}

/// Why a step of a driver did not succeed. After any of these the agent observes before it decides.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// A precondition does not hold; nothing was changed.
    #[error("{what} refused: {reason}; {remedy}")]
    Refused { what: &'static str, reason: String, remedy: String },
    /// The step was tried and failed; what it left must be observed.
    #[error("{what} failed: {reason}")]
    Failed { what: &'static str, reason: String },
    /// The step did not end in time; it may still end.
    #[error("{what} did not end within {after:?}")]
    TimedOut { what: &'static str, after: Duration },
    /// The VM went away during the step.
    #[error("the VM went away during {what}")]
    VmGone { what: &'static str },
    /// The operating system refused something.
    #[error("{what}: {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The service manager refused something.
    #[error("service manager")]
    Service(#[from] ServiceError),
}

impl DriverError {
    /// Whether this host refused something that it may grant the next time: a full disk is emptied, and
    /// a service manager restarted. What was refused for good, or tried and failed, fails again.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Service(ServiceError::Io { .. } | ServiceError::Manager { .. }) => true,
            Self::Service(ServiceError::Start { .. } | ServiceError::Stop { .. })
            | Self::Refused { .. }
            | Self::Failed { .. }
            | Self::TimedOut { .. }
            | Self::VmGone { .. } => false,
        }
    }
}

/// The steps that every driver offers. All of them are idempotent.
#[async_trait]
pub trait ReleaseDriver: Send + Sync {
    /// Looks at disk, process and VM. Changes nothing.
    async fn observe(&self) -> Result<Observation, DriverError>;

    /// Brings a verified tree under the release root and registers it, without loading code into a
    /// running VM and without moving a pointer.
    async fn place(&self, release: &StagedRelease) -> Result<(), DriverError>;

    /// Whether this version is placed and registered, complete to the last byte.
    async fn is_placed(&self, version: &ReleaseVersion, manifest: &Digest) -> Result<bool, DriverError>;

    /// Everything that can be known before the transition. The order of checks is the order in
    /// which an operator should read them.
    async fn preflight(&self, transition: &Transition) -> Result<Vec<Check>, DriverError>;

    /// Installs `to` as a trial: it runs, and a reboot would return to `from`.
    async fn install(&self, transition: &Transition) -> Result<(), DriverError>;

    /// Proves that what runs is `to`, wholly.
    async fn verify(&self, transition: &Transition) -> Result<(), DriverError>;

    /// Waits until no process lingers in old code, so that the commit cuts nobody off; says in which
    /// life of the VM that is so.
    async fn drain(&self, transition: &Transition) -> Result<BootNonce, DriverError>;

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
