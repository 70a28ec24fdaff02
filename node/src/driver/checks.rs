//! What preflights of all drivers have in common.

use super::{Check, CheckResult, Condition, Method, Observation, Transition};
use crate::ids::ReleaseVersion;

pub(super) fn check(name: &str, result: CheckResult) -> Check {
    Check { name: name.to_owned(), result }
}

pub(super) fn failed(reason: impl Into<String>, remedy: &str) -> CheckResult {
    CheckResult::Failed { reason: reason.into(), remedy: remedy.to_owned() }
}

pub(super) fn not_hot(reason: impl Into<String>, remedy: &str) -> CheckResult {
    CheckResult::NotHot { reason: reason.into(), remedy: remedy.to_owned() }
}

/// Whether the node stands cleanly where the transition comes from.
pub(super) fn stands_on_from(observed: &Observation, transition: &Transition) -> CheckResult {
    match (&transition.from, &observed.condition) {
        (None, Condition::Absent | Condition::Debris { .. }) => CheckResult::Passed,
        (Some(from), Condition::Clean | Condition::Debris { .. }) if observed.version() == Some(from) => {
            CheckResult::Passed
        }
        (Some(from), Condition::Stopped) if observed.permanent.as_ref() == Some(from) => {
            match transition.method {
                Method::Restart => CheckResult::Passed,
                Method::Hot | Method::First => {
                    not_hot("the app does not run", "start it: `relupctl app start APP`")
                }
            }
        }
        (_, Condition::Trial) => failed(
            format!("P13: {:?} runs on trial", observed.version()),
            "end the rollout that it belongs to: commit it or take it back",
        ),
        (from, condition) => {
            let from = from.as_ref().map_or("nothing", ReleaseVersion::as_str);
            let repair = "run `relupctl node repair NODE --app APP`, then plan again";
            failed(format!("the node should be cleanly on {from}; found {condition:?}"), repair)
        }
    }
}
