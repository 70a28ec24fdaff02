//! The CA's key at rest: sealed (X25519 sealed boxes) to each voter, whose secret half lies in the
//! state directory and never in replicated state. Whoever reads the log or a backup learns nothing.

use crypto_box::aead::OsRng;
use std::fmt;

/// A node's secret that opens what was sealed to it.
#[derive(Clone)]
pub struct SealingSecret(crypto_box::SecretKey);

/// The public half: whom to seal to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SealingPublic([u8; 32]);

/// The CA's private key, PKCS #8 in DER. In memory of voters only.
#[derive(Clone, PartialEq, Eq)]
pub struct CaKey(Vec<u8>);

/// The CA's private key, sealed to one voter. Safe in replicated state.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedKey(Vec<u8>);

/// Sealing or opening failed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// Sealed to another node, or damaged.
    #[error(
        "the sealed CA key does not open with this node's sealing secret: it was sealed to another node or is damaged; another voter can seal it anew"
    )]
    DoesNotOpen,
    /// The library refused to seal.
    #[error("cannot seal the CA key to this node's public sealing key")]
    CannotSeal,
    /// Not a 32-byte key.
    #[error("a public sealing key has 32 bytes, this one {0}")]
    Length(usize),
}

impl SealingSecret {
    /// From 32 random bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(crypto_box::SecretKey::from(bytes))
    }

    /// The secret itself. Write it to files of mode 0600 only.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The half to give away.
    #[must_use]
    pub fn public(&self) -> SealingPublic {
        SealingPublic(self.0.public_key().to_bytes())
    }

    /// Opens what was sealed to [`Self::public`].
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`].
    pub fn open(&self, sealed: &SealedKey) -> Result<CaKey, SealError> {
        self.0.unseal(&sealed.0).map(CaKey).map_err(|_| SealError::DoesNotOpen)
    }
}

impl SealingPublic {
    /// The raw key, as it travels.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A key that arrived.
    ///
    /// # Errors
    /// When it is not 32 bytes long.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SealError> {
        bytes.try_into().map(Self).map_err(|_| SealError::Length(bytes.len()))
    }

    /// Seals the CA's key to this node. Sealing uses the system's randomness: each result differs.
    ///
    /// # Errors
    /// [`SealError::CannotSeal`].
    pub fn seal(&self, key: &CaKey) -> Result<SealedKey, SealError> {
        crypto_box::PublicKey::from(self.0)
            .seal(&mut OsRng, &key.0)
            .map(SealedKey)
            .map_err(|_| SealError::CannotSeal)
    }
}

impl SealedKey {
    /// As it is kept in replicated state.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From replicated state. Whether it opens is another question.
    #[must_use]
    pub const fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl CaKey {
    pub(super) fn from_pkcs8(der: Vec<u8>) -> Self {
        Self(der)
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealingPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingPublic({})", data_encoding::HEXLOWER.encode(&self.0[..6]))
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingSecret(secret)")
    }
}

impl fmt::Debug for CaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CaKey(secret)")
    }
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_addressee_opens_a_sealed_key() {
        let (addressee, other) = (SealingSecret::from_bytes([1; 32]), SealingSecret::from_bytes([2; 32]));
        let key = CaKey::from_pkcs8(b"the CA's key".to_vec());
        let sealed = addressee.public().seal(&key).unwrap();
        assert_eq!(addressee.open(&sealed), Ok(key.clone()));
        assert_eq!(other.open(&sealed), Err(SealError::DoesNotOpen));

        let restored = SealedKey::from_bytes(sealed.as_bytes().to_vec());
        assert_eq!(addressee.open(&restored), Ok(key));
    }

    #[test]
    fn debug_output_shows_no_secret() {
        let secret = SealingSecret::from_bytes([7; 32]);
        let key = CaKey::from_pkcs8(vec![7; 40]);
        assert_eq!(format!("{secret:?} {key:?}"), "SealingSecret(secret) CaKey(secret)");
    }
}
