//! Why nothing happens right now: each wait with the values that end it. `rollout why` prints these.

use crate::ids::NodeId;
use crate::state::text::whole_seconds;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What a rollout waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Waiting {
    /// An operator has paused it.
    Resume { paused_by: String },
    /// An operator has to promote the canary.
    Promotion { canary: Vec<NodeId> },
    /// A node prepares.
    Preparing { node: NodeId, for_so_long: Duration, deadline: Duration },
    /// A node cannot fetch the release; it tries again.
    Fetching { node: NodeId, for_so_long: Duration, reason: String },
    /// It is not known yet whether a node was healthy to begin with.
    FirstHealth { node: NodeId, for_so_long: Duration, deadline: Duration },
    /// A node installs.
    Installing { node: NodeId, for_so_long: Duration, deadline: Duration },
    /// A node's health has to hold.
    Baking { node: NodeId, for_so_long: Duration, bake: Duration, deadline: Duration },
    /// So many nodes are at work as may be.
    InFlight { limit: u32, nodes: Vec<NodeId> },
    /// A node cannot be reached.
    OutOfReach { node: NodeId, silent_for: Duration, deadline: Duration },
    /// A node drains old code.
    Draining {
        node: NodeId,
        for_so_long: Duration,
        deadline: Duration,
        /// Who still runs it, as far as is known.
        #[serde(default)]
        processes: Vec<String>,
    },
    /// A node makes the release permanent; there is no way but forward.
    Committing { node: NodeId, for_so_long: Duration },
    /// A node goes back.
    Reverting { node: NodeId, for_so_long: Duration, deadline: Duration },
    /// A node is installed again, because its trial was lost.
    Reinstalling { node: NodeId, for_so_long: Duration },
    /// A node's order takes its app down, and so many others are at work.
    Turn { node: NodeId, limit: u32, after: Vec<NodeId> },
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let human = |duration: &Duration| whole_seconds(*duration).to_string();
        let list = |nodes: &[NodeId]| nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Resume { paused_by } => write!(f, "paused by {paused_by}: waits for `rollout resume`"),
            Self::Promotion { canary } => {
                write!(f, "canary {} is healthy: waits for `rollout promote`", list(canary))
            }
            Self::Preparing { node, for_so_long, deadline } => {
                write!(f, "node {node} prepares since {} (deadline {})", human(for_so_long), human(deadline))
            }
            Self::Fetching { node, for_so_long, reason } => write!(
                f,
                "node {node} cannot fetch the release since {}, and tries again: {reason}",
                human(for_so_long)
            ),
            Self::FirstHealth { node, for_so_long, deadline } => write!(
                f,
                "node {node} has not said yet whether it is healthy, since {} (deadline {})",
                human(for_so_long),
                human(deadline)
            ),
            Self::Installing { node, for_so_long, deadline } => {
                write!(f, "node {node} installs since {} (deadline {})", human(for_so_long), human(deadline))
            }
            Self::Baking { node, for_so_long, bake, deadline } => write!(
                f,
                "node {node} bakes since {} of {} (deadline {})",
                human(for_so_long),
                human(bake),
                human(deadline)
            ),
            Self::InFlight { limit, nodes } => {
                write!(f, "{} at work, max_in_flight is {limit}", list(nodes))
            }
            Self::OutOfReach { node, silent_for, deadline } => write!(
                f,
                "node {node} is out of reach since {} (deadline {})",
                human(silent_for),
                human(deadline)
            ),
            Self::Draining { node, for_so_long, deadline, processes } => {
                write!(
                    f,
                    "node {node} drains old code since {} (deadline {})",
                    human(for_so_long),
                    human(deadline)
                )?;
                if processes.is_empty() { Ok(()) } else { write!(f, ": {}", processes.join("; ")) }
            }
            Self::Committing { node, for_so_long } => {
                write!(f, "node {node} makes the release permanent since {}", human(for_so_long))
            }
            Self::Reverting { node, for_so_long, deadline } => {
                write!(f, "node {node} goes back since {} (deadline {})", human(for_so_long), human(deadline))
            }
            Self::Reinstalling { node, for_so_long } => {
                write!(
                    f,
                    "node {node} had lost the release and installs it again since {}",
                    human(for_so_long)
                )
            }
            Self::Turn { node, limit, after } => {
                write!(f, "node {node} waits for its turn: {} at work, max_in_flight is {limit}", list(after))
            }
        }
    }
}

impl Waiting {
    /// Which node it is about, where it is about one.
    #[must_use]
    pub const fn node(&self) -> Option<NodeId> {
        match self {
            Self::Resume { .. } | Self::Promotion { .. } | Self::InFlight { .. } => None,
            Self::Preparing { node, .. }
            | Self::Fetching { node, .. }
            | Self::FirstHealth { node, .. }
            | Self::Installing { node, .. }
            | Self::Baking { node, .. }
            | Self::OutOfReach { node, .. }
            | Self::Draining { node, .. }
            | Self::Committing { node, .. }
            | Self::Reverting { node, .. }
            | Self::Reinstalling { node, .. }
            | Self::Turn { node, .. } => Some(*node),
        }
    }
}
