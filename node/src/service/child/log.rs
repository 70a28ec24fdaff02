//! Where an app's output goes: a file of its own, so that it does not end with the daemon.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// At a start, a log that has grown beyond this becomes `NAME.log.1`. The app holds the file itself,
/// so it cannot be turned over while it runs.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Opens the log to append to, the old one set aside where it is too long.
pub(super) fn open(path: &Path) -> io::Result<File> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_BYTES => fs::rename(path, path.with_extension("log.1"))?,
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_a_long_log_aside_and_keeps_a_short_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("shop.log");
        open(&path).and_then(|file| file.set_len(MAX_BYTES)).expect("a log");
        open(&path).and_then(|file| file.set_len(MAX_BYTES + 1)).expect("the same log");
        assert!(!directory.path().join("shop.log.1").exists());
        assert_eq!(open(&path).and_then(|file| file.metadata()).expect("a new log").len(), 0);
        assert!(directory.path().join("shop.log.1").exists());
    }
}
