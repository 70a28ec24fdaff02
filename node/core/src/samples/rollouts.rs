//! Rollouts as a test has them: put together by hand, so that they can be where no script leads.

use super::{app, genesis, life, node, release, spec};
use crate::driver::Method;
use crate::ids::{Generation, NodeId, PlanId, RolloutId};
use crate::state::ClusterState;
use crate::state::app::{App, Assignment, Order};
use crate::state::plan::{Plan, PlanStep, Purpose};
use crate::state::rollout::{
    AbortMode, Elapsed, Failure, HaltReason, NodeProgress, Notes, Phase, Rollout, Stage, Step, Turn,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn aborted() -> HaltReason {
    HaltReason::Aborted { by: "ann".to_owned(), how: AbortMode::Revert }
}

/// Every phase, before and after the decision.
pub fn phases() -> Vec<Phase> {
    vec![
        Phase::Preparing,
        Phase::Rolling,
        Phase::Committing { decided: false },
        Phase::Committing { decided: true },
        Phase::Halted { reason: aborted() },
        Phase::Reverting { reason: aborted() },
        Phase::Completed,
        Phase::Refused { reasons: vec![] },
        Phase::Reverted { reason: aborted() },
        Phase::Held { reason: aborted(), elsewhere: vec![] },
        Phase::NeedsOperator { reason: None, nodes: vec![] },
        Phase::NeedsOperator { reason: Some(aborted()), nodes: vec![] },
    ]
}

/// Every step, in every stage and turn.
pub fn steps() -> Vec<Step> {
    let generation = Generation(7);
    let mut steps = vec![
        Step::Planned,
        Step::Preparing { generation, cannot_fetch: None },
        Step::Prepared { checks: vec![] },
        Step::PrepareFailed { checks: vec![] },
        Step::Skipped { reason: String::new() },
        Step::Healthy { boot_nonce: life("a") },
        Step::Failed { failure: Failure::Install { reason: String::new() } },
        Step::Draining { generation, boot_nonce: life("a") },
        Step::ReadyToCommit { boot_nonce: life("a") },
        Step::Committed,
        Step::Reverted { by: None },
        Step::RevertFailed { tried: vec![] },
    ];
    steps.extend(
        [Stage::Assigned, Stage::Installing, Stage::Baking]
            .map(|stage| Step::Upgrading { generation, stage }),
    );
    for turn in [Turn::NotAsked, Turn::Asked, Turn::Given] {
        steps.push(Step::Committing { generation, turn });
        steps.push(Step::Reverting { generation, turn, tried: vec![] });
    }
    steps
}

/// A rollout from 1.0.0 to 2.0.0 over as many nodes as there are steps; all of them are touched.
pub fn rollout<const N: usize>(phase: Phase, steps: [Step; N]) -> Rollout {
    let numbered: BTreeMap<NodeId, Step> = (1..).map(node).zip(steps).collect();
    let plan_step = |node: &NodeId| PlanStep {
        node: *node,
        from: Some(release("1.0.0")),
        method: Method::Hot,
        because: String::new(),
        way_back: vec![],
        canary: false,
    };
    let plan = Plan {
        id: PlanId(1),
        app: app(),
        basis: 1,
        to: release("2.0.0"),
        steps: numbered.keys().map(plan_step).collect(),
        purpose: Purpose::Roll,
        made_by: String::new(),
        made_at: Timestamp::UNIX_EPOCH,
    };
    let progress = |(position, (node, step)): (u32, (NodeId, Step))| {
        let progress = NodeProgress {
            position,
            method: Method::Hot,
            touched: Some(Generation(u64::from(position) + 1)),
            had_its_turn: false,
            orphaned: false,
            step,
            checks: vec![],
            notes: Notes::default(),
        };
        (node, Arc::new(progress))
    };
    Rollout {
        id: RolloutId(1),
        plan: Arc::new(plan),
        spec: spec(),
        previous: None,
        revision: 1,
        phase,
        paused: None,
        promoted: true,
        nodes: (0..).zip(numbered).map(progress).collect(),
        elapsed: Elapsed::default(),
        started_by: String::new(),
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: None,
    }
}

/// Its node of this number, to be changed.
pub fn progress(rollout: &mut Rollout, number: u64) -> &mut NodeProgress {
    Arc::make_mut(rollout.nodes.get_mut(&node(number)).unwrap())
}

/// A cluster that runs the app on the nodes of this rollout, without any order to them.
pub fn cluster_with(rollout: Rollout) -> ClusterState {
    let mut state = genesis();
    let app = App {
        spec: rollout.spec.clone(),
        basis: 1,
        current: Some(release("1.0.0")),
        running: true,
        rollout: (!rollout.phase.is_terminal()).then_some(rollout.id),
        instances: rollout.nodes.keys().map(|node| (*node, Arc::default())).collect(),
    };
    state.apps.insert(rollout.plan.app.clone(), app);
    state.next.generation = 10;
    state.rollouts.insert(rollout.id, Arc::new(rollout));
    state
}

/// The same, after a node was ordered to something for a rollout.
pub fn ordered(
    mut state: ClusterState,
    number: u64,
    order: Order,
    generation: u64,
    rollout: RolloutId,
) -> ClusterState {
    let instance = state.apps.get_mut(&app()).unwrap().instances.get_mut(&node(number)).unwrap();
    Arc::make_mut(instance).assignment = Some(Assignment {
        generation: Generation(generation),
        rollout,
        order,
        from: Some(release("1.0.0")),
        to: release("2.0.0"),
        method: Method::Hot,
        position: 0,
    });
    state
}
