//! A state file at the level of records: a commit is on it wholly or not at all, as redb's are
//! (`tests/disk.rs` holds the two against each other). It can be slow, full, or be cut off by a crash
//! right before or right after a commit became durable.

use relupd::consensus::{Batch, Content, Disk, StorageError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// What is on the disk, and how the disk behaves. It outlives the member that writes to it.
#[derive(Debug, Default)]
pub struct Platter {
    content: Option<Content>,
    /// How long one commit takes.
    pub fsync: Duration,
    /// How long commits have taken since this was last taken.
    pub spent: Duration,
    /// Nothing can be written.
    pub full: bool,
    /// The daemon crashes in a commit to come.
    pub crash: Option<Crash>,
    /// Commits so far.
    pub commits: u64,
}

/// A crash in the middle of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// After so many more commits.
    pub after: u64,
    /// Whether that commit is on the disk all the same.
    pub durable: bool,
}

/// A member's end of a disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk {
    platter: Arc<Mutex<Platter>>,
}

impl SimulatedDisk {
    /// The platter itself. One thread only: nobody else ever holds it.
    pub fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.try_lock().expect("a simulation is one thread, and no guard outlives a statement")
    }
}

impl Platter {
    fn write(&mut self, batch: &Batch<'_>) {
        let Some(owner) = batch.marker.or(self.content.as_ref().map(|content| content.owner)) else { return };
        let content = self.content.get_or_insert_with(|| Content {
            owner,
            hard_state: Default::default(),
            snapshot: Default::default(),
            truncated: Default::default(),
            entries: Vec::new(),
        });
        if let Some(snapshot) = batch.snapshot {
            content.snapshot = snapshot.clone();
        }
        if let Some(hard_state) = batch.hard_state {
            content.hard_state = hard_state.clone();
        }
        if let Some(last) = batch.drop_after {
            cut(content, last + 1);
        }
        if let Some(truncated) = batch.truncate {
            content.truncated = truncated;
            let kept = content.entries.partition_point(|entry| entry.index <= truncated.index);
            content.entries.drain(..kept);
        }
        if let Some(first) = batch.entries.first() {
            cut(content, first.index);
            content.entries.extend_from_slice(batch.entries);
        }
    }
}

/// Drops the entries from this one on.
fn cut(content: &mut Content, from: u64) {
    // Nearly always what is written follows what is there.
    if content.entries.last().is_none_or(|last| last.index < from) {
        return;
    }
    let kept = content.entries.partition_point(|entry| entry.index < from);
    content.entries.truncate(kept);
}

impl Disk for SimulatedDisk {
    fn path(&self) -> &Path {
        Path::new("<simulated disk>")
    }

    fn load(&self) -> Result<Option<Content>, StorageError> {
        Ok(self.platter().content.clone())
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StorageError> {
        let mut guard = self.platter();
        let platter = &mut *guard;
        platter.commits += 1;
        platter.spent += platter.fsync;
        if platter.full {
            return Err(failed(io::ErrorKind::StorageFull));
        }
        match &mut platter.crash {
            None => platter.write(batch),
            Some(Crash { after, .. }) if *after > 0 => {
                *after -= 1;
                platter.write(batch);
            }
            Some(Crash { durable, .. }) => {
                if *durable {
                    platter.write(batch);
                }
                platter.crash = None;
                return Err(failed(io::ErrorKind::Interrupted));
            }
        }
        Ok(())
    }
}

fn failed(kind: io::ErrorKind) -> StorageError {
    let source = Box::new(redb::Error::Io(io::Error::from(kind)));
    StorageError::Write { path: PathBuf::from("<simulated disk>"), source }
}
