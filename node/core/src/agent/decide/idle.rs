//! Without an order that asks for something: the app is kept as it was decided, and what is seen is
//! told.

use super::order::Ordered;
use super::{Action, Input, WaitingFor, is_hung, known, mendable, torn, wait};
use crate::agent::memory::Announcement;
use crate::driver::{Observation, Running};
use crate::ids::ReleaseVersion;
use crate::state::app::Order;
use crate::state::command::Noted;
use crate::state::rollout::Notes;

pub(super) fn decide(input: &Input<'_>, order: Option<&Ordered<'_>>) -> Action {
    let decided = decided(input, order);
    let seen = known(input).or_else(|| mendable(input));
    // An operator's order does not wait for ever for a VM that answers nobody.
    if input.instance.repair > input.ledger.repaired && (seen.is_some() || is_hung(input)) {
        return Action::Repair { decided: decided.cloned(), ordered: Some(input.instance.repair), by: None };
    }
    let Some(seen) = seen else { return Action::Observe };
    // What an ended rollout left standing is an operator's to settle, and what one on its way has left is
    // settled by its orders: nothing is changed under either.
    let held = order.is_some_and(|order| matches!(order.assignment.order, Order::Upgrade | Order::Drain));
    if torn(&seen.condition).is_some() && decided.is_some() && !held && input.app.rollout.is_none() {
        return Action::Repair { decided: decided.cloned(), ordered: None, by: None };
    }
    match &seen.running {
        Running::Down if input.app.running && seen.permanent.is_some() => Action::Start,
        Running::Up { .. } if !input.app.running && input.app.rollout.is_none() => Action::Stop,
        // Looking again tells whether it is mended.
        Running::Unknown { .. } => Action::Observe,
        Running::Down | Running::Up { .. } => wait(WaitingFor::Nothing),
    }
}

/// The version that the cluster decided on for this node.
fn decided<'a>(input: &Input<'a>, order: Option<&Ordered<'a>>) -> Option<&'a ReleaseVersion> {
    let settled = input.instance.settled.as_ref().map(|release| &release.version);
    match order.map(|order| (order, order.assignment.order)) {
        Some((order, Order::Commit)) => Some(order.to()),
        Some((order, Order::Revert)) => order.from(),
        Some((_, Order::Prepare | Order::Upgrade | Order::Drain)) | None => settled,
    }
}

/// Tells what was seen, where the cluster believes something else.
pub(super) fn announce(input: &Input<'_>) -> Option<Action> {
    match input.observation {
        None => Some(Action::Observe),
        Some(seen) => tell(input, seen),
    }
}

pub(super) fn tell(input: &Input<'_>, seen: &Observation) -> Option<Action> {
    let healthy = if known(input).is_some() { input.health.flag() } else { None };
    let noted = noted(input);
    let known = input.instance.observed.as_ref() == Some(seen) && input.instance.healthy == healthy;
    let announcement = Announcement { observation: seen.clone(), healthy, noted };
    if (known && announcement.noted.is_none()) || input.memory.announced.as_ref() == Some(&announcement) {
        return None;
    }
    let Announcement { observation, healthy, noted } = announcement;
    Some(Action::Announce { observation, healthy, noted })
}

/// What there is to tell of this node's part of the rollout, where the cluster does not know it.
fn noted(input: &Input<'_>) -> Option<Box<Noted>> {
    let rollout = input.rollout?;
    let known = &rollout.nodes.get(&input.node)?.notes;
    let measured = input.ledger.trial_of(rollout.id).and_then(|trial| trial.measured.as_deref());
    let lingering = input.memory.lingering.as_ref();
    let notes = Notes {
        measured: measured.or(known.measured.as_ref()).cloned(),
        old_code: lingering.map(|lingering| lingering.processes.clone()).unwrap_or_default(),
    };
    (notes != *known).then(|| Box::new(Noted { rollout: rollout.id, notes }))
}
