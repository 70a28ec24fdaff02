//! The small files that say which version runs: the permanent pointer, and the trial file that comes
//! before it until a reboot takes it away. Launching reads them without the daemon.

use super::files::read_optional;
use super::launch::{LaunchError, io_error};
use crate::ids::AppName;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

/// What is wrong where the permanent version runs and a trial file is there all the same: it comes before the
/// next pointer, too, and an interrupted step has left it.
pub(super) const TRIAL_LEFT: &str = "a trial file is left beside the permanent version that runs";

/// What became of reading a pointer. A torn one is not an absent one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PointerFile<T> {
    Absent,
    Points(T),
    Torn { reason: String },
}

impl<T> PointerFile<T> {
    pub(super) fn read<E: Display>(
        path: &Path,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> io::Result<Self> {
        match read_optional(path)? {
            None => Ok(Self::Absent),
            Some(bytes) => Ok(match parse(&bytes) {
                Ok(target) => Self::Points(target),
                Err(error) => Self::Torn { reason: error.to_string() },
            }),
        }
    }

    pub(super) fn target(&self) -> Option<&T> {
        match self {
            Self::Points(target) => Some(target),
            Self::Absent | Self::Torn { .. } => None,
        }
    }
}

/// What to launch: the trial's target where there is one, else the permanent one. A torn trial file is
/// as good as none: the permanent version is the one that a host can always boot.
pub(super) fn choose<T>(
    app: &AppName,
    trial: &Path,
    permanent: PathBuf,
    read: impl Fn(&Path) -> io::Result<PointerFile<T>>,
) -> Result<T, LaunchError> {
    if let PointerFile::Points(target) = read(trial).map_err(|source| io_error("read", trial, source))? {
        return Ok(target);
    }
    match read(&permanent).map_err(|source| io_error("read", &permanent, source))? {
        PointerFile::Points(target) => Ok(target),
        PointerFile::Absent => Err(LaunchError::NotInstalled { app: app.clone(), path: permanent }),
        PointerFile::Torn { reason } => Err(LaunchError::Torn { app: app.clone(), path: permanent, reason }),
    }
}
