//! Where everything of an app lies on this host: whole versions side by side under the release root, and
//! the pointers, of one line each.

use crate::driver::pointer;
use crate::ids::{AppName, ReleaseVersion};
use std::io;
use std::path::{Path, PathBuf};

/// The paths of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::driver) struct Layout {
    root: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// An app with its release root at `root` and its own directory below `run_directory`.
    pub(in crate::driver) fn new(root: &Path, run_directory: &Path, app: &AppName) -> Self {
        Self { root: root.to_owned(), run: run_directory.join(app.as_str()) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The app's own directory for what must not survive a reboot.
    pub(super) fn run(&self) -> &Path {
        &self.run
    }

    pub(super) fn versions(&self) -> PathBuf {
        self.root.join("versions")
    }

    /// The whole tree of a version. It appears and goes in one step.
    pub(super) fn version(&self, version: &ReleaseVersion) -> PathBuf {
        self.versions().join(version.as_str())
    }

    /// Holds the digest of the version's manifest; on disk before the version's directory has its name.
    pub(super) fn marker(&self, version: &ReleaseVersion) -> PathBuf {
        self.version(version).join(MARKER)
    }

    pub(super) fn permanent(&self) -> PathBuf {
        self.root.join("permanent")
    }

    pub(super) fn trial(&self) -> PathBuf {
        self.run.join("trial")
    }

    /// Which process was started as which version.
    pub(super) fn life(&self) -> PathBuf {
        self.run.join("life")
    }
}

pub(super) const MARKER: &str = ".relupd-manifest";

pub(super) type PointerFile = pointer::PointerFile<ReleaseVersion>;

pub(super) fn read_pointer(path: &Path) -> io::Result<PointerFile> {
    PointerFile::read(path, |bytes| match String::from_utf8_lossy(bytes).trim_end() {
        "" => Err("it is empty".to_owned()),
        text => text.parse().map_err(|error| format!("{text:?} is not a version: {error}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::files::replace_durably;

    #[test]
    fn a_torn_pointer_is_told_apart_from_an_absent_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("permanent");
        assert_eq!(read_pointer(&path).unwrap(), PointerFile::Absent);
        for torn in ["", "\n", "../../etc", "1.0 2.0"] {
            replace_durably(&path, torn.as_bytes(), 0o644).unwrap();
            assert!(matches!(read_pointer(&path).unwrap(), PointerFile::Torn { .. }), "{torn:?}");
        }
        replace_durably(&path, b"0.4.0\n", 0o644).unwrap();
        assert_eq!(read_pointer(&path).unwrap(), PointerFile::Points("0.4.0".parse().unwrap()));
    }
}
