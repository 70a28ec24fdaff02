//! A turn of the worker: what it does next, and how long it waits for that.

use super::super::calls::Caller;
use super::super::context::Context;
use super::words::name;
use super::{Agent, Doing, Step};
use relupd::agent::core::{Move, PATIENCE, REDECIDE_EVERY};
use relupd::agent::decide::{Action, Authority};
use relupd::agent::ledger::LedgerEntry;
use relupd::clock::Monotonic;
use relupd::state::ClusterState;
use std::sync::Arc;
use std::time::Duration;

impl Agent {
    /// Goes on as far as it can at this moment.
    pub fn step(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        self.watch_health(context);
        // Every turn either waits for something or has moved on; more than this is a worker that spins.
        for _ in 0..64 {
            if !self.turn(state, context) {
                return;
            }
        }
        context.log(|| format!("{}: the worker spins: {}", self.app, self.doing()));
        self.doing = Doing::Rest { until: Some(context.now + Duration::from_millis(1)) };
    }

    /// One turn; whether there may be another at this moment.
    pub(super) fn turn(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) -> bool {
        let now = context.now;
        let pushed = self.is_pushed(state);
        let reached = |until: Option<Monotonic>| until.is_some_and(|until| now >= until);
        match &mut self.doing {
            Doing::Rest { until } if pushed || reached(*until) => {
                let snapshot = self.refresh(state, context);
                let Some(action) = self.core.next(&snapshot) else {
                    self.doing = Doing::Rest { until: None };
                    return false;
                };
                match self.core.next_move(action, now) {
                    Move::Rest { until } => {
                        self.doing = Doing::Rest { until };
                        false
                    }
                    Move::Act(action) => {
                        let action = *action;
                        self.fence(action, state, context);
                        true
                    }
                }
            }
            Doing::Note { until, .. } if reached(Some(*until)) => {
                let Doing::Note { action, entry, .. } =
                    std::mem::replace(&mut self.doing, Doing::Rest { until: Some(now) })
                else {
                    return false;
                };
                if context.write_ledger(&self.app, &entry) {
                    let earlier = self.core.ledger().clone();
                    self.core.noted(entry);
                    if self.core.may_begin(&action, state) {
                        let noted_before = holds(&earlier, &action);
                        self.effect(action, noted_before, state, context);
                    } else if self.core.withdraw(&action, earlier) {
                        self.doing = Doing::Store { until: now + context.fsync() };
                    }
                } else {
                    self.core.not_noted(&action, now);
                }
                true
            }
            Doing::Store { until } if reached(Some(*until)) => {
                let _written = context.write_ledger(&self.app, self.core.ledger());
                self.doing = Doing::Rest { until: Some(now) };
                true
            }
            Doing::Effect { operation, overruled, action, .. } => {
                if overruled.is_none() && self.core.is_overruled(state) {
                    *overruled = Some(now + PATIENCE);
                }
                if !reached(*overruled) {
                    return false;
                }
                let (operation, action) = (*operation, name(action));
                context.log(|| format!("{}: {action} is cut off by a newer order", self.app));
                self.give_up(operation, context);
                self.core.acted();
                self.doing = Doing::Rest { until: Some(now) };
                true
            }
            Doing::Fence { redecide, .. } | Doing::Attempt { redecide, .. } if pushed || now >= *redecide => {
                *redecide = now + REDECIDE_EVERY;
                self.think_again(state, context)
            }
            Doing::Attempt { step: Step::Fetch { release, until }, .. } if now >= *until => {
                let release = release.clone();
                self.fetched(release, context);
                true
            }
            Doing::Rest { .. }
            | Doing::Fence { .. }
            | Doing::Note { .. }
            | Doing::Attempt { .. }
            | Doing::Store { .. } => false,
        }
    }

    /// What is harmless is given up the moment that something else is to be done.
    pub(super) fn think_again(&mut self, state: &Arc<ClusterState>, context: &mut Context<'_>) -> bool {
        let snapshot = self.refresh(state, context);
        let next = self.core.next(&snapshot);
        let same = match &self.doing {
            Doing::Fence { action, .. } | Doing::Attempt { action, .. } => next.as_ref() == Some(action),
            Doing::Rest { .. } | Doing::Note { .. } | Doing::Effect { .. } | Doing::Store { .. } => true,
        };
        if same {
            return false;
        }
        self.close(context);
        self.doing = Doing::Rest { until: Some(context.now) };
        true
    }

    pub(super) fn fence(&mut self, action: Action, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        self.read_asked = action.needs_barrier().then_some(context.at);
        if !action.needs_barrier() {
            self.begin(action, state, context);
            return;
        }
        let call = context.read(Caller::Agent(self.app.clone()));
        self.doing = Doing::Fence { action, call, redecide: context.now + REDECIDE_EVERY };
    }

    pub(super) fn begin(&mut self, action: Action, state: &Arc<ClusterState>, context: &mut Context<'_>) {
        let now = context.now;
        self.contact_age = context.contact.age(now);
        context.count_action(&action);
        if action.is_harmless() {
            let step = self.attempt(&action, state, context);
            self.doing = Doing::Attempt { action, began: now, step, redecide: now + REDECIDE_EVERY };
        } else if let Some(entry) = self.core.note(&action) {
            let until = now + context.fsync();
            self.doing = Doing::Note { action, entry, until };
        } else {
            let noted_before = holds(self.core.ledger(), &action);
            self.effect(action, noted_before, state, context);
        }
    }
}

/// Whether the ledger holds an orphan's way back, where this is one.
fn holds(ledger: &LedgerEntry, action: &Action) -> bool {
    match action {
        Action::RollBack { by: Authority::Orphan(rollout), .. } => ledger.orphaned(*rollout).is_some(),
        _ => false,
    }
}
