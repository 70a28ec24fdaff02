//! The keys that a host takes packages from: one Ed25519 key a file, PEM, in a directory that only root can
//! write to. The cluster's CA is none of them: its key is sealed in the daemon's own state, so whoever has
//! taken over a daemon would have root with it.

use relupd_release::Digest;
use relupd_release::package::{Statement, StatementError};
use rustls::SignatureScheme;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// RFC 8410: what stands before the 32 bytes of every Ed25519 key.
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Clocks of hosts and operators differ by less.
const SKEW_SECONDS: i64 = 3600;

/// The pinned keys of a host.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys {
    directory: PathBuf,
    keys: BTreeMap<String, [u8; 32]>,
}

/// Why a package is not installed, as far as its signature goes.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// Nobody is trusted.
    #[error(
        "this host takes packages of relupd from nobody: `relupctl upgrade key` on your computer shows your key, `relupctl upgrade trust KEY.pem` as root on the host pins it"
    )]
    NoKeys,
    /// Somebody else is.
    #[error(
        "no key in {directory} has signed this package; pin the signer's with `relupctl upgrade trust KEY.pem`, as root on this host"
    )]
    NoSuchKey { directory: PathBuf },
    /// It makes no sense.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It was signed for another time.
    #[error("the signature is {0}: sign again, and look at the clocks of this host and the signer's")]
    Time(&'static str),
    /// The directory, or a key in it, cannot be used.
    #[error("cannot rely on {path}: {reason}")]
    Keys { path: PathBuf, reason: String },
}

impl TrustedKeys {
    /// The keys in a directory; none where it is not there. With an `owner`, nobody else may be able to add
    /// one.
    ///
    /// # Errors
    /// Where a file there is no key, or somebody else could have put it there.
    pub fn read(directory: &Path, owner: Option<u32>) -> Result<Self, Untrusted> {
        let mut trusted = Self { directory: directory.to_owned(), keys: BTreeMap::new() };
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(trusted),
            Err(error) => return Err(unusable(directory, &error)),
            Ok(entries) => entries,
        };
        require_owner(directory, owner)?;
        for entry in entries {
            let path = entry.map_err(|error| unusable(directory, &error))?.path();
            if path.extension().is_none_or(|extension| extension != "pem") {
                continue;
            }
            require_owner(&path, owner)?;
            let text = fs::read(&path).map_err(|error| unusable(&path, &error))?;
            let key = public_key(&text).ok_or_else(|| Untrusted::Keys {
                path: path.clone(),
                reason: "it is no Ed25519 public key in PEM".to_owned(),
            })?;
            trusted.keys.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), key);
        }
        Ok(trusted)
    }

    /// The keys by their digests, for operators to compare.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.values().map(|key| Digest::of(key).to_string()).collect()
    }

    /// What a pinned key says about a package, if it says it now. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// Where no pinned key has signed it, or not for this time.
    pub fn verify(&self, text: &str, signature: &[u8], now: i64) -> Result<Statement, Untrusted> {
        if self.keys.is_empty() {
            return Err(Untrusted::NoKeys);
        }
        if !self.keys.values().any(|key| has_signed(key, text.as_bytes(), signature)) {
            return Err(Untrusted::NoSuchKey { directory: self.directory.clone() });
        }
        let statement = Statement::parse(text)?;
        if statement.signed_at > now.saturating_add(SKEW_SECONDS) {
            return Err(Untrusted::Time("of the future"));
        }
        if statement.expires_at <= now {
            return Err(Untrusted::Time("too old"));
        }
        Ok(statement)
    }
}

fn public_key(pem: &[u8]) -> Option<[u8; 32]> {
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    der.as_ref().strip_prefix(&ED25519)?.try_into().ok()
}

fn has_signed(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let provider = rustls::crypto::ring::default_provider();
    let algorithms = provider.signature_verification_algorithms.mapping.iter();
    let ed25519 = algorithms.filter(|(scheme, _)| *scheme == SignatureScheme::ED25519);
    ed25519
        .flat_map(|(_, algorithms)| algorithms.iter())
        .any(|algorithm| algorithm.verify_signature(key, message, signature).is_ok())
}

/// What root relies on, nobody else may be able to change.
pub(super) fn require_owner(path: &Path, owner: Option<u32>) -> Result<(), Untrusted> {
    let Some(owner) = owner else { return Ok(()) };
    let found = fs::symlink_metadata(path).map_err(|error| unusable(path, &error))?;
    let reason = if found.uid() != owner {
        format!("it belongs to uid {}, not to {owner}", found.uid())
    } else if found.mode() & 0o022 != 0 {
        "others can write to it".to_owned()
    } else if found.is_symlink() {
        "it is a link".to_owned()
    } else {
        return Ok(());
    };
    Err(Untrusted::Keys { path: path.to_owned(), reason })
}

fn unusable(path: &Path, error: &io::Error) -> Untrusted {
    Untrusted::Keys { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;
    use tempfile::TempDir;

    const NOW: i64 = 1_790_000_000;

    fn statement() -> Statement {
        Statement {
            version: "0.2.0-1".to_owned(),
            architecture: "amd64".to_owned(),
            digest: Digest::of(b"package"),
            size: 7,
            signed_at: NOW,
            expires_at: NOW + 86_400,
        }
    }

    fn key() -> KeyPair {
        KeyPair::generate_for(&PKCS_ED25519).unwrap()
    }

    fn pinned(keys: &[&KeyPair]) -> (TrustedKeys, TempDir) {
        let directory = TempDir::new().unwrap();
        for (index, key) in keys.iter().enumerate() {
            let path = directory.path().join(format!("{index}.pem"));
            fs::write(&path, key.public_key_pem()).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        }
        let owner = rustix::process::geteuid().as_raw();
        (TrustedKeys::read(directory.path(), Some(owner)).unwrap(), directory)
    }

    #[test]
    fn what_a_pinned_key_has_signed_is_believed() {
        let (ada, bob) = (key(), key());
        let (trusted, _directory) = pinned(&[&ada, &bob]);
        let text = statement().to_text();
        for signer in [&ada, &bob] {
            let signature = signer.sign(text.as_bytes()).unwrap();
            assert_eq!(trusted.verify(&text, &signature, NOW + 60).unwrap(), statement());
        }
        let raw: &[u8] = ada.public_key_raw();
        assert!(trusted.fingerprints().contains(&Digest::of(raw).to_string()));
    }

    #[test]
    fn unsigned_foreign_and_tampered_packages_are_refused() {
        let (ada, eve) = (key(), key());
        let (trusted, _directory) = pinned(&[&ada]);
        let text = statement().to_text();
        let signature = ada.sign(text.as_bytes()).unwrap();
        let tampered = text.replace("0.2.0-1", "0.2.0-2");
        let foreign = eve.sign(text.as_bytes()).unwrap();
        let mut broken = signature.clone();
        broken[7] ^= 1;
        for (text, signature) in
            [(&text, Vec::new()), (&text, foreign), (&tampered, signature.clone()), (&text, broken)]
        {
            let refused = trusted.verify(text, &signature, NOW).expect_err("it is not signed");
            assert!(matches!(refused, Untrusted::NoSuchKey { .. }), "{refused}");
        }
        let (nobody, _directory) = pinned(&[]);
        assert!(matches!(nobody.verify(&text, &signature, NOW), Err(Untrusted::NoKeys)));
    }

    #[test]
    fn a_signature_counts_only_for_its_time() {
        let ada = key();
        let (trusted, _directory) = pinned(&[&ada]);
        let text = statement().to_text();
        let signature = ada.sign(text.as_bytes()).unwrap();
        for now in [NOW + 86_400, NOW - 2 * SKEW_SECONDS] {
            let refused = trusted.verify(&text, &signature, now).expect_err("another time");
            assert!(matches!(refused, Untrusted::Time(_)), "{refused}");
        }
    }

    #[test]
    fn a_key_that_somebody_else_could_have_put_there_counts_for_nothing() {
        let ada = key();
        let (_, directory) = pinned(&[&ada]);
        let owner = rustix::process::geteuid().as_raw();
        let refused = TrustedKeys::read(directory.path(), Some(owner + 1)).expect_err("another owner");
        assert!(refused.to_string().contains("belongs to uid"), "{refused}");
        let file = directory.path().join("0.pem");
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        let refused = TrustedKeys::read(directory.path(), Some(owner)).expect_err("writable");
        assert!(refused.to_string().contains("others can write"), "{refused}");
        fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert!(TrustedKeys::read(directory.path(), Some(owner)).is_err(), "a certificate is no key");
    }
}
