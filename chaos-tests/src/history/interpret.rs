//! What a call was, on which registers. Pure.

use super::Call;
use super::model::{Answer, Key, Operation, Seen};
use crate::ctl::{Ended, Plan, Rollout, Summary};
use serde_json::Value;

/// The codes by which a daemon says that it was decided against.
const REFUSALS: [&str; 4] = ["rejected", "not-found", "invalid", "forbidden"];

/// The operations that a call stands for; none where it asks for nothing that is modelled, or was a
/// question without an answer.
#[must_use]
pub fn interpret(call: &Call) -> Vec<(Key, Operation)> {
    let words = words(&call.arguments);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let answer = answer(call.ended.as_ref());
    let told = call.ended.as_ref().filter(|ended| ended.code == 0).map(|ended| ended.stdout.as_str());
    match words[..] {
        ["operator", "add", name, ..] => vec![(Key::Operator(name.to_owned()), Operation::Add(answer))],
        ["operator", "revoke", name] => vec![(Key::Operator(name.to_owned()), Operation::Revoke(answer))],
        ["operator", "list"] => told.and_then(operators).into_iter().collect(),
        ["plan", ..] => told.and_then(plan).into_iter().collect(),
        ["rollout", "start", plan] => start(plan, answer, told),
        ["rollout", "show", _] => told.and_then(rollout).map(|rollout| see(&rollout)).unwrap_or_default(),
        ["rollout", "list", ..] => told.map(list).unwrap_or_default(),
        ["rollout", "pause", ..] => order(&words, answer, told, Operation::Pause),
        ["rollout", "resume", ..] => order(&words, answer, told, Operation::Resume),
        ["rollout", "abort", ..] => order(&words, answer, told, Operation::Abort),
        ["quarantine", "lift", digest] => {
            let of = told.and_then(json).and_then(|lifted| number(lifted["rollout"].as_str()?));
            vec![(Key::Quarantine(digest.to_owned()), Operation::Lift(answer, of))]
        }
        ["quarantine", "list"] => told.and_then(quarantines).into_iter().collect(),
        _ => vec![],
    }
}

/// Without what says how, and not what.
fn words(arguments: &[String]) -> Vec<String> {
    let mut words = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(word) = arguments.next() {
        if ["--timeout", "--output", "--role", "--out"].contains(&word.as_str()) {
            arguments.next();
        } else if !word.starts_with("--") {
            words.push(word.clone());
        }
    }
    words
}

fn answer(ended: Option<&Ended>) -> Answer {
    let Some(ended) = ended else { return Answer::Unknown };
    if ended.code == 0 {
        return Answer::Done;
    }
    let code = json(&ended.stderr).and_then(|said| said["error"]["code"].as_str().map(str::to_owned));
    if code.is_some_and(|code| REFUSALS.contains(&code.as_str())) { Answer::Refused } else { Answer::Unknown }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text.trim()).ok()
}

/// `r7` is 7.
fn number(id: &str) -> Option<u64> {
    id.get(1..)?.parse().ok()
}

fn operators(told: &str) -> Option<(Key, Operation)> {
    let names =
        json(told)?.as_array()?.iter().filter_map(|one| Some(one["name"].as_str()?.to_owned())).collect();
    Some((Key::Operator(String::new()), Operation::SeeOperators(names)))
}

fn quarantines(told: &str) -> Option<(Key, Operation)> {
    let list = json(told)?;
    let one = |one: &Value| Some((one["digest"].as_str()?.to_owned(), number(one["rollout"].as_str()?)?));
    let all = list.as_array()?.iter().filter_map(one).collect();
    Some((Key::Quarantine(String::new()), Operation::SeeQuarantines(all)))
}

fn plan(told: &str) -> Option<(Key, Operation)> {
    let plan: Plan = serde_json::from_str(told).ok()?;
    Some((Key::Plan(format!("made {}", plan.id)), Operation::Make))
}

fn rollout(told: &str) -> Option<Rollout> {
    serde_json::from_str(told).ok()
}

fn start(plan: &str, answer: Answer, told: Option<&str>) -> Vec<(Key, Operation)> {
    let started = told.and_then(rollout);
    let id = started.as_ref().and_then(|rollout| number(&rollout.summary.id));
    let mut operations = vec![(Key::Plan(plan.to_owned()), Operation::Start(answer, id))];
    if let (Some(rollout), Some(id)) = (started, id) {
        operations.push((Key::App(rollout.summary.app.clone()), Operation::Begin(id)));
        operations.push((Key::Rollout(rollout.summary.id.clone()), see_now(&rollout)));
    }
    operations
}

fn seen(summary: &Summary, revision: Option<u64>) -> Seen {
    Seen { revision, phase: summary.phase.clone(), paused: !summary.paused_by.is_empty() }
}

fn see_now(rollout: &Rollout) -> Operation {
    Operation::SeeRollout(seen(&rollout.summary, Some(rollout.revision)))
}

fn see(rollout: &Rollout) -> Vec<(Key, Operation)> {
    let mut operations = see_summary(&rollout.summary, Some(rollout.revision));
    if let Some(id) = number(&rollout.summary.id) {
        operations.push((Key::Plan(rollout.plan_id.clone()), Operation::SeeStarted(id)));
    }
    operations
}

fn see_summary(summary: &Summary, revision: Option<u64>) -> Vec<(Key, Operation)> {
    let key = Key::Rollout(summary.id.clone());
    let mut operations = vec![(key, Operation::SeeRollout(seen(summary, revision)))];
    if let Some(id) = number(&summary.id).filter(|_| !summary.is_over()) {
        operations.push((Key::App(summary.app.clone()), Operation::SeeOnItsWay(id)));
    }
    operations
}

fn list(told: &str) -> Vec<(Key, Operation)> {
    let summaries: Vec<Summary> = serde_json::from_str(told).unwrap_or_default();
    summaries.iter().flat_map(|summary| see_summary(summary, None)).collect()
}

/// What it was done to is in the answer; without one it may have been any. What is seen with an answer was
/// seen after the order, and perhaps after more.
fn order(
    words: &[&str],
    answer: Answer,
    told: Option<&str>,
    operation: impl Fn(Answer) -> Operation,
) -> Vec<(Key, Operation)> {
    let rollout = told.and_then(rollout);
    let named = words.get(2).map(|id| (*id).to_owned());
    let Some(id) = rollout.as_ref().map(|rollout| rollout.summary.id.clone()).or(named) else {
        return vec![];
    };
    let ordered = (Key::Rollout(id.clone()), operation(answer));
    let seen = rollout.map(|rollout| (Key::Rollout(id), see_now(&rollout)));
    [ordered].into_iter().chain(seen).collect()
}
