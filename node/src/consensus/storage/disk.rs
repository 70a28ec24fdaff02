//! What a member asks of its state file, record by record. The file of a daemon is redb's
//! (`redb_disk.rs`); a simulator brings one of its own.

use super::error::StorageError;
use super::marker::Owner;
use raft::eraftpb::{Entry, HardState, Snapshot};
use std::fmt;
use std::path::Path;

/// Index and term of the last entry that is no longer in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// Its index.
    pub index: u64,
    /// Its term.
    pub term: u64,
}

/// What one transaction writes.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// Whose file this is from now on.
    pub marker: Option<Owner>,
    /// Takes the place of the stored one.
    pub snapshot: Option<&'a Snapshot>,
    /// Entries after this one go, before new ones are appended.
    pub drop_after: Option<u64>,
    /// Appended; one of the same index is replaced.
    pub entries: &'a [Entry],
    /// Takes the place of the stored one.
    pub hard_state: Option<&'a HardState>,
    /// Entries up to this one go.
    pub truncate: Option<Truncated>,
}

/// What is in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    /// Whose file it is.
    pub owner: Owner,
    /// Term, vote and commit.
    pub hard_state: HardState,
    /// The last snapshot; of index 0 where there is none.
    pub snapshot: Snapshot,
    /// Where the log begins.
    pub truncated: Truncated,
    /// Without gaps; the first one follows `truncated`.
    pub entries: Vec<Entry>,
}

/// A state file. A batch is on the disk once `commit` has returned, wholly; a crash in between leaves
/// all of it or nothing.
pub trait Disk: fmt::Debug + Send {
    /// For messages.
    fn path(&self) -> &Path;

    /// Everything in the file, or nothing if nobody owns it yet.
    ///
    /// # Errors
    /// Where it cannot be read.
    fn load(&self) -> Result<Option<Content>, StorageError>;

    /// Writes a batch; once this returns it is on the disk.
    ///
    /// # Errors
    /// Where it cannot be written; nothing that the file was to hold can be relied on then.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StorageError>;
}

impl Truncated {
    pub(super) fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.index.to_be_bytes());
        bytes[8..].copy_from_slice(&self.term.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (index, term) = bytes.split_first_chunk()?;
        Some(Self { index: u64::from_be_bytes(*index), term: u64::from_be_bytes(term.try_into().ok()?) })
    }
}
