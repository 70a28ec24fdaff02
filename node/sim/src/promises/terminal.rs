//! S11.

use super::{Violation, broken};
use relupd::state::ClusterState;

/// S11. Asked at the end of the liveness phase, in which no fault is left and operators have resumed
/// and promoted what waits for them: whatever has not ended by then waits for something that never
/// comes.
pub(super) fn every_rollout_has_ended(state: &ClusterState) -> Option<Violation> {
    state.rollouts.values().find(|rollout| !rollout.phase.is_terminal()).map(|rollout| {
        let steps: Vec<_> =
            rollout.nodes.iter().map(|(node, now)| format!("{node}: {:?}", now.step)).collect();
        let detail = format!(
            "{} is still {} (paused: {}): {}",
            rollout.id,
            rollout.phase.name(),
            rollout.paused.is_some(),
            steps.join(", ")
        );
        broken("S11", detail)
    })
}
