//! How a host becomes a node. The joiner knows the cluster by the CA's digest in its token and
//! checks it before it says anything; the server knows the joiner by the token's secret.

mod client;
mod server;
mod verify;
mod wire;

pub use client::{Applicant, JoinFailure, join};
pub(super) use server::serve;

use crate::format::Format;
use crate::identity::{PresentedToken, SealingPublic, TokenError};
use crate::ids::{ClusterId, NodeId, RaftId};
use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A request or reply has a few certificates and labels.
const MESSAGE_LIMIT: usize = 64 * 1024;
/// Admission is a few commits of the cluster; a leader change in between must fit.
const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// A host that asks to become a node. Nothing in it is believed yet.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Its invitation.
    pub token: PresentedToken,
    /// The id that it chose for itself.
    pub node: NodeId,
    /// The name it wants.
    pub name: String,
    /// Where its own transport will listen.
    pub address: SocketAddr,
    /// For placement.
    pub labels: BTreeMap<String, String>,
    /// A certificate signing request in DER.
    pub signing_request: Vec<u8>,
    /// For the CA's key, should it become a voter.
    pub sealing_key: SealingPublic,
    /// Of its relupd.
    pub software_version: String,
    /// Up to which format of log and snapshots it reads.
    pub reads: Format,
}

/// What a host gets when it is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its number in raft.
    pub raft: RaftId,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// What it trusts from now on.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Whom it can talk to.
    pub peers: Vec<KnownPeer>,
}

/// A node of the cluster, as the admitting node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// The node.
    pub node: NodeId,
    /// Its number in raft.
    pub raft: RaftId,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Why a host is not admitted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum JoinError {
    /// Its token admits nobody.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The request cannot be granted as it is; the text says what to change.
    #[error("{0}")]
    BadRequest(String),
    /// Not now: no quorum, no leader. Another seed or another try may do.
    #[error("{0}")]
    Unavailable(String),
}

/// Decides who becomes a node: checks the token, commits the node, signs its certificate.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Admits a host or says why not. Asked twice by the same node with the same token, it answers
    /// as the first time.
    async fn admit(&self, request: JoinRequest) -> Result<Admitted, JoinError>;
}
