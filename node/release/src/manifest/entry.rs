//! One entry of a manifest: what a path holds.

use super::path::{LinkTarget, MemberPath};
use crate::digest::Digest;

/// What lies at one path of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: MemberPath,
    /// What.
    pub kind: EntryKind,
}

/// The kinds of things that a release may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A file: its permissions, its length and the digest of its content.
    File { mode: Mode, size: u64, digest: Digest },
    /// A symbolic link that stays inside the release.
    Symlink { target: LinkTarget },
    /// An empty directory. Directories that hold something are implied by what they hold.
    Directory,
}

/// The permissions of a file. Set-id and sticky bits do not exist here, and nobody but the owner ever
/// writes: a release is only read by the app's user. Reading is left as it was built, because a release
/// may carry secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mode(u16);

impl Mode {
    const ALLOWED: u32 = 0o755;

    /// The permission bits of `bits`, without write permission for group and others.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        // The mask leaves nine bits at most.
        Self((bits & Self::ALLOWED) as u16)
    }

    /// The bits, for `chmod`.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0 as u32
    }

    /// Whether the owner may execute the file.
    #[must_use]
    pub const fn is_executable(self) -> bool {
        self.0 & 0o100 != 0
    }
}
