//! The way to a member from everywhere else in the daemon.

use super::error::{MemberError, ProposeError, ReadError, ReceiveError, TransferError};
use super::machine::StateMachine;
use super::member::{Applied, Input, travels};
use super::membership::{Membership, MembershipChange};
use super::network::RaftNetwork;
use super::options::Options;
use super::proposer::Proposer;
use super::request::{Payload, Reply, Request};
use super::status::{Leadership, Status};
use crate::ids::RaftId;
use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::Message;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use tokio::sync::{oneshot, watch};

/// A cheap clone for whoever proposes, reads or watches.
pub struct Handle<S: StateMachine> {
    shared: Arc<Shared<S>>,
}

/// Who a raft message says that it is from.
pub(super) fn sender(message: &[u8]) -> Option<RaftId> {
    let message = Message::parse_from_bytes(message).ok()?;
    (message.from != 0).then_some(RaftId(message.from))
}

impl<S: StateMachine> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

pub(super) struct Shared<S: StateMachine> {
    pub(super) id: RaftId,
    pub(super) options: Options,
    pub(super) inbox: Sender<Input<S::Outcome>>,
    pub(super) network: Arc<dyn RaftNetwork>,
    pub(super) views: watch::Receiver<S::View>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) leadership: watch::Receiver<Leadership>,
}

/// Resolves when the member ended, on request or on its own.
#[derive(Debug)]
pub struct Exit(pub(super) oneshot::Receiver<Result<(), MemberError>>);

impl Exit {
    /// Waits for the end. An error means that the daemon must stop, too.
    pub async fn wait(self) -> Result<(), MemberError> {
        self.0.await.unwrap_or(Err(MemberError::Panicked))
    }
}

impl<S: StateMachine> Handle<S> {
    pub(super) fn new(shared: Shared<S>) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// This member's raft id.
    #[must_use]
    pub fn id(&self) -> RaftId {
        self.shared.id
    }

    /// Proposes an entry from any node, and returns what applying it answered here. Until the outcome
    /// is known the entry may be proposed more than once, so it must carry an id of its own.
    pub async fn propose(&self, entry: Bytes) -> Result<S::Outcome, ProposeError> {
        match self.proposer().propose(Payload::Command(entry)).await? {
            Applied::Command(outcome) => Ok(outcome),
            Applied::Refused(reason) => Err(ProposeError::Refused { reason }),
            Applied::Membership(_) => {
                unreachable!("an entry of the state machine is no change of membership")
            }
        }
    }

    /// Changes who votes and who follows, from any node; returns the configuration right after the
    /// change, which is a joint one if the change named more than one id.
    pub async fn change_membership(&self, change: MembershipChange) -> Result<Membership, ProposeError> {
        match self.proposer().propose(Payload::Membership(change)).await? {
            Applied::Membership(membership) => Ok(membership),
            Applied::Refused(reason) => Err(ProposeError::Refused { reason }),
            Applied::Command(_) => unreachable!("a change of membership is no entry of the state machine"),
        }
    }

    /// Returns once a leader proved its quorum after this was called and everything that was committed
    /// by then is applied here, with the index that is applied. Works on every member.
    pub async fn read_barrier(&self) -> Result<u64, ReadError> {
        let (waiter, answer) = oneshot::channel();
        self.shared.inbox.send(Input::Read(waiter)).map_err(|_| ReadError::Stopped)?;
        let after = self.shared.options.read_timeout;
        match tokio::time::timeout(after, answer).await {
            Ok(Ok(applied)) => Ok(applied),
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::NoQuorum { after }),
        }
    }

    /// The applied state, as of now and as it changes.
    #[must_use]
    pub fn views(&self) -> watch::Receiver<S::View> {
        self.shared.views.clone()
    }

    /// The member's status, as of now and as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.clone()
    }

    /// Who leads, as of now and as it changes: rarely.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.shared.leadership.clone()
    }

    /// Returns once the member's loop has come round. It needs no quorum and no leader, only a thread
    /// that is not stuck, in a sync of the state file for example.
    ///
    /// # Errors
    /// When the member has ended.
    pub async fn pulse(&self) -> Result<(), ReadError> {
        let (waiter, answer) = oneshot::channel();
        self.shared.inbox.send(Input::Pulse(waiter)).map_err(|_| ReadError::Stopped)?;
        answer.await.map_err(|_| ReadError::Stopped)
    }

    /// Moves leadership to another voter, from any node, and waits until it leads.
    pub async fn transfer_leadership(&self, to: RaftId) -> Result<(), TransferError> {
        self.proposer().transfer(to).await
    }

    /// Lets in a raft message from a peer whose identity the network has proven.
    pub fn receive(&self, from: RaftId, message: &[u8]) -> Result<(), ReceiveError> {
        let message = Message::parse_from_bytes(message)
            .map_err(|error| ReceiveError::Malformed { from, reason: error.to_string() })?;
        if message.from != from.0 {
            return Err(ReceiveError::WrongSender { from, claimed: RaftId(message.from) });
        }
        if message.to != self.shared.id.0 {
            let here = self.shared.id;
            return Err(ReceiveError::WrongReceiver { from, meant: RaftId(message.to), here });
        }
        if !travels(message.get_msg_type()) {
            let kind = format!("{:?}", message.get_msg_type());
            return Err(ReceiveError::LocalKind { from, kind });
        }
        self.shared.inbox.send(Input::Message(Box::new(message))).map_err(|_| ReceiveError::Stopped)
    }

    /// Answers a request that a peer forwarded to this node because it takes it for the leader.
    pub async fn serve_forward(&self, request: Bytes) -> Bytes {
        let (reply, answer) = oneshot::channel();
        let input = match Request::decode(request) {
            Ok(Request::Propose { id, payload }) => Input::Serve { id, payload, reply },
            Ok(Request::TransferLeadership { to }) => Input::Transfer { to, reply },
            Err(error) => return Reply::Refused(error.to_string()).encode(),
        };
        let stopped = self.shared.inbox.send(input).is_err();
        let answer = if stopped { None } else { answer.await.ok() };
        answer.unwrap_or(Reply::NotLeader).encode()
    }

    /// The network could not deliver to this peer. Raft then probes it, and sends snapshots again.
    pub fn report_unreachable(&self, peer: RaftId) {
        // A member that has stopped sends nothing anyhow.
        let _ = self.shared.inbox.send(Input::Unreachable(peer));
    }

    /// Stops the member; a leader hands over first. Wait on [`Exit`] for the end.
    pub fn shutdown(&self) {
        // If it has stopped already there is nothing to do.
        let _ = self.shared.inbox.send(Input::Shutdown);
    }

    fn proposer(&self) -> Proposer<'_, S> {
        Proposer::new(&self.shared)
    }
}
