//! The orphan rule.

use super::case::{Case, GENERATION, ROLLOUT, at, seen};
use crate::agent::decide::{Action, Authority};
use crate::agent::ledger::{Ladder, Orphan as OrphanNote};
use crate::driver::Rung;
use crate::samples::{life, node};
use crate::spec::{Orphan, Permanent};
use crate::state::app::Order;
use crate::state::command::{OrphanOutcome, Report};
use crate::state::rollout::{Failure, HaltReason, Phase, Step, TriedRung, Turn};
use std::time::Duration;

#[test]
fn orphans_go_back_in_turn_the_last_place_first() {
    let second = Duration::from_secs(1);
    let after = Duration::from_secs(60);
    let orphan = |position: u32, age: Duration| {
        let mut case = Case::ordered(Order::Upgrade).verified();
        case.rollout.spec.upgrade.orphan = Orphan::Revert { after, stagger: Duration::from_secs(10) };
        case.instance.assignment.as_mut().unwrap().position = position;
        case.contact_age = age;
        case
    };
    for (position, due) in [(2, 60), (1, 70), (0, 80)] {
        let due = Duration::from_secs(due);
        assert!(!matches!(orphan(position, due - second).decide(), Action::RollBack { .. }));
        let Action::RollBack { rung, by, .. } = orphan(position, due).decide() else { panic!("{position}") };
        assert_eq!((rung, by), (Rung::RelupDown, Authority::Orphan(ROLLOUT)));
        assert!(!orphan(position, due).decide().needs_barrier(), "there is nobody to ask");
        let early = orphan(position, second).decide();
        assert!(!matches!(early, Action::RollBack { .. }), "{early:?}");
    }
    let long = Duration::from_secs(1000);
    let mut hold = orphan(2, long);
    hold.rollout.spec.upgrade.orphan = Orphan::Hold;
    let decided = orphan(2, long).in_phase(Phase::Committing { decided: true });
    let clean = orphan(2, long).sees(seen(Some(("0.1.0", "a")), Some("0.1.0")));
    let ended = orphan(2, long).in_phase(Phase::Completed);
    for case in [hold, decided, clean, ended] {
        assert!(!matches!(case.decide(), Action::RollBack { .. }), "{:?}", case.decide());
    }
}

/// Seed 6603: it stands on `from`, so that the rule has nothing to do, at the very moment at which it applies.
#[test]
fn nobody_waits_for_the_moment_that_it_is() {
    for (age, until) in [(69, Some(at(101))), (70, None), (71, None)] {
        let case = Case::ordered(Order::Upgrade).verified().sees(seen(Some(("0.1.0", "a")), Some("0.1.0")));
        let mut case =
            waits(case, age).at(Step::Failed { failure: Failure::VmDied { detail: String::new() } });
        case.instance.observed = case.observation.clone();
        let Action::Wait { until: found, .. } = case.decide() else { panic!("{:?}", case.decide()) };
        assert_eq!(found, until, "alone for {age} s");
    }
}

#[test]
fn an_orphan_that_is_back_says_so_and_nothing_else() {
    let mut case = Case::ordered(Order::Upgrade).verified().sees(seen(Some(("0.1.0", "a")), Some("0.1.0")));
    case.ledger.orphan = Some(OrphanNote {
        rollout: ROLLOUT,
        ladder: Ladder { begun: Some(Rung::RelupDown), ended: true, tried: vec![] },
    });
    let outcome = OrphanOutcome::Back { version: Some("0.1.0".parse().unwrap()) };
    assert_eq!(case.decide(), Action::ReportOrphan { rollout: ROLLOUT, outcome });
    case.memory.orphan_reported = Some(ROLLOUT);
    assert_eq!(case.name(), "wait for Order");
}

/// Seed 3047: its order to commit came while it was on its way back. What it says of that may be on its way for long,
/// so it does not go forward before that was heard.
#[test]
fn an_orphan_says_so_before_it_goes_forward() {
    let ordered = |phase, spent: bool| {
        let seen = if spent { seen(None, Some("0.1.0")) } else { seen(Some(("0.1.0", "a")), Some("0.1.0")) };
        let mut case = Case::ordered(Order::Commit).in_phase(phase).verified().sees(seen);
        case.rollout.spec.upgrade.permanent = Permanent::PerNode;
        let tried = TriedRung { rung: Rung::Restart, reason: String::new() };
        let tried = if spent { vec![tried; 3] } else { vec![] };
        let ladder = Ladder { begun: None, ended: false, tried };
        case.ledger.orphan = Some(OrphanNote { rollout: ROLLOUT, ladder });
        case
    };
    let decided = Phase::Committing { decided: true };
    for spent in [false, true] {
        let action = ordered(Phase::Rolling, spent).decide();
        assert!(matches!(action, Action::ReportOrphan { .. }), "{action:?}");
        let action = ordered(decided.clone(), spent).decide();
        assert!(!matches!(action, Action::ReportOrphan { .. } | Action::RollBack { .. }), "{action:?}");
    }
    let halfway = || ordered(Phase::Rolling, false).sees(seen(Some(("0.2.0", "a")), Some("0.1.0")));
    assert_eq!(authority(&halfway()), Some(Authority::Orphan(ROLLOUT)), "it goes to the end");
    assert_eq!(authority(&halfway().at(Step::Committed)), None, "it went forward since");
    // The commit was decided for all and is halted again: that this node goes back takes an order.
    let mut halted = halfway().in_phase(Phase::Halted { reason: HaltReason::Orphaned { node: node(1) } });
    halted.rollout.spec.upgrade.permanent = Permanent::AtEnd;
    assert_eq!(authority(&halted), None);
}

#[test]
fn whoever_goes_forward_is_no_orphan_any_more() {
    let mut case = Case::ordered(Order::Commit).sees(seen(None, Some("0.1.0")));
    case.ledger.orphan = Some(OrphanNote { rollout: ROLLOUT, ladder: Ladder::default() });
    case.memory.placed = true;
    let action = case.decide();
    assert!(matches!(action, Action::Install { .. }), "{action:?}");
    assert_eq!(case.ledger.before(&action).orphan, None);
}

/// The second of three places, which waits for contact for 70 seconds.
fn waits(mut case: Case, age: u64) -> Case {
    let (after, stagger) = (Duration::from_secs(60), Duration::from_secs(10));
    case.rollout.spec.upgrade.orphan = Orphan::Revert { after, stagger };
    case.contact_age = Duration::from_secs(age);
    case
}

fn authority(case: &Case) -> Option<Authority> {
    match case.decide() {
        Action::RollBack { by, .. } => Some(by),
        _ => None,
    }
}

#[test]
fn an_order_to_go_back_is_carried_out_as_such_while_somebody_can_confirm_it() {
    let (order, orphan) = (Authority::Order(GENERATION), Authority::Orphan(ROLLOUT));
    let revert = |age| {
        let case = Case::ordered(Order::Revert).verified();
        waits(case, age)
    };
    for (age, by) in [(0, order), (69, order), (70, orphan), (1000, orphan)] {
        assert_eq!(authority(&revert(age)), Some(by), "{age}");
    }
    // Also where it had begun to go back by itself before.
    let mut begun = revert(0);
    begun.ledger.orphan = Some(OrphanNote { rollout: ROLLOUT, ladder: Ladder::default() });
    assert_eq!(authority(&begun), Some(order));
    // Once it is said, nothing is begun again.
    let said = revert(1000).at(Step::Reverted { by: None });
    assert_eq!(said.name(), "wait for Nothing");
}

#[test]
fn a_wait_ends_when_the_rule_would_apply_without_contact() {
    let upgraded = || {
        let healthy = Report::Healthy { boot_nonce: life("a") };
        Case::ordered(Order::Upgrade).verified().said(healthy)
    };
    let failed = || Report::Failed { failure: Failure::Install { reason: "no relup".to_owned() } };
    let drained = || {
        let ready = Report::ReadyToCommit { boot_nonce: life("a") };
        Case::ordered(Order::Drain).verified().said(ready)
    };
    let reverting = Step::Reverting { generation: GENERATION, turn: Turn::Asked, tried: vec![] };
    let mut lost = Case::ordered(Order::Upgrade).said(failed());
    lost.ledger.lost_up_to = Some(GENERATION);
    for (case, due) in [
        (upgraded(), true),
        (drained(), true),
        // Whether there was a trial is not known any more.
        (lost, true),
        (Case::ordered(Order::Upgrade).said(failed()), false),
        (Case::ordered(Order::Revert).verified().at(reverting), false),
        (upgraded().in_phase(Phase::Completed), false),
        (drained().in_phase(Phase::Committing { decided: true }), false),
    ] {
        let Action::Wait { until, .. } = waits(case, 30).decide() else { panic!("it does not wait") };
        assert_eq!(until, due.then(|| at(140)));
    }
    let mut hold = upgraded();
    hold.contact_age = Duration::from_secs(30);
    assert!(matches!(hold.decide(), Action::Wait { until: None, .. }), "it waits for ever");
}

#[test]
fn who_holds_no_trial_is_no_orphan() {
    assert_eq!(authority(&waits(Case::ordered(Order::Upgrade), 1000)), None);
    let elsewhere = seen(Some(("0.2.0", "a")), Some("0.1.0"));
    assert_eq!(authority(&waits(Case::ordered(Order::Upgrade).sees(elsewhere), 1000)), None);
}
