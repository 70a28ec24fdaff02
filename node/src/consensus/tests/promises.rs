//! What consensus promises.

use super::ledger::entry;
use super::{Cluster, cluster::PATIENCE, fast};
use crate::consensus::{MembershipChange, Options, ProposeError, ReadError, Role};
use crate::ids::RaftId;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_one_is_a_cluster() {
    let cluster = Cluster::of(1, fast()).await;
    let only = cluster.handle(RaftId(1));
    assert_eq!(only.propose(entry(7)).await, Ok(0));
    assert_eq!(**only.views().borrow(), vec![7], "the view shows what was acknowledged");
    assert!(only.read_barrier().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_proposes_and_every_member_holds_the_same() {
    for size in [3, 5] {
        let cluster = Cluster::of(size, fast()).await;
        for id in cluster.ids() {
            let handle = cluster.handle(id);
            let position = handle.propose(entry(100 + id.0)).await.expect("a quorum is there");
            assert_eq!(handle.views().borrow()[position], 100 + id.0, "visible to whoever proposed it");
        }
        let all: Vec<u64> = cluster.ids().iter().map(|id| 100 + id.0).collect();
        for id in cluster.ids() {
            cluster.until_holds(id, &all).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_sent_twice_takes_effect_once() {
    let cluster = Cluster::of(3, fast()).await;
    assert_eq!(cluster.handle(RaftId(1)).propose(entry(5)).await, Ok(0));
    assert_eq!(cluster.handle(RaftId(2)).propose(entry(6)).await, Ok(1));
    assert_eq!(cluster.handle(RaftId(3)).propose(entry(5)).await, Ok(0), "the first outcome again");
    cluster.until_holds(RaftId(3), &[5, 6]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joiner_begins_with_a_snapshot() {
    let options = Options { snapshot_every: 10, keep_entries: 2, ..fast() };
    let mut cluster = Cluster::of(1, options).await;
    let numbers: Vec<u64> = (0..50).collect();
    for number in &numbers {
        cluster.handle(RaftId(1)).propose(entry(*number)).await.expect("a quorum of one");
    }
    cluster.join(RaftId(2)).await;
    cluster.until_holds(RaftId(2), &numbers).await;
    assert_eq!(cluster.handle(RaftId(2)).propose(entry(50)).await, Ok(50), "a learner proposes, too");
    assert!(cluster.handle(RaftId(2)).read_barrier().await.is_ok(), "and reads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_survives_compaction_and_a_stop_of_all_members() {
    let options = Options { snapshot_every: 10, keep_entries: 2, ..fast() };
    let mut cluster = Cluster::of(3, options).await;
    let numbers: Vec<u64> = (0..45).collect();
    for number in &numbers {
        cluster.handle(RaftId(2)).propose(entry(*number)).await.expect("a quorum");
    }
    for id in cluster.ids() {
        cluster.crash(id).await;
    }
    for id in [1, 2, 3].map(RaftId) {
        cluster.restart(id);
    }
    for id in cluster.ids() {
        cluster.handle(id).read_barrier().await.expect("a quorum confirms the read");
        cluster.until_holds(id, &numbers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_with_the_leader() {
    let mut cluster = Cluster::of(3, fast()).await;
    let mut acknowledged = Vec::new();
    for round in 0..5 {
        let leader = cluster.leader().await;
        let proposer = cluster.ids().into_iter().find(|id| *id != leader).expect("three members");
        let handle = cluster.handle(proposer);
        let burst = tokio::spawn(async move {
            let mut done = Vec::new();
            for number in round * 100..round * 100 + 50 {
                handle.propose(entry(number)).await.expect("two of three are a quorum");
                done.push(number);
            }
            done
        });
        tokio::task::yield_now().await;
        cluster.crash(leader).await;
        acknowledged.extend(burst.await.expect("the burst ends"));
        cluster.restart(leader);
    }
    for id in cluster.ids() {
        cluster.until_holds(id, &acknowledged).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_commits_nothing_and_says_so() {
    let mut cluster = Cluster::of(3, fast()).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    cluster.network.partition(&[leader], &others);
    let successor = cluster.leader_among(&others).await;
    cluster.handle(successor).propose(entry(1)).await.expect("the majority goes on");
    cluster.until(leader, |status| status.role != Role::Leader && status.leader.is_none()).await;

    cluster.options.propose_timeout = SHORT;
    cluster.options.read_timeout = SHORT;
    cluster.stop(leader).await.expect("it stops");
    cluster.restart(leader);
    let lonely = cluster.handle(leader);
    assert_eq!(lonely.propose(entry(2)).await, Err(ProposeError::NoQuorum { after: SHORT }));
    assert_eq!(lonely.read_barrier().await, Err(ReadError::NoQuorum { after: SHORT }));

    cluster.network.heal();
    cluster.until_holds(leader, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_everything_that_was_acknowledged_before_it() {
    let cluster = Cluster::of(3, fast()).await;
    for number in 0..100 {
        let [writer, reader] = [number % 3 + 1, (number + 1) % 3 + 1].map(|id| cluster.handle(RaftId(id)));
        writer.propose(entry(number)).await.expect("a quorum");
        reader.read_barrier().await.expect("a quorum");
        assert_eq!(reader.views().borrow().last(), Some(&number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_first() {
    let options = Options { election_ticks: 1000, handover_timeout: PATIENCE, ..fast() };
    let mut cluster = Cluster::of(3, options).await;
    let leader = cluster.leader().await;
    cluster.stop(leader).await.expect("it stops");
    // An election would take a thousand ticks.
    let successor = cluster.leader().await;
    assert_ne!(successor, leader);
    assert!(cluster.handle(successor).propose(entry(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_moves_on_request_of_any_member() {
    // It does not move on by itself.
    let cluster = Cluster::of(3, Options { election_ticks: 1000, ..fast() }).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    cluster.handle(others[0]).transfer_leadership(others[1]).await.expect("all are there");
    assert_eq!(cluster.handle(others[0]).leadership().borrow().leader, Some(others[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_joint_change_replaces_a_voter_by_a_learner() {
    let mut cluster = Cluster::of(3, fast()).await;
    cluster.join(RaftId(4)).await;
    let leader = cluster.leader().await;
    let lost = cluster.ids().into_iter().find(|id| *id != leader && id.0 != 4).expect("three voters");
    cluster.crash(lost).await;
    let change = MembershipChange {
        voters: [RaftId(4)].into(),
        learners: [lost].into(),
        ..MembershipChange::default()
    };
    cluster.handle(leader).change_membership(change).await.expect("two of three agree");
    let settled = cluster
        .until(leader, |status| {
            status.membership.voters.contains(&RaftId(4)) && !status.membership.is_joint()
        })
        .await;
    assert_eq!(settled.membership.learners, [lost].into());
    assert!(cluster.handle(RaftId(4)).propose(entry(9)).await.is_ok());
}
