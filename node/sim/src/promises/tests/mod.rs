//! Each promise bites: a made-up history that breaks it is found, and the same history without the
//! fault is not.

mod hosts;
mod in_flight;
mod log;
mod orders;
mod rollouts;
mod said;
mod settled;

use super::*;
use crate::host::{Cause, Change, OperationId, ProcessTruth, VmTruth, What};
use hosts::{Fleet, truth};
use relupd::agent::decide::{Action, Authority};
use relupd::agent::ledger::{Ladder, LedgerEntry, Trial, TrialProgress};
use relupd::driver::{Condition, Method, Observation, Rung, Running, Transition};
use relupd::ids::{BootNonce, CommandId, Generation, PlanId, RolloutId};
use relupd::spec::{AlreadySick, AppSpec, Orphan};
use relupd::state::app::{App, Assignment, Order};
use relupd::state::command::{Actor, Applied, Command, Entry, Report};
use relupd::state::plan::{Plan, PlanStep, Purpose};
use relupd::state::rollout::{
    AbortMode, Elapsed, HaltReason, NodeProgress, Notes, Phase, Rollout, Stage, Step, Stranded, Turn,
};
use relupd::state::{ClusterState, Outcome, Quarantine};
use relupd_core::samples::{self, app, node, release, version};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const AT: Duration = Duration::from_secs(100);
const ROLLOUT: RolloutId = RolloutId(1);

fn life() -> BootNonce {
    BootNonce("life".to_owned())
}

fn aborted() -> HaltReason {
    HaltReason::Aborted { by: "ann".to_owned(), how: AbortMode::Revert }
}

fn spec() -> AppSpec {
    let mut spec = samples::spec();
    spec.upgrade.bake = Duration::from_secs(10);
    spec
}

/// Three nodes on 1.0.0 in a rollout to 2.0.0, in this phase, all of them at this step.
fn state(phase: Phase, step: &Step) -> ClusterState {
    let mut state = samples::genesis();
    let plan_step = |number| PlanStep {
        node: node(number),
        from: Some(release("1.0.0")),
        method: Method::Hot,
        because: String::new(),
        way_back: vec![],
        canary: false,
    };
    let progress = |position| NodeProgress {
        position,
        method: Method::Hot,
        touched: Some(Generation(u64::from(position) + 1)),
        had_its_turn: false,
        orphaned: false,
        step: step.clone(),
        checks: vec![],
        notes: Notes::default(),
    };
    let rollout = Rollout {
        id: ROLLOUT,
        plan: Arc::new(Plan {
            id: PlanId(1),
            app: app(),
            basis: 1,
            to: release("2.0.0"),
            steps: (1..=3).map(plan_step).collect(),
            purpose: Purpose::Roll,
            made_by: String::new(),
            made_at: Default::default(),
        }),
        spec: spec(),
        previous: None,
        revision: 1,
        paused: None,
        promoted: true,
        nodes: (0..3).map(|position| (node(u64::from(position) + 1), progress(position).into())).collect(),
        elapsed: Elapsed::default(),
        started_by: String::new(),
        started_at: Default::default(),
        ended_at: None,
        phase,
    };
    let completed = rollout.phase == Phase::Completed;
    let on_its_way = (!rollout.phase.is_terminal()).then_some(ROLLOUT);
    state.apps.insert(
        app(),
        App {
            spec: spec(),
            basis: 1,
            current: Some(release(if completed { "2.0.0" } else { "1.0.0" })),
            running: true,
            rollout: on_its_way,
            instances: (1..=3).map(|number| (node(number), Arc::default())).collect(),
        },
    );
    state.rollouts.insert(ROLLOUT, Arc::new(rollout));
    state.next.generation = 10;
    state.next.rollout = 1;
    state
}

fn order(state: &mut ClusterState, number: u64, generation: u64, order: Order) {
    let instance = state.apps.get_mut(&app()).and_then(|app| app.instances.get_mut(&node(number)));
    Arc::make_mut(instance.expect("an instance")).assignment = Some(Assignment {
        generation: Generation(generation),
        rollout: ROLLOUT,
        order,
        from: Some(release("1.0.0")),
        to: release("2.0.0"),
        method: Method::Hot,
        position: 0,
    });
}

fn entry(number: u128) -> Entry {
    Entry {
        id: CommandId::from_parts(1, number),
        actor: Actor::Operator("ann".to_owned()),
        at: Default::default(),
        command: Command::Resume { rollout: ROLLOUT },
    }
}

const DONE: Outcome = Ok(Applied::Done);

/// Which promises an auditor found broken.
fn broken_by(mut auditor: Auditor) -> BTreeSet<&'static str> {
    auditor.take_violations().into_iter().map(|violation| violation.promise).collect()
}

/// What an auditor finds when one entry leads from one state to the other.
fn over(before: ClusterState, after: ClusterState, fleet: &Fleet) -> BTreeSet<&'static str> {
    let mut auditor = Auditor::new(1);
    auditor.applied(AT, node(1), 1, Some((&entry(1), &DONE)), &Arc::new(before), fleet);
    auditor.take_violations();
    auditor.applied(AT, node(1), 2, Some((&entry(2), &DONE)), &Arc::new(after), fleet);
    broken_by(auditor)
}

fn healthy() -> Step {
    Step::Healthy { boot_nonce: life() }
}

fn upgrading() -> Step {
    Step::Upgrading { generation: Generation(1), stage: Stage::Baking }
}

fn reverting() -> Step {
    Step::Reverting { generation: Generation(5), turn: Turn::Given, tried: vec![] }
}
