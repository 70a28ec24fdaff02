//! Plans.

use super::{node_name, time};
use crate::driver::{Method, Rung};
use crate::state::ClusterState;
use crate::state::plan::{Plan, PlanStep, Purpose};
use relupd_proto::api::v1;

pub(crate) fn plan(state: &ClusterState, plan: &Plan) -> v1::Plan {
    let steps = (1..).zip(&plan.steps).map(|(order, one)| step(state, plan, order, one)).collect();
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
