//! What a daemon's parts have asked of consensus and wait for: proposals, brought to whoever leads again
//! and again until their outcome is known or their time is up, and linearizable reads. As
//! `relupd::consensus::Handle` does it, without its tasks.

use super::{Core, Effect};
use bytes::Bytes;
use relupd::clock::Monotonic;
use relupd::consensus::MembershipChange;
use relupd::consensus::stepped::{Attempt, Ended, Read};
use relupd::ids::{AppName, CommandId, RaftId};
use relupd::state::Outcome;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Agent(AppName),
    /// An installation that is told of while it goes on; nobody waits for the answer.
    Telling,
    Reconciler,
    Keeper,
    Contact,
    /// An operator's client, by its number.
    Operator(u64),
}

/// The answer to a call.
#[derive(Debug)]
pub enum Answer {
    /// Applied here, with this outcome.
    Command(Outcome),
    /// The configuration was changed.
    Changed,
    /// The read holds: a leader proved its quorum after `asked`.
    Read { asked: Monotonic },
    /// No quorum answered in time, or the leader refused; it may have taken effect.
    Failed,
}

#[derive(Debug)]
enum What {
    Command { id: CommandId, entry: Bytes },
    Membership(MembershipChange),
}

#[derive(Debug)]
struct Proposal {
    caller: Caller,
    what: What,
    until: Monotonic,
    attempt: Option<Attempt<Outcome>>,
    /// Where the present attempt was forwarded to.
    leader: Option<RaftId>,
    /// Counts attempts, so that a late reply is not taken for the answer to another one.
    number: u32,
    retry_at: Monotonic,
}

#[derive(Debug)]
struct Reading {
    caller: Caller,
    asked: Monotonic,
    until: Monotonic,
    read: Read,
    /// What had been applied anywhere when it was asked for.
    newest: u64,
}

/// Names a call of one daemon's life.
pub type CallId = u64;

#[derive(Debug, Default)]
pub struct Calls {
    next: CallId,
    proposals: BTreeMap<CallId, Proposal>,
    reads: BTreeMap<CallId, Reading>,
}

impl Calls {
    pub fn propose(
        &mut self,
        caller: Caller,
        id: CommandId,
        entry: Bytes,
        now: Monotonic,
        patience: Duration,
    ) -> CallId {
        self.begin(caller, What::Command { id, entry }, now, patience)
    }

    pub fn change_membership(
        &mut self,
        caller: Caller,
        change: MembershipChange,
        now: Monotonic,
        patience: Duration,
    ) -> CallId {
        self.begin(caller, What::Membership(change), now, patience)
    }

    fn begin(&mut self, caller: Caller, what: What, now: Monotonic, patience: Duration) -> CallId {
        let id = self.number();
        let (until, retry_at) = (now + patience, now);
        let proposal = Proposal { caller, what, until, attempt: None, leader: None, number: 0, retry_at };
        self.proposals.insert(id, proposal);
        id
    }

    pub fn read(
        &mut self,
        caller: Caller,
        core: &mut Core,
        now: Monotonic,
        patience: Duration,
        newest: u64,
    ) -> CallId {
        let id = self.number();
        let read = core.read(now);
        self.reads.insert(id, Reading { caller, asked: now, until: now + patience, read, newest });
        id
    }

    /// Nobody waits for it any more. What is in some log by now stays there.
    pub fn forget(&mut self, id: CallId) {
        self.proposals.remove(&id);
        self.reads.remove(&id);
    }

    fn number(&mut self) -> CallId {
        self.next += 1;
        self.next
    }

    /// A forwarded proposal was answered; `None` is that no answer will come.
    pub fn replied(
        &mut self,
        core: &mut Core,
        id: CallId,
        number: u32,
        reply: Option<Bytes>,
        now: Monotonic,
    ) {
        let Some(proposal) = self.proposals.get_mut(&id).filter(|proposal| proposal.number == number) else {
            return;
        };
        if let Some(attempt) = &mut proposal.attempt {
            core.placed(attempt, reply, now);
            proposal.leader = None;
        }
    }

    /// Begins attempts that are due, and returns what was answered.
    pub fn step(
        &mut self,
        core: &mut Core,
        now: Monotonic,
        tick: Duration,
        effects: &mut Vec<Effect>,
    ) -> Vec<(CallId, Caller, Answer)> {
        let mut answered = Vec::new();
        let leader = core.leadership().leader;
        for (id, proposal) in &mut self.proposals {
            if let Some(answer) = proposal.step(*id, core, leader, now, tick, effects) {
                answered.push((*id, proposal.caller.clone(), answer));
            }
        }
        for (id, reading) in &mut self.reads {
            if let Some(applied) = reading.read.poll() {
                effects.push(Effect::Read { applied, newest: reading.newest });
                answered.push((*id, reading.caller.clone(), Answer::Read { asked: reading.asked }));
            } else if now >= reading.until {
                answered.push((*id, reading.caller.clone(), Answer::Failed));
            }
        }
        for (id, _, _) in &answered {
            self.forget(*id);
        }
        answered
    }

    /// When something is to be tried again or given up.
    pub fn next_due(&self) -> Option<Monotonic> {
        let proposals = self.proposals.values().map(|proposal| match proposal.attempt {
            None => proposal.retry_at.min(proposal.until),
            Some(_) => proposal.until,
        });
        proposals.chain(self.reads.values().map(|reading| reading.until)).min()
    }
}

impl Proposal {
    fn step(
        &mut self,
        id: CallId,
        core: &mut Core,
        leader: Option<RaftId>,
        now: Monotonic,
        tick: Duration,
        effects: &mut Vec<Effect>,
    ) -> Option<Answer> {
        if let Some(attempt) = &mut self.attempt {
            let ended = attempt.poll();
            // An answer of a leader that is none any more is not waited for.
            let lost = self.leader.is_some() && self.leader != leader;
            match ended {
                Some(Ended::Applied(outcome)) => {
                    if let What::Command { id: command, .. } = &self.what {
                        effects.push(Effect::Answered { command: *command, outcome: outcome.clone() });
                    }
                    return Some(Answer::Command(outcome));
                }
                Some(Ended::Changed(_)) => return Some(Answer::Changed),
                Some(Ended::Refused(_)) => return Some(Answer::Failed),
                Some(Ended::Untouched | Ended::Uncertain) => self.again(now + tick),
                None if lost => self.again(now + tick),
                None => {}
            }
        }
        if now >= self.until {
            return Some(Answer::Failed);
        }
        if self.attempt.is_none() && now >= self.retry_at {
            self.number += 1;
            let mut attempt = match &self.what {
                What::Command { entry, .. } => core.propose(entry.clone(), now),
                What::Membership(change) => core.change_membership(change.clone(), now),
            };
            if let Some((to, request)) = attempt.forward.take() {
                self.leader = Some(to);
                effects.push(Effect::Forward { to, request, call: id, number: self.number });
            }
            if let Some(Ended::Untouched | Ended::Uncertain) = attempt.peek() {
                self.again(now + tick);
            } else {
                self.attempt = Some(attempt);
            }
        }
        None
    }

    fn again(&mut self, at: Monotonic) {
        (self.attempt, self.leader, self.retry_at) = (None, None, at);
    }
}
