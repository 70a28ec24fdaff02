//! The nodes of the cluster, its operators, and what lets them in.

use crate::format::Format;
use crate::ids::{Digest, NodeId, RaftId};
pub use crate::state::role::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A node, from its admission to its removal and after it: raft ids and certificates of removed
/// nodes must never come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its id, as in its certificate.
    pub id: NodeId,
    /// Its number within raft.
    pub raft_id: RaftId,
    /// For people; unique among present nodes.
    pub name: String,
    /// Where its daemon listens.
    pub address: SocketAddr,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// The digest of the public key that it was admitted with.
    pub key: Digest,
    /// Seals what only voters may know (the CA's key).
    pub sealing_key: Vec<u8>,
    /// Serial numbers of its certificates that are still valid.
    pub certificates: Vec<Certificate>,
    /// A signing request (DER) that a voter has to answer, because a certificate is due for renewal.
    pub renewal: Option<Vec<u8>>,
    /// The newest renewed certificate (DER), for the node to take.
    pub renewed: Option<Vec<u8>>,
    /// The version of its daemon.
    pub daemon_version: String,
    /// Up to which format its daemon reads.
    #[serde(default = "Format::first")]
    pub reads: Format,
    /// When it was admitted.
    pub joined_at: Timestamp,
    /// Whether it still belongs to the cluster.
    pub membership: Membership,
}

impl NodeRecord {
    /// Whether it belongs to the cluster.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        matches!(self.membership, Membership::Present)
    }

    /// Whether it carries all of these labels.
    #[must_use]
    pub fn carries(&self, labels: &BTreeMap<String, String>) -> bool {
        labels.iter().all(|(key, value)| self.labels.get(key) == Some(value))
    }
}

/// Whether a node still belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Membership {
    /// It does.
    Present,
    /// It was removed for good.
    Removed { at: Timestamp },
}

/// A certificate that the cluster's CA has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Its serial number, lower-case hex.
    pub serial: String,
    /// The end of its validity.
    pub not_after: Timestamp,
}

/// An operator who holds a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRecord {
    /// The name in the certificate.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The certificate.
    pub certificate: Certificate,
    /// When it was signed.
    pub added_at: Timestamp,
}
