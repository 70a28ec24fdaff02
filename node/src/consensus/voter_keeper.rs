//! Carries out what [`voters::decide`](super::voters::decide) decides, while this member leads.

use super::handle::Handle;
use super::machine::StateMachine;
use super::voters::{Decision, Input, Member, VoterSettings, decide};
use crate::clock::monotonic;
use std::time::Duration;

/// Contact and progress are looked at this often; changes of the state are looked at as they come.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Keeps the voters as they should be, until dropped. `members` reads the nodes out of the state,
/// removed ones included.
pub async fn keep_voters<S: StateMachine>(
    handle: Handle<S>,
    members: impl Fn(&S::View) -> Vec<Member>,
    settings: VoterSettings,
) {
    let mut leadership = handle.leadership();
    let mut views = handle.views();
    let mut last_reason = None;
    // An error means that the member has stopped.
    while leadership.wait_for(|now| now.is_self).await.is_ok() {
        let members = members(&views.borrow_and_update());
        let input = Input::of(&handle.status().borrow(), members, settings, monotonic());
        let decision = input.as_ref().map_or(Decision::Settled, decide);
        let reason = match &decision {
            Decision::Wait(waiting) => Some(waiting.to_string()),
            Decision::Settled | Decision::Change(_) | Decision::TransferLeadership { .. } => None,
        };
        carry_out(&handle, decision).await;
        if let Some(reason) = reason.as_deref().filter(|reason| last_reason.as_deref() != Some(*reason)) {
            tracing::debug!(reason, "the voters stay as they are");
        }
        last_reason = reason;
        let _ = tokio::time::timeout(LOOK_EVERY, views.changed()).await;
    }
}

/// What fails is decided again at the next look.
async fn carry_out<S: StateMachine>(handle: &Handle<S>, decision: Decision) {
    match decision {
        Decision::Settled | Decision::Wait(_) => {}
        Decision::Change(change) => {
            tracing::info!(%change, "changing the voters");
            if let Err(error) = handle.change_membership(change).await {
                tracing::warn!(%error, "the voters were not changed");
            }
        }
        Decision::TransferLeadership { to } => {
            tracing::info!(%to, "this node was removed: handing over leadership");
            if let Err(error) = handle.transfer_leadership(to).await {
                tracing::warn!(%error, "leadership was not handed over");
            }
        }
    }
}
