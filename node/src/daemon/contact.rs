//! When this node last heard from a leader that had proved its quorum. The orphan rule rests on it.

use super::cluster::Cluster;
use crate::clock::{Monotonic, monotonic};
use crate::ids::NodeId;
use crate::state::ClusterState;
use std::time::Duration;
use tokio::sync::watch;

/// A proof is sought this often while an order stands here. Orphan deadlines are minutes.
const WHILE_ORDERED: Duration = Duration::from_secs(5);

/// With no order here nothing depends on it.
const WHILE_IDLE: Duration = Duration::from_secs(30);

/// The newest proof.
#[derive(Clone)]
pub(crate) struct Contact(watch::Sender<Monotonic>);

impl Contact {
    /// A daemon that has just started gives the leader its time, rather than take an app back at once.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(monotonic()))
    }

    pub(crate) fn proved(&self, at: Monotonic) {
        self.0.send_if_modified(|last| {
            let newer = at > *last;
            *last = at.max(*last);
            newer
        });
    }

    pub(crate) fn age(&self, now: Monotonic) -> Duration {
        now.since(*self.0.borrow())
    }
}

/// Seeks proof, until dropped.
pub(crate) async fn keep(cluster: Cluster, contact: Contact) {
    let mut states = cluster.states();
    loop {
        // A proof counts from when it was asked for: the quorum held at some time after that.
        let asked = monotonic();
        if cluster.read_barrier().await.is_ok() {
            contact.proved(asked);
        }
        let rested = monotonic();
        // An order that comes meanwhile shortens the pause: its node must not count as an orphan for want of
        // a question.
        loop {
            let until = rested + pause(&states.borrow_and_update(), cluster.me());
            tokio::select! {
                () = tokio::time::sleep(until.since(monotonic())) => break,
                changed = states.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// How long nothing more is asked, as of this state; a newer one may shorten it.
#[must_use]
pub fn pause(state: &ClusterState, me: NodeId) -> Duration {
    let mut apps = state.apps.values();
    let ordered =
        apps.any(|app| app.instances.get(&me).is_some_and(|instance| instance.assignment.is_some()));
    if ordered { WHILE_ORDERED } else { WHILE_IDLE }
}
