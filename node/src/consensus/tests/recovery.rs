//! A quorum is lost for good, and one of those that are left begins anew.

use super::Ledger;
use super::cluster::{Cluster, fast};
use super::ledger::entry;
use crate::consensus::{MembershipChange, Owner, RecoveryError, Storage, Survivor};
use crate::ids::RaftId;
use std::collections::BTreeSet;

const ME: RaftId = RaftId(1);
const OTHER: RaftId = RaftId(2);

async fn write(cluster: &Cluster, by: RaftId, numbers: &[u64]) {
    for number in numbers {
        cluster.handle(by).propose(entry(*number)).await.expect("there is a quorum");
    }
}

/// Three of five voters are gone, and the first of the others begins anew; the second runs on meanwhile.
async fn recover(cluster: &mut Cluster) {
    for gone in [3, 4, 5] {
        cluster.crash(RaftId(gone)).await;
    }
    cluster.stop(ME).await.expect("its file is well");
    cluster.network.heal();
    let Owner { cluster: id, node, raft: _ } = super::cluster::owner(ME.0);
    let survivor =
        Survivor::read(&cluster.path(ME), id, node, Ledger::default()).expect("it holds the state");
    survivor.found([ME, OTHER]).expect("the disk works");
    cluster.restart(ME);
    let follows = |voters: &BTreeSet<RaftId>, learners: &BTreeSet<RaftId>| {
        *voters == BTreeSet::from([ME]) && *learners == BTreeSet::from([OTHER])
    };
    for id in [ME, OTHER] {
        let all = |status: &crate::consensus::Status| {
            status.leader == Some(ME) && follows(&status.membership.voters, &status.membership.learners)
        };
        cluster.until(id, all).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_begins_anew_with_all_it_held_and_the_others_follow() {
    let mut cluster = Cluster::of(5, fast()).await;
    write(&cluster, ME, &[1, 2, 3]).await;
    cluster.until_holds(OTHER, &[1, 2, 3]).await;
    recover(&mut cluster).await;
    write(&cluster, ME, &[4]).await;
    cluster.until_holds(OTHER, &[1, 2, 3, 4]).await;
    // And it grows again.
    let change = MembershipChange { voters: BTreeSet::from([OTHER]), ..MembershipChange::default() };
    cluster.handle(ME).change_membership(change).await.expect("a learner becomes a voter");
    write(&cluster, ME, &[5]).await;
    cluster.until_holds(OTHER, &[1, 2, 3, 4, 5]).await;
}

/// What only the others had is lost; that they disagree is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_that_was_ahead_follows_one_that_was_behind() {
    let mut cluster = Cluster::of(5, fast()).await;
    write(&cluster, ME, &[1]).await;
    cluster.until_holds(OTHER, &[1]).await;
    let others = [2, 3, 4, 5].map(RaftId);
    cluster.network.partition(&[ME], &others);
    let leader = cluster.leader_among(&others).await;
    write(&cluster, leader, &[2, 3]).await;
    cluster.until_holds(OTHER, &[1, 2, 3]).await;
    recover(&mut cluster).await;
    write(&cluster, ME, &[4]).await;
    cluster.until_holds(OTHER, &[1, 4]).await;
}

#[test]
fn a_node_that_holds_nothing_is_no_survivor() {
    let directory = tempfile::TempDir::new().expect("a directory for the test");
    let path = directory.path().join("raft.redb");
    let owner = super::cluster::owner(7);
    drop(Storage::join(&path, owner).expect("a new file"));
    let refused = Survivor::read(&path, owner.cluster, owner.node, Ledger::default());
    assert!(matches!(refused.err(), Some(RecoveryError::Empty)));
}
