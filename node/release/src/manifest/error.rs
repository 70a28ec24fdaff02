//! Why a list of entries is not a manifest.

use super::path::{InvalidLinkTarget, InvalidMemberPath, MemberPath};
use crate::digest::InvalidDigest;
use crate::version::InvalidReleaseText;

/// A manifest that cannot be one. Nothing of it is used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ManifestError {
    #[error("not a relupd manifest, or one of a newer format; upgrade relupd on this host")]
    Format,
    #[error("line {line} of the manifest cannot be read; fetch it again from another node")]
    Line { line: usize },
    #[error("line {line} of the manifest holds an unusable name or version")]
    Text {
        line: usize,
        #[source]
        source: InvalidReleaseText,
    },
    #[error("line {line} of the manifest holds an unusable path")]
    Path {
        line: usize,
        #[source]
        source: InvalidMemberPath,
    },
    #[error("line {line} of the manifest holds a link that is not safe")]
    Link {
        line: usize,
        #[source]
        source: InvalidLinkTarget,
    },
    #[error("line {line} of the manifest holds no digest where one should be")]
    Digest {
        line: usize,
        #[source]
        source: InvalidDigest,
    },
    #[error("the manifest is not in canonical form; fetch it again from another node")]
    NotCanonical,
    #[error("the manifest has more than {limit} entries")]
    TooManyEntries { limit: usize },
    #[error("the release is larger than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("{path} is there twice")]
    Duplicate { path: MemberPath },
    #[error("{path} lies below {parent}, which is no directory")]
    BelowNonDirectory { path: MemberPath, parent: MemberPath },
    #[error("{path} is missing; it is what makes a directory a release")]
    NoRelFile { path: String },
}
