//! The durable side of a member: one redb file with log, hard state and snapshot, and the mirror of
//! the log's tail that raft-rs reads.
//!
//! Invariants: what a method has returned from is on the disk; disk and mirror are equal after every
//! method that succeeded; after an error neither can be relied on, so the member stops.

mod disk;
mod error;
mod marker;
mod mirror;
mod redb_disk;
#[cfg(test)]
pub(super) mod tests;

pub use self::disk::{Batch, Content, Disk, Truncated};
pub use self::error::StorageError;
pub use self::marker::Owner;
pub use self::redb_disk::RedbDisk;

use self::mirror::Mirror;
use crate::ids::{ClusterId, NodeId, RaftId};
use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, Ready};
use std::path::Path;

/// Index and term of the snapshot that a new cluster starts from. A member that starts empty can then
/// only begin with a snapshot, which carries the configuration, and never replays the log from nothing.
const BOOTSTRAP_INDEX: u64 = 1;
const BOOTSTRAP_TERM: u64 = 1;

/// The state file of one member.
#[derive(Debug)]
pub struct Storage {
    disk: Box<dyn Disk>,
    mirror: Mirror,
    owner: Owner,
    /// A newer commit index than the one on the disk. raft-rs needs no sync for it, because a restarted
    /// member learns it again.
    commit_is_newer: bool,
}

impl Storage {
    /// Makes the state file of a new cluster's first node: its only voter, with `state` as a snapshot.
    pub fn bootstrap(path: &Path, owner: Owner, state: Vec<u8>) -> Result<Self, StorageError> {
        Self::bootstrap_on(Box::new(RedbDisk::open(path)?), owner, state)
    }

    /// The same on a disk of the caller's own.
    pub fn bootstrap_on(disk: Box<dyn Disk>, owner: Owner, state: Vec<u8>) -> Result<Self, StorageError> {
        Self::begin(disk, owner, Some(bootstrap_snapshot(owner.raft, state)))
    }

    /// Makes the state file of a node that joins: empty, until the leader sends a snapshot.
    pub fn join(path: &Path, owner: Owner) -> Result<Self, StorageError> {
        Self::join_on(Box::new(RedbDisk::open(path)?), owner)
    }

    /// The same on a disk of the caller's own.
    pub fn join_on(disk: Box<dyn Disk>, owner: Owner) -> Result<Self, StorageError> {
        Self::begin(disk, owner, None)
    }

    /// Removes the state file of an attempt of `node` to begin that did not come to its end. Only for a
    /// node whose membership was never stored: it has promised nobody anything, so nothing is lost.
    ///
    /// # Errors
    /// Where the file cannot be read or removed. Another node's is left alone, and is no error here.
    pub fn abandon(path: &Path, node: NodeId) -> Result<(), StorageError> {
        if !path.exists() {
            return Ok(());
        }
        let left = RedbDisk::open(path)?.load()?;
        if left.is_some_and(|content| content.owner.node == node) {
            let removed = std::fs::remove_file(path);
            removed.map_err(|source| StorageError::Remove { path: path.to_owned(), source })?;
        }
        Ok(())
    }

    /// Opens the state file of this node, and refuses that of any other.
    pub fn open(path: &Path, cluster: ClusterId, node: NodeId) -> Result<Self, StorageError> {
        Self::open_on(Box::new(RedbDisk::open(path)?), cluster, node)
    }

    /// The same on a disk of the caller's own.
    pub fn open_on(disk: Box<dyn Disk>, cluster: ClusterId, node: NodeId) -> Result<Self, StorageError> {
        let Some(content) = disk.load()? else {
            return Err(StorageError::Empty { path: disk.path().to_owned() });
        };
        if content.owner.cluster != cluster || content.owner.node != node {
            return Err(StorageError::Foreign {
                path: disk.path().to_owned(),
                cluster: content.owner.cluster,
                node: content.owner.node,
                this_cluster: cluster,
                this_node: node,
            });
        }
        Ok(Self::with_content(disk, content))
    }

    /// Whose file this is.
    #[must_use]
    pub fn owner(&self) -> Owner {
        self.owner
    }

    fn begin(
        mut disk: Box<dyn Disk>,
        owner: Owner,
        snapshot: Option<Snapshot>,
    ) -> Result<Self, StorageError> {
        if let Some(content) = disk.load()? {
            let Owner { cluster, node, raft: _ } = content.owner;
            return Err(StorageError::InUse { path: disk.path().to_owned(), cluster, node });
        }
        let snapshot = snapshot.unwrap_or_default();
        let mut content = Content {
            owner,
            hard_state: HardState::default(),
            truncated: truncated_at(&snapshot),
            snapshot,
            entries: Vec::new(),
        };
        content.hard_state.term = content.truncated.term;
        content.hard_state.commit = content.truncated.index;
        disk.commit(&Batch {
            marker: Some(owner),
            snapshot: Some(&content.snapshot),
            hard_state: Some(&content.hard_state),
            truncate: Some(content.truncated),
            ..Batch::default()
        })?;
        Ok(Self::with_content(disk, content))
    }

    fn with_content(disk: Box<dyn Disk>, content: Content) -> Self {
        Self { disk, owner: content.owner, mirror: Mirror::new(content), commit_is_newer: false }
    }

    /// The last snapshot, of this member's own state or of the leader's. Its index is 0 if there is none.
    pub(super) fn last_snapshot(&self) -> &Snapshot {
        self.mirror.snapshot()
    }

    /// The log's tail. It may begin before the last snapshot.
    pub(super) fn log(&self) -> &[Entry] {
        self.mirror.log()
    }

    /// Replaces snapshot and log by a state that no other member has, in a term of its own, `leap` entries ahead.
    pub(super) fn begin_anew(
        &mut self,
        leap: u64,
        membership: ConfState,
        state: Bytes,
    ) -> Result<(), StorageError> {
        let (index, term) = (self.mirror.last() + leap, self.mirror.hard_state().term + 1);
        let hard_state = HardState { term, commit: index, ..HardState::default() };
        self.append(Some(&new_snapshot(index, term, membership, state)), &[], Some(hard_state))
    }

    /// Whether raft-rs asked for a newer snapshot since this was last called.
    pub(super) fn take_snapshot_wish(&self) -> bool {
        self.mirror.take_snapshot_wish()
    }

    /// Writes what a `Ready` wants to be durable, in one synced transaction. A mere advance of the
    /// commit index is kept in memory until the next write.
    pub(super) fn persist(&mut self, ready: &Ready) -> Result<(), StorageError> {
        if ready.must_sync() {
            let snapshot = Some(ready.snapshot()).filter(|snapshot| !snapshot.is_empty());
            return self.append(snapshot, ready.entries(), ready.hs().cloned());
        }
        if let Some(hard_state) = ready.hs() {
            self.mirror.set_hard_state(hard_state.clone());
            self.commit_is_newer = true;
        }
        Ok(())
    }

    fn append(
        &mut self,
        snapshot: Option<&Snapshot>,
        entries: &[Entry],
        hard_state: Option<HardState>,
    ) -> Result<(), StorageError> {
        if let Some(snapshot) = snapshot {
            self.mirror.install(snapshot.clone());
        }
        if let Some(hard_state) = hard_state {
            self.mirror.set_hard_state(hard_state);
        }
        let first = entries.first().map(|entry| entry.index);
        let overwritten = first.filter(|first| *first <= self.mirror.last()).map(|first| first - 1);
        self.disk.commit(&Batch {
            snapshot,
            // Nothing of the old log may stay behind a snapshot: its entries need not match.
            drop_after: if snapshot.is_some() { Some(0) } else { overwritten },
            entries,
            hard_state: Some(self.mirror.hard_state()),
            truncate: snapshot.map(truncated_at),
            ..Batch::default()
        })?;
        self.mirror.append(entries);
        self.commit_is_newer = false;
        Ok(())
    }

    /// Remembers how far the log is committed.
    pub(super) fn set_commit(&mut self, commit: u64) {
        self.mirror.set_commit(commit);
        self.commit_is_newer = true;
    }

    /// Writes the commit index if the disk has an older one, so that a restart without a quorum shows
    /// as much as was seen before.
    pub(super) fn flush_commit(&mut self) -> Result<(), StorageError> {
        if !self.commit_is_newer {
            return Ok(());
        }
        self.disk.commit(&Batch { hard_state: Some(self.mirror.hard_state()), ..Batch::default() })?;
        self.commit_is_newer = false;
        Ok(())
    }

    /// Stores a snapshot of this member's own state as of `applied`, and drops the log but for the last
    /// `keep` entries before it.
    pub(super) fn compact(
        &mut self,
        applied: u64,
        membership: ConfState,
        state: Bytes,
        keep: u64,
    ) -> Result<(), StorageError> {
        let term = |index| {
            self.mirror.term_of(index).map_err(|error| StorageError::Damaged {
                path: self.disk.path().to_owned(),
                what: format!("no term of {index}: {error}"),
            })
        };
        let snapshot = new_snapshot(applied, term(applied)?, membership, state);
        let end = applied.saturating_sub(keep).max(self.mirror.truncated().index);
        let truncated = Truncated { index: end, term: term(end)? };
        self.disk.commit(&Batch {
            snapshot: Some(&snapshot),
            hard_state: Some(self.mirror.hard_state()),
            truncate: Some(truncated),
            ..Batch::default()
        })?;
        self.mirror.set_snapshot(snapshot);
        self.mirror.truncate(truncated);
        self.commit_is_newer = false;
        Ok(())
    }
}

fn truncated_at(snapshot: &Snapshot) -> Truncated {
    let meta = snapshot.get_metadata();
    Truncated { index: meta.index, term: meta.term }
}

fn bootstrap_snapshot(first: RaftId, state: Vec<u8>) -> Snapshot {
    let membership = ConfState::from((vec![first.0], vec![]));
    new_snapshot(BOOTSTRAP_INDEX, BOOTSTRAP_TERM, membership, state.into())
}

fn new_snapshot(index: u64, term: u64, membership: ConfState, state: Bytes) -> Snapshot {
    let mut snapshot = Snapshot::default();
    snapshot.set_data(state);
    let meta = snapshot.mut_metadata();
    meta.index = index;
    meta.term = term;
    meta.set_conf_state(membership);
    snapshot
}

impl raft::Storage for Storage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        self.mirror.initial_state()
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        self.mirror.entries(low, high, max_size, context)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.mirror.term(index)
    }

    fn first_index(&self) -> raft::Result<u64> {
        self.mirror.first_index()
    }

    fn last_index(&self) -> raft::Result<u64> {
        self.mirror.last_index()
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        raft::Storage::snapshot(&self.mirror, request_index, to)
    }
}
