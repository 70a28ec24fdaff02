//! How a joiner knows the cluster: by the digest of its CA, which is all that a token carries of it.

use crate::identity::{JoinToken, PeerIdentity, certificate_digest};
use crate::ids::{ClusterId, Digest};
use crate::transport::tls::provider;
use crate::transport::verify::signatures_of_tls13;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{Error, OtherError, RootCertStore};
use std::sync::Arc;

/// Accepts a node of the token's cluster whose chain ends in the CA with the token's digest.
#[derive(Debug)]
pub(super) struct ByDigest {
    cluster: ClusterId,
    ca_digest: Digest,
}

impl ByDigest {
    pub(super) fn of(token: &JoinToken) -> Self {
        Self { cluster: token.cluster, ca_digest: token.ca_digest }
    }
}

/// Why the seed is not whom the token means.
#[derive(Debug, thiserror::Error)]
#[error(
    "it does not belong to the cluster that the token is of (cluster {0}): another cluster answers there, or the token is old"
)]
struct OtherCluster(ClusterId);

impl ServerCertVerifier for ByDigest {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let foreign = || Error::Other(OtherError(Arc::new(OtherCluster(self.cluster))));
        let ca = intermediates
            .iter()
            .find(|certificate| certificate_digest(certificate) == self.ca_digest)
            .ok_or_else(foreign)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let algorithms = provider().signature_verification_algorithms.all;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &roots, intermediates, now, algorithms)?;
        match PeerIdentity::from_certificate(end_entity) {
            Ok((PeerIdentity::Node { cluster, .. }, _)) if cluster == self.cluster => {
                Ok(ServerCertVerified::assertion())
            }
            Ok(_) | Err(_) => Err(foreign()),
        }
    }

    signatures_of_tls13!();
}
