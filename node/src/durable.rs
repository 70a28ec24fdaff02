//! Small files and names that last: changed so that a crash or a power cut at any instant leaves the old or
//! the new, whole.

use crate::fail_point;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Replaces a file so that after any crash it holds either the old or the new content, whole.
pub(crate) fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    replace_for(path, content, mode, None)
}

/// The same for a file that this group reads. It has the group before it has its name: were it the other way
/// round, a crash or a refusal in between would leave a file that its readers cannot read.
pub(crate) fn replace_for(path: &Path, content: &[u8], mode: u32, gid: Option<u32>) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = directory.join(format!(".{name}.new"));
    remove_if_there(&temporary)?;
    fail_point::file("create", path)?;
    let mut file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
    if gid.is_some() {
        std::os::unix::fs::fchown(&file, None, gid)?;
    }
    // Whatever the daemon's umask: what an app's user must read, it can.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    fail_point::file("write", path)?;
    file.write_all(content)?;
    fail_point::file("fsync", path)?;
    file.sync_all()?;
    fail_point::file("rename", path)?;
    fs::rename(&temporary, path)?;
    sync_directory(directory)
}

/// Takes a file away, for good.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fail_point::file("remove", path)?;
    remove_if_there(path)?;
    sync_directory(path.parent().unwrap_or(Path::new("/")))
}

/// Makes the names in a directory last.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    fail_point::file("fsync", path)?;
    File::open(path)?.sync_all()
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
