//! What a hot upgrade may cost, and who is waited for before a commit.

use super::case::{Case, at};
use crate::agent::decide::Action;
use crate::agent::memory::Lingering;
use crate::driver::{Measured, Purge};
use crate::spec::OldCode;
use crate::state::app::Order;
use crate::state::command::Report;
use crate::state::rollout::{Failure, Notes};
use std::time::Duration;

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A node that drains, on which a process has run old code since second 90; it is second 100.
fn draining(policy: OldCode, wait: Duration) -> Case {
    let mut case = Case::ordered(Order::Drain).verified();
    let processes = vec!["<0.1.0> in shop_routes".to_owned()];
    case.rollout.spec.upgrade.hot.old_code = policy;
    case.rollout.spec.upgrade.hot.old_code_wait = wait;
    case.memory.lingering = Some(Lingering { since: at(90), processes });
    case
}

fn tells(case: &Case) -> Notes {
    match case.decide() {
        Action::Announce { noted: Some(noted), .. } => noted.notes,
        action => panic!("{action:?}"),
    }
}

#[test]
fn who_lingers_is_told_once_and_waited_for() {
    for policy in [OldCode::Wait, OldCode::Revert, OldCode::Kill] {
        let mut case = draining(policy, Duration::from_secs(11));
        // Nothing that was seen before the order counts, and what is told says what is seen.
        let sight = case.observation.take();
        assert_eq!(case.decide(), Action::Observe);
        case.observation = sight;
        let notes = tells(&case);
        assert_eq!(notes.old_code, ["<0.1.0> in shop_routes"]);
        case.note(notes);
        assert!(matches!(case.decide(), Action::Drain { purge: Purge::Soft, .. }), "{policy:?}");
    }
}

#[test]
fn after_a_while_the_policy_says_what_becomes_of_those_who_linger() {
    let over = Duration::from_secs(10);
    let mut waits = draining(OldCode::Wait, over);
    waits.note(tells(&waits));
    assert!(matches!(waits.decide(), Action::Drain { purge: Purge::Soft, .. }));
    assert!(matches!(draining(OldCode::Kill, over).decide(), Action::Drain { purge: Purge::Brutal, .. }));
    match draining(OldCode::Revert, over).decide() {
        Action::Report { report: Report::Failed { failure: Failure::Commit { reason } }, .. } => {
            assert_eq!(reason, "processes still run old code after 10s: <0.1.0> in shop_routes");
        }
        action => panic!("{action:?}"),
    }
}

#[test]
fn a_node_that_suspended_a_process_for_too_long_has_failed() {
    for (measured, limit, expected) in [
        (Some(51), Some(50), "failed Verify"),
        (Some(50), Some(50), "wait for Bake"),
        (Some(5000), None, "wait for Bake"),
        // What was not measured is not known to be short enough.
        (None, Some(50), "failed Verify"),
        (None, None, "wait for Bake"),
    ] {
        let mut case = Case::ordered(Order::Upgrade).verified();
        let longest = |ms| Measured { longest_suspend: milliseconds(ms), ..Measured::default() };
        let measured = measured.map(longest);
        case.rollout.spec.upgrade.bake = Duration::from_secs(1000);
        case.rollout.spec.upgrade.hot.max_suspend = limit.map(milliseconds);
        case.ledger.trial.as_mut().unwrap().measured = measured.clone().map(Box::new);
        case.note(Notes { measured: measured.clone(), old_code: vec![] });
        assert_eq!(case.baking().name(), expected, "{measured:?} {limit:?}");
    }
}

#[test]
fn what_was_measured_is_told_and_not_forgotten() {
    let measured = Measured { suspended: 3, ..Measured::default() };
    let mut case = Case::ordered(Order::Upgrade).verified().baking();
    case.rollout.spec.upgrade.bake = Duration::from_secs(1000);
    case.ledger.trial.as_mut().unwrap().measured = Some(Box::new(measured.clone()));
    let notes = tells(&case);
    assert_eq!(notes.measured, Some(measured));
    // Its ledger lost, the node has nothing better to say.
    case.note(notes);
    case.ledger.trial.as_mut().unwrap().measured = None;
    assert_eq!(case.name(), "wait for Bake");
}
