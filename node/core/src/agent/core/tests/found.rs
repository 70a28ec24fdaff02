//! What the simulator has found; the seeds are named.

use super::*;
use crate::agent::decide::Authority;
use crate::agent::ledger::LedgerEntry;
use crate::driver::{Condition, DriverError, Running};
use crate::spec::Orphan;
use crate::state::command::Report;
use crate::state::rollout::{Phase, Stage};

/// Seed 3857: the verdict was said again and again without a quorum, and rested on a look from before
/// somebody loaded other modules by hand.
#[test]
fn a_verdict_that_nobody_heard_rests_on_another_look_when_it_is_said_again() {
    let step = Step::Upgrading { generation: GENERATION, stage: Stage::Baking };
    let trial = seen(Some(("0.2.0", "a")), Some("0.1.0"));
    let mut script = Script::new(Case::ordered(Order::Upgrade).verified().at(step));
    script.looks(&trial);
    script.says_in_vain("Healthy");
    assert_eq!(script.moves(), None, "it is not said again at once");
    script.later(1);
    let mut patched = trial;
    patched.condition = Condition::MixedCode { detail: "modules of no registered release".to_owned() };
    script.looks(&patched);
    script.expect("failed Verify");
}

/// Seed 6507: the pointers were torn between the last look and the order to go back.
#[test]
fn an_order_is_carried_out_by_what_is_seen_after_it_came() {
    let stands = seen(Some(("0.1.0", "a")), Some("0.1.0"));
    let mut script = Script::new(Case::idle());
    script.looks(&stands);
    assert_eq!(script.moves(), None);
    script.later(20);
    let ordered = Case::ordered(Order::Revert);
    script.case.instance.assignment = ordered.instance.assignment;
    script.case.rollout = ordered.rollout;
    let mut torn = stands;
    torn.permanent = None;
    torn.condition = Condition::TornPointers { detail: "start_erl.data cannot be read".to_owned() };
    script.looks(&torn);
    script.expect("roll back by restart");
}

/// Seed 8898: the decision was applied while the way back was written into the ledger.
#[test]
fn an_orphan_that_learns_of_the_decision_while_it_notes_its_way_back_does_not_begin_it() {
    let mut case = Case::ordered(Order::Drain).verified();
    case.rollout.spec.upgrade.orphan =
        Orphan::Revert { after: Duration::from_secs(60), stagger: Duration::ZERO };
    case.contact_age = Duration::from_secs(60);
    let mut script = Script::new(case);
    script.looks(&seen(Some(("0.2.0", "a")), Some("0.1.0")));
    let back = script.expect("roll back by relup down");
    assert!(matches!(back, Action::RollBack { by: Authority::Orphan(_), .. }));
    let noted = script.core.note(&back).expect("it was not noted before");
    script.core.noted(noted);
    assert!(script.core.may_begin(&back, &script.state()));

    script.case.rollout.phase = Phase::Committing { decided: true };
    assert!(!script.core.may_begin(&back, &script.state()));
    script.case.rollout.phase = Phase::Committing { decided: false };
    script.receives(Order::Revert);
    assert!(!script.core.may_begin(&back, &script.state()), "somebody leads again");
    // Nor does it later, with somebody to ask: the note is withdrawn.
    assert!(script.core.withdraw(&back, LedgerEntry::default()));
    assert_eq!(script.core.ledger().orphan, None);
}

/// Seeds 6301 and 100078: an app that a repair had taken down did not come up again. The cluster went on
/// taking it for healthy, and a rollout took another node down.
#[test]
fn an_app_that_does_not_come_up_is_told_of_between_its_starts() {
    let down = seen(None, Some("0.1.0"));
    let mut case = Case::idle().lives(Liveness::Down);
    case.app.rollout = None;
    let mut script = Script::new(case);
    script.looks(&down);
    let start = script.expect("start");
    script.core.acted();
    let ended = DriverError::Failed { what: "start", reason: "it ended while it booted".to_owned() };
    script.ends(&start, Ended::Done(Err(ended)));
    script.looks(&down);
    let told = script.expect("announce");
    assert!(matches!(told, Action::Announce { observation, .. } if observation == down));
    script.later(1);
    script.expect("start");
}

/// Seed 193: it could not be told what ran on an orphan. That was to be told before it looked again, and nobody
/// was there to tell, so it did not go back for minutes.
#[test]
fn an_orphan_that_cannot_tell_what_runs_looks_again_though_it_can_tell_nobody() {
    let mut case = Case::ordered(Order::Upgrade).verified();
    case.rollout.spec.upgrade.orphan =
        Orphan::Revert { after: Duration::from_secs(60), stagger: Duration::ZERO };
    case.contact_age = Duration::from_secs(60);
    let mut script = Script::new(case);
    let mute = || "modules of no registered release".to_owned();
    let blind = Observation {
        running: Running::Unknown { reason: mute() },
        condition: Condition::TornPointers { detail: "RELEASES cannot be read".to_owned() },
        ..seen(None, Some("0.1.0"))
    };
    for _ in 0..4 {
        script.looks(&blind);
        script.says_in_vain("announce");
        script.later(10);
    }
    script.looks(&blind);
    script.expect("roll back by restart");
}

#[test]
fn who_is_prepared_has_told_before_what_it_saw() {
    let down = seen(None, Some("0.1.0"));
    let mut case = Case::ordered(Order::Prepare).lives(Liveness::Down);
    (case.memory.placed, case.memory.seen_up, case.memory.checks) = (true, true, Some(vec![]));
    let mut script = Script::new(case);
    script.looks(&down);
    let announce = script.expect("announce");
    script.case.instance.observed = Some(down);
    script.case.instance.healthy = script.case.health.flag();
    script.ends(&announce, Ended::Answered(Ok(Ok(Applied::Done))));
    let prepared = script.expect("Prepared");
    assert!(matches!(prepared, Action::Report { report: Report::Prepared { .. }, .. }));
}
