//! Which node has which raft id, and where it listens.

use crate::ids::{NodeId, RaftId};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Its number in raft.
    pub raft: RaftId,
    /// Its node, as in its certificate.
    pub node: NodeId,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The members that this node speaks with. Its owner keeps it equal to the replicated state; a node
/// that joins fills it from the answer to its request, before it has any state.
///
/// A node that was away may be behind by the very entry that admitted its present leader. Such a peer is known by what
/// it says of itself, until the state speaks of it: never one that was removed, and never under a raft id
/// that another node has or had.
#[derive(Debug, Default)]
pub struct AddressBook {
    known: ArcSwap<Known>,
}

#[derive(Clone, Debug, Default)]
struct Known {
    peers: BTreeMap<RaftId, PeerAddress>,
    /// Those of them that only they themselves speak of.
    met: BTreeSet<RaftId>,
    removed: BTreeMap<RaftId, NodeId>,
}

impl Known {
    fn raft_id(&self, node: NodeId) -> Option<RaftId> {
        self.peers.values().find(|peer| peer.node == node).map(|peer| peer.raft)
    }

    fn is_free(&self, peer: &PeerAddress) -> bool {
        let is_removed = self.removed.values().any(|node| *node == peer.node);
        let is_taken = self.peers.contains_key(&peer.raft) || self.removed.contains_key(&peer.raft);
        !is_removed && !is_taken && self.raft_id(peer.node).is_none()
    }

    fn meet(&mut self, peer: PeerAddress) {
        if self.is_free(&peer) {
            self.peers.insert(peer.raft, peer);
            self.met.insert(peer.raft);
        }
    }
}

impl AddressBook {
    /// From now on the members are these. Nobody who was removed is listened to.
    pub fn replace(
        &self,
        peers: impl IntoIterator<Item = PeerAddress>,
        removed: impl IntoIterator<Item = (RaftId, NodeId)>,
    ) {
        let peers: BTreeMap<_, _> = peers.into_iter().map(|peer| (peer.raft, peer)).collect();
        let removed: BTreeMap<_, _> = removed.into_iter().collect();
        self.known.rcu(|before| {
            let mut known = Known { peers: peers.clone(), met: BTreeSet::new(), removed: removed.clone() };
            before.met.iter().filter_map(|raft| before.peers.get(raft)).for_each(|met| known.meet(*met));
            known
        });
    }

    /// A peer whose certificate was accepted says that it is this member; the raft id that it has here.
    pub fn meet(&self, peer: PeerAddress) -> Option<RaftId> {
        let known = self.known.load();
        if known.raft_id(peer.node).is_none() && known.is_free(&peer) {
            self.known.rcu(|before| {
                let mut known = Known::clone(before);
                known.meet(peer);
                known
            });
        }
        self.raft_id(peer.node)
    }

    /// Where this member is.
    #[must_use]
    pub fn peer(&self, raft: RaftId) -> Option<PeerAddress> {
        self.known.load().peers.get(&raft).copied()
    }

    /// The member that this node is.
    #[must_use]
    pub fn raft_id(&self, node: NodeId) -> Option<RaftId> {
        self.known.load().raft_id(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::from_parts(number, 0)
    }

    fn peer(raft: u64, number: u64) -> PeerAddress {
        PeerAddress { raft: RaftId(raft), node: node(number), address: ([127, 0, 0, 1], 1).into() }
    }

    #[test]
    fn who_is_not_known_yet_is_who_it_says_until_the_state_speaks_of_it() {
        let book = AddressBook::default();
        book.replace([peer(1, 1)], []);
        assert_eq!(book.meet(peer(4, 4)), Some(RaftId(4)));
        assert_eq!(book.peer(RaftId(4)), Some(peer(4, 4)), "and it can be answered");
        assert_eq!(book.meet(peer(5, 4)), Some(RaftId(4)), "it has one number");
        book.replace([peer(1, 1), peer(2, 2)], []);
        assert_eq!(book.raft_id(node(4)), Some(RaftId(4)), "an older state says nothing of it");
        book.replace([peer(1, 1), peer(6, 4)], []);
        assert_eq!(book.meet(peer(4, 4)), Some(RaftId(6)), "the state knows better");
        assert_eq!(book.peer(RaftId(4)), None);
    }

    #[test]
    fn a_removed_node_and_a_taken_number_are_never_met() {
        let book = AddressBook::default();
        book.replace([peer(1, 1)], [(RaftId(3), node(3))]);
        assert_eq!(book.meet(peer(4, 3)), None, "it was removed");
        assert_eq!(book.meet(peer(3, 5)), None, "it was the number of one that was removed");
        assert_eq!(book.meet(peer(1, 5)), None, "it is another's number");
        assert_eq!(book.meet(peer(5, 5)), Some(RaftId(5)));
        book.replace([peer(1, 1)], [(RaftId(3), node(3)), (RaftId(5), node(5))]);
        assert_eq!(book.meet(peer(5, 5)), None, "it is removed by now");
        assert_eq!(book.raft_id(node(5)), None);
    }
}
