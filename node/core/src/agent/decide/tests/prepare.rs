//! What is found out before anything runs.

use super::case::{Case, seen, torn};
use crate::agent::decide::Action;
use crate::driver::{Check, CheckResult, Method, Observation};
use crate::spec::MethodPolicy;
use crate::state::app::Order;
use crate::state::command::Report;
use crate::state::rollout::Step;

#[test]
fn prepare_places_checks_and_answers_with_the_method_that_is_left() {
    let check = |result: CheckResult| vec![Check { name: "P3".to_owned(), result }];
    let not_hot = || CheckResult::NotHot { reason: "no relup".to_owned(), remedy: String::new() };
    let failed = || CheckResult::Failed { reason: "torn".to_owned(), remedy: "build it again".to_owned() };
    let mut case = Case::ordered(Order::Prepare);
    assert_eq!(case.name(), "place");
    case.memory.placed = true;
    assert_eq!(case.name(), "preflight");
    for (result, policy, answer) in [
        (CheckResult::Passed, MethodPolicy::Auto, Some(Method::Hot)),
        (not_hot(), MethodPolicy::Auto, Some(Method::Restart)),
        (not_hot(), MethodPolicy::Hot, None),
        (failed(), MethodPolicy::Auto, None),
    ] {
        case.rollout.spec.upgrade.method = policy;
        case.memory.checks = Some(check(result));
        let Action::Report { report, .. } = case.decide() else { panic!() };
        match (report, answer) {
            (Report::Prepared { method, .. }, Some(expected)) => assert_eq!(method, expected),
            (Report::PrepareFailed { .. }, None) => {}
            (report, _) => panic!("{report:?}, not {answer:?}"),
        }
    }
    // What the app's policy takes for a warning neither refuses nor costs the method; other checks do.
    for (key, result) in [("P3", None), ("P7", Some(Method::Hot))] {
        let warn = (key.to_owned(), crate::spec::CheckPolicy::Warn);
        case.rollout.spec.upgrade.preflight.checks = [warn].into();
        case.memory.checks = Some(vec![Check { name: "P7 libraries".to_owned(), result: failed() }]);
        let Action::Report { report, .. } = case.decide() else { panic!() };
        match (report, result) {
            (Report::Prepared { method, checks }, Some(expected)) => {
                assert_eq!(method, expected);
                assert_eq!(checks[0].result, CheckResult::Warning { reason: "torn".to_owned() });
            }
            (Report::PrepareFailed { .. }, None) => {}
            (report, _) => panic!("{report:?} with {key}"),
        }
    }
    let moved = Case::ordered(Order::Prepare).sees(seen(Some(("0.3.0", "a")), Some("0.3.0")));
    assert_eq!(moved.name(), "PrepareFailed");
    let torn = Case::ordered(Order::Prepare).sees(torn(seen(Some(("0.1.0", "a")), Some("0.1.0"))));
    assert_eq!(torn.name(), "PrepareFailed");
}

#[test]
fn a_release_that_cannot_be_fetched_is_said_once_and_tried_again() {
    let mut case = Case::ordered(Order::Prepare);
    case.memory.cannot_fetch = Some("no peer has it".to_owned());
    assert_eq!(case.name(), "CannotFetch");
    let cannot_fetch = Some("no peer has it".to_owned());
    let mut case = case.at(Step::Preparing { generation: super::case::GENERATION, cannot_fetch });
    case.memory.cannot_fetch = Some("another reason".to_owned());
    assert_eq!(case.name(), "place");
    (case.memory.cannot_fetch, case.memory.placed) = (None, true);
    assert_eq!(case.name(), "Fetched", "from here on its deadline runs");
}

/// Why it cannot be prepared on what was seen.
fn reason(sight: &Observation) -> String {
    let action = Case::ordered(Order::Prepare).sees(sight.clone()).decide();
    let Action::Report { report: Report::PrepareFailed { checks }, .. } = action else {
        panic!("{action:?}")
    };
    match &checks[0].result {
        CheckResult::Failed { reason, .. } => reason.clone(),
        result => panic!("{result:?}"),
    }
}

#[test]
fn a_node_that_is_elsewhere_says_where() {
    for (running, permanent, expected) in [
        (
            Some(("0.3.0", "a")),
            Some("0.3.0"),
            "the plan comes from 0.1.0, but 0.3.0 runs (boot nonce a), 0.3.0 is permanent",
        ),
        (None, None, "the plan comes from 0.1.0, but nothing runs, nothing is permanent"),
        (
            Some(("0.2.0", "a")),
            Some("0.1.0"),
            "0.1.0 is to be upgraded, but 0.2.0 runs (boot nonce a), 0.1.0 is permanent",
        ),
    ] {
        assert_eq!(reason(&seen(running, permanent)), expected);
    }
    assert_eq!(reason(&torn(seen(Some(("0.1.0", "a")), Some("0.1.0")))), "half an environment: env of 0.2.0");
}

#[test]
fn after_a_boot_of_the_host_the_app_is_started_once_before_it_is_judged() {
    let down = || Case::ordered(Order::Prepare).sees(seen(None, Some("0.1.0")));
    assert_eq!(down().name(), "start");
    let mut tried = down();
    tried.memory.start_failures = 1;
    assert_eq!(tried.name(), "place");
    let mut fell = down();
    fell.memory.seen_up = true;
    assert_eq!(fell.name(), "place");
}
