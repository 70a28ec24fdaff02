//! S10.

use super::{Violation, broken};
use relupd::ids::NodeId;

/// A message that reached a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    pub from: NodeId,
    pub to: NodeId,
    /// The sender was removed, and that is applied at the receiver, or it never belonged to the cluster.
    pub refused: bool,
    /// The receiver took the message in.
    pub heard: bool,
    /// The receiver answered.
    pub answered: bool,
}

/// S10. Asked at every delivery. Certificates are not simulated; what is, is that the receiver's own
/// state decides whom it hears, from the moment at which the removal is applied there.
#[must_use]
pub fn a_revoked_peer_changes_nothing_and_learns_nothing(contact: Contact) -> Option<Violation> {
    (contact.refused && (contact.heard || contact.answered)).then(|| {
        let Contact { from, to, heard, answered, .. } = contact;
        let detail = format!("node {to} on node {from}, which is out: heard {heard}, answered {answered}");
        broken("S10", detail)
    })
}
