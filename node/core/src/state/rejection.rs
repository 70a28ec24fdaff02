//! Why a command was not applied. Each text says what is wrong and what to do next. The texts are made
//! where they are shown: outcomes are part of the replicated state, and must be equal on daemons of
//! different versions (S8), so they hold values and no prose.

use crate::format::Format;
use crate::ids::{
    AppName, Digest, Generation, NodeId, PlanId, ReleaseName, ReleaseVersion, RolloutId, TokenId,
};
use crate::state::app::Order;
use crate::state::rollout::Phase;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A command was looked at and refused; the state is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// The node is not, or no longer, in the cluster.
    #[error("node {0} is not in this cluster; see `relupctl node list`")]
    NoSuchNode(NodeId),
    /// Names are for people, so they must be unique.
    #[error(
        "a node named {name:?} is already in this cluster; set another `name` in relupd.toml and join again"
    )]
    NodeNameTaken { name: String },
    /// The last node cannot go.
    #[error("node {0} is the last one of this cluster and cannot be removed")]
    LastNode(NodeId),
    /// The token cannot let anybody in.
    #[error("join token {token}: {reason}; make another one with `relupctl cluster token`")]
    Token { token: TokenId, reason: String },
    /// Names of operators are unique.
    #[error("operator {0:?} exists already; revoke it first with `relupctl operator revoke {0}`")]
    OperatorExists(String),
    /// No such operator.
    #[error("there is no operator {0:?}; see `relupctl operator list`")]
    NoSuchOperator(String),
    /// The same version with other content.
    #[error(
        "release {name} {version} is already there with other content ({present}, offered {offered}); releases are immutable: give the new build a new version"
    )]
    ReleaseDiffers { name: ReleaseName, version: ReleaseVersion, present: Digest, offered: Digest },
    /// Its content cannot change any more.
    #[error(
        "release {version} is in use by app {app}{at}, so that it stays what it is; build it under a new version, then make the relup for that",
        at = node.map(|node| format!(" on node {node}")).unwrap_or_default()
    )]
    ReleaseInUse { version: ReleaseVersion, app: AppName, node: Option<NodeId> },
    /// No such release.
    #[error("release {name} {version} is not in this cluster; push it with `relupctl release push FILE`")]
    NoSuchRelease { name: ReleaseName, version: ReleaseVersion },
    /// It did harm before.
    #[error(
        "release {version} ({digest}) is quarantined: {reason}; lift it with `relupctl quarantine lift {digest}`"
    )]
    Quarantined { version: ReleaseVersion, digest: Digest, reason: String },
    /// Nothing to lift.
    #[error("{0} is not quarantined; see `relupctl quarantine list`")]
    NotQuarantined(Digest),
    /// No such app.
    #[error("there is no app {0}; apply its spec with `relupctl app apply FILE`")]
    NoSuchApp(AppName),
    /// The spec asks for what nobody offers.
    #[error(
        "app {app}: no node carries the labels {labels}; correct `nodes.labels` in the spec, or the labels in a node's relupd.toml"
    )]
    NobodyMatches { app: AppName, labels: String },
    /// What cannot change while a rollout is on its way, or once instances exist.
    #[error("app {app}: `{field}` cannot change {when}")]
    SpecConflict { app: AppName, field: String, when: String },
    /// No such plan.
    #[error("there is no plan {0}; make one with `relupctl plan APP VERSION`")]
    NoSuchPlan(PlanId),
    /// Something the plan rests on has changed.
    #[error(
        "plan {plan} is stale: app {app} has changed since it was made ({was} -> {is}); make a new one with `relupctl plan {app} {version}`"
    )]
    StalePlan { plan: PlanId, app: AppName, was: u64, is: u64, version: ReleaseVersion },
    /// Nothing would change.
    #[error("app {app} is at {version} on every node already")]
    NothingToDo { app: AppName, version: ReleaseVersion },
    /// A held rollout has left versions there that the hosts would not boot: what such a node comes from
    /// cannot be told.
    #[error(
        "app {app} runs on trial, not permanently, on node {}; take it off that first with `relupctl node repair NODE --app {app}` (or `relupctl cluster remove NODE` where the node is gone for good), then plan again",
        list(nodes)
    )]
    OnTrial { app: AppName, nodes: Vec<NodeId> },
    /// At most one rollout per app (S1).
    #[error(
        "app {app} already has rollout {rollout} on its way; watch it with `relupctl rollout watch {rollout}`, or end it with `relupctl rollout abort {rollout}`"
    )]
    RolloutRunning { app: AppName, rollout: RolloutId },
    /// No such rollout.
    #[error("there is no rollout {0}; see `relupctl rollout list`")]
    NoSuchRollout(RolloutId),
    /// The rollout is where this cannot be done.
    #[error("rollout {rollout} is {}: {what} is not possible", phase.name())]
    WrongPhase { rollout: RolloutId, phase: Box<Phase>, what: Deed },
    /// A decision or report that came too late. Never shown to an operator.
    #[error("superseded: {0}")]
    Superseded(Superseded),
    /// The node has been given a newer order, or none any more.
    #[error("node {node} reports on order {reported}, which is not its newest")]
    StaleGeneration { node: NodeId, reported: Generation, newest: Option<Generation> },
    /// The command is newer than what everybody reads.
    #[error(
        "this needs format {needs}, and the cluster writes {format}; upgrade relupd on every node, then `relupctl cluster raise-format`"
    )]
    FormatNotRaised { needs: Format, format: Format },
    /// Somebody could not read it.
    #[error("node {} cannot read format {to}; upgrade relupd there first, or remove the node", list(nodes))]
    NotEverybodyReads { to: Format, nodes: Vec<NodeId> },
    /// It is not newer than what is written already.
    #[error("the cluster writes format {format} already; there is nothing to raise")]
    FormatRaised { format: Format },
    /// The daemon is too old for this cluster.
    #[error(
        "node {node} reads format {reads}, and the cluster writes {format}; install the newer relupd there"
    )]
    DaemonTooOld { node: NodeId, reads: Format, format: Format },
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// What somebody wanted of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// To stop giving orders forward.
    Pause,
    /// To go on.
    Resume,
    /// To let the others follow the canary.
    Promote,
    /// To end it.
    Abort,
    /// To take this step of the reconciler's.
    Decide,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "pausing",
            Self::Resume => "resuming",
            Self::Promote => "promoting",
            Self::Abort => "aborting",
            Self::Decide => "this decision",
        })
    }
}

/// What came too late, or never had a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Superseded {
    /// The rollout has changed since the decisions were taken.
    #[error("{rollout} is at revision {is}, decided at {decided}")]
    Revision { rollout: RolloutId, is: u64, decided: u64 },
    /// So many nodes are at work as may be (S2).
    #[error("{rollout} may have {limit} nodes of the app at work, and no more")]
    Full { rollout: RolloutId, limit: u32 },
    /// An ended rollout's order comes first.
    #[error("an order of an ended rollout waits for node {node}")]
    OrderWaits { node: NodeId },
    /// The rollout has no such node.
    #[error("node {node} is not part of {rollout}")]
    NotInRollout { node: NodeId, rollout: RolloutId },
    /// The order does not fit the rollout's phase and the node's step.
    #[error("node {node} cannot be ordered to {} where it is", order.verb())]
    Order { node: NodeId, order: Order },
    /// The report does not fit the node's step.
    #[error("a report on the order to {} does not fit where the node is", order.verb())]
    Report { order: Order },
}
