//! The replicated state. PURE: no async, no clock, no I/O, no randomness; `node/tests/purity.rs`
//! holds it to that. The same log gives the same state on every node (S8), so nothing here may
//! depend on anything but the state and the entry.

pub mod app;
pub mod command;
pub mod event;
pub mod node;
pub mod rejection;
pub mod release;
pub mod rollout;

use crate::identity::token::TokenRecord;
use crate::ids::{
    AppName, ClusterId, CommandId, Digest, NodeId, PlanId, ReleaseName, ReleaseVersion, RolloutId, TokenId,
};
use app::App;
use command::Applied;
use event::Event;
use jiff::Timestamp;
use node::{NodeRecord, OperatorRecord};
use rejection::Rejection;
use release::ReleaseRecord;
use rollout::{Plan, Rollout};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What applying an entry gave.
pub type Outcome = Result<Applied, Rejection>;

/// Everything the cluster agrees on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Which cluster.
    pub cluster: ClusterId,
    /// How certificates are made and refused.
    pub authority: Authority,
    /// Nodes, present and removed.
    pub nodes: BTreeMap<NodeId, NodeRecord>,
    /// Releases by name and version.
    pub releases: BTreeMap<ReleaseName, BTreeMap<ReleaseVersion, ReleaseRecord>>,
    /// Manifests that no rollout may use.
    pub quarantine: BTreeMap<Digest, Quarantine>,
    /// Apps by name.
    pub apps: BTreeMap<AppName, App>,
    /// Plans, the newest ones.
    pub plans: BTreeMap<PlanId, Plan>,
    /// Rollouts: those on their way, and the newest of the ended ones.
    pub rollouts: BTreeMap<RolloutId, Rollout>,
    /// What happened lately, oldest first.
    pub events: VecDeque<Arc<Event>>,
    /// The numbers that are given out next.
    pub next: Counters,
    /// Outcomes of the newest commands, oldest first, so that a command sent twice is applied once.
    pub recent: VecDeque<(CommandId, Outcome)>,
}

/// The cluster's certificate authority and what it has signed or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// The CA's certificate, PEM.
    pub certificate: String,
    /// The CA's private key, sealed for each voter.
    pub sealed_keys: BTreeMap<NodeId, Vec<u8>>,
    /// Serial numbers, lower-case hex, that are refused.
    pub revoked: BTreeSet<String>,
    /// Join tokens, used ones too until they expire.
    pub tokens: BTreeMap<TokenId, TokenRecord>,
    /// Operators by name.
    pub operators: BTreeMap<String, OperatorRecord>,
}

/// A release that nobody may roll to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Its name.
    pub name: ReleaseName,
    /// Its version.
    pub version: ReleaseVersion,
    /// Which rollout it failed in.
    pub rollout: RolloutId,
    /// What happened.
    pub reason: String,
    /// When.
    pub since: Timestamp,
}

/// The numbers that are given out next. They only ever count up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// For `RaftId`.
    pub raft_id: u64,
    /// For `PlanId`.
    pub plan: u64,
    /// For `RolloutId`.
    pub rollout: u64,
    /// For `Generation`.
    pub generation: u64,
    /// For events.
    pub event: u64,
}
