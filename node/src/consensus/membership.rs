//! Who votes and who only follows, and changes of that.

use crate::ids::RaftId;
use protobuf::Message as _;
use raft::eraftpb::{ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState};
use std::collections::BTreeSet;
use std::fmt;

/// The raft configuration as it is applied on this member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Members that vote.
    pub voters: BTreeSet<RaftId>,
    /// Members that only follow the log.
    pub learners: BTreeSet<RaftId>,
    /// The voters of the configuration that is being left. Empty unless a joint change is under way.
    pub outgoing: BTreeSet<RaftId>,
    /// Outgoing voters that become learners once the joint change is over.
    pub learners_next: BTreeSet<RaftId>,
}

impl Membership {
    /// Whether a joint change is under way, during which both old and new voters have to agree.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether this id takes part at all.
    #[must_use]
    pub fn contains(&self, id: RaftId) -> bool {
        [&self.voters, &self.learners, &self.outgoing, &self.learners_next]
            .iter()
            .any(|set| set.contains(&id))
    }
}

fn ids(raw: &[u64]) -> BTreeSet<RaftId> {
    raw.iter().copied().map(RaftId).collect()
}

impl From<&ConfState> for Membership {
    fn from(state: &ConfState) -> Self {
        Self {
            voters: ids(state.get_voters()),
            learners: ids(state.get_learners()),
            outgoing: ids(state.get_voters_outgoing()),
            learners_next: ids(state.get_learners_next()),
        }
    }
}

impl From<&Membership> for ConfState {
    fn from(membership: &Membership) -> Self {
        let raw = |ids: &BTreeSet<RaftId>| ids.iter().map(|id| id.0).collect::<Vec<_>>();
        let mut state = Self::default();
        state.set_voters(raw(&membership.voters));
        state.set_learners(raw(&membership.learners));
        state.set_voters_outgoing(raw(&membership.outgoing));
        state.set_learners_next(raw(&membership.learners_next));
        state
    }
}

/// A change of the configuration. More than one id makes it a joint change: old and new voters both
/// have to agree until it is over, so no single step weakens the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipChange {
    /// Become voters.
    pub voters: BTreeSet<RaftId>,
    /// Join as learners, or stop voting and become learners.
    pub learners: BTreeSet<RaftId>,
    /// Leave altogether.
    pub removed: BTreeSet<RaftId>,
    /// The configuration that it was decided on; on another one it is void. Without one it is good on any.
    pub basis: Option<Membership>,
}

/// Why a change of the configuration makes no sense, whoever is asked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidChange {
    #[error("the change names nobody")]
    Empty,
    #[error("the change names raft id {0} more than once")]
    Ambiguous(RaftId),
    #[error("the change leaves no voter")]
    NoVoterLeft,
    #[error("the configuration has changed since this was decided")]
    Stale,
}

impl MembershipChange {
    /// This node joins as a learner.
    #[must_use]
    pub fn add_learner(id: RaftId) -> Self {
        Self { learners: BTreeSet::from([id]), ..Self::default() }
    }

    /// This node leaves.
    #[must_use]
    pub fn remove(id: RaftId) -> Self {
        Self { removed: BTreeSet::from([id]), ..Self::default() }
    }

    /// Only for as long as this configuration is in force.
    #[must_use]
    pub fn decided_on(self, basis: &Membership) -> Self {
        Self { basis: Some(basis.clone()), ..self }
    }

    /// The configuration after this change, if that is one.
    pub(super) fn applied_to(&self, current: &Membership) -> Result<Membership, InvalidChange> {
        if self.basis.as_ref().is_some_and(|basis| basis != current) {
            return Err(InvalidChange::Stale);
        }
        let mut named = BTreeSet::new();
        for id in self.voters.iter().chain(&self.learners).chain(&self.removed) {
            if !named.insert(*id) {
                return Err(InvalidChange::Ambiguous(*id));
            }
        }
        if named.is_empty() {
            return Err(InvalidChange::Empty);
        }
        let voters: BTreeSet<_> = current.voters.difference(&named).chain(&self.voters).copied().collect();
        let learners = current.learners.difference(&named).chain(&self.learners).copied().collect();
        if voters.is_empty() {
            return Err(InvalidChange::NoVoterLeft);
        }
        Ok(Membership { voters, learners, ..Membership::default() })
    }

    pub(super) fn to_conf_change(&self) -> ConfChangeV2 {
        let single = |kind| {
            move |id: &RaftId| {
                let mut change = ConfChangeSingle::default();
                change.set_change_type(kind);
                change.node_id = id.0;
                change
            }
        };
        let mut change = ConfChangeV2::default();
        change.set_changes(
            self.voters
                .iter()
                .map(single(ConfChangeType::AddNode))
                .chain(self.learners.iter().map(single(ConfChangeType::AddLearnerNode)))
                .chain(self.removed.iter().map(single(ConfChangeType::RemoveNode)))
                .collect(),
        );
        if let Some(basis) = &self.basis {
            // Raft carries it along and makes nothing of it.
            let basis = ConfState::from(basis).write_to_bytes().expect("a conf state has no required fields");
            change.set_context(basis.into());
        }
        change
    }

    pub(super) fn from_conf_change(change: &ConfChangeV2) -> Self {
        let of = |kind: ConfChangeType| {
            change
                .get_changes()
                .iter()
                .filter(|single| single.get_change_type() == kind)
                .map(|single| RaftId(single.node_id))
                .collect()
        };
        Self {
            voters: of(ConfChangeType::AddNode),
            learners: of(ConfChangeType::AddLearnerNode),
            removed: of(ConfChangeType::RemoveNode),
            basis: (!change.get_context().is_empty()).then(|| {
                // What cannot be read is a configuration that is never in force.
                let basis = ConfState::parse_from_bytes(change.get_context()).unwrap_or_default();
                Membership::from(&basis)
            }),
        }
    }
}

impl fmt::Display for MembershipChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (what, ids) in [("voter", &self.voters), ("learner", &self.learners), ("remove", &self.removed)] {
            for id in ids {
                write!(f, "{separator}{what} {id}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(raw: &[u64]) -> BTreeSet<RaftId> {
        ids(raw)
    }

    #[test]
    fn a_change_survives_its_wire_form() {
        let (voters, learners, removed) = (set(&[4]), set(&[2]), set(&[3]));
        let change = MembershipChange { voters, learners, removed, basis: None };
        assert_eq!(MembershipChange::from_conf_change(&change.to_conf_change()), change);
        assert_eq!(change.to_string(), "voter 4, learner 2, remove 3");
        let current = Membership { voters: set(&[1, 2, 3]), learners: set(&[4]), ..Membership::default() };
        let decided = change.decided_on(&current);
        assert_eq!(MembershipChange::from_conf_change(&decided.to_conf_change()), decided);
    }

    #[test]
    fn refuses_a_change_that_was_decided_on_another_configuration() {
        let current = Membership { voters: set(&[1, 2, 3]), learners: set(&[4]), ..Membership::default() };
        let change = MembershipChange::remove(RaftId(3)).decided_on(&current);
        assert!(change.applied_to(&current).is_ok());
        let since = Membership { voters: set(&[1, 3, 4]), learners: set(&[2]), ..Membership::default() };
        assert_eq!(change.applied_to(&since), Err(InvalidChange::Stale));
        assert!(MembershipChange::remove(RaftId(3)).applied_to(&since).is_ok());
    }

    #[test]
    fn refuses_to_leave_no_voter() {
        let current = Membership { voters: set(&[1]), learners: set(&[2]), ..Membership::default() };
        assert_eq!(MembershipChange::remove(RaftId(1)).applied_to(&current), Err(InvalidChange::NoVoterLeft));
        let swap = MembershipChange { voters: set(&[2]), removed: set(&[1]), ..MembershipChange::default() };
        assert_eq!(swap.applied_to(&current).expect("one voter stays").voters, set(&[2]));
    }

    #[test]
    fn refuses_a_change_that_names_an_id_twice_or_nobody() {
        let current = Membership { voters: set(&[1]), ..Membership::default() };
        let twice = MembershipChange { voters: set(&[2]), removed: set(&[2]), ..MembershipChange::default() };
        assert_eq!(twice.applied_to(&current), Err(InvalidChange::Ambiguous(RaftId(2))));
        assert_eq!(MembershipChange::default().applied_to(&current), Err(InvalidChange::Empty));
    }
}
