//! Files and trees of releases on disk, changed so that a crash at any instant leaves either the old or
//! the new, whole; errors say at which path they happened.

use super::DriverError;
use crate::durable::sync_directory;
pub(super) use crate::durable::{
    remove as remove_durably, replace as replace_durably, replace_for as replace_durably_for,
};
use crate::fail_point;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file or directory that the operating system refused.
#[derive(Debug)]
pub(super) struct At {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

pub(super) trait Locate<T> {
    fn at(self, path: &Path) -> Result<T, At>;
}

impl<T> Locate<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, At> {
        self.map_err(|source| At { path: path.to_owned(), source })
    }
}

/// File work off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, At> + Send + 'static,
) -> Result<T, DriverError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(At { path, source })) => Err(DriverError::Io { what, path, source }),
        Err(ended) => Err(DriverError::Failed { what, reason: ended.to_string() }),
    }
}

pub(super) fn exists(path: &Path) -> Result<bool, At> {
    path.try_exists().at(path)
}

pub(super) fn read_optional(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a directory with this mode, whatever the umask; one that is there keeps its own.
pub(super) fn ensure_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fail_point::file("mkdir", path)?;
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// One flush for a whole tree; renames come after it, so no name ever stands for missing bytes.
pub(super) fn sync_tree(tree: &Path) -> Result<(), At> {
    fail_point::file("syncfs", tree).at(tree)?;
    let file = File::open(tree).at(tree)?;
    rustix::fs::syncfs(&file).map_err(io::Error::from).at(tree)
}

/// The names of the directories in a directory, sorted; hidden ones are relupd's own.
pub(super) fn directories(path: &Path) -> Result<Vec<String>, At> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.at(path)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.at(path)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && entry.file_type().at(path)?.is_dir() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Removes a directory; its name goes first and in one step, so that a half removed directory is never
/// taken for a whole one.
pub(super) fn remove_tree(path: &Path) -> Result<(), At> {
    let Some((parent, name)) = path.parent().zip(path.file_name()) else { return Ok(()) };
    let doomed = parent.join(format!(".{}.gone", name.to_string_lossy()));
    if exists(&doomed)? {
        fail_point::file("empty", path).at(path)?;
        fs::remove_dir_all(&doomed).at(&doomed)?;
    }
    if exists(path)? {
        fail_point::file("remove", path).at(path)?;
        fs::rename(path, &doomed).at(path)?;
        sync_directory(parent).at(parent)?;
        fail_point::file("empty", path).at(path)?;
        fs::remove_dir_all(&doomed).at(&doomed)?;
    }
    Ok(())
}

/// Renames, or copies where the staged tree lies on another file system.
pub(super) fn move_tree(staged: &Path, target: &Path) -> Result<(), At> {
    let parent = target.parent().unwrap_or(Path::new("/"));
    fail_point::file("move", target).at(target)?;
    match fs::rename(staged, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let name = target.file_name().unwrap_or_default().to_string_lossy();
            let beside = parent.join(format!(".{name}.new"));
            if exists(&beside)? {
                fs::remove_dir_all(&beside).at(&beside)?;
            }
            fail_point::file("write", target).at(target)?;
            copy_tree(staged, &beside)?;
            sync_tree(&beside)?;
            fail_point::file("rename", target).at(target)?;
            fs::rename(&beside, target).at(target)?;
        }
        renamed => renamed.at(target)?,
    }
    sync_directory(parent).at(parent)
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), At> {
    fs::create_dir(to).at(to)?;
    fs::set_permissions(to, fs::metadata(from).at(from)?.permissions()).at(to)?;
    for entry in fs::read_dir(from).at(from)? {
        let entry = entry.at(from)?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type().at(from)?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(entry.path()).at(from)?;
            std::os::unix::fs::symlink(link, &target).at(&target)?;
        } else {
            fs::copy(entry.path(), &target).at(&target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copied_tree_keeps_its_links_and_modes() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::create_dir_all(from.join("bin")).unwrap();
        replace_durably(&from.join("bin/run"), b"#!/bin/sh\n", 0o755).unwrap();
        std::os::unix::fs::symlink("bin", from.join("sbin")).unwrap();
        copy_tree(&from, &to).unwrap();
        assert_eq!(fs::read_link(to.join("sbin")).unwrap(), Path::new("bin"));
        assert_eq!(fs::metadata(to.join("sbin/run")).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
