//! One look at a rollout: what to decide now, and what it waits for. Asking again without a change
//! gives the same answer; where there is nothing to decide, asking changes nothing.

use super::view::View;
use super::waiting::Waiting;
use super::{back, forward, prepare};
use crate::state::command::Decision;
use crate::state::rollout::{HaltReason, Phase};

/// What a look at a rollout gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "an unread report explains nothing"]
pub struct Report {
    /// To be proposed together, in this order.
    pub decisions: Vec<Decision>,
    /// Why it does not go on by itself.
    pub waiting: Vec<Waiting>,
}

impl Report {
    pub(super) fn decide(decision: Decision) -> Self {
        Self { decisions: vec![decision], waiting: Vec::new() }
    }

    pub(super) fn halt(reason: HaltReason) -> Self {
        Self::decide(Decision::Halt { reason })
    }

    pub(super) fn push(&mut self, decision: Decision) {
        self.decisions.push(decision);
    }

    pub(super) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }
}

/// What to do next with a rollout.
pub fn step(view: &View<'_>) -> Report {
    match &view.rollout.phase {
        Phase::Preparing => prepare::step(view),
        Phase::Rolling => forward::roll(view),
        Phase::Committing { decided: false } => forward::drain(view),
        Phase::Committing { decided: true } => forward::commit(view),
        Phase::Halted { reason } => back::after_halt(view, reason),
        Phase::Reverting { .. } => back::revert(view),
        Phase::NeedsOperator { .. } => back::late(view),
        Phase::Completed | Phase::Refused { .. } | Phase::Reverted { .. } | Phase::Held { .. } => {
            Report::default()
        }
    }
}

/// A pause stops new orders forward. It does not stop anybody from finding out that something failed,
/// and never a way back.
pub(super) fn paused(view: &View<'_>) -> Option<Waiting> {
    view.rollout.paused.as_ref().map(|paused| Waiting::Resume { paused_by: paused.by.clone() })
}
