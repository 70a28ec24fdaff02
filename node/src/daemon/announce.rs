//! Tells the others through gossip what runs here and whether it is healthy, for display.

use super::cluster::Cluster;
use crate::driver::Running;
use crate::ids::NodeId;
use crate::membership::{AppGossip, Facts, Handle};
use crate::program::program;
use crate::state::ClusterState;
use crate::state::app::Instance;
use std::sync::Arc;

/// Runs until the state's sender is gone.
pub(crate) async fn run(cluster: Cluster, gossip: Arc<Handle>) {
    let mut states = cluster.states();
    loop {
        gossip.publish(facts_of(&states.borrow_and_update(), cluster.me()));
        if states.changed().await.is_err() {
            return;
        }
    }
}

fn facts_of(state: &ClusterState, me: NodeId) -> Facts {
    let apps = state
        .apps
        .iter()
        .filter_map(|(name, app)| Some((name.clone(), gossip(app.instances.get(&me)?))))
        .collect();
    Facts { daemon_version: Some(program().version.clone()), apps }
}

fn gossip(instance: &Instance) -> AppGossip {
    let version = instance.observed.as_ref().and_then(|observed| match &observed.running {
        Running::Up { version, .. } => Some(version.clone()),
        Running::Down | Running::Unknown { .. } => None,
    });
    AppGossip { version, healthy: instance.healthy }
}
