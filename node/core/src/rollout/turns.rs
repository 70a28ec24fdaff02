//! Turns: an order that takes a running app down, on the way back or after the decision, is obeyed by no
//! more nodes at once than `max_in_flight`, whenever they come back and whether or not the rollout has ended.

use super::step::Report;
use super::view::View;
use super::waiting::Waiting;
use crate::ids::NodeId;
use crate::state::command::{Decision, Spent};
use crate::state::rollout::{HaltReason, Phase, Step, Turn};
use std::time::Duration;

/// Gives the next turns, in this order of nodes, and takes away those that came to nothing. `coming` is
/// counted out of who is at work: they are being ordered to something else at the same time.
pub(super) fn share_out(view: &View<'_>, nodes: &[NodeId], coming: &[NodeId], report: &mut Report) {
    let limit = view.rollout.spec.upgrade.max_in_flight;
    let mut at_work = view.in_flight();
    at_work.retain(|node| !coming.contains(node));
    for node in nodes {
        let had = turn_of(view, *node) == Some(Turn::Given);
        if let Some(why) = had.then(|| spent(view, *node)).flatten() {
            report.push(Decision::TakeTurn { node: *node, why });
            at_work.retain(|other| other != node);
        }
    }
    for node in by_precedence(view, nodes) {
        let asks = coming.contains(&node) || turn_of(view, node) == Some(Turn::Asked);
        if !asks || view.out_of_reach(node) {
            continue;
        }
        if u32::try_from(at_work.len()).is_ok_and(|count| count >= limit) {
            report.wait(Waiting::Turn { node, limit, after: at_work.clone() });
        } else {
            report.push(Decision::GiveTurn { node });
            at_work.push(node);
        }
    }
}

/// In this order, but first who is at work already: what it has begun does not end with the order that
/// began it, so it goes on, the other way, before anybody else begins. There is room for all of these.
/// Then who has failed, or was what the rollout halted for: its app may be down, so nobody else's is taken down before
/// it is up again.
/// Last who had its turn and came to nothing: it must not keep the others from theirs.
fn by_precedence(view: &View<'_>, nodes: &[NodeId]) -> Vec<NodeId> {
    let culprit = match &view.rollout.phase {
        Phase::Halted { reason: HaltReason::NodeFailed { node, .. } }
        | Phase::Reverting { reason: HaltReason::NodeFailed { node, .. } } => Some(node),
        _ => None,
    };
    let mut nodes = nodes.to_vec();
    nodes.sort_by_key(|node| {
        let progress = &view.rollout.nodes[node];
        let is_culprit = culprit == Some(node) && !progress.had_its_turn;
        let failed = matches!(progress.step, Step::Failed { .. }) || is_culprit;
        (!progress.step.is_in_flight(), !failed, progress.had_its_turn)
    });
    nodes
}

/// A node that has been silent for as long as any node may make no progress: what it had begun is over,
/// and before it begins anything it asks the cluster. Or one that can be heard, and does not get on.
fn spent(view: &View<'_>, node: NodeId) -> Option<Spent> {
    if view.silent_for(node) >= view.rollout.spec.upgrade.progress_deadline {
        Some(Spent::Silent)
    } else if view.stalled_for(node) >= patience(view, node) {
        Some(Spent::NoProgress)
    } else {
        None
    }
}

/// How long a node may take in its turn.
fn patience(view: &View<'_>, node: NodeId) -> Duration {
    let spec = &view.rollout.spec;
    match view.rollout.nodes.get(&node).map(|progress| &progress.step) {
        Some(Step::Reverting { .. }) => spec.upgrade.revert_deadline,
        Some(_) | None => spec.verdict_deadline(),
    }
}

/// Whether there is no use in waiting for this node: it cannot be reached, or has had its time. One that
/// waits for its first turn has not; without that, turns could go round among nodes that never get on (S11).
pub(super) fn is_hopeless(view: &View<'_>, node: NodeId) -> bool {
    view.out_of_reach(node)
        || view.rollout.nodes.get(&node).is_some_and(|progress| progress.had_its_turn)
        || (turn_of(view, node) != Some(Turn::Asked) && view.stalled_for(node) >= patience(view, node))
}

fn turn_of(view: &View<'_>, node: NodeId) -> Option<Turn> {
    view.rollout.nodes.get(&node)?.step.turn()
}
