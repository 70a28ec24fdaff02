//! The manifest: every file of a release, by path, permissions, length and digest. Its own digest names
//! the release, so it has exactly one encoding. A manifest that exists is valid: paths stay inside the
//! release, are sorted and unique, nothing lies below a file or a link, sizes are bounded.

mod canonical;
mod entry;
mod error;
mod path;

pub use entry::{Entry, EntryKind, Mode};
pub use error::ManifestError;
pub use path::{InvalidLinkTarget, InvalidMemberPath, LinkTarget, MemberPath};

use crate::digest::Digest;
use crate::version::{ReleaseName, ReleaseVersion};
use std::collections::BTreeMap;

/// Real releases have hundreds to thousands of files.
pub const MAX_ENTRIES: usize = 100_000;

/// The largest release, unpacked. Real ones are 20 to 500 MB.
pub const MAX_TOTAL_SIZE: u64 = 8 << 30;

/// Every file of one release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    name: ReleaseName,
    version: ReleaseVersion,
    /// Sorted by path.
    entries: Vec<Entry>,
}

impl Manifest {
    /// The manifest of a release, from its entries in any order.
    ///
    /// # Errors
    /// If the entries cannot be a release's.
    pub fn new(
        name: ReleaseName,
        version: ReleaseVersion,
        entries: Vec<Entry>,
    ) -> Result<Self, ManifestError> {
        if entries.len() > MAX_ENTRIES {
            return Err(ManifestError::TooManyEntries { limit: MAX_ENTRIES });
        }
        let sizes = entries.iter().map(Entry::size);
        if sizes.fold(0, u64::saturating_add) > MAX_TOTAL_SIZE {
            return Err(ManifestError::TooLarge { limit: MAX_TOTAL_SIZE });
        }
        let manifest = Self { entries: in_order(entries)?, name, version };
        let rel_file = manifest.rel_path();
        match manifest.entry(&rel_file).map(|entry| &entry.kind) {
            Some(EntryKind::File { .. }) => Ok(manifest),
            Some(EntryKind::Symlink { .. } | EntryKind::Directory) | None => {
                Err(ManifestError::NoRelFile { path: rel_file })
            }
        }
    }

    /// The release's name.
    #[must_use]
    pub const fn name(&self) -> &ReleaseName {
        &self.name
    }

    /// The release's version.
    #[must_use]
    pub const fn version(&self) -> &ReleaseVersion {
        &self.version
    }

    /// Every entry, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry at a path.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        let index = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(index)
    }

    /// The entries at `directory` and below it.
    pub fn within<'m>(&'m self, directory: &'m MemberPath) -> impl Iterator<Item = &'m Entry> {
        self.entries.iter().filter(move |entry| entry.path.is_within(directory))
    }

    /// The distinct contents of its files, with their lengths.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<Digest, u64> {
        let files = self.entries.iter().filter_map(|entry| match &entry.kind {
            EntryKind::File { mode: _, size, digest } => Some((*digest, *size)),
            EntryKind::Symlink { .. } | EntryKind::Directory => None,
        });
        files.collect()
    }

    /// The length of all its files together.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entries.iter().map(Entry::size).sum()
    }

    /// How many files it has.
    #[must_use]
    pub fn file_count(&self) -> usize {
        self.entries.iter().filter(|entry| matches!(entry.kind, EntryKind::File { .. })).count()
    }

    /// The digest of its canonical bytes: the identity of the release.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// `releases/VSN/NAME.rel`.
    #[must_use]
    pub fn rel_path(&self) -> String {
        format!("releases/{}/{}.rel", self.version, self.name)
    }
}

impl Entry {
    /// The length, of a file; 0 otherwise.
    #[must_use]
    pub const fn size(&self) -> u64 {
        match self.kind {
            EntryKind::File { mode: _, size, digest: _ } => size,
            EntryKind::Symlink { .. } | EntryKind::Directory => 0,
        }
    }
}

/// The entries sorted, without directories that others imply.
fn in_order(entries: Vec<Entry>) -> Result<Vec<Entry>, ManifestError> {
    let mut sorted: BTreeMap<MemberPath, EntryKind> = BTreeMap::new();
    for entry in entries {
        match sorted.get(&entry.path) {
            None => {
                sorted.insert(entry.path, entry.kind);
            }
            // An archive may name a directory as often as it likes.
            Some(EntryKind::Directory) if entry.kind == EntryKind::Directory => {}
            Some(_) => return Err(ManifestError::Duplicate { path: entry.path }),
        }
    }
    let mut implied = Vec::new();
    for path in sorted.keys() {
        for ancestor in path.ancestors() {
            match sorted.get_key_value(ancestor) {
                None => {}
                Some((directory, EntryKind::Directory)) => implied.push(directory.clone()),
                Some((parent, EntryKind::File { .. } | EntryKind::Symlink { .. })) => {
                    return Err(ManifestError::BelowNonDirectory {
                        path: path.clone(),
                        parent: parent.clone(),
                    });
                }
            }
        }
    }
    for directory in implied {
        sorted.remove(&directory);
    }
    Ok(sorted.into_iter().map(|(path, kind)| Entry { path, kind }).collect())
}
