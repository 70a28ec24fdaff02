//! What nodes report. A report counts only for the node's newest assignment (S4).

use super::{About, Context, DONE};
use crate::ids::{AppName, Generation, NodeId, RolloutId};
use crate::spec::Permanent;
use crate::state::app::{Assignment, Order};
use crate::state::command::{OrphanOutcome, Report};
use crate::state::rejection::{Rejection, Superseded};
use crate::state::release::ReleaseId;
use crate::state::rollout::{Failure, NodeProgress, Step};
use crate::state::{ClusterState, Outcome};
use std::sync::Arc;

/// What a report does to the node's assignment and to what it is settled on.
enum Effect {
    /// The assignment stays in force.
    Stays,
    /// The assignment is done.
    Done,
    /// The assignment is done, and the node is settled here.
    Settled(Option<ReleaseId>),
    /// The node is settled here, and watched until its rollout ends: a failed verdict may still turn that
    /// round.
    Watched(ReleaseId),
}

impl ClusterState {
    pub(super) fn report(
        &mut self,
        context: Context<'_>,
        node: NodeId,
        name: &AppName,
        generation: Generation,
        report: &Report,
    ) -> Outcome {
        let instance = self.app(name)?.instances.get(&node).ok_or(Rejection::NoSuchNode(node))?;
        let newest = instance.assignment.as_ref();
        let Some(assignment) = newest.filter(|newest| newest.generation == generation).cloned() else {
            let newest = newest.map(|newest| newest.generation);
            return Err(Rejection::StaleGeneration { node, reported: generation, newest });
        };
        let id = assignment.rollout;
        let rollout = self.rollout_mut(id)?;
        let ended = rollout.phase.is_terminal();
        let progress = rollout.nodes.get_mut(&node).map(Arc::make_mut).ok_or(Rejection::NoSuchNode(node))?;
        let effect = take_report(progress, &assignment, report, ended)?;
        rollout.revision += 1;
        if let Some(instance) =
            self.apps.get_mut(name).and_then(|app| app.instances.get_mut(&node).map(Arc::make_mut))
        {
            let (over, settled) = match effect {
                Effect::Stays => (false, None),
                Effect::Done => (true, None),
                Effect::Settled(release) => (true, Some(release)),
                // An ended rollout has nobody who would end the watch.
                Effect::Watched(release) => (ended, Some(Some(release))),
            };
            if over {
                instance.assignment = None;
            }
            if let Some(release) = settled {
                instance.settled = release;
                // What was observed before the move says nothing any more: unknown until looked at.
                instance.observed = None;
                instance.healthy = None;
            }
        }
        self.note(context, About::step(name, id, node), describe(report));
        DONE
    }

    /// An orphan that took itself back. After `CommitDecided` this changes nothing: its order to
    /// commit stands, and it will install again. Nor does it where that has turned round since, as it was said before,
    /// or where it was ordered back: then it says so as it was asked.
    pub(super) fn report_orphan(
        &mut self,
        context: Context<'_>,
        node: NodeId,
        name: &AppName,
        id: RolloutId,
        outcome: &OrphanOutcome,
    ) -> Outcome {
        let order = self.apps.get(name).and_then(|app| app.instances.get(&node)?.assignment.as_ref());
        let was_to_commit = order.is_some_and(|order| order.order == Order::Commit);
        let rollout = self.rollout_mut(id)?;
        if rollout.phase.is_terminal() {
            return DONE;
        }
        let from = rollout.from_of(node).cloned();
        let decided = matches!(rollout.phase, crate::state::rollout::Phase::Committing { decided: true });
        let at_end = rollout.spec.upgrade.permanent == Permanent::AtEnd;
        let progress = rollout.nodes.get_mut(&node).map(Arc::make_mut).ok_or(Rejection::NoSuchNode(node))?;
        // Who was removed meanwhile has no more part in it, and halts nobody.
        let over = match progress.step {
            Step::Skipped { .. }
            | Step::Reverting { .. }
            | Step::Reverted { .. }
            | Step::RevertFailed { .. }
            | Step::Committed => true,
            Step::Committing { .. } => at_end,
            Step::Failed { .. } => was_to_commit,
            Step::Planned
            | Step::Preparing { .. }
            | Step::Prepared { .. }
            | Step::PrepareFailed { .. }
            | Step::Upgrading { .. }
            | Step::Healthy { .. }
            | Step::Draining { .. }
            | Step::ReadyToCommit { .. } => false,
        };
        if decided || over {
            return DONE;
        }
        progress.orphaned = true;
        let back = match outcome {
            OrphanOutcome::Back { .. } => {
                progress.step = Step::Reverted { by: None };
                true
            }
            OrphanOutcome::Stuck { tried } => {
                progress.step = Step::RevertFailed { tried: tried.clone() };
                false
            }
        };
        rollout.revision += 1;
        if let Some(instance) =
            self.apps.get_mut(name).and_then(|app| app.instances.get_mut(&node).map(Arc::make_mut))
        {
            if instance.assignment.as_ref().is_some_and(|assignment| assignment.rollout == id) {
                instance.assignment = None;
            }
            instance.observed = None;
            instance.healthy = None;
            if back {
                instance.settled = from;
            }
        }
        let text =
            if back { "was out of contact and took itself back" } else { "was out of contact and is stuck" };
        self.note(context, About::step(name, id, node), text.to_owned());
        DONE
    }
}

fn take_report(
    progress: &mut NodeProgress,
    assignment: &Assignment,
    report: &Report,
    ended: bool,
) -> Result<Effect, Rejection> {
    let (next, effect) = match (assignment.order, report, &progress.step) {
        (Order::Prepare, Report::CannotFetch { reason }, Step::Preparing { generation, .. }) => {
            let cannot_fetch = Some(reason.clone());
            (Step::Preparing { generation: *generation, cannot_fetch }, Effect::Stays)
        }
        (Order::Prepare, Report::Fetched, Step::Preparing { generation, .. }) => {
            (Step::Preparing { generation: *generation, cannot_fetch: None }, Effect::Stays)
        }
        (Order::Prepare, Report::Prepared { method, checks }, Step::Preparing { .. }) => {
            progress.method = *method;
            (Step::Prepared { checks: checks.clone() }, Effect::Done)
        }
        (Order::Prepare, Report::PrepareFailed { checks }, Step::Preparing { .. }) => {
            (Step::PrepareFailed { checks: checks.clone() }, Effect::Done)
        }
        (Order::Upgrade, Report::Stage { stage }, Step::Upgrading { generation, stage: known }) => {
            (Step::Upgrading { generation: *generation, stage: *stage.max(known) }, Effect::Stays)
        }
        (Order::Upgrade, Report::Healthy { boot_nonce }, Step::Upgrading { .. }) => {
            (Step::Healthy { boot_nonce: boot_nonce.clone() }, Effect::Stays)
        }
        (Order::Drain, Report::ReadyToCommit { boot_nonce }, Step::Draining { boot_nonce: judged, .. }) => {
            let next = if boot_nonce == judged {
                Step::ReadyToCommit { boot_nonce: boot_nonce.clone() }
            } else {
                Step::Failed { failure: another_life() }
            };
            (next, Effect::Stays)
        }
        (Order::Commit, Report::Committed, Step::Committing { .. }) => {
            (Step::Committed, Effect::Watched(assignment.to.clone()))
        }
        (Order::Revert, Report::Reverted { by, .. }, Step::Reverting { .. }) => {
            (Step::Reverted { by: *by }, Effect::Settled(assignment.from.clone()))
        }
        (Order::Revert, Report::RevertFailed { tried }, Step::Reverting { .. }) => {
            // Where it belongs has not changed by its failing to get there.
            (Step::RevertFailed { tried: tried.clone() }, Effect::Settled(assignment.from.clone()))
        }
        (
            Order::Commit | Order::Revert,
            Report::AskTurn,
            step @ (Step::Committing { .. } | Step::Reverting { .. }),
        ) => (step.asked(), Effect::Stays),
        (Order::Commit, Report::Failed { failure }, _) if ended => {
            (Step::Failed { failure: failure.clone() }, Effect::Done)
        }
        (Order::Upgrade | Order::Drain | Order::Commit, Report::Failed { failure }, _) => {
            (Step::Failed { failure: failure.clone() }, Effect::Stays)
        }
        (order, _, _) => return Err(Rejection::Superseded(Superseded::Report { order })),
    };
    progress.step = next;
    Ok(effect)
}

fn another_life() -> Failure {
    Failure::VmDied { detail: "it lives another life than the one that was judged healthy".to_owned() }
}

fn describe(report: &Report) -> String {
    match report {
        Report::CannotFetch { reason } => format!("cannot fetch the release yet: {reason}"),
        Report::Fetched => "has the release".to_owned(),
        Report::Prepared { method, .. } => format!("prepared ({method})"),
        Report::PrepareFailed { .. } => "cannot be upgraded".to_owned(),
        Report::Stage { stage } => stage.verb().to_owned(),
        Report::Healthy { .. } => "healthy".to_owned(),
        Report::Failed { failure } => failure.to_string(),
        Report::ReadyToCommit { .. } => "ready to commit".to_owned(),
        Report::AskTurn => "asks for its turn".to_owned(),
        Report::Committed => "made permanent".to_owned(),
        Report::Reverted { by: Some(rung), .. } => format!("back by {rung}"),
        Report::Reverted { by: None, .. } => "back".to_owned(),
        Report::RevertFailed { .. } => "no way back was found".to_owned(),
    }
}
