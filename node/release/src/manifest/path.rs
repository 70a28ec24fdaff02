//! Paths inside a release, and what symbolic links there may point to.

use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Linux opens paths of up to 4096 bytes; the rest is for the root that the release is placed in.
const MAX_PATH: usize = 2048;
/// The longest file name that file systems take, in bytes.
const MAX_COMPONENT: usize = 255;
/// Bounds recursion in whatever walks the tree.
const MAX_DEPTH: usize = 64;

/// A relative path that stays below the directory it is joined to: UTF-8, components separated by
/// single slashes, none of them empty, `.` or `..`, no control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct MemberPath(String);

/// Why a text cannot be a path inside a release.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum InvalidMemberPath {
    #[error("an empty path")]
    Empty,
    #[error("an absolute path")]
    Absolute,
    #[error("an empty component, or one that is '.'")]
    EmptyComponent,
    #[error("a component '..', which leads out of the release")]
    Parent,
    #[error("control characters")]
    Control,
    #[error("more than {MAX_PATH} bytes in all, {MAX_COMPONENT} in a component, or {MAX_DEPTH} components")]
    TooLong,
}

impl MemberPath {
    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it lies below `root`.
    #[must_use]
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(&self.0)
    }

    /// Its components, the outermost first; never none.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The directories that it lies in, the innermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        self.0.rmatch_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// Whether it is `directory` or lies in it.
    #[must_use]
    pub fn is_within(&self, directory: &Self) -> bool {
        self == directory || self.ancestors().any(|ancestor| ancestor == directory.0)
    }
}

fn check(text: &str) -> Result<(), InvalidMemberPath> {
    if text.is_empty() {
        return Err(InvalidMemberPath::Empty);
    }
    if text.starts_with('/') {
        return Err(InvalidMemberPath::Absolute);
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidMemberPath::Control);
    }
    let mut depth = 0;
    for component in text.split('/') {
        depth += 1;
        match component {
            "" | "." => return Err(InvalidMemberPath::EmptyComponent),
            ".." => return Err(InvalidMemberPath::Parent),
            long if long.len() > MAX_COMPONENT => return Err(InvalidMemberPath::TooLong),
            _ => {}
        }
    }
    if text.len() > MAX_PATH || depth > MAX_DEPTH { Err(InvalidMemberPath::TooLong) } else { Ok(()) }
}

impl FromStr for MemberPath {
    type Err = InvalidMemberPath;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for MemberPath {
    type Error = InvalidMemberPath;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        check(&text)?;
        Ok(Self(text))
    }
}

impl From<MemberPath> for String {
    fn from(path: MemberPath) -> Self {
        path.0
    }
}

impl Borrow<str> for MemberPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MemberPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The target of a symbolic link at a certain place: zero or more `..`, no more than the link has
/// directories above it in the release, then a path without any.
///
/// As nothing in a release lies below a link, the leading `..` pass real directories only. Whatever
/// follows goes downward, perhaps through other links of the release, of which the same holds: so no
/// chain of links leads out of the tree.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct LinkTarget(String);

/// A link that leads out of the release, or might.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
#[error("its target is absolute, leads out of the release, or cannot be followed for certain")]
pub struct InvalidLinkTarget;

impl LinkTarget {
    /// The target of the link at `link`.
    ///
    /// # Errors
    /// If it could lead out of the tree.
    pub fn new(link: &MemberPath, target: &str) -> Result<Self, InvalidLinkTarget> {
        let mut downward = target;
        let mut climbs = 0;
        while let Some(rest) = downward.strip_prefix("../") {
            downward = rest;
            climbs += 1;
        }
        if climbs > link.ancestors().count() || check(downward).is_err() {
            return Err(InvalidLinkTarget);
        }
        Ok(Self(target.to_owned()))
    }

    /// The target as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<LinkTarget> for String {
    fn from(target: LinkTarget) -> Self {
        target.0
    }
}

impl fmt::Display for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
