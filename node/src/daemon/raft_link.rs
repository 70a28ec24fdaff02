//! Raft over the peers' transport. Its messages travel in order on one stream to each member;
//! forwarded requests have a stream of their own. A member's raft id is the one that belongs to the
//! node in its certificate, never the one it claims.

use crate::consensus::{ForwardError, Handle, RaftNetwork, StateMachine};
use crate::ids::{NodeId, RaftId};
use crate::transport::{Connection, Handler, Outbox, Protocol, Transport};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Which node a raft id is, and where it listens.
pub(crate) type RaftRoster = BTreeMap<RaftId, (NodeId, SocketAddr)>;

/// A snapshot of the state travels as one message.
const MESSAGE_LIMIT: usize = 256 << 20;
const REQUEST_LIMIT: usize = 16 << 20;
/// A proposal gives up after this; a forwarded one need not be waited for longer.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

/// This member's side of the network.
pub(crate) struct RaftLink {
    transport: Transport,
    outbox: Outbox,
    roster: watch::Receiver<Arc<RaftRoster>>,
}

impl RaftLink {
    /// A link to the members of `roster`, which is followed as it changes. The nodes that messages
    /// were lost to go to [`serve_raft`].
    pub(crate) fn new(
        transport: Transport,
        roster: watch::Receiver<Arc<RaftRoster>>,
    ) -> (Arc<Self>, mpsc::Receiver<NodeId>) {
        let (outbox, lost) = Outbox::new(&transport, Protocol::Raft);
        (Arc::new(Self { transport, outbox, roster }), lost)
    }

    fn find(&self, to: RaftId) -> Option<(NodeId, SocketAddr)> {
        self.roster.borrow().get(&to).copied()
    }
}

#[async_trait]
impl RaftNetwork for RaftLink {
    fn send(&self, to: RaftId, message: Bytes) {
        match self.find(to) {
            Some((node, address)) => self.outbox.send(node, address, message),
            None => tracing::debug!(%to, "a raft message to nobody known was dropped"),
        }
    }

    async fn forward(&self, to: RaftId, request: Bytes) -> Result<Bytes, ForwardError> {
        let not_sent = |reason| ForwardError::NotSent { to, reason };
        let (node, address) = self.find(to).ok_or_else(|| not_sent("no node has this id".to_owned()))?;
        let connection = self
            .transport
            .connect(node, address, Protocol::Raft)
            .await
            .map_err(|error| not_sent(error.to_string()))?;
        connection
            .request(&request, REQUEST_LIMIT, FORWARD_TIMEOUT)
            .await
            .map_err(|error| ForwardError::NoAnswer { to, reason: error.to_string() })
    }
}

/// Lets peers' messages and requests in to this member, and tells it of losses.
pub(crate) fn serve_raft<S: StateMachine>(
    transport: &Transport,
    handle: Handle<S>,
    roster: watch::Receiver<Arc<RaftRoster>>,
    mut lost: mpsc::Receiver<NodeId>,
) {
    let (reporter, names) = (handle.clone(), roster.clone());
    transport.register(Protocol::Raft, Arc::new(Members { handle, roster }));
    tokio::spawn(async move {
        while let Some(node) = lost.recv().await {
            if let Some(peer) = raft_id_of(&names, node) {
                reporter.report_unreachable(peer);
            }
        }
    });
}

struct Members<S: StateMachine> {
    handle: Handle<S>,
    roster: watch::Receiver<Arc<RaftRoster>>,
}

#[async_trait]
impl<S: StateMachine> Handler for Members<S> {
    async fn handle(&self, peer: NodeId, connection: Connection) {
        tokio::join!(self.messages(peer, &connection), self.requests(&connection));
    }
}

impl<S: StateMachine> Members<S> {
    async fn messages(&self, peer: NodeId, connection: &Connection) {
        while let Ok(mut stream) = connection.accept_uni().await {
            while let Ok(Some(message)) = connection.next_frame(&mut stream, MESSAGE_LIMIT).await {
                // Looked up for each message: the node may be on the roster only since a moment ago.
                let Some(from) = raft_id_of(&self.roster, peer) else {
                    tracing::debug!(%peer, "a raft message of a node not known yet was dropped");
                    continue;
                };
                if let Err(error) = self.handle.receive(from, &message) {
                    tracing::warn!(%peer, %error, "a raft message was refused");
                }
            }
        }
    }

    async fn requests(&self, connection: &Connection) {
        while let Ok(mut exchange) = connection.next_request().await {
            let handle = self.handle.clone();
            tokio::spawn(async move {
                let Ok(request) = exchange.read(REQUEST_LIMIT).await else { return };
                let answer = handle.serve_forward(request).await;
                if let Err(error) = exchange.reply(&answer).await {
                    tracing::debug!(%error, "the answer to a forwarded request was not taken");
                }
            });
        }
    }
}

fn raft_id_of(roster: &watch::Receiver<Arc<RaftRoster>>, wanted: NodeId) -> Option<RaftId> {
    roster.borrow().iter().find(|(_, (node, _))| *node == wanted).map(|(id, _)| *id)
}
