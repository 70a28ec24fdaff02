//! Nodes: what the state, raft and gossip say of each.

use super::app::instance;
use super::time;
use crate::api::control::{Liveness, Member, RaftStatus};
use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::node::NodeRecord;
use relupd_proto::api::v1;

pub(crate) fn node(
    state: &ClusterState,
    raft: &RaftStatus,
    members: &[Member],
    record: &NodeRecord,
) -> v1::Node {
    let member = members.iter().find(|member| member.node == record.id);
    let expires = record.certificates.iter().map(|certificate| certificate.not_after).max();
    let instances = state.apps.values().filter_map(|app| {
        app.instances.get(&record.id).map(|found| instance(state, app.name(), record.id, found))
    });
    v1::Node {
        id: record.id.to_string(),
        name: record.name.clone(),
        address: record.address.to_string(),
        labels: record.labels.clone(),
        daemon_version: member
            .and_then(|member| member.daemon_version.clone())
            .unwrap_or_else(|| record.daemon_version.clone()),
        raft_role: raft_role(raft, record.id).into(),
        leader: raft.leader == Some(record.id),
        liveness: liveness(member).into(),
        liveness_since: member.and_then(|member| member.since).map(time),
        joined_at: Some(time(record.joined_at)),
        certificate_expires_at: expires.map(time),
        instances: instances.collect(),
        upgrade: None,
    }
}

pub(super) fn raft_role(raft: &RaftStatus, node: NodeId) -> v1::RaftRole {
    if raft.voters.contains(&node) {
        v1::RaftRole::Voter
    } else if raft.learners.contains(&node) {
        v1::RaftRole::Learner
    } else {
        v1::RaftRole::Unspecified
    }
}

const fn liveness(member: Option<&Member>) -> v1::Liveness {
    match member {
        None => v1::Liveness::Unknown,
        Some(member) => match member.liveness {
            Liveness::Alive => v1::Liveness::Alive,
            Liveness::Dead => v1::Liveness::Dead,
            Liveness::Unknown => v1::Liveness::Unknown,
        },
    }
}
