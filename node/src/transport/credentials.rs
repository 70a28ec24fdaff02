//! What every handshake reads live: our certificate and key, whom we trust, whom no more. Replacing
//! any of it needs neither a restart nor a new endpoint.

use super::PeerRefusal;
use super::tls::provider;
use crate::identity::{InvalidMembership, NodeIdentity, PeerIdentity, Revocations, Validity};
use crate::ids::{ClusterId, NodeId};
use arc_swap::ArcSwap;
use rustls::RootCertStore;
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use tokio::sync::watch;

/// Our side of mutual TLS. Shared by the peers' endpoint and the API.
#[derive(Debug)]
pub struct Credentials {
    cluster: ClusterId,
    node: NodeId,
    current: ArcSwap<Current>,
    revocations: watch::Sender<Arc<Revocations>>,
}

#[derive(Debug)]
pub(super) struct Current {
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) roots: Arc<RootCertStore>,
    pub(super) clients: Arc<dyn ClientCertVerifier>,
    pub(super) validity: Validity,
}

/// The identity cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Key, certificate and ids do not belong together.
    #[error("this node's certificate is not usable")]
    Membership(#[from] InvalidMembership),
    /// The key is not usable.
    #[error("this node's private key is not usable")]
    Key(#[source] rustls::Error),
    /// A CA certificate is not usable.
    #[error("the cluster's CA certificate is not usable")]
    Authority(#[source] rustls::Error),
    /// No verifier can be made of the CA certificates.
    #[error("the cluster's CA certificates are not usable")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    /// A renewed certificate of somebody else.
    #[error(
        "the new certificate is node {found}'s of cluster {of}, this is node {node} of cluster {cluster}"
    )]
    OtherNode {
        /// Whose it is.
        found: NodeId,
        /// Of which cluster.
        of: ClusterId,
        /// Who we are.
        node: NodeId,
        /// Of which cluster we are.
        cluster: ClusterId,
    },
}

impl Credentials {
    /// The credentials of a node.
    ///
    /// # Errors
    /// When its identity is not usable for TLS.
    pub fn new(identity: &NodeIdentity, revocations: Revocations) -> Result<Arc<Self>, CredentialsError> {
        Ok(Arc::new(Self {
            cluster: identity.cluster,
            node: identity.node,
            current: ArcSwap::from_pointee(Current::of(identity)?),
            revocations: watch::Sender::new(Arc::new(revocations)),
        }))
    }

    /// Uses a renewed certificate from the next handshake on. Live connections go on.
    ///
    /// # Errors
    /// When the identity is another node's or not usable; the present one stays in use.
    pub fn replace(&self, identity: &NodeIdentity) -> Result<(), CredentialsError> {
        if (identity.cluster, identity.node) != (self.cluster, self.node) {
            let (found, of, node, cluster) = (identity.node, identity.cluster, self.node, self.cluster);
            return Err(CredentialsError::OtherNode { found, of, node, cluster });
        }
        self.current.store(Arc::new(Current::of(identity)?));
        Ok(())
    }

    /// Refuses these from now on: no new handshake, nothing more read from live connections, which
    /// then end by themselves.
    pub fn set_revocations(&self, revocations: Revocations) {
        self.revocations.send_replace(Arc::new(revocations));
    }

    /// The cluster we belong to.
    #[must_use]
    pub const fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The node we are.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// From when until when our certificate counts.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.current.load().validity
    }

    /// Whether this peer is refused now. For connections that outlive their handshake.
    #[must_use]
    pub fn is_revoked(&self, peer: &PeerIdentity) -> bool {
        self.revocations.borrow().covers(peer)
    }

    /// Follows the revocations.
    #[must_use]
    pub fn revocations(&self) -> watch::Receiver<Arc<Revocations>> {
        self.revocations.subscribe()
    }

    /// Who a certificate whose chain was verified belongs to, if we accept that peer at all.
    ///
    /// # Errors
    /// Why we do not.
    pub fn judge(&self, certificate: &[u8]) -> Result<(PeerIdentity, Validity), PeerRefusal> {
        let (peer, validity) =
            PeerIdentity::from_certificate(certificate).map_err(PeerRefusal::Unreadable)?;
        Ok((admitted(peer, self.cluster, &self.revocations.borrow())?, validity))
    }

    pub(super) fn current(&self) -> Arc<Current> {
        self.current.load_full()
    }
}

/// The peer, where a node of this cluster that knows of these revocations accepts it at all.
///
/// # Errors
/// Why it does not.
pub fn admitted(
    peer: PeerIdentity,
    ours: ClusterId,
    revocations: &Revocations,
) -> Result<PeerIdentity, PeerRefusal> {
    let theirs = peer.cluster();
    if theirs != ours {
        return Err(PeerRefusal::OtherCluster { peer, theirs, ours });
    }
    if revocations.covers(&peer) {
        return Err(PeerRefusal::Revoked(peer));
    }
    Ok(peer)
}

impl Current {
    fn of(identity: &NodeIdentity) -> Result<Self, CredentialsError> {
        let (_, validity) = identity.check()?;
        let key = any_eddsa_type(&identity.key.to_der()).map_err(CredentialsError::Key)?;
        // The CA's certificate goes along: a joiner knows it by its digest only.
        let mut chain = vec![identity.certificate.clone()];
        chain.extend(identity.ca_certificates.iter().cloned());
        let mut roots = RootCertStore::empty();
        for ca in &identity.ca_certificates {
            roots.add(ca.clone()).map_err(CredentialsError::Authority)?;
        }
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(CredentialsError::Verifier)?;
        Ok(Self { certified: Arc::new(CertifiedKey::new(chain, key)), roots, clients, validity })
    }
}
