//! In which format daemons write what other daemons read: entries of the log, and snapshots.
//!
//! A cluster may run daemons of two versions for a while. So each node says up to which format it reads,
//! the state holds the one that all have agreed to write, and that is raised, once and for all, by a
//! command of its own when every node reads the next one. An entry carries the format that its command
//! came with, so what an older daemon understands stays readable to it whoever wrote it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A version of what is written to the log and into snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Format(pub u16);

impl Format {
    /// What every daemon reads.
    pub const FIRST: Self = Self(1);

    /// The newest one this daemon reads. It counts up when an older daemon could no longer read what a
    /// newer one writes: for a new command, or a new field of the state that must not get lost.
    pub const NEWEST: Self = if cfg!(feature = "next-format") { Self(2) } else { Self::FIRST };

    /// For a record that an older daemon wrote, which did not say so.
    pub(crate) const fn first() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
