//! Who starts and stops an app's processes: systemd over D-Bus, or the daemon itself with plain
//! child processes. Either way the app outlives the daemon.

pub mod child;
pub(crate) mod process;
pub mod systemd;
pub(crate) mod user;

pub use relupd_core::driver::ServiceError;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// What is to be started. Built from the app's spec for this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Names the instance: the app's name.
    pub instance: String,
    /// The program, absolute.
    pub program: PathBuf,
    /// Its arguments. No secrets here: everybody on the host can read them.
    pub arguments: Vec<String>,
    /// Its whole environment; nothing is inherited from the daemon.
    pub environment: BTreeMap<String, String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Its user, where it is not the daemon's own.
    pub user: Option<String>,
}

/// What the service manager says of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceState {
    /// No process.
    Stopped,
    /// The main process, told apart from a later holder of the same pid by its start time (clock
    /// ticks since boot, field 22 of /proc/PID/stat).
    Running { pid: u32, start_time: u64 },
}

/// Starts and stops one kind of instance.
#[async_trait]
pub trait Service: Send + Sync {
    /// Starts the instance; a running one is left as it is.
    async fn start(&self, launch: &Launch) -> Result<(), ServiceError>;

    /// Asks the instance to stop (SIGTERM), waits for `grace`, then kills its whole process group.
    async fn stop(&self, instance: &str, grace: Duration) -> Result<(), ServiceError>;

    /// What the instance is doing.
    async fn state(&self, instance: &str) -> Result<ServiceState, ServiceError>;
}
