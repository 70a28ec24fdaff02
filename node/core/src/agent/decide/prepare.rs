//! Preparing: place and check. No code is loaded, nothing is changed that runs.

use super::order::Ordered;
use super::{Action, Input, describe, idle, known, torn};
use crate::driver::{Check, CheckResult, Method, Observation, Running};
use crate::spec::{AppSpec, CheckPolicy, MethodPolicy};
use crate::state::command::Report;

pub(super) fn decide(input: &Input<'_>, order: &Ordered<'_>) -> Option<Action> {
    if order.said_prepared() {
        return None;
    }
    let Some(seen) = known(input) else { return Some(Action::Observe) };
    // After a boot of the host it may be this daemon that has to start the app.
    let fresh = !input.memory.seen_up && input.memory.start_failures == 0;
    if fresh && seen.running == Running::Down && seen.permanent.is_some() && input.app.running {
        return Some(Action::Start);
    }
    if let Some(check) = standing(order, seen) {
        return Some(order.report(Report::PrepareFailed { checks: vec![check] }));
    }
    if let Some(reason) = &input.memory.place_failed {
        let remedy = "free the release root of what is in the way, then plan again".to_owned();
        let result = CheckResult::Failed { reason: reason.clone(), remedy };
        let checks = vec![Check { name: "placed".to_owned(), result }];
        return Some(order.report(Report::PrepareFailed { checks }));
    }
    // Told once: another reason for the same would be news to nobody.
    let told = order.said_cannot_fetch();
    if let (Some(reason), false) = (&input.memory.cannot_fetch, told) {
        return Some(order.report(Report::CannotFetch { reason: reason.clone() }));
    }
    if !input.memory.placed {
        return Some(Action::Place { release: order.assignment.to.clone() });
    }
    if told {
        return Some(order.report(Report::Fetched));
    }
    Some(match &input.memory.checks {
        None => Action::Preflight { transition: order.transition(order.assignment.method, "preflight") },
        // Who is sick, and whether that matters, the leader says by what it was told.
        Some(checks) => idle::tell(input, seen).unwrap_or_else(|| order.report(judge(order, checks))),
    })
}

/// The method that the checks leave, or none.
fn judge(order: &Ordered<'_>, checks: &[Check]) -> Report {
    let checks: Vec<Check> = checks.iter().map(|check| softened(order.spec, check)).collect();
    let failed = checks.iter().any(|check| matches!(check.result, CheckResult::Failed { .. }));
    let not_hot = checks.iter().any(|check| matches!(check.result, CheckResult::NotHot { .. }));
    if failed {
        return Report::PrepareFailed { checks };
    }
    let method = order.assignment.method;
    if method != Method::Hot || !not_hot {
        return Report::Prepared { method, checks };
    }
    match order.spec.upgrade.method {
        MethodPolicy::Auto | MethodPolicy::Restart => Report::Prepared { method: Method::Restart, checks },
        MethodPolicy::Hot => Report::PrepareFailed { checks },
    }
}

/// The cluster keeps what every node found: a reason may list a thousand modules, and need not.
const LONGEST_REASON: usize = 400;

/// A check as the app's policy takes it: what does not hold is a warning where the policy says so.
#[must_use]
pub fn softened(spec: &AppSpec, check: &Check) -> Check {
    let result = match (&check.result, spec.upgrade.preflight.checks.get(check.key())) {
        (
            CheckResult::NotHot { reason, .. } | CheckResult::Failed { reason, .. },
            Some(CheckPolicy::Warn),
        ) => CheckResult::Warning { reason: reason.clone() },
        (result, Some(CheckPolicy::Warn) | None) => result.clone(),
    };
    Check { name: check.name.clone(), result: result.bounded(LONGEST_REASON) }
}

/// Whether the node stands where the plan believes it to stand, in a state to be upgraded.
fn standing(order: &Ordered<'_>, seen: &Observation) -> Option<Check> {
    let failed = |name: &str, reason: String, remedy: &str| {
        let result = CheckResult::Failed { reason, remedy: remedy.to_owned() };
        Some(Check { name: name.to_owned(), result })
    };
    if let Some(reason) = torn(&seen.condition) {
        return failed("whole", reason, "run `relupctl node repair NODE --app APP`, then plan again");
    }
    if seen.permanent.as_ref() != order.from() {
        let wanted = order.from().map_or("nothing", |version| version.as_str());
        let reason = format!("the plan comes from {wanted}, but {}", describe(seen));
        let on_trial = matches!(&seen.running, Running::Up { version, .. } if Some(version) == order.from());
        let remedy = if on_trial {
            "a rollout has left it on trial: run `relupctl node repair NODE --app APP`, then plan again"
        } else {
            "plan again; the node has moved since"
        };
        return failed("stands on from", reason, remedy);
    }
    // Whether a node that is down or sick may take part is the leader's to say, by policy.
    match (&seen.running, order.from()) {
        (Running::Up { version, .. }, Some(from)) if version != from => {
            let reason = format!("{from} is to be upgraded, but {}", describe(seen));
            failed("stands on from", reason, "run `relupctl node repair NODE --app APP`, then plan again")
        }
        (Running::Up { .. } | Running::Down | Running::Unknown { .. }, _) => None,
    }
}
