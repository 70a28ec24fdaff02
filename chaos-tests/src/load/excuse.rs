//! Outages that are the fault's own doing, and those that are left. Pure.

use super::{Answer, Outcome, Record};
use relupd::clock::Monotonic;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A node that was taken down by a fault, and is excused until it answers again.
#[derive(Clone, Debug)]
pub struct Excuse {
    /// Which.
    pub node: String,
    /// When the fault struck.
    pub struck: Monotonic,
    /// When it was healed; `None` while it is not.
    pub healed: Option<Monotonic>,
}

impl Excuse {
    fn covers(&self, answer: &Answer, back: Option<Monotonic>) -> bool {
        // A request that was on its way when the fault struck was met by it, too.
        let is_before = answer.answered < self.struck;
        let is_after = back.is_some_and(|back| answer.asked >= back);
        answer.node == self.node && !is_before && !is_after
    }

    /// The first request after the healing that was answered.
    fn back(&self, answers: &[Answer]) -> Option<Monotonic> {
        let healed = self.healed?;
        let answered = answers.iter().filter(|answer| {
            answer.node == self.node
                && answer.asked >= healed
                && matches!(answer.outcome, Outcome::Bumped { .. })
        });
        answered.map(|answer| answer.asked).min()
    }
}

impl Record {
    /// The most nodes that failed within one window of time, beside those that are excused.
    #[must_use]
    pub fn nodes_failing_unexcused(&self, window: Duration, excuses: &[Excuse]) -> BTreeSet<&str> {
        let answers = self.answers();
        let Some(begin) = answers.iter().map(|answer| answer.asked).min() else { return BTreeSet::new() };
        let excuses: Vec<(&Excuse, Option<Monotonic>)> =
            excuses.iter().map(|excuse| (excuse, excuse.back(answers))).collect();
        let mut windows: BTreeMap<u128, BTreeSet<&str>> = BTreeMap::new();
        for answer in answers.iter().filter(|answer| matches!(answer.outcome, Outcome::Failed(_))) {
            if excuses.iter().any(|(excuse, back)| excuse.covers(answer, *back)) {
                continue;
            }
            let number = answer.answered.since(begin).as_millis() / window.as_millis().max(1);
            windows.entry(number).or_default().insert(&answer.node);
        }
        windows.into_values().max_by_key(BTreeSet::len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(ms))
    }

    fn answer(ms: u64, node: &str, is_good: bool) -> Answer {
        let outcome = if is_good {
            Outcome::Bumped { count: ms, version: "1".to_owned(), boot: "b".to_owned() }
        } else {
            Outcome::Failed("refused".to_owned())
        };
        Answer { node: node.to_owned(), asked: at(ms), answered: at(ms), outcome }
    }

    #[test]
    fn whoever_was_struck_is_excused_until_it_answers_again() {
        let record = Record::new(vec![
            answer(10, "n1", false),
            answer(11, "n2", false),
            answer(40, "n1", false),
            answer(50, "n1", true),
            answer(60, "n1", false),
            answer(61, "n2", false),
        ]);
        let excuse = Excuse { node: "n1".to_owned(), struck: at(5), healed: Some(at(30)) };
        let window = Duration::from_millis(20);
        assert_eq!(record.nodes_failing_unexcused(window, &[]).len(), 2);
        // At 60 it had been back.
        assert_eq!(record.nodes_failing_unexcused(window, std::slice::from_ref(&excuse)).len(), 2);
        let unhealed = Excuse { healed: None, ..excuse };
        assert_eq!(record.nodes_failing_unexcused(window, &[unhealed]), BTreeSet::from(["n2"]));
    }
}
