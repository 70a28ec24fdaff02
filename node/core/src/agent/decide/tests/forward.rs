use super::case::{BAKE, Case, at, healthy, seen, torn, unhealthy};
use crate::agent::decide::{Action, WaitingFor};
use crate::agent::ledger::TrialProgress;
use crate::driver::{Condition, Liveness, Method, Observation, Running};
use crate::health::Verdict;
use crate::samples::life;
use crate::state::app::Order;
use crate::state::command::Report;
use crate::state::rollout::{Failure, Phase, Stage, Step};

const ORDERS: [Order; 5] = [Order::Prepare, Order::Upgrade, Order::Drain, Order::Commit, Order::Revert];

fn up(nonce: &str) -> Liveness {
    Liveness::Up { boot_nonce: life(nonce) }
}

#[test]
fn what_is_unknown_is_looked_at_again_under_every_order() {
    let mute = Running::Unknown { reason: "no answer".to_owned() };
    let unknown = Condition::Unknown { reason: "no answer".to_owned() };
    let usual = seen(Some(("0.1.0", "a")), Some("0.1.0"));
    for order in ORDERS {
        assert_eq!(Case::ordered(order).blind().decide(), Action::Observe, "{order:?}");
        for sight in [
            Observation { running: mute.clone(), ..usual.clone() },
            Observation { condition: unknown.clone(), ..usual.clone() },
        ] {
            let mut case = Case::ordered(order).sees(sight.clone());
            case.instance.healthy = None;
            assert_eq!(case.decide(), Action::Observe, "{order:?} {sight:?}");
        }
    }
}

#[test]
fn a_verdict_rests_on_a_look_that_is_no_older_than_it() {
    let mut baked = Case::ordered(Order::Upgrade).verified();
    assert_eq!(baked.name(), "Healthy");
    // Healthy since 60: what was seen at 65 says nothing of the end of the bake.
    baked.observed_at = at(65);
    assert_eq!(baked.name(), "observe");
    baked.observed_at = at(60) + BAKE;
    assert_eq!(baked.name(), "Healthy");
    let mut drained = Case::ordered(Order::Drain).verified();
    drained.memory.drained = Some(life("a"));
    assert_eq!(drained.name(), "ReadyToCommit");
    assert_eq!(drained.blind().name(), "observe");
    let elsewhere = Case::ordered(Order::Upgrade).verified().sees(seen(Some(("0.1.0", "a")), Some("0.1.0")));
    assert_eq!(elsewhere.name(), "observe", "the push and the look say different things");
}

#[test]
fn modules_that_somebody_else_has_loaded_are_a_failed_verdict() {
    for order in [Order::Upgrade, Order::Drain] {
        let mixed = Observation {
            running: Running::Unknown { reason: "modules of several releases".to_owned() },
            condition: Condition::MixedCode { detail: "shop is of 0.3.0".to_owned() },
            ..seen(Some(("0.2.0", "a")), Some("0.1.0"))
        };
        assert_eq!(Case::ordered(order).verified().sees(mixed).name(), "failed Verify", "{order:?}");
    }
}

#[test]
fn an_upgrade_begins_only_where_the_node_stands_on_from() {
    let fit = seen(Some(("0.1.0", "a")), Some("0.1.0"));
    for (sight, method, expected) in [
        (fit.clone(), Method::Hot, "install hot 1"),
        (fit.clone(), Method::Restart, "install restart 1"),
        (torn(fit), Method::Hot, "failed Install"),
        // After a reboot it may not be up yet, which says nothing of the new version.
        (seen(None, Some("0.1.0")), Method::Hot, "start"),
        (seen(None, Some("0.1.0")), Method::Restart, "install restart 1"),
        (seen(Some(("0.3.0", "a")), Some("0.3.0")), Method::Hot, "failed Install"),
        (seen(Some(("0.1.0", "a")), Some("0.2.0")), Method::Hot, "failed Install"),
        // Already there, by whatever crash: attached to, not installed.
        (seen(Some(("0.2.0", "a")), Some("0.1.0")), Method::Hot, "verify"),
    ] {
        assert_eq!(
            Case::ordered(Order::Upgrade).by(method).sees(sight.clone()).name(),
            expected,
            "{sight:?}"
        );
    }
    assert_eq!(Case::ordered(Order::Upgrade).first().name(), "install first 1");
    let down = |sight: Observation, start_failures| {
        let mut case = Case::ordered(Order::Upgrade).sees(sight);
        case.memory.start_failures = start_failures;
        case.name()
    };
    assert_eq!(down(seen(None, Some("0.1.0")), 2), "start");
    assert_eq!(down(seen(None, Some("0.1.0")), 3), "failed Install", "it does not come up");
    assert_eq!(down(torn(seen(None, Some("0.1.0"))), 0), "failed Install");
    assert_eq!(down(seen(None, Some("0.3.0")), 0), "failed Install");
    let mut lost = Case::ordered(Order::Upgrade);
    lost.ledger.lost_up_to = Some(super::case::GENERATION);
    assert_eq!(lost.name(), "failed Install", "it may have been begun before");
}

#[test]
fn what_became_of_an_installation_is_told_by_what_runs() {
    for (sight, method, expected) in [
        // Under the same id and in the same life: the driver attaches.
        (seen(Some(("0.1.0", "a")), Some("0.1.0")), Method::Hot, "install hot 1"),
        (seen(Some(("0.1.0", "b")), Some("0.1.0")), Method::Hot, "failed VmDied"),
        (seen(Some(("0.1.0", "b")), Some("0.1.0")), Method::Restart, "failed VmDied"),
        (seen(None, Some("0.1.0")), Method::Hot, "failed VmDied"),
        (seen(None, Some("0.1.0")), Method::Restart, "install restart 1"),
        (seen(Some(("0.2.0", "a")), Some("0.1.0")), Method::Hot, "verify"),
        (seen(Some(("0.2.0", "b")), Some("0.1.0")), Method::Restart, "verify"),
        (seen(Some(("0.3.0", "a")), Some("0.1.0")), Method::Hot, "failed Verify"),
    ] {
        let case = Case::ordered(Order::Upgrade).by(method).trial(TrialProgress::Begun).sees(sight.clone());
        assert_eq!(case.name(), expected, "{method} {sight:?}");
    }
    let mut rebooted = Case::ordered(Order::Upgrade).by(Method::Restart).trial(TrialProgress::Begun);
    rebooted.ledger.trial.as_mut().unwrap().host_boot = "an earlier boot".to_owned();
    assert_eq!(rebooted.sees(seen(None, Some("0.1.0"))).name(), "failed VmDied");
    let mut lied = Case::ordered(Order::Upgrade).trial(TrialProgress::Begun);
    lied.memory.installed = true;
    assert_eq!(lied.name(), "failed Verify", "it said that it installed, but the old version runs");
    let refused = TrialProgress::Failed { reason: "no relup".to_owned() };
    for sight in [seen(Some(("0.1.0", "a")), Some("0.1.0")), seen(Some(("0.2.0", "a")), Some("0.1.0"))] {
        let case = Case::ordered(Order::Upgrade).trial(refused.clone()).sees(sight);
        assert_eq!(case.name(), "failed Install", "it is never begun again");
    }
}

#[test]
fn health_must_hold_for_the_bake_and_is_judged_from_the_proof_on() {
    let baking = |since: u64, judge_from: u64| {
        let step = Step::Upgrading { generation: super::case::GENERATION, stage: Stage::Baking };
        let mut case = Case::ordered(Order::Upgrade).verified().feels(healthy(since)).at(step);
        case.memory.judge_from = at(judge_from);
        case.decide()
    };
    let wait = |until: u64| Action::Wait { until: Some(at(until)), reason: WaitingFor::Bake };
    assert_eq!(BAKE.as_secs(), 10);
    assert_eq!(super::case::name(&baking(90, 50)), "Healthy");
    assert_eq!(baking(91, 50), wait(101));
    assert_eq!(baking(60, 95), wait(105), "health before the proof does not count");
    let mut stale = Case::ordered(Order::Upgrade).verified().feels(unhealthy());
    stale.health.judged_at = at(49);
    assert_eq!(stale.name(), "stage Baking", "a verdict on the old version is none on the new one");
    assert_eq!(stale.said(Report::Stage { stage: Stage::Baking }).name(), "wait for Health");
}

#[test]
fn a_bake_never_ends_healthy_while_the_newest_round_has_failed() {
    let step = Step::Upgrading { generation: super::case::GENERATION, stage: Stage::Baking };
    let mut baked = Case::ordered(Order::Upgrade).verified().feels(healthy(60)).at(step);
    assert_eq!(baked.name(), "Healthy");
    baked.health.failing_since = Some(at(99));
    assert_eq!(baked.name(), "wait for Health", "too short a streak for a verdict, and no proof either");
    let mut ready = Case::ordered(Order::Drain).verified();
    ready.memory.drained = Some(life("a"));
    ready.health.failing_since = Some(at(99));
    assert_eq!(ready.name(), "wait for Health");
}

#[test]
fn a_death_is_said_at_once_in_every_step_that_watches() {
    let healthy_said = Report::Healthy { boot_nonce: life("a") };
    let ready_said = Report::ReadyToCommit { boot_nonce: life("a") };
    for (order, said) in [
        (Order::Upgrade, None),
        (Order::Upgrade, Some(healthy_said)),
        (Order::Drain, None),
        (Order::Drain, Some(ready_said)),
    ] {
        for liveness in [Liveness::Down, up("b")] {
            // Blind: nobody waits for an observation.
            let mut case = Case::ordered(order).verified().blind().lives(liveness);
            case.memory.answered = said.clone();
            assert_eq!(case.name(), "failed VmDied", "{order:?} {said:?}");
        }
        let mut case = Case::ordered(order).verified().feels(unhealthy());
        case.memory.answered = said.clone();
        assert_eq!(case.name(), "failed Health", "{order:?} {said:?}");
    }
}

#[test]
fn before_the_push_has_shown_the_new_life_an_observation_decides() {
    let mut case = Case::ordered(Order::Upgrade).verified().lives(up("of the old VM")).blind();
    case.memory.life_seen = false;
    assert_eq!(case.decide(), Action::Observe);
    let case = case.sees(seen(Some(("0.2.0", "a")), Some("0.1.0")));
    assert_ne!(case.name(), "failed VmDied");
    let case = case.sees(seen(Some(("0.1.0", "b")), Some("0.1.0")));
    assert_eq!(case.name(), "failed VmDied");
    let case = Case::ordered(Order::Upgrade).verified().lives(Liveness::Unknown).blind();
    assert_eq!(case.decide(), Action::Observe);
}

#[test]
fn drain_answers_only_for_the_life_that_was_judged() {
    let mut case = Case::ordered(Order::Drain).verified();
    assert_eq!(case.name(), "drain");
    case.memory.drained = Some(life("b"));
    assert_eq!(case.name(), "drain");
    case.memory.drained = Some(life("a"));
    assert_eq!(
        case.decide(),
        Action::Report {
            generation: super::case::GENERATION,
            report: Report::ReadyToCommit { boot_nonce: life("a") },
        }
    );
    let case = Case::ordered(Order::Drain).verified().feels(Verdict::Unknown);
    assert_eq!(case.name(), "wait for Health");
    assert_eq!(Case::ordered(Order::Drain).name(), "failed VmDied", "there is no trial any more");
}

#[test]
fn once_an_order_is_answered_one_more_look_changes_nothing() {
    let failed = || Report::Failed { failure: Failure::Commit { reason: String::new() } };
    for (case, expected) in [
        (Case::ordered(Order::Prepare).at(Step::Prepared { checks: vec![] }), "wait for Nothing"),
        (Case::ordered(Order::Prepare).at(Step::PrepareFailed { checks: vec![] }), "wait for Nothing"),
        (
            Case::ordered(Order::Upgrade).verified().at(Step::Healthy { boot_nonce: life("a") }),
            "wait for Order",
        ),
        (Case::ordered(Order::Upgrade).verified().said(failed()), "wait for Order"),
        (
            Case::ordered(Order::Drain).verified().at(Step::ReadyToCommit { boot_nonce: life("a") }),
            "wait for Order",
        ),
        (
            Case::ordered(Order::Commit).sees(seen(Some(("0.2.0", "a")), Some("0.2.0"))).at(Step::Committed),
            "wait for Nothing",
        ),
        (Case::ordered(Order::Revert).at(Step::Reverted { by: None }), "wait for Nothing"),
        (Case::idle(), "wait for Nothing"),
    ] {
        assert_eq!(case.name(), expected);
    }
}

#[test]
fn the_end_of_a_rollout_takes_back_the_orders_that_lead_to_a_trial() {
    for order in [Order::Prepare, Order::Upgrade, Order::Drain] {
        let ended = Case::ordered(order).in_phase(Phase::Completed);
        assert_eq!(ended.name(), "wait for Nothing", "{order:?}");
    }
}
