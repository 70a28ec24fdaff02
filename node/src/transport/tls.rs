//! TLS 1.3 configurations. No resumption, no tickets, no early data: a revoked peer must meet the
//! verifier each time it comes.

use super::Protocol;
use super::credentials::Credentials;
use super::verify::{Clients, Ours, Servers};
use crate::clock;
use crate::ids::NodeId;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ConfigBuilder, ServerConfig, SignatureScheme, WantsVerifier};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Every key of the cluster is Ed25519.
pub(super) const SIGNATURES: [SignatureScheme; 1] = [SignatureScheme::ED25519];
const HTTP2: &[u8] = b"h2";
const NODE_PREFIX: &str = "node-";

/// TLS for the API's server: nodes and operators, by client certificate.
#[must_use]
pub fn api_server_config(credentials: &Arc<Credentials>) -> Arc<ServerConfig> {
    let mut config = server_config(credentials, true);
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Arc::new(config)
}

/// TLS for a daemon that calls another's API. Dial it by [`node_server_name`], or by
/// [`crate::identity::api_server_name`] where any node of the cluster will do.
#[must_use]
pub fn api_client_config(credentials: &Arc<Credentials>) -> Arc<ClientConfig> {
    let mut config = client_config(credentials);
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Arc::new(config)
}

/// The name to dial for exactly this node. It is not sent: the verifier reads it. The prefix keeps
/// an id of digits only from being refused as a DNS name.
#[must_use]
pub fn node_server_name(node: NodeId) -> String {
    format!("{NODE_PREFIX}{node}").to_ascii_lowercase()
}

pub(super) fn node_of_server_name(name: &str) -> Option<NodeId> {
    name.strip_prefix(NODE_PREFIX)?.parse().ok()
}

pub(super) fn peer_server_config(credentials: &Arc<Credentials>) -> ServerConfig {
    let mut config = server_config(credentials, false);
    config.alpn_protocols = Protocol::ALL.map(|protocol| protocol.alpn().into()).to_vec();
    config
}

pub(super) fn peer_client_config(credentials: &Arc<Credentials>, protocol: Protocol) -> ClientConfig {
    let mut config = client_config(credentials);
    config.alpn_protocols = vec![protocol.alpn().into()];
    config
}

fn server_config(credentials: &Arc<Credentials>, mandatory: bool) -> ServerConfig {
    let mut config = versions(ServerConfig::builder_with_details(provider(), Arc::new(WallClock)))
        .with_client_cert_verifier(Arc::new(Clients { credentials: Arc::clone(credentials), mandatory }))
        .with_cert_resolver(Arc::new(Ours(Arc::clone(credentials))));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

fn client_config(credentials: &Arc<Credentials>) -> ClientConfig {
    harden(
        client_builder()
            .with_custom_certificate_verifier(Arc::new(Servers(Arc::clone(credentials))))
            .with_client_cert_resolver(Arc::new(Ours(Arc::clone(credentials)))),
    )
}

pub(super) fn client_builder() -> rustls::client::danger::DangerousClientConfigBuilder {
    versions(ClientConfig::builder_with_details(provider(), Arc::new(WallClock))).dangerous()
}

pub(super) fn harden(mut config: ClientConfig) -> ClientConfig {
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    // The dialled name is a node's id: nobody else's business.
    config.enable_sni = false;
    config
}

fn versions<S: rustls::ConfigSide>(
    builder: ConfigBuilder<S, rustls::WantsVersions>,
) -> ConfigBuilder<S, WantsVerifier> {
    builder.with_protocol_versions(&[&TLS13]).expect("ring's cipher suites serve TLS 1.3")
}

/// ring, named here, so that no other crate's choice of a process default matters.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    Arc::clone(&PROVIDER)
}

#[derive(Debug)]
struct WallClock;

impl TimeProvider for WallClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(clock::wall().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
