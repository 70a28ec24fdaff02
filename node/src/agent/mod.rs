//! The agent: on every node, one worker for each app that is placed here. A worker asks the pure
//! `decide` what to do next, notes it in the ledger, has the driver do it, looks again and asks again.
//! Stopping the agent, or killing it, never stops an app.

mod act;
mod decline;
pub mod health;
mod inspect;
pub mod ledger_file;
mod telemetry;
#[cfg(test)]
mod tests;
mod worker;

pub use relupd_core::agent::{ContextError, core, decide, ledger, memory, outcome};

use crate::clock::Monotonic;
use crate::driver::{ReleaseDriver, StagedRelease};
use crate::health::Health;
use crate::ids::{AppName, NodeId};
use crate::spec::AppSpec;
use crate::state::command::Command;
use crate::state::release::ReleaseId;
use crate::state::{ClusterState, Outcome};
use crate::telemetry::Metrics;
use async_trait::async_trait;
use relupd_release::manifest::Manifest;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use worker::Worker;

/// An app's driver and the verdict of its health checks, both for this node.
#[derive(Clone)]
pub struct Opened {
    /// What changes it.
    pub driver: Arc<dyn ReleaseDriver>,
    /// What its health checks say.
    pub health: watch::Receiver<Health>,
}

/// What the agent needs of the daemon.
#[async_trait]
pub trait AgentContext: Send + Sync + 'static {
    /// This node.
    fn node(&self) -> NodeId;

    /// The state as applied here, pushed after each entry.
    fn state(&self) -> watch::Receiver<Arc<ClusterState>>;

    /// Proposes a command as this node's agent and waits until it is applied at the leader.
    async fn propose(&self, command: Command) -> Result<Outcome, ContextError>;

    /// A linearizable read: once it returns, `state` holds everything that was committed before the call.
    async fn read_barrier(&self) -> Result<(), ContextError>;

    /// Brings a release's verified files to this host.
    async fn fetch(&self, release: &ReleaseId) -> Result<StagedRelease, ContextError>;

    /// What a release consists of, where this host knows it.
    async fn manifest(&self, _release: &ReleaseId) -> Option<Arc<Manifest>> {
        None
    }

    /// How long ago this node last heard from a leader that had proved its quorum.
    fn contact_age(&self, now: Monotonic) -> Duration;

    /// The driver and the health checks of an app, with the node's own values filled in. Called again
    /// when the spec changes; what was opened before is dropped first.
    fn open(&self, spec: &AppSpec) -> Result<Opened, ContextError>;

    /// Asks for a round of health checks now, because a new version has just been proved; without it
    /// the next round comes at its usual time.
    fn prompt_health(&self, _app: &AppName) {}

    /// Where the agent counts what it does; figures of its own where nobody looks at them.
    fn metrics(&self) -> Metrics {
        Metrics::new()
    }

    /// Identifies this boot of the host.
    fn host_boot(&self) -> String;

    /// The daemon's state directory; ledgers lie in `ledger/` below it.
    fn state_directory(&self) -> PathBuf;
}

/// Keeps one worker running for each app on this node, until dropped or until the state's sender is gone.
pub async fn run(context: Arc<dyn AgentContext>) {
    let mut state = context.state();
    let mut tasks = JoinSet::new();
    let mut workers: BTreeMap<AppName, AbortHandle> = BTreeMap::new();
    loop {
        let here: Vec<AppName> = {
            let state = state.borrow_and_update();
            let placed = state.apps.values().filter(|app| app.instances.contains_key(&context.node()));
            placed.map(|app| app.name().clone()).collect()
        };
        workers.retain(|app, worker| {
            let keep = here.contains(app) && !worker.is_finished();
            if !keep {
                worker.abort();
            }
            keep
        });
        for app in here {
            workers
                .entry(app)
                .or_insert_with_key(|app| tasks.spawn(Worker::run(Arc::clone(&context), app.clone())));
        }
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            Some(ended) = tasks.join_next() => if let Err(error) = ended && error.is_panic() {
                tracing::error!(%error, "an app's worker panicked; it is started again");
            },
        }
    }
}
