//! The way forward: canary and batches, then the two-step commit.

use super::canary::{self, Canary};
use super::step::{Report, paused};
use super::turns;
use super::view::View;
use super::waiting::Waiting;
use crate::ids::NodeId;
use crate::spec::{Permanent, Promote, Unreachable};
use crate::state::app::Order;
use crate::state::command::Decision;
use crate::state::rollout::{AbortMode, HaltReason, NodeProgress, Phase, Stage, Step, Stranded, Turn};
use crate::state::text::whole_seconds;
use std::time::Duration;

pub(super) fn roll(view: &View<'_>) -> Report {
    if let Some(reason) = trouble(view) {
        return Report::halt(reason);
    }
    let mut report = Report { decisions: Vec::new(), waiting: waits_of_nodes_at_work(view) };
    if let Some(pause) = paused(view) {
        report.waiting.insert(0, pause);
        return report;
    }
    if !view.rollout.somebody_takes_part() {
        return Report::halt(nobody_left());
    }
    make_permanent_one_by_one(view, &mut report);
    if everybody(view, |step| matches!(step, Step::Healthy { .. } | Step::Committed)) {
        if view.rollout.spec.upgrade.permanent == Permanent::AtEnd
            || everybody(view, |step| matches!(step, Step::Committed))
        {
            report.push(Decision::BeginCommitting);
            order_draining(view, &mut report);
        }
        return report;
    }
    match Canary::of(view.rollout) {
        Canary::Open => order_canary(view, &mut report),
        Canary::Healthy(nodes) => match view.rollout.spec.upgrade.promote {
            Promote::Auto => {
                report.push(Decision::Promote);
                assign_next(view, &mut report, |_| true);
            }
            Promote::Manual => report.wait(Waiting::Promotion { canary: nodes }),
        },
        Canary::Promoted => assign_next(view, &mut report, |_| true),
    }
    report
}

pub(super) fn drain(view: &View<'_>) -> Report {
    if let Some(reason) = trouble(view) {
        return Report::halt(reason);
    }
    let mut report = Report { decisions: Vec::new(), waiting: waits_of_nodes_at_work(view) };
    if let Some(pause) = paused(view) {
        report.waiting.insert(0, pause);
        return report;
    }
    if !view.rollout.somebody_takes_part() {
        return Report::halt(nobody_left());
    }
    order_draining(view, &mut report);
    if everybody(view, |step| matches!(step, Step::ReadyToCommit { .. } | Step::Committed)) {
        report.push(Decision::CommitDecided);
    }
    report
}

fn nobody_left() -> HaltReason {
    HaltReason::Aborted {
        by: "relupd: every node was left out or removed".to_owned(),
        how: AbortMode::Revert,
    }
}

/// Draining disturbs nobody, so every node does it at the same time.
fn order_draining(view: &View<'_>, report: &mut Report) {
    for (node, progress) in view.in_order() {
        if matches!(progress.step, Step::Healthy { .. }) {
            report.push(Decision::Assign { node, order: Order::Drain });
        }
    }
}

/// After the decision there is no way but forward, except for a failed verdict. A pause no longer
/// matters: half a cluster made permanent is nothing to rest on.
pub(super) fn commit(view: &View<'_>) -> Report {
    if let Some(reason) = failed_verdict(view) {
        return Report::halt(reason);
    }
    if everybody(view, |step| matches!(step, Step::Committed)) {
        return Report::decide(Decision::Complete);
    }
    let laggards: Vec<NodeId> = view
        .in_order()
        .into_iter()
        .filter(|(_, progress)| matches!(progress.step, Step::Committing { .. }))
        .map(|(node, _)| node)
        .collect();
    let overdue = view.elapsed.rollout >= view.rollout.spec.upgrade.rollout_deadline;
    if overdue && laggards.iter().all(|node| turns::is_hopeless(view, *node)) {
        let strand = |node: &NodeId| Stranded {
            node: *node,
            reason: if view.out_of_reach(*node) {
                "it is out of reach and still has to make the release permanent".to_owned()
            } else {
                "it does not get the release permanent; its daemon's log says why".to_owned()
            },
            remedy: format!("bring it back and it goes on by itself, or: relupctl cluster remove {node}"),
        };
        return Report::decide(Decision::CallOperator { nodes: laggards.iter().map(strand).collect() });
    }
    let mut report = Report { decisions: Vec::new(), waiting: waits_of_nodes_at_work(view) };
    turns::share_out(view, &laggards, &[], &mut report);
    report
}

/// Everything that ends the way forward before the decision.
fn trouble(view: &View<'_>) -> Option<HaltReason> {
    let policy = &view.rollout.spec.upgrade;
    failed_verdict(view)
        .or_else(|| out_of_time(view))
        .or_else(|| {
            let lost = |(node, progress): &(NodeId, &NodeProgress)| {
                progress.touched.is_some() && view.silent_for(*node) >= policy.progress_deadline
            };
            let (node, _) = view.in_order().into_iter().find(lost)?;
            Some(HaltReason::Unreachable { node, after: view.silent_for(node) })
        })
        .or_else(|| {
            let after = policy.rollout_deadline;
            (view.elapsed.rollout >= after).then_some(HaltReason::RolloutDeadline { after })
        })
}

fn failed_verdict(view: &View<'_>) -> Option<HaltReason> {
    view.in_order().into_iter().find_map(|(node, progress)| match &progress.step {
        Step::Failed { failure } => Some(HaltReason::NodeFailed { node, failure: failure.clone() }),
        Step::Reverted { .. } | Step::RevertFailed { .. } => Some(HaltReason::Orphaned { node }),
        Step::Planned
        | Step::Preparing { .. }
        | Step::Prepared { .. }
        | Step::PrepareFailed { .. }
        | Step::Skipped { .. }
        | Step::Upgrading { .. }
        | Step::Healthy { .. }
        | Step::Draining { .. }
        | Step::ReadyToCommit { .. }
        | Step::Committing { .. }
        | Step::Committed
        | Step::Reverting { .. } => None,
    })
}

fn out_of_time(view: &View<'_>) -> Option<HaltReason> {
    let overdue = |(node, progress): &(NodeId, &NodeProgress)| {
        deadline_of(view, &progress.step).is_some_and(|deadline| view.stalled_for(*node) >= deadline)
    };
    let (node, _) = view.in_order().into_iter().find(overdue)?;
    Some(HaltReason::NoProgress { node, after: view.stalled_for(node) })
}

/// How long a node may stay in a step.
fn deadline_of(view: &View<'_>, step: &Step) -> Option<Duration> {
    let spec = &view.rollout.spec;
    match step {
        Step::Upgrading { stage: Stage::Baking, .. } => Some(spec.verdict_deadline()),
        Step::Upgrading { stage: Stage::Assigned | Stage::Installing, .. } | Step::Draining { .. } => {
            Some(spec.upgrade.progress_deadline)
        }
        Step::Planned
        | Step::Preparing { .. }
        | Step::Prepared { .. }
        | Step::PrepareFailed { .. }
        | Step::Skipped { .. }
        | Step::Healthy { .. }
        | Step::Failed { .. }
        | Step::ReadyToCommit { .. }
        | Step::Committing { .. }
        | Step::Committed
        | Step::Reverting { .. }
        | Step::Reverted { .. }
        | Step::RevertFailed { .. } => None,
    }
}

/// Gives the canary its orders, as far as there is room.
pub(super) fn order_canary(view: &View<'_>, report: &mut Report) {
    let canaries: Vec<NodeId> = canary::nodes(view.rollout).into_iter().map(|(node, _)| node).collect();
    assign_next(view, report, |node| canaries.contains(&node));
}

/// Gives the next nodes their order, in the plan's order, as long as there is room (S2). A node that
/// cannot be reached is left out or waited for; it is never given an order that nobody would hear.
fn assign_next(view: &View<'_>, report: &mut Report, may: impl Fn(NodeId) -> bool) {
    let policy = &view.rollout.spec.upgrade;
    let mut at_work = view.in_flight();
    at_work.extend(report.decisions.iter().filter_map(|decision| match decision {
        Decision::GiveTurn { node } => Some(*node),
        _ => None,
    }));
    for (node, progress) in view.in_order() {
        if !matches!(progress.step, Step::Prepared { .. }) || !may(node) {
            continue;
        }
        if u32::try_from(at_work.len()).is_ok_and(|count| count >= policy.max_in_flight) {
            report.wait(Waiting::InFlight { limit: policy.max_in_flight, nodes: at_work });
            return;
        }
        let silent_for = view.silent_for(node);
        if !view.out_of_reach(node) {
            report.push(Decision::Assign { node, order: Order::Upgrade });
            at_work.push(node);
        } else if silent_for < policy.progress_deadline {
            report.wait(Waiting::OutOfReach { node, silent_for, deadline: policy.progress_deadline });
            return;
        } else {
            match policy.unreachable {
                Unreachable::Skip => {
                    let reason = format!("out of reach for {}", whole_seconds(silent_for));
                    report.push(Decision::Skip { node, reason });
                }
                Unreachable::Refuse => {
                    *report = Report::halt(HaltReason::Unreachable { node, after: silent_for });
                    return;
                }
            }
        }
    }
}

/// Policy `permanent = "per-node"`: each node is drained and made permanent after its own bake.
fn make_permanent_one_by_one(view: &View<'_>, report: &mut Report) {
    if view.rollout.spec.upgrade.permanent != Permanent::PerNode {
        return;
    }
    let nodes: Vec<NodeId> = view.in_order().into_iter().map(|(node, _)| node).collect();
    turns::share_out(view, &nodes, &[], report);
    for (node, progress) in view.in_order() {
        match progress.step {
            Step::Healthy { .. } => report.push(Decision::Assign { node, order: Order::Drain }),
            Step::ReadyToCommit { .. } => report.push(Decision::Assign { node, order: Order::Commit }),
            Step::Planned
            | Step::Preparing { .. }
            | Step::Prepared { .. }
            | Step::PrepareFailed { .. }
            | Step::Skipped { .. }
            | Step::Upgrading { .. }
            | Step::Failed { .. }
            | Step::Draining { .. }
            | Step::Committing { .. }
            | Step::Committed
            | Step::Reverting { .. }
            | Step::Reverted { .. }
            | Step::RevertFailed { .. } => {}
        }
    }
}

fn everybody(view: &View<'_>, holds: impl Fn(&Step) -> bool) -> bool {
    view.rollout
        .nodes
        .values()
        .all(|progress| holds(&progress.step) || matches!(progress.step, Step::Skipped { .. }))
}

fn waits_of_nodes_at_work(view: &View<'_>) -> Vec<Waiting> {
    let policy = &view.rollout.spec.upgrade;
    view.in_order()
        .into_iter()
        .filter_map(|(node, progress)| wait_of(view, node, progress, policy.bake))
        .collect()
}

fn wait_of(view: &View<'_>, node: NodeId, progress: &NodeProgress, bake: Duration) -> Option<Waiting> {
    let for_so_long = view.stalled_for(node);
    if view.out_of_reach(node) && progress.touched.is_some() && !matches!(progress.step, Step::Committed) {
        let (policy, silent_for) = (&view.rollout.spec.upgrade, view.silent_for(node));
        // After the decision only the whole rollout has a deadline: so long it may go on being silent.
        let deadline = match view.rollout.phase {
            Phase::Committing { decided: true } => {
                silent_for + policy.rollout_deadline.saturating_sub(view.elapsed.rollout)
            }
            _ => policy.progress_deadline,
        };
        return Some(Waiting::OutOfReach { node, silent_for, deadline });
    }
    match (&progress.step, deadline_of(view, &progress.step)) {
        (Step::Upgrading { stage: Stage::Baking, .. }, Some(deadline)) => {
            Some(Waiting::Baking { node, for_so_long, bake, deadline })
        }
        (Step::Upgrading { .. }, Some(deadline)) => Some(Waiting::Installing { node, for_so_long, deadline }),
        (Step::Draining { .. }, Some(deadline)) => {
            let processes = progress.notes.old_code.clone();
            Some(Waiting::Draining { node, for_so_long, deadline, processes })
        }
        (Step::Committing { turn: Turn::Given, .. }, _) => Some(Waiting::Reinstalling { node, for_so_long }),
        // Its place in the line is told where the turns are given.
        (Step::Committing { turn: Turn::Asked, .. }, _) => None,
        (Step::Committing { turn: Turn::NotAsked, .. }, _) => Some(Waiting::Committing { node, for_so_long }),
        (_, _) => None,
    }
}
