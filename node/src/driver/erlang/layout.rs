//! Where everything of an app lies on this host, and the small files that say which version runs:
//! the permanent pointer (`releases/start_erl.data`) and the trial file, which a reboot takes away.
//! `relupd launch` reads them without the daemon; so they hold one line each and nothing to parse.

use crate::driver::pointer;
use crate::ids::{AppName, ReleaseName, ReleaseVersion};
use relupd_release::pointer::StartErl;
use std::io;
use std::path::{Path, PathBuf};

/// The paths of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    run: PathBuf,
}

impl Layout {
    /// An app with its release root at `root` and its own directory below `run_directory`.
    #[must_use]
    pub fn new(root: &Path, run_directory: &Path, app: &AppName) -> Self {
        Self { root: root.to_owned(), run: run_directory.join(app.as_str()) }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The app's own directory for what must not survive a reboot.
    pub(super) fn run(&self) -> &Path {
        &self.run
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.run.join("link.sock")
    }

    pub(super) fn trial(&self) -> PathBuf {
        self.run.join("trial")
    }

    pub(super) fn libraries(&self) -> PathBuf {
        self.root.join("lib")
    }

    pub(super) fn releases(&self) -> PathBuf {
        self.root.join("releases")
    }

    pub(super) fn release(&self, version: &ReleaseVersion) -> PathBuf {
        self.releases().join(version.as_str())
    }

    /// The book of the release handler.
    pub(super) fn book(&self) -> PathBuf {
        self.releases().join("RELEASES")
    }

    pub(super) fn permanent(&self) -> PathBuf {
        self.releases().join("start_erl.data")
    }

    pub(super) fn script(&self, name: &ReleaseName) -> PathBuf {
        self.root.join("bin").join(name.as_str())
    }

    pub(super) fn script_of(&self, name: &ReleaseName, version: &ReleaseVersion) -> PathBuf {
        self.root.join("bin").join(format!("{name}-{version}"))
    }

    /// Boot script and configuration of a version, without their extensions, as `init` takes them.
    pub(super) fn boot(&self, version: &ReleaseVersion) -> PathBuf {
        boot_stem(&self.release(version))
    }

    pub(super) fn config(&self, version: &ReleaseVersion) -> PathBuf {
        self.release(version).join("sys")
    }
}

/// `start.boot` without its extension, as relx and mix write it; Distillery and OTP itself name it after
/// the release, as the `.rel` file beside it. Where there is none, the first is missing.
pub(super) fn boot_stem(release: &Path) -> PathBuf {
    let start = release.join("start");
    if start.with_added_extension("boot").exists() {
        return start;
    }
    let entries = std::fs::read_dir(release).into_iter().flatten().flatten();
    let named = entries.map(|entry| entry.path()).find(|path| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let of_otp = ["start_clean", "start_sasl", "no_dot_erlang"].contains(&stem.as_str());
        !of_otp && path.extension().is_some_and(|end| end == "boot") && path.with_extension("rel").exists()
    });
    named.map_or(start, |path| path.with_extension(""))
}

pub(super) type PointerFile = pointer::PointerFile<StartErl>;

pub(super) fn read_pointer(path: &Path) -> io::Result<PointerFile> {
    PointerFile::read(path, StartErl::parse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_file_named_after_the_release_is_found() {
        let release = tempfile::tempdir().unwrap();
        let touch = |name: &str| std::fs::write(release.path().join(name), "").unwrap();
        for name in ["start_clean.boot", "start_clean.rel", "shop-1.2.boot", "shop-1.2.rel", "other.boot"] {
            touch(name);
        }
        // `with_extension` takes off what stands behind the last dot, and no more.
        assert_eq!(boot_stem(release.path()), release.path().join("shop-1.2"));
        touch("start.boot");
        assert_eq!(boot_stem(release.path()), release.path().join("start"));
    }
    use crate::driver::files::replace_durably;

    #[test]
    fn a_torn_pointer_is_told_apart_from_an_absent_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("start_erl.data");
        assert_eq!(read_pointer(&path).unwrap(), PointerFile::Absent);
        for torn in ["", "13.1.5", "13.1.5 0.2.0 more", "13.1.5 ../../etc"] {
            replace_durably(&path, torn.as_bytes(), 0o644).unwrap();
            assert!(matches!(read_pointer(&path).unwrap(), PointerFile::Torn { .. }), "{torn:?}");
        }
    }
}
