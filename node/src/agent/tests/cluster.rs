//! A cluster in one process: one replicated state, a leader that decides for real, and agents that
//! can be killed and started again on their hosts.

use super::context::{FakeContext, Shared};
use crate::agent;
use crate::driver::fake::{FakeHost, Step as FakeStep};
use crate::ids::{NodeId, RolloutId};
use crate::rollout::view::View;
use crate::rollout::{plan, step};
use crate::spec::{AppSpec, DriverKind};
use crate::state::ClusterState;
use crate::state::command::{Actor, Applied, Command};
use crate::state::rollout::{Elapsed, Phase, Rollout};
use relupd_core::samples::{self, app, node, version};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An app that is looked at often and baked for an instant: time is real here.
pub(super) fn spec() -> AppSpec {
    let mut spec = samples::spec();
    spec.driver = DriverKind::Fake;
    spec.health.interval = Duration::from_millis(5);
    spec.upgrade.bake = Duration::from_millis(20);
    spec
}

pub(super) struct Cluster {
    shared: Arc<Shared>,
    folder: TempDir,
    hosts: BTreeMap<NodeId, FakeHost>,
    agents: BTreeMap<NodeId, JoinHandle<()>>,
    leader: JoinHandle<()>,
}

impl Cluster {
    /// So many nodes, with nothing installed.
    pub(super) async fn new(nodes: u64, spec: AppSpec) -> Self {
        let shared = Arc::new(Shared {
            state: watch::Sender::new(Arc::new(samples::genesis())),
            commands: Mutex::new(0),
            quorum: watch::Sender::new(true),
            reads: watch::Sender::new((true, 0)),
            contact_age: AtomicU64::new(0),
            sick: watch::Sender::new(BTreeSet::new()),
            forbidden: watch::Sender::new(BTreeSet::new()),
        });
        let leader = tokio::spawn(lead(Arc::clone(&shared)));
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { shared, folder, hosts: BTreeMap::new(), agents: BTreeMap::new(), leader };
        for number in 2..=nodes {
            cluster.join(number).await;
        }
        cluster.push("0.1.0", &[]).await;
        cluster.push("0.2.0", &["0.1.0"]).await;
        cluster.apply(Command::ApplyApp { spec }).await;
        for number in 1..=nodes {
            cluster.hosts.insert(node(number), FakeHost::default());
            cluster.start_agent(number);
        }
        cluster
    }

    /// So many nodes on 0.1.0, permanent and seen to be healthy.
    pub(super) async fn settled(nodes: u64, spec: AppSpec) -> Self {
        let cluster = Self::new(nodes, spec).await;
        let rollout = cluster.start("0.1.0").await;
        assert_eq!(cluster.end_of(rollout).await, Phase::Completed);
        cluster.observed().await;
        cluster
    }

    /// As `settled`, without waiting for the bake of `spec` on the way there.
    pub(super) async fn settled_without_bake(nodes: u64, spec: AppSpec) -> Self {
        let mut quick = spec.clone();
        quick.upgrade.bake = Duration::ZERO;
        let cluster = Self::settled(nodes, quick).await;
        cluster.apply(Command::ApplyApp { spec }).await;
        cluster
    }

    async fn join(&self, number: u64) {
        let token = samples::token(number);
        let id = token.id;
        self.apply(Command::IssueToken { token }).await;
        self.apply(Command::AdmitNode { token: id, node: samples::admission(number) }).await;
    }

    async fn push(&self, text: &str, hot: &[&str]) {
        self.apply(Command::RegisterRelease { release: samples::pushed(text, hot) }).await;
    }

    pub(super) async fn apply(&self, command: Command) -> Applied {
        self.shared.apply(Actor::Operator("test".to_owned()), command).await.unwrap()
    }

    /// Until every node has said what it sees.
    async fn observed(&self) {
        self.until("every node has been observed", |state| {
            let app = &state.apps[&app()];
            app.instances.values().all(|instance| {
                instance.observed.is_some() && (instance.settled.is_none() || instance.healthy == Some(true))
            })
        })
        .await;
    }

    /// Plans and starts, once every node has said what it sees.
    pub(super) async fn start(&self, text: &str) -> RolloutId {
        self.observed().await;
        loop {
            let state = Arc::clone(&self.shared.state.borrow());
            let draft = plan::draft(&state, &app(), &version(text)).unwrap();
            let Applied::Plan(plan) = self.apply(draft.into_command()).await else { panic!("no plan") };
            let started =
                self.shared.apply(Actor::Operator("test".to_owned()), Command::StartRollout { plan });
            // An observation may have come in between: plan again.
            if let Ok(Applied::Rollout(rollout)) = started.await {
                return rollout;
            }
        }
    }

    pub(super) async fn until(&self, what: &str, holds: impl Fn(&ClusterState) -> bool) {
        let mut state = self.shared.state.subscribe();
        let ended = tokio::time::timeout(PATIENCE, state.wait_for(|state| holds(state))).await.is_ok();
        assert!(ended, "never: {what}; {:#?}", self.shared.state.borrow().rollouts);
    }

    pub(super) async fn end_of(&self, rollout: RolloutId) -> Phase {
        self.until("terminal", |state| state.rollouts[&rollout].phase.is_terminal()).await;
        self.rollout(rollout).phase
    }

    pub(super) fn rollout(&self, id: RolloutId) -> Rollout {
        Rollout::clone(&self.shared.state.borrow().rollouts[&id])
    }

    pub(super) fn host(&self, number: u64) -> &FakeHost {
        &self.hosts[&node(number)]
    }

    /// Waits until a scripted fault has happened.
    pub(super) async fn fault_struck(&self, number: u64, step: FakeStep) {
        let struck = async {
            while self.host(number).is_scripted(step).await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, struck).await.expect("the fault never struck");
    }

    pub(super) fn start_agent(&mut self, number: u64) {
        let host = self.hosts[&node(number)].clone();
        let context = FakeContext {
            node: node(number),
            shared: Arc::clone(&self.shared),
            host,
            folder: self.folder.path().join(number.to_string()),
        };
        let agent = tokio::spawn(agent::run(Arc::new(context)));
        self.agents.insert(node(number), agent);
    }

    /// As `kill -9` of its daemon.
    pub(super) async fn kill_agent(&mut self, number: u64) {
        let agent = self.agents.remove(&node(number)).unwrap();
        agent.abort();
        let _ = agent.await;
    }

    pub(super) fn quorum(&self, there: bool) {
        self.shared.quorum.send_replace(there);
    }

    pub(super) fn reads(&self, there: bool) {
        self.shared.reads.send_modify(|(open, _)| *open = there);
    }

    pub(super) async fn reads_refused(&self, times: u32) {
        let mut reads = self.shared.reads.subscribe();
        let refused = tokio::time::timeout(PATIENCE, reads.wait_for(|(_, refused)| *refused >= times));
        assert!(refused.await.is_ok(), "nobody asked");
    }

    pub(super) fn contact_lost_for(&self, age: Duration) {
        let age = u64::try_from(age.as_millis()).unwrap();
        self.shared.contact_age.store(age, Ordering::SeqCst);
    }

    /// An agent that is started on it from now on may not work on the app.
    pub(super) fn forbid(&self, number: u64) {
        self.shared.forbidden.send_if_modified(|forbidden| forbidden.insert(node(number)));
    }

    pub(super) fn sicken(&self, number: u64, text: &str) {
        self.shared.sick.send_modify(|sick| {
            sick.insert((node(number), version(text)));
        });
    }

    /// What runs on a node and what is permanent there.
    pub(super) async fn versions(&self, number: u64) -> (Option<String>, Option<String>) {
        let running = self.host(number).running().await.map(|(version, _)| version.to_string());
        (running, self.host(number).permanent().await.map(|version| version.to_string()))
    }

    /// Effects of installing, committing and rolling back, each with its count.
    pub(super) async fn steps(&self, number: u64) -> BTreeMap<String, u32> {
        let mut effects = self.host(number).effects().await;
        effects.retain(|name, _| name.starts_with("shop-g"));
        effects
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.leader.abort();
        for agent in self.agents.values() {
            agent.abort();
        }
    }
}

async fn lead(shared: Arc<Shared>) {
    let (mut states, mut quorum) = (shared.state.subscribe(), shared.quorum.subscribe());
    loop {
        let state = states.borrow_and_update().clone();
        let leads = *quorum.borrow_and_update();
        let rolling = state.rollouts.values().filter(|rollout| leads && !rollout.phase.is_terminal());
        for rollout in rolling {
            let silence = state.nodes.keys().map(|node| (*node, Duration::ZERO)).collect();
            let stalled = BTreeMap::new();
            let view = View::new(&state, rollout, &silence, Elapsed::default(), &stalled).unwrap();
            let decisions = step::step(&view).decisions;
            if !decisions.is_empty() {
                let command = Command::Decide { rollout: rollout.id, revision: rollout.revision, decisions };
                let _ = shared.apply(Actor::Reconciler(node(1)), command).await;
            }
        }
        tokio::select! {
            _ = states.changed() => {}
            _ = quorum.changed() => {}
        }
    }
}
