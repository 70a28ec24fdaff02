//! Holds a tree on disk against a manifest, byte for byte. It reads and never changes anything.

use crate::digest::Digest;
use crate::manifest::{Entry, EntryKind, MemberPath, Mode};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// One way in which a tree is not what the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, relative to the tree's root.
    pub path: PathBuf,
    /// What.
    pub what: What,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Nothing is there.
    Missing,
    /// Something of another kind is there, e.g. a link in place of a directory.
    OtherKind { expected: &'static str },
    /// The permissions are others.
    OtherMode { expected: Mode, found: u32 },
    /// The file has another length.
    OtherSize { expected: u64, found: u64 },
    /// The file has the length, and other content.
    OtherContent,
    /// The link points elsewhere.
    OtherTarget { found: PathBuf },
    /// It is there, and the manifest knows nothing of it.
    Unlisted,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.what {
            What::Missing => write!(f, "{path} is missing"),
            What::OtherKind { expected } => write!(f, "{path} is not {expected}"),
            What::OtherMode { expected, found } => {
                write!(f, "{path} has permissions {found:o} instead of {:o}", expected.bits())
            }
            What::OtherSize { expected, found } => {
                write!(f, "{path} has {found} bytes instead of {expected}")
            }
            What::OtherContent => write!(f, "{path} has other content"),
            What::OtherTarget { found } => write!(f, "{path} points to {} instead", found.display()),
            What::Unlisted => write!(f, "{path} does not belong to the release"),
        }
    }
}

/// The tree could not be looked at: neither equal nor different.
#[derive(Debug, thiserror::Error)]
#[error("cannot check {}; check permissions and the disk", path.display())]
pub struct VerifyError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl VerifyError {
    /// What could not be read, and why.
    #[must_use]
    pub fn into_parts(self) -> (PathBuf, io::Error) {
        (self.path, self.source)
    }
}

/// Every difference between the tree at `root` and `entries`. Inside of `closed` directories, what the
/// entries do not name is a difference too; elsewhere, other releases may have their files.
///
/// # Errors
/// If something cannot be read.
pub fn verify_tree<'m>(
    root: &Path,
    entries: impl IntoIterator<Item = &'m Entry>,
    closed: &[MemberPath],
) -> Result<Vec<Difference>, VerifyError> {
    let mut tree = Tree { root, differences: Vec::new(), listed: BTreeSet::new() };
    for entry in entries {
        tree.parents(&entry.path)?;
        tree.entry(entry)?;
        tree.listed.insert(entry.path.as_str().into());
    }
    for directory in closed {
        tree.unlisted(Path::new(directory.as_str()))?;
    }
    Ok(tree.differences)
}

struct Tree<'r> {
    root: &'r Path,
    differences: Vec<Difference>,
    /// Paths that the entries name or imply.
    listed: BTreeSet<PathBuf>,
}

impl Tree<'_> {
    fn differ(&mut self, path: impl Into<PathBuf>, what: What) {
        self.differences.push(Difference { path: path.into(), what });
    }

    /// A link in place of a directory would show another tree than this one.
    fn parents(&mut self, path: &MemberPath) -> Result<(), VerifyError> {
        for ancestor in path.ancestors() {
            if !self.listed.insert(ancestor.into()) {
                return Ok(());
            }
            if self.metadata(ancestor)?.is_some_and(|found| !found.is_dir()) {
                self.differ(ancestor, What::OtherKind { expected: "a directory" });
            }
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), VerifyError> {
        let path = entry.path.as_str();
        let Some(found) = self.metadata(path)? else {
            self.differ(path, What::Missing);
            return Ok(());
        };
        match &entry.kind {
            EntryKind::Directory if found.is_dir() => {}
            EntryKind::Directory => self.differ(path, What::OtherKind { expected: "a directory" }),
            EntryKind::Symlink { target } if found.is_symlink() => {
                let place = entry.path.below(self.root);
                let points_to = fs::read_link(&place).map_err(|source| failed(&place, source))?;
                if points_to != Path::new(target.as_str()) {
                    self.differ(path, What::OtherTarget { found: points_to });
                }
            }
            EntryKind::Symlink { .. } => self.differ(path, What::OtherKind { expected: "a link" }),
            EntryKind::File { mode, size, digest } if found.is_file() => {
                self.file(path, &found, (*mode, *size, *digest))?;
            }
            EntryKind::File { .. } => self.differ(path, What::OtherKind { expected: "a file" }),
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &str,
        found: &Metadata,
        (mode, size, digest): (Mode, u64, Digest),
    ) -> Result<(), VerifyError> {
        let permissions = found.permissions().mode() & 0o7777;
        if permissions != mode.bits() {
            self.differ(path, What::OtherMode { expected: mode, found: permissions });
        }
        if found.len() != size {
            self.differ(path, What::OtherSize { expected: size, found: found.len() });
        } else if digest_of(&self.root.join(path))? != digest {
            self.differ(path, What::OtherContent);
        }
        Ok(())
    }

    /// Directories that the entries do not imply are reported as one, and not walked.
    fn unlisted(&mut self, directory: &Path) -> Result<(), VerifyError> {
        let place = self.root.join(directory);
        if !fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        for child in fs::read_dir(&place).map_err(|source| failed(&place, source))? {
            let child = child.map_err(|source| failed(&place, source))?;
            let path = directory.join(child.file_name());
            let kind = child.file_type().map_err(|source| failed(&child.path(), source))?;
            if !self.listed.contains(&path) {
                self.differ(path, What::Unlisted);
            } else if kind.is_dir() {
                self.unlisted(&path)?;
            }
        }
        Ok(())
    }

    fn metadata(&self, path: &str) -> Result<Option<Metadata>, VerifyError> {
        let place = self.root.join(path);
        match fs::symlink_metadata(&place) {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(source) => Err(failed(&place, source)),
        }
    }
}

fn digest_of(place: &Path) -> Result<Digest, VerifyError> {
    let mut hasher = blake3::Hasher::new();
    let file = File::open(place).map_err(|source| failed(place, source))?;
    hasher.update_reader(file).map_err(|source| failed(place, source))?;
    Ok(hasher.finalize().into())
}

fn failed(place: &Path, source: io::Error) -> VerifyError {
    VerifyError { path: place.to_owned(), source }
}
