//! Incoming connections: judged by protocol before any handler sees them.

use super::credentials::Credentials;
use super::dial::peer_certificate;
use super::endpoint::Shared;
use super::error::CloseCode;
use super::join::{self, Admission};
use super::{Connection, Protocol};
use crate::identity::{PeerIdentity, Validity};
use crate::ids::NodeId;
use crate::program::program;
use async_trait::async_trait;
use prost::Message;
use quinn::crypto::rustls::HandshakeData;
use quinn::{ConnectionError, Endpoint, Incoming};
use relupd_proto::peer::v1::Hello;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Handshakes under way at once. Whoever floods the port with them delays new peers, not the
/// connections that there are.
const HANDSHAKES: usize = 128;
/// From this many on, callers must first prove that they receive at the address they send from.
const HANDSHAKES_UNPROVED: usize = 64;
/// Hosts that join at once. They are strangers until their token is checked.
const JOINERS: usize = 32;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves one protocol.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Serves one connection until it ends. `peer` is proved by its certificate; at shutdown the
    /// connection ends, and with it this call.
    async fn handle(&self, peer: NodeId, connection: Connection);
}

pub(super) struct Handlers {
    gossip: OnceLock<Arc<dyn Handler>>,
    raft: OnceLock<Arc<dyn Handler>>,
    store: OnceLock<Arc<dyn Handler>>,
    preflight: OnceLock<Arc<dyn Handler>>,
    upgrade: OnceLock<Arc<dyn Handler>>,
    join: OnceLock<Arc<dyn Admission>>,
    joiners: Arc<Semaphore>,
}

impl Handlers {
    pub(super) fn new() -> Self {
        Self {
            gossip: OnceLock::new(),
            raft: OnceLock::new(),
            store: OnceLock::new(),
            preflight: OnceLock::new(),
            upgrade: OnceLock::new(),
            join: OnceLock::new(),
            joiners: Arc::new(Semaphore::new(JOINERS)),
        }
    }

    pub(super) fn register(&self, protocol: Protocol, handler: Arc<dyn Handler>) {
        let place = match protocol {
            Protocol::Gossip => &self.gossip,
            Protocol::Raft => &self.raft,
            Protocol::Store => &self.store,
            Protocol::Preflight => &self.preflight,
            Protocol::Upgrade => &self.upgrade,
            Protocol::Join => {
                tracing::error!("the join protocol is served by an admission, not by a handler");
                return;
            }
        };
        if place.set(handler).is_err() {
            tracing::error!(%protocol, "a second handler was registered; the first one stays");
        }
    }

    pub(super) fn register_admission(&self, admission: Arc<dyn Admission>) {
        if self.join.set(admission).is_err() {
            tracing::error!("a second admission was registered; the first one stays");
        }
    }
}

pub(super) async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let incoming = tokio::select! {
            () = shared.stop.cancelled() => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let crowded = handshakes.available_permits() < HANDSHAKES - HANDSHAKES_UNPROVED;
        if crowded && incoming.may_retry() {
            // It comes back with a token, or it was never there.
            let _ = incoming.retry();
            continue;
        }
        let address = incoming.remote_address();
        let task = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            let greeted = tokio::time::timeout(HANDSHAKE_TIMEOUT, task.greet(incoming)).await;
            drop(permit);
            match greeted {
                Ok(Ok(Some(service))) => service.run().await,
                Ok(Ok(None)) => {}
                Ok(Err(error)) => tracing::warn!(%address, %error, "a peer was not admitted"),
                Err(_) => tracing::debug!(%address, "a peer did not finish its handshake"),
            }
        });
    }
}

/// An admitted caller and who serves it.
enum Service {
    Peer { handler: Arc<dyn Handler>, connection: Connection },
    Joiner { admission: Arc<dyn Admission>, quic: quinn::Connection, _permit: OwnedSemaphorePermit },
}

impl Service {
    async fn run(self) {
        match self {
            Self::Peer { handler, connection } => handler.handle(connection.node(), connection).await,
            Self::Joiner { admission, quic, _permit } => join::serve(&*admission, quic).await,
        }
    }
}

impl Shared {
    async fn greet(&self, incoming: Incoming) -> Result<Option<Service>, ConnectionError> {
        let quic = incoming.accept()?.await?;
        let Some(protocol) = protocol_of(&quic) else { return Ok(None) };
        let handler = match protocol {
            Protocol::Gossip => self.handlers.gossip.get(),
            Protocol::Raft => self.handlers.raft.get(),
            Protocol::Store => self.handlers.store.get(),
            Protocol::Preflight => self.handlers.preflight.get(),
            Protocol::Upgrade => self.handlers.upgrade.get(),
            Protocol::Join => return Ok(self.greet_joiner(quic)),
        };
        let (peer, node, validity) = match self.judge(&quic) {
            Ok(judged) => judged,
            Err(code) => return Ok(self.refuse(&quic, protocol, code)),
        };
        let Some(handler) = handler.cloned() else {
            return Ok(self.refuse(&quic, protocol, CloseCode::NotServed));
        };
        let connection = Connection::new(quic.clone(), node, peer, protocol, Arc::clone(&self.credentials));
        self.tasks.spawn(connection.guard(validity));
        say_hello(&quic, &self.credentials).await?;
        Ok(Some(Service::Peer { handler, connection }))
    }

    fn greet_joiner(&self, quic: quinn::Connection) -> Option<Service> {
        let Some(admission) = self.handlers.join.get().cloned() else {
            return self.refuse(&quic, Protocol::Join, CloseCode::NotServed);
        };
        let Ok(permit) = Arc::clone(&self.handlers.joiners).try_acquire_owned() else {
            return self.refuse(&quic, Protocol::Join, CloseCode::Busy);
        };
        Some(Service::Joiner { admission, quic, _permit: permit })
    }

    /// The handshake has verified whatever certificate there is; this demands that there is one,
    /// and that it is a node's.
    fn judge(&self, quic: &quinn::Connection) -> Result<(PeerIdentity, NodeId, Validity), CloseCode> {
        let certificate = peer_certificate(quic).ok_or(CloseCode::CertificateRequired)?;
        let (peer, validity) = self.credentials.judge(&certificate).map_err(|_| CloseCode::Revoked)?;
        let node = match &peer {
            PeerIdentity::Node { node, .. } => *node,
            PeerIdentity::Operator { .. } => return Err(CloseCode::NotANode),
        };
        Ok((peer, node, validity))
    }

    fn refuse(&self, quic: &quinn::Connection, protocol: Protocol, code: CloseCode) -> Option<Service> {
        let address = quic.remote_address();
        tracing::warn!(%address, %protocol, reason = code.reason(), "a peer was refused");
        code.close(quic);
        None
    }
}

async fn say_hello(quic: &quinn::Connection, credentials: &Credentials) -> Result<(), ConnectionError> {
    let hello =
        Hello { node_id: credentials.node().to_string(), software_version: program().version.clone() };
    let mut stream = quic.open_uni().await?;
    let written = stream.write_all(&hello.encode_to_vec()).await.is_ok() && stream.finish().is_ok();
    if written { Ok(()) } else { Err(quic.close_reason().unwrap_or(ConnectionError::Reset)) }
}

fn protocol_of(quic: &quinn::Connection) -> Option<Protocol> {
    let data = quic.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Protocol::from_alpn(&data.protocol?)
}
