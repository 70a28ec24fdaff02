//! What became of an action, and what an app's agent makes of it.

use super::ContextError;
use super::backoff::Kind;
use super::core::Core;
use super::decide::{Action, Authority};
use super::ledger::{Trial, TrialProgress};
use super::memory::{Announcement, Lingering};
use crate::chain;
use crate::clock::Monotonic;
use crate::driver::{
    Check, CheckResult, Condition, Drained, DriverError, Measured, Observation, Rung, Running,
};
use crate::ids::BootNonce;
use crate::state::Outcome;
use crate::state::rollout::TriedRung;

/// So many attempts to place a release are made before the node says that it cannot.
const PLACE_ATTEMPTS: u32 = 3;

/// So many times a rung is taken again that this host refused, a few seconds in all, before it counts as tried.
const RUNG_ATTEMPTS: u32 = 5;

/// What became of an action.
#[derive(Debug)]
pub enum Ended {
    /// What was seen.
    Observed(Result<Observation, DriverError>),
    /// Whether the release is in its place.
    Placed(Result<(), PlaceError>),
    /// What preflight found.
    Checked(Result<Vec<Check>, DriverError>),
    /// Who lingers in old code.
    Drained(Result<Drained, DriverError>),
    /// Whether what runs is wholly the new version, and what it cost to get there.
    Proved(Result<Option<Measured>, DriverError>),
    /// What the cluster said.
    Answered(Result<Outcome, ContextError>),
    /// Whether any other step succeeded.
    Done(Result<(), DriverError>),
}

/// Why a release is not placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Infrastructure: tried again; the leader is told that it holds the node up.
    #[error(transparent)]
    Fetch(ContextError),
    /// This host.
    #[error(transparent)]
    Driver(DriverError),
}

/// What is to be done because of what became of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Follow {
    /// The ledger has changed and is to be written. Where that fails it is remembered all the same:
    /// the next effect's note brings it to disk, and a crash until then is an interrupted effect.
    pub store: bool,
    /// A new version was proved: its health is worth a question now.
    pub prompt_health: bool,
}

impl Follow {
    const NOTHING: Self = Self { store: false, prompt_health: false };
    const STORE: Self = Self { store: true, prompt_health: false };
}

impl Core {
    /// Takes in what became of an action that lasted from `began` until now.
    pub fn take_in(&mut self, action: &Action, ended: Ended, began: Monotonic, now: Monotonic) -> Follow {
        match (action, ended) {
            (_, Ended::Observed(seen)) => self.saw(seen, began, now),
            (_, Ended::Placed(placed)) => self.placed(placed, now),
            (_, Ended::Checked(checks)) => self.checked(checks, now),
            (_, Ended::Drained(drained)) => self.drained(drained, now),
            (action, Ended::Answered(answer)) => self.answered(action, answer, now),
            (Action::Install { trial, .. }, Ended::Done(result)) => {
                return self.installed(trial, result, now);
            }
            (Action::Verify { trial, life, .. }, Ended::Proved(result)) => {
                return self.verified(trial, life, result, now);
            }
            (_, Ended::Proved(_)) => unreachable!("nothing but a proof proves: {action:?}"),
            (Action::RollBack { rung, by, .. }, Ended::Done(result)) => {
                return self.took_rung(*rung, *by, result, now);
            }
            (Action::Start, Ended::Done(result)) => self.started(result, now),
            (action, Ended::Done(result)) => self.done(action, result, now),
        }
        Follow::NOTHING
    }

    fn saw(&mut self, seen: Result<Observation, DriverError>, began: Monotonic, now: Monotonic) {
        let seen = seen.unwrap_or_else(|error| {
            let reason = chain(&error);
            tracing::warn!(app = %self.app, reason, "cannot observe");
            // What cannot be seen is not gone: the pointer is what it was when last seen.
            let permanent = self.memory.last_permanent.clone();
            let condition = Condition::Unknown { reason: reason.clone() };
            Observation { permanent, running: Running::Unknown { reason }, condition }
        });
        let unknown = matches!(seen.running, Running::Unknown { .. })
            || matches!(seen.condition, Condition::Unknown { .. });
        if unknown {
            self.memory.blind = self.memory.blind.saturating_add(1);
            self.backoff.failed(Kind::Observe, now);
        } else {
            self.memory.blind = 0;
            self.memory.last_permanent = seen.permanent.clone();
            self.memory.seen_up |= matches!(seen.running, Running::Up { .. });
            self.backoff.succeeded(Kind::Observe);
            if matches!(seen.condition, Condition::Clean | Condition::Trial) {
                self.backoff.succeeded(Kind::Repair);
            }
        }
        // A VM that died or came up meanwhile may have been seen as it was before, and nothing else would have
        // anybody look again for long.
        self.observation = (began >= self.lives_since).then_some((seen, began));
    }

    fn placed(&mut self, placed: Result<(), PlaceError>, now: Monotonic) {
        match placed {
            Ok(()) => {
                self.memory.placed = true;
                self.memory.cannot_fetch = None;
                self.backoff.succeeded(Kind::Place);
                self.observation = None;
            }
            Err(error) => {
                tracing::warn!(app = %self.app, error = chain(&error), "cannot place the release yet");
                self.backoff.failed(Kind::Place, now);
                self.memory.cannot_fetch = match &error {
                    PlaceError::Fetch(_) => Some(chain(&error)),
                    PlaceError::Driver(_) => None,
                };
                if let PlaceError::Driver(cause) = &error {
                    self.memory.place_failures += 1;
                    let hopeless = matches!(cause, DriverError::Refused { .. });
                    if hopeless || self.memory.place_failures >= PLACE_ATTEMPTS {
                        self.memory.place_failed = Some(chain(&error));
                    }
                }
            }
        }
    }

    fn checked(&mut self, checks: Result<Vec<Check>, DriverError>, now: Monotonic) {
        match checks {
            Ok(checks) => {
                self.memory.checks = Some(checks);
                self.backoff.succeeded(Kind::Place);
            }
            Err(error @ (DriverError::Refused { .. } | DriverError::Failed { .. })) => {
                let remedy = "see the daemon's log on this node, then plan again".to_owned();
                let result = CheckResult::Failed { reason: chain(&error), remedy };
                self.memory.checks = Some(vec![Check { name: "preflight".to_owned(), result }]);
            }
            Err(error) => {
                tracing::warn!(app = %self.app, error = chain(&error), "preflight did not end");
                self.backoff.failed(Kind::Place, now);
            }
        }
    }

    fn drained(&mut self, drained: Result<Drained, DriverError>, now: Monotonic) {
        match drained {
            Ok(Drained::Clear(life)) => {
                self.memory.drained = Some(life);
                self.memory.lingering = None;
                self.observation = None;
            }
            Ok(Drained::Lingering(processes)) => {
                let since = self.memory.lingering.as_ref().map_or(now, |lingering| lingering.since);
                self.memory.lingering = Some(Lingering { since, processes });
            }
            Err(error @ (DriverError::Refused { .. } | DriverError::Failed { .. })) => {
                self.memory.drain_failed = Some(chain(&error));
            }
            Err(error) => {
                tracing::warn!(app = %self.app, error = chain(&error), "old code is not drained yet");
                self.backoff.failed(Kind::Prove, now);
                self.observation = None;
            }
        }
    }

    fn answered(&mut self, action: &Action, answer: Result<Outcome, ContextError>, now: Monotonic) {
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::debug!(app = %self.app, error = chain(&error), "told nobody yet");
                self.backoff.failed(Kind::Cluster, now);
                return;
            }
        };
        self.backoff.succeeded(Kind::Cluster);
        if let Err(rejection) = outcome {
            // Refused for good: a newer order or decision is on its way here.
            tracing::info!(app = %self.app, %rejection, "the cluster knows better");
        }
        match action {
            Action::Report { report, .. } => self.memory.answered = Some(report.clone()),
            Action::ReportOrphan { rollout, .. } => self.memory.orphan_reported = Some(*rollout),
            Action::Announce { observation, healthy, noted } => {
                let (observation, noted) = (observation.clone(), noted.clone());
                self.memory.announced = Some(Announcement { observation, healthy: *healthy, noted });
            }
            _ => {}
        }
    }

    fn installed(&mut self, trial: &Trial, result: Result<(), DriverError>, now: Monotonic) -> Follow {
        // Whatever was said: the same again only after a while.
        self.backoff.failed(Kind::Effect, now);
        match result {
            Ok(()) => {
                self.memory.installed = true;
                Follow::NOTHING
            }
            // It may still end: what runs will tell.
            Err(error @ DriverError::TimedOut { .. }) => {
                tracing::warn!(app = %self.app, error = chain(&error), "the installation goes on");
                Follow::NOTHING
            }
            Err(error) => {
                let progress = TrialProgress::Failed { reason: chain(&error) };
                self.entry.trial = Some(Trial { progress, ..trial.clone() });
                Follow::STORE
            }
        }
    }

    fn verified(
        &mut self,
        trial: &Trial,
        life: &BootNonce,
        result: Result<Option<Measured>, DriverError>,
        now: Monotonic,
    ) -> Follow {
        match result {
            Ok(measured) => {
                self.backoff.succeeded(Kind::Prove);
                self.memory.judge_afresh(now);
                let progress = TrialProgress::Verified { boot_nonce: life.clone() };
                let measured = measured.map(Box::new);
                self.entry.trial = Some(Trial { progress, measured, ..trial.clone() });
                Follow { store: true, prompt_health: true }
            }
            Err(error @ (DriverError::Refused { .. } | DriverError::Failed { .. })) => {
                self.memory.verify_failed = Some(chain(&error));
                self.backoff.failed(Kind::Prove, now);
                Follow::NOTHING
            }
            Err(error) => {
                tracing::warn!(app = %self.app, error = chain(&error), "not verified yet");
                self.backoff.failed(Kind::Prove, now);
                self.observation = None;
                Follow::NOTHING
            }
        }
    }

    fn took_rung(
        &mut self,
        rung: Rung,
        by: Authority,
        result: Result<(), DriverError>,
        now: Monotonic,
    ) -> Follow {
        let ladder = match by {
            Authority::Order(_) => self.entry.way_back.as_mut().map(|back| &mut back.ladder),
            Authority::Orphan(_) => self.entry.orphan.as_mut().map(|orphan| &mut orphan.ladder),
        };
        let Some(ladder) = ladder else { return Follow::NOTHING };
        match result {
            // Not worth an fsync: without it the rung counts as interrupted, and is looked at anyhow.
            Ok(()) => {
                ladder.ended = true;
                // A version that comes up and dies again must not be restarted without a pause.
                if ladder.tried.iter().any(|tried| tried.rung == rung) {
                    self.backoff.failed(Kind::Effect, now);
                }
                Follow::NOTHING
            }
            // It was not begun after all: were it taken for interrupted, a hot way back would not be tried
            // again, and the next rung is a restart.
            Err(error) if error.may_pass() && self.memory.rung_refusals < RUNG_ATTEMPTS => {
                tracing::warn!(app = %self.app, %rung, error = chain(&error), "this host refuses the way back");
                ladder.begun = None;
                self.memory.rung_refusals += 1;
                self.backoff.failed(Kind::Effect, now);
                Follow::NOTHING
            }
            Err(error) => {
                let reason = chain(&error);
                tracing::warn!(app = %self.app, %rung, reason, "did not lead back");
                ladder.begun = None;
                ladder.tried.push(TriedRung { rung, reason });
                if !ladder.is_spent(rung) {
                    self.backoff.failed(Kind::Effect, now);
                }
                Follow::STORE
            }
        }
    }

    /// A start counts as failed until the app has stayed up for a while.
    fn started(&mut self, result: Result<(), DriverError>, now: Monotonic) {
        self.backoff.failed(Kind::Start, now);
        self.memory.start_failures = self.memory.start_failures.saturating_add(1);
        if let Err(error) = result {
            tracing::error!(app = %self.app, error = chain(&error), "cannot start the app; trying again");
        }
    }

    /// An effect that seemed to succeed and has to be had again, or did not: only after a while.
    fn done(&mut self, action: &Action, result: Result<(), DriverError>, now: Monotonic) {
        self.backoff.failed(Kind::of(action), now);
        if matches!(action, Action::Repair { .. }) {
            // What stood in the way of placing may be mended.
            self.memory.place_failed = None;
        }
        if let Err(error) = result {
            tracing::error!(app = %self.app, ?action, error = chain(&error), "did not succeed; trying again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::ledger::{Ladder, LedgerEntry, WayBack};
    use crate::driver::{Liveness, Method, Transition};
    use crate::ids::Generation;
    use crate::samples::{node, spec, version};

    #[test]
    fn a_rung_that_this_host_refused_is_taken_again_for_a_while_and_one_that_failed_is_not() {
        let now = Monotonic::default();
        let ladder = Ladder { begun: Some(Rung::Restart), ..Ladder::default() };
        let by = Authority::Order(Generation(3));
        let transition = Transition {
            from: Some(version("0.1.0")),
            to: version("0.2.0"),
            method: Method::Restart,
            operation: "restart".to_owned(),
        };
        let action = Action::RollBack { transition, rung: Rung::Restart, ladder: ladder.clone(), by };
        let full = || DriverError::Io {
            what: "restart back",
            path: "/opt/shop".into(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        let core = || {
            let way_back = Some(WayBack { generation: Generation(3), ladder: ladder.clone() });
            let entry = LedgerEntry { way_back, ..LedgerEntry::default() };
            Core::new(node(1), spec(), "boot".to_owned(), entry, Liveness::Unknown, now)
        };
        let tried = |core: &Core| core.ledger().way_back.as_ref().unwrap().ladder.tried.len();

        let mut refused = core();
        for _ in 0..RUNG_ATTEMPTS {
            assert_eq!(refused.take_in(&action, Ended::Done(Err(full())), now, now), Follow::NOTHING);
            assert_eq!(tried(&refused), 0);
        }
        assert_eq!(refused.take_in(&action, Ended::Done(Err(full())), now, now), Follow::STORE);
        assert_eq!(tried(&refused), 1);

        let mut failed = core();
        let gone = Err(DriverError::VmGone { what: "restart back" });
        assert_eq!(failed.take_in(&action, Ended::Done(gone), now, now), Follow::STORE);
        assert_eq!(tried(&failed), 1);
    }
}
