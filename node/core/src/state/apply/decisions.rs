//! The reconciler's decisions, checked against the phase that they belong to.

use super::operators::wrong_phase;
use super::{About, Context, DONE};
use crate::ids::{AppName, Generation, NodeId, RolloutId};
use crate::state::app::Order;
use crate::state::command::{Decision, Spent};
use crate::state::plan::Purpose;
use crate::state::rejection::{Deed, Rejection, Superseded};
use crate::state::rollout::{HaltReason, Phase, Rollout, Stage, Step, Turn};
use crate::state::{ClusterState, Outcome, Quarantine};
use std::sync::Arc;

impl ClusterState {
    /// All of the decisions, or none: they were taken together, against one revision.
    pub(super) fn decide(
        &mut self,
        context: Context<'_>,
        id: RolloutId,
        revision: u64,
        decisions: &[Decision],
    ) -> Outcome {
        let rollout = self.led(id)?;
        if rollout.revision != revision {
            let is = rollout.revision;
            let late = Superseded::Revision { rollout: id, is, decided: revision };
            return Err(Rejection::Superseded(late));
        }
        let before = self.clone();
        for decision in decisions {
            if let Err(rejection) = self.decide_one(context, id, decision) {
                *self = before;
                return Err(rejection);
            }
        }
        DONE
    }

    fn decide_one(&mut self, context: Context<'_>, id: RolloutId, decision: &Decision) -> Outcome {
        let rollout = self.led(id)?;
        if !rollout.permits(decision) {
            return Err(wrong_phase(rollout, Deed::Decide));
        }
        rollout.revision += 1;
        let app = rollout.plan.app.clone();
        let takes_room =
            matches!(decision, Decision::GiveTurn { .. } | Decision::Assign { order: Order::Upgrade, .. });
        if takes_room {
            self.refuse_full(id)?;
        }
        let rollout = self.led(id)?;
        match decision {
            Decision::Assign { node, order } => return self.assign(context, id, *node, *order),
            Decision::Skip { node, reason } => {
                if let Some(progress) = rollout.nodes.get_mut(node).map(Arc::make_mut) {
                    progress.step = Step::Skipped { reason: reason.clone() };
                }
                self.clear_assignment(&app, *node, id);
                self.note(context, About::step(&app, id, *node), format!("left out: {reason}"));
            }
            Decision::BeginRolling => rollout.phase = Phase::Rolling,
            Decision::Promote => {
                rollout.promoted = true;
                self.note(context, About::rollout(&app, id), "canary healthy: promoted".to_owned());
            }
            Decision::BeginCommitting => rollout.phase = Phase::Committing { decided: false },
            Decision::CommitDecided => self.commit_decided(context, id),
            Decision::Halt { reason } => {
                self.halt(id, reason);
                self.note(context, About::rollout(&app, id), format!("halted: {reason}"));
            }
            Decision::BeginReverting => {
                if let Phase::Halted { reason } = &rollout.phase {
                    rollout.phase = Phase::Reverting { reason: reason.clone() };
                }
            }
            Decision::Refuse { reasons } => {
                self.end(context, id, Phase::Refused { reasons: reasons.clone() });
            }
            Decision::Hold { elsewhere } => {
                if let Phase::Halted { reason } = &rollout.phase {
                    let held = Phase::Held { reason: reason.clone(), elsewhere: elsewhere.clone() };
                    self.end(context, id, held);
                }
            }
            Decision::Complete => {
                let to = rollout.plan.to.clone();
                if let Some(app) = self.apps.get_mut(&app) {
                    app.current = Some(to);
                }
                self.end(context, id, Phase::Completed);
            }
            Decision::FinishReverting => {
                if let Phase::Reverting { reason } = &rollout.phase {
                    let (reverted, previous) =
                        (Phase::Reverted { reason: reason.clone() }, rollout.previous.clone());
                    if let Some(app) = self.apps.get_mut(&app) {
                        app.current = previous;
                    }
                    self.end(context, id, reverted);
                }
            }
            Decision::CallOperator { nodes } => {
                let needs =
                    Phase::NeedsOperator { reason: rollout.phase.reason().cloned(), nodes: nodes.clone() };
                if matches!(rollout.phase, Phase::Reverting { .. }) {
                    let previous = rollout.previous.clone();
                    if let Some(app) = self.apps.get_mut(&app) {
                        app.current = previous;
                    }
                }
                self.end(context, id, needs);
            }
            Decision::RecordElapsed { elapsed } => rollout.elapsed = *elapsed,
            Decision::GiveTurn { node } => {
                rollout.set_turn(*node, Turn::Given);
                self.note(context, About::step(&app, id, *node), "has its turn".to_owned());
            }
            Decision::TakeTurn { node, why } => {
                rollout.set_turn(*node, Turn::NotAsked);
                if let Some(progress) = rollout.nodes.get_mut(node).map(Arc::make_mut) {
                    progress.had_its_turn |= *why == Spent::NoProgress;
                }
                self.note(context, About::step(&app, id, *node), format!("{why}, and has to ask anew"));
            }
        }
        DONE
    }

    /// A rollout that the leader still has a say in.
    fn led(&mut self, id: RolloutId) -> Result<&mut Rollout, Rejection> {
        let rollout = self.rollout_mut(id)?;
        if rollout.needs_leader() { Ok(rollout) } else { Err(wrong_phase(rollout, Deed::Decide)) }
    }

    /// S2, over all rollouts of the app: an ended one may have left nodes that still have to go.
    fn refuse_full(&self, id: RolloutId) -> Result<(), Rejection> {
        let rollout = self.rollout(id)?;
        let (limit, at_work) =
            (rollout.spec.upgrade.max_in_flight, self.in_flight(self.app(&rollout.plan.app)?));
        if u32::try_from(at_work.len()).is_ok_and(|count| count < limit) {
            return Ok(());
        }
        Err(Rejection::Superseded(Superseded::Full { rollout: id, limit }))
    }

    fn assign(&mut self, context: Context<'_>, id: RolloutId, node: NodeId, order: Order) -> Outcome {
        let generation = Generation(self.next.generation);
        let name = self.on_its_way(id, Deed::Decide)?.plan.app.clone();
        let instance = self.app(&name)?.instances.get(&node).ok_or(Rejection::NoSuchNode(node))?;
        let other = instance.assignment.as_ref().is_some_and(|assignment| assignment.rollout != id);
        if other && instance.still_has_to_go() {
            return Err(Rejection::Superseded(Superseded::OrderWaits { node }));
        }
        let rollout = self.on_its_way(id, Deed::Decide)?;
        let assignment = rollout.order(node, order, generation)?;
        let app = rollout.plan.app.clone();
        self.next.generation += 1;
        let instance =
            self.apps.get_mut(&app).and_then(|app| app.instances.get_mut(&node).map(Arc::make_mut));
        instance.ok_or(Rejection::NoSuchNode(node))?.assignment = Some(assignment);
        self.note(context, About::step(&app, id, node), format!("ordered to {}", order.verb()));
        DONE
    }

    /// The point of no return, in one entry: the app is committed, and every node is ordered to make
    /// it so.
    fn commit_decided(&mut self, context: Context<'_>, id: RolloutId) {
        let Ok(rollout) = self.rollout_mut(id) else { return };
        rollout.phase = Phase::Committing { decided: true };
        // From here there is nothing to wait for, and its clocks must run.
        rollout.paused = None;
        let (name, to) = (rollout.plan.app.clone(), rollout.plan.to.clone());
        let ready: Vec<NodeId> = rollout
            .in_order()
            .into_iter()
            .filter(|(_, progress)| matches!(progress.step, Step::ReadyToCommit { .. }))
            .map(|(node, _)| node)
            .collect();
        if let Some(app) = self.apps.get_mut(&name) {
            app.current = Some(to);
            app.basis += 1;
        }
        self.note(context, About::rollout(&name, id), "commit decided".to_owned());
        for node in ready {
            // A ready node has an instance: nodes that were removed are `Skipped`.
            let _ordered = self.assign(context, id, node, Order::Commit);
        }
    }

    /// Stops the way forward: orders that nobody is known to have begun are void from here (S3).
    pub(super) fn halt(&mut self, id: RolloutId, reason: &HaltReason) {
        let Ok(rollout) = self.rollout_mut(id) else { return };
        rollout.phase = Phase::Halted { reason: reason.clone() };
        // The way back must not wait for a `resume` that nobody thinks of.
        rollout.paused = None;
        rollout.revision += 1;
        let name = rollout.plan.app.clone();
        let not_begun: Vec<NodeId> = rollout
            .nodes
            .iter()
            .filter(|(_, progress)| not_begun(&progress.step))
            .map(|(node, _)| *node)
            .collect();
        for node in not_begun {
            self.clear_assignment(&name, node, id);
        }
        self.blame_release(id, reason);
    }

    fn clear_assignment(&mut self, app: &AppName, node: NodeId, rollout: RolloutId) {
        let instance = self.apps.get_mut(app).and_then(|app| app.instances.get_mut(&node).map(Arc::make_mut));
        if let Some(instance) = instance
            && instance.assignment.as_ref().is_some_and(|assignment| assignment.rollout == rollout)
        {
            instance.assignment = None;
        }
    }

    /// A failed verdict is the release's fault until somebody says otherwise. A catch-up failed on one
    /// node only, with a release that the others run: that is remembered for the node.
    fn blame_release(&mut self, id: RolloutId, reason: &HaltReason) {
        let HaltReason::NodeFailed { node, failure } = reason else { return };
        let Some(rollout) = self.rollouts.get(&id) else { return };
        let to = rollout.plan.to.clone();
        match rollout.plan.purpose {
            Purpose::CatchUp => {
                let app = self.apps.get_mut(&rollout.plan.app);
                if let Some(instance) = app.and_then(|app| app.instances.get_mut(node).map(Arc::make_mut)) {
                    instance.catch_up_failed = Some(to);
                }
            }
            Purpose::Roll => {
                let quarantine = Quarantine {
                    name: to.name.clone(),
                    version: to.version.clone(),
                    rollout: id,
                    reason: failure.to_string(),
                    since: rollout.started_at,
                };
                self.quarantine.insert(to.manifest, quarantine);
                self.touch_basis_of_release(&to.name);
            }
        }
    }

    fn end(&mut self, context: Context<'_>, id: RolloutId, phase: Phase) {
        let Ok(rollout) = self.rollout_mut(id) else { return };
        let waits = matches!(phase, Phase::NeedsOperator { .. });
        rollout.phase = phase;
        rollout.paused = None;
        rollout.ended_at = Some(context.at);
        let (name, text) = (rollout.plan.app.clone(), format!("rollout {id} {}", rollout.phase.name()));
        let failed_catch_up = failed_catch_up(rollout);
        let left_alone = left_alone(rollout);
        let still_have_to_go = still_have_to_go(rollout);
        if let Some(app) = self.apps.get_mut(&name) {
            app.rollout = None;
            app.basis += 1;
            for (node, instance) in &mut app.instances {
                let instance = Arc::make_mut(instance);
                let held = instance.assignment.as_ref().is_some_and(|assignment| assignment.rollout == id);
                if held && (!waits || !still_have_to_go.contains(node)) {
                    instance.assignment = None;
                }
                if left_alone.contains(node) {
                    instance.catch_up_failed = app.current.clone();
                }
                if failed_catch_up.as_ref().is_some_and(|(failed, _)| failed == node) {
                    instance.catch_up_failed = failed_catch_up.as_ref().map(|(_, to)| to.clone());
                }
            }
        }
        self.note(context, About::rollout(&name, id), text);
    }
}

/// Where a rollout ended for an operator to look at, no catch-up moves its nodes by itself.
fn left_alone(rollout: &crate::state::rollout::Rollout) -> Vec<NodeId> {
    match &rollout.phase {
        Phase::Held { .. } | Phase::NeedsOperator { .. } => rollout.touched_newest_first(),
        Phase::Preparing
        | Phase::Rolling
        | Phase::Committing { .. }
        | Phase::Halted { .. }
        | Phase::Reverting { .. }
        | Phase::Completed
        | Phase::Refused { .. }
        | Phase::Reverted { .. } => Vec::new(),
    }
}

/// Nodes whose orders outlive their rollout where that needs an operator.
fn still_have_to_go(rollout: &Rollout) -> Vec<NodeId> {
    let owed = rollout.nodes.iter().filter(|(_, progress)| progress.step.turn().is_some());
    owed.map(|(node, _)| *node).collect()
}

/// A catch-up that did not complete is not tried again by itself: `node repair` does that.
fn failed_catch_up(rollout: &Rollout) -> Option<(NodeId, crate::state::release::ReleaseId)> {
    match (&rollout.plan.purpose, &rollout.phase) {
        (Purpose::Roll, _) | (Purpose::CatchUp, Phase::Completed) => None,
        (Purpose::CatchUp, _) => rollout.plan.steps.first().map(|step| (step.node, rollout.plan.to.clone())),
    }
}

const fn not_begun(step: &Step) -> bool {
    match step {
        Step::Planned
        | Step::Preparing { .. }
        | Step::Prepared { .. }
        | Step::PrepareFailed { .. }
        | Step::Skipped { .. }
        | Step::Upgrading { stage: Stage::Assigned, .. } => true,
        Step::Upgrading { stage: Stage::Installing | Stage::Baking, .. }
        | Step::Healthy { .. }
        | Step::Failed { .. }
        | Step::Draining { .. }
        | Step::ReadyToCommit { .. }
        | Step::Committing { .. }
        | Step::Committed
        | Step::Reverting { .. }
        | Step::Reverted { .. }
        | Step::RevertFailed { .. } => false,
    }
}
