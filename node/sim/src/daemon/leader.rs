//! What a daemon does while it leads: the reconciler's rounds and the keeper of voters, both one call at
//! a time, as the daemon's own loops do it.

use super::calls::{Answer, CallId, Caller};
use super::context::{Context, PROPOSE_PATIENCE};
use relupd::clock::Monotonic;
use relupd::consensus::voter_keeper::LOOK_EVERY;
use relupd::consensus::voters::{self, Decision as VoterDecision, VoterSettings};
use relupd::daemon::cluster::silence;
use relupd::reconciler::AFTER_REJECTION;
use relupd::rollout::round::{Round, Waits};
use relupd::rollout::timers::Timers;
use relupd::state::ClusterState;
use relupd::state::command::{Actor, Applied, Command};
use std::collections::VecDeque;
use std::sync::Arc;

#[derive(Default)]
pub struct Reconciler {
    timers: Option<Timers>,
    queue: VecDeque<Command>,
    call: Option<(CallId, Kind)>,
    seen: Option<Arc<ClusterState>>,
    look_at: Option<Monotonic>,
    /// A decision was void: nothing is asked until then.
    rests_until: Option<Monotonic>,
    /// For the log.
    pub waits: Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Decision,
    Plan,
    Start,
}

impl Reconciler {
    pub fn step(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        if self.call.is_some() {
            return;
        }
        if !context.core.leadership().is_self {
            *self = Self::default();
            return;
        }
        if self.timers.is_none() {
            context.log(|| "leads".to_owned());
        }
        if self.rests_until.is_some_and(|until| context.now < until) {
            return;
        }
        self.rests_until = None;
        let paused = self.look_at.is_some_and(|at| context.now < at);
        if self.queue.is_empty() {
            let pushed = self.seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, state));
            if paused && !pushed {
                return;
            }
            self.look(state, context);
        }
        if let Some(command) = self.queue.pop_front() {
            self.propose(command, context);
        }
    }

    fn look(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        let now = context.now;
        self.seen = Some(Arc::clone(state));
        let silence = silence(&context.core.status(), context.me, state, now);
        let timers = self.timers.get_or_insert_default();
        timers.advance(state, now);
        let round = context.stopwatch.time(|| Round::of(state, &silence, timers));
        self.look_at = Some(now + round.pause());
        for (rollout, decisions) in round.decisions {
            if decisions.is_empty() {
                continue;
            }
            let (rollout, revision) = (rollout.id, rollout.revision);
            context.log(|| format!("{rollout}: decides {decisions:?}"));
            self.queue.push_back(Command::Decide { rollout, revision, decisions });
        }
        context.coverage.waits(round.waits.values().flatten());
        self.waits = round.waits;
        if let Some(draft) = round.catch_up {
            context.log(|| format!("{}: catch-up to {}", draft.app, draft.to));
            self.queue.push_back(draft.into_command());
        }
    }

    fn propose(&mut self, command: Command, context: &mut Context<'_>) {
        let kind = match command {
            Command::SavePlan { .. } => Kind::Plan,
            Command::StartRollout { .. } => Kind::Start,
            _ => Kind::Decision,
        };
        let actor = Actor::Reconciler(context.me);
        self.call = Some((context.propose_as(Caller::Reconciler, actor, command), kind));
    }

    pub fn answered(&mut self, id: CallId, answer: Answer, context: &mut Context<'_>) {
        let Some((_, kind)) = self.call.take_if(|(call, _)| *call == id) else { return };
        match (kind, answer) {
            (Kind::Plan, Answer::Command(Ok(Applied::Plan(plan)))) => {
                self.queue.push_front(Command::StartRollout { plan });
            }
            (Kind::Decision, Answer::Command(Err(_))) => {
                self.rests_until = Some(context.now + AFTER_REJECTION);
            }
            _ => {}
        }
    }

    pub fn next_due(&self) -> Option<Monotonic> {
        if self.call.is_some() { None } else { self.rests_until.or(self.look_at) }
    }
}

#[derive(Default)]
pub struct Keeper {
    call: Option<CallId>,
    seen: Option<Arc<ClusterState>>,
    look_at: Option<Monotonic>,
}

impl Keeper {
    pub fn step(&mut self, state: &Arc<ClusterState>, settings: VoterSettings, context: &mut Context<'_>) {
        if self.call.is_some() {
            return;
        }
        if !context.core.leadership().is_self {
            *self = Self::default();
            return;
        }
        let pushed = self.seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, state));
        if self.look_at.is_some_and(|at| context.now < at) && !pushed {
            return;
        }
        self.seen = Some(Arc::clone(state));
        self.look_at = Some(context.now + LOOK_EVERY);
        let members = state
            .nodes
            .values()
            .map(|node| voters::Member { id: node.raft_id, removed: !node.is_present() })
            .collect();
        let decision = voters::Input::of(&context.core.status(), members, settings, context.now)
            .map_or(VoterDecision::Settled, |input| voters::decide(&input));
        match decision {
            VoterDecision::Settled | VoterDecision::Wait(_) => {}
            VoterDecision::Change(change) => {
                context.log(|| format!("voters: {change}"));
                let now = context.now;
                let call = context.calls.change_membership(Caller::Keeper, change, now, PROPOSE_PATIENCE);
                self.call = Some(call);
            }
            VoterDecision::TransferLeadership { to } => {
                context.log(|| format!("voters: hands leadership to {to}"));
                context.core.transfer(to, context.now);
            }
        }
    }

    pub fn answered(&mut self, id: CallId) {
        self.call.take_if(|call| *call == id);
    }

    pub fn next_due(&self) -> Option<Monotonic> {
        if self.call.is_some() { None } else { self.look_at }
    }
}
