//! A member that its caller moves on by hand, event by event: what a simulator runs. It is the member
//! of a daemon without the thread; the caller brings the time, the disk and the network.

use super::Seen;
use super::error::{MemberError, StartError};
use super::machine::StateMachine;
use super::member::{Applied, Input, Lost, Member, Outbox, Route};
use super::membership::{Membership, MembershipChange};
use super::options::Options;
use super::request::{Payload, Reply, Request, RequestId, refusal};
use super::status::{Leadership, Status};
use super::storage::Storage;
use crate::clock::Monotonic;
use crate::ids::{NodeId, RaftId};
use bytes::Bytes;
use raft::eraftpb::Message;
use tokio::sync::oneshot;

/// One member, moved on by hand.
pub struct Stepped<S: StateMachine> {
    member: Member<S>,
    seen: Seen<S::View>,
    /// Something was taken in since it was last worked off.
    has_work: bool,
}

/// One attempt to get something into the log.
#[derive(Debug)]
pub struct Attempt<O> {
    id: Option<RequestId>,
    /// To be brought to this member's `serve`, and its reply to `Stepped::placed`.
    pub forward: Option<(RaftId, Bytes)>,
    progress: Progress<O>,
}

#[derive(Debug)]
enum Progress<O> {
    Known(Option<Ended<O>>),
    Watched(oneshot::Receiver<Result<Applied<O>, Lost>>),
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended<O> {
    /// It was applied here, with this outcome.
    Applied(O),
    /// The configuration was changed, to this.
    Changed(Membership),
    /// Nothing was done, and another attempt may do it.
    Untouched,
    /// It may have been done.
    Uncertain,
    /// It makes no sense to try again.
    Refused(String),
}

/// A linearizable read that was asked for.
#[derive(Debug)]
pub struct Read(oneshot::Receiver<u64>);

impl Read {
    /// The index up to which everything is applied, once a leader has proved its quorum.
    pub fn poll(&mut self) -> Option<u64> {
        self.0.try_recv().ok()
    }
}

impl<O> Attempt<O> {
    const fn ended(how: Ended<O>) -> Self {
        Self { id: None, forward: None, progress: Progress::Known(Some(how)) }
    }

    /// How it ended, where it ended before it began.
    #[must_use]
    pub const fn peek(&self) -> Option<&Ended<O>> {
        match &self.progress {
            Progress::Known(how) => how.as_ref(),
            Progress::Watched(_) => None,
        }
    }

    /// How it ended, once, as soon as that is known.
    pub fn poll(&mut self) -> Option<Ended<O>> {
        match &mut self.progress {
            Progress::Known(how) => how.take(),
            Progress::Watched(answer) => match answer.try_recv() {
                Ok(Ok(Applied::Command(outcome))) => Some(Ended::Applied(outcome)),
                Ok(Ok(Applied::Membership(membership))) => Some(Ended::Changed(membership)),
                Ok(Ok(Applied::Refused(reason))) => Some(Ended::Refused(reason)),
                Ok(Err(Lost::Overwritten)) => Some(Ended::Untouched),
                Ok(Err(Lost::BehindSnapshot)) => Some(Ended::Uncertain),
                Err(oneshot::error::TryRecvError::Empty | oneshot::error::TryRecvError::Closed) => None,
            },
        }
    }
}

impl<S: StateMachine> Stepped<S> {
    /// # Errors
    /// As `consensus::start`.
    pub fn new(
        storage: Storage,
        machine: S,
        outbox: Outbox,
        options: Options,
        life: u64,
    ) -> Result<Self, StartError> {
        let (member, seen) = super::member(storage, machine, outbox, options, life)?;
        Ok(Self { member, seen, has_work: true })
    }

    /// What a member does first.
    ///
    /// # Errors
    /// Where the member is of no more use.
    pub fn begin(&mut self, now: Monotonic) -> Result<(), MemberError> {
        self.member.begin(now)?;
        self.member.publish_status();
        Ok(())
    }

    /// A message of a peer whose identity was checked.
    pub fn receive(&mut self, message: Message, now: Monotonic) {
        self.take(Input::Message(Box::new(message)), now);
    }

    /// One unit of raft's time. raft-rs draws election timeouts from a global source, so the caller's
    /// own takes the place of whatever was drawn.
    ///
    /// # Errors
    /// Where the member is of no more use.
    pub fn tick(&mut self, election_timeout: usize, now: Monotonic) -> Result<(), MemberError> {
        self.has_work = true;
        self.member.set_election_timeout(election_timeout);
        self.member.tick(now)
    }

    fn take(&mut self, input: Input<S::Outcome>, now: Monotonic) {
        self.has_work = true;
        self.member.take(input, now);
    }

    /// Does what was taken in; needed after every other call. Without any there is nothing to do.
    ///
    /// # Errors
    /// Where the member is of no more use.
    pub fn work_off(&mut self, now: Monotonic) -> Result<(), MemberError> {
        if self.has_work {
            self.member.work_off(now)?;
            self.member.publish_status();
            self.has_work = false;
        }
        Ok(())
    }

    /// Proposes an entry of the state machine.
    pub fn propose(&mut self, entry: Bytes, now: Monotonic) -> Attempt<S::Outcome> {
        self.attempt(Payload::Command(entry), now)
    }

    /// Proposes another configuration.
    pub fn change_membership(&mut self, change: MembershipChange, now: Monotonic) -> Attempt<S::Outcome> {
        self.attempt(Payload::Membership(change), now)
    }

    fn attempt(&mut self, payload: Payload, now: Monotonic) -> Attempt<S::Outcome> {
        let (routed, mut route) = oneshot::channel();
        let (waiter, answer) = oneshot::channel();
        self.take(Input::Propose { payload: payload.clone(), routed, waiter }, now);
        match route.try_recv() {
            Ok(Route::Here) => Attempt { id: None, forward: None, progress: Progress::Watched(answer) },
            Ok(Route::Forward { to, id }) => {
                let request = Request::Propose { id, payload }.encode();
                let progress = Progress::Watched(answer);
                Attempt { id: Some(id), forward: Some((to, request)), progress }
            }
            Ok(Route::Refused(reason)) => Attempt::ended(Ended::Refused(reason)),
            Ok(Route::Later) | Err(_) => Attempt::ended(Ended::Untouched),
        }
    }

    /// Answers what a peer forwarded to this member; its identity was checked.
    pub fn serve(&mut self, peer: NodeId, request: Bytes, now: Monotonic) -> Bytes {
        if let Some(reason) = refusal::<S>(peer, &request) {
            return Reply::Refused(reason).encode();
        }
        let (reply, mut answer) = oneshot::channel();
        let input = match Request::decode(request) {
            Ok(Request::Propose { id, payload }) => Input::Serve { id, payload, reply },
            Ok(Request::TransferLeadership { to }) => Input::Transfer { to, reply },
            Err(error) => return Reply::Refused(error.to_string()).encode(),
        };
        self.take(input, now);
        answer.try_recv().unwrap_or(Reply::NotLeader).encode()
    }

    /// The leader's answer to what was forwarded arrived; `None` is that none will.
    pub fn placed(&mut self, attempt: &mut Attempt<S::Outcome>, reply: Option<Bytes>, now: Monotonic) {
        let (Some(id), Progress::Watched(_)) = (attempt.id, &attempt.progress) else { return };
        let ended = match reply.map(Reply::decode) {
            Some(Ok(Reply::Accepted(at))) => {
                self.take(Input::Placed { id, at }, now);
                return;
            }
            Some(Ok(Reply::NotLeader | Reply::Busy | Reply::Transferring)) => Ended::Untouched,
            Some(Ok(Reply::Refused(reason))) => Ended::Refused(reason),
            Some(Err(_)) | None => Ended::Uncertain,
        };
        // The log may have been quicker than the reply.
        if let Some(known) = attempt.poll() {
            attempt.progress = Progress::Known(Some(known));
        } else {
            attempt.progress = Progress::Known(Some(ended));
        }
    }

    /// Asks for a linearizable read.
    pub fn read(&mut self, now: Monotonic) -> Read {
        let (waiter, answer) = oneshot::channel();
        self.take(Input::Read(waiter), now);
        Read(answer)
    }

    /// Begins to hand leadership over.
    pub fn transfer(&mut self, to: RaftId, now: Monotonic) {
        let (reply, _answer) = oneshot::channel();
        self.take(Input::Transfer { to, reply }, now);
    }

    /// The network could not deliver to this peer.
    pub fn unreachable(&mut self, peer: RaftId, now: Monotonic) {
        self.take(Input::Unreachable(peer), now);
    }

    /// The applied state.
    #[must_use]
    pub fn view(&self) -> S::View {
        self.seen.views.borrow().clone()
    }

    /// What the member says of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        self.seen.status.borrow().clone()
    }

    /// Who leads, as far as this member knows.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        *self.seen.leadership.borrow()
    }
}
