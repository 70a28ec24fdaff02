use super::*;
use crate::clock::wall;
use crate::format::Format;
use crate::ids::Digest;
use crate::state::node::Membership;
use std::collections::BTreeMap;
use std::sync::Arc;

fn node(number: u64) -> NodeId {
    NodeId::from_parts(number, 0)
}

/// Three voters, of whom the first and the second hold the CA's key.
fn state() -> ClusterState {
    let mut state = ClusterState::awaited(ClusterId::from_parts(1, 1));
    for number in 1..=3 {
        let record = NodeRecord {
            id: node(number),
            raft_id: RaftId(number),
            name: format!("n{number}"),
            address: "127.0.0.1:7400".parse().expect("an address"),
            labels: BTreeMap::new(),
            key: Digest::of(b"key"),
            sealing_key: vec![],
            certificates: vec![],
            renewal: None,
            renewed: None,
            daemon_version: "0.1.0".to_owned(),
            reads: Format::NEWEST,
            joined_at: wall(),
            membership: Membership::Present,
        };
        state.nodes.insert(node(number), Arc::new(record));
    }
    for holder in [1, 2] {
        Arc::make_mut(&mut state.authority).sealed_keys.insert(node(holder), vec![]);
    }
    state
}

/// What is said on this node, where these answer and those are said to be lost, and nobody leads.
fn said(me: u64, answering: &[u64], lost: &[u64]) -> Result<(), String> {
    let checked = check(&Situation {
        me: node(me),
        state: &state(),
        voters: &(1..=3).map(RaftId).collect(),
        has_quorum: false,
        answers: &|other| answering.iter().any(|number| node(*number) == *other),
        lost: &lost.iter().copied().map(node).collect(),
    });
    checked.map_err(|error| error.to_string())
}

#[test]
fn the_last_voter_goes_on_where_all_others_are_given_up() {
    assert_eq!(said(1, &[], &[2, 3]), Ok(()));
}

#[test]
fn a_majority_that_answers_is_given_time_to_elect_a_leader() {
    let refused = said(1, &[2], &[3]).expect_err("two of three can decide");
    assert!(refused.contains("2 of 3 voters answer"), "{refused}");
    assert!(said(1, &[2, 3], &[]).is_err());
}

#[test]
fn silent_voters_are_named_or_waited_for_and_living_ones_are_not_lost() {
    let refused = said(1, &[], &[2]).expect_err("the third may be the other half");
    assert!(refused.contains("n3 votes and does not answer"), "{refused}");
    let refused = said(1, &[2], &[2, 3]).expect_err("it is alive");
    assert!(refused.contains("n2 answers"), "{refused}");
    assert!(said(1, &[], &[1, 2, 3]).is_err(), "it is this one");
}

#[test]
fn who_does_not_hold_the_key_says_who_does() {
    let refused = said(3, &[], &[1, 2]).expect_err("it could sign nothing");
    assert!(refused.contains("no other node does"), "{refused}");
}
