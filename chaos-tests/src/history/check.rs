//! The checker: histories are taken apart register by register, and each is given to an implementation of
//! Wing and Gong's algorithm with Lowe's extensions. Pure.

use super::Call;
use super::interpret;
use super::model::{Answer, Key, Operation, Registers};
use relupd::clock::Monotonic;
use std::collections::{BTreeMap, BTreeSet};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};

/// One operation, when it was asked and answered. What was never answered may happen until the end.
#[derive(Clone, Debug)]
struct Timed {
    asked: Monotonic,
    answered: Option<Monotonic>,
    operation: Operation,
}

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// So many operations were judged.
    pub operations: u64,
    /// Of so many it is not known whether they happened.
    pub unknown: u64,
    /// On so many registers.
    pub registers: u64,
    /// Those that no order explains, with what was asked and answered.
    pub violations: Vec<String>,
}

/// Judges all calls of a run.
#[must_use]
pub fn check(calls: &[Call]) -> Verdict {
    let mut verdict = Verdict::default();
    let (registers, lists) = by_register(calls);
    for (key, mut operations) in registers {
        let told: Vec<Timed> = lists.iter().filter_map(|list| list.told_of(&key)).collect();
        verdict.registers += 1;
        verdict.operations += (operations.len() + told.len()) as u64;
        verdict.unknown += operations.iter().filter(|timed| timed.answered.is_none()).count() as u64;
        operations.extend(match key {
            Key::Operator(_) => once_an_epoch(&operations, told),
            _ => told,
        });
        if !WGLChecker::<Registers>::is_linearizable(History::from_actions(actions(&operations))) {
            verdict.violations.push(tell(&key, &operations));
        }
    }
    verdict
}

/// What was done to each register that the whole history knows, and the lists, which tell of all of one kind.
fn by_register(calls: &[Call]) -> (BTreeMap<Key, Vec<Timed>>, Vec<Timed>) {
    let mut registers: BTreeMap<Key, Vec<Timed>> = BTreeMap::new();
    let mut lists = Vec::new();
    for call in calls {
        for (key, operation) in interpret(call) {
            let is_known = !is_unknown(&operation);
            let timed = Timed {
                asked: call.asked,
                answered: call.answered.filter(|_| is_known),
                operation: operation.clone(),
            };
            match operation {
                Operation::SeeOperators(_) | Operation::SeeQuarantines(_) => lists.push(timed),
                _ => registers.entry(key).or_default().push(timed),
            }
        }
    }
    for list in &lists {
        if let Operation::SeeQuarantines(found) = &list.operation {
            for (digest, _) in found {
                registers.entry(Key::Quarantine(digest.clone())).or_default();
            }
        }
    }
    (registers, lists)
}

impl Timed {
    /// What a list says of one register.
    fn told_of(&self, key: &Key) -> Option<Self> {
        let operation = match (&self.operation, key) {
            (Operation::SeeOperators(names), Key::Operator(name)) => {
                Operation::SeeOperator(names.contains(name))
            }
            (Operation::SeeQuarantines(found), Key::Quarantine(digest)) => Operation::SeeQuarantine(
                found.iter().find(|(other, _)| other == digest).map(|(_, rollout)| *rollout),
            ),
            _ => return None,
        };
        Some(Self { operation, ..*self })
    }
}

/// Looks that meet no change on their way, and have the same changes before them, see one state: of those that say the
/// same, one is enough. A walk of hours asks thousands of times about each of thousands of operators.
fn once_an_epoch(changes: &[Timed], mut looks: Vec<Timed>) -> Vec<Timed> {
    let mut begun: Vec<Monotonic> = changes.iter().map(|change| change.asked).collect();
    let mut ended: Vec<Monotonic> = changes.iter().filter_map(|change| change.answered).collect();
    begun.sort_unstable();
    ended.sort_unstable();
    let mut seen = BTreeSet::new();
    let is_new = |look: &Timed| {
        let ended_before = ended.partition_point(|at| *at < look.asked);
        let begun_before =
            look.answered.map_or(begun.len(), |answered| begun.partition_point(|at| *at <= answered));
        let says = matches!(look.operation, Operation::SeeOperator(true));
        begun_before != ended_before || seen.insert((ended_before, says))
    };
    looks.retain(is_new);
    looks
}

const fn is_unknown(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Add(Answer::Unknown)
            | Operation::Revoke(Answer::Unknown)
            | Operation::Start(Answer::Unknown, _)
            | Operation::Pause(Answer::Unknown)
            | Operation::Resume(Answer::Unknown)
            | Operation::Abort(Answer::Unknown)
            | Operation::Lift(Answer::Unknown, _)
    )
}

/// Calls and answers in the order of time. Of a call and an answer in the same instant the call comes first:
/// that allows more orders, and never fewer.
fn actions(operations: &[Timed]) -> Vec<(usize, Action<Operation>)> {
    let mut events = Vec::new();
    for (process, timed) in operations.iter().enumerate() {
        let end = (timed.answered.is_none(), timed.answered, 1);
        events.push(((false, Some(timed.asked), 0), process, Action::Call(timed.operation.clone())));
        events.push((end, process, Action::Response(timed.operation.clone())));
    }
    events.sort_by_key(|(at, process, _)| (*at, *process));
    events.into_iter().map(|(_, process, action)| (process, action)).collect()
}

fn tell(key: &Key, operations: &[Timed]) -> String {
    let mut operations: Vec<&Timed> = operations.iter().collect();
    operations.sort_by_key(|timed| timed.asked);
    let begin = operations.first().map(|timed| timed.asked);
    let seconds = |at: Monotonic| begin.map_or(0.0, |begin| at.since(begin).as_secs_f64());
    let lines: BTreeSet<String> = operations
        .iter()
        .map(|timed| {
            let answered =
                timed.answered.map_or_else(|| "never".to_owned(), |at| format!("{:8.3}", seconds(at)));
            format!("  {:8.3} - {answered} {:?}", seconds(timed.asked), timed.operation)
        })
        .collect();
    format!("{key:?} is not linearizable:\n{}", lines.into_iter().collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::super::model::Seen;
    use super::*;
    use crate::ctl::Ended;
    use std::time::Duration;

    fn call(asked: u64, answered: u64, arguments: &[&str], code: i32, stdout: &str, stderr: &str) -> Call {
        let at = |ms| Monotonic::from_start(Duration::from_millis(ms));
        Call {
            asked: at(asked),
            answered: Some(at(answered)),
            at: "n1".to_owned(),
            arguments: arguments.iter().map(|word| (*word).to_owned()).collect(),
            ended: Some(Ended { code, stdout: stdout.to_owned(), stderr: stderr.to_owned() }),
        }
    }

    fn add(asked: u64, answered: u64, is_done: bool) -> Call {
        let refusal = r#"{"error":{"code":"rejected","message":"there is an operator ada"}}"#;
        let (code, said) = if is_done { (0, "") } else { (1, refusal) };
        call(asked, answered, &["operator", "add", "ada", "--role", "viewer"], code, "", said)
    }

    fn list(asked: u64, answered: u64, names: &[&str]) -> Call {
        let names: Vec<_> = names.iter().map(|name| serde_json::json!({ "name": name })).collect();
        let told = serde_json::Value::from(names).to_string();
        call(asked, answered, &["operator", "list", "--output", "json"], 0, &told, "")
    }

    #[test]
    fn a_history_that_one_order_explains_is_accepted() {
        // The list was asked before the operator was there, and may still name it.
        let calls = [add(10, 50, true), list(5, 60, &["ada"]), add(55, 70, false), list(80, 90, &["ada"])];
        let verdict = check(&calls);
        assert_eq!(verdict.violations, Vec::<String>::new());
        assert_eq!((verdict.registers, verdict.operations), (1, 4));
    }

    #[test]
    fn a_read_that_misses_what_was_acknowledged_before_it_is_refused() {
        let verdict = check(&[add(10, 20, true), list(30, 40, &[])]);
        assert_eq!(verdict.violations.len(), 1, "{verdict:?}");
    }

    #[test]
    fn a_compare_and_set_that_two_have_won_is_refused() {
        assert_eq!(check(&[add(10, 50, true), add(20, 40, true)]).violations.len(), 1);
        assert_eq!(check(&[add(10, 50, true), add(20, 40, false)]).violations.len(), 0);
    }

    #[test]
    fn a_command_without_an_answer_may_or_may_not_have_happened_but_not_come_and_go() {
        let lost = call(10, 20, &["operator", "add", "ada"], 1, "", r#"{"error":{"code":"no-quorum"}}"#);
        let with = |lists: &[Call]| check(&[std::slice::from_ref(&lost), lists].concat()).violations.len();
        assert_eq!(with(&[list(30, 40, &[])]), 0);
        assert_eq!(with(&[list(30, 40, &["ada"])]), 0);
        assert_eq!(with(&[list(30, 40, &[]), list(50, 60, &["ada"])]), 0, "it came late");
        assert_eq!(with(&[list(30, 40, &["ada"]), list(50, 60, &[])]), 1);
    }

    #[test]
    fn looks_between_the_same_changes_are_judged_once_and_counted_all() {
        let looks = |from: u64, names: &[&str]| {
            (0..2000).map(|at| list(from + 2 * at, from + 2 * at + 1, names)).collect::<Vec<_>>()
        };
        let calls = [looks(0, &[]), vec![add(5000, 5010, true)], looks(6000, &["ada"])].concat();
        let verdict = check(&calls);
        assert_eq!((verdict.violations.len(), verdict.operations), (0, 4001));
        let one_is_wrong = [calls, vec![list(20_000, 20_001, &[])]].concat();
        assert_eq!(check(&one_is_wrong).violations.len(), 1);
    }

    #[test]
    fn a_look_that_meets_a_change_is_kept_and_so_is_what_says_otherwise() {
        let changes = [timed(100, 200, Operation::Add(Answer::Done))];
        let look = |asked, answered, there| timed(asked, answered, Operation::SeeOperator(there));
        let before = [look(0, 10, false), look(20, 30, false), look(40, 50, true)];
        let met = [look(150, 160, true), look(90, 210, false), look(190, 250, true)];
        let after = [look(300, 310, true), look(320, 330, true)];
        let kept = |looks: &[Timed]| once_an_epoch(&changes, looks.to_vec()).len();
        assert_eq!((kept(&before), kept(&met), kept(&after)), (2, 3, 1));
        assert_eq!(kept(&[&before[..], &met, &after].concat()), 6);
    }

    fn timed(asked: u64, answered: u64, operation: Operation) -> Timed {
        let at = |ms| Monotonic::from_start(Duration::from_millis(ms));
        Timed { asked: at(asked), answered: Some(at(answered)), operation }
    }

    fn holds(operations: &[Timed]) -> bool {
        WGLChecker::<Registers>::is_linearizable(History::from_actions(actions(operations)))
    }

    fn seen(revision: u64, phase: &str, paused: bool) -> Operation {
        Operation::SeeRollout(Seen { revision: Some(revision), phase: phase.to_owned(), paused })
    }

    #[test]
    fn a_rollout_that_is_seen_to_go_back_in_time_is_refused() {
        assert!(holds(&[
            timed(0, 10, seen(3, "rolling", false)),
            timed(20, 30, seen(5, "reverting", false))
        ]));
        assert!(!holds(&[timed(0, 10, seen(5, "rolling", false)), timed(20, 30, seen(4, "rolling", false))]));
        assert!(holds(&[timed(0, 25, seen(5, "rolling", false)), timed(20, 30, seen(4, "rolling", false))]));
        assert!(!holds(&[timed(0, 10, seen(5, "held", false)), timed(20, 30, seen(6, "completed", false))]));
    }

    #[test]
    fn an_acknowledged_order_is_seen_by_whoever_looks_after_it() {
        let paused = timed(0, 10, Operation::Pause(Answer::Done));
        assert!(holds(&[paused.clone(), timed(20, 30, seen(5, "rolling", true))]));
        assert!(!holds(&[paused, timed(20, 30, seen(5, "rolling", false))]));
        let aborted = timed(0, 10, Operation::Abort(Answer::Done));
        assert!(holds(&[aborted.clone(), timed(20, 30, seen(5, "reverting", false))]));
        assert!(!holds(&[aborted, timed(20, 30, seen(5, "completed", false))]));
    }

    #[test]
    fn a_way_back_may_be_stopped_and_not_turned_round() {
        let (reverting, stopped) = (seen(26, "reverting", false), Operation::Abort(Answer::Done));
        let history =
            |last| [timed(0, 10, reverting.clone()), timed(20, 30, stopped.clone()), timed(40, 50, last)];
        assert!(holds(&history(seen(27, "halted", false))));
        assert!(holds(&history(seen(28, "held", false))));
        assert!(!holds(&history(seen(27, "rolling", false))));
    }

    #[test]
    fn a_plan_is_started_once() {
        let first = timed(0, 10, Operation::Start(Answer::Done, Some(7)));
        assert!(!holds(&[first.clone(), timed(20, 30, Operation::Start(Answer::Done, Some(8)))]));
        assert!(!holds(&[first, timed(20, 30, Operation::SeeStarted(8))]));
    }

    #[test]
    fn what_was_lifted_is_quarantined_again_only_by_another_rollout() {
        let lifted = timed(10, 20, Operation::Lift(Answer::Done, Some(7)));
        assert!(holds(&[lifted.clone(), timed(30, 40, Operation::SeeQuarantine(Some(8)))]));
        assert!(!holds(&[lifted, timed(30, 40, Operation::SeeQuarantine(Some(7)))]));
    }
}
