//! What an action is begun with: an operation of the host, or a call; and what the promises are told of it.

use super::super::Effect;
use super::super::calls::Caller;
use super::super::context::Context;
use super::words::name;
use super::{Agent, Doing, Step};
use crate::host::{Operation, OperationId};
use crate::promises;
use relupd::agent::decide::Action;
use relupd::agent::ledger_file;
use relupd::state::ClusterState;
use relupd::state::command::{Command, Report};
use relupd::state::rollout::Stage;
use std::sync::Arc;

impl Agent {
    pub(super) fn attempt(
        &mut self,
        action: &Action,
        state: &Arc<ClusterState>,
        context: &mut Context<'_>,
    ) -> Step {
        let node = context.me;
        let app = self.app.clone();
        let operation = match action {
            Action::Observe => Operation::Observe,
            Action::Preflight { transition } => Operation::Preflight(transition.clone()),
            Action::Verify { transition, .. } => Operation::Verify(transition.clone()),
            Action::Drain { transition, purge } => Operation::Drain(transition.clone(), *purge),
            Action::Place { release } if context.fetched.contains(&release.manifest) => {
                Operation::Place { version: release.version.clone(), manifest: release.manifest }
            }
            Action::Place { release } => {
                let until = context.now + context.fetch_takes();
                return Step::Fetch { release: release.clone(), until };
            }
            Action::Report { generation, report } => {
                let said = self.said(report, state, context);
                context.effects.extend(said.map(|said| Effect::Says(Box::new(said))));
                let command = Command::Report { node, app, generation: *generation, report: report.clone() };
                return Step::Call(context.propose(Caller::Agent(self.app.clone()), command));
            }
            Action::ReportOrphan { rollout, outcome } => {
                let command =
                    Command::ReportOrphan { node, app, rollout: *rollout, outcome: outcome.clone() };
                return Step::Call(context.propose(Caller::Agent(self.app.clone()), command));
            }
            Action::Announce { observation, healthy, noted } => {
                let (observation, noted) = (observation.clone(), noted.clone());
                let command = Command::Observe { node, app, observation, healthy: *healthy, noted };
                return Step::Call(context.propose(Caller::Agent(self.app.clone()), command));
            }
            Action::Install { .. }
            | Action::Commit { .. }
            | Action::RollBack { .. }
            | Action::Repair { .. }
            | Action::Start
            | Action::Stop
            | Action::Wait { .. } => unreachable!("not an attempt: {action:?}"),
        };
        Step::Operation(self.operate(operation, context))
    }

    pub(super) fn effect(
        &mut self,
        action: Action,
        noted_before: bool,
        state: &Arc<ClusterState>,
        context: &mut Context<'_>,
    ) {
        let operation = match &action {
            Action::Install { transition, trial } => {
                let report = Report::Stage { stage: Stage::Installing };
                let (node, app, generation) = (context.me, self.app.clone(), trial.generation);
                context.propose(Caller::Telling, Command::Report { node, app, generation, report });
                Operation::Install(transition.clone())
            }
            Action::Commit { transition } => Operation::Commit(transition.clone()),
            Action::RollBack { transition, rung, .. } => Operation::RollBack(transition.clone(), *rung),
            Action::Repair { decided, .. } => Operation::Repair(decided.clone()),
            Action::Start => Operation::Start,
            Action::Stop => Operation::Stop,
            Action::Observe
            | Action::Place { .. }
            | Action::Preflight { .. }
            | Action::Verify { .. }
            | Action::Drain { .. }
            | Action::Report { .. }
            | Action::ReportOrphan { .. }
            | Action::Announce { .. }
            | Action::Wait { .. } => unreachable!("not an effect: {action:?}"),
        };
        context.log(|| format!("{}: {}", self.app, name(&action)));
        let effect = self.effect_of(&action, noted_before, state, context);
        let operation = self.operate(operation, context);
        context.effects.extend(effect.map(|effect| Effect::Begins { operation, effect: Box::new(effect) }));
        self.doing = Doing::Effect { action, began: context.now, operation, overruled: None };
    }

    pub(super) fn operate(&mut self, operation: Operation, context: &mut Context<'_>) -> OperationId {
        let at = context.at;
        let host = context.hosts.get_mut(&self.app).expect("an agent is opened only where there is a host");
        host.begin(at, operation)
    }

    /// The effect, for the promises.
    pub(super) fn effect_of(
        &mut self,
        action: &Action,
        noted_before: bool,
        state: &Arc<ClusterState>,
        context: &Context<'_>,
    ) -> Option<promises::Effect> {
        let on_disk = context.ledgers.get(&self.app).map(|bytes| ledger_file::recover(bytes, None).0);
        Some(promises::Effect {
            node: context.me,
            app: self.app.clone(),
            action: action.clone(),
            applied: Arc::clone(state),
            read_asked_at: self.read_asked.take(),
            contact_age: self.contact_age,
            noted_before,
            on_disk,
            truth: context.host(&self.app)?.truth(),
        })
    }

    /// What is said of this node, for the promises.
    pub(super) fn said(
        &self,
        report: &Report,
        state: &Arc<ClusterState>,
        context: &Context<'_>,
    ) -> Option<promises::Said> {
        Some(promises::Said {
            node: context.me,
            app: self.app.clone(),
            report: report.clone(),
            applied: Arc::clone(state),
            truth: context.host(&self.app)?.truth(),
            clock_error: context.clock.leapt(),
        })
    }
}
