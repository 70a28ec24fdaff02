//! What a member says about itself, and, while it leads, about the others.

use super::membership::Membership;
use crate::clock::Monotonic;
use crate::ids::RaftId;
use raft::StateRole;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What part the member plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It decides the order of the log.
    Leader,
    /// It follows a leader, or looks for one.
    Follower,
    /// It stands for election, or asks whether it may.
    Candidate,
}

impl From<StateRole> for Role {
    fn from(role: StateRole) -> Self {
        match role {
            StateRole::Leader => Self::Leader,
            StateRole::Follower => Self::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Self::Candidate,
        }
    }
}

/// Who leads, as far as this member knows. It changes rarely, so waiting on it is cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The raft term.
    pub term: u64,
    /// The leader of that term, once it is known.
    pub leader: Option<RaftId>,
    /// Whether that is this member. Only a linearizable read proves that it still is.
    pub is_self: bool,
}

/// The state of one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This member.
    pub id: RaftId,
    /// Its part.
    pub role: Role,
    /// Its term.
    pub term: u64,
    /// The leader of that term, once it is known.
    pub leader: Option<RaftId>,
    /// The last entry known to be committed.
    pub commit: u64,
    /// The last entry that was applied here.
    pub applied: u64,
    /// The configuration that was applied here. Shared: it may have a thousand members, and the status is
    /// made anew at every step.
    pub membership: Arc<Membership>,
    /// While leading: every other member. Empty otherwise.
    pub peers: BTreeMap<RaftId, PeerStatus>,
}

/// What the leader knows about another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// When the last raft message came from it, or, if none came yet, when this member became leader:
    /// a new leader may lengthen a deadline that hangs on contact, never shorten it.
    pub last_contact: Monotonic,
    /// Whether anything came from it since this member leads. Until then it may be gone for long.
    pub heard: bool,
    /// The last entry that it is known to have on its disk.
    pub matched: u64,
    /// It holds nearly everything that is committed, so it can vote without holding anybody up.
    pub caught_up: bool,
}
