//! PURE: who should vote, and which single step leads there.
//!
//! Invariants: the leader never votes itself out; the set of voters shrinks only when the operator
//! removed a node; every step leaves voters of whom a majority was heard of lately; only learners that
//! hold the log become voters.

mod steps;

use super::membership::{Membership, MembershipChange};
use super::status::Status;
use crate::clock::Monotonic;
use crate::ids::RaftId;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// More voters make every commit slower and survive hardly more: seven survive three losses.
const MOST_VOTERS: usize = 7;

/// A peer that was silent for longer than this is not counted on. Heartbeats come every 200 ms, so
/// this is ten of them.
pub const RECENTLY: Duration = Duration::from_secs(2);

/// What the operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoterSettings {
    /// How long the leader hears nothing from a voter before it gives its vote to a learner.
    pub replace_after: Duration,
    /// No more voters than this; an even number counts as the odd one below.
    pub max_voters: usize,
}

impl Default for VoterSettings {
    fn default() -> Self {
        Self { replace_after: Duration::from_secs(600), max_voters: 5 }
    }
}

/// A node, as the replicated state knows it. Raft ids count up, so they tell who joined first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number in raft.
    pub id: RaftId,
    /// The operator removed it. A node that the state does not know at all is left alone.
    pub removed: bool,
}

/// What the leader knows of another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// For how long nothing came from it, or, if nothing ever came, for how long this member leads.
    pub silent_for: Duration,
    /// Whether anything came from it since this member leads.
    pub heard: bool,
    /// Whether it holds nearly all of the log.
    pub caught_up: bool,
}

/// Everything that a decision depends on, as the leader sees it.
#[derive(Clone, Debug)]
pub struct Input {
    /// The leader itself.
    pub leader: RaftId,
    /// The nodes of the replicated state, removed ones included.
    pub members: Vec<Member>,
    /// The configuration that is applied.
    pub membership: Membership,
    /// The other members.
    pub peers: BTreeMap<RaftId, Peer>,
    /// What the operator set.
    pub settings: VoterSettings,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Everything is as it should be.
    Settled,
    /// Something is not as it should be, and this is what it waits for.
    Wait(Waiting),
    /// Change the configuration.
    Change(MembershipChange),
    /// Hand leadership to this voter first: the leader itself is to leave.
    TransferLeadership {
        /// A voter that stays.
        to: RaftId,
    },
}

/// Why a wanted change has to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A change is under way.
    JointChange,
    /// There are fewer voters than there should be, and no learner is ready.
    NoLearnerReady {
        /// Voters that there are.
        voters: usize,
        /// Voters that there should be.
        wanted: usize,
    },
    /// A voter is silent, not yet for long enough.
    VoterSilent {
        /// Which one.
        voter: RaftId,
        /// For how long.
        silent_for: Duration,
        /// When it is replaced.
        replace_after: Duration,
    },
    /// A voter is lost, and no learner is ready to replace it.
    NoSubstitute {
        /// Which one.
        voter: RaftId,
    },
    /// The leader was removed, and nobody can take over.
    NoSuccessor,
    /// Without the removed nodes too few of the voters would be reachable.
    NoQuorumWithout {
        /// The voters that are silent.
        silent: Vec<RaftId>,
    },
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::JointChange => f.write_str("a change of voters is under way"),
            Self::NoLearnerReady { voters, wanted } => {
                write!(f, "{voters} of {wanted} voters: no further node is reachable and has caught up")
            }
            Self::VoterSilent { voter, silent_for, replace_after } => write!(
                f,
                "voter {voter} silent for {}, replaced after {}",
                humantime::format_duration(Duration::from_secs(silent_for.as_secs())),
                humantime::format_duration(*replace_after)
            ),
            Self::NoSubstitute { voter } => {
                write!(
                    f,
                    "voter {voter} is lost and no learner is ready to replace it; bring it back or join a node"
                )
            }
            Self::NoSuccessor => {
                f.write_str("the removed node leads and no other node is ready to take over")
            }
            Self::NoQuorumWithout { silent } => {
                write!(f, "without the removed node there is no quorum: bring back or remove")?;
                silent.iter().try_for_each(|id| write!(f, " {id}"))
            }
        }
    }
}

impl Input {
    /// The leader's view as an input; `None` if this member does not lead.
    #[must_use]
    pub fn of(
        status: &Status,
        members: Vec<Member>,
        settings: VoterSettings,
        now: Monotonic,
    ) -> Option<Self> {
        let peers = status.peers.iter().map(|(id, peer)| {
            (
                *id,
                Peer {
                    silent_for: now.since(peer.last_contact),
                    heard: peer.heard,
                    caught_up: peer.caught_up,
                },
            )
        });
        (status.leader == Some(status.id)).then(|| Self {
            leader: status.id,
            members,
            membership: Membership::clone(&status.membership),
            peers: peers.collect(),
            settings,
        })
    }
}

/// How many of this many nodes should vote: 1, 3, 5 or 7, so that a majority is never bought with an
/// even one.
#[must_use]
pub fn wanted_voters(nodes: usize, max_voters: usize) -> usize {
    largest_odd(nodes.min(max_voters).min(MOST_VOTERS))
}

/// The largest odd number that is not above this one; at least 1.
fn largest_odd(number: usize) -> usize {
    number.saturating_sub(1) / 2 * 2 + 1
}

/// The next step towards the voters that there should be. It is good for the configuration that it was decided
/// on: by the time that it is appended, an earlier leader's may have come into force.
pub fn decide(input: &Input) -> Decision {
    match next(input) {
        Decision::Change(change) => Decision::Change(change.decided_on(&input.membership)),
        other @ (Decision::Settled | Decision::Wait(_) | Decision::TransferLeadership { .. }) => other,
    }
}

fn next(input: &Input) -> Decision {
    if input.membership.is_joint() {
        return Decision::Wait(Waiting::JointChange);
    }
    let mut waiting = None;
    // In this order: what the operator ordered, then what makes the cluster stronger.
    for step in [Input::remove, Input::admit, Input::grow, Input::replace] {
        match step(input) {
            Decision::Settled => {}
            Decision::Wait(reason) => {
                waiting.get_or_insert(reason);
            }
            act @ (Decision::Change(_) | Decision::TransferLeadership { .. }) => return act,
        }
    }
    waiting.map_or(Decision::Settled, Decision::Wait)
}

#[cfg(test)]
mod tests;
