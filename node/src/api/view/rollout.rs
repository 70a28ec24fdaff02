//! Rollouts.

use super::plan::{check, method, version_or_nothing};
use super::{node_name, optional, optional_node_name, time, with_names};
use crate::driver::{Check, CheckResult, Measured};
use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::plan::PlanStep;
use crate::state::rollout::{
    HaltReason, NodeProgress, Phase, Refusal, Rollout, Stage, Step, Stranded, TriedRung,
};
use crate::state::text::whole_seconds;
use relupd_proto::api::v1;
use std::time::Duration;

pub(crate) fn rollout(state: &ClusterState, rollout: &Rollout) -> v1::Rollout {
    let nodes = rollout.plan.steps.iter().map(|step| node(state, rollout, step)).collect();
    v1::Rollout {
        summary: Some(summary(state, rollout)),
        revision: rollout.revision,
        plan_id: rollout.plan.id.to_string(),
        nodes,
        promoted: rollout.promoted,
        remedies: remedies(state, &rollout.phase),
    }
}

pub(crate) fn summary(state: &ClusterState, rollout: &Rollout) -> v1::RolloutSummary {
    let done = rollout.nodes.values().filter(|node| is_done(&node.step)).count();
    v1::RolloutSummary {
        id: rollout.id.to_string(),
        app: rollout.plan.app.to_string(),
        version: rollout.plan.to.version.to_string(),
        phase: phase(&rollout.phase).into(),
        reason: reason(state, &rollout.phase),
        paused_by: rollout.paused.as_ref().map(|paused| paused.by.clone()).unwrap_or_default(),
        nodes_done: u32::try_from(done).unwrap_or(u32::MAX),
        nodes_total: u32::try_from(rollout.plan.steps.len()).unwrap_or(u32::MAX),
        started_by: rollout.started_by.clone(),
        started_at: Some(time(rollout.started_at)),
        ended_at: rollout.ended_at.map(time),
    }
}

pub(crate) const fn phase(phase: &Phase) -> v1::Phase {
    match phase {
        Phase::Preparing => v1::Phase::Preparing,
        Phase::Rolling => v1::Phase::Rolling,
        Phase::Committing { .. } => v1::Phase::Committing,
        Phase::Halted { .. } => v1::Phase::Halted,
        Phase::Reverting { .. } => v1::Phase::Reverting,
        Phase::Completed => v1::Phase::Completed,
        Phase::Refused { .. } => v1::Phase::Refused,
        Phase::Reverted { .. } => v1::Phase::Reverted,
        Phase::Held { .. } => v1::Phase::Held,
        Phase::NeedsOperator { .. } => v1::Phase::NeedsOperator,
    }
}

/// Why the phase is what it is; empty where the phase says it all.
fn reason(state: &ClusterState, phase: &Phase) -> String {
    match phase {
        Phase::Preparing | Phase::Rolling | Phase::Completed => String::new(),
        Phase::Committing { decided: false } => {
            "not decided yet: a reboot still returns to the old version".into()
        }
        Phase::Committing { decided: true } => "decided: it goes forward from here".into(),
        Phase::Halted { reason } | Phase::Reverting { reason } | Phase::Reverted { reason } => {
            halt_reason(state, reason)
        }
        Phase::Refused { reasons } => {
            let lines: Vec<String> = reasons.iter().map(|refusal| refusal_text(state, refusal)).collect();
            lines.join("; ")
        }
        Phase::Held { reason, elsewhere } => {
            let names: Vec<String> = elsewhere.iter().map(|node| node_name(state, *node)).collect();
            let left = if names.is_empty() {
                "every node is where it came from".to_owned()
            } else {
                format!(
                    "not on the version they came from: {}; `relupctl node repair NODE` ends a trial there",
                    names.join(", ")
                )
            };
            format!("{}; {left}", halt_reason(state, reason))
        }
        Phase::NeedsOperator { reason, .. } => {
            reason.as_ref().map(|reason| halt_reason(state, reason)).unwrap_or_default()
        }
    }
}

fn halt_reason(state: &ClusterState, reason: &HaltReason) -> String {
    let name = |node: &NodeId| node_name(state, *node);
    match reason {
        HaltReason::NodeFailed { node, failure } => format!("{}: {}", name(node), failure),
        HaltReason::NoProgress { node, after } => {
            format!("{} made no progress for {}", name(node), whole_seconds(*after))
        }
        HaltReason::Unreachable { node, after } => {
            format!("{} could not be reached for {}", name(node), whole_seconds(*after))
        }
        HaltReason::RolloutDeadline { after } => {
            format!("the rollout took longer than {}", whole_seconds(*after))
        }
        HaltReason::Orphaned { node } => {
            format!("{} had lost contact with the leader and took itself back", name(node))
        }
        HaltReason::Aborted { by, .. } => format!("aborted by {by}"),
    }
}

fn refusal_text(state: &ClusterState, refusal: &Refusal) -> String {
    let at = refusal.node.map(|node| format!("{}: ", node_name(state, node))).unwrap_or_default();
    format!("{at}{}: {}", refusal.check, refusal.reason)
}

fn remedies(state: &ClusterState, phase: &Phase) -> Vec<v1::Remedy> {
    match phase {
        Phase::Refused { reasons } => reasons.iter().map(|refusal| refusal_remedy(state, refusal)).collect(),
        Phase::NeedsOperator { nodes, .. } => nodes.iter().map(|node| stranded(state, node)).collect(),
        Phase::Preparing
        | Phase::Rolling
        | Phase::Committing { .. }
        | Phase::Halted { .. }
        | Phase::Reverting { .. }
        | Phase::Completed
        | Phase::Reverted { .. }
        | Phase::Held { .. } => Vec::new(),
    }
}

fn refusal_remedy(state: &ClusterState, refusal: &Refusal) -> v1::Remedy {
    v1::Remedy {
        node_id: optional(refusal.node.as_ref()),
        node_name: optional_node_name(state, refusal.node),
        reason: format!("{}: {}", refusal.check, refusal.reason),
        remedy: with_names(state, refusal.remedy.clone()),
    }
}

fn stranded(state: &ClusterState, stranded: &Stranded) -> v1::Remedy {
    v1::Remedy {
        node_id: stranded.node.to_string(),
        node_name: node_name(state, stranded.node),
        reason: with_names(state, stranded.reason.clone()),
        remedy: with_names(state, stranded.remedy.clone()),
    }
}

fn node(state: &ClusterState, rollout: &Rollout, planned: &PlanStep) -> v1::NodeProgress {
    let progress = rollout.nodes.get(&planned.node);
    let (step, detail) = progress.map_or((v1::NodeStep::Planned, String::new()), |found| step(found));
    v1::NodeProgress {
        node_id: planned.node.to_string(),
        node_name: node_name(state, planned.node),
        from: version_or_nothing(planned),
        to: rollout.plan.to.version.to_string(),
        method: method(progress.map_or(planned.method, |found| found.method)).into(),
        canary: planned.canary,
        touched: progress.is_some_and(|progress| is_touched(progress)),
        step: step.into(),
        detail,
        checks: progress.map(|found| found.preflight()).unwrap_or_default().iter().map(check).collect(),
        measured: progress.and_then(|progress| progress.notes.measured.as_ref()).map(measured),
        old_code: progress.map(|found| waited_for(found).to_vec()).unwrap_or_default(),
    }
}

fn measured(measured: &Measured) -> v1::Measured {
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    v1::Measured {
        took_us: micros(measured.took),
        suspended: measured.suspended,
        longest_suspend_us: micros(measured.longest_suspend),
        code_changes: measured.code_changes,
        code_change_us: micros(measured.code_change_time),
        longest_code_change_us: micros(measured.longest_code_change),
        longest_queue: measured.longest_queue,
    }
}

const fn is_touched(progress: &NodeProgress) -> bool {
    progress.touched.is_some()
}

/// On the new version, with a verdict that says healthy.
const fn is_done(step: &Step) -> bool {
    match step {
        Step::Healthy { .. }
        | Step::Draining { .. }
        | Step::ReadyToCommit { .. }
        | Step::Committing { .. }
        | Step::Committed => true,
        Step::Planned
        | Step::Preparing { .. }
        | Step::Prepared { .. }
        | Step::PrepareFailed { .. }
        | Step::Skipped { .. }
        | Step::Upgrading { .. }
        | Step::Failed { .. }
        | Step::Reverting { .. }
        | Step::Reverted { .. }
        | Step::RevertFailed { .. } => false,
    }
}

/// A step, and what there is to say about it.
fn step(progress: &NodeProgress) -> (v1::NodeStep, String) {
    match &progress.step {
        Step::Planned => (v1::NodeStep::Planned, String::new()),
        Step::Preparing { .. } => (v1::NodeStep::Preparing, String::new()),
        Step::Prepared { checks } => (v1::NodeStep::Prepared, remarkable(checks)),
        Step::PrepareFailed { checks } => (v1::NodeStep::PrepareFailed, remarkable(checks)),
        Step::Skipped { reason } => (v1::NodeStep::Skipped, reason.clone()),
        Step::Upgrading { stage: Stage::Assigned, .. } => (v1::NodeStep::Assigned, String::new()),
        Step::Upgrading { stage: Stage::Installing, .. } => (v1::NodeStep::Installing, String::new()),
        Step::Upgrading { stage: Stage::Baking, .. } => (v1::NodeStep::Baking, String::new()),
        Step::Healthy { .. } => (v1::NodeStep::Healthy, String::new()),
        Step::Failed { failure } => (v1::NodeStep::Failed, failure.to_string()),
        Step::Draining { .. } => (v1::NodeStep::Draining, old_code(progress)),
        Step::ReadyToCommit { .. } => (v1::NodeStep::ReadyToCommit, String::new()),
        Step::Committing { .. } => (v1::NodeStep::Committing, String::new()),
        Step::Committed => (v1::NodeStep::Committed, String::new()),
        Step::Reverting { tried, .. } => (v1::NodeStep::Reverting, tried_rungs(tried)),
        Step::Reverted { by } => {
            (v1::NodeStep::Reverted, by.map(|rung| format!("by {rung}")).unwrap_or_default())
        }
        Step::RevertFailed { tried } => (v1::NodeStep::RevertFailed, tried_rungs(tried)),
    }
}

/// Its agent's last word on them may come before the one that it drains no more.
fn waited_for(progress: &NodeProgress) -> &[String] {
    if matches!(progress.step, Step::Draining { .. }) { &progress.notes.old_code } else { &[] }
}

fn old_code(progress: &NodeProgress) -> String {
    let processes = waited_for(progress);
    if processes.is_empty() { String::new() } else { format!("still in old code: {}", processes.join("; ")) }
}

/// The checks that did not simply pass.
fn remarkable(checks: &[Check]) -> String {
    let lines: Vec<String> = checks
        .iter()
        .filter_map(|check| match &check.result {
            CheckResult::Passed => None,
            CheckResult::NotHot { reason, remedy } => {
                let remedy = if remedy.is_empty() { String::new() } else { format!("; {remedy}") };
                Some(format!("{}: not hot: {reason}{remedy}", check.name))
            }
            CheckResult::Warning { reason } => Some(format!("{}: warning: {reason}", check.name)),
            CheckResult::Failed { reason, remedy } => Some(format!("{}: {reason}; {remedy}", check.name)),
        })
        .collect();
    lines.join("; ")
}

fn tried_rungs(tried: &[TriedRung]) -> String {
    let lines: Vec<String> = tried.iter().map(|one| format!("{}: {}", one.rung, one.reason)).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::Method;
    use crate::ids::Generation;
    use crate::state::rollout::Notes;
    use relupd_core::samples;

    fn lingering(step: Step) -> NodeProgress {
        NodeProgress {
            position: 0,
            method: Method::Hot,
            touched: Some(Generation(1)),
            had_its_turn: false,
            orphaned: false,
            step,
            checks: Vec::new(),
            notes: Notes { measured: None, old_code: vec!["<0.7.0> in shop".to_owned()] },
        }
    }

    #[test]
    fn who_runs_old_code_is_named_while_it_is_waited_for() {
        let boot_nonce = samples::life("1-1");
        let draining = lingering(Step::Draining { generation: Generation(2), boot_nonce });
        assert_eq!(waited_for(&draining), ["<0.7.0> in shop"]);
        assert_eq!(step(&draining).1, "still in old code: <0.7.0> in shop");
        assert!(waited_for(&lingering(Step::Committed)).is_empty());
    }
}
