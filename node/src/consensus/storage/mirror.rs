//! What raft-rs reads: the tail of the log in memory, always equal to what is on the disk.

use super::disk::{Content, Truncated};
use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{GetEntriesContext, RaftState, StorageError as RaftStorageError};
use std::cell::Cell;

#[derive(Debug)]
pub(super) struct Mirror {
    hard_state: HardState,
    snapshot: Snapshot,
    truncated: Truncated,
    /// Without gaps; the first one follows `truncated`.
    entries: Vec<Entry>,
    /// raft-rs wants a newer snapshot than there is. `Cell`, because it asks through `&self`.
    wants_snapshot: Cell<bool>,
}

impl Mirror {
    pub(super) fn new(content: Content) -> Self {
        Self {
            hard_state: content.hard_state,
            snapshot: content.snapshot,
            truncated: content.truncated,
            entries: content.entries,
            wants_snapshot: Cell::new(false),
        }
    }

    pub(super) fn last(&self) -> u64 {
        self.truncated.index + self.entries.len() as u64
    }

    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    pub(super) fn log(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn hard_state(&self) -> &HardState {
        &self.hard_state
    }

    pub(super) fn truncated(&self) -> Truncated {
        self.truncated
    }

    pub(super) fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    pub(super) fn set_commit(&mut self, commit: u64) {
        self.hard_state.commit = commit;
    }

    pub(super) fn take_snapshot_wish(&self) -> bool {
        self.wants_snapshot.replace(false)
    }

    pub(super) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(
            self.truncated.index < first.index && first.index <= self.last() + 1,
            "raft-rs appends entry {} to a log of {}..={}",
            first.index,
            self.truncated.index + 1,
            self.last()
        );
        self.entries.truncate(self.offset(first.index));
        self.entries.extend_from_slice(entries);
    }

    /// Takes over a snapshot of this member's own state; the log stays.
    pub(super) fn set_snapshot(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
    }

    /// Takes over the leader's snapshot; the log starts anew behind it.
    pub(super) fn install(&mut self, snapshot: Snapshot) {
        let meta = snapshot.get_metadata();
        self.truncated = Truncated { index: meta.index, term: meta.term };
        self.entries.clear();
        self.hard_state.commit = self.hard_state.commit.max(meta.index);
        self.hard_state.term = self.hard_state.term.max(meta.term);
        self.snapshot = snapshot;
    }

    /// Drops entries from the beginning, up to and with this one.
    pub(super) fn truncate(&mut self, to: Truncated) {
        self.entries.drain(..self.offset(to.index + 1));
        self.entries.shrink_to(2 * self.entries.len());
        self.truncated = to;
    }

    /// The term of an entry that is in the log, or of the one just before it.
    pub(super) fn term_of(&self, index: u64) -> raft::Result<u64> {
        if index == self.truncated.index {
            return Ok(self.truncated.term);
        }
        let snapshot = self.snapshot.get_metadata();
        if index == snapshot.index {
            return Ok(snapshot.term);
        }
        if index < self.truncated.index {
            return Err(RaftStorageError::Compacted.into());
        }
        self.entries
            .get(self.offset(index))
            .map(|entry| entry.term)
            .ok_or_else(|| RaftStorageError::Unavailable.into())
    }

    fn offset(&self, index: u64) -> usize {
        usize::try_from(index - self.truncated.index - 1).expect("the log is in memory")
    }
}

impl raft::Storage for Mirror {
    fn initial_state(&self) -> raft::Result<RaftState> {
        // The configuration belongs to the snapshot: later changes of it are applied again from the log.
        Ok(RaftState::new(self.hard_state.clone(), self.snapshot.get_metadata().get_conf_state().clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.truncated.index {
            return Err(RaftStorageError::Compacted.into());
        }
        if high > self.last() + 1 {
            return Err(RaftStorageError::Unavailable.into());
        }
        let mut entries = self.entries[self.offset(low)..self.offset(high)].to_vec();
        raft::util::limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.term_of(index)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.truncated.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let meta = self.snapshot.get_metadata();
        // A member that is not in the snapshot's configuration would throw the snapshot away.
        if meta.index >= request_index && knows(meta.get_conf_state(), to) {
            return Ok(self.snapshot.clone());
        }
        self.wants_snapshot.set(true);
        Err(RaftStorageError::SnapshotTemporarilyUnavailable.into())
    }
}

fn knows(state: &ConfState, id: u64) -> bool {
    [state.get_voters(), state.get_learners(), state.get_voters_outgoing()]
        .iter()
        .any(|ids| ids.contains(&id))
}
