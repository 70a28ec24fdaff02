//! S9.

use super::{Hosts, Violation, broken};
use crate::host::{ProcessTruth, Truth};
use relupd::driver::Condition;
use relupd::ids::{AppName, NodeId};
use relupd::state::ClusterState;
use relupd::state::app::{App, Instance, Order};
use std::collections::BTreeMap;
use std::time::Duration;

/// Within so long the cluster must know what is mixed on a host whose agent could tell it: a look every 30 s, a VM
/// that takes 10 s to answer, an answer of the cluster that takes another 10 s, and all of that once more.
const KNOWN_WITHIN: Duration = Duration::from_secs(100);

/// Since when each host is mixed and could have told of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Mixes(BTreeMap<(AppName, NodeId), Duration>);

impl Mixes {
    /// S9. Asked every few seconds: a mix that lasts is known and named while it lasts, whatever becomes of it.
    pub(super) fn a_mix_that_lasts_is_known_and_named(
        &mut self,
        now: Duration,
        state: &ClusterState,
        hosts: &dyn Hosts,
    ) -> Option<Violation> {
        let mut since = BTreeMap::new();
        for (name, app) in &state.apps {
            for (node, instance) in &app.instances {
                if !hosts.could_tell(*node, name) {
                    continue;
                }
                let Some(truth) = hosts.truth(*node, name).filter(|truth| !is_known(truth, instance)) else {
                    continue;
                };
                let key = (name.clone(), *node);
                let began = self.0.get(&key).copied().unwrap_or(now);
                if now.saturating_sub(began) >= KNOWN_WITHIN {
                    return Some(unknown(name, *node, &truth, instance));
                }
                since.insert(key, began);
            }
        }
        self.0 = since;
        None
    }
}

/// Whether the cluster says of it what is the matter with it. A process that was skipped by a relup shows in the health
/// checks, and nowhere else.
fn is_known(truth: &Truth, instance: &Instance) -> bool {
    let named = instance.observed.as_ref().is_some_and(|seen| is_named(&seen.condition));
    (!truth.is_mixed() || named) && (!truth.is_unmigrated() || named || instance.healthy == Some(false))
}

fn unknown(name: &AppName, node: NodeId, truth: &Truth, instance: &Instance) -> Violation {
    let seen = instance.observed.as_ref().map(|seen| &seen.condition);
    let healthy = instance.healthy;
    let detail =
        format!("{name} on node {node}: {truth:?}; the cluster knows {seen:?}, healthy: {healthy:?}");
    broken("S9", detail)
}

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
            let hangs = matches!(truth.process, ProcessTruth::Booting(_));
            let stays = !truth.is_mixed() || hangs || may_stay(app, instance);
            if !stays || !is_known(&truth, instance) {
                return Some(unknown(name, *node, &truth, instance));
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
