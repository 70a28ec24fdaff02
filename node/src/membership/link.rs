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
        let opens = matches!(message, ChitchatMessage::Syn { .. });
        if !opens || self.exchanges.is_due(to, clock::monotonic()) {
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
