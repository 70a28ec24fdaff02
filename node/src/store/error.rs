//! What goes wrong in the store, and while files are fetched from peers. The latter is trouble of the
//! infrastructure: it says nothing about a release.

use crate::ids::{Digest, NodeId};
use relupd_release::manifest::ManifestError;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A thing that the store holds under its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// The list of a release's files.
    Manifest(Digest),
    /// The content of a file.
    Blob(Digest),
}

impl Wanted {
    /// What it must hash to.
    #[must_use]
    pub const fn digest(self) -> Digest {
        match self {
            Self::Manifest(digest) | Self::Blob(digest) => digest,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(digest) => write!(f, "manifest {}", digest.short()),
            Self::Blob(digest) => write!(f, "blob {}", digest.short()),
        }
    }
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, or would be.
    #[error("no room for {needed} bytes in {path}: free space on that file system, then try again")]
    NoSpace { path: PathBuf, needed: u64 },
    /// Content came that is not what it was announced as. Nothing of it was kept.
    #[error("what came as {wanted} is {found}: it was changed or cut off on its way; send it again")]
    Mismatch { wanted: Wanted, found: Found },
    /// Not here.
    #[error("{0} is not in the store: fetch the release from a peer, or push it again")]
    Missing(Wanted),
    /// The file on disk is not what it was when it was written. It was taken away.
    #[error("{wanted} had rotted on disk in {path} and was removed: fetch it again, and check the disk")]
    Rotted { wanted: Wanted, path: PathBuf },
    /// Its content is intact, but no manifest.
    #[error("{wanted} is not valid")]
    InvalidManifest {
        wanted: Wanted,
        #[source]
        source: ManifestError,
    },
    /// The operating system refused something.
    #[error("cannot {what} {path}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What came instead of what was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Other content.
    Digest(Digest),
    /// More than announced.
    MoreThan { announced: u64 },
    /// Less than announced.
    Only { bytes: u64, announced: u64 },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Digest(digest) => write!(f, "other content ({})", digest.short()),
            Self::MoreThan { announced } => write!(f, "longer than the announced {announced} bytes"),
            Self::Only { bytes, announced } => write!(f, "only {bytes} of the announced {announced} bytes"),
        }
    }
}

impl StoreError {
    /// Turns an error of a call on `path` into one of the store; `needed` is what was to be written.
    pub(super) fn io(what: &'static str, path: &Path, needed: u64) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { path, needed },
            _ => Self::Io { what, path, source },
        }
    }
}

/// Why a release could not be fetched. Never a verdict on the release: hold and try again.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody gave it.
    #[error("no peer gave {wanted} of release manifest {}: {}", manifest.short(), Asked(asked))]
    Unavailable { wanted: Wanted, manifest: Digest, asked: Vec<(NodeId, PeerFailure)> },
    /// This node could not keep what it got.
    #[error("cannot keep the fetched release")]
    Store(#[from] StoreError),
}

/// Why one peer did not give what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFailure {
    /// No connection.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It does not have it.
    #[error("does not have it")]
    Lacks,
    /// What it gave was something else.
    #[error("gave {0}")]
    Corrupt(Found),
    /// It stopped sending.
    #[error("sent nothing for {0:?}")]
    Stalled(Duration),
    /// The connection broke, or it does not speak the protocol.
    #[error("broke off: {0}")]
    Broken(String),
}

struct Asked<'a>(&'a [(NodeId, PeerFailure)]);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f
                .write_str("there is nobody to ask; start a node that holds the release, or push it again");
        }
        for (index, (peer, failure)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{peer} ({failure})")?;
        }
        Ok(())
    }
}
