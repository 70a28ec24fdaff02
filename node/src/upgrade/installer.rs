//! How the daemon, which is not root, has the host's installer started.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use zbus::Connection;
use zbus_systemd::systemd1::ManagerProxy;

/// The only unit besides apps' that polkit lets the daemon's user start.
const UNIT: &str = "relupd-upgrade.service";

const PATIENCE: Duration = Duration::from_secs(25);

/// Who installs packages on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installer {
    /// The package's own unit.
    Unit,
    /// A program, where there is no systemd. It is given the directory of the order, and must outlive the
    /// daemon.
    Program(PathBuf),
}

impl Installer {
    /// Has it look for an order in `staged`. What becomes of that, it writes down.
    ///
    /// # Errors
    /// Why it was not started.
    pub(super) async fn start(&self, staged: &Path) -> Result<(), String> {
        match self {
            Self::Unit => match tokio::time::timeout(PATIENCE, start_unit()).await {
                Ok(started) => started.map_err(|error| format!("cannot start {UNIT}: {error}")),
                Err(_) => Err(format!("cannot start {UNIT}: systemd does not answer")),
            },
            Self::Program(program) => {
                let mut command = Command::new(program);
                command.arg(staged).stdin(Stdio::null()).process_group(0);
                let child = command.spawn();
                let mut child = child
                    .map_err(|error| format!("cannot run the installer {}: {error}", program.display()))?;
                // Somebody has to take it away when it ends.
                tokio::spawn(async move { child.wait().await });
                Ok(())
            }
        }
    }
}

/// Queues its start, and does not wait: it will stop this daemon.
async fn start_unit() -> zbus::Result<()> {
    let manager = ManagerProxy::new(&Connection::system().await?).await?;
    manager.start_unit(UNIT.to_owned(), "fail".to_owned()).await.map(drop)
}
