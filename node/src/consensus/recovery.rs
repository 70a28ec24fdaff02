//! After the quorum is lost: what one member holds becomes all there is, and the member its only voter.
//!
//! Invariants: nothing that this member held is lost, committed or not; the new line begins beyond
//! everything that any member of the old one can have committed, so that survivors take it over as a
//! snapshot, whatever they hold; the state file holds the old line or the new one, whole.

use super::machine::{MachineError, StateMachine};
use super::storage::{Storage, StorageError};
use crate::ids::{ClusterId, NodeId, RaftId};
use raft::eraftpb::{ConfState, EntryType};
use std::path::Path;

/// How far beyond its old log a recovered member begins. Others may have been ahead of it, and a snapshot from
/// before what they have committed would be ignored. Logs are compacted long before a member is so far behind.
const LEAP: u64 = 1_000_000;

/// A state file that no cluster can be made from.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// It cannot be read or written.
    #[error("cannot use the state file")]
    Storage(#[from] StorageError),
    /// The leader's first snapshot has not arrived here yet.
    #[error("this node holds nothing of the cluster yet: recover on one that has been in it for longer")]
    Empty,
    /// The stored snapshot is not understood by the state machine.
    #[error(
        "the stored state cannot be restored: it was written by another version of relupd, or is damaged"
    )]
    Restore(#[source] MachineError),
    /// The state machine does not understand an entry.
    #[error(
        "entry {index} of the log cannot be applied: it was written by another version of relupd, or is damaged"
    )]
    Apply {
        /// Its index.
        index: u64,
        /// What the state machine said.
        #[source]
        source: MachineError,
    },
}

/// A member that outlived its quorum, with everything that it holds applied.
#[derive(Debug)]
pub struct Survivor<S> {
    storage: Storage,
    machine: S,
}

impl<S: StateMachine> Survivor<S> {
    /// Reads this node's state file, of which nothing is changed yet. No member may run on it.
    ///
    /// # Errors
    /// Where it cannot be read, is another node's, or holds nothing.
    pub fn read(
        path: &Path,
        cluster: ClusterId,
        node: NodeId,
        mut machine: S,
    ) -> Result<Self, RecoveryError> {
        let storage = Storage::open(path, cluster, node)?;
        let snapshot = storage.last_snapshot();
        let from = snapshot.get_metadata().index;
        if from == 0 {
            return Err(RecoveryError::Empty);
        }
        machine.restore(snapshot.get_data()).map_err(RecoveryError::Restore)?;
        for entry in storage.log().iter().filter(|entry| entry.index > from && !entry.data.is_empty()) {
            if entry.get_entry_type() == EntryType::EntryNormal {
                let applied = machine.apply(entry.index, &entry.data);
                applied.map_err(|source| RecoveryError::Apply { index: entry.index, source })?;
            }
        }
        Ok(Self { storage, machine })
    }

    /// The state, to be changed before it is the new line's beginning.
    pub const fn machine(&mut self) -> &mut S {
        &mut self.machine
    }

    /// Makes this member the only voter of a new line that begins with the state; `learners` follow it once
    /// they hear of it. Once this returns it is on the disk.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn found(mut self, learners: impl IntoIterator<Item = RaftId>) -> Result<(), RecoveryError> {
        let me = self.storage.owner().raft;
        let learners = learners.into_iter().filter(|id| *id != me).map(|id| id.0).collect::<Vec<_>>();
        let membership = ConfState::from((vec![me.0], learners));
        Ok(self.storage.begin_anew(LEAP, membership, self.machine.snapshot())?)
    }
}
