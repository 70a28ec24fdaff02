//! The catalog of releases.

use crate::ids::{Digest, ReleaseName, ReleaseVersion};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A release, wholly named: two releases with the same name and version but other content differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReleaseId {
    /// The name in its `.rel` file.
    pub name: ReleaseName,
    /// Its version.
    pub version: ReleaseVersion,
    /// The digest of its manifest, which names every byte of it.
    pub manifest: Digest,
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.name, self.version, self.manifest.short())
    }
}

/// A release as the cluster knows it: what plans need to know without opening a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Which release.
    pub id: ReleaseId,
    /// The version of its ERTS; `None` where the release brings none.
    pub erts: Option<String>,
    /// Applications as `name-version`.
    pub applications: Vec<String>,
    /// Versions from which its relup leads up to it.
    pub hot_up_from: BTreeSet<ReleaseVersion>,
    /// Versions to which its relup leads back down.
    pub hot_down_to: BTreeSet<ReleaseVersion>,
    /// Bytes, unpacked.
    pub size: u64,
    /// Number of files.
    pub files: u64,
    /// Who pushed it.
    pub pushed_by: String,
    /// When.
    pub pushed_at: Timestamp,
    /// What it was made from, where the cluster made its relup.
    #[serde(default)]
    pub made_from: Option<Box<MadeFrom>>,
}

/// A release whose relup the cluster made: every other file is as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    /// The manifest that it takes the place of.
    pub replaces: Digest,
    /// The manifest as it was pushed.
    pub pushed: Digest,
    /// The versions that its relup was made for.
    pub versions: BTreeSet<ReleaseVersion>,
}

impl ReleaseRecord {
    /// The manifest as it was pushed, whatever the cluster has made of it since.
    #[must_use]
    pub fn pushed_manifest(&self) -> Digest {
        self.made_from.as_ref().map_or(self.id.manifest, |made| made.pushed)
    }
}

#[cfg(test)]
mod tests {
    use crate::samples::release;

    #[test]
    fn a_release_is_named_with_the_beginning_of_its_digest() {
        let release = release("0.2.0");
        assert_eq!(release.to_string(), format!("shop 0.2.0 ({})", release.manifest.short()));
    }
}
