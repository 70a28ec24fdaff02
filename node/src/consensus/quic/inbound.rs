//! Lets in what peers send: raft messages and forwarded requests.

use super::{AddressBook, MESSAGE_LIMIT, PeerAddress};
use crate::consensus::error::ReceiveError;
use crate::consensus::handle::{Handle, sender};
use crate::consensus::machine::StateMachine;
use crate::consensus::request::{Reply, refusal};
use crate::ids::{NodeId, RaftId};
use crate::transport::{Connection, Exchange, Handler, RecvStream, StreamError};
use async_trait::async_trait;
use std::sync::Arc;
use tokio::task::JoinSet;

pub(super) struct Inbound<S: StateMachine> {
    handle: Handle<S>,
    book: Arc<AddressBook>,
}

impl<S: StateMachine> Inbound<S> {
    pub(super) fn new(handle: Handle<S>, book: Arc<AddressBook>) -> Self {
        Self { handle, book }
    }
}

#[async_trait]
impl<S: StateMachine> Handler for Inbound<S> {
    async fn handle(&self, peer: NodeId, connection: Connection) {
        // Who was admitted while this node was away is known by its messages, and the state may yet say otherwise.
        let from = self.book.raft_id(peer);
        // Whatever is under way ends with the connection.
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                stream = connection.accept_uni() => match stream {
                    Ok(stream) => {
                        let (handle, book) = (self.handle.clone(), Arc::clone(&self.book));
                        tasks.spawn(messages(handle, book, from, connection.clone(), stream));
                    }
                    Err(error) => return tracing::debug!(%peer, %error, "a raft connection ended"),
                },
                request = connection.next_request() => match request {
                    Ok(_) if self.book.raft_id(peer).is_none() => {
                        tracing::debug!(%peer, "a request of a node that is not known here is not answered");
                    }
                    Ok(exchange) => {
                        tasks.spawn(answer(self.handle.clone(), peer, exchange));
                    }
                    Err(error) => return tracing::debug!(%peer, %error, "a raft connection ended"),
                },
                Some(_) = tasks.join_next() => {}
            }
        }
    }
}

async fn messages<S: StateMachine>(
    handle: Handle<S>,
    book: Arc<AddressBook>,
    known: Option<RaftId>,
    connection: Connection,
    mut stream: RecvStream,
) {
    let peer = connection.node();
    loop {
        match connection.next_frame(&mut stream, MESSAGE_LIMIT).await {
            Ok(Some(message)) => {
                let Some(from) = known.or_else(|| meet(&handle, &book, &connection, &message)) else {
                    tracing::debug!(%peer, "no raft id is known for this node; its connection is closed");
                    return connection.close();
                };
                if let Err(error) = handle.receive(from, &message)
                    && !goes_on(from, &error)
                {
                    return connection.close();
                }
            }
            Ok(None) => return,
            Err(error @ StreamError::TooLong { .. }) => {
                tracing::warn!(%peer, %error, "a raft connection is closed");
                return connection.close();
            }
            Err(error) => return tracing::debug!(%peer, %error, "a raft stream ended"),
        }
    }
}

/// The member that a node is which nobody here has heard of: what it says itself, unless that is another's. It listens
/// where it speaks from.
fn meet<S: StateMachine>(
    handle: &Handle<S>,
    book: &AddressBook,
    connection: &Connection,
    message: &[u8],
) -> Option<RaftId> {
    let raft = sender(message).filter(|raft| *raft != handle.id())?;
    book.meet(PeerAddress { raft, node: connection.node(), address: connection.remote_address() })
}

/// Whether the peer is listened to any further.
fn goes_on(from: RaftId, error: &ReceiveError) -> bool {
    match error {
        ReceiveError::WrongReceiver { .. } => {
            tracing::debug!(%from, %error, "a raft message is dropped");
            true
        }
        ReceiveError::Stopped => false,
        ReceiveError::Malformed { .. }
        | ReceiveError::WrongSender { .. }
        | ReceiveError::LocalKind { .. } => {
            tracing::warn!(%from, %error, "a raft connection is closed");
            false
        }
    }
}

async fn answer<S: StateMachine>(handle: Handle<S>, peer: NodeId, mut exchange: Exchange) {
    let answered = async {
        let request = exchange.read(MESSAGE_LIMIT).await?;
        let reply = match refusal::<S>(peer, &request) {
            Some(reason) => Reply::Refused(reason).encode(),
            None => handle.serve_forward(request).await,
        };
        exchange.reply(&reply).await
    };
    if let Err(error) = answered.await {
        tracing::debug!(%peer, %error, "a forwarded request was not answered");
    }
}
