//! A release's files as a tree on disk, copied out of the store. Copied and not linked: the app's user
//! reads the tree, and a link would let a change there rot the store.

use super::error::{StoreError, Wanted};
use super::files::{Files, require_space, sync_folder};
use crate::fail_point;
use crate::ids::Digest;
use relupd_release::manifest::{EntryKind, Manifest, Mode};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

const PIECE: usize = 64 * 1024;
/// The app's own user reads the tree. Set explicitly, whatever the daemon's umask is.
const DIRECTORY: u32 = 0o755;

/// Builds the tree beside `into`, makes it durable, and renames it there: once `into` exists, it is
/// complete. What an earlier call left is replaced.
pub(super) fn build(files: &Files, manifest: &Manifest, into: &Path) -> Result<(), StoreError> {
    let parent = into.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(StoreError::io("create the directory", parent, 0))?;
    let partial = partial(into);
    let point = |operation| {
        fail_point::file(operation, Path::new("staging/tree")).map_err(StoreError::io(operation, into, 0))
    };
    remove_tree(&partial)?;
    require_space(parent, manifest.size())?;
    let built = fill(files, manifest, &partial).and_then(|()| {
        remove_tree(into)?;
        point("rename")?;
        fs::rename(&partial, into).map_err(StoreError::io("rename to", into, 0))?;
        point("fsync")?;
        sync_folder(parent)
    });
    if built.is_err() {
        // The first error tells more than one of the cleaning up would.
        let _ = fs::remove_dir_all(&partial);
    }
    built
}

fn fill(files: &Files, manifest: &Manifest, root: &Path) -> Result<(), StoreError> {
    for folder in folders(manifest, root) {
        create_folder(&folder)?;
    }
    for entry in manifest.entries() {
        let path = entry.path.below(root);
        match &entry.kind {
            EntryKind::File { mode, size, digest } => copy(files, *digest, *size, *mode, &path)?,
            EntryKind::Symlink { target } => {
                symlink(target.as_str(), &path).map_err(StoreError::io("create the link", &path, 0))?;
            }
            EntryKind::Directory => {}
        }
    }
    fail_point::file("syncfs", Path::new("staging/tree")).map_err(StoreError::io("sync", root, 0))?;
    // One flush of the file system instead of one a file: a release has hundreds.
    let folder = File::open(root).map_err(StoreError::io("open", root, 0))?;
    rustix::fs::syncfs(&folder).map_err(|errno| StoreError::io("sync", root, 0)(errno.into()))
}

fn copy(files: &Files, content: Digest, size: u64, mode: Mode, path: &Path) -> Result<(), StoreError> {
    let wanted = Wanted::Blob(content);
    let (mut source, _) = files.find(wanted)?.ok_or(StoreError::Missing(wanted))?;
    // Nobody else reads it before it has the mode that it is meant to have.
    fail_point::file("create", Path::new("staging/file")).map_err(StoreError::io("create", path, size))?;
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut target = opened.map_err(StoreError::io("create", path, size))?;
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE];
    fail_point::file("write", Path::new("staging/file")).map_err(StoreError::io("write", path, size))?;
    loop {
        let length = source.read(&mut piece).map_err(StoreError::io("read", &files.path(wanted), 0))?;
        if length == 0 {
            break;
        }
        hasher.update(&piece[..length]);
        target.write_all(&piece[..length]).map_err(StoreError::io("write", path, size))?;
    }
    if Digest::from(hasher.finalize()) != content {
        return Err(files.discard(wanted));
    }
    let mode = Permissions::from_mode(mode.bits());
    target.set_permissions(mode).map_err(StoreError::io("set the mode of", path, 0))
}

/// Every directory of the tree, parents before children.
fn folders(manifest: &Manifest, root: &Path) -> BTreeSet<PathBuf> {
    let mut folders = BTreeSet::from([root.to_owned()]);
    for entry in manifest.entries() {
        folders.extend(entry.path.ancestors().map(|folder| root.join(folder)));
        if entry.kind == EntryKind::Directory {
            folders.insert(entry.path.below(root));
        }
    }
    folders
}

fn create_folder(path: &Path) -> Result<(), StoreError> {
    let created = fail_point::file("mkdir", Path::new("staging/directory"))
        .and_then(|()| fs::create_dir(path))
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(DIRECTORY)));
    created.map_err(StoreError::io("create the directory", path, 0))
}

fn remove_tree(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("remove the old tree", path, 0)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn partial(into: &Path) -> PathBuf {
    let mut name = into.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    into.with_file_name(name)
}
