//! The newest order to this node, with what the cluster already knows of its being carried out.

use super::{Action, Input, WaitingFor, commit, forward, prepare, revert, wait};
use crate::driver::{Method, Transition};
use crate::ids::{BootNonce, Generation, ReleaseVersion};
use crate::spec::AppSpec;
use crate::state::app::{Assignment, Order};
use crate::state::command::Report;
use crate::state::rollout::{Failure, Phase, Rollout, Step, Turn};

/// The newest order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered<'a> {
    pub(super) assignment: &'a Assignment,
    pub(super) rollout: Option<&'a Rollout>,
    pub(super) spec: &'a AppSpec,
    pub(super) step: Option<&'a Step>,
    answered: Option<&'a Report>,
}

impl<'a> Ordered<'a> {
    pub(super) fn of(input: &Input<'a>) -> Option<Self> {
        let assignment = input.instance.assignment.as_ref()?;
        let rollout = input.rollout.filter(|rollout| rollout.id == assignment.rollout);
        Some(Self {
            assignment,
            rollout,
            spec: rollout.map_or(&input.app.spec, |rollout| &rollout.spec),
            step: rollout.and_then(|rollout| rollout.nodes.get(&input.node)).map(|node| &node.step),
            answered: input.memory.answered.as_ref(),
        })
    }

    /// What the order asks for now; `None` where it asks for nothing that keeps the app from being
    /// looked after as usual.
    pub(super) fn decide(&self, input: &Input<'_>) -> Option<Action> {
        match self.assignment.order {
            Order::Prepare if self.is_live() => prepare::decide(input, self),
            Order::Upgrade | Order::Drain if self.is_live() => Some(forward::decide(input, self)),
            // The end of a rollout takes back the orders that lead to a trial, ...
            Order::Prepare | Order::Upgrade | Order::Drain => None,
            // ... but not those that lead out of one: a node that comes back late still obeys them.
            Order::Commit => commit::decide(input, self),
            Order::Revert => revert::decide(input, self),
        }
    }

    /// Whether the rollout still goes on, as far as is known here.
    pub(super) fn is_live(&self) -> bool {
        self.rollout.is_some_and(|rollout| !rollout.phase.is_terminal())
    }

    /// `CommitDecided` is applied here, and nothing has turned it round.
    pub(super) fn is_decided(&self) -> bool {
        self.rollout.is_some_and(|rollout| matches!(rollout.phase, Phase::Committing { decided: true }))
    }

    pub(super) const fn generation(&self) -> Generation {
        self.assignment.generation
    }

    pub(super) fn from(&self) -> Option<&'a ReleaseVersion> {
        self.assignment.from.as_ref().map(|release| &release.version)
    }

    pub(super) const fn to(&self) -> &'a ReleaseVersion {
        &self.assignment.to.version
    }

    /// The driver's step under this order. The operation's id names the order, so that whoever
    /// repeats it, after whatever crash, attaches to it.
    pub(super) fn transition(&self, method: Method, what: &str) -> Transition {
        Transition {
            from: self.from().cloned(),
            to: self.to().clone(),
            method,
            operation: format!("{}-{}-{what}", self.spec.name, self.generation()),
        }
    }

    /// What takes the running app down waits for the node's turn.
    pub(super) fn in_turn(&self, action: Action) -> Action {
        match self.step.and_then(Step::turn) {
            Some(Turn::Given) => action,
            Some(Turn::NotAsked) => self.report(Report::AskTurn),
            Some(Turn::Asked) => wait(WaitingFor::Turn),
            // Answered already, and what follows is the leader's to say.
            None => wait(WaitingFor::Order),
        }
    }

    pub(super) fn report(&self, report: Report) -> Action {
        Action::Report { generation: self.generation(), report }
    }

    pub(super) fn fail(&self, failure: Failure) -> Action {
        self.report(Report::Failed { failure })
    }

    pub(super) const fn said_prepared(&self) -> bool {
        matches!(self.answered, Some(Report::Prepared { .. } | Report::PrepareFailed { .. }))
            || matches!(
                self.step,
                Some(Step::Prepared { .. } | Step::PrepareFailed { .. } | Step::Skipped { .. })
            )
    }

    /// As the cluster has it: what was said last may be older.
    pub(super) const fn said_cannot_fetch(&self) -> bool {
        matches!(self.step, Some(Step::Preparing { cannot_fetch: Some(_), .. }))
    }

    pub(super) const fn said_failed(&self) -> bool {
        matches!(self.answered, Some(Report::Failed { .. })) || matches!(self.step, Some(Step::Failed { .. }))
    }

    /// The verdict on this life was given, and it was: healthy.
    pub(super) fn said_healthy(&self, life: &BootNonce) -> bool {
        matches!(self.answered, Some(Report::Healthy { boot_nonce }) if boot_nonce == life)
            || matches!(self.step, Some(Step::Healthy { boot_nonce }) if boot_nonce == life)
    }

    pub(super) fn said_ready(&self, life: &BootNonce) -> bool {
        matches!(self.answered, Some(Report::ReadyToCommit { boot_nonce }) if boot_nonce == life)
            || matches!(self.step, Some(Step::ReadyToCommit { boot_nonce }) if boot_nonce == life)
    }

    pub(super) const fn said_committed(&self) -> bool {
        matches!(self.answered, Some(Report::Committed)) || matches!(self.step, Some(Step::Committed))
    }

    pub(super) const fn said_reverted(&self) -> bool {
        matches!(self.answered, Some(Report::Reverted { .. } | Report::RevertFailed { .. }))
            || matches!(self.step, Some(Step::Reverted { .. } | Step::RevertFailed { .. }))
    }

    /// Whether this report was taken note of.
    pub(super) fn said(&self, report: &Report) -> bool {
        self.answered == Some(report)
    }
}
