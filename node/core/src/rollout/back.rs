//! The way back: touched nodes only, who failed first and then newest first, never turned round again.

use super::step::Report;
use super::turns;
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
    let overdue = view.elapsed.revert >= view.rollout.spec.upgrade.revert_deadline;
    let failed = |node: &NodeId| matches!(view.rollout.nodes[node].step, Step::RevertFailed { .. });
    // Many nodes take long, one after the other: the deadline ends the wait for those that do not move.
    let hopeless = |node: &NodeId| failed(node) || turns::is_hopeless(view, *node);
    let mut report = Report::default();
    if away.iter().all(failed) || (overdue && away.iter().all(hopeless)) {
        // The order waits for whoever comes back later.
        for node in unordered(view) {
            report.push(Decision::Assign { node, order: Order::Revert });
        }
        report.push(Decision::CallOperator { nodes: away.iter().map(|node| strand(view, *node)).collect() });
        return report;
    }
    order_back(view, &mut report);
    report
}

/// After an end that needs an operator: who comes back late still goes where it was ordered to, in its turn.
pub(super) fn late(view: &View<'_>) -> Report {
    let mut report = Report::default();
    turns::share_out(view, &view.rollout.touched_newest_first(), &[], &mut report);
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

/// Everybody is told at once, so that nobody goes on forward. They go in turn, no more at a time than
/// `max_in_flight`, and whoever cannot be reached holds up nobody: its order waits for it.
fn order_back(view: &View<'_>, report: &mut Report) {
    let new = unordered(view);
    for node in &new {
        report.push(Decision::Assign { node: *node, order: Order::Revert });
    }
    let away = still_away(view);
    for node in &away {
        if view.out_of_reach(*node) || view.rollout.nodes[node].step.is_in_flight() {
            report.wait(wait_of(view, *node));
        }
    }
    turns::share_out(view, &away, &new, report);
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

/// Each rung with what it last came to.
fn tried_rungs(tried: &[TriedRung]) -> String {
    let is_last =
        |(index, one): &(usize, &TriedRung)| tried[index + 1..].iter().all(|later| later.rung != one.rung);
    let last = tried.iter().enumerate().filter(is_last);
    last.map(|(_, one)| format!("{}: {}", one.rung, one.reason)).collect::<Vec<_>>().join("; ")
}
