//! The ledger on disk: one small file an app, replaced as a whole. Layout: the BLAKE3 of the rest, then CBOR.

use super::ledger::LedgerEntry;
use crate::durable;
use crate::ids::{AppName, Generation};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const FORMAT: u16 = 1;

/// The ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file system refused something.
    #[error("cannot {what} the ledger {path}; nothing was done to the app")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is there, but it is not a ledger of this version.
    #[error(
        "ledger {path} is unreadable ({reason}); it is kept as {kept}, and orders given before are not begun again"
    )]
    Unreadable { path: PathBuf, reason: String, kept: PathBuf },
    /// The task that wrote it did not end.
    #[error("writing the ledger {path} was interrupted; nothing was done to the app")]
    Interrupted { path: PathBuf },
}

#[derive(Serialize, Deserialize)]
struct Stored {
    format: u16,
    entry: LedgerEntry,
}

/// Where one app's ledger lives.
#[derive(Clone, Debug)]
pub struct LedgerFile {
    folder: PathBuf,
    path: PathBuf,
}

impl LedgerFile {
    /// The ledger of `app` below the daemon's state directory.
    #[must_use]
    pub fn new(state: &Path, app: &AppName) -> Self {
        let folder = state.join("ledger");
        let path = folder.join(format!("{app}.cbor"));
        Self { folder, path }
    }

    /// Reads the ledger. One that cannot be read is moved aside, never reset: the entry that takes its
    /// place remembers that orders up to `newest` may have been begun, and the error says so.
    ///
    /// # Errors
    /// Where the file system refuses; the app must then be left alone.
    pub fn load(
        &self,
        newest: Option<Generation>,
    ) -> Result<(LedgerEntry, Option<LedgerError>), LedgerError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((LedgerEntry::default(), None));
            }
            Err(source) => return Err(self.io("read", source)),
        };
        match recover(&bytes, newest) {
            (entry, None) => Ok((entry, None)),
            (entry, Some(reason)) => {
                let kept = self.free_name();
                fs::copy(&self.path, &kept).map_err(|source| self.io("keep", source))?;
                self.store(&entry)?;
                Ok((entry, Some(LedgerError::Unreadable { path: self.path.clone(), reason, kept })))
            }
        }
    }

    /// Writes the ledger; it is on disk when this returns.
    ///
    /// # Errors
    /// Where the file system refuses; the effect must then not be begun.
    pub fn store(&self, entry: &LedgerEntry) -> Result<(), LedgerError> {
        let bytes = encode(entry).map_err(|source| self.io("encode", source))?;
        fs::create_dir_all(&self.folder).map_err(|source| self.io("make room for", source))?;
        durable::replace(&self.path, &bytes, 0o600).map_err(|source| self.io("write", source))
    }

    /// As `store`, off the runtime's threads.
    ///
    /// # Errors
    /// As `store`.
    pub async fn store_async(&self, entry: LedgerEntry) -> Result<(), LedgerError> {
        let file = self.clone();
        let written = tokio::task::spawn_blocking(move || file.store(&entry)).await;
        written.unwrap_or_else(|_| Err(LedgerError::Interrupted { path: self.path.clone() }))
    }

    fn io(&self, what: &'static str, source: io::Error) -> LedgerError {
        LedgerError::Io { what, path: self.path.clone(), source }
    }

    fn free_name(&self) -> PathBuf {
        let mut number = 1_u32;
        loop {
            let name = self.path.with_extension(format!("unreadable-{number}"));
            if !name.exists() {
                return name;
            }
            number += 1;
        }
    }
}

/// What these bytes say. Where they cannot be read, with the reason: an entry that remembers that orders
/// up to `newest` may have been begun.
#[must_use]
pub fn recover(bytes: &[u8], newest: Option<Generation>) -> (LedgerEntry, Option<String>) {
    match decode(bytes) {
        Ok(entry) => (entry, None),
        Err(reason) => (LedgerEntry { lost_up_to: newest, ..LedgerEntry::default() }, Some(reason)),
    }
}

/// The bytes of a ledger.
///
/// # Errors
/// Where an entry cannot be put into CBOR, which no type in it refuses.
pub fn encode(entry: &LedgerEntry) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    let stored = Stored { format: FORMAT, entry: entry.clone() };
    ciborium::into_writer(&stored, &mut body).map_err(|error| io::Error::other(error.to_string()))?;
    let mut bytes = blake3::hash(&body).as_bytes().to_vec();
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

fn decode(bytes: &[u8]) -> Result<LedgerEntry, String> {
    let (sum, body) =
        bytes.split_at_checked(blake3::OUT_LEN).ok_or_else(|| format!("only {} bytes", bytes.len()))?;
    if blake3::hash(body).as_bytes() != sum {
        return Err("its checksum does not match".to_owned());
    }
    let stored: Stored = ciborium::from_reader(body).map_err(|error| error.to_string())?;
    if stored.format == FORMAT {
        Ok(stored.entry)
    } else {
        Err(format!("its format is {}, this daemon knows {FORMAT}", stored.format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path) -> LedgerFile {
        LedgerFile::new(folder, &"shop".parse().unwrap())
    }

    #[test]
    fn what_was_stored_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let entry = LedgerEntry { repaired: 3, ..LedgerEntry::default() };
        file(folder.path()).store(&entry).unwrap();
        let (loaded, problem) = file(folder.path()).load(None).unwrap();
        assert_eq!(loaded, entry);
        assert!(problem.is_none());
    }

    #[test]
    fn an_unreadable_ledger_is_named_kept_and_never_silently_reset() {
        let folder = tempfile::tempdir().unwrap();
        let file = file(folder.path());
        file.store(&LedgerEntry::default()).unwrap();
        let mut bytes = fs::read(&file.path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&file.path, &bytes).unwrap();

        let (entry, problem) = file.load(Some(Generation(7))).unwrap();
        let Some(LedgerError::Unreadable { kept, .. }) = problem else { panic!("{problem:?}") };
        assert_eq!(fs::read(kept).unwrap(), bytes);
        assert!(entry.lost(Generation(7)) && !entry.lost(Generation(8)));

        let (again, problem) = file.load(None).unwrap();
        assert_eq!(again, entry, "the loss is remembered");
        assert!(problem.is_none());
    }
}
