//! What goes wrong between peers, and the codes by which one side tells the other.

use super::Protocol;
use crate::identity::{InvalidPeer, PeerIdentity};
use crate::ids::{ClusterId, NodeId};
use quinn::{ConnectionError, VarInt};
use std::net::SocketAddr;
use std::time::Duration;

/// Why a certificate that the CA did sign is refused all the same.
#[derive(Debug, thiserror::Error)]
pub enum PeerRefusal {
    /// It names nobody we know how to treat.
    #[error("the peer's certificate names nobody")]
    Unreadable(#[source] InvalidPeer),
    /// Of another cluster.
    #[error("{peer} is of cluster {theirs}, this is cluster {ours}")]
    OtherCluster {
        /// Who.
        peer: PeerIdentity,
        /// Whose.
        theirs: ClusterId,
        /// Who we are.
        ours: ClusterId,
    },
    /// Removed from the cluster, or its operator was.
    #[error("the certificate of {0} is revoked")]
    Revoked(PeerIdentity),
    /// We dialled somebody else.
    #[error("{found} answers where node {expected} was expected")]
    OtherNode {
        /// Whom we dialled.
        expected: NodeId,
        /// Who answered.
        found: PeerIdentity,
    },
    /// We dialled a name that no certificate of this cluster has.
    #[error("{found} answers where {expected:?} was expected")]
    OtherName {
        /// What we dialled.
        expected: String,
        /// Who answered.
        found: PeerIdentity,
    },
    /// An operator where only daemons speak.
    #[error("{0} is no node")]
    NotANode(PeerIdentity),
}

/// A peer could not be reached, or one side refused the other.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Silence.
    #[error("node {node} at {address} did not answer within {after:?}")]
    Silent {
        /// Whom we dialled.
        node: NodeId,
        /// Where.
        address: SocketAddr,
        /// How long we waited.
        after: Duration,
    },
    /// We do not trust who answers there.
    #[error("whoever answers at {address} is not node {node} of this cluster: {reason}")]
    NotTrusted {
        /// Whom we dialled.
        node: NodeId,
        /// Where.
        address: SocketAddr,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// It does not trust us, or does not serve this protocol now.
    #[error("node {node} at {address} refused {protocol}: {reason}")]
    Refused {
        /// Whom we dialled.
        node: NodeId,
        /// Where.
        address: SocketAddr,
        /// What we wanted.
        protocol: Protocol,
        /// What it said.
        reason: String,
    },
    /// The address cannot be dialled at all.
    #[error("cannot dial node {node} at {address}")]
    Dial {
        /// Whom.
        node: NodeId,
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: quinn::ConnectError,
    },
    /// The connection broke while it was being made.
    #[error("the connection to node {node} at {address} broke")]
    Broken {
        /// Whom we dialled.
        node: NodeId,
        /// Where.
        address: SocketAddr,
        /// How.
        #[source]
        source: ConnectionError,
    },
    /// This side is going down.
    #[error("the transport is shut down")]
    ShutDown,
}

/// A message did not get through.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection ended.
    #[error("the connection to the peer ended")]
    Connection(#[from] ConnectionError),
    /// Writing broke off.
    #[error("the peer stopped reading")]
    Write(#[from] quinn::WriteError),
    /// Reading broke off.
    #[error("the peer stopped writing")]
    Read(#[source] quinn::ReadError),
    /// The peer may not send as much.
    #[error("the peer's message is longer than {limit} bytes")]
    TooLong {
        /// What is allowed.
        limit: usize,
    },
    /// Ended in the middle of a frame.
    #[error("the peer's message ended early")]
    Truncated,
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// It was admitted once, and is no more.
    #[error("the peer's certificate was revoked")]
    Revoked,
}

/// Why one side closed a connection, told to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseCode {
    Done,
    ShuttingDown,
    NotServed,
    CertificateRequired,
    NotANode,
    Revoked,
    Expired,
    Busy,
}

impl CloseCode {
    pub(super) fn code(self) -> VarInt {
        VarInt::from_u32(match self {
            Self::Done => 0,
            Self::ShuttingDown => 1,
            Self::NotServed => 2,
            Self::CertificateRequired => 3,
            Self::NotANode => 4,
            Self::Revoked => 5,
            Self::Expired => 6,
            Self::Busy => 7,
        })
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::ShuttingDown => "shutting down",
            Self::NotServed => "this protocol is not served yet",
            Self::CertificateRequired => "this protocol requires a node certificate",
            Self::NotANode => "this protocol is for nodes only",
            Self::Revoked => "the certificate is revoked",
            Self::Expired => "the certificate expired",
            Self::Busy => "too many hosts join at once, try again in a moment",
        }
    }

    pub(super) fn close(self, connection: &quinn::Connection) {
        connection.close(self.code(), self.reason().as_bytes());
    }
}
