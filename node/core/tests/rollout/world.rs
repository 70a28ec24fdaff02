//! A cluster without anything real in it: the state, the decisions, and nodes that obey or misbehave.

use jiff::Timestamp;
use relupd_core::driver::{Condition, Method, Observation, Running};
use relupd_core::ids::{BootNonce, CommandId, NodeId, PlanId, ReleaseVersion, RolloutId, TokenId};
use relupd_core::rollout::view::View;
use relupd_core::rollout::{catch_up, plan, step};
use relupd_core::samples;
pub use relupd_core::samples::{admission, app, node, release, version};
pub use relupd_core::spec::*;
use relupd_core::state::app::Order;
use relupd_core::state::command::{Actor, Applied, Command, Decision, Entry, Report};
use relupd_core::state::rejection::Rejection;
use relupd_core::state::release::ReleaseId;
use relupd_core::state::rollout::{Elapsed, Failure, Phase, Rollout, Stage, Step, Turn};
use relupd_core::state::{ClusterState, Outcome};
use std::collections::BTreeMap;
use std::time::Duration;

pub struct World {
    pub state: ClusterState,
    pub silence: BTreeMap<NodeId, Duration>,
    pub elapsed: Elapsed,
    pub stalled: BTreeMap<NodeId, Duration>,
    /// What a node does with an order, where it is not simply obeyed.
    pub misbehave: BTreeMap<(NodeId, &'static str), Misbehaviour>,
    /// Every order that a node was given, in the order of time.
    pub orders: Vec<(NodeId, Order)>,
    commands: u128,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    Fails,
    Silent,
    /// Its trial was lost: it has to install again.
    Loses,
    /// The same, and it gets nowhere in its turn.
    NeverUp,
}

/// The app of the scripts: a canary first.
pub fn spec() -> AppSpec {
    let mut spec = samples::spec();
    spec.upgrade.canary = 1;
    spec
}

impl World {
    /// A cluster of `nodes`, with 0.1.0 settled everywhere and 0.2.0 in the catalog, hot both ways.
    pub fn settled(nodes: u64, spec: AppSpec) -> Self {
        let mut world = Self::empty(nodes, spec);
        let rollout = world.start("0.1.0");
        world.run(rollout);
        assert_eq!(world.rollout(rollout).phase, Phase::Completed);
        world.orders.clear();
        world
    }

    /// A cluster of `nodes` that runs nothing.
    pub fn empty(nodes: u64, spec: AppSpec) -> Self {
        let mut world = Self {
            state: samples::genesis(),
            silence: BTreeMap::new(),
            elapsed: Elapsed::default(),
            stalled: BTreeMap::new(),
            misbehave: BTreeMap::new(),
            orders: vec![],
            commands: 0,
        };
        for number in 2..=nodes {
            world.join(number);
        }
        for number in 1..=nodes {
            world.silence.insert(node(number), Duration::ZERO);
        }
        world.push("0.1.0", &[]);
        world.push("0.2.0", &["0.1.0"]);
        world.apply(Command::ApplyApp { spec }).unwrap();
        world.observe_all();
        world
    }

    /// Each node settled on its version, as earlier rollouts may have left it; the app is committed to that
    /// of the first node.
    pub fn with_releases(spec: AppSpec, versions: &[Option<ReleaseVersion>]) -> Self {
        let mut world = Self::empty(u64::try_from(versions.len()).unwrap(), spec);
        for version in versions.iter().flatten() {
            if world.state.release(&"shop".parse().unwrap(), version).is_err() {
                world.push(version.as_str(), &[]);
            }
        }
        let settled = |version: &Option<ReleaseVersion>| version.as_ref().map(|at| release(at.as_str()));
        let app = world.state.apps.get_mut(&app()).unwrap();
        app.current = versions.first().and_then(settled);
        for (instance, version) in app.instances.values_mut().zip(versions) {
            let instance = std::sync::Arc::make_mut(instance);
            instance.settled = settled(version);
            instance.observed = None;
            if instance.settled != app.current {
                instance.catch_up_failed.clone_from(&app.current);
            }
        }
        world
    }

    pub fn issue_token(&mut self, number: u64) -> TokenId {
        let token = samples::token(number);
        let id = token.id;
        self.apply(Command::IssueToken { token }).unwrap();
        id
    }

    pub fn join(&mut self, number: u64) {
        let id = self.issue_token(number);
        self.apply(Command::AdmitNode { token: id, node: admission(number) }).unwrap();
        self.silence.insert(node(number), Duration::ZERO);
    }

    pub fn push(&mut self, text: &str, hot: &[&str]) {
        self.apply(Command::RegisterRelease { release: samples::pushed(text, hot) }).unwrap();
    }

    pub fn apply(&mut self, command: Command) -> Outcome {
        self.apply_at(Timestamp::UNIX_EPOCH, command)
    }

    pub fn apply_at(&mut self, at: Timestamp, command: Command) -> Outcome {
        self.commands += 1;
        let entry = Entry {
            id: CommandId::from_parts(0, self.commands),
            actor: Actor::Operator("test".to_owned()),
            at,
            command,
        };
        let outcome = self.state.apply(&entry);
        assert_eq!(self.state.violations(), vec![]);
        outcome
    }

    pub fn plan(&mut self, text: &str) -> Result<PlanId, Rejection> {
        let draft = plan::draft(&self.state, &app(), &version(text))?;
        match self.apply(draft.into_command())? {
            Applied::Plan(id) => Ok(id),
            other => panic!("{other:?}"),
        }
    }

    pub fn start(&mut self, text: &str) -> RolloutId {
        let plan = self.plan(text).unwrap();
        self.start_plan(plan).unwrap()
    }

    pub fn start_plan(&mut self, plan: PlanId) -> Result<RolloutId, Rejection> {
        self.elapsed = Elapsed::default();
        match self.apply(Command::StartRollout { plan })? {
            Applied::Rollout(id) => Ok(id),
            other => panic!("{other:?}"),
        }
    }

    pub fn rollout(&self, id: RolloutId) -> &Rollout {
        &self.state.rollouts[&id]
    }

    pub fn step_of(&self, id: RolloutId, number: u64) -> &Step {
        &self.rollout(id).nodes[&node(number)].step
    }

    pub fn look(&self, id: RolloutId) -> step::Report {
        let rollout = self.rollout(id);
        let view = View::new(&self.state, rollout, &self.silence, self.elapsed, &self.stalled).unwrap();
        step::step(&view)
    }

    /// The decisions that are due, or else one answer of every node. False when nothing moved.
    pub fn turn(&mut self, id: RolloutId) -> bool {
        let decisions = self.look(id).decisions;
        if decisions.is_empty() {
            return self.answer_all();
        }
        for decision in &decisions {
            // With its turn a node's step begins anew.
            if let Decision::GiveTurn { node } = decision {
                self.stalled.remove(node);
            }
        }
        let revision = self.rollout(id).revision;
        self.apply(Command::Decide { rollout: id, revision, decisions }).unwrap();
        true
    }

    /// Until nothing moves any more; then one more look changes nothing.
    pub fn run(&mut self, id: RolloutId) {
        self.run_until(id, |_| false);
        let before = self.state.clone();
        assert!(!self.turn(id));
        assert_eq!(before, self.state, "one more look changed something");
    }

    pub fn run_until(&mut self, id: RolloutId, done: impl Fn(&Rollout) -> bool) {
        for _ in 0..1000 {
            if done(self.rollout(id)) || !self.turn(id) {
                return;
            }
        }
        panic!("no end: {:?}", self.rollout(id));
    }

    pub fn catch_up(&mut self) -> Option<RolloutId> {
        let draft = catch_up::next(&self.state, &self.silence)?;
        let Applied::Plan(plan) = self.apply(draft.into_command()).unwrap() else { panic!() };
        Some(self.start_plan(plan).unwrap())
    }

    fn answer_all(&mut self) -> bool {
        let nodes: Vec<NodeId> = self.state.present_nodes().map(|record| record.id).collect();
        let mut moved = false;
        for node in nodes {
            moved |= self.answer(node);
        }
        self.observe_all() || moved
    }

    fn answer(&mut self, node: NodeId) -> bool {
        let instance = &self.state.apps[&app()].instances[&node];
        let Some(assignment) = instance.assignment.clone() else { return false };
        let step = self.state.rollouts[&assignment.rollout].nodes[&node].step.clone();
        let waits = matches!(step.turn(), Some(Turn::Asked));
        if !waits && !self.orders.contains(&(node, assignment.order)) {
            self.orders.push((node, assignment.order));
        }
        let silent = self.silence.get(&node).is_some_and(|silent| !silent.is_zero());
        let misbehaviour = self.misbehave.get(&(node, assignment.order.verb())).copied();
        if silent || misbehaviour == Some(Misbehaviour::Silent) {
            return false;
        }
        let fails = misbehaviour == Some(Misbehaviour::Fails);
        let nonce = || BootNonce(format!("boot of {node}"));
        let failure = || Failure::Health { check: "http".to_owned(), reason: "500".to_owned() };
        let report = match (assignment.order, step) {
            (Order::Prepare, Step::Preparing { .. }) => {
                Report::Prepared { method: assignment.method, checks: vec![] }
            }
            (Order::Upgrade, Step::Upgrading { stage: Stage::Assigned, .. }) => {
                Report::Stage { stage: Stage::Installing }
            }
            (Order::Upgrade, Step::Upgrading { .. }) if fails => Report::Failed { failure: failure() },
            (Order::Upgrade, Step::Upgrading { .. }) => Report::Healthy { boot_nonce: nonce() },
            (Order::Drain, Step::Draining { .. }) => Report::ReadyToCommit { boot_nonce: nonce() },
            (Order::Commit, Step::Committing { turn: Turn::NotAsked, .. })
                if matches!(misbehaviour, Some(Misbehaviour::Loses | Misbehaviour::NeverUp)) =>
            {
                Report::AskTurn
            }
            (Order::Revert, Step::Reverting { turn: Turn::NotAsked, .. }) => Report::AskTurn,
            (Order::Commit | Order::Revert, step) if step.turn() == Some(Turn::Asked) => return false,
            (Order::Commit, Step::Committing { .. }) if misbehaviour == Some(Misbehaviour::NeverUp) => {
                return false;
            }
            (Order::Commit, Step::Committing { .. }) if fails => Report::Failed { failure: failure() },
            (Order::Commit, Step::Committing { .. }) => Report::Committed,
            (Order::Revert, Step::Reverting { .. }) if fails => Report::RevertFailed { tried: vec![] },
            (Order::Revert, Step::Reverting { .. }) => Report::Reverted { by: None, tried: vec![] },
            _ => return false,
        };
        let generation = assignment.generation;
        self.apply(Command::Report { node, app: app(), generation, report }).unwrap();
        true
    }

    /// Every reachable node says what the script's world holds it to: what it is settled on, healthy.
    pub fn observe_all(&mut self) -> bool {
        let instances = self.state.apps[&app()].instances.clone();
        let mut moved = false;
        for (node, instance) in instances {
            let idle = instance.assignment.is_none();
            if instance.observed.is_none() && idle && self.silence.get(&node) == Some(&Duration::ZERO) {
                let observation = observation(instance.settled.as_ref());
                let healthy = instance.settled.as_ref().map(|_| true);
                self.apply(Command::Observe { node, app: app(), observation, healthy, noted: None }).unwrap();
                moved = true;
            }
        }
        moved
    }
}

pub fn observation(settled: Option<&ReleaseId>) -> Observation {
    match settled {
        None => Observation { permanent: None, running: Running::Down, condition: Condition::Absent },
        Some(release) => Observation {
            permanent: Some(release.version.clone()),
            running: Running::Up { version: release.version.clone(), boot_nonce: BootNonce("b".to_owned()) },
            condition: Condition::Clean,
        },
    }
}

pub fn methods(world: &World, plan: PlanId) -> Vec<Method> {
    world.state.plans[&plan].steps.iter().map(|step| step.method).collect()
}
