//! The ladder of ways back. The rungs are chosen from what is seen, above all from what is permanent;
//! a rung that did not lead back is not taken again, but for the last one, and health is not asked for.

use super::order::Ordered;
use super::{Action, Authority, Input, describe, is_hung, known, torn, up};
use crate::agent::ledger::Ladder;
use crate::driver::{Condition, Method, Observation, Rung, Running, Transition};
use crate::ids::ReleaseVersion;
use crate::state::command::Report;
use crate::state::rollout::TriedRung;

pub(super) fn decide(input: &Input<'_>, order: &Ordered<'_>) -> Option<Action> {
    if order.said_reverted() {
        return None;
    }
    let ladder = input.ledger.ladder_of(order.generation()).cloned().unwrap_or_default();
    let by = Authority::Order(order.generation());
    Some(match descend(input, order, &ladder) {
        Descent::Look => Action::Observe,
        Descent::Back => order.report(Report::Reverted { by: ladder.begun, tried: ladder.tried }),
        Descent::Exhausted(tried) => order.report(Report::RevertFailed { tried }),
        Descent::Take(rung, ladder) => {
            let action = Action::RollBack { transition: transition(order, by, rung), rung, ladder, by };
            // What is down already is not taken down by it.
            let down = known(input).is_some_and(|seen| seen.running == Running::Down);
            if down { action } else { order.in_turn(action) }
        }
    })
}

/// The next step on the ladder.
pub(super) enum Descent {
    /// It is unknown where the node stands.
    Look,
    /// It stands on `from`.
    Back,
    /// This rung, with the ladder as it is to be noted before.
    Take(Rung, Ladder),
    /// No rung led back.
    Exhausted(Vec<TriedRung>),
}

pub(super) fn descend(input: &Input<'_>, order: &Ordered<'_>, ladder: &Ladder) -> Descent {
    let seen = known(input);
    if seen.is_none() && !is_hung(input) {
        return Descent::Look;
    }
    let stands = seen.is_some_and(|seen| stands_on(order.from(), seen, input.app.running));
    if stands && !is_to_be_cleared(input, order, ladder) {
        return Descent::Back;
    }
    let found = seen.map_or_else(|| "it could not be observed".to_owned(), describe);
    let rungs = rungs(order, seen);
    let mut noted = Ladder { begun: None, ended: false, tried: ladder.tried.clone() };
    if let Some(begun) = ladder.begun.filter(|begun| !ladder.is_spent(*begun)) {
        // Cut off in the middle: the last rung is worth another try, any other leads to the next.
        let last = rungs.last() == Some(&begun);
        if ladder.ended || !last {
            let how = if ladder.ended { "seemed to succeed" } else { "was interrupted" };
            noted.tried.push(TriedRung { rung: begun, reason: format!("it {how}, but {found}") });
        }
    }
    match rungs.into_iter().find(|rung| !noted.is_spent(*rung)) {
        Some(rung) => {
            noted.begun = Some(rung);
            Descent::Take(rung, noted)
        }
        None => Descent::Exhausted(noted.tried),
    }
}

/// Whether the node is where the way back leads.
pub(super) fn stands_on(from: Option<&ReleaseVersion>, seen: &Observation, should_run: bool) -> bool {
    if seen.permanent.as_ref() != from || torn(&seen.condition).is_some() {
        return false;
    }
    match (&seen.running, from) {
        (Running::Up { version, .. }, Some(from)) => version == from,
        (Running::Down, Some(_)) => !should_run,
        (Running::Down, None) => true,
        (Running::Up { .. }, None) | (Running::Unknown { .. }, _) => false,
    }
}

/// Whether a first installation was begun whose files nobody has taken away yet: that nothing runs and nothing
/// boots does not say that nothing is left.
fn is_to_be_cleared(input: &Input<'_>, order: &Ordered<'_>, ladder: &Ladder) -> bool {
    order.from().is_none() && !ladder.ended && input.ledger.trial_of(order.assignment.rollout).is_some()
}

/// The rungs that what was seen leaves, gentlest first.
fn rungs(order: &Ordered<'_>, seen: Option<&Observation>) -> Vec<Rung> {
    if order.from().is_none() {
        return vec![Rung::Unplace];
    }
    let whole = seen.is_some_and(|seen| {
        let orderly =
            matches!(seen.condition, Condition::Clean | Condition::Trial | Condition::Debris { .. });
        orderly && up(&seen.running).is_some_and(|(version, _)| version == order.to())
    });
    if whole && order.assignment.method == Method::Hot {
        vec![Rung::RelupDown, Rung::Restart]
    } else {
        vec![Rung::Restart]
    }
}

pub(super) fn transition(order: &Ordered<'_>, by: Authority, rung: Rung) -> Transition {
    let name = match rung {
        Rung::RelupDown => "relup-down",
        Rung::Restart => "restart",
        Rung::Unplace => "unplace",
    };
    let what = match by {
        Authority::Order(_) => name.to_owned(),
        Authority::Orphan(rollout) => format!("orphan-{rollout}-{name}"),
    };
    order.transition(order.assignment.method, &what)
}
