//! The two verifiers of mutual TLS. The chain is webpki's work; ours is the name: which cluster,
//! which node, revoked or not.

use super::PeerRefusal;
use super::credentials::Credentials;
use super::tls::{node_of_server_name, provider};
use crate::identity::{PeerIdentity, api_server_name};
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, verify_server_cert_signed_by_trust_anchor};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DistinguishedName, Error, OtherError, SignatureScheme};
use std::sync::Arc;

/// The part that every verifier has in common: signatures are Ed25519 in TLS 1.3, or nothing.
macro_rules! signatures_of_tls13 {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &rustls::pki_types::CertificateDer<'_>,
            _: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            Err(rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let algorithms = $crate::transport::tls::provider().signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            $crate::transport::tls::SIGNATURES.to_vec()
        }
    };
}
pub(super) use signatures_of_tls13;

/// Judges clients.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) credentials: Arc<Credentials>,
    /// Whether a client without a certificate ends the handshake. The peers' endpoint lets it
    /// through and decides by protocol, before a handler sees anything.
    pub(super) mandatory: bool,
}

/// Judges servers: the name that was dialled says which node must answer.
#[derive(Debug)]
pub(super) struct Servers(pub(super) Arc<Credentials>);

/// Shows our certificate, the newest one at each handshake.
#[derive(Debug)]
pub(super) struct Ours(pub(super) Arc<Credentials>);

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified =
            self.credentials.current().clients.verify_client_cert(end_entity, intermediates, now)?;
        self.credentials.judge(end_entity).map_err(refused)?;
        Ok(verified)
    }

    signatures_of_tls13!();
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let current = self.0.current();
        let algorithms = provider().signature_verification_algorithms.all;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &current.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let (peer, _) = self.0.judge(end_entity).map_err(refused)?;
        self.expect(server_name, peer).map_err(refused)?;
        Ok(ServerCertVerified::assertion())
    }

    signatures_of_tls13!();
}

impl Servers {
    /// The dialled name is either one node's, or the cluster's for whoever accepts any node of it.
    fn expect(&self, server_name: &ServerName<'_>, peer: PeerIdentity) -> Result<(), PeerRefusal> {
        let name = server_name.to_str();
        let found = match &peer {
            PeerIdentity::Node { node, .. } => *node,
            PeerIdentity::Operator { .. } => return Err(PeerRefusal::NotANode(peer)),
        };
        if name == api_server_name(self.0.cluster()) {
            return Ok(());
        }
        match node_of_server_name(&name) {
            Some(expected) if expected == found => Ok(()),
            Some(expected) => Err(PeerRefusal::OtherNode { expected, found: peer }),
            None => Err(PeerRefusal::OtherName { expected: name.into_owned(), found: peer }),
        }
    }
}

impl ResolvesServerCert for Ours {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current().certified))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What the peer is told is an alert: revoked, or that the handshake failed. The whole reason is
/// for our side; rustls shows it after [`OTHER_ERROR`].
pub(super) fn refused(refusal: PeerRefusal) -> Error {
    match refusal {
        PeerRefusal::Revoked(_) => Error::InvalidCertificate(CertificateError::Revoked),
        PeerRefusal::Unreadable(_)
        | PeerRefusal::OtherCluster { .. }
        | PeerRefusal::OtherNode { .. }
        | PeerRefusal::OtherName { .. }
        | PeerRefusal::NotANode(_) => Error::Other(OtherError(Arc::new(refusal))),
    }
}

/// How rustls begins the text of an error of ours.
pub(super) const OTHER_ERROR: &str = "other error: ";
