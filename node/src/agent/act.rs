//! Carrying out one action, and taking in what became of it.

use super::backoff::Kind;
use super::decide::{Action, Authority};
use super::ledger::{LedgerEntry, Orphan, Trial, TrialProgress, WayBack};
use super::worker::{Worker, chain};
use super::{AgentContext, ContextError};
use crate::clock::{Monotonic, monotonic};
use crate::driver::{
    Check, CheckResult, Condition, DriverError, Observation, ReleaseDriver, Running, Transition,
};
use crate::ids::{AppName, BootNonce, NodeId};
use crate::state::Outcome;
use crate::state::command::{Command, Report};
use crate::state::release::ReleaseId;
use crate::state::rollout::{Stage, TriedRung};
use std::sync::Arc;

/// So many attempts to place a release are made before the node says that it cannot.
const PLACE_ATTEMPTS: u32 = 3;

/// What acts: the driver on this host, the context towards the cluster.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) context: Arc<dyn AgentContext>,
    pub(super) driver: Arc<dyn ReleaseDriver>,
    pub(super) node: NodeId,
    pub(super) app: AppName,
}

/// What became of an action.
#[derive(Debug)]
pub(super) enum Ended {
    Observed(Result<Observation, DriverError>),
    Placed(Result<(), PlaceError>),
    Checked(Result<Vec<Check>, DriverError>),
    Drained(Result<BootNonce, DriverError>),
    Answered(Result<Outcome, ContextError>),
    Done(Result<(), DriverError>),
}

/// Why a release is not placed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    /// Infrastructure: tried again, said to nobody.
    #[error(transparent)]
    Fetch(ContextError),
    /// This host.
    #[error(transparent)]
    Driver(DriverError),
}

impl Hands {
    /// Carries out what is harmless; may be dropped at any time.
    pub(super) async fn attempt(&self, action: &Action) -> Ended {
        match action {
            Action::Observe => Ended::Observed(self.driver.observe().await),
            Action::Place { release } => Ended::Placed(self.place(release).await),
            Action::Preflight { transition } => Ended::Checked(self.driver.preflight(transition).await),
            Action::Verify { transition, .. } => Ended::Done(self.driver.verify(transition).await),
            Action::Drain { transition } => Ended::Drained(self.drain(transition).await),
            Action::Report { generation, report } => {
                let (node, app, report) = (self.node, self.app.clone(), report.clone());
                self.propose(Command::Report { node, app, generation: *generation, report }).await
            }
            Action::ReportOrphan { rollout, outcome } => {
                let (node, app, outcome) = (self.node, self.app.clone(), outcome.clone());
                self.propose(Command::ReportOrphan { node, app, rollout: *rollout, outcome }).await
            }
            Action::Announce { observation, healthy } => {
                let (node, app, observation) = (self.node, self.app.clone(), observation.clone());
                self.propose(Command::Observe { node, app, observation, healthy: *healthy }).await
            }
            Action::Install { .. }
            | Action::Commit { .. }
            | Action::RollBack { .. }
            | Action::Repair { .. }
            | Action::Start
            | Action::Stop
            | Action::Wait { .. } => unreachable!("not an attempt: {action:?}"),
        }
    }

    /// Carries out an effect.
    pub(super) async fn act(&self, action: &Action) -> Ended {
        Ended::Done(match action {
            Action::Install { transition, trial } => self.install(transition, trial).await,
            Action::Commit { transition } => self.driver.commit(transition).await,
            Action::RollBack { transition, rung, .. } => self.driver.roll_back(transition, *rung).await,
            Action::Repair { decided, .. } => self.driver.repair(decided.as_ref()).await,
            Action::Start => self.driver.start().await,
            Action::Stop => self.driver.stop().await,
            Action::Observe
            | Action::Place { .. }
            | Action::Preflight { .. }
            | Action::Verify { .. }
            | Action::Drain { .. }
            | Action::Report { .. }
            | Action::ReportOrphan { .. }
            | Action::Announce { .. }
            | Action::Wait { .. } => unreachable!("not an effect: {action:?}"),
        })
    }

    async fn drain(&self, transition: &Transition) -> Result<BootNonce, DriverError> {
        self.driver.drain(transition).await
    }

    /// Installs, and tells of it meanwhile. The installation waits for nobody; if it is over first,
    /// what it led to is told instead.
    async fn install(&self, transition: &Transition, trial: &Trial) -> Result<(), DriverError> {
        let (node, app) = (self.node, self.app.clone());
        let report = Report::Stage { stage: Stage::Installing };
        let telling =
            self.context.propose(Command::Report { node, app, generation: trial.generation, report });
        let installing = self.driver.install(transition);
        tokio::pin!(telling, installing);
        tokio::select! {
            biased;
            ended = &mut installing => ended,
            _ = &mut telling => installing.await,
        }
    }

    async fn place(&self, release: &ReleaseId) -> Result<(), PlaceError> {
        let placed = self.driver.is_placed(&release.version, &release.manifest).await;
        if placed.map_err(PlaceError::Driver)? {
            return Ok(());
        }
        let staged = self.context.fetch(release).await.map_err(PlaceError::Fetch)?;
        self.driver.place(&staged).await.map_err(PlaceError::Driver)
    }

    async fn propose(&self, command: Command) -> Ended {
        Ended::Answered(self.context.propose(command).await)
    }
}

impl LedgerEntry {
    /// The ledger as it must be on disk before this action.
    pub(super) fn before(&self, action: &Action) -> Self {
        let mut entry = self.clone();
        match action {
            Action::Install { trial, .. } => entry.trial = Some(trial.clone()),
            Action::RollBack { ladder, by, .. } => match by {
                Authority::Order(generation) => {
                    entry.way_back = Some(WayBack { generation: *generation, ladder: ladder.clone() });
                }
                Authority::Orphan(rollout) => {
                    entry.orphan = Some(Orphan { rollout: *rollout, ladder: ladder.clone() });
                }
            },
            Action::Repair { ordered: Some(count), .. } => entry.repaired = *count,
            Action::Repair { ordered: None, .. }
            | Action::Observe
            | Action::Place { .. }
            | Action::Preflight { .. }
            | Action::Verify { .. }
            | Action::Drain { .. }
            | Action::Commit { .. }
            | Action::Start
            | Action::Stop
            | Action::Report { .. }
            | Action::ReportOrphan { .. }
            | Action::Announce { .. }
            | Action::Wait { .. } => {}
        }
        entry
    }
}

impl Worker {
    /// Takes in what became of an action that was begun at `began`.
    pub(super) async fn take_in(&mut self, action: &Action, ended: Ended, began: Monotonic) {
        match (action, ended) {
            (_, Ended::Observed(seen)) => self.saw(seen, began),
            (_, Ended::Placed(placed)) => self.placed(placed),
            (_, Ended::Checked(checks)) => self.checked(checks),
            (_, Ended::Drained(drained)) => self.drained(drained),
            (action, Ended::Answered(answer)) => self.answered(action, answer),
            (Action::Install { trial, .. }, Ended::Done(result)) => self.installed(trial, result).await,
            (Action::Verify { trial, life, .. }, Ended::Done(result)) => {
                self.verified(trial, life, result).await
            }
            (Action::RollBack { rung, by, .. }, Ended::Done(result)) => {
                let tried = result.err().map(|error| TriedRung { rung: *rung, reason: chain(&error) });
                self.took_rung(*by, tried).await;
            }
            (Action::Start, Ended::Done(result)) => self.started(result),
            (action, Ended::Done(result)) => self.done(action, result),
        }
    }

    fn saw(&mut self, seen: Result<Observation, DriverError>, began: Monotonic) {
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
            self.backoff.failed(Kind::Observe, monotonic());
        } else {
            self.memory.blind = 0;
            self.memory.last_permanent = seen.permanent.clone();
            self.memory.seen_up |= matches!(seen.running, Running::Up { .. });
            self.backoff.succeeded(Kind::Observe);
            if matches!(seen.condition, Condition::Clean | Condition::Trial) {
                self.backoff.succeeded(Kind::Repair);
            }
        }
        self.observation = Some((seen, began));
    }

    fn placed(&mut self, placed: Result<(), PlaceError>) {
        match placed {
            Ok(()) => {
                self.memory.placed = true;
                self.backoff.succeeded(Kind::Place);
                self.observation = None;
            }
            Err(error) => {
                tracing::warn!(app = %self.app, error = chain(&error), "cannot place the release yet");
                self.backoff.failed(Kind::Place, monotonic());
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

    fn checked(&mut self, checks: Result<Vec<Check>, DriverError>) {
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
                self.backoff.failed(Kind::Place, monotonic());
            }
        }
    }

    fn drained(&mut self, drained: Result<BootNonce, DriverError>) {
        match drained {
            Ok(life) => self.memory.drained = Some(life),
            Err(error @ (DriverError::Refused { .. } | DriverError::Failed { .. })) => {
                self.memory.drain_failed = Some(chain(&error));
            }
            Err(error) => {
                tracing::warn!(app = %self.app, error = chain(&error), "old code is not drained yet");
                self.backoff.failed(Kind::Prove, monotonic());
                self.observation = None;
            }
        }
    }

    fn answered(&mut self, action: &Action, answer: Result<Outcome, ContextError>) {
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::debug!(app = %self.app, error = chain(&error), "told nobody yet");
                self.backoff.failed(Kind::Cluster, monotonic());
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
            Action::Announce { observation, healthy } => {
                self.memory.announced = Some((observation.clone(), *healthy));
            }
            _ => {}
        }
    }

    async fn installed(&mut self, trial: &Trial, result: Result<(), DriverError>) {
        // Whatever was said: the same again only after a while.
        self.backoff.failed(Kind::Effect, monotonic());
        match result {
            Ok(()) => self.memory.installed = true,
            // It may still end: what runs will tell.
            Err(error @ DriverError::TimedOut { .. }) => {
                tracing::warn!(app = %self.app, error = chain(&error), "the installation goes on");
            }
            Err(error) => {
                let progress = TrialProgress::Failed { reason: chain(&error) };
                let trial = Trial { progress, ..trial.clone() };
                self.remember(LedgerEntry { trial: Some(trial), ..self.entry.clone() }).await;
            }
        }
    }

    async fn verified(&mut self, trial: &Trial, life: &BootNonce, result: Result<(), DriverError>) {
        match result {
            Ok(()) => {
                self.backoff.succeeded(Kind::Prove);
                self.memory.judge_afresh(monotonic());
                self.context.prompt_health(&self.app);
                let progress = TrialProgress::Verified { boot_nonce: life.clone() };
                let trial = Trial { progress, ..trial.clone() };
                self.remember(LedgerEntry { trial: Some(trial), ..self.entry.clone() }).await;
            }
            Err(error @ (DriverError::Refused { .. } | DriverError::Failed { .. })) => {
                self.memory.verify_failed = Some(chain(&error));
                self.backoff.failed(Kind::Prove, monotonic());
            }
            Err(error) => {
                tracing::warn!(app = %self.app, error = chain(&error), "not verified yet");
                self.backoff.failed(Kind::Prove, monotonic());
                self.observation = None;
            }
        }
    }

    async fn took_rung(&mut self, by: Authority, tried: Option<TriedRung>) {
        let mut entry = self.entry.clone();
        let ladder = match by {
            Authority::Order(_) => entry.way_back.as_mut().map(|back| &mut back.ladder),
            Authority::Orphan(_) => entry.orphan.as_mut().map(|orphan| &mut orphan.ladder),
        };
        let Some(ladder) = ladder else { return };
        match tried {
            // Not worth an fsync: without it the rung counts as interrupted, and is looked at anyhow.
            None => {
                ladder.ended = true;
                self.entry = entry;
            }
            Some(tried) => {
                tracing::warn!(app = %self.app, rung = %tried.rung, reason = tried.reason, "did not lead back");
                ladder.begun = None;
                ladder.tried.push(tried);
                self.remember(entry).await;
            }
        }
    }

    /// A start counts as failed until the app has stayed up for a while.
    fn started(&mut self, result: Result<(), DriverError>) {
        self.backoff.failed(Kind::Start, monotonic());
        self.memory.start_failures = self.memory.start_failures.saturating_add(1);
        if let Err(error) = result {
            tracing::error!(app = %self.app, error = chain(&error), "cannot start the app; trying again");
        }
    }

    /// An effect that seemed to succeed and has to be had again, or did not: only after a while.
    fn done(&mut self, action: &Action, result: Result<(), DriverError>) {
        self.backoff.failed(Kind::of(action), monotonic());
        if let Err(error) = result {
            tracing::error!(app = %self.app, ?action, error = chain(&error), "did not succeed; trying again");
        }
    }
}
