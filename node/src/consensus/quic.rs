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
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Longer than any snapshot of the state; a peer that sends more is cut off.
const MESSAGE_LIMIT: usize = 64 << 20;

/// Messages to one peer that wait to be written. Raft allows 256 appends on their way; what is beyond
/// this is stale by the time it would arrive.
const OUTBOX: usize = 1024;

/// A leader answers a forwarded request as soon as it has appended the entry, so no answer within two
/// seconds means that it is gone; raft has elected another one by then.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The network of a running daemon.
pub struct QuicNetwork {
    link: Arc<Link>,
    /// Senders to the tasks that write to each peer.
    outboxes: ArcSwap<BTreeMap<RaftId, mpsc::Sender<Bytes>>>,
    runtime: runtime::Handle,
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
        let link = Link { transport, book, report: OnceLock::new() };
        Arc::new(Self {
            link: Arc::new(link),
            outboxes: ArcSwap::default(),
            runtime: runtime::Handle::current(),
        })
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

    fn outbox(&self, to: RaftId) -> mpsc::Sender<Bytes> {
        if let Some(outbox) = self.outboxes.load().get(&to) {
            return outbox.clone();
        }
        let (outbox, messages) = mpsc::channel(OUTBOX);
        self.runtime.spawn(outbox::deliver(Arc::clone(&self.link), to, messages));
        // Only the member's thread sends, so nobody else adds the same peer meanwhile.
        self.outboxes.rcu(|outboxes| {
            let mut outboxes = BTreeMap::clone(outboxes);
            outboxes.insert(to, outbox.clone());
            outboxes
        });
        outbox
    }
}

#[async_trait]
impl RaftNetwork for QuicNetwork {
    fn send(&self, to: RaftId, message: Bytes) {
        match self.outbox(to).try_send(message) {
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
