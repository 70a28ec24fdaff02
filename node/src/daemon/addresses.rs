//! Where every node listens, in the shapes that raft, gossip and store ask for. It follows the
//! replicated state; until that has arrived, a joiner knows whom it was told of when it joined.

use crate::consensus::quic::{AddressBook, PeerAddress};
use crate::membership::Roster;
use crate::state::ClusterState;
use crate::transport::join::KnownPeer;
use std::sync::Arc;
use tokio::sync::watch;

/// The addresses, shared.
#[derive(Clone)]
pub struct Addresses {
    book: Arc<AddressBook>,
    roster: watch::Sender<Arc<Roster>>,
}

impl Addresses {
    /// Those that a joiner was told of.
    #[must_use]
    pub fn new(peers: &[KnownPeer]) -> Self {
        let book = Arc::new(AddressBook::default());
        let told =
            peers.iter().map(|peer| PeerAddress { raft: peer.raft, node: peer.node, address: peer.address });
        book.replace(told, []);
        let roster: Roster = peers.iter().map(|peer| (peer.node, peer.address)).collect();
        Self { book, roster: watch::Sender::new(Arc::new(roster)) }
    }

    /// What the state says replaces everything else; a state without nodes is one that has not arrived.
    pub fn learn(&self, state: &ClusterState) {
        if state.nodes.is_empty() {
            return;
        }
        let present = state.present_nodes().map(|node| PeerAddress {
            raft: node.raft_id,
            node: node.id,
            address: node.address,
        });
        let removed = state.nodes.values().filter(|node| !node.is_present());
        self.book.replace(present, removed.map(|node| (node.raft_id, node.id)));
        let roster: Roster = state.present_nodes().map(|node| (node.id, node.address)).collect();
        self.roster.send_if_modified(|known| {
            let changed = **known != roster;
            if changed {
                *known = Arc::new(roster);
            }
            changed
        });
    }

    /// By numbers in raft.
    #[must_use]
    pub fn book(&self) -> Arc<AddressBook> {
        Arc::clone(&self.book)
    }

    pub(crate) fn roster(&self) -> watch::Receiver<Arc<Roster>> {
        self.roster.subscribe()
    }
}

/// Keeps them up to date until the state's sender is gone.
pub(crate) async fn follow(mut states: watch::Receiver<Arc<ClusterState>>, addresses: Addresses) {
    loop {
        let state = states.borrow_and_update().clone();
        addresses.learn(&state);
        if states.changed().await.is_err() {
            return;
        }
    }
}
