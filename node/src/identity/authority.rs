//! The cluster's own CA. It takes nothing from a signing request but the public key: who the
//! certificate speaks for is the caller's decision.

use super::{CaKey, OperatorName, PeerIdentity, Role, Serial, Validity};
use crate::ids::{ClusterId, Digest, NodeId};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType,
    SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use std::time::Duration;

/// How long a node's certificate lives. It is renewed at half life.
pub const NODE_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long an operator's certificate lives. It is revoked by `operator revoke` before that.
pub const OPERATOR_LIFETIME: SignedDuration = SignedDuration::from_hours(365 * 24);
const CA_LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// Certificates count from a little before they are made, for peers whose clocks run behind.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// The cluster's CA, with its private key: exists on voters only.
pub struct CertificateAuthority {
    cluster: ClusterId,
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// The CA could not be made, opened or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The library refused; with the system's randomness available it does not happen.
    #[error("cannot make the cluster's CA")]
    Create(#[source] rcgen::Error),
    /// The key that was unsealed is not one.
    #[error("the CA key is not an Ed25519 key: restore it from another voter")]
    Key(#[source] rcgen::Error),
    /// The stored certificate of the CA is damaged.
    #[error("the CA certificate is not readable: restore the state from another voter")]
    Certificate(#[source] rcgen::Error),
    /// Key and certificate are of different CAs.
    #[error("the CA key does not belong to the CA certificate: restore it from another voter")]
    KeyMismatch,
    /// The signing request is malformed or not signed by its own key.
    #[error("the certificate signing request is malformed or not signed by its own key: make a new one")]
    Request(#[source] rcgen::Error),
    /// Only Ed25519 keys are certified.
    #[error("the certificate signing request is for a key that is not Ed25519: make an Ed25519 key")]
    RequestKey,
    /// The library refused to sign.
    #[error("cannot sign the certificate")]
    Sign(#[source] rcgen::Error),
}

impl CertificateAuthority {
    /// A new CA for a new cluster.
    ///
    /// # Errors
    /// See [`AuthorityError::Create`].
    pub fn create(cluster: ClusterId, serial: Serial, now: Timestamp) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(AuthorityError::Create)?;
        let mut params =
            params(&format!("relupd CA of cluster {cluster}"), serial, validity(now, CA_LIFETIME));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(AuthorityError::Create)?.der().clone();
        Ok(Self { cluster, certificate, issuer: Issuer::new(params, key) })
    }

    /// The CA of a cluster from its certificate and its unsealed key.
    ///
    /// # Errors
    /// When either is damaged, or they do not belong together.
    pub fn open(cluster: ClusterId, certificate: &[u8], key: &CaKey) -> Result<Self, AuthorityError> {
        let certificate = CertificateDer::from(certificate.to_vec());
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(key.pkcs8()), &PKCS_ED25519)
                .map_err(AuthorityError::Key)?;
        let certified = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|_| AuthorityError::Certificate(rcgen::Error::CouldNotParseCertificate))?
            .1;
        if certified.public_key().subject_public_key.data != key.public_key_raw() {
            return Err(AuthorityError::KeyMismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(AuthorityError::Certificate)?;
        Ok(Self { cluster, certificate, issuer })
    }

    /// The private key, for sealing it to a voter.
    #[must_use]
    pub fn key(&self) -> CaKey {
        CaKey::from_pkcs8(self.issuer.key().serialize_der())
    }

    /// The certificate in DER: what everybody in the cluster trusts.
    #[must_use]
    pub const fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What a join token carries.
    #[must_use]
    pub fn digest(&self) -> Digest {
        certificate_digest(&self.certificate)
    }

    /// Certifies a node: server towards its peers and the API's clients, client towards its peers.
    ///
    /// # Errors
    /// When the signing request is not acceptable.
    pub fn sign_node(
        &self,
        request: &[u8],
        node: NodeId,
        serial: Serial,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let identity = PeerIdentity::Node { cluster: self.cluster, node, serial };
        let mut params = params(&format!("node {node}"), serial, validity(now, NODE_LIFETIME));
        params.subject_alt_names = vec![uri(&identity)?, dns(api_server_name(self.cluster))?];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, request)
    }

    /// Certifies an operator, as a client only: an operator's certificate cannot pose as a daemon.
    ///
    /// # Errors
    /// When the signing request is not acceptable.
    pub fn sign_operator(
        &self,
        request: &[u8],
        name: &OperatorName,
        role: Role,
        serial: Serial,
        now: Timestamp,
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let identity = PeerIdentity::Operator { cluster: self.cluster, name: name.clone(), role, serial };
        let mut params = params(&format!("operator {name}"), serial, validity(now, OPERATOR_LIFETIME));
        params.subject_alt_names = vec![uri(&identity)?];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, request)
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        request: &[u8],
    ) -> Result<CertificateDer<'static>, AuthorityError> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request))
            .map_err(AuthorityError::Request)?;
        if PublicKeyData::algorithm(&request.public_key) != &PKCS_ED25519 {
            return Err(AuthorityError::RequestKey);
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate =
            params.signed_by(&request.public_key, &self.issuer).map_err(AuthorityError::Sign)?;
        Ok(certificate.into())
    }
}

/// The DNS name in every node's certificate, for clients that accept any node of the cluster and
/// check names the usual way. It is never resolved (`.internal` is reserved for private use).
#[must_use]
pub fn api_server_name(cluster: ClusterId) -> String {
    format!("{cluster}.relupd.internal").to_ascii_lowercase()
}

/// The digest of a certificate in DER.
#[must_use]
pub fn certificate_digest(certificate: &[u8]) -> Digest {
    Digest::of(certificate)
}

fn validity(now: Timestamp, lifetime: SignedDuration) -> Validity {
    let shifted = |by| now.saturating_add(by).unwrap_or(now);
    Validity { from: shifted(-CLOCK_SKEW), until: shifted(lifetime) }
}

fn params(common_name: &str, serial: Serial, validity: Validity) -> CertificateParams {
    let since_epoch = |at: Timestamp| Duration::from_secs(at.as_second().try_into().unwrap_or(0));
    let epoch = date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from_slice(serial.as_bytes()));
    params.not_before = epoch + since_epoch(validity.from);
    params.not_after = epoch + since_epoch(validity.until);
    params
}

fn uri(identity: &PeerIdentity) -> Result<SanType, AuthorityError> {
    identity.to_name().try_into().map(SanType::URI).map_err(AuthorityError::Sign)
}

fn dns(name: String) -> Result<SanType, AuthorityError> {
    name.try_into().map(SanType::DnsName).map_err(AuthorityError::Sign)
}

#[cfg(test)]
mod tests;
