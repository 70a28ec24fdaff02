//! After the decision.

use super::case::{Case, GENERATION, healthy, seen, torn, unhealthy};
use crate::agent::decide::Action;
use crate::agent::ledger::TrialProgress;
use crate::driver::{Condition, Liveness, Observation, Running};
use crate::health::Verdict;
use crate::samples::{life, version};
use crate::state::app::Order;
use crate::state::rollout::{Phase, Step, Turn};

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

/// Seed 9002: the host lost its power, and RELEASES was torn.
#[test]
fn a_torn_book_beside_which_nothing_can_be_placed_is_mended_first() {
    let mut case = Case::ordered(Order::Commit).sees(Observation {
        condition: Condition::TornPointers { detail: "RELEASES cannot be read".to_owned() },
        ..seen(None, Some("0.1.0"))
    });
    assert_eq!(case.name(), "place", "it may be there already");
    case.memory.place_failed = Some("RELEASES cannot be read".to_owned());
    assert_eq!(case.name(), "repair");
    let running = Observation {
        running: Running::Up { version: version("0.1.0"), boot_nonce: life("a") },
        ..case.observation.clone().unwrap()
    };
    assert_eq!(case.sees(running).name(), "place", "what serves is not taken down for it");
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

/// The trial of 0.2.0 is noted as verified, in life `a`.
fn commit() -> Case {
    Case::ordered(Order::Commit).trial(TrialProgress::Verified { boot_nonce: life("a") })
}

#[test]
fn only_a_life_of_the_new_version_that_was_proved_can_fail_its_health() {
    let trial = |nonce| seen(Some(("0.2.0", nonce)), Some("0.1.0"));
    assert_eq!(commit().sees(trial("a")).feels(unhealthy()).name(), "failed Health");
    // What is not known to be wholly the new version is proved first, and judged then.
    let mut unproved = commit().sees(trial("b")).feels(unhealthy());
    unproved.health.boot_nonce = Some(life("b"));
    assert_eq!(unproved.name(), "verify");
    let Action::Verify { trial, .. } = unproved.decide() else { panic!() };
    assert_eq!(trial.attempt, 2, "it is judged, unlike the life that was judged before the decision");
    let old = seen(Some(("0.1.0", "a")), Some("0.2.0"));
    assert_eq!(commit().sees(old).feels(unhealthy()).name(), "place", "the old one may well be sick");
}

#[test]
fn an_app_that_is_not_to_run_is_committed_without_running() {
    let mut stopped = commit().sees(seen(None, Some("0.2.0")));
    stopped.app.running = false;
    stopped.memory.start_failures = 3;
    assert_eq!(stopped.name(), "Committed");
}

#[test]
fn a_version_that_ran_or_took_the_app_down_with_it_has_fallen() {
    let down = || seen(None, Some("0.1.0"));
    let old = || seen(Some(("0.1.0", "b")), Some("0.1.0"));
    let ran = || TrialProgress::Verified { boot_nonce: life("a") };
    let refused = || TrialProgress::Failed { reason: "no relup".to_owned() };
    for (falls, progress, sight, expected) in [
        (2, ran(), old(), "failed VmDied"),
        (2, ran(), down(), "failed VmDied"),
        (2, TrialProgress::Begun, down(), "failed VmDied"),
        (1, ran(), down(), "install restart 2"),
        (1, ran(), old(), "install restart 2"),
        // The old version was never left.
        (2, refused(), old(), "install restart 2"),
    ] {
        let mut case = Case::ordered(Order::Commit).trial(progress.clone()).sees(sight.clone());
        case.ledger.trial.as_mut().unwrap().falls = falls;
        case.memory.placed = true;
        assert_eq!(case.name(), expected, "{falls} {progress:?} {sight:?}");
    }
}
