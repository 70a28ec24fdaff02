//! After the decision: `to` is made permanent, for ever tried again. A node that is found elsewhere
//! is installed again, in its turn; only a failed verdict is said, and what follows is the leader's to say.

use super::order::Ordered;
use super::{Action, Input, STARTS, WaitingFor, is_hung, known, mendable, torn, up, wait};
use crate::agent::ledger::{Trial, TrialProgress};
use crate::driver::{Condition, Method, Observation, Running};
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
    let Some(seen) = known(input) else {
        // It cannot be told what runs before that is mended, and mending may restart it. A node that is
        // permanent has no turn any more, and is judged on instead.
        let mended = mendable(input).filter(|_| !order.said_committed());
        let mended = mended.map(|_| order.in_turn(repair(order)));
        return Some(mended.or_else(|| hung(input, order)).unwrap_or(Action::Observe));
    };
    let permanent = seen.permanent.as_ref() == Some(order.to());
    if let Some(failure) = verdict(input, order, seen, permanent) {
        return Some(order.fail(failure));
    }
    if order.said_committed() {
        return None;
    }
    let Some((version, life)) = up(&seen.running) else {
        return Some(match (&seen.running, permanent) {
            (Running::Down, true) if !input.app.running => order.report(Report::Committed),
            (Running::Down, true) => Action::Start,
            // What is down already is not taken down by it, so it needs no turn.
            (Running::Down | Running::Up { .. } | Running::Unknown { .. }, _) => install(input, order, seen),
        });
    };
    if version != order.to() {
        return Some(match install(input, order, seen) {
            action @ Action::Install { .. } => order.in_turn(action),
            action => action,
        });
    }
    if torn(&seen.condition).is_some() {
        let restarts =
            matches!(seen.condition, Condition::HalfEnvironment { .. } | Condition::MixedCode { .. });
        return Some(if restarts { order.in_turn(repair(order)) } else { repair(order) });
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

fn repair(order: &Ordered<'_>) -> Action {
    Action::Repair { decided: Some(order.to().clone()), ordered: None, by: Some(order.generation()) }
}

/// What may still turn the rollout round, until it ends: health that failed, or an app that does not stay up.
/// That something could not be done yet may not.
fn verdict(input: &Input<'_>, order: &Ordered<'_>, seen: &Observation, permanent: bool) -> Option<Failure> {
    match up(&seen.running) {
        Some((version, life)) if version == order.to() => {
            let proved = permanent || verified(input, order).is_some_and(|(_, verified)| verified == life);
            match input.health.of(life, input.memory.judge_from) {
                Verdict::Unhealthy { check, reason } if proved => {
                    Some(Failure::Health { check: check.clone(), reason: reason.clone() })
                }
                Verdict::Unhealthy { .. } | Verdict::Unknown | Verdict::Healthy { .. } => None,
            }
        }
        Some(_) if falls(input, order, seen) >= STARTS => Some(fell(order)),
        Some(_) => None,
        None if !input.app.running => None,
        None if permanent && input.memory.start_failures >= STARTS => {
            let detail = format!("{} did not stay up, started {STARTS} times", order.to());
            Some(Failure::VmDied { detail })
        }
        None if !permanent && falls(input, order, seen) >= STARTS => Some(fell(order)),
        None => None,
    }
}

/// A VM that was proved, and that nothing can be learned from any more: its health is all there is to go by.
fn hung(input: &Input<'_>, order: &Ordered<'_>) -> Option<Action> {
    let (_, life) = verified(input, order).filter(|_| is_hung(input))?;
    match input.health.of(life, input.memory.judge_from) {
        Verdict::Unhealthy { check, reason } => {
            Some(order.fail(Failure::Health { check: check.clone(), reason: reason.clone() }))
        }
        Verdict::Unknown | Verdict::Healthy { .. } => None,
    }
}

fn fell(order: &Ordered<'_>) -> Failure {
    Failure::VmDied { detail: format!("{} did not stay up, installed again {STARTS} times", order.to()) }
}

/// How often under this order, in this boot of the host, the new version was installed and did not stay up.
/// A reboot is the host's doing, and what could not be installed for another reason never fell.
fn falls(input: &Input<'_>, order: &Ordered<'_>, seen: &Observation) -> u32 {
    let Some(trial) = input.ledger.trial.as_ref() else { return 0 };
    if trial.generation != order.generation() || trial.host_boot != input.host_boot {
        return 0;
    }
    let ran = matches!(trial.progress, TrialProgress::Verified { .. });
    trial.falls + u32::from(ran || seen.running == Running::Down)
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
        // Nothing can be placed beside a book that is torn. What is down already is not taken down by mending it.
        let barred = input.memory.place_failed.is_some() && torn(&seen.condition).is_some();
        if barred && seen.running == Running::Down {
            return repair(order);
        }
        return Action::Place { release: order.assignment.to.clone() };
    }
    let life = up(&seen.running).map(|(_, life)| life);
    let earlier = input.ledger.trial.as_ref().filter(|trial| trial.generation == order.generation());
    let attempt = earlier.map_or(1, |trial| trial.attempt) + 1;
    let falls = falls(input, order, seen);
    let hot = order.assignment.method == Method::Hot && life.is_some() && earlier.is_none();
    let method = match order.assignment.method {
        Method::Hot if hot => Method::Hot,
        Method::Hot | Method::Restart => Method::Restart,
        Method::First => Method::First,
    };
    let what = format!("install-{attempt}");
    Action::Install {
        transition: order.transition(method, &what),
        trial: Trial { falls, ..trial(input, order, life, attempt, method) },
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
        falls: 0,
        method,
        life_before: life.cloned(),
        host_boot: input.host_boot.to_owned(),
        progress: TrialProgress::Begun,
        measured: None,
    }
}
