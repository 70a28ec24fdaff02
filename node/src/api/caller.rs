//! Who calls: whoever sits at the other end of the local socket, or the holder of a certificate.

use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::command::Actor;
use crate::state::node::Role;
use std::sync::Arc;

/// What the listener knows of a connection's other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The local socket; the uid is the kernel's word.
    Local { uid: u32 },
    /// TLS; the serial is that of a certificate whose chain was verified.
    Certificate { serial: Arc<str> },
}

/// A peer whom the state knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody on this host.
    Local { uid: u32 },
    /// An operator.
    Operator { name: String, role: Role },
    /// A daemon. Daemons speak to each other elsewhere.
    Node(NodeId),
}

/// Why a caller gets no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error(
        "uid {0} may not use the local socket: run relupctl as root or as the daemon's own user, or remotely with `relupctl --context`"
    )]
    Uid(u32),
    #[error("this certificate is revoked; an admin can make another with `relupctl operator add`")]
    Revoked,
    #[error("this certificate belongs to no operator of the cluster")]
    Stranger,
    #[error("{0} has a node's certificate, not an operator's; use one made by `relupctl operator add`")]
    Node(NodeId),
    #[error("this needs role {needed}, and operator {name} is {role}; ask an admin")]
    Role { name: String, role: &'static str, needed: &'static str },
    #[error("this is possible on the node's own socket only: run relupctl on that host")]
    NotLocal,
}

/// Who the peer is, by the state as it is now: a certificate revoked since the handshake counts no more.
pub(crate) fn identify(peer: &Peer, state: Option<&ClusterState>, own_uid: u32) -> Result<Caller, Denied> {
    match (peer, state) {
        (Peer::Local { uid }, _) if *uid == 0 || *uid == own_uid => Ok(Caller::Local { uid: *uid }),
        (Peer::Local { uid }, _) => Err(Denied::Uid(*uid)),
        (Peer::Certificate { .. }, None) => Err(Denied::Stranger),
        (Peer::Certificate { serial }, Some(state)) => holder(serial, state),
    }
}

fn holder(serial: &str, state: &ClusterState) -> Result<Caller, Denied> {
    if state.authority.revoked.contains_key(serial) {
        return Err(Denied::Revoked);
    }
    let operator = state.authority.operators.values().find(|operator| operator.certificate.serial == serial);
    if let Some(operator) = operator {
        return Ok(Caller::Operator { name: operator.name.clone(), role: operator.role });
    }
    let node = state.nodes.values().find(|node| node.certificates.iter().any(|known| known.serial == serial));
    node.map(|node| Caller::Node(node.id)).ok_or(Denied::Stranger)
}

impl Caller {
    /// The caller as it is recorded with a command, if its role suffices.
    pub(crate) fn authorize(self, needed: Role, me: NodeId) -> Result<Actor, Denied> {
        match self {
            Self::Local { uid } => Ok(Actor::Local { node: me, uid }),
            Self::Operator { name, role } if role >= needed => Ok(Actor::Operator(name)),
            Self::Operator { name, role } => {
                Err(Denied::Role { name, role: role_name(role), needed: role_name(needed) })
            }
            Self::Node(node) => Err(Denied::Node(node)),
        }
    }
}

/// A role, for people.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}
