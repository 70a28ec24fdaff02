//! An app's own directory for what must not survive a reboot: the trial file, the link's socket.

use super::DriverError;
use super::files::ensure_directory;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A user of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppUser {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// The number of its group.
    pub gid: u32,
}

/// Only relupd may write there; the app's group may look up the socket and read the trial file.
pub(super) fn prepare(path: &Path, user: Option<&AppUser>) -> Result<(), DriverError> {
    let io = |source| DriverError::Io { what: "make the app's run directory", path: path.to_owned(), source };
    ensure_directory(path.parent().unwrap_or(path), 0o711).map_err(io)?;
    ensure_directory(path, 0o710).map_err(io)?;
    let Some(user) = user else { return Ok(()) };
    // A daemon without root finds it as the host's privileged set-up has made it.
    if std::fs::metadata(path).map_err(io)?.gid() == user.gid {
        return Ok(());
    }
    std::os::unix::fs::chown(path, None, Some(user.gid)).map_err(|source| match source.kind() {
        std::io::ErrorKind::PermissionDenied => DriverError::Failed {
            what: "give the app's run directory to its group",
            reason: format!(
                "{} does not belong to the group of user {}, and only root can change that; run `relupctl app setup` as root on this node",
                path.display(),
                user.name
            ),
        },
        _ => io(source),
    })
}
