//! Upgrade and Drain: one installation, its proof, its bake, and then watching over the trial until
//! the next order. A VM that died is said at once; an installation is never begun twice.

use super::order::Ordered;
use super::{Action, Input, STARTS, WaitingFor, describe, idle, known, torn, up, wait};
use crate::agent::ledger::{Trial, TrialProgress};
use crate::clock::Monotonic;
use crate::driver::{Condition, Liveness, Measured, Method, Observation, Purge, Running};
use crate::health::Verdict;
use crate::ids::BootNonce;
use crate::spec::OldCode;
use crate::state::app::Order;
use crate::state::command::Report;
use crate::state::rollout::{Failure, Stage, Step};

pub(super) fn decide(input: &Input<'_>, order: &Ordered<'_>) -> Action {
    if order.said_failed() {
        return wait(WaitingFor::Order);
    }
    match input.ledger.trial_of(order.assignment.rollout) {
        None => begin(input, order),
        Some(trial) => match &trial.progress {
            TrialProgress::Begun => resume(input, order, trial),
            TrialProgress::Failed { reason } => order.fail(Failure::Install { reason: reason.clone() }),
            TrialProgress::Verified { boot_nonce } => watch(input, order, trial, boot_nonce),
        },
    }
}

/// Nothing is noted: the installation is begun, where the node stands on `from`.
fn begin(input: &Input<'_>, order: &Ordered<'_>) -> Action {
    let Some(seen) = known(input) else { return Action::Observe };
    let trial = Trial {
        rollout: order.assignment.rollout,
        generation: order.generation(),
        attempt: 1,
        falls: 0,
        method: order.assignment.method,
        life_before: up(&seen.running).map(|(_, life)| life.clone()),
        host_boot: input.host_boot.to_owned(),
        progress: TrialProgress::Begun,
        measured: None,
    };
    if let Some((version, life)) = up(&seen.running)
        && version == order.to()
    {
        return prove(input, order, &trial, life);
    }
    if order.assignment.order == Order::Drain {
        let detail = format!("the trial of {} is gone: {}", order.to(), describe(seen));
        return order.fail(Failure::VmDied { detail });
    }
    if input.ledger.lost(order.generation()) {
        let reason =
            "the node's ledger was unreadable, so the installation may have been begun before".to_owned();
        return order.fail(Failure::Install { reason });
    }
    if is_merely_down(input, order, seen) {
        return Action::Start;
    }
    if let Some(reason) = unfit(order, seen) {
        return order.fail(Failure::Install { reason });
    }
    Action::Install { transition: order.transition(trial.method, "install"), trial }
}

/// After a reboot the old version may not be up yet: that says nothing of the new one.
fn is_merely_down(input: &Input<'_>, order: &Ordered<'_>, seen: &Observation) -> bool {
    let stands = seen.permanent.is_some()
        && seen.permanent.as_ref() == order.from()
        && torn(&seen.condition).is_none();
    let down = seen.running == Running::Down && order.assignment.method == Method::Hot;
    stands && down && input.app.running && input.memory.start_failures < STARTS
}

/// Why nothing can be installed on what was seen.
fn unfit(order: &Ordered<'_>, seen: &Observation) -> Option<String> {
    let stands = seen.permanent.as_ref() == order.from() && torn(&seen.condition).is_none();
    let runs = match &seen.running {
        Running::Up { version, .. } => Some(version) == order.from(),
        Running::Down => order.assignment.method != Method::Hot,
        Running::Unknown { .. } => false,
    };
    if stands && runs {
        return None;
    }
    let wanted = order.from().map_or("nothing", |version| version.as_str());
    Some(format!("the order comes from {wanted}, but {}", describe(seen)))
}

/// An installation was about to be begun; what became of it is told by what runs.
fn resume(input: &Input<'_>, order: &Ordered<'_>, trial: &Trial) -> Action {
    let Some(seen) = known(input) else { return Action::Observe };
    let died = |what: &str| {
        let detail = format!("{what} during the installation of {}: {}", order.to(), describe(seen));
        order.fail(Failure::VmDied { detail })
    };
    // Under the id that it was begun with, so that the driver attaches to it where it runs.
    let again =
        || Action::Install { transition: order.transition(trial.method, "install"), trial: trial.clone() };
    match &seen.running {
        Running::Up { version, boot_nonce } if version == order.to() => {
            prove(input, order, trial, boot_nonce)
        }
        Running::Up { version, .. } if Some(version) != order.from() => order.fail(Failure::Verify {
            reason: format!("{} was installed, but {}", order.to(), describe(seen)),
        }),
        Running::Up { boot_nonce, .. } if Some(boot_nonce) != trial.life_before.as_ref() => {
            died("the VM restarted")
        }
        Running::Up { .. } | Running::Down if input.memory.installed => order.fail(Failure::Verify {
            reason: format!("the installation of {} seemed to succeed, but {}", order.to(), describe(seen)),
        }),
        Running::Up { .. } => again(),
        Running::Down if trial.method == Method::Hot => died("the VM died"),
        Running::Down if trial.host_boot != input.host_boot => died("the host rebooted"),
        // Between its stop and its start there is no VM, and nobody but this node to start it.
        Running::Down => again(),
        Running::Unknown { .. } => Action::Observe,
    }
}

fn prove(input: &Input<'_>, order: &Ordered<'_>, trial: &Trial, life: &BootNonce) -> Action {
    match &input.memory.verify_failed {
        Some(reason) => order.fail(Failure::Verify { reason: reason.clone() }),
        None => Action::Verify {
            transition: order.transition(trial.method, "install"),
            trial: trial.clone(),
            life: life.clone(),
        },
    }
}

/// The trial runs: the life and the health of it are watched until the next order.
fn watch(input: &Input<'_>, order: &Ordered<'_>, trial: &Trial, life: &BootNonce) -> Action {
    match vital(input, life) {
        Vital::Alive => {}
        Vital::Unsure => return Action::Observe,
        Vital::Gone { detail } => return order.fail(Failure::VmDied { detail }),
    }
    let judge_from = input.memory.judge_from;
    if let Verdict::Unhealthy { check, reason } = input.health.of(life, judge_from) {
        return order.fail(Failure::Health { check: check.clone(), reason: reason.clone() });
    }
    if let Some(detail) = mixed(input) {
        return order.fail(Failure::Verify { reason: format!("{} ran, now it is {detail}", order.to()) });
    }
    if let Some(reason) = suspended_too_long(order, trial) {
        return order.fail(Failure::Verify { reason });
    }
    let since = input.health.proves(life, judge_from).map(|since| since.max(judge_from));
    if order.assignment.order == Order::Drain {
        return drain(input, order, life, since.is_some());
    }
    if order.said_healthy(life) {
        return wait(WaitingFor::Order);
    }
    let bake = order.spec.upgrade.bake;
    match since {
        Some(since) if input.now.since(since) >= bake => {
            let healthy = Report::Healthy { boot_nonce: life.clone() };
            after_a_look(input, order, since + bake, healthy)
        }
        Some(since) => progress(order, Action::Wait { until: Some(since + bake), reason: WaitingFor::Bake }),
        None => progress(order, wait(WaitingFor::Health)),
    }
}

fn drain(input: &Input<'_>, order: &Ordered<'_>, life: &BootNonce, healthy: bool) -> Action {
    if order.said_ready(life) {
        return wait(WaitingFor::Order);
    }
    if let Some(reason) = &input.memory.drain_failed {
        return order.fail(Failure::Commit { reason: reason.clone() });
    }
    if !healthy {
        return wait(WaitingFor::Health);
    }
    match &input.memory.drained {
        // Draining forgets what was seen before.
        Some(drained) if drained == life => {
            let ready = Report::ReadyToCommit { boot_nonce: life.clone() };
            after_a_look(input, order, input.memory.judge_from, ready)
        }
        Some(_) | None => leave_old_code(input, order),
    }
}

/// Who still runs old code is told, and waited for as long as the policy says.
fn leave_old_code(input: &Input<'_>, order: &Ordered<'_>) -> Action {
    let drain =
        |purge| Action::Drain { transition: order.transition(order.assignment.method, "drain"), purge };
    let Some(lingering) = &input.memory.lingering else { return drain(Purge::Soft) };
    let policy = &order.spec.upgrade.hot;
    let is_over = input.now.since(lingering.since) >= policy.old_code_wait;
    match policy.old_code {
        OldCode::Kill if is_over => drain(Purge::Brutal),
        OldCode::Revert if is_over => {
            let (after, processes) = (policy.old_code_wait, lingering.processes.join("; "));
            let reason = format!("processes still run old code after {after:?}: {processes}");
            order.fail(Failure::Commit { reason })
        }
        OldCode::Wait | OldCode::Kill | OldCode::Revert => {
            idle::announce(input).unwrap_or_else(|| drain(Purge::Soft))
        }
    }
}

/// Why the installation has cost more than the policy allows.
fn suspended_too_long(order: &Ordered<'_>, trial: &Trial) -> Option<String> {
    let limit = order.spec.upgrade.hot.max_suspend.filter(|_| trial.method == Method::Hot)?;
    match trial.measured.as_deref() {
        Some(Measured { longest_suspend, .. }) if *longest_suspend > limit => {
            Some(format!("a process was suspended for {longest_suspend:?}, and max_suspend is {limit:?}"))
        }
        Some(_) => None,
        None => Some(format!(
            "max_suspend is {limit:?}, and how long processes were suspended could not be measured: \
             somebody traces the release handler, or the app was started by an older relupd"
        )),
    }
}

/// A verdict rests on a look no older than what it says: health checks do not tell what code somebody else has
/// loaded meanwhile.
fn after_a_look(input: &Input<'_>, order: &Ordered<'_>, from: Monotonic, verdict: Report) -> Action {
    let seen = known(input).filter(|_| input.observed_at.is_some_and(|at| at >= from));
    match seen.map(|seen| up(&seen.running)) {
        Some(Some((version, _))) if version == order.to() => order.report(verdict),
        Some(_) | None => Action::Observe,
    }
}

/// What of two versions is seen to run.
fn mixed(input: &Input<'_>) -> Option<String> {
    let condition = &input.observation?.condition;
    matches!(condition, Condition::MixedCode { .. } | Condition::HalfEnvironment { .. })
        .then(|| torn(condition))
        .flatten()
}

/// While there is time, tells how far it has come.
fn progress(order: &Ordered<'_>, otherwise: Action) -> Action {
    let baking = Report::Stage { stage: Stage::Baking };
    let behind = matches!(order.step, Some(Step::Upgrading { stage, .. }) if *stage < Stage::Baking);
    if behind && !order.said(&baking) { order.report(baking) } else { otherwise }
}

enum Vital {
    Alive,
    Unsure,
    Gone { detail: String },
}

/// Whether the life that was verified goes on. The push alone decides once it has shown that life;
/// before, it may still be telling of the one before it, and an observation decides.
fn vital(input: &Input<'_>, life: &BootNonce) -> Vital {
    let pushed = match input.liveness {
        Liveness::Up { boot_nonce } if boot_nonce == life => return Vital::Alive,
        Liveness::Up { boot_nonce } => Some(format!("life {life} ended, and {boot_nonce} began")),
        Liveness::Down => Some(format!("life {life} ended")),
        Liveness::Unknown => None,
    };
    if let (true, Some(detail)) = (input.memory.life_seen, &pushed) {
        return Vital::Gone { detail: detail.clone() };
    }
    match known(input) {
        None => Vital::Unsure,
        Some(seen) => match up(&seen.running) {
            Some((_, seen)) if seen == life => Vital::Alive,
            Some(_) | None => Vital::Gone { detail: pushed.unwrap_or_else(|| describe(seen)) },
        },
    }
}
