//! Plans.

use super::{node_name, time};
use crate::driver::{Check, CheckResult, Foreseen, Method, Outlook, Rung};
use crate::ids::{NodeId, RolloutId};
use crate::preflight::Answer;
use crate::state::ClusterState;
use crate::state::plan::{Plan, PlanStep, Purpose};
use crate::state::rollout::Rollout;
use relupd_proto::api::v1;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A plan, with what its nodes say to it where they were asked just now.
pub(crate) fn plan(state: &ClusterState, plan: &Plan, asked: &BTreeMap<NodeId, Answer>) -> v1::Plan {
    let step = |(order, one): (u32, &PlanStep)| {
        let shown = step(state, plan, order, one);
        match asked.get(&one.node) {
            Some(answer) => v1::PlanStep { preflight: Some(preflight(answer)), ..shown },
            None => shown,
        }
    };
    let steps = (1..).zip(&plan.steps).map(step).collect();
    v1::Plan {
        id: plan.id.to_string(),
        app: plan.app.to_string(),
        release: plan.to.name.to_string(),
        version: plan.to.version.to_string(),
        manifest: plan.to.manifest.to_string(),
        steps,
        made_by: plan.made_by.clone(),
        made_at: Some(time(plan.made_at)),
        basis: plan.basis,
        catch_up: match plan.purpose {
            Purpose::Roll => false,
            Purpose::CatchUp => true,
        },
    }
}

fn step(state: &ClusterState, plan: &Plan, order: u32, step: &PlanStep) -> v1::PlanStep {
    let checked = last_preflight(state, plan, step);
    v1::PlanStep {
        order,
        node_id: step.node.to_string(),
        node_name: node_name(state, step.node),
        from: version_or_nothing(step),
        to: plan.to.version.to_string(),
        method: method(step.method).into(),
        because: step.because.clone(),
        way_back: step.way_back.iter().map(|found| rung(*found).into()).collect(),
        canary: step.canary,
        checks: checked.map(|(_, checks)| checks.iter().map(check).collect()).unwrap_or_default(),
        checked_by: checked.map(|(rollout, _)| rollout.to_string()).unwrap_or_default(),
        preflight: None,
    }
}

/// What preflight has found the last time that this node was prepared to go the same way.
fn last_preflight<'a>(
    state: &'a ClusterState,
    plan: &Plan,
    step: &PlanStep,
) -> Option<(RolloutId, &'a [Check])> {
    let same_way = |rollout: &&Arc<Rollout>| {
        rollout.plan.app == plan.app
            && rollout.plan.to == plan.to
            && rollout.from_of(step.node) == step.from.as_ref()
    };
    let checks = |rollout: &'a Arc<Rollout>| {
        let checks = rollout.nodes.get(&step.node)?.preflight();
        (!checks.is_empty()).then_some((rollout.id, checks))
    };
    state.rollouts.values().rev().filter(same_way).find_map(checks)
}

fn preflight(answer: &Answer) -> v1::Preflight {
    match answer {
        Ok(found) => v1::Preflight { checks: found.iter().map(foreseen).collect(), no_answer: String::new() },
        Err(reason) => v1::Preflight { checks: Vec::new(), no_answer: reason.clone() },
    }
}

fn foreseen(found: &Foreseen) -> v1::Check {
    match &found.outlook {
        Outlook::Known(result) => check(&Check { name: found.name.clone(), result: result.clone() }),
        Outlook::Unknown { reason } => v1::Check {
            name: found.name.clone(),
            result: v1::CheckResult::Unknown.into(),
            reason: reason.clone(),
            remedy: String::new(),
        },
    }
}

pub(crate) fn check(check: &Check) -> v1::Check {
    let (result, reason, remedy) = match &check.result {
        CheckResult::Passed => (v1::CheckResult::Passed, "", ""),
        CheckResult::NotHot { reason, remedy } => (v1::CheckResult::NotHot, reason.as_str(), remedy.as_str()),
        CheckResult::Warning { reason } => (v1::CheckResult::Warning, reason.as_str(), ""),
        CheckResult::Failed { reason, remedy } => (v1::CheckResult::Failed, reason.as_str(), remedy.as_str()),
    };
    v1::Check {
        name: check.name.clone(),
        result: result.into(),
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// The version that a step comes from; empty where nothing is installed.
pub(crate) fn version_or_nothing(step: &PlanStep) -> String {
    step.from.as_ref().map(|from| from.version.to_string()).unwrap_or_default()
}

pub(crate) const fn method(method: Method) -> v1::Method {
    match method {
        Method::Hot => v1::Method::Hot,
        Method::Restart => v1::Method::Restart,
        Method::First => v1::Method::First,
    }
}

const fn rung(rung: Rung) -> v1::Rung {
    match rung {
        Rung::RelupDown => v1::Rung::RelupDown,
        Rung::Restart => v1::Rung::Restart,
        Rung::Unplace => v1::Rung::Unplace,
    }
}
