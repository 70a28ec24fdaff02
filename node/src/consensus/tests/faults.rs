//! What must not be believed, and what must end the member.

use super::ledger::entry;
use super::{Cluster, Ledger, cluster::within, fast};
use crate::consensus::storage::tests::on_a_failing_disk;
use crate::consensus::{
    MemberError, MembershipChange, Options, ProposeError, ReceiveError, Role, StateMachine as _,
    StorageError, memory_network::MemoryNetwork, start,
};
use crate::ids::RaftId;
use protobuf::Message as _;
use raft::eraftpb::{Message, MessageType};
use std::sync::atomic::Ordering;

fn message(from: u64, to: u64, msg_type: MessageType) -> Vec<u8> {
    let message = Message { from, to, msg_type, term: 99, ..Message::default() };
    message.write_to_bytes().expect("it has no required fields")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_ends_the_member_and_acknowledges_nothing() {
    let (storage, broken) = on_a_failing_disk(Ledger::default().snapshot().to_vec());
    let network = MemoryNetwork::default();
    let id = storage.owner().raft;
    let (handle, exit) =
        start(storage, Ledger::default(), network.endpoint(id), fast(), 1).expect("a member");
    assert_eq!(handle.propose(entry(1)).await, Ok(0));
    broken.store(true, Ordering::Relaxed);
    // What it writes by itself may meet the disk first.
    let refused = handle.propose(entry(2)).await;
    assert!(matches!(refused, Err(ProposeError::Unknown | ProposeError::Stopped)), "{refused:?}");
    let ended = within(exit.wait()).await;
    assert!(matches!(ended, Err(MemberError::Storage(StorageError::Write { .. }))), "{ended:?}");
    assert_eq!(**handle.views().borrow(), [1]);
    assert_eq!(handle.propose(entry(3)).await, Err(ProposeError::Stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_is_not_understood_ends_the_member() {
    let (storage, _) = on_a_failing_disk(Ledger::default().snapshot().to_vec());
    let network = MemoryNetwork::default().endpoint(storage.owner().raft);
    let (handle, exit) = start(storage, Ledger::default(), network, fast(), 1).expect("a member");
    assert!(handle.propose("from the future".into()).await.is_err());
    let ended = within(exit.wait()).await;
    assert!(matches!(ended, Err(MemberError::Apply { .. })), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_speaks_for_itself_only() {
    let cluster = Cluster::of(1, fast()).await;
    let handle = cluster.handle(RaftId(1));
    let from = RaftId(2);
    let term = cluster.until(RaftId(1), |status| status.leader == Some(RaftId(1))).await.term;
    assert_eq!(
        handle.receive(from, &message(3, 1, MessageType::MsgHeartbeat)),
        Err(ReceiveError::WrongSender { from, claimed: RaftId(3) })
    );
    assert_eq!(
        handle.receive(from, &message(2, 3, MessageType::MsgHeartbeat)),
        Err(ReceiveError::WrongReceiver { from, meant: RaftId(3), here: RaftId(1) })
    );
    assert!(matches!(
        handle.receive(from, &message(2, 1, MessageType::MsgHup)),
        Err(ReceiveError::LocalKind { .. })
    ));
    assert!(matches!(handle.receive(from, b"\xff\xff"), Err(ReceiveError::Malformed { .. })));
    assert_eq!(handle.propose(entry(1)).await, Ok(0));
    assert_eq!(handle.status().borrow().term, term, "none of them had an effect");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_got_lost_is_sent_again() {
    let mut cluster = Cluster::of(1, Options { snapshot_every: 10, keep_entries: 0, ..fast() }).await;
    cluster.join(RaftId(2)).await;
    cluster.network.partition(&[RaftId(1)], &[RaftId(2)]);
    let numbers: Vec<u64> = (0..30).collect();
    for number in &numbers {
        cluster.handle(RaftId(1)).propose(entry(*number)).await.expect("a quorum of one");
    }
    // Only what the leader sends is lost, so it believes that the learner is there.
    cluster.network.heal();
    cluster.network.cut(RaftId(1), RaftId(2));
    cluster.handle(RaftId(1)).propose(entry(30)).await.expect("a quorum of one");
    cluster.network.heal();
    cluster.until_holds(RaftId(2), &(0..=30).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_makes_no_sense_is_refused_with_its_reason() {
    let cluster = Cluster::of(3, fast()).await;
    let everybody =
        MembershipChange { removed: cluster.ids().into_iter().collect(), ..MembershipChange::default() };
    for id in cluster.ids() {
        let refused = cluster.handle(id).change_membership(everybody.clone()).await;
        let Err(ProposeError::Refused { reason }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("no voter"), "{reason}");
    }
    let refused = cluster.handle(RaftId(2)).propose(bytes::Bytes::new()).await;
    assert!(matches!(refused, Err(ProposeError::Refused { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_leader_leads_no_longer() {
    let cluster = Cluster::of(3, fast()).await;
    let leader = cluster.leader().await;
    let others: Vec<_> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    cluster.handle(others[0]).change_membership(MembershipChange::remove(leader)).await.expect("a quorum");
    let successor = cluster.leader_among(&others).await;
    assert!(cluster.handle(successor).propose(entry(1)).await.is_ok());
    // Whoever leads now does not tell it that it was removed, if it had lost the lead before.
    cluster.until(leader, |status| status.role != Role::Leader).await;
    assert!(!cluster.handle(leader).leadership().borrow().is_self);
}
