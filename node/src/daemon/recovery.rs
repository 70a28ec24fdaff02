//! After the quorum is lost: one survivor is made the only voter of a cluster that goes on from what it holds.
//!
//! It is asked for while the daemon runs, and done when the daemon has started again, before any member runs
//! on the state file. The wish lies in the state directory from the one to the other, so that a crash in
//! between changes nothing: doing it twice comes to the same.

use super::cluster::new_command_id;
use super::outside::state_file;
use super::replicated::Replicated;
use crate::api::control::ControlError;
use crate::clock::wall;
use crate::config::Settings;
use crate::consensus::{MachineError, RecoveryError, StateMachine as _, Survivor};
use crate::durable;
use crate::ids::{ClusterId, NodeId, RaftId};
use crate::state::ClusterState;
use crate::state::command::{Actor, Command, Entry};
use crate::state::node::NodeRecord;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// That a survivor is to go on alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    /// Of which cluster; for any other it is none.
    pub(crate) cluster: ClusterId,
    /// Nodes that never come back. They are removed, which revokes their certificates.
    pub(crate) lost: BTreeSet<NodeId>,
    /// Who said so.
    pub(crate) actor: Actor,
}

/// What has to be known before a node may go on alone.
pub(crate) struct Situation<'a> {
    pub(crate) me: NodeId,
    pub(crate) state: &'a ClusterState,
    pub(crate) voters: &'a BTreeSet<RaftId>,
    /// A majority of them has just answered.
    pub(crate) has_quorum: bool,
    /// Whether a node is heard of now.
    pub(crate) answers: &'a dyn Fn(&NodeId) -> bool,
    /// Nodes that are said to be lost for good.
    pub(crate) lost: &'a BTreeSet<NodeId>,
}

/// Whether this node may go on alone. Two halves that both go on are worse than one that waits: voters who
/// are neither heard of nor given up could be the other half, and so could a majority that has no leader yet.
pub(crate) fn check(situation: &Situation<'_>) -> Result<(), ControlError> {
    let Situation { me, state, voters, has_quorum, answers, lost } = *situation;
    let refuse = |text: String| Err(ControlError::Invalid(text));
    if has_quorum {
        let remedy = "take lost nodes out with `relupctl cluster remove`, and let new ones join";
        return refuse(format!("this cluster has its quorum: {remedy}"));
    }
    if lost.contains(&me) {
        return refuse("this node cannot be lost: it is the one that goes on".to_owned());
    }
    let alive = named(state.present_nodes().filter(|node| lost.contains(&node.id) && answers(&node.id)));
    if !alive.is_empty() {
        return refuse(format!("{alive} answers: what is lost must never come back, so end it there first"));
    }
    let forgotten = named(state.present_nodes().filter(|node| {
        node.id != me && voters.contains(&node.raft_id) && !lost.contains(&node.id) && !answers(&node.id)
    }));
    let votes = |node: &&NodeRecord| voters.contains(&node.raft_id);
    let left = state.present_nodes().filter(votes).filter(|node| node.id == me || answers(&node.id)).count();
    if 2 * left > voters.len() {
        return refuse(format!(
            "{left} of {} voters answer, which is a majority: give them time",
            voters.len()
        ));
    }
    if !forgotten.is_empty() {
        let remedy = "bring it back, or say `--lost` if it never comes back";
        return refuse(format!("{forgotten} votes and does not answer: {remedy}"));
    }
    check_key(state, me, lost)
}

/// Whether this node holds the CA's key: without it a cluster signs nothing any more.
pub(crate) fn check_key(
    state: &ClusterState,
    me: NodeId,
    lost: &BTreeSet<NodeId>,
) -> Result<(), ControlError> {
    let holds = |node: &NodeId| state.authority.sealed_keys.contains_key(node);
    if holds(&me) {
        return Ok(());
    }
    let others = named(state.present_nodes().filter(|node| holds(&node.id) && !lost.contains(&node.id)));
    let others = if others.is_empty() { "no other node does".to_owned() } else { format!("use {others}") };
    Err(ControlError::Invalid(format!(
        "this node does not hold the CA's key, without which no cluster lasts: {others}"
    )))
}

fn named<'a>(nodes: impl Iterator<Item = &'a NodeRecord>) -> String {
    nodes.map(|node| node.name.clone()).collect::<Vec<_>>().join(", ")
}

/// A recovery that was asked for is not done with. It is tried again at the next start.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The wish cannot be read, written or taken away.
    #[error("cannot use {path}")]
    Wish {
        /// Where it lies.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The wish is not one.
    #[error("{path} is not understood: remove it, and run `relupctl cluster recover` again")]
    Damaged {
        /// Where it lies.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The state file does not allow it.
    #[error("cannot recover from what this node holds")]
    State(#[from] RecoveryError),
    /// A lost node cannot be removed.
    #[error("cannot remove the lost node {node}")]
    Remove {
        /// Which.
        node: NodeId,
        /// Why not.
        #[source]
        source: MachineError,
    },
}

/// Keeps the wish until the next start.
pub(crate) fn ask(state_dir: &Path, wish: &Wish) -> Result<(), RecoverError> {
    let path = path(state_dir);
    let bytes = serde_json::to_vec(wish).expect("ids and names are JSON");
    durable::replace(&path, &bytes, 0o600).map_err(|source| RecoverError::Wish { path, source })
}

/// Does what was asked for before the daemon started, if anything was.
pub(crate) fn carry_out(settings: &Settings, cluster: ClusterId, me: NodeId) -> Result<(), RecoverError> {
    let path = path(&settings.state_dir);
    let Some(wish) = read(&path)?.filter(|wish| wish.cluster == cluster) else { return Ok(()) };
    let machine = Replicated::new(ClusterState::awaited(cluster));
    let mut survivor = Survivor::read(&state_file(settings), cluster, me, machine)?;
    remove_lost(survivor.machine(), &wish)?;
    let state = survivor.machine().view();
    survivor.found(state.present_nodes().map(|node| node.raft_id))?;
    tracing::warn!(lost = ?wish.lost, "recovered: this node is the only voter, and goes on from what it held");
    durable::remove(&path).map_err(|source| RecoverError::Wish { path, source })
}

fn remove_lost(machine: &mut Replicated, wish: &Wish) -> Result<(), RecoverError> {
    let state = machine.view();
    for node in wish.lost.iter().copied().filter(|node| state.present(*node).is_ok()) {
        let command = Command::RemoveNode { node };
        let entry = Entry { id: new_command_id(), actor: wish.actor.clone(), at: wall(), command };
        let removed = machine.apply(0, &entry.encode()).and_then(|outcome| Ok(outcome?));
        removed.map_err(|source| RecoverError::Remove { node, source })?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Wish>, RecoverError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(RecoverError::Wish { path: path.to_owned(), source }),
    };
    let wish = serde_json::from_slice(&bytes);
    wish.map(Some).map_err(|source| RecoverError::Damaged { path: path.to_owned(), source })
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("recovery.json")
}

#[cfg(test)]
mod tests;
