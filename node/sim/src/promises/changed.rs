//! What an entry has changed, found without looking into what it has left alone: states share their parts.

use relupd::ids::NodeId;
use relupd::state::ClusterState;
use relupd::state::app::{App, Instance};
use relupd::state::rollout::{NodeProgress, Rollout};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The values that are other ones than before, or were not there.
pub(super) fn changed<'a, K: Ord, V>(
    before: Option<&'a BTreeMap<K, Arc<V>>>,
    after: &'a BTreeMap<K, Arc<V>>,
) -> impl Iterator<Item = (&'a K, &'a V)> {
    let mut before = before.into_iter().flatten().peekable();
    after.iter().filter_map(move |(key, now)| {
        while before.next_if(|(earlier, _)| *earlier < key).is_some() {}
        let same = before.next_if(|(was, _)| *was == key).is_some_and(|(_, was)| Arc::ptr_eq(was, now));
        (!same).then(|| (key, now.as_ref()))
    })
}

pub(super) fn changed_instances<'a>(
    before: Option<&'a ClusterState>,
    app: &'a App,
) -> impl Iterator<Item = (&'a NodeId, &'a Instance)> {
    let before = before.and_then(|before| before.apps.get(app.name()));
    changed(before.map(|before| &before.instances), &app.instances)
}

pub(super) fn changed_rollouts<'a>(
    before: Option<&'a ClusterState>,
    after: &'a ClusterState,
) -> impl Iterator<Item = &'a Rollout> {
    changed(before.map(|before| &before.rollouts), &after.rollouts).map(|(_, rollout)| rollout)
}

pub(super) fn changed_nodes<'a>(
    before: Option<&'a ClusterState>,
    rollout: &'a Rollout,
) -> impl Iterator<Item = (&'a NodeId, &'a NodeProgress)> {
    let before = before.and_then(|before| before.rollouts.get(&rollout.id));
    changed(before.map(|before| &before.nodes), &rollout.nodes)
}
