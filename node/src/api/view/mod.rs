//! The state as people and programs see it. PURE: from the state and what raft and gossip say, to
//! the messages of the API. Unknown stays unknown.

pub(crate) mod app;
pub(crate) mod cluster;
pub(crate) mod contents;
pub(crate) mod diff;
pub(crate) mod event;
pub(crate) mod node;
pub(crate) mod operator;
pub(crate) mod plan;
pub(crate) mod release;
pub(crate) mod rollout;
pub(crate) mod upgrade;

use crate::ids::NodeId;
use crate::state::ClusterState;
use jiff::Timestamp;
use std::time::SystemTime;

/// A point in time, as the wire has it.
pub(crate) fn time(at: Timestamp) -> prost_types::Timestamp {
    SystemTime::from(at).into()
}

/// A node's name; its id where the state does not know it.
pub(crate) fn node_name(state: &ClusterState, node: NodeId) -> String {
    state.nodes.get(&node).map_or_else(|| node.to_string(), |record| record.name.clone())
}

/// The node's name where there is a node.
pub(crate) fn optional_node_name(state: &ClusterState, node: Option<NodeId>) -> String {
    node.map(|node| node_name(state, node)).unwrap_or_default()
}

/// The text of something that may be missing; missing is empty on the wire.
pub(crate) fn optional<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

/// The text with every node's name in the place of its id. Ids are 26 characters of base 32: nothing
/// else in a message looks like one.
pub(crate) fn with_names(state: &ClusterState, text: String) -> String {
    state.nodes.values().fold(text, |text, node| text.replace(&node.id.to_string(), &node.name))
}
