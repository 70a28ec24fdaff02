//! Rounds of health checks -> verdict. PURE: no async, no clock, no I/O; times are passed in.
//!
//! Invariants: silence is neither healthy nor failed; a verdict names the life of the VM that it was
//! said of; and it says from when on the rounds it rests on were asked, so that nobody takes an
//! answer of the old release for one of the new.

use crate::clock::Monotonic;
use crate::ids::BootNonce;
use crate::spec::HealthPolicy;
use std::collections::VecDeque;
use std::time::Duration;

/// What the health checks say of one life of the VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Which life was judged; `None` while there is none.
    pub boot_nonce: Option<BootNonce>,
    /// When the oldest of the rounds that the verdict rests on was asked: the verdict is as good as
    /// one of rounds that all began then or later.
    pub judged_at: Monotonic,
    /// When the first of the newest rounds was asked that have failed, one after the other; `None` where
    /// the newest round passed. Such a streak may still be too short for a verdict.
    pub failing_since: Option<Monotonic>,
    /// What they say.
    pub verdict: Verdict,
}

/// What the health checks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough answers yet.
    Unknown,
    /// Healthy since then, never failed as often in a row as would count.
    Healthy { since: Monotonic },
    /// Failed as often in a row as the policy allows.
    Unhealthy { check: String, reason: String },
}

impl Health {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        boot_nonce: None,
        judged_at: Monotonic::from_start(Duration::ZERO),
        failing_since: None,
        verdict: Verdict::Unknown,
    };

    /// The verdict on this life from rounds asked no earlier than `from`; anything else is unknown.
    #[must_use]
    pub fn of(&self, life: &BootNonce, from: Monotonic) -> &Verdict {
        if self.boot_nonce.as_ref() == Some(life) && self.judged_at >= from {
            &self.verdict
        } else {
            &Verdict::Unknown
        }
    }

    /// Since when this life is healthy, by rounds asked no earlier than `from` of which the newest has
    /// passed. This, and not the mere verdict, is what a bake may end with.
    #[must_use]
    pub fn proves(&self, life: &BootNonce, from: Monotonic) -> Option<Monotonic> {
        match self.of(life, from) {
            Verdict::Healthy { since } if self.failing_since.is_none() => Some(*since),
            Verdict::Healthy { .. } | Verdict::Unknown | Verdict::Unhealthy { .. } => None,
        }
    }

    /// Whether the app is healthy; `None` is unknown.
    #[must_use]
    pub const fn flag(&self) -> Option<bool> {
        match self.verdict {
            Verdict::Unknown => None,
            Verdict::Healthy { .. } => Some(true),
            Verdict::Unhealthy { .. } => Some(false),
        }
    }
}

/// One round: every check was asked once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// When it was asked.
    pub began: Monotonic,
    /// The checks that failed, in the order of the spec; none means that the round passed.
    pub failures: Vec<CheckFailure>,
}

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFailure {
    /// Its name.
    pub check: String,
    /// What came instead of the expected answer.
    pub reason: String,
}

/// Judges one life of the VM. A new life gets a new judge.
#[derive(Clone, Debug)]
pub struct Judge {
    healthy_after: usize,
    unhealthy_after: usize,
    grace_until: Monotonic,
    /// When the rounds of the current streak were asked, the newest last; no more of them than the
    /// threshold. One of the two is empty.
    passes: VecDeque<Monotonic>,
    failures: VecDeque<Monotonic>,
    health: Health,
}

impl Judge {
    /// A judge for a VM that has lived, as far as is known, since `started`.
    #[must_use]
    pub fn new(policy: &HealthPolicy, life: BootNonce, started: Monotonic) -> Self {
        let health = if policy.checks.is_empty() {
            // Nothing is asked, so that the VM lives is the whole answer, and always a fresh one.
            Health {
                boot_nonce: Some(life),
                judged_at: Monotonic::from_start(Duration::MAX),
                failing_since: None,
                verdict: Verdict::Healthy { since: started },
            }
        } else {
            Health { boot_nonce: Some(life), ..Health::UNKNOWN }
        };
        Self {
            healthy_after: threshold(policy.healthy_after),
            unhealthy_after: threshold(policy.unhealthy_after),
            grace_until: started + policy.start_grace,
            passes: VecDeque::new(),
            failures: VecDeque::new(),
            health,
        }
    }

    /// What is known so far.
    #[must_use]
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// Takes a round into account.
    pub fn observe(&mut self, round: &Round) {
        match round.failures.first() {
            None => self.passed(round.began),
            Some(failure) => self.failed(round.began, failure),
        }
    }

    fn passed(&mut self, began: Monotonic) {
        self.failures.clear();
        self.health.failing_since = None;
        push_bounded(&mut self.passes, began, self.healthy_after);
        if let (true, Some(oldest)) = (self.passes.len() == self.healthy_after, self.passes.front()) {
            // It has started; from here on failed rounds count, or a release that comes up and then
            // fails could bake within its own grace.
            self.grace_until = Monotonic::default();
            let since = match self.health.verdict {
                Verdict::Healthy { since } => since,
                Verdict::Unknown | Verdict::Unhealthy { .. } => began,
            };
            self.say(*oldest, Verdict::Healthy { since });
        }
    }

    fn failed(&mut self, began: Monotonic, failure: &CheckFailure) {
        self.passes.clear();
        if began < self.grace_until {
            return;
        }
        self.health.failing_since.get_or_insert(began);
        push_bounded(&mut self.failures, began, self.unhealthy_after);
        if let (true, Some(oldest)) = (self.failures.len() == self.unhealthy_after, self.failures.front()) {
            let CheckFailure { check, reason } = failure.clone();
            self.say(*oldest, Verdict::Unhealthy { check, reason });
        }
    }

    fn say(&mut self, judged_at: Monotonic, verdict: Verdict) {
        self.health.judged_at = judged_at;
        self.health.verdict = verdict;
    }
}

fn threshold(rounds: u32) -> usize {
    usize::try_from(rounds.max(1)).unwrap_or(usize::MAX)
}

fn push_bounded(streak: &mut VecDeque<Monotonic>, began: Monotonic, bound: usize) {
    streak.push_back(began);
    if streak.len() > bound {
        streak.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{HealthCheck, Probe};

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_secs(seconds))
    }

    fn life(nonce: &str) -> BootNonce {
        BootNonce(nonce.to_owned())
    }

    /// Two passes, three failures, ten seconds of grace.
    fn policy() -> HealthPolicy {
        let probe = Probe::Tcp { address: "127.0.0.1:1".to_owned() };
        HealthPolicy {
            interval: Duration::from_secs(1),
            healthy_after: 2,
            unhealthy_after: 3,
            start_grace: Duration::from_secs(10),
            checks: vec![HealthCheck { name: "tcp".to_owned(), timeout: Duration::from_secs(1), probe }],
        }
    }

    /// Rounds one second apart from `from` on: `+` passes, `-` fails.
    fn rounds(judge: &mut Judge, from: u64, answers: &str) {
        for (second, answer) in (from..).zip(answers.chars()) {
            let failure = CheckFailure { check: "tcp".to_owned(), reason: format!("refused at {second}") };
            let failures = if answer == '+' { vec![] } else { vec![failure] };
            judge.observe(&Round { began: at(second), failures });
        }
    }

    fn judge_at(started: u64) -> Judge {
        Judge::new(&policy(), life("a"), at(started))
    }

    #[test]
    fn silence_is_neither_healthy_nor_failed() {
        assert_eq!(judge_at(0).health().verdict, Verdict::Unknown);
        assert_eq!(judge_at(0).health().flag(), None);
    }

    #[test]
    fn is_healthy_after_enough_passes_in_a_row() {
        let mut judge = judge_at(0);
        rounds(&mut judge, 20, "+-+");
        assert_eq!(judge.health().verdict, Verdict::Unknown);
        rounds(&mut judge, 23, "+");
        assert_eq!(judge.health().verdict, Verdict::Healthy { since: at(23) });
        assert_eq!(judge.health().judged_at, at(22));
    }

    #[test]
    fn has_failed_after_enough_failures_in_a_row_and_says_why() {
        let mut judge = judge_at(0);
        rounds(&mut judge, 20, "++--+--");
        assert_eq!(judge.health().verdict, Verdict::Healthy { since: at(21) });
        rounds(&mut judge, 27, "-");
        let reason = "refused at 27".to_owned();
        assert_eq!(judge.health().verdict, Verdict::Unhealthy { check: "tcp".to_owned(), reason });
        assert_eq!(judge.health().judged_at, at(25));
        rounds(&mut judge, 28, "++");
        assert_eq!(judge.health().verdict, Verdict::Healthy { since: at(29) });
    }

    #[test]
    fn failures_right_after_a_start_do_not_count() {
        let mut judge = judge_at(100);
        rounds(&mut judge, 100, "----------");
        assert_eq!(judge.health().verdict, Verdict::Unknown);
        rounds(&mut judge, 110, "---");
        assert_eq!(judge.health().flag(), Some(false));
    }

    #[test]
    fn grace_ends_with_the_first_healthy_verdict() {
        let mut judge = judge_at(100);
        rounds(&mut judge, 100, "-++---");
        assert_eq!(judge.health().flag(), Some(false));
    }

    #[test]
    fn answers_from_before_an_installation_do_not_speak_for_it() {
        let mut judge = judge_at(0);
        rounds(&mut judge, 20, "+++");
        let installed = at(23);
        // The first round after it fails, and the verdict of the rounds before it still stands.
        rounds(&mut judge, 23, "-+");
        assert_eq!(judge.health().flag(), Some(true));
        assert_eq!(judge.health().of(&life("a"), installed), &Verdict::Unknown);
        rounds(&mut judge, 25, "+");
        assert_eq!(judge.health().of(&life("a"), installed), &Verdict::Healthy { since: at(21) });
    }

    #[test]
    fn nothing_is_proved_while_the_newest_round_has_failed() {
        let mut judge = judge_at(0);
        rounds(&mut judge, 20, "++-");
        assert_eq!(judge.health().flag(), Some(true), "one failed round is not a verdict");
        assert_eq!(judge.health().failing_since, Some(at(22)));
        assert_eq!(judge.health().proves(&life("a"), at(0)), None);
        rounds(&mut judge, 23, "-");
        assert_eq!(judge.health().failing_since, Some(at(22)));
        rounds(&mut judge, 24, "+");
        assert_eq!(judge.health().proves(&life("a"), at(0)), Some(at(21)));
    }

    #[test]
    fn one_life_does_not_answer_for_another() {
        let mut judge = judge_at(0);
        rounds(&mut judge, 20, "++");
        assert_eq!(judge.health().of(&life("b"), at(0)), &Verdict::Unknown);
    }

    #[test]
    fn without_checks_to_live_is_to_be_healthy() {
        let nothing = HealthPolicy { checks: Vec::new(), ..policy() };
        let judge = Judge::new(&nothing, life("a"), at(5));
        assert_eq!(judge.health().of(&life("a"), at(1_000_000)), &Verdict::Healthy { since: at(5) });
    }
}
