//! The replicated state. PURE: no async, no clock, no I/O, no randomness; `node/tests/purity.rs`
//! holds it to that. The same log gives the same state on every node (S8), so nothing here may
//! depend on anything but the state and the entry.

pub mod app;
mod apply;
pub mod command;
pub mod event;
pub mod invariants;
mod legality;
pub mod node;
pub mod plan;
pub mod provenance;
pub mod rejection;
pub mod release;
pub mod role;
pub mod rollout;
mod since;
pub mod snapshot;
pub mod text;
pub mod token;

use crate::format::Format;
use crate::ids::{
    AppName, ClusterId, CommandId, Digest, NodeId, PlanId, ReleaseName, ReleaseVersion, RolloutId, TokenId,
};
use app::App;
use command::Applied;
use event::Event;
use jiff::Timestamp;
use node::{NodeRecord, OperatorRecord};
use plan::Plan;
use rejection::Rejection;
use release::ReleaseRecord;
use rollout::Rollout;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use token::TokenRecord;

/// What applying an entry gave.
pub type Outcome = Result<Applied, Rejection>;

/// Everything the cluster agrees on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Which cluster.
    pub cluster: ClusterId,
    /// What everybody writes, because everybody reads it.
    #[serde(default = "Format::first")]
    pub format: Format,
    /// How certificates are made and refused.
    pub authority: Arc<Authority>,
    /// Nodes, present and removed. Shared, as all that there are many of: the state is copied for each entry
    /// that is applied while somebody looks at it, and an entry changes little of it.
    pub nodes: BTreeMap<NodeId, Arc<NodeRecord>>,
    /// Releases by name and version.
    pub releases: Arc<BTreeMap<ReleaseName, BTreeMap<ReleaseVersion, ReleaseRecord>>>,
    /// Manifests that no rollout may use.
    pub quarantine: BTreeMap<Digest, Quarantine>,
    /// Apps by name.
    pub apps: BTreeMap<AppName, App>,
    /// Plans, the newest ones.
    pub plans: BTreeMap<PlanId, Arc<Plan>>,
    /// Rollouts: those on their way, and the newest of the ended ones.
    pub rollouts: BTreeMap<RolloutId, Arc<Rollout>>,
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
    /// Serial numbers, lower-case hex, that are refused, each with the end of its certificate's validity:
    /// past it the certificate is refused anyhow, and the number is forgotten.
    pub revoked: BTreeMap<String, Timestamp>,
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

/// What a cluster begins with: its first node and its authority.
#[derive(Clone, Debug)]
pub struct Genesis {
    /// Which cluster.
    pub cluster: ClusterId,
    /// The CA's certificate, PEM.
    pub certificate: String,
    /// The CA's key, sealed for the first node.
    pub sealed_key: Vec<u8>,
    /// The first node; its `raft_id` is the first one given out.
    pub first: NodeRecord,
}

impl ClusterState {
    /// The state of a cluster of one.
    #[must_use]
    pub fn new(genesis: Genesis) -> Self {
        let Genesis { cluster, certificate, sealed_key, first } = genesis;
        let mut state = Self::awaited(cluster);
        state.next.raft_id = first.raft_id.0 + 1;
        let authority = Arc::make_mut(&mut state.authority);
        authority.certificate = certificate;
        authority.sealed_keys.insert(first.id, sealed_key);
        state.nodes.insert(first.id, Arc::new(first));
        state
    }

    /// What a node knows before the leader has sent it the state: which cluster, and nothing else.
    #[must_use]
    pub fn awaited(cluster: ClusterId) -> Self {
        Self {
            cluster,
            format: Format::FIRST,
            authority: Arc::new(Authority {
                certificate: String::new(),
                sealed_keys: BTreeMap::new(),
                revoked: BTreeMap::new(),
                tokens: BTreeMap::new(),
                operators: BTreeMap::new(),
            }),
            nodes: BTreeMap::new(),
            releases: Arc::default(),
            quarantine: BTreeMap::new(),
            apps: BTreeMap::new(),
            plans: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            events: VecDeque::new(),
            next: Counters { raft_id: 1, plan: 1, rollout: 1, generation: 1, event: 1 },
            recent: VecDeque::new(),
        }
    }

    /// A node that belongs to the cluster.
    ///
    /// # Errors
    /// `NoSuchNode` where there is none of this id, or no longer.
    pub fn present(&self, node: NodeId) -> Result<&NodeRecord, Rejection> {
        self.nodes
            .get(&node)
            .map(Arc::as_ref)
            .filter(|record| record.is_present())
            .ok_or(Rejection::NoSuchNode(node))
    }

    /// The nodes that belong to the cluster.
    pub fn present_nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.values().map(Arc::as_ref).filter(|record| record.is_present())
    }

    /// An app.
    ///
    /// # Errors
    /// `NoSuchApp` where there is none of this name.
    pub fn app(&self, name: &AppName) -> Result<&App, Rejection> {
        self.apps.get(name).ok_or_else(|| Rejection::NoSuchApp(name.clone()))
    }

    /// A release in the catalog.
    ///
    /// # Errors
    /// `NoSuchRelease` where it is not there.
    pub fn release(&self, name: &ReleaseName, version: &ReleaseVersion) -> Result<&ReleaseRecord, Rejection> {
        self.releases
            .get(name)
            .and_then(|versions| versions.get(version))
            .ok_or_else(|| Rejection::NoSuchRelease { name: name.clone(), version: version.clone() })
    }

    /// A rollout, on its way or ended.
    ///
    /// # Errors
    /// `NoSuchRollout` where there is none of this id.
    pub fn rollout(&self, id: RolloutId) -> Result<&Rollout, Rejection> {
        self.rollouts.get(&id).map(Arc::as_ref).ok_or(Rejection::NoSuchRollout(id))
    }

    /// The same, to be changed.
    fn rollout_mut(&mut self, id: RolloutId) -> Result<&mut Rollout, Rejection> {
        self.rollouts.get_mut(&id).map(Arc::make_mut).ok_or(Rejection::NoSuchRollout(id))
    }

    /// The nodes of an app that are at work, for whichever of its rollouts (S2).
    #[must_use]
    pub fn in_flight(&self, app: &App) -> Vec<NodeId> {
        let at_work = |node: &NodeId, instance: &app::Instance| {
            let assignment = instance.assignment.as_ref()?;
            let step = &self.rollouts.get(&assignment.rollout)?.nodes.get(node)?.step;
            step.is_in_flight().then_some(*node)
        };
        app.instances.iter().filter_map(|(node, instance)| at_work(node, instance)).collect()
    }

    /// Refuses a release that did harm before.
    ///
    /// # Errors
    /// `Quarantined`, with what happened then.
    pub fn refuse_quarantined(&self, release: &release::ReleaseId) -> Result<(), Rejection> {
        match self.quarantine.get(&release.manifest) {
            None => Ok(()),
            Some(quarantine) => Err(Rejection::Quarantined {
                version: release.version.clone(),
                digest: release.manifest,
                reason: quarantine.reason.clone(),
            }),
        }
    }
}
