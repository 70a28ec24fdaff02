//! Gossip over the peers' transport. chitchat knows peers by address; the roster says which node's
//! certificate must be found there.

use crate::ids::NodeId;
use crate::membership::{GossipLink, GossipSender, Roster};
use crate::transport::{Connection, Handler, Outbox, Protocol, Transport};
use async_trait::async_trait;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// chitchat's own bound is the size of a datagram.
const MESSAGE_LIMIT: usize = 64 << 10;
/// Messages that wait for chitchat's loop. What does not fit is dropped: gossip repeats itself.
const INCOMING: usize = 256;

/// Serves gossip to the nodes of `roster`, which is followed as it changes.
pub(crate) fn gossip_link(transport: &Transport, roster: watch::Receiver<Arc<Roster>>) -> GossipLink {
    let (outbox, mut lost) = Outbox::new(transport, Protocol::Gossip);
    // Silence is what gossip measures anyway.
    tokio::spawn(async move { while lost.recv().await.is_some() {} });
    let (messages, incoming) = mpsc::channel(INCOMING);
    transport.register(Protocol::Gossip, Arc::new(Gossips { messages }));
    GossipLink { sender: Arc::new(ToPeers { outbox, roster }), incoming }
}

struct ToPeers {
    outbox: Outbox,
    roster: watch::Receiver<Arc<Roster>>,
}

impl GossipSender for ToPeers {
    fn send(&self, to: SocketAddr, message: Bytes) {
        let node = self.roster.borrow().iter().find(|(_, address)| **address == to).map(|(node, _)| *node);
        match node {
            Some(node) => self.outbox.send(node, to, message),
            None => tracing::trace!(%to, "gossip to an address that is no node's was dropped"),
        }
    }
}

struct Gossips {
    messages: mpsc::Sender<(SocketAddr, Bytes)>,
}

#[async_trait]
impl Handler for Gossips {
    /// A peer dials from the port it listens on, so its address is where to answer.
    async fn handle(&self, _peer: NodeId, connection: Connection) {
        let from = connection.remote_address();
        while let Ok(mut stream) = connection.accept_uni().await {
            while let Ok(Some(message)) = connection.next_frame(&mut stream, MESSAGE_LIMIT).await {
                if self.messages.try_send((from, message)).is_err() {
                    tracing::debug!(%from, "gossip came faster than it was taken");
                }
            }
        }
    }
}
