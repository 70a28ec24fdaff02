//! What nodes say of their own packages.

use super::node::raft_role;
use crate::api::control::RaftStatus;
use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::node::NodeRecord;
use crate::upgrade::{Phase, Progress, Report};
use relupd_proto::api::v1;
use std::collections::BTreeMap;

/// An answer for each node that was asked, or why there is none.
pub(crate) type Reports = BTreeMap<NodeId, Result<Report, String>>;

pub(crate) fn upgrade(state: &ClusterState, raft: &RaftStatus, reports: Reports) -> v1::GetUpgradeResponse {
    let going = state.rollouts.values().filter(|rollout| !rollout.phase.is_terminal());
    let nodes =
        reports.into_iter().filter_map(|(id, report)| Some(node(raft, state.nodes.get(&id)?, report)));
    v1::GetUpgradeResponse {
        format: state.format.0.into(),
        rollouts: going.map(|rollout| rollout.id.to_string()).collect(),
        nodes: nodes.collect(),
    }
}

fn node(raft: &RaftStatus, record: &NodeRecord, report: Result<Report, String>) -> v1::NodeUpgrade {
    let base = v1::NodeUpgrade {
        id: record.id.to_string(),
        name: record.name.clone(),
        raft_role: raft_role(raft, record.id).into(),
        leader: raft.leader == Some(record.id),
        ..Default::default()
    };
    match report {
        Err(unreachable) => v1::NodeUpgrade { unreachable, ..base },
        Ok(report) => v1::NodeUpgrade {
            version: report.version,
            architecture: report.architecture.unwrap_or_default(),
            reads: report.reads.into(),
            confirmed: report.confirmed,
            trusted: report.trusted,
            upgrade: report.progress.map(host),
            ..base
        },
    }
}

pub(crate) fn host(progress: Progress) -> v1::HostUpgrade {
    let Progress { order, from, to, phase, reason } = progress;
    v1::HostUpgrade { order, from, to, phase: phase_of(phase).into(), reason }
}

const fn phase_of(phase: Phase) -> v1::HostUpgradePhase {
    match phase {
        Phase::Installing => v1::HostUpgradePhase::Installing,
        Phase::Checking => v1::HostUpgradePhase::Checking,
        Phase::Reverting => v1::HostUpgradePhase::Reverting,
        Phase::Installed => v1::HostUpgradePhase::Installed,
        Phase::Reverted => v1::HostUpgradePhase::Reverted,
        Phase::Refused => v1::HostUpgradePhase::Refused,
        Phase::Failed => v1::HostUpgradePhase::Failed,
    }
}
