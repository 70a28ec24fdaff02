//! What a member tells about itself after every step.

use super::Member;
use crate::consensus::machine::StateMachine;
use crate::consensus::status::{Leadership, Role, Status};
use crate::ids::RaftId;
use std::collections::BTreeMap;
use std::sync::Arc;

impl<S: StateMachine> Member<S> {
    pub(in crate::consensus) fn publish_status(&mut self) {
        let raft = &self.raft.raft;
        let leader = Some(raft.leader_id).filter(|id| *id != raft::INVALID_ID).map(RaftId);
        let leadership = Leadership { term: raft.term, leader, is_self: self.is_leader() };
        self.published.leadership.send_if_modified(|old| std::mem::replace(old, leadership) != leadership);
        let mut status = Status {
            id: RaftId(raft.id),
            role: Role::from(raft.state),
            term: raft.term,
            leader,
            commit: raft.raft_log.committed,
            applied: self.applied.index,
            membership: Arc::clone(&self.known_membership),
            peers: BTreeMap::new(),
        };
        // Once a tick is soon enough for what is measured in seconds: there may be a thousand of them.
        let ticked = self.peers_published != self.ticks;
        self.published.status.send_if_modified(|old| {
            let kept = if ticked || old.role != status.role || old.term != status.term {
                if self.is_leader() {
                    status.peers = self.peers.status(raft.id, raft.raft_log.committed, raft.prs().iter());
                }
                None
            } else {
                Some(std::mem::take(&mut old.peers))
            };
            let changed = *old != status;
            *old = status;
            if let Some(peers) = kept {
                old.peers = peers;
            }
            changed
        });
        self.peers_published = self.ticks;
    }
}
