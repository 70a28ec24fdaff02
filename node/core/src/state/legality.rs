//! Which decisions and orders a rollout permits where it is. Asked when a decision is applied, so
//! that no proposer, however stale or mistaken, can break a promise.

use crate::driver::Check;
use crate::ids::{Generation, NodeId};
use crate::spec::Permanent;
use crate::state::app::{Assignment, Order};
use crate::state::command::Decision;
use crate::state::rejection::{Rejection, Superseded};
use crate::state::rollout::{HaltReason, NodeProgress, Phase, Rollout, Stage, Step, Turn};
use std::sync::Arc;

impl Phase {
    /// Why it halted, where it did.
    #[must_use]
    pub const fn reason(&self) -> Option<&HaltReason> {
        match self {
            Self::Halted { reason }
            | Self::Reverting { reason }
            | Self::Reverted { reason }
            | Self::Held { reason, .. } => Some(reason),
            Self::NeedsOperator { reason, .. } => reason.as_ref(),
            Self::Preparing
            | Self::Rolling
            | Self::Committing { .. }
            | Self::Completed
            | Self::Refused { .. } => None,
        }
    }
}

impl Rollout {
    pub(crate) fn permits(&self, decision: &Decision) -> bool {
        let (preparing, rolling) =
            (matches!(self.phase, Phase::Preparing), matches!(self.phase, Phase::Rolling));
        let forward = preparing || rolling || matches!(self.phase, Phase::Committing { .. });
        match decision {
            // Checked by `order`, which knows the node.
            Decision::Assign { .. } => true,
            Decision::RecordElapsed { .. } => !self.phase.is_terminal(),
            Decision::GiveTurn { node } => self.turn_of(*node) == Some(Turn::Asked),
            Decision::TakeTurn { node, .. } => self.turn_of(*node) == Some(Turn::Given),
            Decision::Skip { node, .. } => {
                forward && self.nodes.get(node).is_some_and(|progress| progress.touched.is_none())
            }
            Decision::BeginRolling => preparing && self.all(|step| matches!(step, Step::Prepared { .. })),
            Decision::Refuse { .. } => preparing,
            Decision::Promote => rolling,
            Decision::BeginCommitting => {
                rolling
                    && self.somebody_takes_part()
                    && self.all(|step| matches!(step, Step::Healthy { .. } | Step::Committed))
            }
            // S6: nothing becomes permanent before every node has said, in the same life of its VM, that
            // it is healthy and ready.
            Decision::CommitDecided => {
                matches!(self.phase, Phase::Committing { decided: false })
                    && self.somebody_takes_part()
                    && self.all(|step| matches!(step, Step::ReadyToCommit { .. } | Step::Committed))
            }
            Decision::Halt { .. } => forward,
            Decision::BeginReverting | Decision::Hold { .. } => matches!(self.phase, Phase::Halted { .. }),
            Decision::Complete => {
                matches!(self.phase, Phase::Committing { decided: true })
                    && self.all(|step| matches!(step, Step::Committed))
            }
            Decision::FinishReverting => {
                matches!(self.phase, Phase::Reverting { .. })
                    && self
                        .nodes
                        .values()
                        .filter(|progress| progress.touched.is_some())
                        .all(|progress| progress.is_back())
            }
            Decision::CallOperator { .. } => {
                matches!(self.phase, Phase::Reverting { .. } | Phase::Committing { decided: true })
            }
        }
    }

    /// Whether it still goes forward and could be paused: not halted, and nothing decided.
    pub(crate) const fn goes_forward(&self) -> bool {
        matches!(self.phase, Phase::Preparing | Phase::Rolling | Phase::Committing { decided: false })
    }

    /// A release is never committed to on nobody's word.
    pub(crate) fn somebody_takes_part(&self) -> bool {
        self.nodes.values().any(|progress| !matches!(progress.step, Step::Skipped { .. }))
    }

    /// Every node that takes part is in such a step.
    fn all(&self, holds: impl Fn(&Step) -> bool) -> bool {
        self.nodes
            .values()
            .all(|progress| holds(&progress.step) || matches!(progress.step, Step::Skipped { .. }))
    }

    /// Nodes that are assigned an upgrade, or have their turn, and have not said what came of it (S2).
    #[must_use]
    pub fn in_flight(&self) -> Vec<NodeId> {
        self.nodes
            .iter()
            .filter(|(_, progress)| progress.step.is_in_flight())
            .map(|(node, _)| *node)
            .collect()
    }

    /// Whether the leader still has something to say: it is on its way, or has ended with nodes that still
    /// have to go.
    #[must_use]
    pub fn needs_leader(&self) -> bool {
        let owed = |progress: &Arc<NodeProgress>| progress.step.turn().is_some();
        !self.phase.is_terminal()
            || (matches!(self.phase, Phase::NeedsOperator { .. }) && self.nodes.values().any(owed))
    }

    fn turn_of(&self, node: NodeId) -> Option<Turn> {
        self.nodes.get(&node)?.step.turn()
    }

    pub(crate) fn set_turn(&mut self, node: NodeId, given: Turn) {
        if let Some(Step::Committing { turn, .. } | Step::Reverting { turn, .. }) =
            self.nodes.get_mut(&node).map(|progress| &mut Arc::make_mut(progress).step)
        {
            *turn = given;
        }
    }

    /// Moves a node to the step of this order and makes the assignment.
    pub(crate) fn order(
        &mut self,
        node: NodeId,
        order: Order,
        generation: Generation,
    ) -> Result<Assignment, Rejection> {
        let (from, to) = (self.from_of(node).cloned(), self.plan.to.clone());
        let per_node = self.spec.upgrade.permanent == Permanent::PerNode;
        let Some(progress) = self.nodes.get_mut(&node).map(Arc::make_mut) else {
            return Err(Rejection::Superseded(Superseded::NotInRollout { node, rollout: self.id }));
        };
        let next = match (order, &self.phase, &progress.step) {
            (Order::Prepare, Phase::Preparing, Step::Planned) => {
                Step::Preparing { generation, cannot_fetch: None }
            }
            (Order::Upgrade, Phase::Rolling, Step::Prepared { checks }) => {
                progress.checks = checks.iter().map(Check::in_brief).collect();
                progress.touched.get_or_insert(generation);
                Step::Upgrading { generation, stage: Stage::Assigned }
            }
            (Order::Drain, Phase::Committing { decided: false }, Step::Healthy { boot_nonce }) => {
                Step::Draining { generation, boot_nonce: boot_nonce.clone() }
            }
            (Order::Drain, Phase::Rolling, Step::Healthy { boot_nonce }) if per_node => {
                Step::Draining { generation, boot_nonce: boot_nonce.clone() }
            }
            (Order::Commit, Phase::Committing { decided: true }, Step::ReadyToCommit { .. }) => {
                Step::Committing { generation, turn: Turn::NotAsked }
            }
            (Order::Commit, Phase::Rolling, Step::ReadyToCommit { .. }) if per_node => {
                Step::Committing { generation, turn: Turn::NotAsked }
            }
            // S7: only what was touched goes back.
            (Order::Revert, Phase::Reverting { .. }, step)
                if progress.touched.is_some()
                    && !matches!(step, Step::Reverting { .. } | Step::Reverted { .. }) =>
            {
                Step::Reverting { generation, turn: Turn::Asked, tried: Vec::new() }
            }
            (order, _, _) => return Err(Rejection::Superseded(Superseded::Order { node, order })),
        };
        progress.step = next;
        progress.had_its_turn = false;
        let (position, method) = (progress.position, progress.method);
        Ok(Assignment { generation, rollout: self.id, order, from, to, method, position })
    }
}

impl Step {
    /// Whether the node is assigned, or has its turn, and has not said what came of it.
    #[must_use]
    pub const fn is_in_flight(&self) -> bool {
        matches!(self, Self::Upgrading { .. }) || matches!(self.turn(), Some(Turn::Given))
    }

    /// The same, after the node has asked for its turn; it keeps one that it has.
    pub(crate) fn asked(&self) -> Self {
        let mut asked = self.clone();
        if let Self::Committing { turn, .. } | Self::Reverting { turn, .. } = &mut asked
            && *turn == Turn::NotAsked
        {
            *turn = Turn::Asked;
        }
        asked
    }

    /// The turn of a node whose order waits for one.
    #[must_use]
    pub const fn turn(&self) -> Option<Turn> {
        match self {
            Self::Committing { turn, .. } | Self::Reverting { turn, .. } => Some(*turn),
            Self::Planned
            | Self::Preparing { .. }
            | Self::Prepared { .. }
            | Self::PrepareFailed { .. }
            | Self::Skipped { .. }
            | Self::Upgrading { .. }
            | Self::Healthy { .. }
            | Self::Failed { .. }
            | Self::Draining { .. }
            | Self::ReadyToCommit { .. }
            | Self::Committed
            | Self::Reverted { .. }
            | Self::RevertFailed { .. } => None,
        }
    }
}

impl NodeProgress {
    /// What preflight found, as far as it is known.
    #[must_use]
    pub fn preflight(&self) -> &[Check] {
        match &self.step {
            Step::Prepared { checks } | Step::PrepareFailed { checks } => checks,
            Step::Planned
            | Step::Preparing { .. }
            | Step::Skipped { .. }
            | Step::Upgrading { .. }
            | Step::Healthy { .. }
            | Step::Failed { .. }
            | Step::Draining { .. }
            | Step::ReadyToCommit { .. }
            | Step::Committing { .. }
            | Step::Committed
            | Step::Reverting { .. }
            | Step::Reverted { .. }
            | Step::RevertFailed { .. } => &self.checks,
        }
    }

    /// Whether it is back on its `from`, or out of the cluster.
    #[must_use]
    pub const fn is_back(&self) -> bool {
        matches!(self.step, Step::Reverted { .. } | Step::Skipped { .. })
    }
}

impl Order {
    /// What a node does for it.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Upgrade => "upgrade",
            Self::Drain => "drain",
            Self::Commit => "make permanent",
            Self::Revert => "go back",
        }
    }
}

#[cfg(test)]
mod tests;
