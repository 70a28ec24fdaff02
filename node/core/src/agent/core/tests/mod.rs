//! Scripts for one agent's core: what it is told, and what it does then.

mod ended;
mod found;
mod orders;
mod telling;
mod trying;

use super::*;
use crate::agent::ContextError;
use crate::agent::decide::tests::case::{Case, GENERATION, name, seen};
use crate::agent::outcome::Ended;
use crate::ids::ClusterId;
use crate::samples::{node, spec};
use crate::state::app::Order;
use crate::state::command::Applied;
use crate::state::rollout::Step;

/// 0.1.0 runs in life `a`, permanent.
fn stands() -> Observation {
    seen(Some(("0.1.0", "a")), Some("0.1.0"))
}

/// 0.2.0 runs in life `a`, on trial.
fn trial() -> Observation {
    seen(Some(("0.2.0", "a")), Some("0.1.0"))
}

/// A core in the case's situation, with a clock and a state that the script moves on.
struct Script {
    case: Case,
    core: Core,
}

impl Script {
    fn new(case: Case) -> Self {
        let mut core = Core::new(
            node(2),
            spec(),
            "boot".to_owned(),
            case.ledger.clone(),
            case.liveness.clone(),
            case.memory.judge_from,
        );
        core.memory = case.memory.clone();
        Self { case, core }
    }

    fn state(&self) -> ClusterState {
        let mut state = ClusterState::awaited(ClusterId::from_parts(1, 1));
        let mut app = self.case.app.clone();
        app.instances.insert(node(2), self.case.instance.clone().into());
        state.apps.insert(app.spec.name.clone(), app);
        state.rollouts.insert(self.case.rollout.id, self.case.rollout.clone().into());
        state
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            state: self.state().into(),
            health: self.case.health.clone(),
            liveness: self.case.liveness.clone(),
            contact_age: self.case.contact_age,
            now: self.case.now,
        }
    }

    /// A newer order comes than the one that it began with.
    fn receives(&mut self, order: Order) {
        let assignment = Case::ordered(order).instance.assignment.expect("it is ordered");
        let generation = Generation(GENERATION.0 + 1);
        self.case.instance.assignment = Some(Assignment { generation, ..assignment });
    }

    /// The cluster has it at this step now.
    fn stands_at(&mut self, step: Step) {
        let progress = self.case.rollout.nodes.get_mut(&node(2)).expect("it takes part");
        Arc::make_mut(progress).step = step;
    }

    fn later(&mut self, seconds: u64) {
        self.case.now = self.case.now + Duration::from_secs(seconds);
    }

    /// What it does now; `None` where it rests.
    fn moves(&mut self) -> Option<Action> {
        let snapshot = self.snapshot();
        self.core.refresh(&snapshot);
        let action = self.core.next(&snapshot).expect("the app is placed here");
        match self.core.next_move(action, snapshot.now) {
            Move::Rest { .. } => None,
            Move::Act(action) => Some(*action),
        }
    }

    #[track_caller]
    fn expect(&mut self, expected: &str) -> Action {
        let action = self.moves();
        assert_eq!(action.as_ref().map(name).as_deref(), Some(expected));
        action.expect("it was compared")
    }

    fn ends(&mut self, action: &Action, ended: Ended) {
        let _follow = self.core.take_in(action, ended, self.case.now, self.case.now);
    }

    /// It looks, and sees this.
    #[track_caller]
    fn looks(&mut self, seen: &Observation) {
        let observe = self.expect("observe");
        self.ends(&observe, Ended::Observed(Ok(seen.clone())));
    }

    /// It says this, and nobody hears.
    #[track_caller]
    fn says_in_vain(&mut self, expected: &str) {
        let report = self.expect(expected);
        self.ends(&report, Ended::Answered(Err(ContextError::NoQuorum { reason: "cut off".to_owned() })));
    }

    /// It says this, and the cluster takes note of it.
    #[track_caller]
    fn says(&mut self, expected: &str) -> Action {
        let report = self.expect(expected);
        self.ends(&report, Ended::Answered(Ok(Ok(Applied::Done))));
        report
    }
}
