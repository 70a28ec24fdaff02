//! Upgrades of relupd as the API asks for them: at this node itself, and at others through the peers'
//! transport.

use super::member::Member;
use crate::api::control::ControlError;
use crate::ids::NodeId;
use crate::upgrade::{Order, Report};
use futures::{StreamExt as _, stream};
use std::collections::BTreeMap;

/// Nodes asked at once.
const AT_ONCE: usize = 32;

impl Member {
    /// What each of these says of itself, or why it does not answer.
    pub(super) async fn upgrade_reports(&self, nodes: &[NodeId]) -> BTreeMap<NodeId, Result<Report, String>> {
        let me = self.cluster.me();
        stream::iter(nodes.iter().copied())
            .map(async |node| {
                let report =
                    if node == me { Ok(self.upgrades.report().await) } else { self.asker.report(node).await };
                (node, report)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await
    }

    pub(super) async fn upgrade_node(&self, node: NodeId, order: Order) -> Result<(), ControlError> {
        let me = self.cluster.me();
        let taken = if node == me {
            self.upgrades.take(me, order).await
        } else {
            self.asker.order(node, order).await
        };
        let state = self.cluster.state();
        let name = state.nodes.get(&node).map_or_else(|| node.to_string(), |record| record.name.clone());
        taken.map_err(|reason| ControlError::Invalid(format!("{name} does not take the package: {reason}")))
    }

    pub(super) async fn hand_over(&self, node: NodeId) -> Result<(), ControlError> {
        let state = self.cluster.state();
        let raft_id = state.present(node)?.raft_id;
        let handed = self.cluster.consensus().transfer_leadership(raft_id).await;
        handed.map_err(|error| ControlError::Unavailable(error.to_string()))
    }
}
