//! Carrying out one action: the driver on this host, the context towards the cluster.

use super::AgentContext;
use super::decide::Action;
use super::inspect::{self, Looks};
use super::ledger::Trial;
use super::outcome::{Ended, PlaceError};
use super::telemetry;
use crate::driver::{DriverError, ReleaseDriver, Transition};
use crate::fail_point;
use crate::ids::{AppName, NodeId};
use crate::state::command::{Command, Report};
use crate::state::release::ReleaseId;
use crate::state::rollout::Stage;
use std::sync::Arc;

/// What acts: the driver on this host, the context towards the cluster.
#[derive(Clone)]
pub(super) struct Hands {
    pub(super) context: Arc<dyn AgentContext>,
    pub(super) driver: Arc<dyn ReleaseDriver>,
    pub(super) node: NodeId,
    pub(super) app: AppName,
    pub(super) looks: Looks,
}

impl Hands {
    /// Carries out what is harmless; may be dropped at any time.
    pub(super) async fn attempt(&self, action: &Action) -> Ended {
        let step = telemetry::step_of(action);
        fail_point::step("begin", step).await;
        let ended = self.do_harmless(action).await;
        fail_point::step("end", step).await;
        ended
    }

    async fn do_harmless(&self, action: &Action) -> Ended {
        match action {
            Action::Observe => Ended::Observed(self.driver.observe().await),
            Action::Place { release } => Ended::Placed(self.place(release).await),
            Action::Preflight { transition } => Ended::Checked(inspect::preflight(self, transition).await),
            Action::Verify { transition, .. } => Ended::Proved(self.driver.verify(transition).await),
            Action::Drain { transition, purge } => {
                Ended::Drained(self.driver.drain(transition, *purge).await)
            }
            Action::Report { generation, report } => {
                let (node, app, report) = (self.node, self.app.clone(), report.clone());
                self.propose(Command::Report { node, app, generation: *generation, report }).await
            }
            Action::ReportOrphan { rollout, outcome } => {
                let (node, app, outcome) = (self.node, self.app.clone(), outcome.clone());
                self.propose(Command::ReportOrphan { node, app, rollout: *rollout, outcome }).await
            }
            Action::Announce { observation, healthy, noted } => {
                let (node, app, healthy) = (self.node, self.app.clone(), *healthy);
                let (observation, noted) = (observation.clone(), noted.clone());
                self.propose(Command::Observe { node, app, observation, healthy, noted }).await
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
        let step = telemetry::step_of(action);
        fail_point::step("begin", step).await;
        let ended = self.do_effect(action).await;
        fail_point::step("end", step).await;
        ended
    }

    async fn do_effect(&self, action: &Action) -> Ended {
        Ended::Done(match action {
            Action::Install { transition, trial } => self.install(transition, trial).await,
            Action::Commit { transition } => self.driver.commit(transition).await,
            Action::RollBack { transition, rung, .. } => self.driver.roll_back(transition, *rung).await,
            Action::Repair { decided, .. } => self.driver.repair(decided.as_ref()).await,
            Action::Start => self.start().await,
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

    /// Starts it. Where it does not start because files of the version that the cluster decided are not there any more,
    /// they are brought and placed as for a rollout, and it is started once more.
    async fn start(&self) -> Result<(), DriverError> {
        let Err(failed) = self.driver.start().await else { return Ok(()) };
        let Some(release) = self.settled() else { return Err(failed) };
        let placed = self.driver.is_placed(&release.version, &release.manifest).await;
        if placed.unwrap_or(true) || self.place(&release).await.is_err() {
            return Err(failed);
        }
        tracing::warn!(app = %self.app, %release, "files of the release were missing, and are placed again");
        self.driver.start().await
    }

    /// What the cluster last brought this node to for good.
    fn settled(&self) -> Option<ReleaseId> {
        let state = self.context.state().borrow().clone();
        state.apps.get(&self.app)?.instances.get(&self.node)?.settled.clone()
    }

    async fn place(&self, release: &ReleaseId) -> Result<(), PlaceError> {
        // A preparation begins here: what an earlier one had looked at may be otherwise by now.
        self.looks.lock().await.clear();
        let placed = self.driver.is_placed(&release.version, &release.manifest).await;
        if placed.map_err(PlaceError::Driver)? {
            return Ok(());
        }
        let staged = self.context.fetch(release).await.map_err(PlaceError::Fetch)?;
        self.driver.place(&staged).await.map_err(PlaceError::Driver)
    }

    /// Puts back what is missing of a placed release; of what was staged for that nothing is left.
    pub(super) async fn mend(&self, release: &ReleaseId) -> Result<(), PlaceError> {
        let staged = self.context.fetch(release).await.map_err(PlaceError::Fetch)?;
        let mended = self.driver.mend(&staged).await;
        // What cannot be removed now goes with the daemon's next start.
        let _left = tokio::fs::remove_dir_all(&staged.tree).await;
        mended.map_err(PlaceError::Driver)
    }

    async fn propose(&self, command: Command) -> Ended {
        Ended::Answered(self.context.propose(command).await)
    }
}
