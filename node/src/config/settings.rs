//! What the daemon is started with.

use crate::upgrade::Installer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon's settings, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The node's name, for people.
    pub node_name: String,
    /// What apps are placed by.
    pub labels: BTreeMap<String, String>,
    /// One address and port: QUIC between daemons over UDP, the API over TCP.
    pub listen: SocketAddr,
    /// The network interface that both are bound to, besides the address.
    pub interface: Option<String>,
    /// What must survive a reboot. Absolute.
    pub state_dir: PathBuf,
    /// Sockets and trials, gone after a reboot. Absolute.
    pub run_dir: PathBuf,
    /// The API for local use.
    pub api_socket: PathBuf,
    /// Where Prometheus may ask; `None` is off.
    pub metrics: Option<SocketAddr>,
    /// What is logged, and how.
    pub log: LogSettings,
    /// Consensus.
    pub raft: RaftSettings,
    /// Directories below which a spec may put a release root.
    pub release_roots: Vec<PathBuf>,
    /// How relupd itself is upgraded.
    pub upgrade: UpgradeSettings,
}

/// How relupd itself is upgraded on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeSettings {
    /// Who installs packages.
    pub installer: Installer,
    /// The keys that packages are taken from. Root's.
    pub keys: PathBuf,
    /// What the installer keeps and writes down. Root's.
    pub directory: PathBuf,
}

impl Settings {
    /// Whether a release root may be there. A spec comes from the cluster; what the daemon may write
    /// to is this host's own decision.
    #[must_use]
    pub fn allows_root(&self, root: &Path) -> bool {
        self.release_roots.iter().any(|allowed| root.starts_with(allowed) && root != allowed)
    }
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// For whom.
    pub format: LogFormat,
    /// A level, or tracing's directives such as `info,relupd::agent=debug`.
    pub level: String,
}

/// For whom the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines on stderr for people.
    Human,
    /// Lines of JSON on stderr.
    Json,
    /// The journal, with fields.
    Journald,
}

/// The timing and size of consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftSettings {
    /// The unit of raft's time.
    pub tick: Duration,
    /// From one of the leader's heartbeats to the next.
    pub heartbeat_ticks: u32,
    /// A follower that hears nothing for so long stands for election.
    pub election_ticks: u32,
    /// The cluster has at most so many voters: 1, 3, 5 or 7.
    pub max_voters: u32,
    /// A voter that the leader misses for so long is replaced.
    pub voter_replace_after: Duration,
}

/// What the command line puts in the place of the config's values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// For `state_dir`.
    pub state_dir: Option<PathBuf>,
    /// For `run_dir`.
    pub run_dir: Option<PathBuf>,
}

impl Overrides {
    /// As meant by somebody who stands in this process's directory.
    pub(super) fn absolute(&self) -> Self {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        Self {
            state_dir: self.state_dir.as_ref().map(absolute),
            run_dir: self.run_dir.as_ref().map(absolute),
        }
    }
}
