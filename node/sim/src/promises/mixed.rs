//! S9.

use super::{Hosts, Violation, broken};
use crate::host::ProcessTruth;
use relupd::driver::Condition;
use relupd::state::ClusterState;
use relupd::state::app::{App, Instance, Order};

/// S9. Asked at the end, when nothing has disturbed anybody for long: a mix that lasts is one that is
/// either not known or not being repaired. It may stay where an ended rollout left its order for an
/// operator, or where nobody ever decided on a version, or where nothing runs but a process that hangs in its
/// boot and answers nobody: that is stopped by an operator's order only. Then the cluster must at least say so.
pub(super) fn a_mix_of_two_versions_is_known_and_repaired(
    state: &ClusterState,
    hosts: &dyn Hosts,
) -> Option<Violation> {
    for (name, app) in &state.apps {
        for (node, instance) in &app.instances {
            let Some(truth) = hosts.truth(*node, name) else { continue };
            if !truth.is_mixed() {
                continue;
            }
            let known = instance.observed.as_ref().is_some_and(|seen| is_named(&seen.condition));
            let hangs = matches!(truth.process, ProcessTruth::Booting(_));
            if !known || !(hangs || may_stay(app, instance)) {
                let seen = instance.observed.as_ref().map(|seen| &seen.condition);
                let detail = format!("{name} on node {node} is mixed: {truth:?}; the cluster knows {seen:?}");
                return Some(broken("S9", detail));
            }
        }
    }
    None
}

fn is_named(condition: &Condition) -> bool {
    match condition {
        Condition::HalfEnvironment { .. }
        | Condition::TornPointers { .. }
        | Condition::HandlerLies { .. }
        | Condition::MixedCode { .. } => true,
        Condition::Absent
        | Condition::Clean
        | Condition::Trial
        | Condition::Stopped
        | Condition::Debris { .. }
        | Condition::Unknown { .. } => false,
    }
}

fn may_stay(app: &App, instance: &Instance) -> bool {
    let left_standing = instance
        .assignment
        .as_ref()
        .is_some_and(|order| matches!(order.order, Order::Upgrade | Order::Drain | Order::Revert));
    left_standing || instance.settled.is_none() || app.rollout.is_some()
}
