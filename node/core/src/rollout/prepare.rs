//! Preparing: every node fetches, places and checks, and nothing runs yet. Whatever is wrong ends in
//! Refused, and nothing has changed.

use super::forward;
use super::step::{Report, paused};
use super::view::View;
use super::waiting::Waiting;
use crate::driver::{CheckResult, Running};
use crate::ids::NodeId;
use crate::spec::{AlreadySick, Unreachable};
use crate::state::app::Order;
use crate::state::command::Decision;
use crate::state::rollout::{NodeProgress, Refusal, Step};
use crate::state::text::whole_seconds;

/// What preparing comes to for one node.
enum Readiness {
    Ready,
    Leave(Decision),
    Wait(Waiting),
    Refuse(Vec<Refusal>),
}

pub(super) fn step(view: &View<'_>) -> Report {
    let mut report = Report::default();
    let mut reasons = Vec::new();
    if view.elapsed.rollout >= view.rollout.spec.upgrade.rollout_deadline {
        reasons.push(refusal(None, "rollout_deadline", "preparing took too long", "start it again"));
        reasons.extend(view.in_order().into_iter().filter_map(|(node, progress)| match &progress.step {
            Step::Preparing { cannot_fetch: Some(reason), .. } => {
                let remedy = "make sure that a node which has the release can be reached from it";
                Some(refusal(Some(node), "fetch", reason, remedy))
            }
            _ => None,
        }));
    }
    for (node, progress) in view.in_order() {
        match readiness(view, node, progress) {
            Readiness::Ready => {}
            Readiness::Leave(decision) => report.push(decision),
            Readiness::Wait(waiting) => report.wait(waiting),
            Readiness::Refuse(refusals) => reasons.extend(refusals),
        }
    }
    reasons.extend(too_many_sick(view));
    if !reasons.is_empty() {
        return Report::decide(Decision::Refuse { reasons });
    }
    if let Some(pause) = paused(view) {
        report.decisions.retain(|decision| !matches!(decision, Decision::Assign { .. }));
        report.waiting.insert(0, pause);
        return report;
    }
    if report.decisions.is_empty() && report.waiting.is_empty() {
        if everybody_left_out(view) {
            report.push(nobody_left());
        } else {
            report.push(Decision::BeginRolling);
            forward::order_canary(view, &mut report);
        }
    }
    report
}

fn readiness(view: &View<'_>, node: NodeId, progress: &NodeProgress) -> Readiness {
    let deadline = view.rollout.spec.upgrade.progress_deadline;
    match &progress.step {
        Step::Planned => Readiness::Leave(Decision::Assign { node, order: Order::Prepare }),
        Step::Preparing { cannot_fetch, .. } => preparing(view, node, cannot_fetch.as_deref()),
        Step::PrepareFailed { checks } => Readiness::Refuse(
            checks
                .iter()
                .filter_map(|check| match &check.result {
                    CheckResult::Passed | CheckResult::Warning { .. } => None,
                    CheckResult::NotHot { reason, remedy } => {
                        let by_restart = "allow `method = \"auto\"`";
                        let remedy = match remedy.as_str() {
                            "" => by_restart.to_owned(),
                            remedy => format!("{remedy}, or {by_restart}"),
                        };
                        Some(refusal(Some(node), &check.name, reason, &remedy))
                    }
                    CheckResult::Failed { reason, remedy } => {
                        Some(refusal(Some(node), &check.name, reason, remedy))
                    }
                })
                .collect(),
        ),
        Step::Prepared { .. } => match health_before(view, node) {
            Health::Good => Readiness::Ready,
            Health::Unknown if view.stalled_for(node) < deadline => {
                let for_so_long = view.stalled_for(node);
                Readiness::Wait(Waiting::FirstHealth { node, for_so_long, deadline })
            }
            Health::Unknown => sick(view, node, "its health is not known"),
            Health::Sick => sick(view, node, "it is not healthy"),
        },
        Step::Skipped { .. } => Readiness::Ready,
        // None of these is reached before Rolling.
        Step::Upgrading { .. }
        | Step::Healthy { .. }
        | Step::Failed { .. }
        | Step::Draining { .. }
        | Step::ReadyToCommit { .. }
        | Step::Committing { .. }
        | Step::Committed
        | Step::Reverting { .. }
        | Step::Reverted { .. }
        | Step::RevertFailed { .. } => Readiness::Ready,
    }
}

fn preparing(view: &View<'_>, node: NodeId, cannot_fetch: Option<&str>) -> Readiness {
    let policy = &view.rollout.spec.upgrade;
    let (stalled, deadline) = (view.stalled_for(node), policy.progress_deadline);
    let silent_for = view.silent_for(node);
    if let (Some(reason), false) = (cannot_fetch, view.out_of_reach(node)) {
        // Infrastructure: tried again, and held until the whole rollout's deadline.
        let reason = reason.to_owned();
        return Readiness::Wait(Waiting::Fetching { node, for_so_long: stalled, reason });
    }
    match (view.out_of_reach(node), policy.unreachable) {
        (true, _) if stalled < deadline => {
            Readiness::Wait(Waiting::OutOfReach { node, silent_for, deadline })
        }
        (true, Unreachable::Skip) => {
            let reason = format!("out of reach for {}", whole_seconds(silent_for));
            Readiness::Leave(Decision::Skip { node, reason })
        }
        (true, Unreachable::Refuse) => Readiness::Refuse(vec![refusal(
            Some(node),
            "reach",
            "it cannot be reached",
            "bring it back, remove it with `relupctl cluster remove`, or set `unreachable = \"skip\"`",
        )]),
        (false, _) if stalled < deadline => {
            Readiness::Wait(Waiting::Preparing { node, for_so_long: stalled, deadline })
        }
        (false, _) => Readiness::Refuse(vec![refusal(
            Some(node),
            "progress_deadline",
            "it did not finish preparing in time",
            "see its daemon's log; where fetching is slow, raise `progress_deadline`",
        )]),
    }
}

enum Health {
    Good,
    Sick,
    Unknown,
}

/// Whether the node was healthy before anything began. Where nothing is installed there is nothing
/// that could be sick.
fn health_before(view: &View<'_>, node: NodeId) -> Health {
    if view.rollout.from_of(node).is_none() {
        return Health::Good;
    }
    let Some(instance) = view.instance(node) else { return Health::Unknown };
    let down = instance.observed.as_ref().is_some_and(|observed| observed.running == Running::Down);
    match instance.healthy {
        _ if down => Health::Sick,
        Some(true) => Health::Good,
        Some(false) => Health::Sick,
        None => Health::Unknown,
    }
}

fn sick(view: &View<'_>, node: NodeId, what: &str) -> Readiness {
    match view.rollout.spec.upgrade.already_sick {
        AlreadySick::Refuse => Readiness::Refuse(vec![refusal(
            Some(node),
            "health before",
            &format!("{what} before anything began"),
            "repair it first, or set `already_sick` to \"skip\" or \"count\"",
        )]),
        AlreadySick::Skip => {
            Readiness::Leave(Decision::Skip { node, reason: format!("{what} before anything began") })
        }
        AlreadySick::Count => Readiness::Ready,
    }
}

fn too_many_sick(view: &View<'_>) -> Option<Refusal> {
    let policy = &view.rollout.spec.upgrade;
    if policy.already_sick != AlreadySick::Count {
        return None;
    }
    let sick = view
        .in_order()
        .into_iter()
        .filter(|(node, progress)| {
            matches!(progress.step, Step::Prepared { .. })
                && match health_before(view, *node) {
                    Health::Good => false,
                    Health::Unknown => view.stalled_for(*node) >= policy.progress_deadline,
                    Health::Sick => true,
                }
        })
        .count();
    u32::try_from(sick).is_ok_and(|sick| sick > policy.max_unavailable).then(|| {
        let reason = format!(
            "{sick} nodes are sick, or their health is not known; max_unavailable is {}",
            policy.max_unavailable
        );
        refusal(None, "max_unavailable", &reason, "repair them first")
    })
}

fn everybody_left_out(view: &View<'_>) -> bool {
    view.rollout.nodes.values().all(|progress| matches!(progress.step, Step::Skipped { .. }))
}

fn nobody_left() -> Decision {
    let reason = refusal(None, "nodes", "every node was left out", "see `rollout show` for the reasons");
    Decision::Refuse { reasons: vec![reason] }
}

fn refusal(node: Option<NodeId>, check: &str, reason: &str, remedy: &str) -> Refusal {
    Refusal { node, check: check.to_owned(), reason: reason.to_owned(), remedy: remedy.to_owned() }
}
