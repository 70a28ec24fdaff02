//! How a member ends: a leader hands over first.

use super::Member;
use crate::clock::Monotonic;
use crate::consensus::error::MemberError;
use crate::consensus::machine::StateMachine;

/// The member is to stop.
pub(super) struct Stop {
    deadline: Monotonic,
    /// It led when it was told to, and there is somebody to take over.
    handing_over: bool,
}

impl<S: StateMachine> Member<S> {
    pub(super) fn begin_stop(&mut self, now: Monotonic) {
        if self.stop.is_none() {
            let deadline = now + self.options.handover_timeout;
            self.stop = Some(Stop { deadline, handing_over: self.hand_over() });
        }
    }

    /// A leader stays until its successor is heard of, so that no moment without a leader is added to
    /// the moment without this node.
    pub(super) fn may_stop(&self, now: Monotonic) -> bool {
        let Some(stop) = &self.stop else { return false };
        let is_succeeded = !self.is_leader() && self.raft.raft.leader_id != raft::INVALID_ID;
        !stop.handing_over || is_succeeded || now >= stop.deadline
    }

    pub(super) fn finish(mut self) -> Result<(), MemberError> {
        self.raft.mut_store().flush_commit()?;
        tracing::info!(applied = self.applied.index, "consensus member stopped");
        Ok(())
    }
}
