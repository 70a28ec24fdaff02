//! Plans, and what operators do to rollouts.

use super::{About, Context, DONE};
use crate::ids::{AppName, NodeId, PlanId, RolloutId};
use crate::state::command::{Actor, Applied};
use crate::state::plan::{Plan, PlanStep, Purpose};
use crate::state::rejection::{Deed, Rejection};
use crate::state::release::ReleaseId;
use crate::state::rollout::{
    AbortMode, Elapsed, HaltReason, NodeProgress, Notes, Paused, Phase, Rollout, Step,
};
use crate::state::{ClusterState, Outcome};
use std::sync::Arc;

/// So many plans are kept. A plan is stale after the next change to its app, so older ones are of no
/// use to anybody.
const PLANS: usize = 64;

/// So many ended rollouts are kept, for `rollout list` and `rollout show`.
const ENDED: usize = 64;

impl ClusterState {
    pub(super) fn save_plan(
        &mut self,
        context: Context<'_>,
        name: &AppName,
        basis: u64,
        to: &ReleaseId,
        steps: &[PlanStep],
        purpose: &Purpose,
    ) -> Outcome {
        let app = self.app(name)?;
        let id = PlanId(self.next.plan);
        if app.basis != basis {
            return Err(stale(id, name, basis, app.basis, to));
        }
        self.refuse_quarantined(to)?;
        let plan = Plan {
            id,
            app: name.clone(),
            basis,
            to: to.clone(),
            steps: steps.to_vec(),
            purpose: purpose.clone(),
            made_by: context.actor.to_string(),
            made_at: context.at,
        };
        self.next.plan += 1;
        self.plans.insert(id, Arc::new(plan));
        while self.plans.len() > PLANS {
            self.plans.pop_first();
        }
        Ok(Applied::Plan(id))
    }

    pub(super) fn start_rollout(&mut self, context: Context<'_>, id: PlanId) -> Outcome {
        let plan = Arc::clone(self.plans.get(&id).ok_or(Rejection::NoSuchPlan(id))?);
        let app = self.app(&plan.app)?;
        if let Some(rollout) = app.rollout {
            return Err(Rejection::RolloutRunning { app: plan.app.clone(), rollout });
        }
        if app.basis != plan.basis {
            return Err(stale(id, &plan.app, plan.basis, app.basis, &plan.to));
        }
        self.refuse_quarantined(&plan.to)?;
        let rollout = RolloutId(self.next.rollout);
        let begun = Rollout {
            id: rollout,
            nodes: plan
                .steps
                .iter()
                .zip(0..)
                .map(|(step, position)| (step.node, Arc::new(fresh(step, position))))
                .collect(),
            spec: app.spec.clone(),
            previous: app.current.clone(),
            revision: 0,
            phase: Phase::Preparing,
            paused: None,
            promoted: false,
            elapsed: Elapsed::default(),
            started_by: context.actor.to_string(),
            started_at: context.at,
            ended_at: None,
            plan: Arc::clone(&plan),
        };
        self.next.rollout += 1;
        self.rollouts.insert(rollout, Arc::new(begun));
        if let Some(app) = self.apps.get_mut(&plan.app) {
            app.rollout = Some(rollout);
        }
        self.forget_ended_rollouts();
        let text = format!("rollout {rollout} of {} to {} started", plan.app, plan.to.version);
        self.note(context, About::rollout(&plan.app, rollout), text);
        Ok(Applied::Rollout(rollout))
    }

    pub(super) fn pause(&mut self, context: Context<'_>, id: RolloutId) -> Outcome {
        let rollout = self.on_its_way(id, Deed::Pause)?;
        if !rollout.goes_forward() {
            return Err(wrong_phase(rollout, Deed::Pause));
        }
        if rollout.paused.is_none() {
            rollout.paused = Some(Paused { by: context.actor.to_string(), at: context.at });
            rollout.revision += 1;
            let app = rollout.plan.app.clone();
            self.note(context, About::rollout(&app, id), "paused".to_owned());
        }
        DONE
    }

    pub(super) fn resume(&mut self, context: Context<'_>, id: RolloutId) -> Outcome {
        let rollout = self.on_its_way(id, Deed::Resume)?;
        if rollout.paused.take().is_some() {
            rollout.revision += 1;
            let app = rollout.plan.app.clone();
            self.note(context, About::rollout(&app, id), "resumed".to_owned());
        }
        DONE
    }

    pub(super) fn promote(&mut self, context: Context<'_>, id: RolloutId) -> Outcome {
        let rollout = self.on_its_way(id, Deed::Promote)?;
        match rollout.phase {
            Phase::Preparing | Phase::Rolling if !rollout.promoted => {
                rollout.promoted = true;
                rollout.revision += 1;
                let app = rollout.plan.app.clone();
                self.note(context, About::rollout(&app, id), "promoted".to_owned());
                DONE
            }
            Phase::Preparing | Phase::Rolling => DONE,
            Phase::Committing { .. }
            | Phase::Halted { .. }
            | Phase::Reverting { .. }
            | Phase::Completed
            | Phase::Refused { .. }
            | Phase::Reverted { .. }
            | Phase::Held { .. }
            | Phase::NeedsOperator { .. } => Err(wrong_phase(rollout, Deed::Promote)),
        }
    }

    /// Wins in every phase that is not terminal. A pause ends with it: the way back must not wait for
    /// a `resume` that nobody thinks of.
    pub(super) fn abort(&mut self, context: Context<'_>, id: RolloutId, mode: AbortMode) -> Outcome {
        let rollout = self.on_its_way(id, Deed::Abort)?;
        if matches!((&rollout.phase, mode), (Phase::Reverting { .. }, AbortMode::Revert)) {
            return DONE;
        }
        let app = rollout.plan.app.clone();
        let reason = HaltReason::Aborted { by: context.actor.to_string(), how: mode };
        self.halt(id, &reason);
        self.note(context, About::rollout(&app, id), format!("aborted: {mode}"));
        DONE
    }

    /// A removed node takes no further part. What it runs is no longer the cluster's business.
    pub(super) fn leave_rollouts(&mut self, node: NodeId) {
        let on_their_way = self.rollouts.values_mut().filter(|rollout| rollout.needs_leader());
        for rollout in on_their_way.map(Arc::make_mut) {
            if let Some(progress) = rollout.nodes.get_mut(&node).map(Arc::make_mut) {
                progress.step = Step::Skipped { reason: "removed from the cluster".to_owned() };
                rollout.revision += 1;
            }
        }
    }

    pub(super) fn on_its_way(&mut self, id: RolloutId, what: Deed) -> Result<&mut Rollout, Rejection> {
        let rollout = self.rollout_mut(id)?;
        if rollout.phase.is_terminal() { Err(wrong_phase(rollout, what)) } else { Ok(rollout) }
    }

    fn forget_ended_rollouts(&mut self) {
        let waits: Vec<RolloutId> = self
            .apps
            .values()
            .flat_map(|app| app.instances.values())
            .filter_map(|instance| instance.assignment.as_ref().map(|assignment| assignment.rollout))
            .collect();
        let ended: Vec<RolloutId> = self
            .rollouts
            .values()
            .filter(|rollout| rollout.phase.is_terminal() && !waits.contains(&rollout.id))
            .map(|rollout| rollout.id)
            .collect();
        for id in ended.iter().take(ended.len().saturating_sub(ENDED)) {
            self.rollouts.remove(id);
        }
    }
}

fn fresh(step: &PlanStep, position: u32) -> NodeProgress {
    NodeProgress {
        position,
        method: step.method,
        touched: None,
        had_its_turn: false,
        orphaned: false,
        step: Step::Planned,
        checks: vec![],
        notes: Notes::default(),
    }
}

fn stale(plan: PlanId, app: &AppName, was: u64, is: u64, to: &ReleaseId) -> Rejection {
    Rejection::StalePlan { plan, app: app.clone(), was, is, version: to.version.clone() }
}

pub(super) fn wrong_phase(rollout: &Rollout, what: Deed) -> Rejection {
    Rejection::WrongPhase { rollout: rollout.id, phase: Box::new(rollout.phase.clone()), what }
}

impl std::fmt::Display for Actor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Operator(name) => write!(f, "{name}"),
            Self::Local { uid, .. } => write!(f, "uid {uid} (local)"),
            Self::Agent(_) => f.write_str("agent"),
            Self::Reconciler(_) => f.write_str("relupd"),
        }
    }
}
