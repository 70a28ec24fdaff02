//! This node's place in its cluster: propose, read, watch, and who has been silent for how long.

use super::replicated::Replicated;
use crate::clock::{Monotonic, monotonic, wall};
use crate::consensus::{Handle, Leadership, ProposeError, ReadError, Status};
use crate::identity::random;
use crate::ids::{CommandId, NodeId, RaftId};
use crate::state::command::{Actor, Command, Entry};
use crate::state::{ClusterState, Outcome};
use crate::telemetry::Metrics;
use crate::telemetry::metrics::ProposalOutcome;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// A cheap clone for everybody who needs the cluster.
#[derive(Clone)]
pub struct Cluster {
    me: NodeId,
    consensus: Handle<Replicated>,
    metrics: Metrics,
}

impl Cluster {
    pub(crate) fn new(me: NodeId, consensus: Handle<Replicated>, metrics: Metrics) -> Self {
        Self { me, consensus, metrics }
    }

    /// This node.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    pub(crate) fn consensus(&self) -> &Handle<Replicated> {
        &self.consensus
    }

    /// The state as it is applied here.
    #[must_use]
    pub fn state(&self) -> Arc<ClusterState> {
        Arc::clone(&self.consensus.views().borrow())
    }

    /// The same, as it changes.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.consensus.views()
    }

    /// Has a command decided, wherever the leader is, and applied here.
    ///
    /// # Errors
    /// Where no quorum answered; the outcome itself may be a rejection.
    pub async fn propose(&self, actor: Actor, command: Command) -> Result<Outcome, ProposeError> {
        if let Err(rejection) = self.state().refuse_newer(&command) {
            return Ok(Err(rejection));
        }
        let entry = Entry { id: new_command_id(), actor, at: wall(), command };
        let began = monotonic();
        let proposed = self.consensus.propose(entry.encode().into()).await;
        let took = monotonic().since(began);
        self.metrics.proposal_ended(ended(&proposed), took);
        let outcome = proposed?;
        tracing::debug!(id = %entry.id, micros = micros(took), "committed and applied here");
        Ok(outcome)
    }

    /// Returns once everything that was committed before is applied here.
    ///
    /// # Errors
    /// Where no quorum answered.
    pub async fn read_barrier(&self) -> Result<(), ReadError> {
        self.consensus.read_barrier().await.map(|_index| ())
    }

    /// Who leads.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.consensus.leadership()
    }

    /// What raft says here.
    #[must_use]
    pub fn raft_status(&self) -> Status {
        self.consensus.status().borrow().clone()
    }

    /// While leading: how long every other member has been silent. This node itself never is.
    #[must_use]
    pub fn silence(&self, state: &ClusterState, now: Monotonic) -> BTreeMap<NodeId, Duration> {
        silence(&self.consensus.status().borrow(), self.me, state, now)
    }
}

/// While leading: how long every other member has been silent. `me` itself never is.
#[must_use]
pub fn silence(
    status: &Status,
    me: NodeId,
    state: &ClusterState,
    now: Monotonic,
) -> BTreeMap<NodeId, Duration> {
    let ids: BTreeMap<RaftId, NodeId> = state.present_nodes().map(|node| (node.raft_id, node.id)).collect();
    let mut silence: BTreeMap<_, _> = status
        .peers
        .iter()
        .filter_map(|(raft_id, peer)| Some((*ids.get(raft_id)?, now.since(peer.last_contact))))
        .collect();
    silence.insert(me, Duration::ZERO);
    silence
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn ended(proposed: &Result<Outcome, ProposeError>) -> ProposalOutcome {
    match proposed {
        Ok(Ok(_)) => ProposalOutcome::Applied,
        Ok(Err(_)) => ProposalOutcome::Rejected,
        Err(_) => ProposalOutcome::Failed,
    }
}

pub(crate) fn new_command_id() -> CommandId {
    CommandId::from_parts(unix_ms(), u128::from_be_bytes(random()))
}

pub(crate) fn unix_ms() -> u64 {
    u64::try_from(wall().as_millisecond()).unwrap_or(0)
}
