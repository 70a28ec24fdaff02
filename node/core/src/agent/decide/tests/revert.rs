//! The way back under an order.

use super::case::{Case, GENERATION, seen, torn, unhealthy};
use crate::agent::decide::Action;
use crate::agent::ledger::{Ladder, LedgerEntry, TrialProgress, WayBack};
use crate::driver::{Condition, Method, Observation, Rung, Running};
use crate::health::Verdict;
use crate::state::app::Order;
use crate::state::command::Report;
use crate::state::rollout::{Step, TriedRung, Turn};

fn tried(rung: Rung) -> TriedRung {
    TriedRung { rung, reason: "no".to_owned() }
}

#[test]
fn what_runs_is_taken_back_in_its_turn() {
    let revert = |turn| {
        Case::ordered(Order::Revert).at(Step::Reverting { generation: GENERATION, turn, tried: vec![] })
    };
    let trial = seen(Some(("0.2.0", "a")), Some("0.1.0"));
    assert_eq!(revert(Turn::Asked).sees(trial.clone()).name(), "wait for Turn");
    assert_eq!(revert(Turn::NotAsked).sees(trial.clone()).name(), "AskTurn", "it was taken away");
    assert_eq!(revert(Turn::Given).sees(trial).name(), "roll back by relup down");
    let down = seen(None, Some("0.1.0"));
    assert_eq!(revert(Turn::Asked).sees(down).name(), "roll back by restart", "it is down already");
    let back = seen(Some(("0.1.0", "a")), Some("0.1.0"));
    assert_eq!(revert(Turn::Asked).sees(back).name(), "Reverted", "there is nothing to do");
}

#[test]
fn the_way_back_is_chosen_from_what_is_seen() {
    let revert = || Case::ordered(Order::Revert);
    let trial = seen(Some(("0.2.0", "a")), Some("0.1.0"));
    for (case, expected) in [
        (revert(), "Reverted"),
        (revert().sees(trial.clone()), "roll back by relup down"),
        (revert().by(Method::Restart).sees(trial.clone()), "roll back by restart"),
        (revert().sees(seen(Some(("0.2.0", "a")), Some("0.2.0"))), "roll back by relup down"),
        (revert().sees(seen(None, Some("0.2.0"))), "roll back by restart"),
        (revert().sees(seen(None, Some("0.1.0"))), "roll back by restart"),
        (revert().sees(torn(trial.clone())), "roll back by restart"),
        (revert().sees(torn(seen(Some(("0.1.0", "a")), Some("0.1.0")))), "roll back by restart"),
        (revert().first(), "Reverted"),
        // It was begun: what it may have left is taken away, whether or not anything runs.
        (revert().first().trial(TrialProgress::Begun), "roll back by unplace"),
        (revert().first().sees(seen(Some(("0.2.0", "a")), None)), "roll back by unplace"),
        (revert().first().sees(seen(Some(("0.2.0", "a")), Some("0.2.0"))), "roll back by unplace"),
    ] {
        assert_eq!(case.feels(unhealthy()).name(), expected, "health is not asked for");
    }
    let mute = Observation { running: Running::Unknown { reason: "hung".to_owned() }, ..trial };
    let mut hung = revert().sees(mute).feels(Verdict::Unknown);
    assert_eq!(hung.decide(), Action::Observe);
    hung.memory.blind = 5;
    assert_eq!(hung.name(), "roll back by restart", "a VM that never answers is restarted");
    assert_eq!(hung.blind().decide(), Action::Observe, "nobody has looked since the last effect");
}

#[test]
fn a_gentle_rung_is_never_repeated_and_the_last_one_only_a_few_times() {
    let on_ladder = |ladder: Ladder| {
        let mut case = Case::ordered(Order::Revert).sees(seen(Some(("0.2.0", "a")), Some("0.1.0")));
        case.ledger.way_back = Some(WayBack { generation: GENERATION, ladder });
        case
    };
    let ladder = |begun, ended, tried| Ladder { begun, ended, tried };
    let after_restarts = |count| {
        let restarts = std::iter::repeat_n(Rung::Restart, count);
        std::iter::once(Rung::RelupDown).chain(restarts).map(tried).collect::<Vec<_>>()
    };
    for (noted, expected) in [
        (ladder(None, false, vec![tried(Rung::RelupDown)]), "roll back by restart"),
        // It said that it led back, and did not; or it was cut off: the next one.
        (ladder(Some(Rung::RelupDown), true, vec![]), "roll back by restart"),
        (ladder(Some(Rung::RelupDown), false, vec![]), "roll back by restart"),
        // The last one is worth another try: always where it was cut off, a few times where it failed.
        (ladder(Some(Rung::Restart), false, vec![tried(Rung::RelupDown)]), "roll back by restart"),
        (ladder(Some(Rung::Restart), true, after_restarts(0)), "roll back by restart"),
        (ladder(None, false, after_restarts(2)), "roll back by restart"),
        (ladder(Some(Rung::Restart), false, after_restarts(2)), "roll back by restart"),
        (ladder(Some(Rung::Restart), true, after_restarts(2)), "RevertFailed"),
        (ladder(None, false, after_restarts(3)), "RevertFailed"),
    ] {
        assert_eq!(on_ladder(noted.clone()).name(), expected, "{noted:?}");
    }
    let back = on_ladder(ladder(Some(Rung::Restart), true, vec![tried(Rung::RelupDown)]))
        .sees(seen(Some(("0.1.0", "b")), Some("0.1.0")));
    let Action::Report { report, .. } = back.decide() else { panic!() };
    assert_eq!(report, Report::Reverted { by: Some(Rung::Restart), tried: vec![tried(Rung::RelupDown)] });
}

#[test]
fn a_lost_ledger_only_forbids_what_it_may_have_held() {
    let entry = LedgerEntry { lost_up_to: Some(GENERATION), ..LedgerEntry::default() };
    let mut revert = Case::ordered(Order::Revert).sees(seen(Some(("0.2.0", "a")), Some("0.1.0")));
    revert.ledger = entry.clone();
    assert_eq!(revert.name(), "roll back by relup down");
    let mut newer = Case::ordered(Order::Upgrade);
    newer.ledger = entry;
    newer.instance.assignment.as_mut().unwrap().generation.0 += 1;
    assert_eq!(newer.name(), "install hot 1");
}

#[test]
fn debris_harms_nobody() {
    let mut back = seen(Some(("0.1.0", "a")), Some("0.1.0"));
    back.condition = Condition::Debris { detail: "lib/x".to_owned() };
    assert_eq!(Case::ordered(Order::Revert).sees(back.clone()).name(), "Reverted");
    assert_eq!(Case::ordered(Order::Upgrade).sees(back).name(), "install hot 1");
}

#[test]
fn a_node_that_stands_where_it_came_from_is_back_whatever_was_tried_on_it() {
    let stands = Case::ordered(Order::Revert).trial(TrialProgress::Begun);
    assert_eq!(stands.name(), "Reverted");
    // A first installation is back once it is cleared away.
    let mut first = Case::ordered(Order::Revert).first().trial(TrialProgress::Begun);
    assert_eq!(first.name(), "roll back by unplace");
    let ladder = Ladder { begun: Some(Rung::Unplace), ended: true, tried: vec![] };
    first.ledger.way_back = Some(WayBack { generation: GENERATION, ladder });
    assert_eq!(first.name(), "Reverted");
}
