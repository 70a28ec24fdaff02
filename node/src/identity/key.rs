//! An Ed25519 private key and the signing request made from it.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ED25519};
use rustls::pki_types::PrivatePkcs8KeyDer;
use std::fmt;
use std::sync::Arc;

/// The private key of a node or an operator. It never leaves the host it was made on.
#[derive(Clone)]
pub struct PrivateKey(Arc<KeyPair>);

/// A private key could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The library refused; with the system's randomness available it does not happen.
    #[error("cannot make an Ed25519 key")]
    Generate(#[source] rcgen::Error),
    /// Not an Ed25519 key in PKCS #8.
    #[error("not an Ed25519 private key in PKCS #8: restore the state directory or join again")]
    Parse(#[source] rcgen::Error),
    /// The signing request could not be encoded.
    #[error("cannot make a certificate signing request")]
    Request(#[source] rcgen::Error),
}

impl PrivateKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// See [`KeyError::Generate`].
    pub fn generate() -> Result<Self, KeyError> {
        KeyPair::generate_for(&PKCS_ED25519).map(|pair| Self(Arc::new(pair))).map_err(KeyError::Generate)
    }

    /// Reads PEM as [`Self::to_pem`] wrote it.
    ///
    /// # Errors
    /// When it is not an Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        KeyPair::from_pkcs8_pem_and_sign_algo(pem, &PKCS_ED25519)
            .map(|pair| Self(Arc::new(pair)))
            .map_err(KeyError::Parse)
    }

    /// PKCS #8 in PEM. Secret: write it to files of mode 0600 only.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// PKCS #8 in DER. Secret.
    #[must_use]
    pub fn to_der(&self) -> PrivatePkcs8KeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.0.serialize_der())
    }

    /// The raw public key, as it stands in a certificate.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.0.public_key_raw()
    }

    /// A certificate signing request in DER. It names nobody: the CA decides the names.
    ///
    /// # Errors
    /// See [`KeyError::Request`].
    pub fn signing_request(&self) -> Result<Vec<u8>, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&*self.0).map_err(KeyError::Request)?;
        Ok(request.der().to_vec())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(secret)")
    }
}
