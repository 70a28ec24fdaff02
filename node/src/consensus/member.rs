//! The member: raft, the state machine and the state file, moved on by whoever owns it. It reads no
//! clock, waits for nothing and knows no thread; `member/thread.rs` gives it one.
//!
//! Invariants: nothing that raft wants to be durable is told to anybody before it is synced; entries
//! are applied in order and once per life; a view is published before the outcomes it contains; after
//! any error of the state file the member is of no more use and answers nobody any more.

mod apply;
mod kinds;
mod lead;
mod pacing;
mod peers;
mod proposals;
mod publish;
mod question;
mod reads;
mod stop;
mod thread;

pub(super) use self::kinds::travels;
pub(super) use self::proposals::{Applied, Lost, Waiter};
pub(super) use self::reads::ReadWaiter;
pub(super) use self::thread::run;

use self::pacing::Pacing;
use self::peers::Peers;
use self::proposals::Proposals;
use self::reads::Reads;
use self::stop::Stop;
use super::error::{MemberError, StartError};
use super::logging;
use super::machine::StateMachine;
use super::membership::Membership;
use super::options::Options;
use super::request::{Payload, Position, Reply, RequestId};
use super::status::{Leadership, Status};
use super::storage::Storage;
use crate::clock::Monotonic;
use crate::ids::RaftId;
use raft::eraftpb::{ConfState, Message, MessageType};
use raft::{Config, RawNode, ReadOnlyOption, StateRole};
use std::sync::Arc;
use tokio::sync::{oneshot, watch};

/// What the loop is asked to do.
pub(super) enum Input<O> {
    /// A message from a peer whose identity was checked.
    Message(Box<Message>),
    /// A proposal of this node.
    Propose {
        payload: Payload,
        routed: oneshot::Sender<Route>,
        waiter: Waiter<O>,
    },
    /// The leader said where it put a proposal of this node.
    Placed {
        id: RequestId,
        at: Position,
    },
    /// A proposal of another node.
    Serve {
        id: RequestId,
        payload: Payload,
        reply: oneshot::Sender<Reply>,
    },
    Read(ReadWaiter),
    Transfer {
        to: RaftId,
        reply: oneshot::Sender<Reply>,
    },
    Unreachable(RaftId),
    /// Whether the loop gets round.
    Pulse(oneshot::Sender<()>),
    Shutdown,
}

/// Where a proposal of this node went.
#[derive(Debug)]
pub(super) enum Route {
    /// Into the log of this member, which leads.
    Here,
    /// It belongs to the leader; its fate is watched here under this id.
    Forward {
        to: RaftId,
        id: RequestId,
    },
    /// Nobody leads, or not right now.
    Later,
    Refused(String),
}

/// The ends of what a member publishes.
pub(super) struct Published<V> {
    pub(super) views: watch::Sender<V>,
    pub(super) status: watch::Sender<Status>,
    pub(super) leadership: watch::Sender<Leadership>,
}

/// Ticks between two writes of a commit index that nothing else wrote: 10 x 100 ms.
const FLUSH_TICKS: u64 = 10;

/// Entries per append message; raft's own default of 0 would send them one by one.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// Proposals beyond this much that is not committed are turned away instead of kept in memory.
const MAX_UNCOMMITTED_BYTES: u64 = 16 << 20;

/// Where messages to other members go: enqueued, never waited for.
pub(super) type Outbox = Box<dyn FnMut(Message) + Send>;

pub(super) struct Member<S: StateMachine> {
    raft: RawNode<Storage>,
    machine: S,
    outbox: Outbox,
    published: Published<S::View>,
    options: Options,
    proposals: Proposals<S::Outcome>,
    reads: Reads,
    peers: Peers,
    applied: Position,
    membership: ConfState,
    /// The same, as it is published.
    known_membership: Arc<Membership>,
    pacing: Pacing,
    life: u64,
    last_number: u64,
    ticks: u64,
    /// Heartbeats of this moment are those that everybody gets in any case.
    beats: bool,
    /// The tick at which the peers' status was last published.
    peers_published: u64,
    stop: Option<Stop>,
}

impl<S: StateMachine> Member<S> {
    pub(super) fn new(
        storage: Storage,
        machine: S,
        outbox: Outbox,
        published: Published<S::View>,
        options: Options,
        life: u64,
    ) -> Result<Self, StartError> {
        let meta = storage.last_snapshot().get_metadata().clone();
        let applied = Position { index: meta.index, term: meta.term };
        let config = Config {
            id: storage.owner().raft.0,
            election_tick: options.election_ticks,
            heartbeat_tick: options.heartbeat_ticks,
            applied: applied.index,
            max_size_per_msg: MAX_MESSAGE_BYTES,
            max_uncommitted_size: MAX_UNCOMMITTED_BYTES,
            batch_append: true,
            check_quorum: true,
            pre_vote: true,
            read_only_option: ReadOnlyOption::Safe,
            ..Config::default()
        };
        let raft = RawNode::new(&config, storage, &logging::to_tracing()).map_err(StartError::Raft)?;
        let mut member = Self {
            raft,
            machine,
            outbox,
            published,
            options,
            proposals: Proposals::new(applied),
            reads: Reads::default(),
            peers: Peers::default(),
            applied,
            membership: ConfState::default(),
            known_membership: Arc::default(),
            pacing: Pacing::default(),
            life,
            last_number: 0,
            ticks: 0,
            beats: false,
            peers_published: 0,
            stop: None,
        };
        member.enter(meta.get_conf_state().clone());
        Ok(member)
    }

    /// What is known to be committed comes first: the configuration is only then the last one.
    pub(super) fn begin(&mut self, now: Monotonic) -> Result<(), MemberError> {
        self.work_off(now)?;
        self.campaign_if_alone(now)
    }

    /// The only voter need not wait for a leader that cannot exist.
    fn campaign_if_alone(&mut self, now: Monotonic) -> Result<(), MemberError> {
        if self.membership.get_voters() == [self.raft.raft.id]
            && self.membership.get_voters_outgoing().is_empty()
        {
            self.raft.campaign().map_err(MemberError::Raft)?;
            self.work_off(now)?;
        }
        Ok(())
    }

    /// Takes in what came from outside. What it leads to is done by `work_off`.
    pub(super) fn take(&mut self, input: Input<S::Outcome>, now: Monotonic) {
        match input {
            Input::Message(message) => self.receive(*message, now),
            Input::Propose { payload, routed, waiter } => self.propose(payload, routed, waiter),
            Input::Placed { id, at } => self.proposals.place(id, at),
            Input::Serve { id, payload, reply } => {
                // A caller that is gone proposes again under another id.
                let _ = reply.send(self.append(id, &payload));
            }
            Input::Read(waiter) => self.reads.arrive(waiter),
            Input::Transfer { to, reply } => {
                let _ = reply.send(self.transfer(to));
            }
            Input::Unreachable(id) => {
                self.raft.report_unreachable(id.0);
                self.raft.report_snapshot(id.0, raft::SnapshotStatus::Failure);
            }
            Input::Pulse(waiter) => {
                // Who asked may have stopped waiting.
                let _ = waiter.send(());
            }
            Input::Shutdown => self.begin_stop(now),
        }
    }

    fn receive(&mut self, mut message: Message, now: Monotonic) {
        self.peers.heard_from(RaftId(message.from), now);
        let (from, kind) = (message.from, message.get_msg_type());
        // A peer of an older build may still send one.
        if is_misjoined(&message) {
            tracing::debug!(from, "dropped an append whose entries do not follow its index");
            return;
        }
        question::mark(&mut message, self.next_number());
        if let Err(error) = self.raft.step(message) {
            // E.g. from a peer that was just removed, or a proposal that raft drops: its sender asks again.
            tracing::debug!(from, ?kind, %error, "raft dropped a message");
        }
    }

    fn propose(&mut self, payload: Payload, routed: oneshot::Sender<Route>, waiter: Waiter<S::Outcome>) {
        let id = self.next_id();
        let leader = self.raft.raft.leader_id;
        let route = if self.stop.is_some() || leader == raft::INVALID_ID {
            Route::Later
        } else if leader != self.raft.raft.id {
            self.proposals.insert(id, waiter);
            Route::Forward { to: RaftId(leader), id }
        } else {
            match self.append(id, &payload) {
                Reply::Accepted(at) => {
                    self.proposals.insert(id, waiter);
                    self.proposals.place(id, at);
                    Route::Here
                }
                Reply::Refused(reason) => Route::Refused(reason),
                Reply::Busy | Reply::NotLeader | Reply::Transferring => Route::Later,
            }
        };
        // If nobody waits any more the proposal is swept away, or takes effect unseen.
        let _ = routed.send(route);
    }

    fn next_id(&mut self) -> RequestId {
        RequestId { origin: RaftId(self.raft.raft.id), life: self.life, number: self.next_number() }
    }

    const fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// One unit of raft's time has passed.
    pub(super) fn tick(&mut self, now: Monotonic) -> Result<(), MemberError> {
        self.ticks += 1;
        self.raft.tick();
        self.beats = self.raft.raft.heartbeat_elapsed() == 0;
        self.proposals.sweep();
        self.reads.sweep();
        let unanswered: Vec<_> = self.reads.unanswered().collect();
        for id in unanswered {
            self.ask(id);
        }
        if self.is_leader() {
            self.tick_leader(now);
        }
        if self.ticks.is_multiple_of(FLUSH_TICKS) {
            self.raft.mut_store().flush_commit()?;
        }
        Ok(())
    }

    /// In place of what raft-rs drew from a global source of randomness.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn set_election_timeout(&mut self, ticks: usize) {
        self.raft.raft.set_randomized_election_timeout(ticks);
    }

    /// Writes, sends and applies until raft has nothing left to do.
    pub(super) fn work_off(&mut self, now: Monotonic) -> Result<(), MemberError> {
        self.ask_reads();
        while self.raft.has_ready() {
            let mut ready = self.raft.ready();
            if ready.ss().is_some_and(|soft| soft.raft_state == StateRole::Leader) {
                self.peers.became_leader(now);
            }
            // A leader's messages need not wait for its own disk: it counts itself only once it has synced.
            self.send(ready.take_messages());
            self.apply(ready.take_committed_entries())?;
            self.restore(ready.snapshot())?;
            self.raft.mut_store().persist(&ready)?;
            self.send(ready.take_persisted_messages());
            for read in ready.take_read_states() {
                if let Some(id) = question::asked(&read.request_ctx) {
                    self.reads.answer(id, read.index);
                }
            }
            let mut light = self.raft.advance_append(ready);
            if let Some(commit) = light.commit_index() {
                self.raft.mut_store().set_commit(commit);
            }
            self.send(light.take_messages());
            self.apply(light.take_committed_entries())?;
            self.raft.advance_apply();
            self.reads.applied(self.applied.index);
            self.snapshot_if_due()?;
        }
        self.send_held(now);
        self.beats = false;
        Ok(())
    }

    /// Reads that arrived together share one question.
    fn ask_reads(&mut self) {
        if self.reads.has_arrived() {
            let id = self.next_id();
            self.reads.ask(id);
            self.ask(id);
        }
    }

    fn ask(&mut self, id: RequestId) {
        let question = question::marked(id, self.next_number());
        self.raft.read_index(question);
    }

    fn send(&mut self, messages: Vec<Message>) {
        for mut message in messages {
            question::unmark(&mut message);
            if self.asks_in_vain(&message) || is_misjoined(&message) {
                continue;
            }
            let to_learner = self.known_membership.learners.contains(&RaftId(message.to));
            if let Some(message) = self.pacing.take(message, to_learner) {
                (self.outbox)(message);
            }
        }
    }

    fn send_held(&mut self, now: Monotonic) {
        if !self.is_leader() {
            // A leader of the past has nothing to say that would still count.
            self.pacing.forget();
        }
        for message in self.pacing.due(now) {
            (self.outbox)(message);
        }
    }

    /// A configuration is in force here.
    fn enter(&mut self, membership: ConfState) {
        self.known_membership = Arc::new(Membership::from(&membership));
        self.membership = membership;
        self.pacing.learners(self.known_membership.learners.len());
        // To find the message that entries can be joined to, raft-rs looks through all of them, for each peer.
        self.raft.set_batch_append(!self.pacing.holds());
    }

    /// For every linearizable read raft-rs asks all peers, and counts the voters' answers alone. With a
    /// thousand learners that would be a thousand messages a read, so learners are asked only along with
    /// the heartbeat that they get anyhow.
    fn asks_in_vain(&self, message: &Message) -> bool {
        let is_question = message.get_msg_type() == MessageType::MsgHeartbeat && !message.context.is_empty();
        is_question && !self.beats && !self.raft.raft.prs().conf().voters().contains(message.to)
    }

    fn is_leader(&self) -> bool {
        self.raft.raft.state == StateRole::Leader
    }
}

/// raft-rs 0.7 joins entries to an append message that it has not handed out yet. Where that was an empty
/// one and the peer has refused another meanwhile, the entries do not follow the index in front of them,
/// and the peer's raft panics over the sum. Such a message gets lost instead, which raft repairs.
fn is_misjoined(message: &Message) -> bool {
    message.get_msg_type() == MessageType::MsgAppend
        && message.entries.first().is_some_and(|first| first.index != message.index + 1)
}
