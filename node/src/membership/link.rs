//! What gossip needs of a transport, and the adapter that makes it chitchat's. chitchat awaits both
//! directions in its only loop, hence two rules: sending enqueues or drops and returns at once, and
//! receiving may be cut off at any await without losing a message.

use super::exchanges::Exchanges;
use crate::clock;
use async_trait::async_trait;
use bytes::Bytes;
use chitchat::transport::{Socket, Transport};
use chitchat::{ChitchatMessage, Deserializable as _, Serializable as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc};

/// A delta that says nothing is the mark of its end alone.
const EMPTY_DELTA: usize = 1;

/// Takes messages to peers.
pub trait GossipSender: Send + Sync + 'static {
    /// Enqueues a message to the peer at `to`, or drops it: gossip repeats itself. Never waits.
    fn send(&self, to: SocketAddr, message: Bytes);
}

/// Both directions of a transport, as gossip uses it.
pub struct GossipLink {
    /// To peers.
    pub sender: Arc<dyn GossipSender>,
    /// From peers: where a message came from, which is where its sender listens, and the message.
    /// The channel's end means shutdown and nothing else.
    pub incoming: mpsc::Receiver<(SocketAddr, Bytes)>,
}

/// chitchat's view of a [`GossipLink`]; opened once.
pub(super) struct LinkTransport {
    link: Mutex<Option<GossipLink>>,
    interval: Duration,
}

impl LinkTransport {
    pub(super) fn new(link: GossipLink, interval: Duration) -> Self {
        Self { link: Mutex::new(Some(link)), interval }
    }
}

#[async_trait]
impl Transport for LinkTransport {
    async fn open(&self, _listen: SocketAddr) -> anyhow::Result<Box<dyn Socket>> {
        let link = self.link.lock().await.take();
        let link = link.ok_or_else(|| anyhow::anyhow!("the gossip link is in use already"))?;
        Ok(Box::new(LinkSocket { link, exchanges: Exchanges::every(self.interval) }))
    }
}

struct LinkSocket {
    link: GossipLink,
    exchanges: Exchanges,
}

#[async_trait]
impl Socket for LinkSocket {
    async fn send(&mut self, to: SocketAddr, message: ChitchatMessage) -> anyhow::Result<()> {
        let counts = match &message {
            ChitchatMessage::Syn { .. } => self.exchanges.is_due(to, clock::monotonic()),
            // The digests have told the heartbeats. Of an exchange between two that know the same this is a third.
            ChitchatMessage::Ack { delta } => delta.serialized_len() > EMPTY_DELTA,
            ChitchatMessage::SynAck { .. } | ChitchatMessage::BadCluster => true,
        };
        if counts {
            self.link.sender.send(to, message.serialize_to_vec().into());
        }
        Ok(())
    }

    async fn recv(&mut self) -> anyhow::Result<(SocketAddr, ChitchatMessage)> {
        // An error ends gossip for good, so a message that does not parse is skipped instead.
        loop {
            let next = self.link.incoming.recv().await;
            let (from, bytes) = next.ok_or_else(|| anyhow::anyhow!("the gossip link was shut down"))?;
            match ChitchatMessage::deserialize(&mut bytes.as_ref()) {
                Ok(message) => {
                    if matches!(message, ChitchatMessage::Syn { .. }) {
                        self.exchanges.opened_by(from, clock::monotonic());
                    }
                    return Ok((from, message));
                }
                Err(error) => tracing::debug!(%from, %error, "gossip message does not parse"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Kept(mpsc::UnboundedSender<Bytes>);

    impl GossipSender for Kept {
        fn send(&self, _to: SocketAddr, message: Bytes) {
            let _ = self.0.send(message);
        }
    }

    /// Magic number, protocol version, kind of message; then a delta of no blocks.
    const ACK_OF_NOTHING: [u8; 5] = [0x53, 0xb0, 0, 2, 0];

    #[tokio::test]
    async fn an_acknowledgement_that_says_nothing_is_not_sent() {
        let (sent, mut outgoing) = mpsc::unbounded_channel();
        let (_arrived, incoming) = mpsc::channel(1);
        let link = GossipLink { sender: Arc::new(Kept(sent)), incoming };
        let mut socket = LinkSocket { link, exchanges: Exchanges::every(Duration::from_millis(250)) };
        let peer = SocketAddr::from(([127, 0, 0, 2], 1));
        let nothing = ChitchatMessage::deserialize(&mut ACK_OF_NOTHING.as_slice()).unwrap();
        assert!(matches!(nothing, ChitchatMessage::Ack { .. }));
        socket.send(peer, nothing).await.unwrap();
        assert!(outgoing.try_recv().is_err());
        socket.send(peer, ChitchatMessage::BadCluster).await.unwrap();
        assert!(outgoing.try_recv().is_ok());
    }
}
