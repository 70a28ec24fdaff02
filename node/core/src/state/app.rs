//! Apps, and what is known of each of their instances.

use crate::driver::{Method, Observation};
use crate::ids::{AppName, Generation, NodeId, RolloutId};
use crate::spec::AppSpec;
use crate::state::release::ReleaseId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An app and its instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// How it wants to be run.
    pub spec: AppSpec,
    /// Counts up whenever something changes that a plan rests on: the spec, the nodes that match it,
    /// the committed release, an instance's version, a quarantine. Plans are started by
    /// compare-and-set on it.
    pub basis: u64,
    /// The release that the whole app is committed to; changed by `CommitDecided` alone.
    pub current: Option<ReleaseId>,
    /// Whether its instances should run.
    pub running: bool,
    /// The rollout that is on its way, at most one (S1).
    pub rollout: Option<RolloutId>,
    /// One per node that runs it or has to run it.
    pub instances: BTreeMap<NodeId, Arc<Instance>>,
}

impl App {
    /// The app's name.
    #[must_use]
    pub fn name(&self) -> &AppName {
        &self.spec.name
    }
}

/// The app on one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The release that it is settled on: what the cluster last brought it to for good.
    pub settled: Option<ReleaseId>,
    /// What its agent last reported; `None` until the first report.
    pub observed: Option<Observation>,
    /// Whether its health checks passed when last reported; `None` is unknown.
    pub healthy: Option<bool>,
    /// The newest order to it. Older ones are void.
    pub assignment: Option<Assignment>,
    /// Why the last catch-up failed, so that it is not tried again for the same release by itself.
    pub catch_up_failed: Option<ReleaseId>,
    /// Counts up with every `node repair`; the agent repairs once for each.
    pub repair: u64,
}

/// The committed order to one node. It leaves the node no choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Newer beats older, cluster-wide.
    pub generation: Generation,
    /// For which rollout; its spec and policy are the ones frozen there.
    pub rollout: RolloutId,
    /// What to do.
    pub order: Order,
    /// Where this node comes from.
    pub from: Option<ReleaseId>,
    /// Where it goes to.
    pub to: ReleaseId,
    /// How.
    pub method: Method,
    /// The node's place in the plan, from 0.
    pub position: u32,
}

/// What a node is ordered to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Fetch, verify, place, register, preflight. Loads no code.
    Prepare,
    /// Install as a trial, verify, bake, say the verdict, and go on watching.
    Upgrade,
    /// Drain old code and say ready-to-commit; go on watching.
    Drain,
    /// Make permanent; the decision has been taken and is not discussed again. Installs again where
    /// the trial was lost.
    Commit,
    /// Go back to `from`, down the ladder.
    Revert,
}

impl Instance {
    /// Whether an order to go back or to commit waits here. It outlives its rollout where that ended
    /// without this node, and nothing else may take its place.
    #[must_use]
    pub fn still_has_to_go(&self) -> bool {
        self.assignment.as_ref().is_some_and(|assignment| match assignment.order {
            Order::Revert | Order::Commit => true,
            Order::Prepare | Order::Upgrade | Order::Drain => false,
        })
    }

    /// Whether nothing is known to be installed here, and nothing ordered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let installed = self.observed.as_ref().is_some_and(|observed| observed.permanent.is_some());
        self.settled.is_none() && self.assignment.is_none() && !installed
    }
}
