//! `ClusterState::apply`: the one place where the state changes, one exhaustive match. Whatever is
//! rejected has changed nothing.

mod apps;
mod cluster;
mod decisions;
mod format;
mod operators;
mod reports;

use crate::ids::{AppName, NodeId, RolloutId};
use crate::state::command::{Actor, Applied, Command, Entry};
use crate::state::event::Event;
use crate::state::{ClusterState, Outcome};
use jiff::Timestamp;
use std::sync::Arc;

/// So many outcomes are remembered. A proposer gives up long before a thousand other commands have
/// been applied after its own.
const RECENT: usize = 1024;

/// So many events are kept.
const EVENTS: usize = 1000;

/// Who did it and when: what every handler needs beside the command.
#[derive(Clone, Copy, Debug)]
struct Context<'a> {
    actor: &'a Actor,
    at: Timestamp,
}

impl ClusterState {
    /// Applies an entry of the log. An entry whose id was applied before gives the same outcome again
    /// and changes nothing (S12).
    ///
    /// # Errors
    /// The rejection, where the command does not fit the state; the state is then unchanged but for
    /// the memory of this outcome.
    pub fn apply(&mut self, entry: &Entry) -> Outcome {
        if let Some((_, outcome)) = self.recent.iter().rev().find(|(id, _)| *id == entry.id) {
            return outcome.clone();
        }
        let outcome = match self.refuse_newer(&entry.command) {
            Ok(()) => self.handle(entry),
            Err(rejection) => Err(rejection),
        };
        self.recent.push_back((entry.id, outcome.clone()));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
        outcome
    }

    fn handle(&mut self, entry: &Entry) -> Outcome {
        let context = Context { actor: &entry.actor, at: entry.at };
        match &entry.command {
            Command::IssueToken { token } => self.issue_token(context, token),
            Command::AdmitNode { token, node } => self.admit_node(context, *token, node),
            Command::DescribeNode { node, address, labels, daemon_version, reads } => {
                self.describe_node(*node, *address, labels, daemon_version, *reads)
            }
            Command::RequestCertificate { node, request } => self.request_certificate(*node, request),
            Command::RenewCertificate { node, certificate, der } => {
                self.renew_certificate(context, *node, certificate, der)
            }
            Command::RemoveNode { node } => self.remove_node(context, *node),
            Command::SealAuthorityKey { node, sealed } => self.seal_authority_key(*node, sealed),
            Command::RaiseFormat { to } => self.raise_format(context, *to),
            Command::AddOperator { operator } => self.add_operator(context, operator),
            Command::RevokeOperator { name } => self.revoke_operator(context, name),
            Command::RegisterRelease { release } => self.register_release(context, release),
            Command::ApplyApp { spec } => self.apply_app(context, spec),
            Command::SetRunning { app, running } => self.set_running(context, app, *running),
            Command::SavePlan { app, basis, to, steps, purpose } => {
                self.save_plan(context, app, *basis, to, steps, purpose)
            }
            Command::StartRollout { plan } => self.start_rollout(context, *plan),
            Command::Pause { rollout } => self.pause(context, *rollout),
            Command::Resume { rollout } => self.resume(context, *rollout),
            Command::Promote { rollout } => self.promote(context, *rollout),
            Command::Abort { rollout, mode } => self.abort(context, *rollout, *mode),
            Command::LiftQuarantine { digest } => self.lift_quarantine(context, *digest),
            Command::RepairNode { node, app } => self.repair_node(context, *node, app.as_ref()),
            Command::Decide { rollout, revision, decisions } => {
                self.decide(context, *rollout, *revision, decisions)
            }
            Command::Report { node, app, generation, report } => {
                self.report(context, *node, app, *generation, report)
            }
            Command::Observe { node, app, observation, healthy, noted } => {
                self.observe(*node, app, observation, *healthy, noted.as_deref())
            }
            Command::ReportOrphan { node, app, rollout, outcome } => {
                self.report_orphan(context, *node, app, *rollout, outcome)
            }
            #[cfg(feature = "next-format")]
            Command::Remark { text } => {
                self.note(context, About::CLUSTER, text.clone());
                DONE
            }
        }
    }

    fn note(&mut self, context: Context<'_>, about: About<'_>, text: String) {
        let event = Event {
            number: self.next.event,
            at: context.at,
            actor: context.actor.clone(),
            app: about.app.cloned(),
            node: about.node,
            rollout: about.rollout,
            text,
        };
        self.next.event += 1;
        self.events.push_back(Arc::new(event));
        if self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, Default)]
struct About<'a> {
    app: Option<&'a AppName>,
    node: Option<NodeId>,
    rollout: Option<RolloutId>,
}

impl<'a> About<'a> {
    const CLUSTER: Self = Self { app: None, node: None, rollout: None };

    const fn node(node: NodeId) -> Self {
        Self { app: None, node: Some(node), rollout: None }
    }

    const fn app(app: &'a AppName) -> Self {
        Self { app: Some(app), node: None, rollout: None }
    }

    const fn rollout(app: &'a AppName, rollout: RolloutId) -> Self {
        Self { app: Some(app), node: None, rollout: Some(rollout) }
    }

    const fn step(app: &'a AppName, rollout: RolloutId, node: NodeId) -> Self {
        Self { app: Some(app), node: Some(node), rollout: Some(rollout) }
    }
}

const DONE: Outcome = Ok(Applied::Done);
