//! Newer orders, and turns that are taken away: what is under way is not to go on, what waits does not
//! begin, and what was found out for one order is found out again for the next.

use super::*;
use crate::agent::decide::tests::case::at;
use crate::driver::DriverError;

#[test]
fn a_newer_order_overrules_what_is_under_way_and_what_was_about_to_begin() {
    let mut script = Script::new(Case::ordered(Order::Upgrade));
    script.looks(&stands());
    let install = script.expect("install hot 1");
    assert!(!script.core.is_overruled(&script.state()));
    assert!(script.core.may_begin(&install, &script.state()));
    script.receives(Order::Revert);
    assert!(script.core.is_overruled(&script.state()));
    assert!(!script.core.may_begin(&install, &script.state()));
}

#[test]
fn who_has_lost_its_turn_begins_nothing_and_goes_on_with_nothing() {
    let reverting = |turn| Step::Reverting { generation: GENERATION, turn, tried: vec![] };
    let mut script = Script::new(Case::ordered(Order::Revert).at(reverting(Turn::Given)));
    script.looks(&trial());
    let back = script.expect("roll back by relup down");
    assert!(!script.core.is_overruled(&script.state()));
    assert!(script.core.may_begin(&back, &script.state()));
    for lost in [Turn::NotAsked, Turn::Asked] {
        script.stands_at(reverting(lost));
        assert!(script.core.is_overruled(&script.state()), "{lost:?}");
        assert!(!script.core.may_begin(&back, &script.state()), "{lost:?}");
    }
}

#[test]
fn what_needs_no_turn_can_lose_none() {
    for turn in [Turn::NotAsked, Turn::Asked] {
        let step = Step::Reverting { generation: GENERATION, turn, tried: vec![] };
        let mut script = Script::new(Case::ordered(Order::Revert).at(step).lives(Liveness::Down));
        script.looks(&seen(None, Some("0.1.0")));
        let back = script.expect("roll back by restart");
        assert!(!script.core.is_overruled(&script.state()), "{turn:?}");
        assert!(script.core.may_begin(&back, &script.state()), "{turn:?}");
    }
}

#[test]
fn what_is_done_without_an_order_begins_whatever_was_ordered_meanwhile() {
    let mut script = Script::new(Case::idle().lives(Liveness::Down));
    script.looks(&seen(None, Some("0.1.0")));
    let start = script.expect("start");
    script.receives(Order::Prepare);
    assert!(script.core.may_begin(&start, &script.state()));
}

#[test]
fn what_was_found_out_for_one_order_is_found_out_again_for_the_next() {
    let mut script = Script::new(Case::ordered(Order::Prepare));
    script.core.memory = Memory::new(at(50));
    script.looks(&stands());
    let place = script.expect("place");
    script.ends(&place, Ended::Placed(Ok(())));
    script.looks(&stands());
    let preflight = script.expect("preflight");
    script.ends(&preflight, Ended::Checked(Ok(vec![])));
    script.expect("Prepared");
    script.receives(Order::Prepare);
    script.expect("place");
}

#[test]
fn a_new_order_is_worth_a_try_at_once() {
    let mut script = Script::new(Case::ordered(Order::Upgrade));
    script.looks(&stands());
    let install = script.expect("install hot 1");
    script.core.acted();
    let slow = DriverError::TimedOut { what: "install", after: Duration::from_secs(60) };
    script.ends(&install, Ended::Done(Err(slow)));
    script.looks(&stands());
    assert_eq!(script.moves(), None, "under the same order it waits");
    script.receives(Order::Upgrade);
    script.expect("install hot 1");
}

#[test]
fn a_changed_spec_takes_hold_between_rollouts() {
    let other = AppSpec { stop_grace: Duration::from_secs(2), ..spec() };
    for (rollout, spec, takes_hold) in [
        (None, spec(), false),
        (None, other.clone(), true),
        (Case::idle().app.rollout, spec(), false),
        (Case::idle().app.rollout, other, false),
    ] {
        let mut script = Script::new(Case::idle());
        (script.case.app.rollout, script.case.app.spec) = (rollout, spec);
        assert_eq!(script.core.spec_changed(&script.state()), takes_hold, "{rollout:?}");
    }
}
