//! Brings one proposal to whoever leads, again and again until its outcome is known or its time is up.

use super::error::{ProposeError, TransferError};
use super::handle::Shared;
use super::machine::StateMachine;
use super::member::{Applied, Input, Lost, Route};
use super::network::ForwardError;
use super::request::{Payload, Reply, Request, RequestId};
use crate::ids::RaftId;
use tokio::sync::oneshot;

pub(super) struct Proposer<'a, S: StateMachine> {
    shared: &'a Shared<S>,
}

/// How one attempt ended.
enum Attempt<O> {
    Done(Applied<O>),
    /// Nothing was done.
    Untouched,
    /// It may be in some leader's log.
    Uncertain,
    Refused(String),
    Stopped,
}

type Answer<O> = oneshot::Receiver<Result<Applied<O>, Lost>>;

impl<'a, S: StateMachine> Proposer<'a, S> {
    pub(super) fn new(shared: &'a Shared<S>) -> Self {
        Self { shared }
    }

    pub(super) async fn propose(&self, payload: Payload) -> Result<Applied<S::Outcome>, ProposeError> {
        let after = self.shared.options.propose_timeout;
        // True from the moment an attempt leaves for a leader's log until it is known not to be there.
        let mut uncertain = false;
        match tokio::time::timeout(after, self.attempts(payload, &mut uncertain)).await {
            Ok(Attempt::Done(applied)) => Ok(applied),
            Ok(Attempt::Refused(reason)) => Err(ProposeError::Refused { reason }),
            Ok(Attempt::Stopped) if !uncertain => Err(ProposeError::Stopped),
            Ok(Attempt::Stopped | Attempt::Untouched | Attempt::Uncertain) => Err(ProposeError::Unknown),
            Err(_) if uncertain => Err(ProposeError::Unknown),
            Err(_) => Err(ProposeError::NoQuorum { after }),
        }
    }

    async fn attempts(&self, payload: Payload, uncertain: &mut bool) -> Attempt<S::Outcome> {
        loop {
            let was_uncertain = *uncertain;
            match self.attempt(payload.clone(), uncertain).await {
                last @ (Attempt::Done(_) | Attempt::Refused(_) | Attempt::Stopped) => return last,
                Attempt::Untouched => *uncertain = was_uncertain,
                Attempt::Uncertain => *uncertain = true,
            }
            self.pause().await;
        }
    }

    async fn attempt(&self, payload: Payload, uncertain: &mut bool) -> Attempt<S::Outcome> {
        let (routed, route) = oneshot::channel();
        let (waiter, answer) = oneshot::channel();
        let input = Input::Propose { payload: payload.clone(), routed, waiter };
        if self.shared.inbox.send(input).is_err() {
            return Attempt::Stopped;
        }
        match route.await {
            Ok(Route::Here) => {
                *uncertain = true;
                outcome(answer).await
            }
            Ok(Route::Forward { to, id }) => {
                *uncertain = true;
                self.forward(to, id, payload, answer).await
            }
            Ok(Route::Later) => Attempt::Untouched,
            Ok(Route::Refused(reason)) => Attempt::Refused(reason),
            Err(_) => Attempt::Stopped,
        }
    }

    async fn forward(
        &self,
        to: RaftId,
        id: RequestId,
        payload: Payload,
        mut answer: Answer<S::Outcome>,
    ) -> Attempt<S::Outcome> {
        let request = Request::Propose { id, payload }.encode();
        let reply = tokio::select! {
            biased;
            // The log is quicker than the reply, or the reply got lost.
            applied = &mut answer => return finished(applied),
            reply = self.shared.network.forward(to, request) => reply,
            () = self.lost_leader(to) => return Attempt::Uncertain,
        };
        match reply.map(Reply::decode) {
            Ok(Ok(Reply::Accepted(at))) => {
                if self.shared.inbox.send(Input::Placed { id, at }).is_err() {
                    return Attempt::Stopped;
                }
                outcome(answer).await
            }
            Ok(Ok(Reply::NotLeader | Reply::Busy | Reply::Transferring)) => Attempt::Untouched,
            Ok(Ok(Reply::Refused(reason))) => Attempt::Refused(reason),
            Ok(Err(error)) => {
                tracing::warn!(%to, %error, "the leader's answer to a proposal cannot be read");
                Attempt::Uncertain
            }
            Err(error @ ForwardError::NotSent { .. }) => {
                tracing::debug!(%error, "a proposal was not forwarded");
                Attempt::Untouched
            }
            Err(error @ ForwardError::NoAnswer { .. }) => {
                tracing::debug!(%error, "a forwarded proposal was not answered");
                Attempt::Uncertain
            }
        }
    }

    pub(super) async fn transfer(&self, to: RaftId) -> Result<(), TransferError> {
        let after = self.shared.options.propose_timeout;
        let attempts = async {
            loop {
                let leader = self.shared.leadership.borrow().leader;
                match leader {
                    Some(leader) if leader == to => return Ok(()),
                    Some(leader) => self.ask_for_transfer(leader, to).await?,
                    None => {}
                }
                self.pause().await;
            }
        };
        tokio::time::timeout(after, attempts).await.unwrap_or(Err(TransferError::NotTakenOver { to, after }))
    }

    /// Whether it works out shows in who leads afterwards.
    async fn ask_for_transfer(&self, leader: RaftId, to: RaftId) -> Result<(), TransferError> {
        let answer = if leader == self.shared.id {
            let (reply, answer) = oneshot::channel();
            self.shared.inbox.send(Input::Transfer { to, reply }).map_err(|_| TransferError::Stopped)?;
            answer.await.map_err(|_| TransferError::Stopped)?
        } else {
            let request = Request::TransferLeadership { to }.encode();
            let forwarded = self.shared.network.forward(leader, request).await;
            forwarded.ok().and_then(|reply| Reply::decode(reply).ok()).unwrap_or(Reply::NotLeader)
        };
        match answer {
            Reply::Refused(reason) => Err(TransferError::Refused { to, reason }),
            Reply::Accepted(_) | Reply::Transferring | Reply::NotLeader | Reply::Busy => Ok(()),
        }
    }

    /// Resolves when this member no longer takes `leader` for the leader.
    async fn lost_leader(&self, leader: RaftId) {
        let mut leadership = self.shared.leadership.clone();
        // An error means that the member stopped; the caller finds out by itself.
        let _ = leadership.wait_for(|now| now.leader != Some(leader)).await;
    }

    /// Until leadership changes, or for a tick.
    async fn pause(&self) {
        let mut leadership = self.shared.leadership.clone();
        let _ = tokio::time::timeout(self.shared.options.tick, leadership.changed()).await;
    }
}

async fn outcome<O>(answer: Answer<O>) -> Attempt<O> {
    finished(answer.await)
}

fn finished<O>(answer: Result<Result<Applied<O>, Lost>, oneshot::error::RecvError>) -> Attempt<O> {
    match answer {
        Ok(Ok(applied)) => Attempt::Done(applied),
        Ok(Err(Lost::Overwritten)) => Attempt::Untouched,
        Ok(Err(Lost::BehindSnapshot)) => Attempt::Uncertain,
        Err(_) => Attempt::Stopped,
    }
}
