//! What a decision rests on beside the replicated state.

use crate::ids::NodeId;
use crate::state::app::{App, Instance};
use crate::state::rollout::{Elapsed, NodeProgress, Rollout};
use crate::state::{ClusterState, rejection::Rejection};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Everything that a decision on one rollout may look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The replicated state.
    pub state: &'a ClusterState,
    /// The rollout, out of that state.
    pub rollout: &'a Rollout,
    /// Its app, out of that state.
    pub app: &'a App,
    /// How long each node has been silent, as the leader itself measures it. A node that is not in
    /// here has not been heard of since this leader was elected: unknown, not dead.
    pub silence: &'a BTreeMap<NodeId, Duration>,
    /// How much of the deadlines is used up: what was committed, and what this leader has seen pass.
    pub elapsed: Elapsed,
    /// How long each node has been in its present step without a sign of progress, not counting
    /// pauses. Measured by this leader: a new one begins again, so it may lengthen, never shorten.
    pub stalled: &'a BTreeMap<NodeId, Duration>,
}

/// A node counts as out of reach when it has been silent for so long. It is longer than any
/// silence of a living follower (heartbeats go out every 200 ms, an election takes about 1 s), and
/// it only ever begins a wait: what follows from it is governed by the policy's deadlines.
pub const OUT_OF_REACH: Duration = Duration::from_secs(2);

impl<'a> View<'a> {
    /// # Errors
    /// Where the rollout's app is gone.
    pub fn new(
        state: &'a ClusterState,
        rollout: &'a Rollout,
        silence: &'a BTreeMap<NodeId, Duration>,
        elapsed: Elapsed,
        stalled: &'a BTreeMap<NodeId, Duration>,
    ) -> Result<Self, Rejection> {
        let app = state.app(&rollout.plan.app)?;
        Ok(Self { state, rollout, app, silence, elapsed, stalled })
    }

    pub(super) fn silent_for(&self, node: NodeId) -> Duration {
        self.silence.get(&node).copied().unwrap_or_default()
    }

    pub(super) fn out_of_reach(&self, node: NodeId) -> bool {
        self.silent_for(node) >= OUT_OF_REACH
    }

    pub(super) fn stalled_for(&self, node: NodeId) -> Duration {
        self.stalled.get(&node).copied().unwrap_or_default()
    }

    pub(super) fn instance(&self, node: NodeId) -> Option<&'a Instance> {
        self.app.instances.get(&node).map(Arc::as_ref)
    }

    /// Who is at work, for whichever rollout of the app (S2).
    pub(super) fn in_flight(&self) -> Vec<NodeId> {
        self.state.in_flight(self.app)
    }

    pub(super) fn in_order(&self) -> Vec<(NodeId, &'a NodeProgress)> {
        self.rollout.in_order()
    }
}
