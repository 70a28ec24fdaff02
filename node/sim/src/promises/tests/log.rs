//! S8, S10, S12: one log, told and heard.

use super::*;

#[test]
fn s8_states_that_part_are_found() {
    let mut auditor = Auditor::new(1);
    let mut other = state(Phase::Rolling, &healthy());
    auditor.applied(AT, node(1), 1, None, &Arc::new(other.clone()), &Fleet::default());
    auditor.applied(AT, node(2), 1, None, &Arc::new(other.clone()), &Fleet::default());
    assert!(auditor.take_violations().is_empty());
    other.next.event += 1;
    auditor.applied(AT, node(3), 1, None, &Arc::new(other), &Fleet::default());
    assert_eq!(broken_by(auditor), BTreeSet::from(["S8"]));
}

#[test]
fn s8_a_snapshot_that_nobody_took_or_that_reads_as_another_state_is_found() {
    let digest = |text: &str| relupd::ids::Digest::of(text.as_bytes());
    let taken_over = |written, state| {
        let mut auditor = Auditor::new(1);
        auditor.took_a_snapshot(node(1), None, digest("a"));
        auditor.took_over(node(2), digest(written), digest(state));
        broken_by(auditor)
    };
    assert_eq!(taken_over("a", "a"), BTreeSet::new());
    assert_eq!(taken_over("a", "b"), BTreeSet::from(["S8"]));
    assert_eq!(taken_over("b", "b"), BTreeSet::from(["S8"]));
}

#[test]
fn s12_an_acknowledged_command_that_is_lost_or_replaced_is_found() {
    let held = Arc::new(state(Phase::Completed, &Step::Committed));
    let mut auditor = Auditor::new(1);
    auditor.answered(entry(1).id, &DONE);
    assert_eq!(broken_by(auditor), BTreeSet::from(["S12"]));

    let acknowledged = || {
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, Some((&entry(1), &DONE)), &held, &Fleet::default());
        auditor.answered(entry(1).id, &DONE);
        assert!(auditor.take_violations().is_empty());
        auditor
    };
    let mut replaced = acknowledged();
    replaced.applied(AT, node(2), 1, Some((&entry(2), &DONE)), &held, &Fleet::default());
    assert_eq!(broken_by(replaced), BTreeSet::from(["S12"]));
    let mut lost = acknowledged();
    lost.at_the_end(&[(node(2), 0, Arc::clone(&held))], &[], 0, &Fleet::default());
    assert_eq!(broken_by(lost), BTreeSet::from(["S12"]));
    let mut kept = acknowledged();
    kept.at_the_end(&[(node(1), 1, Arc::clone(&held))], &[], 0, &Fleet::default());
    assert_eq!(broken_by(kept), BTreeSet::new());
}

#[test]
fn s12_a_command_that_takes_effect_twice_is_found() {
    let mut after = state(Phase::Completed, &Step::Committed);
    let mut auditor = Auditor::new(1);
    auditor.applied(AT, node(1), 1, Some((&entry(1), &DONE)), &Arc::new(after.clone()), &Fleet::default());
    auditor.applied(AT, node(1), 2, Some((&entry(1), &DONE)), &Arc::new(after.clone()), &Fleet::default());
    assert!(auditor.take_violations().is_empty());
    after.next.event += 1;
    auditor.applied(AT, node(1), 3, Some((&entry(1), &DONE)), &Arc::new(after), &Fleet::default());
    assert_eq!(broken_by(auditor), BTreeSet::from(["S12"]));
}

#[test]
fn s12_a_read_that_misses_what_was_committed_before_it_is_found() {
    let mut auditor = Auditor::new(1);
    auditor.read(node(1), 7, 7);
    assert!(auditor.take_violations().is_empty());
    auditor.read(node(1), 6, 7);
    assert_eq!(broken_by(auditor), BTreeSet::from(["S12"]));
}

#[test]
fn s10_a_message_of_a_removed_node_that_is_heard_is_found() {
    let contact = Contact { from: node(1), to: node(2), refused: true, heard: false, answered: false };
    assert!(a_revoked_peer_changes_nothing_and_learns_nothing(contact).is_none());
    let heard = Contact { heard: true, ..contact };
    assert!(a_revoked_peer_changes_nothing_and_learns_nothing(heard).is_some());
    let member = Contact { refused: false, ..heard };
    assert!(a_revoked_peer_changes_nothing_and_learns_nothing(member).is_none());
}
