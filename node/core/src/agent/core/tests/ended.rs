//! What is made of what became of an action.

use super::*;
use crate::agent::ledger::Trial;
use crate::agent::outcome::{Follow, PlaceError};
use crate::driver::{Drained, DriverError, Measured, Purge};
use crate::samples::{life, release};
use crate::spec::OldCode;

fn failed() -> DriverError {
    DriverError::Failed { what: "step", reason: "no".to_owned() }
}

fn refused() -> DriverError {
    DriverError::Refused { what: "step", reason: "no".to_owned(), remedy: "do otherwise".to_owned() }
}

fn gone() -> DriverError {
    DriverError::VmGone { what: "step" }
}

#[test]
fn what_a_host_refuses_for_good_is_not_placed_and_anything_else_is_tried_three_times() {
    let errors: [(fn() -> DriverError, u32); 3] = [(refused, 1), (failed, 3), (gone, 3)];
    for (error, times) in errors {
        let mut script = Script::new(Case::ordered(Order::Prepare));
        script.looks(&stands());
        for _ in 0..times {
            let place = script.expect("place");
            script.ends(&place, Ended::Placed(Err(PlaceError::Driver(error()))));
            script.later(1);
        }
        script.expect("PrepareFailed");
    }
}

#[test]
fn that_a_release_cannot_be_fetched_is_told_and_never_a_failure() {
    let mut script = Script::new(Case::ordered(Order::Prepare));
    script.looks(&stands());
    for attempt in 0..5 {
        let place = script.expect("place");
        let reason = "no peer has it".to_owned();
        let error = ContextError::Fetch { release: release("0.2.0"), reason: reason.clone() };
        script.ends(&place, Ended::Placed(Err(PlaceError::Fetch(error))));
        if attempt == 0 {
            script.says("CannotFetch");
            script.stands_at(Step::Preparing { generation: GENERATION, cannot_fetch: Some(reason) });
        }
        assert_eq!(script.moves(), None, "it is not tried again at once");
        script.later(5);
    }
    let place = script.expect("place");
    script.ends(&place, Ended::Placed(Ok(())));
    script.looks(&stands());
    script.expect("Fetched");
}

#[test]
fn a_preflight_that_fails_is_an_answer_and_one_that_does_not_end_is_repeated() {
    for (found, expected) in [
        (Ok(vec![]), "Prepared"),
        (Err(failed()), "PrepareFailed"),
        (Err(refused()), "PrepareFailed"),
        (Err(gone()), "preflight"),
    ] {
        let mut case = Case::ordered(Order::Prepare);
        case.memory.placed = true;
        let mut script = Script::new(case);
        script.looks(&stands());
        let preflight = script.expect("preflight");
        script.ends(&preflight, Ended::Checked(found));
        if expected == "preflight" {
            assert_eq!(script.moves(), None, "not at once");
            script.later(1);
        }
        script.expect(expected);
    }
}

#[test]
fn who_was_seen_running_is_not_taken_for_one_that_the_host_has_yet_to_start() {
    let mut script = Script::new(Case::ordered(Order::Prepare).lives(Liveness::Unknown));
    script.looks(&stands());
    script.expect("place");
    script.later(30);
    script.looks(&seen(None, Some("0.1.0")));
    script.expect("place");
}

#[test]
fn old_code_is_drained_in_the_life_that_was_judged() {
    for (drained, expected) in [
        (Ok(Drained::Clear(life("a"))), "ReadyToCommit"),
        (Ok(Drained::Clear(life("b"))), "drain"),
        (Err(failed()), "failed Commit"),
        (Err(refused()), "failed Commit"),
        (Err(gone()), "drain"),
    ] {
        let mut script = Script::new(Case::ordered(Order::Drain).verified());
        let drain = script.expect("drain");
        script.ends(&drain, Ended::Drained(drained));
        script.later(1);
        if expected == "ReadyToCommit" {
            script.looks(&trial());
        }
        script.expect(expected);
    }
}

#[test]
fn who_lingers_in_old_code_is_waited_for_from_when_it_was_first_seen() {
    let mut case = Case::ordered(Order::Drain).verified();
    case.rollout.spec.upgrade.hot.old_code = OldCode::Kill;
    case.rollout.spec.upgrade.hot.old_code_wait = Duration::from_secs(10);
    let mut script = Script::new(case);
    for (wait, names) in [(9, "<0.1.0>"), (1, "<0.1.0>, <0.2.0>")] {
        let drain = script.expect("drain");
        assert!(matches!(drain, Action::Drain { purge: Purge::Soft, .. }));
        script.ends(&drain, Ended::Drained(Ok(Drained::Lingering(vec![names.to_owned()]))));
        if script.core.observation.is_none() {
            script.looks(&trial());
        }
        script.says("announce");
        script.later(wait);
    }
    assert!(matches!(script.expect("drain"), Action::Drain { purge: Purge::Brutal, .. }));
}

#[test]
fn an_installation_that_failed_is_noted_as_such() {
    let mut script = Script::new(Case::ordered(Order::Upgrade));
    script.looks(&stands());
    let install = script.expect("install hot 1");
    let now = script.case.now;
    let follow = script.core.take_in(&install, Ended::Done(Err(failed())), now, now);
    assert_eq!(follow, Follow { store: true, prompt_health: false });
    let Action::Install { trial, .. } = install else { panic!() };
    let progress = TrialProgress::Failed { reason: "step failed: no".to_owned() };
    assert_eq!(script.core.ledger().trial, Some(Trial { progress, ..trial }));
}

/// An installation that seems to have succeeded, and what its proof is answered with.
fn proved() -> (Script, Follow) {
    let mut script =
        Script::new(Case::ordered(Order::Upgrade).trial(TrialProgress::Begun).sees(trial()).baking());
    script.looks(&trial());
    let verify = script.expect("verify");
    let measured = Measured { suspended: 3, ..Measured::default() };
    let now = script.case.now;
    let follow = script.core.take_in(&verify, Ended::Proved(Ok(Some(measured))), now, now);
    (script, follow)
}

#[test]
fn a_proof_is_noted_with_the_life_that_it_holds_for_and_what_was_measured() {
    let (script, follow) = proved();
    assert_eq!(follow, Follow { store: true, prompt_health: true });
    let noted = script.core.ledger().trial.clone().expect("it was noted");
    assert_eq!(noted.progress, TrialProgress::Verified { boot_nonce: life("a") });
    assert_eq!(noted.measured.expect("it was measured").suspended, 3);
}

#[test]
fn health_from_before_the_proof_does_not_end_a_bake() {
    let (mut script, _) = proved();
    script.says("announce");
    assert_eq!(script.moves(), None, "it waits for health");
}

#[test]
fn once_the_proved_life_was_pushed_its_end_is_said_without_a_look() {
    let (mut script, _) = proved();
    script.says("announce");
    script.case.liveness = Liveness::Down;
    script.expect("failed VmDied");
}

/// The crash matrix: a VM that was killed while its agent looked stayed down until the next look.
#[test]
fn what_was_seen_before_the_vm_died_is_looked_at_again() {
    let mut case = Case::idle();
    case.app.rollout = None;
    let mut script = Script::new(case);
    let (observe, began) = (script.expect("observe"), script.case.now);
    script.later(1);
    script.case.liveness = Liveness::Down;
    assert_eq!(script.moves().as_ref(), Some(&observe), "it goes on looking");
    let _follow = script.core.take_in(&observe, Ended::Observed(Ok(stands())), began, script.case.now);
    script.looks(&seen(None, Some("0.1.0")));
    script.expect("start");
}
