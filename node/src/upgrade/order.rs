//! An order and its package, as the daemon leaves them for the installer in a directory of its own. Root
//! reads them without believing anything about that directory: the daemon's user can put there what it
//! likes, whenever it likes.

use crate::durable;
use relupd_release::Digest;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const ORDER: &str = "order.json";
const PACKAGE: &str = "relupd.deb";

/// An order is some hundred bytes.
const MAX_ORDER: u64 = 64 << 10;

/// A package is some tens of megabytes. Who wants to fill root's disk gets no further than this.
const MAX_PACKAGE: u64 = 512 << 20;

/// What is to be installed, and who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Told from every other order by this.
    pub order: String,
    /// What is signed, byte for byte.
    pub statement: String,
    /// Ed25519 over it.
    pub signature: Vec<u8>,
}

/// What was left for the installer cannot be used. Says nothing of what was found: that may be a file which
/// only root can read.
#[derive(Debug, thiserror::Error)]
pub enum StagedError {
    /// It is not there, or is no plain file.
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is no order.
    #[error("{0} is no order")]
    NoOrder(PathBuf),
    /// It would fill the disk.
    #[error("{0} is too large for a package")]
    TooLarge(PathBuf),
    /// Root's own directory cannot be written to.
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Order {
    /// The daemon's side: makes the directory, and puts the order where the installer looks once its package
    /// lies beside it.
    pub(super) fn stage(
        &self,
        directory: &Path,
        package: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        // An order without its package, or with that of another, must not be found after a crash.
        remove(&directory.join(ORDER))?;
        let path = directory.join(PACKAGE);
        remove(&path)?;
        package(&path)?;
        durable::sync_directory(directory)?;
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        durable::replace(&directory.join(ORDER), &text, 0o600)
    }

    /// The installer's side; none where nothing is ordered.
    pub(super) fn find(directory: &Path) -> Result<Option<Self>, StagedError> {
        let path = directory.join(ORDER);
        let file = match open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StagedError::Read { path, source }),
            Ok(file) => file,
        };
        let mut text = Vec::new();
        file.take(MAX_ORDER)
            .read_to_end(&mut text)
            .map_err(|source| StagedError::Read { path: path.clone(), source })?;
        serde_json::from_slice(&text).map(Some).map_err(|_| StagedError::NoOrder(path))
    }

    /// Copies the package to where only root can change it, before anything about it is verified; the
    /// copy's digest and length.
    pub(super) fn take_package(directory: &Path, to: &Path) -> Result<(Digest, u64), StagedError> {
        let path = directory.join(PACKAGE);
        let unread = |source| StagedError::Read { path: path.clone(), source };
        let unwritten = |source| StagedError::Write { path: to.to_owned(), source };
        let mut from = open(&path).map_err(unread)?;
        remove(to).map_err(unwritten)?;
        let mut copy =
            File::options().write(true).create_new(true).mode(0o600).open(to).map_err(unwritten)?;
        let (mut hasher, mut size, mut piece) = (blake3::Hasher::new(), 0, vec![0; 1 << 16]);
        loop {
            let length = from.read(&mut piece).map_err(unread)?;
            if length == 0 {
                break;
            }
            size += length as u64;
            if size > MAX_PACKAGE {
                remove(to).map_err(unwritten)?;
                return Err(StagedError::TooLarge(path));
            }
            hasher.update(&piece[..length]);
            copy.write_all(&piece[..length]).map_err(unwritten)?;
        }
        copy.sync_all().map_err(unwritten)?;
        Ok((hasher.finalize().into(), size))
    }
}

/// A plain file, by no link; whatever else is there is not waited for.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    Ok(file)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use tempfile::TempDir;

    fn order() -> Order {
        Order { order: "o1".to_owned(), statement: "text".to_owned(), signature: vec![1, 2, 3] }
    }

    #[test]
    fn what_is_staged_is_found() {
        let root = TempDir::new().unwrap();
        let staged = root.path().join("upgrade");
        assert_eq!(Order::find(&staged).unwrap(), None);
        order().stage(&staged, |path| fs::write(path, b"package")).unwrap();
        assert_eq!(Order::find(&staged).unwrap(), Some(order()));
        let copy = root.path().join("copy.deb");
        let taken = Order::take_package(&staged, &copy).unwrap();
        assert_eq!(taken, (Digest::of(b"package"), 7));
        assert_eq!(fs::read(copy).unwrap(), b"package");
    }

    #[test]
    fn a_package_that_did_not_arrive_leaves_no_order() {
        let root = TempDir::new().unwrap();
        order().stage(root.path(), |path| fs::write(path, b"package")).unwrap();
        order().stage(root.path(), |_| Err(io::ErrorKind::StorageFull.into())).expect_err("a full disk");
        assert_eq!(Order::find(root.path()).unwrap(), None);
    }

    #[test]
    fn root_is_not_led_elsewhere() {
        let root = TempDir::new().unwrap();
        let secret = root.path().join("secret");
        fs::write(&secret, "root:$6$secret").unwrap();
        for name in [ORDER, PACKAGE] {
            symlink(&secret, root.path().join(name)).unwrap();
        }
        let refused = Order::find(root.path()).expect_err("a link");
        assert!(!relupd_core::chain(&refused).contains("$6$"), "{refused}");
        Order::take_package(root.path(), &root.path().join("copy")).expect_err("a link");
        remove(&root.path().join(ORDER)).unwrap();
        fs::write(root.path().join(ORDER), "root:$6$secret").unwrap();
        let refused = Order::find(root.path()).expect_err("no order");
        assert!(!relupd_core::chain(&refused).contains("$6$"), "{refused}");
        remove(&root.path().join(PACKAGE)).unwrap();
        let fifo = root.path().join(PACKAGE);
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        Order::take_package(root.path(), &root.path().join("copy")).expect_err("a pipe is not waited for");
    }
}
