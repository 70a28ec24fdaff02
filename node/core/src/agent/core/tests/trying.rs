//! How long is waited before something is tried, looked at or asked again, and what is noted before.

use super::*;
use crate::driver::DriverError;
use crate::samples::life;

#[test]
fn what_was_seen_is_looked_at_again_after_half_a_minute() {
    let mut script = Script::new(Case::idle());
    script.looks(&stands());
    let snapshot = script.snapshot();
    let action = script.core.next(&snapshot).expect("the app is placed here");
    let until = Some(snapshot.now + OBSERVE_EVERY);
    assert_eq!(script.core.next_move(action, snapshot.now), Move::Rest { until });
    script.later(29);
    assert_eq!(script.moves(), None);
    script.later(1);
    script.expect("observe");
}

#[test]
fn an_app_that_has_stayed_up_for_half_a_minute_has_not_failed_to_start() {
    for (stays_up, expected) in [(29, "failed VmDied"), (30, "start")] {
        let down = seen(None, Some("0.2.0"));
        let up = seen(Some(("0.2.0", "a")), Some("0.2.0"));
        let mut script = Script::new(Case::ordered(Order::Commit).lives(Liveness::Down));
        for _ in 0..3 {
            script.looks(&down);
            let start = script.expect("start");
            script.core.acted();
            script.ends(&start, Ended::Done(Ok(())));
            script.case.liveness = Liveness::Up { boot_nonce: life("a") };
            script.looks(&up);
            script.later(stays_up);
            script.core.refresh(&script.snapshot());
            script.case.liveness = Liveness::Down;
        }
        script.looks(&down);
        script.expect(expected);
    }
}

#[test]
fn without_a_quorum_it_is_asked_again_ever_later_and_an_answer_ends_that() {
    let mut script = Script::new(Case::idle());
    let now = script.case.now;
    let milliseconds = |count| Some(now + Duration::from_millis(count));
    assert_eq!(script.core.fence_failed(now), milliseconds(20));
    assert_eq!(script.core.fence_failed(now), milliseconds(40));
    script.core.fence_held();
    assert_eq!(script.core.fence_failed(now), milliseconds(20));
}

#[test]
fn an_effect_is_noted_once_and_what_was_noted_of_others_stays() {
    let mut script = Script::new(Case::ordered(Order::Revert).verified());
    script.looks(&trial());
    let back = script.expect("roll back by relup down");
    let noted = script.core.note(&back).expect("it was not noted before");
    assert_eq!(noted.trial, script.case.ledger.trial);
    assert!(noted.ladder_of(GENERATION).is_some());
    script.core.noted(noted.clone());
    assert_eq!(script.core.ledger(), &noted);
    assert_eq!(script.core.note(&back), None);
    assert_eq!(script.core.note(&Action::Start), None, "there is nothing to note");
}

#[test]
fn an_effect_whose_note_could_not_be_written_waits_a_moment() {
    let mut script = Script::new(Case::ordered(Order::Upgrade));
    script.looks(&stands());
    let install = script.expect("install hot 1");
    script.core.not_noted(&install, script.case.now);
    assert_eq!(script.moves(), None);
    script.later(1);
    script.expect("install hot 1");
}

#[test]
fn an_effect_that_has_to_be_had_again_waits_a_moment_whatever_was_said_of_it() {
    let failed = || DriverError::Failed { what: "commit", reason: "no".to_owned() };
    for said in [Ok(()), Err(failed())] {
        let mut script = Script::new(Case::ordered(Order::Commit).verified());
        script.looks(&trial());
        let commit = script.expect("commit");
        script.core.acted();
        script.ends(&commit, Ended::Done(said));
        script.looks(&trial());
        assert_eq!(script.moves(), None);
        script.later(1);
        script.expect("commit");
    }
}
