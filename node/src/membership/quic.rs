//! Gossip over the peers' transport: each message a stream of its own, on a connection with each peer.
//!
//! chitchat knows peers by address, the transport by node; the roster joins the two. One task owns the
//! queues to peers, and each peer has a task of its own, so that a dead one delays nobody. Which connection
//! is talked on, `lines` decides.

use super::lines::Lines;
use super::link::{GossipLink, GossipSender};
use super::view::Roster;
use crate::ids::NodeId;
use crate::transport::{ConnectError, Connection, Handler, Protocol, Transport};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

/// chitchat keeps its messages below a UDP datagram's 65,507 bytes.
const LONGEST_MESSAGE: usize = 64 * 1024;
/// A round of gossip in a cluster of a hundred is some twenty messages.
const INCOMING: usize = 256;
const OUTGOING: usize = 256;
/// Gossip that waited longer than a few rounds is stale; better to lose it.
const OUTGOING_TO_ONE: usize = 8;
/// After a peer could not be reached. When it returns it calls first, so nothing waits for this.
const RETRY: Duration = Duration::from_millis(500);
/// A connection on which nothing came for so long, while another one is talked on, is not needed. Two that each
/// take the other's for the spare one, as can be where they meet rarely, dial once more.
const SPARE: Duration = Duration::from_secs(10);

type Message = (SocketAddr, Bytes);

/// Serves gossip on `transport`, and sends it to the nodes of `roster`.
#[must_use]
pub fn quic_link(transport: Transport, roster: watch::Receiver<Arc<Roster>>) -> GossipLink {
    let (arrived, incoming) = mpsc::channel(INCOMING);
    let (outgoing, queue) = mpsc::channel(OUTGOING);
    let receiver = Arc::new(Receiver { arrived, roster: roster.clone(), lines: Lines::default() });
    transport.register(Protocol::Gossip, Arc::clone(&receiver) as Arc<dyn Handler>);
    tokio::spawn(dispatch(transport, receiver, roster, queue));
    GossipLink { sender: Arc::new(Sender(outgoing)), incoming }
}

struct Sender(mpsc::Sender<Message>);

impl GossipSender for Sender {
    fn send(&self, to: SocketAddr, message: Bytes) {
        if self.0.try_send((to, message)).is_err() {
            tracing::debug!(%to, "gossip message dropped: too many are waiting");
        }
    }
}

/// What arrives, on whichever connection.
struct Receiver {
    arrived: mpsc::Sender<Message>,
    roster: watch::Receiver<Arc<Roster>>,
    lines: Lines,
}

#[async_trait]
impl Handler for Receiver {
    async fn handle(&self, _peer: NodeId, connection: Connection) {
        self.listen(connection).await;
    }
}

impl Receiver {
    /// Until the connection ends, or is a spare one.
    async fn listen(&self, connection: Connection) {
        let peer = connection.node();
        if !self.lines.opened(&connection).await {
            return;
        }
        loop {
            // A message that is cut off by the time is lost with it; gossip repeats itself.
            match timeout(SPARE, connection.receive(LONGEST_MESSAGE)).await {
                Ok(Ok(message)) => {
                    self.lines.heard(&connection).await;
                    // Answers go where the node listens, which the certificate's id tells for certain.
                    let listed = self.roster.borrow().get(&peer).copied();
                    let from = listed.unwrap_or_else(|| connection.remote_address());
                    if self.arrived.try_send((from, message)).is_err() {
                        tracing::debug!(%peer, "gossip message dropped: too many are waiting");
                    }
                }
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "gossip connection ended");
                    break;
                }
                Err(_) if self.lines.is_spare(&connection).await => break,
                Err(_) => {}
            }
        }
        connection.close();
        self.lines.closed(&connection).await;
    }
}

/// Hands messages to their peer's own task until the sender is dropped.
async fn dispatch(
    transport: Transport,
    receiver: Arc<Receiver>,
    roster: watch::Receiver<Arc<Roster>>,
    mut queue: mpsc::Receiver<Message>,
) {
    let mut peers: HashMap<(NodeId, SocketAddr), mpsc::Sender<Bytes>> = HashMap::new();
    while let Some((to, message)) = queue.recv().await {
        let roster = roster.borrow();
        let Some(node) = roster.iter().find(|(_, address)| **address == to).map(|(node, _)| *node) else {
            tracing::debug!(%to, "gossip message dropped: no node of the roster listens there");
            continue;
        };
        // Tasks of nodes that left or moved end with their queue.
        peers.retain(|(node, address), _| roster.get(node) == Some(address));
        let peer = peers.entry((node, to)).or_insert_with(|| {
            let (sender, messages) = mpsc::channel(OUTGOING_TO_ONE);
            let peer = Peer { node, address: to };
            tokio::spawn(talk(transport.clone(), Arc::clone(&receiver), peer, messages));
            sender
        });
        if peer.try_send(message).is_err() {
            tracing::debug!(%node, "gossip message dropped: the peer takes none");
        }
    }
}

#[derive(Clone, Copy)]
struct Peer {
    node: NodeId,
    address: SocketAddr,
}

/// Sends one peer its messages.
async fn talk(
    transport: Transport,
    receiver: Arc<Receiver>,
    peer: Peer,
    mut messages: mpsc::Receiver<Bytes>,
) {
    let Peer { node, address } = peer;
    while let Some(message) = messages.recv().await {
        let connection = match line(&transport, &receiver, peer).await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::debug!(%node, %address, error = &error as &dyn std::error::Error, "no gossip");
                sleep(RETRY).await;
                while messages.try_recv().is_ok() {}
                continue;
            }
        };
        if let Err(error) = connection.send(&message).await {
            tracing::debug!(%node, %error, "gossip message lost with its connection");
        }
    }
}

/// The connection to talk on: one that is there, whoever dialed it, or a new one.
async fn line(
    transport: &Transport,
    receiver: &Arc<Receiver>,
    peer: Peer,
) -> Result<Connection, ConnectError> {
    if let Some(open) = receiver.lines.to(peer.node).await {
        return Ok(open);
    }
    let connection = transport.connect(peer.node, peer.address, Protocol::Gossip).await?;
    let (receiver, dialed) = (Arc::clone(receiver), connection.clone());
    tokio::spawn(async move { receiver.listen(dialed).await });
    Ok(connection)
}
