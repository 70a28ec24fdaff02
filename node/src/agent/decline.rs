//! What a node answers that cannot work on an app at all, as its configuration forbids it.

use super::AgentContext;
use crate::driver::{Check, CheckResult};
use crate::ids::{AppName, Generation};
use crate::state::ClusterState;
use crate::state::app::Order;
use crate::state::command::{Command, Report};

/// Refuses what the node is to prepare, so that whoever has started the rollout is told now and not at its deadline. Any
/// other order waits until the app can be opened: something of it may have been done.
pub(super) async fn decline(
    context: &dyn AgentContext,
    app: &AppName,
    why: String,
    declined: &mut Option<Generation>,
) {
    let generation = to_prepare(&context.state().borrow(), app, context);
    let Some(generation) = generation.filter(|generation| Some(*generation) != *declined) else { return };
    let check = Check {
        name: "the app can be worked on here".to_owned(),
        result: CheckResult::Failed {
            reason: why,
            remedy: "put this right on the node or in the app's spec, then plan again".to_owned(),
        },
    };
    let report = Report::PrepareFailed { checks: vec![check] };
    let (node, app) = (context.node(), app.clone());
    match context.propose(Command::Report { node, app, generation, report }).await {
        Ok(_) => *declined = Some(generation),
        Err(error) => tracing::debug!(%error, "the refusal is not told yet"),
    }
}

fn to_prepare(state: &ClusterState, app: &AppName, context: &dyn AgentContext) -> Option<Generation> {
    let assignment = state.apps.get(app)?.instances.get(&context.node())?.assignment.as_ref()?;
    (assignment.order == Order::Prepare).then_some(assignment.generation)
}
