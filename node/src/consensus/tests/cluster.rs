//! A cluster in one process.

use super::Ledger;
use crate::consensus::memory_network::MemoryNetwork;
use crate::consensus::{
    Exit, Handle, MemberError, MembershipChange, Options, Owner, StateMachine as _, Status, Storage, start,
};
use crate::ids::{ClusterId, NodeId, RaftId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than anything that is waited for; a test that needs it has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Five times quicker than in real life.
pub(super) fn fast() -> Options {
    Options {
        tick: Duration::from_millis(20),
        propose_timeout: PATIENCE,
        read_timeout: PATIENCE,
        snapshot_retry: Duration::from_millis(200),
        ..Options::default()
    }
}

pub(super) struct Cluster {
    directory: TempDir,
    pub(super) network: MemoryNetwork,
    pub(super) options: Options,
    members: BTreeMap<RaftId, (Handle<Ledger>, Exit)>,
}

impl Cluster {
    /// A cluster of one voter.
    pub(super) fn bootstrap(options: Options) -> Self {
        let directory = TempDir::new().expect("a directory for the test");
        let mut cluster =
            Self { directory, network: MemoryNetwork::default(), options, members: BTreeMap::new() };
        let first = owner(1);
        let storage =
            Storage::bootstrap(&cluster.path(first.raft), first, Ledger::default().snapshot().to_vec());
        cluster.run(storage.expect("a new state file"));
        cluster
    }

    /// A cluster of this many voters, ids 1 to n.
    pub(super) async fn of(voters: u64, options: Options) -> Self {
        let mut cluster = Self::bootstrap(options);
        for id in 2..=voters {
            cluster.join(RaftId(id)).await;
        }
        if voters > 1 {
            let change = MembershipChange {
                voters: (2..=voters).map(RaftId).collect(),
                ..MembershipChange::default()
            };
            cluster.handle(RaftId(1)).change_membership(change).await.expect("learners become voters");
            let all: BTreeSet<_> = (1..=voters).map(RaftId).collect();
            for id in all.clone() {
                cluster
                    .until(id, |status| status.membership.voters == all && !status.membership.is_joint())
                    .await;
            }
        }
        cluster
    }

    /// Adds a member that begins with an empty state file, as a learner.
    pub(super) async fn join(&mut self, id: RaftId) {
        let storage = Storage::join(&self.path(id), owner(id.0)).expect("a new state file");
        self.run(storage);
        let by = *self.members.keys().next().expect("a cluster has members");
        self.handle(by).change_membership(MembershipChange::add_learner(id)).await.expect("a learner joins");
        self.until(id, |status| status.membership.learners.contains(&id)).await;
    }

    pub(super) fn run(&mut self, storage: Storage) {
        let id = storage.owner().raft;
        let network = self.network.endpoint(id);
        let (handle, exit) = start(storage, Ledger::default(), network, self.options.clone(), rand::random())
            .expect("a member");
        self.network.plug(&handle);
        self.members.insert(id, (handle, exit));
    }

    pub(super) fn path(&self, id: RaftId) -> PathBuf {
        self.directory.path().join(format!("{id}.redb"))
    }

    pub(super) fn handle(&self, id: RaftId) -> Handle<Ledger> {
        self.members[&id].0.clone()
    }

    pub(super) fn ids(&self) -> Vec<RaftId> {
        self.members.keys().copied().collect()
    }

    /// Takes a member away in an instant: nobody hears of it again, and it hands over nothing.
    pub(super) async fn crash(&mut self, id: RaftId) {
        self.network.unplug(id);
        let (handle, exit) = self.members.remove(&id).expect("the member runs");
        drop(handle);
        within(exit.wait()).await.expect("its file is well");
    }

    /// Shuts a member down in good order.
    pub(super) async fn stop(&mut self, id: RaftId) -> Result<(), MemberError> {
        let (handle, exit) = self.members.remove(&id).expect("the member runs");
        handle.shutdown();
        let ended = within(exit.wait()).await;
        self.network.unplug(id);
        ended
    }

    /// Starts a stopped member again from its file.
    pub(super) fn restart(&mut self, id: RaftId) {
        let Owner { cluster, node, raft: _ } = owner(id.0);
        self.run(Storage::open(&self.path(id), cluster, node).expect("the member's own file"));
    }

    /// Waits for a leader that all of these members agree on.
    pub(super) async fn leader_among(&self, ids: &[RaftId]) -> RaftId {
        loop {
            let leader = self.until(ids[0], |status| status.leader.is_some_and(|id| ids.contains(&id))).await;
            let leader = leader.leader.expect("just seen");
            let mut agreed = true;
            for id in ids {
                let status = self.handle(*id).status();
                agreed &= status.borrow().leader == Some(leader);
            }
            if agreed {
                return leader;
            }
            tokio::time::sleep(self.options.tick).await;
        }
    }

    pub(super) async fn leader(&self) -> RaftId {
        self.leader_among(&self.ids()).await
    }

    /// Waits until a member's status is as wanted.
    pub(super) async fn until(&self, id: RaftId, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.handle(id).status();
        let reached = tokio::time::timeout(PATIENCE, status.wait_for(wanted)).await;
        match reached {
            Ok(reached) => reached.expect("the member runs").clone(),
            Err(_) => panic!("member {id} stays at {:?}", self.handle(id).status().borrow()),
        }
    }

    /// Waits until these numbers, in this order, are all that a member holds.
    pub(super) async fn until_holds(&self, id: RaftId, numbers: &[u64]) {
        let mut views = self.handle(id).views();
        let reached = tokio::time::timeout(PATIENCE, views.wait_for(|view| view.as_slice() == numbers)).await;
        if reached.is_err() {
            panic!("member {id} holds {:?} instead of {numbers:?}", self.handle(id).views().borrow());
        }
    }
}

pub(super) fn owner(id: u64) -> Owner {
    Owner { cluster: ClusterId::from_parts(1, 1), node: NodeId::from_parts(2, id.into()), raft: RaftId(id) }
}

pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not take that long")
}
