//! A connection to a peer that was admitted. It ends when its last handle is dropped, when the
//! peer is revoked, and when the peer's certificate expires.

use super::credentials::Credentials;
use super::error::CloseCode;
use super::frame::{read_frame, read_message};
use super::{Protocol, StreamError};
use crate::clock;
use crate::identity::{PeerIdentity, Validity};
use crate::ids::NodeId;
use bytes::Bytes;
use quinn::{RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A live connection to one node for one protocol. Cheap to clone; hold it as long as its streams.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    quic: quinn::Connection,
    node: NodeId,
    peer: PeerIdentity,
    protocol: Protocol,
    credentials: Arc<Credentials>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        CloseCode::Done.close(&self.quic);
    }
}

impl Connection {
    pub(super) fn new(
        quic: quinn::Connection,
        node: NodeId,
        peer: PeerIdentity,
        protocol: Protocol,
        credentials: Arc<Credentials>,
    ) -> Self {
        Self(Arc::new(Inner { quic, node, peer, protocol, credentials }))
    }

    /// Who is at the other end, by its certificate. Every claim in a message about its sender must
    /// be held against this.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.0.node
    }

    /// The other end's identity with its certificate's serial.
    #[must_use]
    pub fn peer(&self) -> &PeerIdentity {
        &self.0.peer
    }

    /// What is spoken here.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.0.protocol
    }

    /// Where the other end is.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.0.quic.remote_address()
    }

    /// The round trip as measured.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.0.quic.rtt()
    }

    /// Whether it may still be used.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.quic.close_reason().is_none()
    }

    /// Whether anybody else holds it, and it may still be used.
    pub(super) fn is_used(&self) -> bool {
        self.is_open() && Arc::strong_count(&self.0) > 1
    }

    /// Whether both are handles of the same connection.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Resolves when the connection has ended, with the reason.
    pub async fn closed(&self) -> quinn::ConnectionError {
        self.0.quic.closed().await
    }

    /// Ends it for both sides.
    pub fn close(&self) {
        CloseCode::Done.close(&self.0.quic);
    }

    /// Sends one message on a stream of its own. `Ok` means on its way, not arrived; messages may
    /// overtake each other.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn send(&self, message: &[u8]) -> Result<(), StreamError> {
        let mut stream = self.open_uni().await?;
        stream.write_all(message).await?;
        finish(&mut stream);
        Ok(())
    }

    /// The next message that the peer sent by [`Self::send`]. Not cancel-safe.
    ///
    /// # Errors
    /// When the connection has ended, the peer is revoked, or the message is too long.
    pub async fn receive(&self, limit: usize) -> Result<Bytes, StreamError> {
        let mut stream = self.accept_uni().await?;
        let message = read_message(&mut stream, limit).await?;
        self.admitted(message)
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// When the connection ends, the answer is too long or does not come in time. The peer may have
    /// acted all the same.
    pub async fn request(
        &self,
        message: &[u8],
        limit: usize,
        timeout: Duration,
    ) -> Result<Bytes, StreamError> {
        let exchange = async {
            let (mut send, mut receive) = self.open_bi().await?;
            send.write_all(message).await?;
            finish(&mut send);
            read_message(&mut receive, limit).await
        };
        let answer = tokio::time::timeout(timeout, exchange).await;
        self.admitted(answer.map_err(|_| StreamError::Timeout(timeout))??)
    }

    /// The next request of the peer. Cancel-safe; read and answer it in a task of its own.
    ///
    /// # Errors
    /// When the connection has ended or the peer is revoked.
    pub async fn next_request(&self) -> Result<Exchange, StreamError> {
        let (send, receive) = self.accept_bi().await?;
        Ok(Exchange { connection: self.clone(), send, receive })
    }

    /// A stream both ways, for protocols with more than one message a stream.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn open_bi(&self) -> Result<(SendStream, RecvStream), StreamError> {
        Ok(self.0.quic.open_bi().await?)
    }

    /// The next stream both ways that the peer opened. Cancel-safe.
    ///
    /// # Errors
    /// When the connection has ended or the peer is revoked.
    pub async fn accept_bi(&self) -> Result<(SendStream, RecvStream), StreamError> {
        let streams = self.0.quic.accept_bi().await?;
        self.admitted(streams)
    }

    /// A stream one way.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn open_uni(&self) -> Result<SendStream, StreamError> {
        Ok(self.0.quic.open_uni().await?)
    }

    /// The next stream one way that the peer opened. Cancel-safe.
    ///
    /// # Errors
    /// When the connection has ended or the peer is revoked.
    pub async fn accept_uni(&self) -> Result<RecvStream, StreamError> {
        let stream = self.0.quic.accept_uni().await?;
        self.admitted(stream)
    }

    /// The next frame of a stream that the peer writes; `None` at its end. Not cancel-safe.
    ///
    /// # Errors
    /// When the frame is too long or ends early, the connection has ended, or the peer is revoked.
    pub async fn next_frame(
        &self,
        stream: &mut RecvStream,
        limit: usize,
    ) -> Result<Option<Bytes>, StreamError> {
        let frame = read_frame(stream, limit).await?;
        self.admitted(frame)
    }

    /// What arrived counts only if the peer is still admitted: closing the connection of a revoked
    /// peer races with what it sent before.
    fn admitted<T>(&self, arrived: T) -> Result<T, StreamError> {
        if self.0.credentials.is_revoked(&self.0.peer) {
            CloseCode::Revoked.close(&self.0.quic);
            return Err(StreamError::Revoked);
        }
        Ok(arrived)
    }

    /// Ends the connection when the peer's certificate is revoked or expires. Holds no handle.
    pub(super) fn guard(&self, validity: Validity) -> impl Future<Output = ()> + Send + 'static {
        let (quic, peer) = (self.0.quic.clone(), self.0.peer.clone());
        let mut revocations = self.0.credentials.revocations();
        async move {
            let left = validity.until.duration_since(clock::wall());
            let expiry = tokio::time::sleep(Duration::try_from(left).unwrap_or_default());
            tokio::pin!(expiry);
            loop {
                if revocations.borrow_and_update().covers(&peer) {
                    CloseCode::Revoked.close(&quic);
                    return;
                }
                tokio::select! {
                    _ = quic.closed() => return,
                    () = &mut expiry => {
                        CloseCode::Expired.close(&quic);
                        return;
                    }
                    changed = revocations.changed() => if changed.is_err() { return },
                }
            }
        }
    }
}

/// A request that waits for its answer.
pub struct Exchange {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Exchange {
    /// Reads the request.
    ///
    /// # Errors
    /// When it is too long, ends early, or the peer was revoked meanwhile.
    pub async fn read(&mut self, limit: usize) -> Result<Bytes, StreamError> {
        let message = read_message(&mut self.receive, limit).await?;
        self.connection.admitted(message)
    }

    /// Answers it.
    ///
    /// # Errors
    /// When the peer no longer listens.
    pub async fn reply(mut self, message: &[u8]) -> Result<(), StreamError> {
        self.send.write_all(message).await?;
        finish(&mut self.send);
        Ok(())
    }

    /// Who asks.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.connection.node()
    }
}

fn finish(stream: &mut SendStream) {
    // It fails only on a stream that was finished or reset before, which then needs nothing.
    let _ = stream.finish();
}
