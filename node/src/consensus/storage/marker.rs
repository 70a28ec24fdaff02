//! Whose state file this is.

use crate::ids::{ClusterId, NodeId, RaftId};
use serde::{Deserialize, Serialize};

/// The layout of the file. A file of another number is refused.
pub(super) const FORMAT: u32 = 1;

/// Whose state file this is. Written once, with the first transaction, and compared at every start:
/// a copied or restored directory would otherwise vote twice under one raft id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node.
    pub node: NodeId,
    /// Its number in raft.
    pub raft: RaftId,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) format: u32,
    pub(super) owner: Owner,
}
