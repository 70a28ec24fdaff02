//! S10.

use super::{Violation, broken};
use relupd::identity::PeerIdentity;
use relupd::ids::NodeId;
use relupd::state::ClusterState;

/// What came of one node's turning to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who does not belong, where one of them does not.
    pub from: NodeId,
    /// Who decides about it.
    pub to: NodeId,
    /// By what `to` has applied, `from` was removed; or it never belonged to the cluster.
    pub refused: bool,
    /// `to` took in what `from` sent.
    pub heard: bool,
    /// `to` answered, or sent something of its own.
    pub answered: bool,
}

/// S10. Asked whenever something arrives and whenever something leaves. Certificates are not simulated; what is, is
/// who they name, and that the contacted node's own daemon decides by that whom it hears and whom it speaks to.
#[must_use]
pub fn a_revoked_peer_changes_nothing_and_learns_nothing(contact: Contact) -> Option<Violation> {
    (contact.refused && (contact.heard || contact.answered)).then(|| {
        let Contact { from, to, heard, answered, .. } = contact;
        let detail = format!("node {to} on node {from}, which is out: heard {heard}, answered {answered}");
        broken("S10", detail)
    })
}

/// Whether a node that has applied this state must have nothing to do with this peer. It asks the state itself and
/// not what the daemon makes of it. Who is not in it may have been admitted since.
#[must_use]
pub fn is_out(peer: &PeerIdentity, state: &ClusterState) -> bool {
    let PeerIdentity::Node { cluster, node, serial } = peer else { return true };
    if *cluster != state.cluster {
        return true;
    }
    let revoked = &state.authority.revoked;
    let is_revoked = !revoked.is_empty() && revoked.contains_key(&serial.to_string());
    let is_gone = state.nodes.get(node).is_some_and(|record| !record.is_present());
    is_revoked || is_gone
}
