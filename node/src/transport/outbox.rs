//! Messages that are enqueued and never waited for: one ordered lane to each node, dialled when
//! there is something to send. What cannot be delivered is dropped and the loss is told; raft and
//! gossip both repeat what matters, and stale messages would only be in the way.

use super::frame::write_frame;
use super::{ConnectError, Connection, Protocol, SendStream, StreamError, Transport};
use crate::ids::NodeId;
use bytes::Bytes;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// Messages on their way from the sender to the lanes: emptied at once, so a burst fits.
const INBOX: usize = 4096;
/// Messages waiting for one node. Raft keeps fewer than this in flight; gossip sends a few a second.
const LANE: usize = 1024;
/// Losses not looked at yet; more of them say nothing new.
const LOSSES: usize = 64;
/// Between two attempts to reach a node that fails at once.
const RETRY: Duration = Duration::from_millis(100);

/// Sends without waiting, from any thread.
#[derive(Clone)]
pub struct Outbox(mpsc::Sender<Letter>);

struct Letter {
    node: NodeId,
    address: SocketAddr,
    message: Bytes,
}

impl Outbox {
    /// An outbox for one protocol, and the nodes that messages were lost to.
    #[must_use]
    pub fn new(transport: &Transport, protocol: Protocol) -> (Self, mpsc::Receiver<NodeId>) {
        let (letters, inbox) = mpsc::channel(INBOX);
        let (losses, lost) = mpsc::channel(LOSSES);
        let desk = Desk { transport: transport.clone(), protocol, losses };
        transport.spawn(desk.sort(inbox));
        (Self(letters), lost)
    }

    /// Enqueues a message, or drops it. Messages to one node keep their order.
    pub fn send(&self, node: NodeId, address: SocketAddr, message: Bytes) {
        if let Err(error) = self.0.try_send(Letter { node, address, message }) {
            tracing::debug!(%node, %error, "a message was dropped before its lane");
        }
    }
}

#[derive(Clone)]
struct Desk {
    transport: Transport,
    protocol: Protocol,
    losses: mpsc::Sender<NodeId>,
}

impl Desk {
    async fn sort(self, mut inbox: mpsc::Receiver<Letter>) {
        let mut lanes: HashMap<NodeId, mpsc::Sender<Letter>> = HashMap::new();
        loop {
            let letter = tokio::select! {
                () = self.transport.stopped() => return,
                letter = inbox.recv() => letter,
            };
            let Some(letter) = letter else { return };
            let node = letter.node;
            let lane = lanes.entry(node).or_insert_with(|| {
                let (lane, letters) = mpsc::channel(LANE);
                self.transport.spawn(self.clone().deliver(node, letters));
                lane
            });
            if lane.try_send(letter).is_err() {
                self.lost(node);
            }
        }
    }

    async fn deliver(self, node: NodeId, mut letters: mpsc::Receiver<Letter>) {
        let mut lane: Option<Lane> = None;
        while let Some(Letter { address, message, .. }) = letters.recv().await {
            // A lane may have died since it was used last, e.g. because the peer restarted: the
            // message gets a second chance on a new one.
            if let Some(open) = lane.as_mut().filter(|lane| lane.leads_to(address))
                && open.write(&message).await.is_ok()
            {
                continue;
            }
            lane = match self.open(node, address, &message).await {
                Ok(open) => Some(open),
                Err(error) => {
                    tracing::debug!(%node, protocol = %self.protocol, error = %error, "no lane");
                    self.lost(node);
                    tokio::time::sleep(RETRY).await;
                    while letters.try_recv().is_ok() {}
                    None
                }
            };
        }
    }

    async fn open(&self, node: NodeId, address: SocketAddr, first: &[u8]) -> Result<Lane, LaneError> {
        let connection = self.transport.connect(node, address, self.protocol).await?;
        let stream = connection.open_uni().await?;
        let mut lane = Lane { connection, stream };
        lane.write(first).await?;
        Ok(lane)
    }

    fn lost(&self, node: NodeId) {
        // A full channel has told enough.
        let _ = self.losses.try_send(node);
    }
}

#[derive(Debug, thiserror::Error)]
enum LaneError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Stream(#[from] StreamError),
}

struct Lane {
    connection: Connection,
    stream: SendStream,
}

impl Lane {
    fn leads_to(&self, address: SocketAddr) -> bool {
        self.connection.is_open() && self.connection.remote_address() == address
    }

    async fn write(&mut self, message: &[u8]) -> Result<(), StreamError> {
        write_frame(&mut self.stream, message).await
    }
}
