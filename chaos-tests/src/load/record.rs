//! What follows from the answers. Pure.

use relupd::clock::Monotonic;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One answer, or why there was none.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Who was asked.
    pub node: String,
    /// When.
    pub asked: Monotonic,
    /// When the answer, or its failure, was complete.
    pub answered: Monotonic,
    /// What came.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The counter went up.
    Bumped { count: u64, version: String, boot: String },
    /// No answer, or one that should not be.
    Failed(String),
}

/// All answers, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Record {
    answers: Vec<Answer>,
}

impl Record {
    pub(super) fn new(mut answers: Vec<Answer>) -> Self {
        answers.sort_by_key(|answer| answer.answered);
        Self { answers }
    }

    /// All of them.
    pub(super) fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// So many requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.answers.len() as u64
    }

    /// Those that failed: where, and why.
    #[must_use]
    pub fn failures(&self) -> Vec<(&str, &str)> {
        let failed = self.answers.iter().filter_map(|answer| match &answer.outcome {
            Outcome::Failed(why) => Some((answer.node.as_str(), why.as_str())),
            Outcome::Bumped { .. } => None,
        });
        failed.collect()
    }

    /// The most nodes that failed within one window of time.
    #[must_use]
    pub fn nodes_failing_at_once(&self, window: Duration) -> usize {
        let mut windows: BTreeMap<u128, BTreeSet<&str>> = BTreeMap::new();
        let Some(begin) = self.answers.first().map(|answer| answer.asked) else { return 0 };
        for answer in self.answers.iter().filter(|answer| !answer.outcome.is_answer()) {
            let number = answer.answered.since(begin).as_millis() / window.as_millis().max(1);
            windows.entry(number).or_default().insert(&answer.node);
        }
        windows.values().map(BTreeSet::len).max().unwrap_or_default()
    }

    /// Counts that were lost or given twice. Each VM gives every count exactly once, so whatever is
    /// missing between the first and the last was lost, and what comes again was counted anew.
    #[must_use]
    pub fn counters_lost(&self) -> u64 {
        let mut counts: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
        for (node, boot, _, count) in self.bumps() {
            counts.entry((node, boot)).or_default().push(count);
        }
        counts.into_values().map(lost).sum()
    }

    /// The longest time for which a node answered nobody.
    #[must_use]
    pub fn longest_gap(&self) -> Duration {
        let mut last: BTreeMap<&str, Monotonic> = BTreeMap::new();
        let mut longest = Duration::ZERO;
        for answer in &self.answers {
            let before =
                answer.outcome.is_answer().then(|| last.insert(&answer.node, answer.answered)).flatten();
            if let Some(before) = before {
                longest = longest.max(answer.answered.since(before));
            }
        }
        longest
    }

    /// The versions that answered on a node.
    #[must_use]
    pub fn versions(&self, node: &str) -> Vec<&str> {
        let mut versions: Vec<&str> =
            self.bumps().filter(|bump| bump.0 == node).map(|(_, _, version, _)| version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    /// When a version answered on a node for the last time.
    #[must_use]
    pub fn last_of(&self, node: &str, wanted: &str) -> Option<Monotonic> {
        let mut last = None;
        for answer in self.answers.iter().filter(|answer| answer.node == node) {
            match &answer.outcome {
                Outcome::Bumped { version, .. } if version == wanted => last = Some(answer.answered),
                Outcome::Bumped { .. } | Outcome::Failed(_) => {}
            }
        }
        last
    }

    fn bumps(&self) -> impl Iterator<Item = (&str, &str, &str, u64)> {
        self.answers.iter().filter_map(|answer| match &answer.outcome {
            Outcome::Bumped { count, version, boot } => {
                Some((answer.node.as_str(), boot.as_str(), version.as_str(), *count))
            }
            Outcome::Failed(_) => None,
        })
    }
}

impl Outcome {
    const fn is_answer(&self) -> bool {
        match self {
            Self::Bumped { .. } => true,
            Self::Failed(_) => false,
        }
    }
}

fn lost(mut counts: Vec<u64>) -> u64 {
    let given = counts.len() as u64;
    counts.sort_unstable();
    counts.dedup();
    let distinct = counts.len() as u64;
    let span = match (counts.first(), counts.last()) {
        (Some(first), Some(last)) => last - first + 1,
        (_, None) | (None, _) => 0,
    };
    (span - distinct) + (given - distinct)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(ms))
    }

    fn bumped(ms: u64, node: &str, count: u64, version: &str) -> Answer {
        let outcome = Outcome::Bumped { count, version: version.to_owned(), boot: "b".to_owned() };
        Answer { node: node.to_owned(), asked: at(ms), answered: at(ms), outcome }
    }

    #[test]
    fn answers_out_of_order_lose_nothing() {
        let record =
            Record::new(vec![bumped(1, "n1", 7, "1"), bumped(2, "n1", 6, "1"), bumped(3, "n1", 8, "1")]);
        assert_eq!(record.counters_lost(), 0);
    }

    #[test]
    fn a_counter_that_is_set_back_is_seen() {
        let record =
            Record::new(vec![bumped(1, "n1", 7, "1"), bumped(2, "n1", 8, "1"), bumped(3, "n1", 8, "2")]);
        assert_eq!(record.counters_lost(), 1);
    }

    #[test]
    fn a_counter_that_jumps_is_seen() {
        let record = Record::new(vec![bumped(1, "n1", 7, "1"), bumped(2, "n1", 10, "2")]);
        assert_eq!(record.counters_lost(), 2);
    }

    #[test]
    fn failures_do_not_end_a_gap() {
        let failed = Answer { outcome: Outcome::Failed("reset".to_owned()), ..bumped(50, "n1", 0, "") };
        let record = Record::new(vec![
            bumped(10, "n1", 1, "1"),
            failed,
            bumped(90, "n1", 2, "1"),
            bumped(95, "n2", 1, "1"),
        ]);
        assert_eq!(record.longest_gap(), Duration::from_millis(80));
        assert_eq!(record.failures(), [("n1", "reset")]);
    }

    #[test]
    fn versions_are_told_by_who_answered() {
        let record =
            Record::new(vec![bumped(1, "n1", 1, "a"), bumped(2, "n1", 2, "b"), bumped(3, "n1", 3, "a")]);
        assert_eq!(record.versions("n1"), ["a", "b"]);
        assert_eq!(record.last_of("n1", "b"), Some(at(2)));
        assert!(record.versions("n2").is_empty());
    }
}
