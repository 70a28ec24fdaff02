//! Scripts for every rule, and a random walk for the invariants.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const MINUTES_10: Duration = Duration::from_secs(600);

/// All members are reachable and caught up unless said otherwise. The leader is the first voter.
fn input(members: &[u64], voters: &[u64], learners: &[u64]) -> Input {
    let peers = voters.iter().chain(learners).skip(1);
    Input {
        leader: RaftId(voters[0]),
        members: members.iter().map(|id| Member { id: RaftId(*id), removed: false }).collect(),
        membership: Membership { voters: set(voters), learners: set(learners), ..Membership::default() },
        peers: peers
            .map(|id| (RaftId(*id), Peer { silent_for: Duration::ZERO, heard: true, caught_up: true }))
            .collect(),
        settings: VoterSettings::default(),
    }
}

fn set(ids: &[u64]) -> BTreeSet<RaftId> {
    ids.iter().copied().map(RaftId).collect()
}

impl Input {
    fn silent(mut self, id: u64, silent_for: Duration) -> Self {
        self.peers.get_mut(&RaftId(id)).expect("a peer").silent_for = silent_for;
        self
    }

    /// Not heard of since the leader leads, which is not long.
    fn unheard(mut self, id: u64) -> Self {
        self.peers.get_mut(&RaftId(id)).expect("a peer").heard = false;
        self
    }

    fn behind(mut self, id: u64) -> Self {
        self.peers.get_mut(&RaftId(id)).expect("a peer").caught_up = false;
        self
    }

    fn removed(mut self, id: u64) -> Self {
        self.members.iter_mut().filter(|member| member.id.0 == id).for_each(|member| member.removed = true);
        self
    }
}

fn change(voters: &[u64], learners: &[u64], removed: &[u64]) -> Decision {
    let (voters, learners, removed) = (set(voters), set(learners), set(removed));
    Decision::Change(MembershipChange { voters, learners, removed, basis: None })
}

/// What is decided; that it holds for the configuration at hand only is asked apart.
fn decide(input: &Input) -> Decision {
    match super::decide(input) {
        Decision::Change(change) => {
            assert_eq!(change.basis.as_ref(), Some(&input.membership));
            Decision::Change(MembershipChange { basis: None, ..change })
        }
        other => other,
    }
}

#[test]
fn the_number_of_voters_is_odd_and_capped() {
    let wanted: Vec<_> = (1..=10).map(|nodes| wanted_voters(nodes, 7)).collect();
    assert_eq!(wanted, [1, 1, 3, 3, 5, 5, 7, 7, 7, 7]);
    let capped: Vec<_> = (1..=8).map(|nodes| wanted_voters(nodes, 4)).collect();
    assert_eq!(capped, [1, 1, 3, 3, 3, 3, 3, 3]);
    assert_eq!([wanted_voters(0, 5), wanted_voters(9, 0), wanted_voters(99, 99)], [1, 1, 7]);
}

/// Seed 375: a new leader took everybody for present, and left a node that was gone for long as one of three.
#[test]
fn a_leader_that_has_just_begun_counts_on_nobody_that_it_has_not_heard_of() {
    let begun = input(&[4, 1, 2, 3, 5], &[4, 1, 2, 3, 5], &[]).removed(3);
    assert_eq!(decide(&begun.clone().unheard(2)), change(&[], &[2], &[3]));
    let waits = decide(&begun.unheard(1).unheard(2).unheard(5));
    assert!(matches!(waits, Decision::Wait(Waiting::NoQuorumWithout { .. })), "{waits:?}");
}

#[test]
fn a_node_that_joined_becomes_a_learner() {
    assert_eq!(decide(&input(&[1, 2], &[1], &[])), change(&[], &[2], &[]));
}

#[test]
fn two_nodes_are_one_voter_and_one_learner() {
    assert_eq!(decide(&input(&[1, 2], &[1], &[2])), Decision::Settled);
}

#[test]
fn the_third_node_makes_three_voters_in_one_step() {
    assert_eq!(decide(&input(&[1, 2, 3], &[1], &[2, 3])), change(&[2, 3], &[], &[]));
}

#[test]
fn a_learner_that_is_behind_or_silent_does_not_vote() {
    let waiting = Decision::Wait(Waiting::NoLearnerReady { voters: 1, wanted: 3 });
    assert_eq!(decide(&input(&[1, 2, 3], &[1], &[2, 3]).behind(3)), waiting);
    assert_eq!(decide(&input(&[1, 2, 3], &[1], &[2, 3]).silent(2, RECENTLY)), waiting);
}

#[test]
fn five_nodes_of_which_one_is_behind_make_three_voters_meanwhile() {
    let four = input(&[1, 2, 3, 4, 5], &[1], &[2, 3, 4, 5]);
    assert_eq!(decide(&four.behind(2)), change(&[3, 4], &[], &[]));
}

#[test]
fn the_fourth_node_stays_a_learner() {
    assert_eq!(decide(&input(&[1, 2, 3, 4], &[1, 2, 3], &[4])), Decision::Settled);
}

#[test]
fn a_silent_voter_keeps_its_vote_until_its_time_is_up() {
    let silent_for = MINUTES_10 - Duration::from_millis(1);
    let four = input(&[1, 2, 3, 4], &[1, 2, 3], &[4]);
    assert_eq!(
        decide(&four.clone().silent(2, silent_for)),
        Decision::Wait(Waiting::VoterSilent { voter: RaftId(2), silent_for, replace_after: MINUTES_10 })
    );
    assert_eq!(decide(&four.silent(2, MINUTES_10)), change(&[4], &[2], &[]));
}

#[test]
fn a_lost_voter_without_a_substitute_keeps_its_vote() {
    let lost = Decision::Wait(Waiting::NoSubstitute { voter: RaftId(3) });
    assert_eq!(decide(&input(&[1, 2, 3], &[1, 2, 3], &[]).silent(3, MINUTES_10)), lost);
    assert_eq!(decide(&input(&[1, 2, 3, 4], &[1, 2, 3], &[4]).silent(3, MINUTES_10).behind(4)), lost);
}

#[test]
fn the_voter_that_is_lost_for_longest_is_replaced_first() {
    let six = input(&[1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5], &[6]);
    let two_lost = six.silent(2, MINUTES_10).silent(4, MINUTES_10 * 2);
    assert_eq!(decide(&two_lost), change(&[6], &[4], &[]));
}

#[test]
fn a_removed_learner_just_leaves() {
    assert_eq!(decide(&input(&[1, 2, 3, 4], &[1, 2, 3], &[4]).removed(4)), change(&[], &[], &[4]));
}

#[test]
fn a_removed_voter_is_replaced_in_the_same_step() {
    assert_eq!(decide(&input(&[1, 2, 3, 4], &[1, 2, 3], &[4]).removed(3)), change(&[4], &[], &[3]));
}

#[test]
fn removing_one_of_three_leaves_one_voter_and_one_learner() {
    assert_eq!(decide(&input(&[1, 2, 3], &[1, 2, 3], &[]).removed(2)), change(&[], &[3], &[2]));
}

#[test]
fn removing_one_of_three_makes_the_silent_one_the_learner() {
    let dead = input(&[3, 2, 1], &[3, 2, 1], &[]);
    assert_eq!(decide(&dead.silent(1, MINUTES_10).removed(2)), change(&[], &[1], &[2]));
}

#[test]
fn removing_one_of_five_leaves_three_voters() {
    let five = input(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], &[]);
    assert_eq!(decide(&five.removed(2)), change(&[], &[5], &[2]));
}

#[test]
fn a_removal_that_would_leave_no_quorum_waits() {
    let four = input(&[1, 2, 3, 4], &[1, 2, 3], &[4]).behind(4).silent(2, MINUTES_10);
    assert_eq!(
        decide(&four.removed(3)),
        Decision::Wait(Waiting::NoQuorumWithout { silent: vec![RaftId(2)] })
    );
}

#[test]
fn a_removed_leader_hands_over_first() {
    let three = input(&[1, 2, 3], &[1, 2, 3], &[]).removed(1);
    assert_eq!(decide(&three), Decision::TransferLeadership { to: RaftId(2) });
    assert_eq!(decide(&three.silent(2, MINUTES_10)), Decision::TransferLeadership { to: RaftId(3) });
}

#[test]
fn a_removed_leader_that_votes_alone_makes_a_learner_vote_then_hands_over_then_leaves() {
    assert_eq!(decide(&input(&[1, 2], &[1], &[2]).removed(1)), change(&[2], &[], &[]));
    assert_eq!(
        decide(&input(&[1, 2], &[1, 2], &[]).removed(1)),
        Decision::TransferLeadership { to: RaftId(2) }
    );
    assert_eq!(decide(&input(&[1, 2], &[2, 1], &[]).removed(1)), change(&[], &[], &[1]));
    assert_eq!(decide(&input(&[1, 2], &[2], &[]).removed(1)), Decision::Settled);
}

#[test]
fn a_removed_leader_without_successor_stays() {
    assert_eq!(
        decide(&input(&[1, 2], &[1], &[2]).behind(2).removed(1)),
        Decision::Wait(Waiting::NoSuccessor)
    );
}

#[test]
fn nothing_is_changed_during_a_joint_change() {
    let mut joint = input(&[1, 2, 3], &[1, 2, 3], &[]).removed(2);
    joint.membership.outgoing = set(&[1, 2]);
    assert_eq!(decide(&joint), Decision::Wait(Waiting::JointChange));
}

#[test]
fn a_node_that_the_state_does_not_know_is_left_alone() {
    assert_eq!(decide(&input(&[1, 2, 3], &[1, 2, 3], &[9])), Decision::Settled);
}

#[test]
fn a_lower_cap_takes_no_vote_away() {
    let mut five = input(&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5], &[]);
    five.settings.max_voters = 3;
    assert_eq!(decide(&five), Decision::Settled);
}

fn any_input() -> impl Strategy<Value = Input> {
    let member = (0..4_u8, any::<bool>(), prop::sample::select(vec![0, 1, 3, 599, 600, 9000]), any::<bool>());
    (prop::collection::vec(member, 1..10), 0..10_usize, 0..9_usize).prop_map(
        |(members, leader, max_voters)| {
            let mut made = input(&[], &[1], &[]);
            made.settings.max_voters = max_voters;
            made.membership = Membership::default();
            made.leader = RaftId(leader as u64 % members.len() as u64 + 1);
            for (id, (place, removed, silent, caught_up)) in (1..).map(RaftId).zip(members) {
                let is_leader = id == made.leader;
                made.members.push(Member { id, removed: removed && place % 2 == 0 });
                match place {
                    _ if is_leader => made.membership.voters.extend([id]),
                    0 | 1 => made.membership.voters.extend([id]),
                    2 => made.membership.learners.extend([id]),
                    _ => continue,
                }
                if !is_leader {
                    made.peers
                        .insert(id, Peer { silent_for: Duration::from_secs(silent), heard: true, caught_up });
                }
            }
            made
        },
    )
}

/// What raft makes of a decision, with everybody caught up and reachable who was before.
fn carry_out(input: &mut Input, decision: &Decision) {
    match decision {
        Decision::Change(change) => {
            input.membership = change.applied_to(&input.membership).expect("checked");
            for id in input.membership.voters.iter().chain(&input.membership.learners) {
                let fresh = Peer { silent_for: Duration::ZERO, heard: true, caught_up: true };
                input.peers.entry(*id).or_insert(fresh);
            }
        }
        Decision::TransferLeadership { to } => {
            let fresh = Peer { silent_for: Duration::ZERO, heard: true, caught_up: true };
            input.peers.insert(input.leader, fresh);
            input.peers.remove(to);
            input.leader = *to;
        }
        Decision::Settled | Decision::Wait(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_change_is_safe(input in any_input()) {
        if let Decision::Change(change) = decide(&input) {
            let before = &input.membership;
            let after = change.applied_to(before).expect("a change that raft accepts");
            let recent = after.voters.iter().filter(|id| {
                **id == input.leader || input.peers[*id].silent_for < RECENTLY
            });
            prop_assert!(after.voters.contains(&input.leader), "the leader keeps its vote");
            let can_agree = recent.count() * 2 > after.voters.len();
            prop_assert!(can_agree || after.voters == before.voters, "the new voters can agree");
            let promoted_are_ready =
                change.voters.iter().all(|id| input.peers[id].caught_up && input.peers[id].silent_for < RECENTLY);
            prop_assert!(promoted_are_ready);
            if change.removed.is_empty() {
                prop_assert!(after.voters.len() >= before.voters.len(), "no vote is lost by itself");
            }
        }
    }

    #[test]
    fn the_steps_end_and_one_more_changes_nothing(mut input in any_input()) {
        for _ in 0..40 {
            let decision = decide(&input);
            carry_out(&mut input, &decision);
            if let Decision::Settled | Decision::Wait(_) = decision {
                prop_assert_eq!(decide(&input), decision);
                return Ok(());
            }
        }
        prop_assert!(false, "no end after 40 steps: {:?}", input);
    }
}
