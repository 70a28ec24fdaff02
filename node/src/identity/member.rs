//! A host on its way to being a node, and a node. Key, certificate and ids belong together in every
//! [`NodeIdentity`]: it is made by the checked constructors only.

use super::{InvalidPeer, PeerIdentity, PrivateKey, SealingSecret, Validity};
use crate::ids::{ClusterId, NodeId};
use rustls::pki_types::CertificateDer;

/// A host that is not a node yet. Kept on disk, so that asking to join again after a lost reply
/// names the same node.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The id it will have.
    pub node: NodeId,
    /// The host's name in the cluster.
    pub name: String,
    /// Its private key.
    pub key: PrivateKey,
    /// Opens the CA's key, should this node become a voter.
    pub sealing: SealingSecret,
}

/// A member of a cluster.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// The host's name in the cluster.
    pub name: String,
    /// Its private key.
    pub key: PrivateKey,
    /// Its certificate.
    pub certificate: CertificateDer<'static>,
    /// What it trusts.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Opens the CA's key, if this node is a voter.
    pub sealing: SealingSecret,
}

impl Candidate {
    /// The node that this candidate became.
    ///
    /// # Errors
    /// When the certificate is not this candidate's: another key, another node, another cluster.
    pub fn admitted(
        self,
        cluster: ClusterId,
        certificate: CertificateDer<'static>,
        ca_certificates: Vec<CertificateDer<'static>>,
    ) -> Result<NodeIdentity, InvalidMembership> {
        let Self { node, name, key, sealing } = self;
        let identity = NodeIdentity { cluster, node, name, key, certificate, ca_certificates, sealing };
        identity.check().map(|_| identity)
    }
}

/// The certificate does not fit the node.
#[derive(Debug, thiserror::Error)]
pub enum InvalidMembership {
    /// Not one of ours at all.
    #[error(transparent)]
    Certificate(#[from] InvalidPeer),
    /// Somebody else's.
    #[error("the certificate is {found}'s of cluster {of}, not node {expected}'s of cluster {cluster}")]
    OtherName {
        /// Whose it is.
        found: PeerIdentity,
        /// Of which cluster.
        of: ClusterId,
        /// Whose it must be.
        expected: NodeId,
        /// Of which cluster it must be.
        cluster: ClusterId,
    },
    /// For another key.
    #[error("the certificate is for another private key")]
    OtherKey,
    /// There is nobody to trust.
    #[error("there is no CA certificate")]
    NoAuthority,
}

impl NodeIdentity {
    /// The node without its membership.
    #[must_use]
    pub fn into_candidate(self) -> Candidate {
        let Self { node, name, key, sealing, .. } = self;
        Candidate { node, name, key, sealing }
    }

    /// Who the certificate says we are, and how long. Key, certificate and ids belong together.
    ///
    /// # Errors
    /// When they do not.
    pub fn check(&self) -> Result<(PeerIdentity, Validity), InvalidMembership> {
        let (found, validity) = PeerIdentity::from_certificate(&self.certificate)?;
        let (cluster, expected) = (self.cluster, self.node);
        let ours = PeerIdentity::Node { cluster, node: expected, serial: found.serial() };
        if found != ours {
            return Err(InvalidMembership::OtherName { of: found.cluster(), found, expected, cluster });
        }
        let (_, x509) =
            x509_parser::parse_x509_certificate(&self.certificate).map_err(|_| InvalidPeer::NotX509)?;
        if x509.public_key().subject_public_key.data != self.key.public_key() {
            return Err(InvalidMembership::OtherKey);
        }
        if self.ca_certificates.is_empty() {
            return Err(InvalidMembership::NoAuthority);
        }
        Ok((found, validity))
    }

    /// This node with a renewed certificate, perhaps for a new key.
    ///
    /// # Errors
    /// When the certificate is not this node's.
    pub fn renewed(
        &self,
        key: PrivateKey,
        certificate: CertificateDer<'static>,
    ) -> Result<Self, InvalidMembership> {
        let renewed = Self { key, certificate, ..self.clone() };
        renewed.check().map(|_| renewed)
    }
}
