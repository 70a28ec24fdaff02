//! The orphan rule: a node that holds a trial and has had no contact with a proven leader for too
//! long takes itself back. Later places of the plan go first, one stagger apart, so that no more
//! nodes move at a time than before (S2). Never once `CommitDecided` is applied here. A way back that was begun is gone
//! to its end and said, also where the node's own order to commit came meanwhile (`permanent = "per-node"`): what it
//! says is on its way, and whoever went forward would meet it.

use super::order::Ordered;
use super::revert::{Descent, descend, stands_on, transition};
use super::{Action, Authority, Input, WaitingFor, known, wait};
use crate::clock::Monotonic;
use crate::spec::{Orphan, Permanent};
use crate::state::app::Order;
use crate::state::command::OrphanOutcome;
use std::time::Duration;

pub(super) fn decide(input: &Input<'_>, order: &Ordered<'_>) -> Option<Action> {
    if !order.is_live() || order.is_decided() {
        return None;
    }
    let rollout = order.assignment.rollout;
    let begun = input.ledger.orphaned(rollout);
    match order.assignment.order {
        Order::Upgrade | Order::Drain => {}
        Order::Commit if begun.is_some() && is_per_node(order) && !order.said_committed() => {}
        // An order to go back is carried out as such, as long as there is somebody to confirm it.
        Order::Revert if input.contact_age >= deadline(order)? && !order.said_reverted() => {}
        Order::Prepare | Order::Commit | Order::Revert => return None,
    }
    if begun.is_none() && (input.contact_age < deadline(order)? || !may_hold_trial(input, order)) {
        return None;
    }
    let ladder = begun.cloned().unwrap_or_default();
    if begun.is_none() && known(input).is_some_and(|seen| stands_on(order.from(), seen, input.app.running)) {
        return None;
    }
    let outcome = match descend(input, order, &ladder) {
        Descent::Look => return Some(Action::Observe),
        Descent::Take(rung, ladder) => {
            let by = Authority::Orphan(rollout);
            return Some(Action::RollBack { transition: transition(order, by, rung), rung, ladder, by });
        }
        Descent::Back => OrphanOutcome::Back { version: order.from().cloned() },
        Descent::Exhausted(tried) => OrphanOutcome::Stuck { tried },
    };
    let told = input.memory.orphan_reported == Some(rollout)
        || order.rollout.and_then(|rollout| rollout.nodes.get(&input.node)).is_some_and(|node| node.orphaned);
    Some(if told { wait(WaitingFor::Order) } else { Action::ReportOrphan { rollout, outcome } })
}

/// An order to commit is its own alone, and no decision for all: that has one only after [`Ordered::is_decided`],
/// and may be halted again.
fn is_per_node(order: &Ordered<'_>) -> bool {
    order.spec.upgrade.permanent == Permanent::PerNode
}

/// When the rule would apply, if there were no contact until then.
pub(super) fn due(input: &Input<'_>, order: &Ordered<'_>) -> Option<Monotonic> {
    let upgraded = matches!(order.assignment.order, Order::Upgrade | Order::Drain);
    if !upgraded || !order.is_live() || order.is_decided() || !may_hold_trial(input, order) {
        return None;
    }
    let left = deadline(order)?.checked_sub(input.contact_age)?;
    // Once it applies, what it says is done, or there is nothing to do: nobody waits for this very moment.
    (!left.is_zero()).then(|| input.now + left)
}

fn may_hold_trial(input: &Input<'_>, order: &Ordered<'_>) -> bool {
    input.ledger.trial_of(order.assignment.rollout).is_some() || input.ledger.lost(order.generation())
}

/// How long a trial waits for contact; `None` is for ever.
pub(super) fn deadline(order: &Ordered<'_>) -> Option<Duration> {
    match order.spec.upgrade.orphan {
        Orphan::Hold => None,
        Orphan::Revert { after, stagger } => {
            let places = order.rollout.map_or(0, |rollout| rollout.plan.steps.len());
            let last = u32::try_from(places).unwrap_or(u32::MAX).saturating_sub(1);
            let behind = last.saturating_sub(order.assignment.position);
            Some(after.saturating_add(stagger.saturating_mul(behind)))
        }
    }
}
