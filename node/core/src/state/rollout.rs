//! Rollouts as data. What to do next with them is decided in `crate::rollout`.

use crate::driver::{Check, Measured, Method, Rung};
use crate::ids::{BootNonce, Generation, NodeId, RolloutId};
use crate::spec::AppSpec;
use crate::state::plan::Plan;
use crate::state::release::ReleaseId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A plan being carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// Its id.
    pub id: RolloutId,
    /// The plan.
    pub plan: Arc<Plan>,
    /// The app's spec as it was at the start: a later change does not touch a rollout on its way.
    pub spec: AppSpec,
    /// The release that the app was committed to when it started; `current` returns to it when the
    /// rollout turns round after `CommitDecided`.
    pub previous: Option<ReleaseId>,
    /// Counts up with every change; decisions are proposed by compare-and-set on it.
    pub revision: u64,
    /// Where it is.
    pub phase: Phase,
    /// Whether an operator has paused it.
    pub paused: Option<Paused>,
    /// Whether the canary was promoted.
    pub promoted: bool,
    /// Every node's part, by node.
    pub nodes: BTreeMap<NodeId, Arc<NodeProgress>>,
    /// Committed so that a new leader never shortens a deadline.
    pub elapsed: Elapsed,
    /// Who started it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// When it became terminal.
    pub ended_at: Option<Timestamp>,
}

/// How much of each deadline was used up when last committed. Time under pause does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elapsed {
    /// Of the whole rollout.
    pub rollout: Duration,
    /// Of the way back.
    pub revert: Duration,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Who paused it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Where a rollout is. The last five are terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Every node fetches, places and checks; nothing runs yet.
    Preparing,
    /// Canary, then batches.
    Rolling,
    /// Every node is healthy; they drain and say ready-to-commit, until `decided`.
    Committing {
        /// `CommitDecided` is applied: from here it goes forward.
        decided: bool,
    },
    /// No more assignments forward.
    Halted {
        /// Why.
        reason: HaltReason,
    },
    /// Touched nodes go back, who failed first and then newest first.
    Reverting {
        /// Why.
        reason: HaltReason,
    },
    /// All on `to`, permanent.
    Completed,
    /// Nothing has changed.
    Refused {
        /// Which node, which check, what to do.
        reasons: Vec<Refusal>,
    },
    /// Every touched node is back on its own `from`, permanent.
    Reverted {
        /// Why it went back.
        reason: HaltReason,
    },
    /// Stopped where it was; `elsewhere` names the nodes that are not on `from`.
    Held {
        /// Why.
        reason: HaltReason,
        /// The nodes that are not on their `from`.
        elsewhere: Vec<NodeId>,
    },
    /// The cluster cannot settle these nodes by itself.
    NeedsOperator {
        /// Why it halted, if it did.
        reason: Option<HaltReason>,
        /// Which nodes, why, and what to run.
        nodes: Vec<Stranded>,
    },
}

impl Phase {
    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Preparing
            | Self::Rolling
            | Self::Committing { .. }
            | Self::Halted { .. }
            | Self::Reverting { .. } => false,
            Self::Completed
            | Self::Refused { .. }
            | Self::Reverted { .. }
            | Self::Held { .. }
            | Self::NeedsOperator { .. } => true,
        }
    }
}

/// A node that an operator must look after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stranded {
    /// Which node.
    pub node: NodeId,
    /// What is wrong there.
    pub reason: String,
    /// The command to run.
    pub remedy: String,
}

/// Why a rollout was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// On which node; `None` where it concerns the whole rollout.
    pub node: Option<NodeId>,
    /// Which check.
    pub check: String,
    /// What it found.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// Why a rollout halted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HaltReason {
    /// A node's verdict was: failed.
    NodeFailed { node: NodeId, failure: Failure },
    /// A node made no progress until its deadline.
    NoProgress { node: NodeId, after: Duration },
    /// A node could not be reached until its deadline.
    Unreachable { node: NodeId, after: Duration },
    /// The whole rollout took too long.
    RolloutDeadline { after: Duration },
    /// A node had taken itself back.
    Orphaned { node: NodeId },
    /// An operator ended it.
    Aborted { by: String, how: AbortMode },
}

/// What an operator wants of an abort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AbortMode {
    /// Stop and leave everything where it is.
    Hold,
    /// Stop and take touched nodes back.
    Revert,
}

/// Why a node's verdict is: failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The installation did not succeed.
    Install { reason: String },
    /// What runs is not wholly `to`.
    Verify { reason: String },
    /// A health check failed as often as the policy allows.
    Health { check: String, reason: String },
    /// The VM died, or lives another life than the one that was judged.
    VmDied { detail: String },
    /// Old code could not be drained, or making permanent failed.
    Commit { reason: String },
}

/// One node's part of a rollout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeProgress {
    /// Its place in the plan, from 0.
    pub position: u32,
    /// How it goes: the plan's method, or what preflight made of it.
    pub method: Method,
    /// The generation of the first upgrade assignment; `Some` means touched, acknowledged or not.
    pub touched: Option<Generation>,
    /// It had its turn under its newest order, could be heard, and did not get on.
    #[serde(default)]
    pub had_its_turn: bool,
    /// It had lost contact and took itself back.
    pub orphaned: bool,
    /// Where it is.
    pub step: Step,
    /// What preflight found, from when it was ordered to upgrade. Before that `step` has it.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// What its agent has to tell beside its answers to orders.
    #[serde(default)]
    pub notes: Notes,
}

/// What a node's agent tells of its part of a rollout, for people: no decision of the cluster rests on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// What the installation did to the app's processes, where that was measured.
    pub measured: Option<Measured>,
    /// Processes that run old code and are waited for.
    pub old_code: Vec<String>,
}

/// Where a node is within a rollout. `generation` is the assignment's that led here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Nothing was said to it yet.
    Planned,
    /// Ordered to prepare. Where it says that it cannot fetch the release, that is nobody's failure: it is
    /// waited for.
    Preparing { generation: Generation, cannot_fetch: Option<String> },
    /// Placed and checked.
    Prepared { checks: Vec<Check> },
    /// It cannot be upgraded.
    PrepareFailed { checks: Vec<Check> },
    /// Left out, by policy.
    Skipped { reason: String },
    /// Ordered to upgrade.
    Upgrading { generation: Generation, stage: Stage },
    /// Verdict: healthy.
    Healthy { boot_nonce: BootNonce },
    /// Verdict: failed.
    Failed { failure: Failure },
    /// Ordered to drain.
    Draining { generation: Generation, boot_nonce: BootNonce },
    /// Ready to commit, in this life of its VM.
    ReadyToCommit { boot_nonce: BootNonce },
    /// Ordered to make permanent; installed again, in its turn, where the trial was lost.
    Committing { generation: Generation, turn: Turn },
    /// On `to`, permanent.
    Committed,
    /// Ordered to go back, in its turn.
    Reverting { generation: Generation, turn: Turn, tried: Vec<TriedRung> },
    /// Back on `from`, permanent.
    Reverted { by: Option<Rung> },
    /// No rung led back.
    RevertFailed { tried: Vec<TriedRung> },
}

/// An order may stand for long before a node can obey it, and many nodes may come back at the same moment:
/// what takes a running app down waits for the node's turn, of which there are `max_in_flight` (S2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// The node has not asked for it, or it was taken away again.
    NotAsked,
    /// It waits.
    Asked,
    /// It may.
    Given,
}

/// How far an upgrade has come, as the node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The order is committed; the node has not said anything.
    Assigned,
    /// It is being installed.
    Installing,
    /// It runs and is wholly `to`; health is being watched.
    Baking,
}

/// A rung that did not lead back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriedRung {
    /// Which.
    pub rung: Rung,
    /// Why not.
    pub reason: String,
}

impl Rollout {
    /// The nodes that were ever ordered to upgrade, acknowledged or not, newest first.
    #[must_use]
    pub fn touched_newest_first(&self) -> Vec<NodeId> {
        let mut touched: Vec<_> =
            self.nodes.iter().filter_map(|(node, progress)| Some((progress.touched?, *node))).collect();
        touched.sort_unstable_by(|a, b| b.cmp(a));
        touched.into_iter().map(|(_, node)| node).collect()
    }

    /// Nodes in the plan's order.
    #[must_use]
    pub fn in_order(&self) -> Vec<(NodeId, &NodeProgress)> {
        let mut nodes: Vec<_> =
            self.nodes.iter().map(|(node, progress)| (*node, progress.as_ref())).collect();
        nodes.sort_by_key(|(_, progress)| progress.position);
        nodes
    }

    /// Where a node comes from.
    #[must_use]
    pub fn from_of(&self, node: NodeId) -> Option<&ReleaseId> {
        self.plan.steps.iter().find(|step| step.node == node)?.from.as_ref()
    }
}
