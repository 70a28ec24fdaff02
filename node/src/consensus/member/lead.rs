//! What only a leader does: appending proposals, changing the configuration, handing over.

use super::{Member, StateMachine};
use crate::clock::Monotonic;
use crate::consensus::membership::{Membership, MembershipChange};
use crate::consensus::request::{Payload, Position, Reply, RequestId};
use crate::ids::RaftId;
use raft::SnapshotStatus;
use raft::eraftpb::ConfChangeV2;

impl<S: StateMachine> Member<S> {
    /// Appends a proposal to the log, if this member leads.
    pub(super) fn append(&mut self, id: RequestId, payload: &Payload) -> Reply {
        if !self.is_leader() {
            return Reply::NotLeader;
        }
        if self.stop.is_some() {
            return Reply::Busy;
        }
        let appended = match payload {
            Payload::Command(command) if command.is_empty() => {
                return Reply::Refused("an empty entry means nothing to the state machine".to_owned());
            }
            Payload::Command(command) => self.raft.propose(id.to_bytes(), command.to_vec()),
            Payload::Membership(change) => match self.check(change) {
                Ok(()) => self.raft.propose_conf_change(id.to_bytes(), change.to_conf_change()),
                Err(reply) => return reply,
            },
        };
        match appended {
            Ok(()) => {
                let raft = &self.raft.raft;
                Reply::Accepted(Position { index: raft.raft_log.last_index(), term: raft.term })
            }
            // During a transfer of leadership, or with too much uncommitted: both pass.
            Err(raft::Error::ProposalDropped) => Reply::Busy,
            Err(error) => Reply::Refused(error.to_string()),
        }
    }

    /// Raft turns a change that comes at a bad time into an empty entry without a word, so it is asked
    /// first.
    fn check(&self, change: &MembershipChange) -> Result<(), Reply> {
        let current = Membership::from(&self.membership);
        if self.raft.raft.has_pending_conf() || current.is_joint() {
            return Err(Reply::Busy);
        }
        change.applied_to(&current).map(drop).map_err(|error| Reply::Refused(error.to_string()))
    }

    pub(super) fn transfer(&mut self, to: RaftId) -> Reply {
        if !self.is_leader() {
            return Reply::NotLeader;
        }
        if !self.membership.get_voters().contains(&to.0) {
            return Reply::Refused(format!("raft id {to} is no voter"));
        }
        self.raft.transfer_leader(to.0);
        Reply::Transferring
    }

    pub(super) fn tick_leader(&mut self, now: Monotonic) {
        let lost = self.peers.lost_snapshots(now, self.options.snapshot_retry, self.raft.raft.prs().iter());
        for id in lost {
            tracing::info!(peer = id, "a snapshot was not acknowledged, sending it again");
            self.raft.report_snapshot(id, SnapshotStatus::Failure);
        }
        self.leave_joint();
    }

    /// raft-rs leaves a joint configuration by itself, except when the leader that entered it was lost
    /// before it had applied that.
    fn leave_joint(&mut self) {
        let is_joint = !self.membership.get_voters_outgoing().is_empty();
        if is_joint
            && !self.raft.raft.has_pending_conf()
            && let Err(error) = self.raft.propose_conf_change(Vec::new(), ConfChangeV2::default())
        {
            tracing::debug!(%error, "leaving the joint configuration is tried again at the next tick");
        }
    }

    /// The voter that can take over soonest: the one with most of the log among those heard of lately.
    /// Begins to hand leadership to the voter that can take over soonest: the one with most of the log
    /// among those heard of lately. Says whether there is one.
    pub(super) fn hand_over(&mut self) -> bool {
        if !self.is_leader() {
            return false;
        }
        let this = self.raft.raft.id;
        let successor = self
            .raft
            .raft
            .prs()
            .iter()
            .filter(|(id, peer)| {
                **id != this && peer.recent_active && self.membership.get_voters().contains(id)
            })
            .max_by_key(|(id, peer)| (peer.matched, **id))
            .map(|(id, _)| *id);
        if let Some(to) = successor {
            tracing::info!(to, "handing over leadership before stopping");
            self.raft.transfer_leader(to);
        }
        successor.is_some()
    }
}
