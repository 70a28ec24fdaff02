//! Why an archive is refused: which member, and what to do about it.

use crate::info::ReleaseError;
use crate::manifest::{InvalidMemberPath, ManifestError};
use std::io;

/// An archive that is no acceptable release. Nothing of it is used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("not a gzip file; push the .tar.gz that `rebar3 tar` or `mix release` made")]
    NotGzip,
    #[error("the archive ends too early; copy or build it again")]
    Truncated,
    #[error("the archive is damaged ({detail}); copy or build it again")]
    Damaged { detail: String },
    #[error("cannot read the archive")]
    Read(#[source] io::Error),
    #[error("the archive has more than {limit} members; leave out of the release what is not part of it")]
    TooManyMembers { limit: usize },
    #[error(
        "{member} has {size} bytes, more than the {limit} that are accepted; ship it outside the release"
    )]
    MemberTooLarge { member: String, size: u64, limit: u64 },
    #[error("the archive unpacks to more than {limit} bytes; ship large data outside the release")]
    TooLarge { limit: u64 },
    #[error(
        "the archive unpacks to more than {ratio} times its size, as only a decompression bomb does; \
         do not use it, build the release again from its source"
    )]
    Bomb { ratio: u64 },
    #[error("member {member:?} has a name that is not UTF-8; rename it and build the release again")]
    NameNotUtf8 { member: String },
    #[error("member {member:?} cannot be unpacked safely; do not use this archive, build the release again")]
    UnsafeName {
        member: String,
        #[source]
        source: InvalidMemberPath,
    },
    #[error("member {member} is there twice; build the release again from a clean directory")]
    Duplicate { member: String },
    #[error(
        "{member} lies below {parent}, which is no directory; build the release again from a clean directory"
    )]
    BelowNonDirectory { member: String, parent: String },
    #[error(
        "{member} is a link to {target:?}, which leads out of the release or might; \
         replace it with what it points to"
    )]
    UnsafeLink { member: String, target: String },
    #[error("{member} is a hard link to {target:?}, which is no earlier file of the archive; build it again")]
    HardLink { member: String, target: String },
    #[error("{member} is {kind}; a release holds only files, directories and links: leave it out")]
    Special { member: String, kind: &'static str },
    #[error("{member} has set-user-id or set-group-id permissions ({mode:o}); take them away with chmod")]
    Privileged { member: String, mode: u32 },
    #[error(
        "not a release: there is no releases/VERSION/NAME.rel at its top; \
         push the archive that `rebar3 tar` made, not one of the source or of a directory around it"
    )]
    NotARelease,
    #[error("several releases in one archive ({}); push one for each", .candidates.join(", "))]
    SeveralReleases { candidates: Vec<String> },
    #[error("the release in the archive is not usable")]
    Release(#[source] ReleaseError),
    #[error("the files in the archive make no release")]
    Manifest(#[source] ManifestError),
    #[error("cannot keep {member}; make room or check permissions, then push again")]
    Sink {
        member: String,
        #[source]
        source: io::Error,
    },
}

impl From<ManifestError> for ArchiveError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Duplicate { path } => Self::Duplicate { member: path.to_string() },
            ManifestError::BelowNonDirectory { path, parent } => {
                Self::BelowNonDirectory { member: path.to_string(), parent: parent.to_string() }
            }
            ManifestError::TooManyEntries { limit } => Self::TooManyMembers { limit },
            ManifestError::TooLarge { limit } => Self::TooLarge { limit },
            ManifestError::NoRelFile { path: _ } => Self::NotARelease,
            error @ (ManifestError::Format
            | ManifestError::Line { .. }
            | ManifestError::Text { .. }
            | ManifestError::Path { .. }
            | ManifestError::Link { .. }
            | ManifestError::Digest { .. }
            | ManifestError::NotCanonical) => Self::Manifest(error),
        }
    }
}
