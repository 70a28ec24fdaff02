//! What happened, for people: `relupctl events`. Nothing is ever decided from it.

use crate::ids::{AppName, NodeId, RolloutId};
use crate::state::command::Actor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One line of the cluster's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Counts up without gaps.
    pub number: u64,
    /// When, by the proposer's clock.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// About which app, if any.
    pub app: Option<AppName>,
    /// About which node, if any.
    pub node: Option<NodeId>,
    /// About which rollout, if any.
    pub rollout: Option<RolloutId>,
    /// What.
    pub text: String,
}
