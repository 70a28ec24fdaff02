//! After the decision: `to` is made permanent, for ever tried again. A node that is found elsewhere
//! is installed again; only a failed health verdict is said, and what follows is the leader's to say.

use super::order::Ordered;
use super::{Action, Input, WaitingFor, known, torn, up, wait};
use crate::agent::ledger::{Trial, TrialProgress};
use crate::driver::{Method, Observation, Running};
use crate::health::Verdict;
use crate::ids::BootNonce;
use crate::state::command::Report;
use crate::state::rollout::Failure;

pub(super) fn decide(input: &Input<'_>, order: &Ordered<'_>) -> Option<Action> {
    if order.said_failed() {
        return Some(wait(WaitingFor::Order));
    }
    if order.said_committed() && !order.is_live() {
        return None;
    }
    let Some(seen) = known(input) else { return Some(Action::Observe) };
    let permanent = seen.permanent.as_ref() == Some(order.to());
    let Some((version, life)) = up(&seen.running) else {
        return match (&seen.running, permanent) {
            (Running::Down, true) if order.said_committed() => None,
            (Running::Down, true) if !input.app.running => Some(order.report(Report::Committed)),
            (Running::Down, true) => Some(Action::Start),
            (Running::Down | Running::Up { .. } | Running::Unknown { .. }, _) => {
                Some(install(input, order, seen))
            }
        };
    };
    if version != order.to() {
        return Some(install(input, order, seen));
    }
    let proved = permanent || verified(input, order).is_some_and(|(_, verified)| verified == life);
    if let (true, Verdict::Unhealthy { check, reason }) =
        (proved, input.health.of(life, input.memory.judge_from))
    {
        return Some(order.fail(Failure::Health { check: check.clone(), reason: reason.clone() }));
    }
    if order.said_committed() {
        return None;
    }
    if torn(&seen.condition).is_some() {
        return Some(Action::Repair { decided: Some(order.to().clone()), ordered: None });
    }
    if !permanent {
        return Some(make_permanent(input, order, life));
    }
    // The life that was judged before the decision needs no second verdict; any other does.
    let judged =
        verified(input, order).is_some_and(|(trial, verified)| verified == life && trial.attempt == 1);
    let healthy = judged || input.health.proves(life, input.memory.judge_from).is_some();
    Some(if healthy { order.report(Report::Committed) } else { wait(WaitingFor::Health) })
}

fn verified<'a>(input: &Input<'a>, order: &Ordered<'_>) -> Option<(&'a Trial, &'a BootNonce)> {
    let trial = input.ledger.trial_of(order.assignment.rollout)?;
    match &trial.progress {
        TrialProgress::Verified { boot_nonce } => Some((trial, boot_nonce)),
        TrialProgress::Begun | TrialProgress::Failed { .. } => None,
    }
}

/// A life that was not verified is verified first: nothing unproved becomes permanent (S6).
fn make_permanent(input: &Input<'_>, order: &Ordered<'_>, life: &BootNonce) -> Action {
    if verified(input, order).is_some_and(|(_, verified)| verified == life) {
        return Action::Commit { transition: order.transition(order.assignment.method, "commit") };
    }
    let trial = match input.ledger.trial_of(order.assignment.rollout) {
        Some(trial) => Trial { attempt: trial.attempt.max(2), ..trial.clone() },
        None => trial(input, order, Some(life), 2, order.assignment.method),
    };
    Action::Verify { transition: order.transition(trial.method, "install"), trial, life: life.clone() }
}

/// Installs again. A hot installation that failed once is followed by restarts.
fn install(input: &Input<'_>, order: &Ordered<'_>, seen: &Observation) -> Action {
    if !input.memory.placed {
        return Action::Place { release: order.assignment.to.clone() };
    }
    let life = up(&seen.running).map(|(_, life)| life);
    let earlier = input.ledger.trial.as_ref().filter(|trial| trial.generation == order.generation());
    let attempt = earlier.map_or(1, |trial| trial.attempt) + 1;
    let hot = order.assignment.method == Method::Hot && life.is_some() && earlier.is_none();
    let method = match order.assignment.method {
        Method::Hot if hot => Method::Hot,
        Method::Hot | Method::Restart => Method::Restart,
        Method::First => Method::First,
    };
    let what = format!("install-{attempt}");
    Action::Install {
        transition: order.transition(method, &what),
        trial: trial(input, order, life, attempt, method),
    }
}

fn trial(
    input: &Input<'_>,
    order: &Ordered<'_>,
    life: Option<&BootNonce>,
    attempt: u32,
    method: Method,
) -> Trial {
    Trial {
        rollout: order.assignment.rollout,
        generation: order.generation(),
        attempt,
        method,
        life_before: life.cloned(),
        host_boot: input.host_boot.to_owned(),
        progress: TrialProgress::Begun,
    }
}
