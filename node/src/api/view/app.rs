//! Apps and their instances.

use super::{node_name, optional};
use crate::driver::{Condition, Running};
use crate::ids::{AppName, NodeId, ReleaseVersion};
use crate::spec::to_toml;
use crate::state::ClusterState;
use crate::state::app::{App, Assignment, Instance, Order};
use relupd_proto::api::v1;

pub(crate) fn app(state: &ClusterState, app: &App) -> v1::App {
    let name = app.name();
    let instances = app.instances.iter().map(|(node, found)| instance(state, name, *node, found)).collect();
    v1::App {
        name: name.to_string(),
        release: app.spec.release.to_string(),
        current: app.current.as_ref().map(|release| release.version.to_string()).unwrap_or_default(),
        running: app.running,
        rollout: optional(app.rollout.as_ref()),
        basis: app.basis,
        instances,
        spec: to_toml(&app.spec),
    }
}

pub(crate) fn instance(
    state: &ClusterState,
    app: &AppName,
    node: NodeId,
    instance: &Instance,
) -> v1::Instance {
    let observed = instance.observed.as_ref();
    let (run_state, running) = run_state(observed.map(|observed| &observed.running));
    let (condition, condition_detail) = condition(observed.map(|observed| &observed.condition));
    v1::Instance {
        app: app.to_string(),
        node_id: node.to_string(),
        node_name: node_name(state, node),
        settled: instance.settled.as_ref().map(|release| release.version.to_string()).unwrap_or_default(),
        permanent: optional(observed.and_then(|observed| observed.permanent.as_ref())),
        run_state: run_state.into(),
        running: optional(running),
        health: health(instance.healthy).into(),
        condition: condition.to_owned(),
        condition_detail: condition_detail.to_owned(),
        assignment: instance.assignment.as_ref().map(assignment).unwrap_or_default(),
    }
}

const fn health(healthy: Option<bool>) -> v1::Health {
    match healthy {
        None => v1::Health::Unknown,
        Some(true) => v1::Health::Healthy,
        Some(false) => v1::Health::Failed,
    }
}

const fn run_state(running: Option<&Running>) -> (v1::RunState, Option<&ReleaseVersion>) {
    match running {
        None | Some(Running::Unknown { .. }) => (v1::RunState::Unknown, None),
        Some(Running::Down) => (v1::RunState::Down, None),
        Some(Running::Up { version, .. }) => (v1::RunState::Up, Some(version)),
    }
}

fn condition(condition: Option<&Condition>) -> (&'static str, &str) {
    match condition {
        None => ("unknown", "its agent has not reported yet"),
        Some(Condition::Absent) => ("absent", ""),
        Some(Condition::Clean) => ("clean", ""),
        Some(Condition::Trial) => ("trial", ""),
        Some(Condition::Stopped) => ("stopped", ""),
        Some(Condition::HalfEnvironment { detail }) => ("half-environment", detail),
        Some(Condition::TornPointers { detail }) => ("torn-pointers", detail),
        Some(Condition::HandlerLies { detail }) => ("handler-lies", detail),
        Some(Condition::MixedCode { detail }) => ("mixed-code", detail),
        Some(Condition::Debris { detail }) => ("debris", detail),
        Some(Condition::Unknown { reason }) => ("unknown", reason),
    }
}

fn assignment(assignment: &Assignment) -> String {
    let order = match assignment.order {
        Order::Prepare => "prepare",
        Order::Upgrade => "upgrade",
        Order::Drain => "drain",
        Order::Commit => "commit",
        Order::Revert => "revert",
    };
    let from = assignment.from.as_ref().map_or("nothing", |from| from.version.as_str());
    let to = &assignment.to.version;
    format!("{order} {from} -> {to} ({}, {})", assignment.rollout, assignment.generation)
}
