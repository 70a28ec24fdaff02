use super::case::{Case, GENERATION, ROLLOUT, healthy, seen, torn, unhealthy};
use crate::agent::decide::{Action, Authority};
use crate::agent::ledger::{Ladder, LedgerEntry, Orphan as OrphanNote, TrialProgress, WayBack};
use crate::driver::{Condition, Liveness, Method, Observation, Rung, Running};
use crate::health::Verdict;
use crate::samples::life;
use crate::spec::Orphan;
use crate::state::app::Order;
use crate::state::command::{OrphanOutcome, Report};
use crate::state::rollout::{Phase, Step, TriedRung, Turn};
use std::time::Duration;

fn tried(rung: Rung) -> TriedRung {
    TriedRung { rung, reason: "no".to_owned() }
}

#[test]
fn a_decided_commit_goes_forward_from_wherever_the_node_is() {
    let verified = TrialProgress::Verified { boot_nonce: life("a") };
    let trial = seen(Some(("0.2.0", "a")), Some("0.1.0"));
    let done = seen(Some(("0.2.0", "a")), Some("0.2.0"));
    let commit = || Case::ordered(Order::Commit).trial(verified.clone());
    assert_eq!(commit().sees(trial.clone()).name(), "commit");
    assert_eq!(
        commit().sees(done.clone()).feels(Verdict::Unknown).name(),
        "Committed",
        "that life was judged"
    );
    assert_eq!(commit().sees(done.clone()).feels(unhealthy()).name(), "failed Health");
    assert_eq!(commit().sees(seen(None, Some("0.2.0"))).name(), "start");
    assert_eq!(commit().sees(torn(done)).name(), "repair");
    // Another life than the judged one is proved, and judged, first.
    let unproved = Case::ordered(Order::Commit).sees(trial);
    assert_eq!(unproved.name(), "verify");
    let mut restarted = commit().sees(seen(Some(("0.2.0", "b")), Some("0.2.0"))).feels(Verdict::Unknown);
    restarted.health.boot_nonce = Some(life("b"));
    restarted.liveness = Liveness::Up { boot_nonce: life("b") };
    assert_eq!(restarted.name(), "wait for Health");
    assert_eq!(restarted.feels(healthy(60)).name(), "Committed");
}

#[test]
fn a_torn_book_does_not_keep_a_decided_commit_from_being_carried_out() {
    // Without the book nobody can say which modules run.
    let unread = Observation {
        running: Running::Unknown { reason: "modules of no registered release".to_owned() },
        condition: Condition::TornPointers { detail: "RELEASES cannot be read".to_owned() },
        ..seen(Some(("0.2.0", "a")), Some("0.1.0"))
    };
    let mut case = Case::ordered(Order::Commit).sees(unread);
    case.instance.healthy = None;
    assert_eq!(case.name(), "repair");
    assert_eq!(case_in(Turn::NotAsked, &case).name(), "AskTurn", "mending may restart it");
    assert_eq!(case.lives(Liveness::Unknown).name(), "observe", "a silent VM is waited for");
}

#[test]
fn a_vm_that_hangs_after_the_decision_is_a_failed_verdict_and_not_looked_at_for_ever() {
    let verified = TrialProgress::Verified { boot_nonce: life("a") };
    let mute = Observation {
        running: Running::Unknown { reason: "hung".to_owned() },
        ..seen(Some(("0.2.0", "a")), Some("0.1.0"))
    };
    let hung = |blind: u32, verdict| {
        let mut case = Case::ordered(Order::Commit).trial(verified.clone()).sees(mute.clone()).feels(verdict);
        case.memory.blind = blind;
        // Everybody knows that nothing can be told.
        case.instance.healthy = None;
        case
    };
    assert_eq!(hung(4, unhealthy()).decide(), Action::Observe);
    assert_eq!(hung(5, Verdict::Unknown).decide(), Action::Observe);
    assert_eq!(hung(5, healthy(60)).decide(), Action::Observe, "it serves");
    assert_eq!(hung(5, unhealthy()).name(), "failed Health");
}

#[test]
fn a_node_found_on_from_after_the_decision_is_installed_again() {
    let mut case = Case::ordered(Order::Commit).sees(seen(Some(("0.1.0", "b")), Some("0.1.0")));
    assert_eq!(case.name(), "place");
    case.memory.placed = true;
    assert_eq!(case.name(), "install hot 2");
    let Action::Install { trial, .. } = case.decide() else { panic!() };
    case.ledger.trial = Some(trial);
    assert_eq!(case.name(), "install restart 3", "hot was tried under this order");
    for (turn, expected) in [(Turn::NotAsked, "AskTurn"), (Turn::Asked, "wait for Turn")] {
        let case = case_in(turn, &case);
        assert_eq!(case.name(), expected, "others may have come back at the same moment");
    }
    let mut down = Case::ordered(Order::Commit).sees(seen(None, Some("0.1.0")));
    down.memory.placed = true;
    assert_eq!(down.name(), "install restart 2");
    down = down.at(Step::Committing { generation: GENERATION, turn: Turn::NotAsked });
    assert_eq!(down.name(), "install restart 2", "what is down already needs no turn");
}

#[test]
fn an_app_that_does_not_stay_up_after_the_decision_is_a_failed_verdict_in_the_end() {
    // Permanent already: it is started, three times in a row.
    let mut permanent = Case::ordered(Order::Commit).sees(seen(None, Some("0.2.0")));
    permanent.memory.start_failures = 2;
    assert_eq!(permanent.name(), "start");
    permanent.memory.start_failures = 3;
    assert_eq!(permanent.name(), "failed VmDied");
    assert_eq!(permanent.at(Step::Committed).name(), "failed VmDied");
    // Not permanent yet: it is installed again, three times in a row.
    let mut case = Case::ordered(Order::Commit).sees(seen(None, Some("0.1.0")));
    case.memory.placed = true;
    for attempt in 2..=4 {
        assert_eq!(case.name(), format!("install restart {attempt}"));
        let Action::Install { mut trial, .. } = case.decide() else { panic!() };
        trial.progress = TrialProgress::Verified { boot_nonce: life("x") };
        case.ledger.trial = Some(trial);
    }
    assert_eq!(case.name(), "failed VmDied");
    // What a reboot of the host took away did not fall.
    case.ledger.trial.as_mut().unwrap().host_boot = "an earlier boot".to_owned();
    assert_eq!(case.name(), "install restart 5");
}

#[test]
fn a_committed_node_is_judged_until_its_rollout_ends() {
    let committed = || {
        Case::ordered(Order::Commit)
            .sees(seen(Some(("0.2.0", "a")), Some("0.2.0")))
            .at(Step::Committed)
            .feels(unhealthy())
    };
    assert_eq!(committed().name(), "failed Health");
    assert_eq!(committed().in_phase(Phase::Rolling).name(), "failed Health", "one node after the other");
    assert_eq!(committed().in_phase(Phase::Completed).name(), "wait for Nothing");
}

fn case_in(turn: Turn, like: &Case) -> Case {
    let mut case = Case::ordered(Order::Commit).sees(like.observation.clone().unwrap());
    case.ledger = like.ledger.clone();
    case.memory.placed = true;
    case.at(Step::Committing { generation: GENERATION, turn })
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
fn a_rung_is_never_repeated_and_the_last_failure_is_said() {
    let on_ladder = |ladder: Ladder| {
        let mut case = Case::ordered(Order::Revert).sees(seen(Some(("0.2.0", "a")), Some("0.1.0")));
        case.ledger.way_back = Some(WayBack { generation: super::case::GENERATION, ladder });
        case
    };
    let ladder = |begun, ended, tried| Ladder { begun, ended, tried };
    for (noted, expected) in [
        (ladder(None, false, vec![tried(Rung::RelupDown)]), "roll back by restart"),
        // It said that it led back, and did not; or it was cut off: the next one.
        (ladder(Some(Rung::RelupDown), true, vec![]), "roll back by restart"),
        (ladder(Some(Rung::RelupDown), false, vec![]), "roll back by restart"),
        // The last one, cut off, is worth another try; one that failed is not.
        (ladder(Some(Rung::Restart), false, vec![tried(Rung::RelupDown)]), "roll back by restart"),
        (ladder(Some(Rung::Restart), true, vec![tried(Rung::RelupDown)]), "RevertFailed"),
        (ladder(None, false, vec![tried(Rung::RelupDown), tried(Rung::Restart)]), "RevertFailed"),
    ] {
        assert_eq!(on_ladder(noted.clone()).name(), expected, "{noted:?}");
    }
    let back = on_ladder(ladder(Some(Rung::Restart), true, vec![tried(Rung::RelupDown)]))
        .sees(seen(Some(("0.1.0", "b")), Some("0.1.0")));
    let Action::Report { report, .. } = back.decide() else { panic!() };
    assert_eq!(report, Report::Reverted { by: Some(Rung::Restart), tried: vec![tried(Rung::RelupDown)] });
}

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
fn a_lost_ledger_only_forbids_what_it_may_have_held() {
    let entry = LedgerEntry { lost_up_to: Some(super::case::GENERATION), ..LedgerEntry::default() };
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
