//! Keeps the figures that describe a state up to date; those that count events are written where the
//! events happen.

use super::member::Member;
use crate::consensus::Role;
use crate::telemetry::Metrics;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Raft's indices and contacts change with every heartbeat; nobody asks for them that often.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn keep(member: Arc<Member>, metrics: Metrics, ending: CancellationToken) {
    loop {
        record(&member, &metrics);
        tokio::select! {
            () = ending.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn record(member: &Member, metrics: &Metrics) {
    let status = member.cluster.raft_status();
    metrics.raft_term.set(gauge(status.term));
    metrics.raft_is_leader.set(i64::from(status.role == Role::Leader));
    metrics.raft_commit_index.set(gauge(status.commit));
    metrics.raft_applied_index.set(gauge(status.applied));
    let alive = member.gossip_view().alive().count();
    metrics.gossip_live_nodes.set(i64::try_from(alive).unwrap_or(i64::MAX));
    metrics.count_rollouts(&member.cluster.state());
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
