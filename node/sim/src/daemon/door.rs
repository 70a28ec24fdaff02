//! Whom a daemon hears and speaks to. It is the daemon's own book of addresses and its own revocations, each from
//! the state that it has applied, asked as its transport asks them.

use relupd::consensus::quic::PeerAddress;
use relupd::daemon::addresses::Addresses;
use relupd::daemon::upkeep::revocations;
use relupd::identity::{PeerIdentity, Revocations};
use relupd::ids::{NodeId, RaftId};
use relupd::state::ClusterState;
use relupd::transport::admitted;
use relupd::transport::join::KnownPeer;
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) struct Door {
    addresses: Addresses,
    revocations: Revocations,
    /// What both were made of.
    seen: Option<Arc<ClusterState>>,
}

impl Door {
    /// `peers` are those that a joiner was told of.
    pub(super) fn new(peers: &[KnownPeer]) -> Self {
        Self { addresses: Addresses::new(peers), revocations: Revocations::default(), seen: None }
    }

    fn follow(&mut self, state: &Arc<ClusterState>) {
        let is_same = |seen: &Arc<ClusterState>| {
            let authority =
                Arc::ptr_eq(&seen.authority, &state.authority) || seen.authority == state.authority;
            Arc::ptr_eq(seen, state) || (authority && seen.nodes == state.nodes)
        };
        if !self.seen.as_ref().is_some_and(is_same) {
            self.addresses.learn(state);
            self.revocations = revocations(state);
        }
        self.seen = Some(Arc::clone(state));
    }

    /// The member that this peer is, where it is heard at all.
    pub(super) fn hears(&mut self, peer: &PeerIdentity, state: &Arc<ClusterState>) -> Option<RaftId> {
        self.follow(state);
        match admitted(peer.clone(), state.cluster, &self.revocations).ok()? {
            PeerIdentity::Node { node, .. } => self.addresses.book().raft_id(node),
            PeerIdentity::Operator { .. } => None,
        }
    }

    /// The same for one that says which member it is, as whoever brings a message does.
    pub(super) fn meets(
        &mut self,
        peer: &PeerIdentity,
        raft: RaftId,
        address: SocketAddr,
        state: &Arc<ClusterState>,
    ) -> Option<RaftId> {
        self.follow(state);
        match admitted(peer.clone(), state.cluster, &self.revocations).ok()? {
            PeerIdentity::Node { node, .. } => {
                self.addresses.book().meet(PeerAddress { raft, node, address })
            }
            PeerIdentity::Operator { .. } => None,
        }
    }

    /// The node that this member is, where its address is known.
    pub(super) fn finds(&mut self, member: RaftId, state: &Arc<ClusterState>) -> Option<NodeId> {
        self.follow(state);
        self.addresses.book().peer(member).map(|peer| peer.node)
    }
}
