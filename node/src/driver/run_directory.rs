//! An app's own directory for what must not survive a reboot: the trial file, the link's socket.

use super::DriverError;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
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
    DirBuilder::new().recursive(true).mode(0o711).create(path.parent().unwrap_or(path)).map_err(io)?;
    match DirBuilder::new().mode(0o710).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(error)),
        Ok(()) | Err(_) => {}
    }
    match user {
        Some(user) => std::os::unix::fs::chown(path, None, Some(user.gid)).map_err(io),
        None => Ok(()),
    }
}
