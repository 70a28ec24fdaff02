//! Why a command was not applied. Each text says what is wrong and what to do next.

use crate::ids::{
    AppName, Digest, Generation, NodeId, PlanId, ReleaseName, ReleaseVersion, RolloutId, TokenId,
};
use serde::{Deserialize, Serialize};

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
    /// At most one rollout per app (S1).
    #[error(
        "app {app} already has rollout {rollout} on its way; watch it with `relupctl rollout watch {rollout}`, or end it with `relupctl rollout abort {rollout}`"
    )]
    RolloutRunning { app: AppName, rollout: RolloutId },
    /// No such rollout.
    #[error("there is no rollout {0}; see `relupctl rollout list`")]
    NoSuchRollout(RolloutId),
    /// The rollout is where this cannot be done.
    #[error("rollout {rollout} is {phase}: {what} is not possible")]
    WrongPhase { rollout: RolloutId, phase: String, what: String },
    /// A decision or report that came too late. Never shown to an operator.
    #[error("superseded: {0}")]
    Superseded(String),
    /// The node has been given a newer order.
    #[error("node {node} has been given {newest:?}, not {reported}")]
    StaleGeneration { node: NodeId, reported: Generation, newest: Option<Generation> },
    /// A daemon of another version proposed something this one does not know.
    #[error("log format {found} is newer than this daemon's {known}; upgrade relupd on every node")]
    UnknownFormat { found: u16, known: u16 },
}
