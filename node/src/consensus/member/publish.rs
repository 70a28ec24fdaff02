//! What a member tells about itself after every step.

use super::Member;
use crate::consensus::machine::StateMachine;
use crate::consensus::membership::Membership;
use crate::consensus::status::{Leadership, Role, Status};
use crate::ids::RaftId;

impl<S: StateMachine> Member<S> {
    pub(in crate::consensus) fn publish_status(&self) {
        let raft = &self.raft.raft;
        let leader = Some(raft.leader_id).filter(|id| *id != raft::INVALID_ID).map(RaftId);
        let leadership = Leadership { term: raft.term, leader, is_self: self.is_leader() };
        self.published.leadership.send_if_modified(|old| std::mem::replace(old, leadership) != leadership);
        let peers = if self.is_leader() {
            self.peers.status(raft.id, raft.raft_log.committed, raft.prs().iter())
        } else {
            Default::default()
        };
        let status = Status {
            id: RaftId(raft.id),
            role: Role::from(raft.state),
            term: raft.term,
            leader,
            commit: raft.raft_log.committed,
            applied: self.applied.index,
            membership: Membership::from(&self.membership),
            peers,
        };
        self.published.status.send_if_modified(|old| {
            let changed = *old != status;
            *old = status;
            changed
        });
    }
}
