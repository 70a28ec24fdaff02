//! The endpoint: one UDP socket, its accept loop and the connections made from it.

use super::accept::{self, Handler, Handlers};
use super::bind::{BindError, Binding};
use super::credentials::Credentials;
use super::dial::Outgoing;
use super::error::CloseCode;
use super::join::Admission;
use super::timers::PunctualRuntime;
use super::{ConnectError, Connection, Protocol, reset, tls};
use crate::identity::SealingSecret;
use crate::ids::NodeId;
use arc_swap::ArcSwapOption;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig, VarInt};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Silence after which a connection is given up; several keep-alives must be lost for it.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Connections that nobody talks on are looked for so often. Dialing again takes a few milliseconds.
const SWEEP: Duration = Duration::from_secs(10);
/// Before the first measurement. Peers share a network: a lost first packet is sent again after
/// twice this, not after the two thirds of a second that suit the internet.
const INITIAL_ROUND_TRIP: Duration = Duration::from_millis(50);
/// Raft and gossip use a stream for each message: many may be under way at once. Each connection keeps some 12 bytes for
/// each of them, used or not, and a daemon has some with each of a thousand peers.
const MESSAGES_IN_FLIGHT: u32 = 512;
const REQUESTS_IN_FLIGHT: u32 = 256;
/// What one connection may make us keep in memory before a handler reads it.
const RECEIVE_WINDOW: u32 = 16 << 20;
/// How long peers may take to hear that we go.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The node's side of all talk between daemons. Cheap to clone.
#[derive(Clone)]
pub struct Transport(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) endpoint: ArcSwapOption<Endpoint>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) handlers: Handlers,
    pub(super) outgoing: Outgoing,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
    address: SocketAddr,
}

impl Transport {
    /// Binds the socket and begins to accept. Until a protocol's handler is registered its callers
    /// are told to come back. Needs a tokio runtime.
    ///
    /// # Errors
    /// Which setting is wrong, or who is in the way.
    pub fn bind(
        binding: &Binding,
        credentials: Arc<Credentials>,
        sealing: &SealingSecret,
    ) -> Result<Self, BindError> {
        let socket = binding.udp()?;
        let config = reset::endpoint_config(sealing);
        let endpoint = endpoint(binding, socket, config, Some(server_config(&credentials)))?;
        let address = endpoint.local_addr().map_err(|source| binding.udp_error(source))?;
        let shared = Arc::new(Shared {
            endpoint: ArcSwapOption::from_pointee(endpoint.clone()),
            outgoing: Outgoing::new(&credentials),
            credentials,
            handlers: Handlers::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            address,
        });
        shared.tasks.spawn(accept::accept(endpoint, Arc::clone(&shared)));
        shared.tasks.spawn(sweep(Arc::clone(&shared)));
        Ok(Self(shared))
    }

    /// Serves a protocol from now on. The first registration stays.
    pub fn register(&self, protocol: Protocol, handler: Arc<dyn Handler>) {
        self.0.handlers.register(protocol, handler);
    }

    /// Lets hosts join from now on. The first registration stays.
    pub fn register_admission(&self, admission: Arc<dyn Admission>) {
        self.0.handlers.register_admission(admission);
    }

    /// A connection to this node: the live one, if there is one to this address, else a new one.
    /// Who wants to try again waits before that.
    ///
    /// # Errors
    /// When the node does not answer, is another one, or refuses us.
    pub async fn connect(
        &self,
        node: NodeId,
        address: SocketAddr,
        protocol: Protocol,
    ) -> Result<Connection, ConnectError> {
        self.0.connect(node, address, protocol).await
    }

    /// Where it listens.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.0.address
    }

    /// Our side of mutual TLS, for renewal and revocation while it runs.
    #[must_use]
    pub fn credentials(&self) -> &Arc<Credentials> {
        &self.0.credentials
    }

    /// Tells every peer, ends every connection and gives the port back.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        let Some(endpoint) = self.0.endpoint.swap(None) else { return };
        endpoint.close(CloseCode::ShuttingDown.code(), CloseCode::ShuttingDown.reason().as_bytes());
        self.0.outgoing.clear().await;
        self.0.tasks.close();
        let drained = async {
            endpoint.wait_idle().await;
            self.0.tasks.wait().await;
        };
        // A peer that does not answer, or a handler that does not return, must not keep us.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, drained).await;
    }
}

async fn sweep(shared: Arc<Shared>) {
    while shared.stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
        shared.outgoing.sweep().await;
    }
}

/// An endpoint on a socket that is bound already.
pub(super) fn endpoint(
    binding: &Binding,
    socket: UdpSocket,
    config: EndpointConfig,
    server: Option<ServerConfig>,
) -> Result<Endpoint, BindError> {
    Endpoint::new(config, server, socket, Arc::new(PunctualRuntime))
        .map_err(|source| binding.udp_error(source))
}

fn server_config(credentials: &Arc<Credentials>) -> ServerConfig {
    let tls = QuicServerConfig::try_from(tls::peer_server_config(credentials))
        .expect("TLS 1.3 with ring has QUIC's initial cipher suite");
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(Arc::new(transport_config())).migration(false);
    config
}

pub(super) fn client_config(tls: rustls::ClientConfig) -> ClientConfig {
    let tls = QuicClientConfig::try_from(tls).expect("TLS 1.3 with ring has QUIC's initial cipher suite");
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport_config()));
    config
}

fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle = IdleTimeout::try_from(IDLE_TIMEOUT).expect("five seconds are in QUIC's range");
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .initial_rtt(INITIAL_ROUND_TRIP)
        .max_concurrent_uni_streams(VarInt::from_u32(MESSAGES_IN_FLIGHT))
        .max_concurrent_bidi_streams(VarInt::from_u32(REQUESTS_IN_FLIGHT))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .datagram_receive_buffer_size(None);
    config
}
