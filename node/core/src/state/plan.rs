//! Plans as data. They are made in `crate::rollout::plan`.

use crate::driver::{Method, Rung};
use crate::ids::{AppName, NodeId, PlanId};
use crate::state::release::ReleaseId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An immutable, ordered list of node steps, made from one basis of the app's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Which app.
    pub app: AppName,
    /// The app's `basis` that it was made from.
    pub basis: u64,
    /// Where everybody goes.
    pub to: ReleaseId,
    /// In the order of execution.
    pub steps: Vec<PlanStep>,
    /// Why it is made.
    pub purpose: Purpose,
    /// Who asked for it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
}

/// One node's part of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// Which node.
    pub node: NodeId,
    /// Where it comes from; `None` where nothing is installed.
    pub from: Option<ReleaseId>,
    /// How it goes there.
    pub method: Method,
    /// Why that method.
    pub because: String,
    /// How it would come back.
    pub way_back: Vec<Rung>,
    /// It belongs to the canary.
    pub canary: bool,
}

/// Why a plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// An operator rolls the app to a release.
    Roll,
    /// The cluster brings one node that joined or returned to the app's committed release.
    CatchUp,
}
