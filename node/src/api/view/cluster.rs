//! The cluster as a whole, with notes on what may be lost and what is wrong.

use super::app::app;
use super::node::node;
use super::release::quarantines;
use super::rollout::summary;
use super::{node_name, optional};
use crate::api::control::{Liveness, Member, RaftStatus};
use crate::ids::NodeId;
use crate::state::ClusterState;
use crate::state::rollout::Rollout;
use relupd_proto::api::v1;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What this node knows at this moment.
pub(crate) struct Snapshot<'a> {
    pub(crate) me: NodeId,
    pub(crate) state: Option<&'a ClusterState>,
    pub(crate) raft: &'a RaftStatus,
    pub(crate) members: &'a [Member],
    /// Why a quorum did not confirm it; `None` where it did.
    pub(crate) unconfirmed: Option<String>,
    /// Whether the state's digest is wanted.
    pub(crate) with_digest: bool,
}

pub(crate) fn status(snapshot: &Snapshot<'_>) -> v1::GetStatusResponse {
    let Some(state) = snapshot.state else { return outside(snapshot.me) };
    v1::GetStatusResponse {
        cluster: Some(cluster(snapshot, state)),
        apps: state.apps.values().map(|found| app(state, found)).collect(),
        rollouts: rollouts(state).into_iter().map(|found| summary(state, found)).collect(),
        quarantines: quarantines(state),
    }
}

fn outside(me: NodeId) -> v1::GetStatusResponse {
    let note = "this node is not part of a cluster yet: run `relupctl cluster init` or `relupctl cluster join TOKEN`";
    let cluster =
        v1::ClusterStatus { this_node: me.to_string(), notes: vec![note.to_owned()], ..Default::default() };
    v1::GetStatusResponse { cluster: Some(cluster), ..Default::default() }
}

fn cluster(snapshot: &Snapshot<'_>, state: &ClusterState) -> v1::ClusterStatus {
    let nodes = state.present_nodes().map(|record| node(state, snapshot.raft, snapshot.members, record));
    v1::ClusterStatus {
        cluster_id: state.cluster.to_string(),
        this_node: snapshot.me.to_string(),
        leader: optional(snapshot.raft.leader.as_ref()),
        term: snapshot.raft.term,
        as_of_index: snapshot.raft.applied,
        confirmed: snapshot.unconfirmed.is_none(),
        nodes: nodes.collect(),
        notes: notes(snapshot, state),
        state_digest: optional(snapshot.with_digest.then(|| state.digest()).as_ref()),
        last_command: optional(state.last_command().filter(|_| snapshot.with_digest).as_ref()),
    }
}

/// Those on their way, and of each app the newest that has ended.
fn rollouts(state: &ClusterState) -> Vec<&Rollout> {
    let newest_ended = |rollout: &Rollout| {
        let later = state.rollouts.range(rollout.id..).skip(1);
        !later.map(|(_, other)| other).any(|other| other.plan.app == rollout.plan.app)
    };
    state
        .rollouts
        .values()
        .filter(|rollout| !rollout.phase.is_terminal() || newest_ended(rollout))
        .map(Arc::as_ref)
        .collect()
}

fn notes(snapshot: &Snapshot<'_>, state: &ClusterState) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(reason) = &snapshot.unconfirmed {
        notes.push(format!(
            "as of index {}, not confirmed by a quorum: {reason}; nothing can be changed until it is back",
            snapshot.raft.applied
        ));
    }
    notes.push(tolerance(snapshot.raft, state));
    let silent: Vec<String> = snapshot
        .members
        .iter()
        .filter(|member| member.liveness == Liveness::Dead && is_present(state, member.node))
        .map(|member| node_name(state, member.node))
        .collect();
    if !silent.is_empty() {
        notes.push(format!("silent: {}", silent.join(", ")));
    }
    notes.extend(versions(snapshot, state));
    if let Some(next) = state.next_format() {
        notes.push(format!(
            "every daemon reads format {next}, {} is written; when no way back to the relupd of before is wanted: relupctl cluster raise-format",
            state.format
        ));
    }
    notes
}

/// Which daemons run side by side, where they are of more than one version.
fn versions(snapshot: &Snapshot<'_>, state: &ClusterState) -> Option<String> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for record in state.present_nodes() {
        let member = snapshot.members.iter().find(|member| member.node == record.id);
        let version =
            member.and_then(|member| member.daemon_version.as_ref()).unwrap_or(&record.daemon_version);
        versions.entry(version).or_default().push(&record.name);
    }
    let said: Vec<String> =
        versions.iter().map(|(version, nodes)| format!("{version} on {}", nodes.join(", "))).collect();
    (said.len() > 1).then(|| {
        format!(
            "versions of relupd side by side: {}; `relupctl cluster upgrade` goes on with the rest",
            said.join("; ")
        )
    })
}

fn is_present(state: &ClusterState, node: NodeId) -> bool {
    state.present_nodes().any(|record| record.id == node)
}

/// How many voters may be lost, in words.
fn tolerance(raft: &RaftStatus, state: &ClusterState) -> String {
    let names =
        |nodes: &[NodeId]| nodes.iter().map(|node| node_name(state, *node)).collect::<Vec<_>>().join(", ");
    match (raft.voters.as_slice(), raft.learners.as_slice()) {
        ([], _) => "this node does not know yet who votes".to_owned(),
        ([only], []) => format!(
            "one node: if {} is lost, the cluster is lost; three nodes survive the loss of one",
            node_name(state, *only)
        ),
        ([voter], learners) => format!(
            "one voter: {learners} can be lost; if {voter} is lost, nothing can be changed until it is back (apps go on running); with three nodes any one can be lost",
            learners = names(learners),
            voter = node_name(state, *voter)
        ),
        (voters, _) => {
            // A majority must remain: of 2n+1 voters n may go.
            let may_go = (voters.len() - 1) / 2;
            format!("{} voters: any {may_go} of them can be lost ({})", voters.len(), names(voters))
        }
    }
}
