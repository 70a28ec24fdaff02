//! S11.

use super::{Hosts, Violation, broken};
use crate::host::ProcessTruth;
use relupd::ids::{AppName, NodeId};
use relupd::state::ClusterState;
use relupd::state::app::Instance;
use relupd::state::rollout::Phase;

/// A node at the end of the liveness phase, that belongs to the cluster and is not dead for good.
#[derive(Clone, Copy, Debug)]
pub struct Survivor {
    pub node: NodeId,
    /// Up to where it has applied; `None` where no daemon runs.
    pub applied: Option<u64>,
}

/// S11. Asked at the end of the liveness phase, in which no fault is left and operators have resumed
/// and promoted what waits for them: whatever has not ended by then waits for something that never
/// comes.
pub(super) fn every_rollout_has_ended(state: &ClusterState) -> Option<Violation> {
    state.rollouts.values().find(|rollout| !rollout.phase.is_terminal()).map(|rollout| {
        let steps: Vec<_> =
            rollout.nodes.iter().map(|(node, now)| format!("{node}: {:?}", now.step)).collect();
        let detail = format!(
            "{} is still {} (paused: {}): {}",
            rollout.id,
            rollout.phase.name(),
            rollout.paused.is_some(),
            steps.join(", ")
        );
        broken("S11", detail)
    })
}

/// S11. Asked there, too: once faults end everybody who is not dead for good runs and catches up, and not only
/// as many as it takes to decide. `due` is what everybody has had the time to apply.
pub(super) fn every_survivor_runs_and_has_caught_up(survivors: &[Survivor], due: u64) -> Option<Violation> {
    survivors.iter().find(|survivor| survivor.applied.is_none_or(|applied| applied < due)).map(|late| {
        let detail = match late.applied {
            None => "runs no daemon".to_owned(),
            Some(applied) => format!("has applied {applied}, and {due} was applied long ago"),
        };
        broken("S11", format!("node {} {detail}", late.node))
    })
}

/// S11. An order to go back or to commit outlives a rollout that ended without its node: whoever is back by the end
/// has obeyed it, or cannot, and is named.
pub(super) fn no_survivor_still_has_to_go(
    state: &ClusterState,
    survivors: &[Survivor],
    hosts: &dyn Hosts,
) -> Option<Violation> {
    let survives = |node| survivors.iter().any(|survivor| survivor.node == node);
    order_left(state, survives, hosts).map(|left| broken("S11", left))
}

/// Which of these nodes still has to obey an order, and which.
#[must_use]
pub fn order_left(
    state: &ClusterState,
    survives: impl Fn(NodeId) -> bool,
    hosts: &dyn Hosts,
) -> Option<String> {
    state.apps.iter().find_map(|(name, app)| {
        let mut waiting = app.instances.iter().filter(|(_, instance)| instance.still_has_to_go());
        let (node, instance) = waiting.find(|(node, instance)| {
            survives(**node) && !is_left_to_an_operator(state, name, **node, instance, hosts)
        })?;
        let order = instance.assignment.as_ref().map(|order| (order.rollout, order.order));
        Some(format!("{name} on node {node} still has to obey {order:?}"))
    })
}

/// A release whose VM never comes up on that host is brought on by no order, and a VM that is merely silent is
/// waited for: the rollout has ended by naming the node, and `cluster remove` settles it.
fn is_left_to_an_operator(
    state: &ClusterState,
    app: &AppName,
    node: NodeId,
    instance: &Instance,
    hosts: &dyn Hosts,
) -> bool {
    let order = instance.assignment.as_ref();
    let ended = order.and_then(|order| state.rollouts.get(&order.rollout)).map(|rollout| &rollout.phase);
    let Some(Phase::NeedsOperator { nodes, .. }) = ended else { return false };
    let truth = hosts.truth(node, app);
    nodes.iter().any(|stranded| stranded.node == node)
        && truth.is_some_and(|truth| matches!(truth.process, ProcessTruth::Booting(_)))
}
