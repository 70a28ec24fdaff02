//! The words between an agent and the drivers of its apps: what was observed, what is asked for, what
//! became of it. The drivers themselves are in the daemon.

mod check;
mod error;

pub use check::{Check, CheckResult, Foreseen, Outlook};
pub use error::{DriverError, ServiceError};

use crate::ids::{BootNonce, ReleaseVersion};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

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

impl Rung {
    /// So often it is taken at most. A gentle one that did not lead back leads to the next; after the last one
    /// comes nobody but an operator, and a VM that died under it may live the next time.
    #[must_use]
    pub const fn tries(self) -> usize {
        match self {
            Self::RelupDown => 1,
            Self::Restart | Self::Unplace => 3,
        }
    }
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

/// What a hot installation did to the processes of the VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// From the call of the release handler until its answer.
    pub took: Duration,
    /// So many processes were suspended.
    pub suspended: u32,
    /// The longest that one of them was.
    pub longest_suspend: Duration,
    /// So many times `code_change` was called.
    pub code_changes: u32,
    /// All of these calls together.
    pub code_change_time: Duration,
    /// The longest of them.
    pub longest_code_change: Duration,
    /// The most messages that were seen to wait for a suspended process.
    pub longest_queue: u32,
}

/// What becomes of processes that run old code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purge {
    /// They are left alone.
    Soft,
    /// They are killed.
    Brutal,
}

/// What came of draining.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Drained {
    /// No process runs old code, in this life of the VM.
    Clear(BootNonce),
    /// These still do, after a moment of waiting.
    Lingering(Vec<String>),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{life, version};

    fn seen(running: Running, condition: Condition) -> Observation {
        Observation { permanent: Some(version("0.1.0")), running, condition }
    }

    #[test]
    fn the_running_version_is_known_only_of_what_is_up() {
        let up = Running::Up { version: version("0.2.0"), boot_nonce: life("a") };
        let mute = Running::Unknown { reason: "no answer".to_owned() };
        assert_eq!(seen(up, Condition::Trial).version(), Some(&version("0.2.0")));
        assert_eq!(seen(Running::Down, Condition::Stopped).version(), None);
        assert_eq!(seen(mute, Condition::Clean).version(), None);
    }

    #[test]
    fn whole_is_what_runs_with_nothing_torn_and_debris_tears_nothing() {
        let detail = || "lib/shop".to_owned();
        for (condition, whole) in [
            (Condition::Clean, true),
            (Condition::Trial, true),
            (Condition::Debris { detail: detail() }, true),
            (Condition::Absent, false),
            (Condition::Stopped, false),
            (Condition::HalfEnvironment { detail: detail() }, false),
            (Condition::TornPointers { detail: detail() }, false),
            (Condition::HandlerLies { detail: detail() }, false),
            (Condition::MixedCode { detail: detail() }, false),
            (Condition::Unknown { reason: detail() }, false),
        ] {
            assert_eq!(seen(Running::Down, condition.clone()).is_whole(), whole, "{condition:?}");
        }
    }
}
