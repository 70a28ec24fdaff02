//! A node that joined with a matching label, or came back after it had missed a rollout, is brought
//! to the app's committed release by a rollout of its own over that one node.

use super::plan::{Draft, step_for};
use super::view::OUT_OF_REACH;
use crate::driver::Running;
use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::app::{App, Instance};
use crate::state::plan::Purpose;
use std::collections::BTreeMap;
use std::time::Duration;

/// The next catch-up that is due, if one is. At most one per app at a time, and none while another
/// rollout of the app is on its way (S1).
#[must_use]
pub fn next(state: &ClusterState, silence: &BTreeMap<NodeId, Duration>) -> Option<Draft> {
    state.apps.values().find_map(|app| draft_for(state, app, silence))
}

fn draft_for(state: &ClusterState, app: &App, silence: &BTreeMap<NodeId, Duration>) -> Option<Draft> {
    let current = app.current.as_ref()?;
    if app.rollout.is_some() || !app.running || state.refuse_quarantined(current).is_err() {
        return None;
    }
    let release = state.release(&current.name, &current.version).ok()?;
    let heard = |node: &NodeId| silence.get(node).is_some_and(|silent| *silent < OUT_OF_REACH);
    app.instances.iter().find_map(|(node, instance)| {
        let missed = instance.settled.as_ref() != Some(current);
        let tried = instance.catch_up_failed.as_ref() == Some(current);
        if !missed || tried || !heard(node) || !observed_without_order(instance) || is_sick(instance) {
            return None;
        }
        state.present(*node).ok().filter(|record| record.carries(&app.spec.placement))?;
        let step = step_for(state, app, *node, release, false)?;
        Some(Draft {
            app: app.name().clone(),
            basis: app.basis,
            to: current.clone(),
            steps: vec![step],
            purpose: Purpose::CatchUp,
        })
    })
}

/// A node that would be refused as sick waits until it is well: a catch-up that fails is not tried again.
/// Where nothing runs there is nothing that could be sick.
fn is_sick(instance: &Instance) -> bool {
    let runs = instance.observed.as_ref().is_some_and(|observed| observed.running != Running::Down);
    runs && instance.healthy != Some(true)
}

/// A node that nobody has looked at yet is unknown, and one with an order outstanding still has to go
/// somewhere first.
const fn observed_without_order(instance: &Instance) -> bool {
    instance.observed.is_some() && instance.assignment.is_none()
}
