//! Turns: an order that takes a running app down, on the way back or after the decision, is obeyed by no
//! more nodes at once than `max_in_flight`, whenever they come back and whether or not the rollout has ended.

use super::step::Report;
use super::view::View;
use super::waiting::Waiting;
use crate::ids::NodeId;
use crate::state::command::Decision;
use crate::state::rollout::{Step, Turn};
use std::time::Duration;

/// Gives the next turns, in this order of nodes, and takes away those that came to nothing. `coming` is
/// counted out of who is at work: they are being ordered to something else at the same time.
pub(super) fn share_out(view: &View<'_>, nodes: &[NodeId], coming: &[NodeId], report: &mut Report) {
    let limit = view.rollout.spec.upgrade.max_in_flight;
    let mut at_work = view.in_flight();
    at_work.retain(|node| !coming.contains(node));
    for node in nodes {
        if turn_of(view, *node) == Some(Turn::Given) && is_spent(view, *node) {
            report.push(Decision::TakeTurn { node: *node });
            at_work.retain(|other| other != node);
        }
    }
    for node in nodes {
        let asks = coming.contains(node) || turn_of(view, *node) == Some(Turn::Asked);
        if !asks || view.out_of_reach(*node) {
            continue;
        }
        if u32::try_from(at_work.len()).is_ok_and(|count| count >= limit) {
            report.wait(Waiting::Turn { node: *node, limit, after: at_work.clone() });
        } else {
            report.push(Decision::GiveTurn { node: *node });
            at_work.push(*node);
        }
    }
}

/// A node that has been silent for as long as any node may make no progress: what it had begun is over,
/// and before it begins anything it asks the cluster. Or one that can be heard, and does not get on.
fn is_spent(view: &View<'_>, node: NodeId) -> bool {
    let policy = &view.rollout.spec.upgrade;
    view.silent_for(node) >= policy.progress_deadline || view.stalled_for(node) >= patience(view, node)
}

/// How long a node may take in its turn.
fn patience(view: &View<'_>, node: NodeId) -> Duration {
    let (policy, health) = (&view.rollout.spec.upgrade, &view.rollout.spec.health);
    match view.rollout.nodes.get(&node).map(|progress| &progress.step) {
        Some(Step::Reverting { .. }) => policy.revert_deadline,
        Some(_) | None => policy.progress_deadline + policy.bake + health.start_grace,
    }
}

/// Whether there is no use in waiting for this node: it cannot be reached, or has had its time. One that
/// waits for its turn has not.
pub(super) fn is_hopeless(view: &View<'_>, node: NodeId) -> bool {
    view.out_of_reach(node)
        || (turn_of(view, node) != Some(Turn::Asked) && view.stalled_for(node) >= patience(view, node))
}

fn turn_of(view: &View<'_>, node: NodeId) -> Option<Turn> {
    view.rollout.nodes.get(&node)?.step.turn()
}
