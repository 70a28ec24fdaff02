//! What is fenced, and what may be given up.

use super::case::{Case, name, seen};
use crate::agent::ledger::TrialProgress;
use crate::driver::{Condition, Liveness};
use crate::samples::life;
use crate::state::app::Order;

#[test]
fn every_effect_by_order_is_fenced() {
    let trial = seen(Some(("0.2.0", "a")), Some("0.1.0"));
    let verified = TrialProgress::Verified { boot_nonce: life("a") };
    let mut torn = seen(Some(("0.2.0", "a")), Some("0.2.0"));
    torn.condition = Condition::TornPointers { detail: "start_erl.data".to_owned() };
    for case in [
        Case::ordered(Order::Commit).sees(torn),
        Case::ordered(Order::Upgrade),
        Case::ordered(Order::Drain).verified(),
        Case::ordered(Order::Commit).trial(verified).sees(trial.clone()),
        Case::ordered(Order::Revert).sees(trial),
    ] {
        assert!(case.decide().needs_barrier(), "{:?}", case.decide());
    }
}

#[test]
fn only_what_changes_nothing_may_be_given_up_at_any_time() {
    let down = || seen(None, Some("0.1.0"));
    let trial = || seen(Some(("0.2.0", "a")), Some("0.1.0"));
    let verified = || TrialProgress::Verified { boot_nonce: life("a") };
    let mut placed = Case::ordered(Order::Prepare);
    placed.memory.placed = true;
    let mut ordered = Case::idle();
    ordered.instance.repair = 1;
    let mut unwanted = Case::idle();
    (unwanted.app.running, unwanted.app.rollout) = (false, None);
    let mut untold = Case::idle();
    untold.instance.healthy = None;
    for (case, expected, harmless) in [
        (Case::idle().blind(), "observe", true),
        (Case::ordered(Order::Prepare), "place", true),
        (placed, "preflight", true),
        (Case::ordered(Order::Upgrade).trial(TrialProgress::Begun).sees(trial()), "verify", true),
        (Case::ordered(Order::Drain).verified(), "drain", true),
        (Case::ordered(Order::Revert), "Reverted", true),
        (untold, "announce", true),
        (Case::idle(), "wait for Nothing", true),
        (Case::ordered(Order::Upgrade), "install hot 1", false),
        (Case::ordered(Order::Commit).trial(verified()).sees(trial()), "commit", false),
        (Case::ordered(Order::Revert).sees(trial()), "roll back by relup down", false),
        (ordered, "repair", false),
        (Case::idle().sees(down()).lives(Liveness::Down), "start", false),
        (unwanted, "stop", false),
    ] {
        let action = case.decide();
        assert_eq!(name(&action), expected);
        assert_eq!(action.is_harmless(), harmless, "{expected}");
    }
}
