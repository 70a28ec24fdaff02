//! Which node has which raft id, and where it listens.

use crate::ids::{NodeId, RaftId};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
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
#[derive(Debug, Default)]
pub struct AddressBook {
    peers: ArcSwap<BTreeMap<RaftId, PeerAddress>>,
}

impl AddressBook {
    /// From now on the members are these, and nobody else is listened to.
    pub fn replace(&self, peers: impl IntoIterator<Item = PeerAddress>) {
        let peers = peers.into_iter().map(|peer| (peer.raft, peer)).collect();
        self.peers.store(std::sync::Arc::new(peers));
    }

    /// Where this member is.
    #[must_use]
    pub fn peer(&self, raft: RaftId) -> Option<PeerAddress> {
        self.peers.load().get(&raft).copied()
    }

    /// The member that this node is.
    #[must_use]
    pub fn raft_id(&self, node: NodeId) -> Option<RaftId> {
        self.peers.load().values().find(|peer| peer.node == node).map(|peer| peer.raft)
    }
}
