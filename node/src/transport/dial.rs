//! Outgoing connections: one for each node and protocol, made once however many ask at the same
//! time, and counted as connected only after the peer's hello.

use super::credentials::Credentials;
use super::endpoint::{Shared, client_config};
use super::frame::read_message;
use super::verify::OTHER_ERROR;
use super::{ConnectError, Connection, Protocol, node_server_name, tls};
use crate::ids::NodeId;
use prost::Message;
use quinn::{ClientConfig, ConnectionError, TransportErrorCode};
use relupd_proto::peer::v1::Hello;
use rustls::pki_types::CertificateDer;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Long enough for a lost packet or two, short enough that a dead node does not stall its caller.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const HELLO_LIMIT: usize = 4096;

/// One live connection, or the place for it. Locked while it is being made.
type Slot = Arc<Mutex<Option<Connection>>>;

pub(super) struct Outgoing {
    slots: Mutex<HashMap<(NodeId, Protocol), Slot>>,
    configs: HashMap<Protocol, ClientConfig>,
}

impl Outgoing {
    pub(super) fn new(credentials: &Arc<Credentials>) -> Self {
        let config = |protocol| (protocol, client_config(tls::peer_client_config(credentials, protocol)));
        Self { slots: Mutex::default(), configs: Protocol::ALL.into_iter().map(config).collect() }
    }

    pub(super) async fn clear(&self) {
        self.slots.lock().await.clear();
    }

    /// Ends what nobody talks on, and forgets what has ended. Either would keep its buffers, and an open connection
    /// that is kept alive costs both sides two packets a second.
    pub(super) async fn sweep(&self) {
        self.slots.lock().await.retain(|_, slot| {
            // Who dials holds its slot.
            let is_dialed = Arc::strong_count(slot) > 1;
            is_dialed || slot.try_lock().is_ok_and(|slot| slot.as_ref().is_some_and(Connection::is_used))
        });
    }

    async fn slot(&self, node: NodeId, protocol: Protocol) -> Slot {
        Arc::clone(self.slots.lock().await.entry((node, protocol)).or_default())
    }
}

/// Whom we dial, where and for what.
#[derive(Clone, Copy)]
struct Target {
    node: NodeId,
    address: SocketAddr,
    protocol: Protocol,
}

impl Shared {
    pub(super) async fn connect(
        &self,
        node: NodeId,
        address: SocketAddr,
        protocol: Protocol,
    ) -> Result<Connection, ConnectError> {
        let target = Target { node, address, protocol };
        let attempt = async {
            let slot = self.outgoing.slot(node, protocol).await;
            let mut slot = slot.lock().await;
            if let Some(live) =
                slot.as_ref().filter(|live| live.is_open() && live.remote_address() == address)
            {
                return Ok(live.clone());
            }
            let connection = self.dial(target).await?;
            *slot = Some(connection.clone());
            Ok(connection)
        };
        // The timeout spans the wait for another caller's attempt too: callers must not queue up
        // behind a dead node.
        let silent = ConnectError::Silent { node, address, after: CONNECT_TIMEOUT };
        tokio::time::timeout(CONNECT_TIMEOUT, attempt).await.unwrap_or(Err(silent))
    }

    async fn dial(&self, target: Target) -> Result<Connection, ConnectError> {
        let Target { node, address, protocol } = target;
        let endpoint = self.endpoint.load_full().ok_or(ConnectError::ShutDown)?;
        let config = self.outgoing.configs.get(&protocol).expect("there is one for each protocol").clone();
        let quic = endpoint
            .connect_with(config, address, &node_server_name(node))
            .map_err(|source| ConnectError::Dial { node, address, source })?
            .await
            .map_err(|source| target.failed(source))?;
        let certificate = peer_certificate(&quic).ok_or_else(|| target.failed(ConnectionError::Reset))?;
        let (peer, validity) = self
            .credentials
            .judge(&certificate)
            .map_err(|refusal| ConnectError::NotTrusted { node, address, reason: refusal.to_string() })?;
        let connection = Connection::new(quic.clone(), node, peer, protocol, Arc::clone(&self.credentials));
        self.tasks.spawn(connection.guard(validity));
        await_hello(&quic).await.map_err(|source| target.failed(source))?;
        Ok(connection)
    }
}

/// The handshake is over for us before the peer has judged our certificate: only its hello says
/// that we are admitted.
async fn await_hello(quic: &quinn::Connection) -> Result<(), ConnectionError> {
    let mut stream = quic.accept_uni().await?;
    let hello = read_message(&mut stream, HELLO_LIMIT).await;
    // The TLS handshake has proved who the peer is; the hello is for people reading traces.
    match hello.ok().and_then(|content| Hello::decode(content).ok()) {
        Some(hello) => {
            tracing::debug!(node = hello.node_id, version = hello.software_version, "connected");
            Ok(())
        }
        None => Err(quic.close_reason().unwrap_or(ConnectionError::Reset)),
    }
}

impl Target {
    /// Which side refused which, as far as the end of the connection tells.
    fn failed(self, source: ConnectionError) -> ConnectError {
        let Self { node, address, protocol } = self;
        match source {
            ConnectionError::TransportError(error) if is_tls(error.code) => {
                let reason = error.reason.strip_prefix(OTHER_ERROR).unwrap_or(&error.reason).to_owned();
                ConnectError::NotTrusted { node, address, reason }
            }
            ConnectionError::ConnectionClosed(frame) if is_tls(frame.error_code) => {
                let reason = format!("it does not accept our certificate ({})", lossy(&frame.reason));
                ConnectError::Refused { node, address, protocol, reason }
            }
            ConnectionError::ApplicationClosed(frame) => {
                ConnectError::Refused { node, address, protocol, reason: lossy(&frame.reason) }
            }
            ConnectionError::LocallyClosed => ConnectError::ShutDown,
            source => ConnectError::Broken { node, address, source },
        }
    }
}

/// TLS alerts are QUIC errors 0x100 to 0x1ff (RFC 9001, 4.8).
fn is_tls(code: TransportErrorCode) -> bool {
    (0x100..0x200).contains(&u64::from(code))
}

fn lossy(reason: &[u8]) -> String {
    String::from_utf8_lossy(reason).into_owned()
}

/// The certificate that the handshake has verified.
pub(super) fn peer_certificate(quic: &quinn::Connection) -> Option<CertificateDer<'static>> {
    let chain = quic.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    chain.into_iter().next()
}
