//! From "this app, that version" to an ordered list of node steps, each with its method, the reason
//! for it, and the way back.

use crate::driver::{Method, Rung, Running};
use crate::ids::{AppName, NodeId, ReleaseVersion};
use crate::spec::{DriverKind, MethodPolicy};
use crate::state::ClusterState;
use crate::state::app::{App, Instance};
use crate::state::command::Command;
use crate::state::plan::{PlanStep, Purpose};
use crate::state::rejection::Rejection;
use crate::state::release::{ReleaseId, ReleaseRecord};

/// A plan that has no number yet; `SavePlan` gives it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Which app.
    pub app: AppName,
    /// The app's basis that it was made from.
    pub basis: u64,
    /// Where everybody goes.
    pub to: ReleaseId,
    /// In the order of execution.
    pub steps: Vec<PlanStep>,
    /// Why it is made.
    pub purpose: Purpose,
}

impl Draft {
    /// The command that keeps it.
    #[must_use]
    pub fn into_command(self) -> Command {
        let Self { app, basis, to, steps, purpose } = self;
        Command::SavePlan { app, basis, to, steps, purpose }
    }
}

/// Makes a plan that brings every instance of an app to a version. Nodes that are there already are
/// left out. Order: by node name, canary first.
///
/// # Errors
/// Where app or release are not there, the release is quarantined, a rollout is on its way, a node is
/// on trial, or nothing would change.
pub fn draft(state: &ClusterState, name: &AppName, version: &ReleaseVersion) -> Result<Draft, Rejection> {
    let app = state.app(name)?;
    let to = state.release(&app.spec.release, version)?;
    state.refuse_quarantined(&to.id)?;
    if let Some(rollout) = app.rollout {
        return Err(Rejection::RolloutRunning { app: name.clone(), rollout });
    }
    refuse_trials(state, app)?;
    let canaries = app.spec.upgrade.canary;
    let mut steps = Vec::new();
    for node in nodes_by_name(state, app) {
        let canary = u32::try_from(steps.len()).is_ok_and(|position| position < canaries);
        if let Some(step) = step_for(state, app, node, to, canary) {
            steps.push(step);
        }
    }
    if steps.is_empty() {
        return Err(Rejection::NothingToDo { app: name.clone(), version: version.clone() });
    }
    // A canary that is everybody holds nobody back.
    if steps.iter().all(|step| step.canary) {
        for step in steps.iter_mut().skip(1) {
            step.canary = false;
        }
    }
    Ok(Draft { app: name.clone(), basis: app.basis, to: to.id.clone(), steps, purpose: Purpose::Roll })
}

fn nodes_by_name(state: &ClusterState, app: &App) -> Vec<NodeId> {
    let mut nodes: Vec<_> = state
        .present_nodes()
        .filter(|node| app.instances.contains_key(&node.id) && node.carries(&app.spec.placement))
        .collect();
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes.into_iter().map(|node| node.id).collect()
}

/// One node's step, or nothing where it is there already, or where something else comes first: an ended
/// rollout's order to go back or to commit, or the end of a trial.
pub(super) fn step_for(
    state: &ClusterState,
    app: &App,
    node: NodeId,
    to: &ReleaseRecord,
    canary: bool,
) -> Option<PlanStep> {
    let instance = app.instances.get(&node)?;
    if instance.still_has_to_go() || is_on_trial(instance) {
        return None;
    }
    let from = comes_from(state, app, instance);
    if is_settled_on(instance, &to.id) {
        return None;
    }
    let (method, because) = choose_method(state, app, from.as_ref(), to);
    let way_back = way_back(app, method);
    Some(PlanStep { node, from, method, because, way_back, canary })
}

/// What stands on trial after a rollout has ended is neither where its node comes from nor where the
/// cluster wanted it: an operator takes it off first.
fn refuse_trials(state: &ClusterState, app: &App) -> Result<(), Rejection> {
    let mut nodes = nodes_by_name(state, app);
    nodes.retain(|node| {
        app.instances.get(node).is_some_and(|instance| !instance.still_has_to_go() && is_on_trial(instance))
    });
    if nodes.is_empty() { Ok(()) } else { Err(Rejection::OnTrial { app: app.name().clone(), nodes }) }
}

/// Whether it was last seen to run what its host would not boot.
fn is_on_trial(instance: &Instance) -> bool {
    instance.observed.as_ref().is_some_and(|observed| match &observed.running {
        Running::Up { version, .. } => observed.permanent.as_ref() != Some(version),
        Running::Down | Running::Unknown { .. } => false,
    })
}

/// What a node comes from is what it would boot into; where nobody has looked yet, what the cluster last
/// settled it on.
fn comes_from(state: &ClusterState, app: &App, instance: &Instance) -> Option<ReleaseId> {
    let version = match &instance.observed {
        None => return instance.settled.clone(),
        Some(observed) => observed.permanent.as_ref()?,
    };
    match &instance.settled {
        Some(settled) if settled.version == *version => Some(settled.clone()),
        Some(_) | None => state.release(&app.spec.release, version).ok().map(|record| record.id.clone()),
    }
}

fn is_settled_on(instance: &Instance, release: &ReleaseId) -> bool {
    instance.settled.as_ref() == Some(release)
        && instance
            .observed
            .as_ref()
            .is_none_or(|observed| observed.permanent.as_ref() == Some(&release.version))
}

fn choose_method(
    state: &ClusterState,
    app: &App,
    from: Option<&ReleaseId>,
    to: &ReleaseRecord,
) -> (Method, String) {
    let Some(from) = from else { return (Method::First, "nothing is installed yet".to_owned()) };
    let hot = hot_reason(state, app, from, to);
    match (app.spec.upgrade.method, hot) {
        (MethodPolicy::Restart, _) => (Method::Restart, "the app's policy says restart".to_owned()),
        (MethodPolicy::Auto | MethodPolicy::Hot, Ok(because)) => (Method::Hot, because),
        (MethodPolicy::Auto, Err(because)) => (Method::Restart, because),
        // Preflight refuses it with the same reason; the plan shows what was asked for.
        (MethodPolicy::Hot, Err(because)) => (Method::Hot, format!("the policy says hot, but {because}")),
    }
}

/// Whether a relup leads from one to the other, as far as the catalog knows. Going down uses
/// the relup of the version that is left, as OTP does (release_handler(3), `install_release`).
fn hot_reason(
    state: &ClusterState,
    app: &App,
    from: &ReleaseId,
    to: &ReleaseRecord,
) -> Result<String, String> {
    match app.spec.driver {
        DriverKind::Restart { .. } => return Err("its driver only restarts".to_owned()),
        DriverKind::Fake => return Ok("the fake driver always can".to_owned()),
        DriverKind::Erlang => {}
    }
    let (there, here) = (&to.id.version, &from.version);
    let Ok(left) = state.release(&from.name, here) else {
        return Err(format!("{here} is not in the catalog"));
    };
    if left.erts != to.erts {
        let name = |erts: &Option<String>| erts.clone().unwrap_or_else(|| "none".to_owned());
        return Err(format!("the ERTS differs ({} -> {})", name(&left.erts), name(&to.erts)));
    }
    let one_way_will_do = app.spec.upgrade.preflight.checks.contains_key("P3b");
    if to.hot_up_from.contains(here) {
        // A restart would have a way back, but whoever wrote the way up meant it to be hot: preflight refuses
        // what was forgotten, unless the policy takes it (P3b).
        let back = match (to.hot_down_to.contains(here), one_way_will_do) {
            (true, _) => " and back",
            (false, true) => ", and nowhere back",
            (false, false) => ", and nowhere back, which preflight refuses",
        };
        return Ok(format!("the relup of {there} leads up from {here}{back}"));
    }
    let up_again = left.hot_up_from.contains(there);
    match (left.hot_down_to.contains(there), up_again) {
        (true, true) => Ok(format!("the relup of {here} leads down to {there} and back")),
        (true, false) if one_way_will_do => {
            Ok(format!("the relup of {here} leads down to {there}, and nowhere back"))
        }
        (true, false) => Err(format!("the relup of {here} leads down to {there}, and not up again")),
        (false, true | false) => Err(format!("no relup leads from {here} to {there}")),
    }
}

fn way_back(app: &App, method: Method) -> Vec<Rung> {
    match (method, &app.spec.driver) {
        (Method::First, _) => vec![Rung::Unplace],
        (Method::Hot, DriverKind::Erlang | DriverKind::Fake | DriverKind::Restart { .. }) => {
            vec![Rung::RelupDown, Rung::Restart]
        }
        (Method::Restart, DriverKind::Erlang | DriverKind::Fake | DriverKind::Restart { .. }) => {
            vec![Rung::Restart]
        }
    }
}
