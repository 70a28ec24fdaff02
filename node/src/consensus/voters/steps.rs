//! PURE: the four kinds of steps, each on its own.

use super::{Decision, Input, RECENTLY, Waiting, largest_odd, wanted_voters};
use crate::consensus::membership::{Membership, MembershipChange};
use crate::ids::RaftId;
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

impl Input {
    /// Nodes that the operator removed leave; others move up in the same change, so that the number of
    /// voters is right at once.
    pub(super) fn remove(&self) -> Decision {
        let removed: BTreeSet<_> =
            self.members.iter().filter(|member| member.removed).map(|member| member.id).collect();
        let leaving: BTreeSet<_> =
            removed.iter().copied().filter(|id| self.membership.contains(*id)).collect();
        if leaving.is_empty() {
            return Decision::Settled;
        }
        if leaving.contains(&self.leader) {
            return self.replace_leader(&leaving);
        }
        let staying: BTreeSet<_> = self.membership.voters.difference(&leaving).copied().collect();
        let wanted = self.wanted();
        let excess = staying.len().saturating_sub(wanted);
        let change = MembershipChange {
            voters: self.promoted(staying.len(), wanted),
            learners: self.least_useful(&staying, excess),
            removed: leaving,
            basis: None,
        };
        self.checked(change)
    }

    /// A leader that is to leave hands over; if nobody else votes, a learner has to vote first.
    fn replace_leader(&self, leaving: &BTreeSet<RaftId>) -> Decision {
        let heir = self.membership.voters.difference(leaving).copied().find(|id| self.is_ready(*id));
        if let Some(to) = heir {
            return Decision::TransferLeadership { to };
        }
        match self.ready_learners().next() {
            Some(learner) => {
                self.checked(MembershipChange { voters: [learner].into(), ..MembershipChange::default() })
            }
            None => Decision::Wait(Waiting::NoSuccessor),
        }
    }

    /// Nodes that joined become learners, one by one.
    pub(super) fn admit(&self) -> Decision {
        self.staying()
            .find(|id| !self.membership.contains(*id))
            .map_or(Decision::Settled, |id| Decision::Change(MembershipChange::add_learner(id)))
    }

    /// Learners become voters until there are enough.
    pub(super) fn grow(&self) -> Decision {
        let (voters, wanted) = (self.membership.voters.len(), self.wanted());
        if voters >= wanted {
            return Decision::Settled;
        }
        let promoted = self.promoted(voters, wanted);
        if promoted.is_empty() {
            return Decision::Wait(Waiting::NoLearnerReady { voters, wanted });
        }
        self.checked(MembershipChange { voters: promoted, ..MembershipChange::default() })
    }

    /// A voter that is lost gives its vote to a learner, and follows as a learner should it return.
    pub(super) fn replace(&self) -> Decision {
        let mut silent: Vec<_> =
            self.membership.voters.iter().copied().filter(|id| !self.is_recent(*id)).collect();
        silent.sort_by_key(|id| Reverse(self.silence(*id)));
        let Some(voter) = silent.first().copied() else { return Decision::Settled };
        let (silent_for, replace_after) = (self.silence(voter), self.settings.replace_after);
        if silent_for < replace_after {
            return Decision::Wait(Waiting::VoterSilent { voter, silent_for, replace_after });
        }
        match self.ready_learners().next() {
            Some(learner) => self.checked(MembershipChange {
                voters: [learner].into(),
                learners: [voter].into(),
                ..MembershipChange::default()
            }),
            None => Decision::Wait(Waiting::NoSubstitute { voter }),
        }
    }

    fn wanted(&self) -> usize {
        wanted_voters(self.staying().count(), self.settings.max_voters)
    }

    /// The nodes of the cluster, in the order in which they joined.
    fn staying(&self) -> impl Iterator<Item = RaftId> {
        let staying: BTreeSet<_> =
            self.members.iter().filter(|member| !member.removed).map(|member| member.id).collect();
        staying.into_iter()
    }

    /// Those of the learners that may vote at once, in the order in which they joined.
    fn ready_learners(&self) -> impl Iterator<Item = RaftId> {
        self.staying().filter(|id| self.membership.learners.contains(id) && self.is_ready(*id))
    }

    /// Learners that bring this many voters as near to the wanted number as an odd number gets.
    fn promoted(&self, voters: usize, wanted: usize) -> BTreeSet<RaftId> {
        let possible = largest_odd(wanted.min(voters + self.ready_learners().count()));
        self.ready_learners().take(possible.saturating_sub(voters)).collect()
    }

    /// The voters that are missed least: silent ones first, then those that joined last. Never the leader.
    fn least_useful(&self, voters: &BTreeSet<RaftId>, count: usize) -> BTreeSet<RaftId> {
        let mut others: Vec<_> = voters.iter().copied().filter(|id| *id != self.leader).collect();
        others.sort_by_key(|id| (self.is_recent(*id), Reverse(*id)));
        others.into_iter().take(count).collect()
    }

    /// A change whose voters could not agree would leave the cluster stuck halfway.
    fn checked(&self, change: MembershipChange) -> Decision {
        match change.applied_to(&self.membership) {
            Ok(Membership { voters, .. }) => {
                let silent: Vec<_> = voters.iter().copied().filter(|id| !self.is_recent(*id)).collect();
                if (voters.len() - silent.len()) * 2 > voters.len() {
                    Decision::Change(change)
                } else {
                    Decision::Wait(Waiting::NoQuorumWithout { silent })
                }
            }
            // The leader stays a voter in every change above, so this is never reached; if it were,
            // doing nothing is right.
            Err(_) => Decision::Wait(Waiting::NoSuccessor),
        }
    }

    fn is_ready(&self, id: RaftId) -> bool {
        self.is_recent(id) && self.peers.get(&id).is_some_and(|peer| peer.caught_up)
    }

    fn is_recent(&self, id: RaftId) -> bool {
        id == self.leader || self.peers.get(&id).is_some_and(|peer| peer.heard && peer.silent_for < RECENTLY)
    }

    fn silence(&self, id: RaftId) -> Duration {
        // Raft tells of every peer that it knows; one that it does not tell of is new.
        self.peers.get(&id).map_or(Duration::ZERO, |peer| peer.silent_for)
    }
}
