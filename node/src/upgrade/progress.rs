//! The installer's own account of what it does: its journal after a crash, and what the daemon tells others.
//! Written by root, read by everybody.

use crate::durable;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FILE: &str = "progress.json";

/// How far it is, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// dpkg is at it.
    Installing,
    /// The new daemon has to prove itself.
    Checking,
    /// The package of before is put back.
    Reverting,
    /// The new daemon runs and is well.
    Installed,
    /// The one of before does again.
    Reverted,
    /// Nothing was changed.
    Refused,
    /// The way back failed, too.
    Failed,
}

impl Phase {
    /// Whether whoever finds this after a crash has to go on with it.
    #[must_use]
    pub const fn is_unfinished(self) -> bool {
        match self {
            Self::Installing | Self::Checking | Self::Reverting => true,
            Self::Installed | Self::Reverted | Self::Refused | Self::Failed => false,
        }
    }
}

/// The newest upgrade of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Which order it carries out.
    pub order: String,
    /// The version that it found.
    pub from: String,
    /// The version that was ordered.
    pub to: String,
    /// How far it is.
    pub phase: Phase,
    /// Why; empty where all is well.
    pub reason: String,
}

impl Progress {
    /// The account in root's directory; none where there was no upgrade, or it cannot be read.
    #[must_use]
    pub fn read(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(directory.join(FILE)).ok()?).ok()
    }

    /// Puts it down, for good.
    pub(super) fn write(&self, directory: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        durable::replace(&directory.join(FILE), &text, 0o644)
    }

    /// Where it lies.
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join(FILE)
    }
}
