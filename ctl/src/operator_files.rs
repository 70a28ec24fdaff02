//! The directory that makes somebody an operator: private key, certificate, the cluster's CA, and
//! where the nodes listen. Readable by its owner only; the key never leaves it.

use anyhow::Context as _;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ED25519};
use relupd_proto::api::v1::AddOperatorResponse;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const AUTHORITY: &str = "ca.pem";
const PROFILE: &str = "operator.toml";

/// What is not secret: `operator.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// The operator's name.
    pub(crate) name: String,
    /// The DNS name in every node's certificate.
    pub(crate) server_name: String,
    /// Where nodes listen: IP:PORT.
    pub(crate) addresses: Vec<String>,
}

/// What a client shows and checks in a handshake.
pub(crate) struct Credentials {
    pub(crate) key: String,
    pub(crate) certificate: String,
    pub(crate) authority: String,
    pub(crate) profile: Profile,
}

/// A fresh key and the request to sign it, DER.
pub(crate) fn request() -> anyhow::Result<(KeyPair, Vec<u8>)> {
    let key = KeyPair::generate_for(&PKCS_ED25519).context("cannot make a key")?;
    let mut params = CertificateParams::default();
    // The CA decides the names.
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).context("cannot make a signing request")?;
    Ok((key, request.der().to_vec()))
}

/// Makes the directory, so that it is known to be writable before anything is signed.
pub(crate) fn create(directory: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .mode(0o700)
        .create(directory)
        .with_context(|| format!("cannot make directory {}; name another with --out", directory.display()))
}

/// Writes what the cluster has answered.
pub(crate) fn write(directory: &Path, key: &KeyPair, answer: &AddOperatorResponse) -> anyhow::Result<()> {
    let profile = Profile {
        name: answer.operator.as_ref().map(|operator| operator.name.clone()).unwrap_or_default(),
        server_name: answer.server_name.clone(),
        addresses: answer.addresses.clone(),
    };
    write_file(directory, KEY, &key.serialize_pem())?;
    write_file(directory, CERTIFICATE, &answer.certificate)?;
    write_file(directory, AUTHORITY, &answer.authority)?;
    write_file(directory, PROFILE, &toml::to_string(&profile)?)?;
    File::open(directory)?.sync_all()?;
    Ok(())
}

fn write_file(directory: &Path, name: &str, content: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The whole directory.
pub(crate) fn read(directory: &Path) -> anyhow::Result<Credentials> {
    Ok(Credentials {
        key: read_file(directory, KEY)?,
        certificate: read_file(directory, CERTIFICATE)?,
        authority: read_file(directory, AUTHORITY)?,
        profile: read_profile(directory)?,
    })
}

/// What is not secret.
pub(crate) fn read_profile(directory: &Path) -> anyhow::Result<Profile> {
    let text = read_file(directory, PROFILE)?;
    toml::from_str(&text).with_context(|| format!("cannot use {}", directory.join(PROFILE).display()))
}

fn read_file(directory: &Path, name: &str) -> anyhow::Result<String> {
    let path = directory.join(name);
    fs::read_to_string(&path).with_context(|| {
        format!("cannot read {}; `relupctl operator add` makes such a directory", path.display())
    })
}
