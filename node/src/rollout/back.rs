//! The way back: touched nodes only, newest first, never turned round again.

use super::step::Report;
use super::view::View;
use super::waiting::Waiting;
use crate::ids::NodeId;
use crate::spec::OnFailure;
use crate::state::app::Order;
use crate::state::command::Decision;
use crate::state::rollout::{AbortMode, HaltReason, Step, Stranded, TriedRung};

pub(super) fn after_halt(view: &View<'_>, reason: &HaltReason) -> Report {
    let hold = match reason {
        HaltReason::Aborted { how: AbortMode::Hold, .. } => true,
        HaltReason::Aborted { how: AbortMode::Revert, .. } => false,
        HaltReason::NodeFailed { .. }
        | HaltReason::NoProgress { .. }
        | HaltReason::Unreachable { .. }
        | HaltReason::RolloutDeadline { .. }
        | HaltReason::Orphaned { .. } => view.rollout.spec.upgrade.on_failure == OnFailure::Hold,
    };
    if hold {
        return Report::decide(Decision::Hold { elsewhere: still_away(view) });
    }
    let mut report = Report::decide(Decision::BeginReverting);
    order_back(view, &mut report);
    if still_away(view).is_empty() {
        report.push(Decision::FinishReverting);
    }
    report
}

pub(super) fn revert(view: &View<'_>) -> Report {
    let away = still_away(view);
    if away.is_empty() {
        return Report::decide(Decision::FinishReverting);
    }
    let deadline = view.rollout.spec.upgrade.revert_deadline;
    let overdue = view.elapsed.revert >= deadline;
    let failed = |node: &NodeId| matches!(view.rollout.nodes[node].step, Step::RevertFailed { .. });
    // Many nodes take long, one after the other: the deadline ends the wait for those that do not move.
    let hopeless =
        |node: &NodeId| failed(node) || view.out_of_reach(*node) || view.stalled_for(*node) >= deadline;
    if away.iter().all(failed) || (overdue && away.iter().all(hopeless)) {
        let mut report = Report::default();
        // The order waits for whoever comes back later.
        for node in unordered(view) {
            report.push(Decision::Assign { node, order: Order::Revert });
        }
        report.push(Decision::CallOperator { nodes: away.iter().map(|node| strand(view, *node)).collect() });
        return report;
    }
    let mut report = Report::default();
    order_back(view, &mut report);
    report
}

/// Touched nodes that are not back.
fn still_away(view: &View<'_>) -> Vec<NodeId> {
    let rollout = view.rollout;
    rollout.touched_newest_first().into_iter().filter(|node| !rollout.nodes[node].is_back()).collect()
}

/// Touched nodes that have not been told to go back.
fn unordered(view: &View<'_>) -> Vec<NodeId> {
    still_away(view)
        .into_iter()
        .filter(|node| {
            !matches!(view.rollout.nodes[node].step, Step::Reverting { .. } | Step::RevertFailed { .. })
        })
        .collect()
}

/// Newest first, and no more at once than `max_in_flight`. Those out of reach come last and are not
/// counted: nobody may be kept on a bad release by a host that is off.
fn order_back(view: &View<'_>, report: &mut Report) {
    let policy = &view.rollout.spec.upgrade;
    let mut at_work: Vec<NodeId> = still_away(view)
        .into_iter()
        .filter(|node| matches!(view.rollout.nodes[node].step, Step::Reverting { .. }))
        .collect();
    for node in &at_work {
        report.wait(wait_of(view, *node));
    }
    at_work.retain(|node| !view.out_of_reach(*node));
    let (reachable, unreachable): (Vec<_>, Vec<_>) =
        unordered(view).into_iter().partition(|node| !view.out_of_reach(*node));
    let everybody_else_is_back = reachable.is_empty() && at_work.is_empty();
    for node in reachable {
        if u32::try_from(at_work.len()).is_ok_and(|count| count >= policy.max_in_flight) {
            report.wait(Waiting::RevertAfter { node, after: at_work.clone() });
        } else {
            report.push(Decision::Assign { node, order: Order::Revert });
            at_work.push(node);
        }
    }
    for node in unreachable {
        if everybody_else_is_back {
            report.push(Decision::Assign { node, order: Order::Revert });
        } else {
            report.wait(wait_of(view, node));
        }
    }
}

fn wait_of(view: &View<'_>, node: NodeId) -> Waiting {
    let deadline = view.rollout.spec.upgrade.revert_deadline;
    if view.out_of_reach(node) {
        Waiting::OutOfReach { node, silent_for: view.silent_for(node), deadline }
    } else {
        Waiting::Reverting { node, for_so_long: view.stalled_for(node), deadline }
    }
}

fn strand(view: &View<'_>, node: NodeId) -> Stranded {
    let app = &view.rollout.plan.app;
    match &view.rollout.nodes[&node].step {
        Step::RevertFailed { tried } => Stranded {
            node,
            reason: format!("no way back was found: {}", tried_rungs(tried)),
            remedy: format!(
                "see its daemon's log, put it right, then: relupctl node repair {node} --app {app}"
            ),
        },
        _ => Stranded {
            node,
            reason: if view.out_of_reach(node) {
                "it is out of reach and has not gone back".to_owned()
            } else {
                "it did not go back in time".to_owned()
            },
            remedy: format!("bring it back and it reverts by itself, or: relupctl cluster remove {node}"),
        },
    }
}

fn tried_rungs(tried: &[TriedRung]) -> String {
    tried.iter().map(|tried| format!("{}: {}", tried.rung, tried.reason)).collect::<Vec<_>>().join("; ")
}
