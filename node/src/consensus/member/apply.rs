//! From the committed log into the state machine, and from the state machine into snapshots.

use super::{Applied, Member};
use crate::consensus::error::MemberError;
use crate::consensus::machine::StateMachine;
use crate::consensus::membership::Membership;
use crate::consensus::request::{Position, RequestId};
use protobuf::Message as _;
use raft::eraftpb::{ConfChange, ConfChangeV2, Entry, EntryType, Snapshot};

impl<S: StateMachine> Member<S> {
    pub(super) fn apply(&mut self, entries: Vec<Entry>) -> Result<(), MemberError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut outcomes = Vec::new();
        let mut changed = false;
        for entry in entries {
            let at = Position { index: entry.index, term: entry.term };
            let outcome = self.apply_one(&entry)?;
            changed |= matches!(outcome, Some(Applied::Command(_)));
            let waiter = self.proposals.applied(at, RequestId::from_bytes(&entry.context));
            self.applied = at;
            outcomes.extend(waiter.zip(outcome));
        }
        if changed {
            self.published.views.send_replace(self.machine.view());
        }
        for (waiter, outcome) in outcomes {
            // Whoever waited may have given up, which changes nothing.
            let _ = waiter.send(Ok(outcome));
        }
        Ok(())
    }

    fn apply_one(&mut self, entry: &Entry) -> Result<Option<Applied<S::Outcome>>, MemberError> {
        let damaged = |error: protobuf::ProtobufError| MemberError::Entry {
            index: entry.index,
            reason: error.to_string(),
        };
        match entry.get_entry_type() {
            // A new leader begins its term with an empty entry.
            EntryType::EntryNormal if entry.data.is_empty() => Ok(None),
            EntryType::EntryNormal => {
                let outcome = self.machine.apply(entry.index, &entry.data);
                let outcome = outcome.map_err(|source| MemberError::Apply { index: entry.index, source })?;
                Ok(Some(Applied::Command(outcome)))
            }
            EntryType::EntryConfChange => {
                let change = ConfChange::parse_from_bytes(&entry.data).map_err(damaged)?;
                self.change_membership(&to_v2(&change)).map(Some)
            }
            EntryType::EntryConfChangeV2 => {
                let change = ConfChangeV2::parse_from_bytes(&entry.data).map_err(damaged)?;
                self.change_membership(&change).map(Some)
            }
        }
    }

    fn change_membership(&mut self, change: &ConfChangeV2) -> Result<Applied<S::Outcome>, MemberError> {
        // Every member refuses a bad change alike, so refusing is as good as applying.
        let state = match self.raft.apply_conf_change(change) {
            Ok(state) => state,
            Err(error) => return Ok(Applied::Refused(error.to_string())),
        };
        self.enter(state);
        // A restart must not fall back to a configuration that is no longer in force: its quorum may
        // be one that cannot be had any more. So this commit index is on the disk before the new
        // configuration decides anything.
        self.raft.mut_store().flush_commit()?;
        let membership = Membership::clone(&self.known_membership);
        tracing::info!(?membership, "the raft configuration changed");
        self.step_down_if_removed();
        Ok(Applied::Membership(membership))
    }

    /// raft-rs lets a leader that is no longer a voter lead on.
    fn step_down_if_removed(&mut self) {
        if self.is_leader() && !self.raft.raft.promotable() {
            let term = self.raft.raft.term;
            self.raft.raft.become_follower(term, raft::INVALID_ID);
        }
    }

    /// Takes over a snapshot of the leader, before it is written: one that this program does not
    /// understand must not replace what is on the disk.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) -> Result<(), MemberError> {
        if snapshot.is_empty() {
            return Ok(());
        }
        self.machine.restore(snapshot.get_data()).map_err(MemberError::Restore)?;
        let meta = snapshot.get_metadata();
        self.applied = Position { index: meta.index, term: meta.term };
        self.enter(meta.get_conf_state().clone());
        self.proposals.jumped(self.applied);
        self.published.views.send_replace(self.machine.view());
        tracing::info!(index = meta.index, "took over a snapshot");
        Ok(())
    }

    /// Stores a snapshot when the log has grown, or when a peer needs a newer one than there is.
    pub(super) fn snapshot_if_due(&mut self) -> Result<(), MemberError> {
        let wished = self.raft.store().take_snapshot_wish();
        let last = self.raft.store().last_snapshot().get_metadata();
        let has_grown = self.applied.index >= last.index + self.options.snapshot_every;
        let is_newer = self.applied.index > last.index;
        if !(has_grown || wished && is_newer) {
            return Ok(());
        }
        let (index, keep) = (self.applied.index, self.options.keep_entries);
        let (membership, state) = (self.membership.clone(), self.machine.snapshot());
        tracing::debug!(index, bytes = state.len(), "storing a snapshot");
        self.raft.mut_store().compact(index, membership, state, keep)?;
        Ok(())
    }
}

/// Changes of the first format are never proposed here, yet raft's log may hold them.
fn to_v2(change: &ConfChange) -> ConfChangeV2 {
    let mut single = raft::eraftpb::ConfChangeSingle::default();
    single.set_change_type(change.get_change_type());
    single.node_id = change.node_id;
    let mut v2 = ConfChangeV2::default();
    v2.set_changes(vec![single].into());
    v2
}
