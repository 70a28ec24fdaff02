//! Raft between daemons: messages on one ordered stream per peer, forwarded requests on streams of
//! their own, over the cluster's transport.
//!
//! Invariants: a message counts only for the raft id of the node that the connection has proven; a
//! peer that is slow or dead holds up nobody else; what gets lost is reported to raft, never queued
//! for long.

mod address_book;
mod inbound;
mod outbox;

pub use self::address_book::{AddressBook, PeerAddress};

use self::inbound::Inbound;
use super::handle::Handle;
use super::machine::StateMachine;
use super::network::{ForwardError, RaftNetwork};
use crate::ids::RaftId;
use crate::transport::{Protocol, Transport};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Longer than any snapshot of the state; a peer that sends more is cut off.
const MESSAGE_LIMIT: usize = 64 << 20;

/// Messages that wait to be handed out: a heartbeat for each of a thousand peers, several times over.
const QUEUE: usize = 8192;

/// A leader answers a forwarded request as soon as it has appended the entry, so no answer within two
/// seconds means that it is gone; raft has elected another one by then.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The network of a running daemon.
pub struct QuicNetwork {
    link: Arc<Link>,
    /// One for all peers: what a tick says to each of them wakes the runtime's thread once.
    queue: mpsc::Sender<(RaftId, Bytes)>,
}

/// What the tasks of all peers share.
struct Link {
    transport: Transport,
    book: Arc<AddressBook>,
    /// Tells the member that messages to a peer got lost. Set once the member runs.
    report: OnceLock<Box<dyn Fn(RaftId) + Send + Sync>>,
}

impl Link {
    fn report_unreachable(&self, peer: RaftId) {
        if let Some(report) = self.report.get() {
            report(peer);
        }
    }
}

impl QuicNetwork {
    /// A network that finds peers in this book. Needs a tokio runtime.
    #[must_use]
    pub fn new(transport: Transport, book: Arc<AddressBook>) -> Arc<Self> {
        let link = Arc::new(Link { transport, book, report: OnceLock::new() });
        let (queue, messages) = mpsc::channel(QUEUE);
        tokio::spawn(outbox::hand_out(Arc::clone(&link), messages));
        Arc::new(Self { link, queue })
    }

    /// Connects the member that was started on this network: from now on peers reach it. Only the
    /// first member that is attached counts.
    pub fn attach<S: StateMachine>(&self, handle: &Handle<S>) {
        let member = handle.clone();
        let is_first = self.link.report.set(Box::new(move |peer| member.report_unreachable(peer))).is_ok();
        if is_first {
            let inbound = Inbound::new(handle.clone(), Arc::clone(&self.link.book));
            self.link.transport.register(Protocol::Raft, Arc::new(inbound));
        }
    }
}

#[async_trait]
impl RaftNetwork for QuicNetwork {
    fn send(&self, to: RaftId, message: Bytes) {
        match self.queue.try_send((to, message)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.link.report_unreachable(to),
            Err(TrySendError::Closed(_)) => {
                tracing::debug!(%to, "the runtime is going down; message dropped")
            }
        }
    }

    async fn forward(&self, to: RaftId, request: Bytes) -> Result<Bytes, ForwardError> {
        let not_sent = |reason: String| ForwardError::NotSent { to, reason };
        let peer = self.link.book.peer(to).ok_or_else(|| not_sent("its address is not known here".into()))?;
        let connection = self
            .link
            .transport
            .connect(peer.node, peer.address, Protocol::Raft)
            .await
            .map_err(|error| not_sent(error.to_string()))?;
        connection
            .request(&request, MESSAGE_LIMIT, FORWARD_TIMEOUT)
            .await
            .map_err(|error| ForwardError::NoAnswer { to, reason: error.to_string() })
    }
}
