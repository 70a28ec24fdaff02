//! S3 and S7: what a rollout may become, judged over one entry.

use super::changed::changed_instances;
use super::{Violation, broken};
use relupd::state::ClusterState;
use relupd::state::app::Order;
use relupd::state::rollout::{Phase, Rollout};

/// Whether the rollout still goes forward.
const fn goes_forward(phase: &Phase) -> bool {
    match phase {
        Phase::Preparing | Phase::Rolling | Phase::Committing { .. } => true,
        Phase::Halted { .. }
        | Phase::Reverting { .. }
        | Phase::Completed
        | Phase::Refused { .. }
        | Phase::Reverted { .. }
        | Phase::Held { .. }
        | Phase::NeedsOperator { .. } => false,
    }
}

fn halted_in<'a>(before: &'a ClusterState, now: &Rollout) -> Option<&'a Rollout> {
    before.rollouts.get(&now.id).map(AsRef::as_ref).filter(|was| !goes_forward(&was.phase))
}

/// S3. Asked over every entry: an order is given in one, so the state before and after shows it. Orders
/// that lead forward are those that install or make permanent.
pub(super) fn nothing_forward_is_ordered_after_a_halt(
    before: &ClusterState,
    after: &ClusterState,
) -> Option<Violation> {
    for app in after.apps.values() {
        for (node, instance) in changed_instances(Some(before), app) {
            let Some(order) = &instance.assignment else { continue };
            if order.generation.0 < before.next.generation || order.order == Order::Revert {
                continue;
            }
            let halted = before.rollouts.get(&order.rollout).is_some_and(|was| !goes_forward(&was.phase));
            if halted {
                let detail = format!("{}: node {node} was ordered to {:?}", order.rollout, order.order);
                return Some(broken("S3", detail));
            }
        }
    }
    None
}

/// S7. Asked over every entry, as a phase changes in one: what has halted never goes forward again, and
/// what has ended stays as it ended.
pub(super) fn a_way_back_is_never_turned_round(
    before: &ClusterState,
    after: &ClusterState,
) -> Option<Violation> {
    after.rollouts.values().find_map(|now| {
        let was = halted_in(before, now)?;
        let ended = was.phase.is_terminal() && was.phase != now.phase;
        (ended || goes_forward(&now.phase)).then(|| {
            broken("S7", format!("{} went from {} to {}", now.id, was.phase.name(), now.phase.name()))
        })
    })
}
