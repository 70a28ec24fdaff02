//! `relupd install-package`: root's part of an upgrade, on one host. Takes the order that the daemon has left,
//! installs its package, waits until the new daemon has proved itself, and puts the one of before back where
//! it has not. It is the only part that has any privilege; it is started without arguments, and believes
//! nothing that the daemon's user has written but what a pinned key has signed.

mod daemon;
mod dpkg;
mod repack;
mod steps;

use super::trust::Untrusted;
use super::work::staged;
use crate::clock::wall;
use crate::config::Settings;
use daemon::Local;
use dpkg::Dpkg;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use steps::{Host, Places};

/// Waits until a daemon has proved itself, at most so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The installer cannot work. What it could do, and what became of that, is in its own account.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It may not.
    #[error("this installs packages: it is started as root, by relupd-upgrade.service")]
    NotRoot,
    /// Its directory is somebody else's.
    #[error("cannot work safely")]
    Unsafe(#[from] Untrusted),
    /// Another one is at it.
    #[error("another installer is at work")]
    Busy,
    /// Its own directory cannot be used.
    #[error("cannot {what} {path}")]
    Keep {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The package of before could not be put back.
    #[error(
        "the host needs somebody: {reason}; the package of before is {path}: look at `journalctl -u relupd`, then dpkg --install it"
    )]
    Stuck { reason: String, path: PathBuf },
}

/// Carries out the order that is there, or goes on with one that a crash has interrupted.
///
/// # Errors
/// Where nothing can be done, or neither package runs.
pub fn run(settings: &Settings) -> Result<(), HostError> {
    if !rustix::process::geteuid().is_root() {
        return Err(HostError::NotRoot);
    }
    let places = Places {
        staged: staged(&settings.state_dir),
        keep: settings.upgrade.directory.clone(),
        keys: settings.upgrade.keys.clone(),
    };
    let daemon = Local { socket: settings.api_socket.clone(), patience: PATIENCE };
    let host = Host { places, packages: &Dpkg, daemon: &daemon, owner: 0 };
    if let Some(ended) = host.work(wall().as_second())? {
        eprintln!("relupd: {} -> {}: {:?} {}", ended.from, ended.to, ended.phase, ended.reason);
    }
    Ok(())
}
