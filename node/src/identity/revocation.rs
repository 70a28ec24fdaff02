//! What the cluster no longer believes. Verifiers consult it at every handshake, and live
//! connections are closed by it.

use super::{PeerIdentity, Serial};
use crate::ids::NodeId;
use std::collections::BTreeSet;

/// Revoked certificates, and removed nodes. A node's id is never reused, so revoking the id covers
/// a certificate that was being renewed at that moment too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Single certificates, e.g. an operator's.
    pub serials: BTreeSet<Serial>,
    /// Nodes that were removed from the cluster.
    pub nodes: BTreeSet<NodeId>,
}

impl Revocations {
    /// Whether this peer must be refused.
    #[must_use]
    pub fn covers(&self, peer: &PeerIdentity) -> bool {
        self.serials.contains(&peer.serial())
            || match peer {
                PeerIdentity::Node { node, .. } => self.nodes.contains(node),
                PeerIdentity::Operator { .. } => false,
            }
    }
}
