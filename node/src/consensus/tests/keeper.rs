//! The voters look after themselves.

use super::cluster::owner;
use super::ledger::entry;
use super::{Cluster, fast};
use crate::consensus::Storage;
use crate::consensus::voter_keeper::keep_voters;
use crate::consensus::voters::{Member, VoterSettings};
use crate::ids::RaftId;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The ledger's numbers stand for the nodes that joined; a number above a thousand removes one.
fn members(numbers: &[u64]) -> Vec<Member> {
    let removed = |id: u64| numbers.contains(&(1000 + id));
    numbers
        .iter()
        .filter(|number| **number < 1000)
        .map(|id| Member { id: RaftId(*id), removed: removed(*id) })
        .collect()
}

fn keep(cluster: &Cluster, id: RaftId, settings: VoterSettings) -> JoinHandle<()> {
    tokio::spawn(keep_voters(cluster.handle(id), |view| members(view), settings))
}

fn set(ids: &[u64]) -> BTreeSet<RaftId> {
    ids.iter().copied().map(RaftId).collect()
}

async fn until_voters(cluster: &Cluster, at: RaftId, voters: &[u64], learners: &[u64]) {
    let (voters, learners) = (set(voters), set(learners));
    cluster
        .until(at, |status| {
            let now = &status.membership;
            !now.is_joint() && now.voters == voters && now.learners == learners
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_join_leave_or_get_lost_change_the_voters_as_they_should() {
    let mut cluster = Cluster::of(1, fast()).await;
    let first = cluster.handle(RaftId(1));
    // A member that a busy machine lets wait for a while is not lost.
    let mut keepers = vec![keep(&cluster, RaftId(1), VoterSettings::default())];
    first.propose(entry(1)).await.expect("a quorum");
    for id in 2..=4 {
        cluster.run(Storage::join(&cluster.path(RaftId(id)), owner(id)).expect("a new file"));
        keepers.push(keep(&cluster, RaftId(id), VoterSettings::default()));
        first.propose(entry(id)).await.expect("a quorum");
        let (voters, learners) = [(vec![1], vec![2]), (vec![1, 2, 3], vec![]), (vec![1, 2, 3], vec![4])]
            [usize::try_from(id).expect("small") - 2]
            .clone();
        until_voters(&cluster, RaftId(1), &voters, &learners).await;
    }
    drop(first);

    for keeper in keepers {
        keeper.abort();
        let _ = keeper.await;
    }
    let soon = VoterSettings { replace_after: Duration::from_secs(3), ..VoterSettings::default() };
    for id in 2..=4 {
        drop(keep(&cluster, RaftId(id), soon));
    }
    cluster.crash(RaftId(1)).await;
    until_voters(&cluster, RaftId(2), &[2, 3, 4], &[1]).await;

    cluster.handle(RaftId(4)).propose(entry(1001)).await.expect("a quorum");
    until_voters(&cluster, RaftId(2), &[2, 3, 4], &[]).await;

    let leader = cluster.leader().await;
    let proposer = cluster.ids().into_iter().find(|id| *id != leader).expect("three members");
    cluster.handle(proposer).propose(entry(1000 + leader.0)).await.expect("a quorum");
    cluster
        .until(proposer, |status| {
            let now = &status.membership;
            !now.is_joint() && !now.contains(leader) && now.voters.len() == 1 && now.learners.len() == 1
        })
        .await;
}
