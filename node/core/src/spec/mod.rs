//! An app's spec: which nodes run it, how it is started, what counts as healthy, and how it is
//! upgraded. Operators write it as TOML (`spec::parse`); the cluster holds it as data.

mod check;
mod parse;
mod resolve;
pub mod template;
mod write;

pub use parse::{SpecErrors, parse};
pub use resolve::{ResolveError, ResolvedSpec, resolve};
pub use write::to_toml;

use crate::ids::{AppName, ReleaseName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Everything the cluster knows of how an app wants to be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppSpec {
    /// The app's name.
    pub name: AppName,
    /// The name in its releases' `.rel` files.
    pub release: ReleaseName,
    /// Labels that a node must carry to run the app; none means every node.
    pub placement: BTreeMap<String, String>,
    /// The release root on each node. May use node variables.
    pub root: String,
    /// How its releases are changed.
    pub driver: DriverKind,
    /// Who starts and stops it.
    pub service: ServiceKind,
    /// The user that it runs as; `None` means the daemon's own.
    pub user: Option<String>,
    /// Arguments for the program. Only the restart driver uses them. May use node variables.
    pub arguments: Vec<String>,
    /// Its environment. Values may use node variables.
    pub environment: BTreeMap<String, String>,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
    /// What counts as healthy.
    pub health: HealthPolicy,
    /// How it is upgraded.
    pub upgrade: UpgradePolicy,
}

impl AppSpec {
    /// How long a node may take from when it begins to bake until its verdict: the grace of a start, the bake itself,
    /// and time to get on.
    #[must_use]
    pub fn verdict_deadline(&self) -> Duration {
        self.upgrade.progress_deadline + self.upgrade.bake + self.health.start_grace
    }
}

/// Which driver changes the app's releases.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DriverKind {
    /// OTP releases with their own ERTS; relups where there are some.
    Erlang,
    /// Any program below the release root, by restart only. `command` is relative to the placed
    /// version's directory.
    Restart { command: PathBuf },
    /// Does nothing, and does it at once; for tests and benchmarks.
    Fake,
}

/// Who starts and stops the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceKind {
    /// The daemon starts it as a process of its own session, which outlives the daemon.
    Child,
    /// systemd does; `unit` is the unit's full name.
    Systemd { unit: String },
}

/// What counts as healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthPolicy {
    /// From one round of checks to the next.
    pub interval: Duration,
    /// So many rounds in a row must pass before the app counts as healthy.
    pub healthy_after: u32,
    /// So many rounds in a row must fail before it counts as failed.
    pub unhealthy_after: u32,
    /// After a start of the VM, failed rounds do not count for so long.
    pub start_grace: Duration,
    /// All of them must pass.
    pub checks: Vec<HealthCheck>,
}

/// One question to the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// For messages.
    pub name: String,
    /// An answer later than this is a failure.
    pub timeout: Duration,
    /// The question.
    pub probe: Probe,
}

/// The question of a health check. Texts may use node variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// GET: the status must match, and the body where a regular expression is given.
    Http { url: String, status: u16, body: Option<String> },
    /// A connection must open.
    Tcp { address: String },
    /// The program must exit 0.
    Exec { command: Vec<String> },
}

/// How an app is upgraded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradePolicy {
    /// Hot where possible, or always by restart.
    pub method: MethodPolicy,
    /// So many nodes go first, and the rest waits until they are healthy and promoted.
    pub canary: u32,
    /// Who promotes after the canary.
    pub promote: Promote,
    /// So many nodes are at work at the same time.
    pub max_in_flight: u32,
    /// So many nodes may be sick at the start (only with `already_sick = count`).
    pub max_unavailable: u32,
    /// Health must hold for so long before the next node.
    pub bake: Duration,
    /// When a node's new version is made permanent.
    pub permanent: Permanent,
    /// What a failed verdict leads to.
    pub on_failure: OnFailure,
    /// What to do with nodes that are sick before anything began.
    pub already_sick: AlreadySick,
    /// What to do with nodes that cannot be reached while preparing.
    pub unreachable: Unreachable,
    /// No progress on a node for so long halts the rollout.
    pub progress_deadline: Duration,
    /// The whole rollout may take so long.
    pub rollout_deadline: Duration,
    /// The way back may take so long before an operator is asked.
    pub revert_deadline: Duration,
    /// A trial without contact to a proven leader for so long takes itself back.
    pub orphan: Orphan,
    /// What preflight asks.
    #[serde(default)]
    pub preflight: Box<PreflightPolicy>,
    /// What a hot upgrade may cost the processes of the app.
    #[serde(default)]
    pub hot: Box<HotPolicy>,
}

/// What a hot upgrade may cost the processes of the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotPolicy {
    /// What becomes of a rollout while processes still run old code.
    pub old_code: OldCode,
    /// So long they are waited for, before the commit and before a hot way back.
    pub old_code_wait: Duration,
    /// A node on which a process was suspended for longer has failed.
    pub max_suspend: Option<Duration>,
}

impl Default for HotPolicy {
    fn default() -> Self {
        Self { old_code: OldCode::Wait, old_code_wait: Duration::from_secs(30), max_suspend: None }
    }
}

/// What becomes of a rollout when processes still run old code after `old_code_wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OldCode {
    /// The node is not ready to commit before they have ended; `progress_deadline` ends the wait.
    Wait,
    /// The verdict on the node is: failed.
    Revert,
    /// They are killed.
    Kill,
}

/// What preflight asks of a release and of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightPolicy {
    /// What a check that does not hold leads to, by its key; what is not named refuses.
    pub checks: BTreeMap<String, CheckPolicy>,
    /// How the programs and NIFs of a release must have been hardened, in the words of
    /// `relupctl release show`.
    pub require_hardening: BTreeSet<String>,
}

/// What a check that does not hold leads to, where it is not a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckPolicy {
    /// It is shown, and nothing else.
    Warn,
}

/// The checks that a policy may turn into warnings: without the others a step cannot succeed.
pub const SOFT_CHECKS: [&str; 10] = ["P1b", "P3b", "P4", "P7", "P7b", "P8", "P11", "P12", "P14", "P15"];

/// Which method a plan may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodPolicy {
    /// Hot where relup and preflight agree, else restart.
    Auto,
    /// Hot, else refuse.
    Hot,
    /// Always restart.
    Restart,
}

/// Who promotes after the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Promote {
    /// The rollout itself, as soon as every canary is healthy.
    Auto,
    /// An operator, with `rollout promote`.
    Manual,
}

/// When a node's new version is made permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permanent {
    /// All nodes together, after the last bake: until then every reboot returns to the old version.
    AtEnd,
    /// Each node after its own bake.
    PerNode,
}

/// What a failed verdict leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Halt, then take every touched node back.
    Revert,
    /// Halt, and leave the nodes as they are for an operator.
    Hold,
}

/// What to do with nodes that are sick before anything began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlreadySick {
    /// Refuse the rollout.
    Refuse,
    /// Leave them out.
    Skip,
    /// Upgrade them too, as long as no more than `max_unavailable` are sick.
    Count,
}

/// What to do with nodes that cannot be reached while preparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unreachable {
    /// Refuse the rollout.
    Refuse,
    /// Leave them out; they are brought up to date when they return.
    Skip,
}

/// What a trial without contact does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Orphan {
    /// Takes itself back after this long; later positions of the plan go first, one `stagger` apart.
    Revert { after: Duration, stagger: Duration },
    /// Stays.
    Hold,
}

#[cfg(test)]
mod tests;
