//! What the cluster's agents share, and how each reaches it.

use crate::agent::{AgentContext, ContextError, Opened};
use crate::clock::{Monotonic, monotonic};
use crate::driver::fake::FakeHost;
use crate::driver::{Liveness, ReleaseDriver, StagedRelease};
use crate::health::{Health, Verdict};
use crate::ids::{CommandId, NodeId, ReleaseVersion};
use crate::spec::AppSpec;
use crate::state::command::{Actor, Command, Entry};
use crate::state::release::ReleaseId;
use crate::state::{ClusterState, Outcome};
use async_trait::async_trait;
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

pub(super) struct Shared {
    pub(super) state: watch::Sender<Arc<ClusterState>>,
    pub(super) commands: Mutex<u128>,
    /// Whether proposals and reads get through.
    pub(super) quorum: watch::Sender<bool>,
    /// Whether reads get through, and how many were refused.
    pub(super) reads: watch::Sender<(bool, u32)>,
    /// How long ago the last contact was, in milliseconds.
    pub(super) contact_age: AtomicU64,
    /// Versions that fail their health check, by node.
    pub(super) sick: watch::Sender<BTreeSet<(NodeId, ReleaseVersion)>>,
    /// Nodes that may not work on the app.
    pub(super) forbidden: watch::Sender<BTreeSet<NodeId>>,
}

impl Shared {
    pub(super) async fn apply(&self, actor: Actor, command: Command) -> Outcome {
        let mut number = self.commands.lock().await;
        *number += 1;
        let id = CommandId::from_parts(0, *number);
        let mut state = ClusterState::clone(&self.state.borrow());
        let outcome = state.apply(&Entry { id, actor, at: Timestamp::UNIX_EPOCH, command });
        assert_eq!(state.violations(), vec![]);
        self.state.send_replace(Arc::new(state));
        outcome
    }
}

pub(super) struct FakeContext {
    pub(super) node: NodeId,
    pub(super) shared: Arc<Shared>,
    pub(super) host: FakeHost,
    pub(super) folder: PathBuf,
}

impl FakeContext {
    async fn quorum(&self) -> Result<(), ContextError> {
        if *self.shared.quorum.borrow() {
            return Ok(());
        }
        // As long as a real one takes to give up.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(ContextError::NoQuorum { reason: "cut off".to_owned() })
    }
}

#[async_trait]
impl AgentContext for FakeContext {
    fn node(&self) -> NodeId {
        self.node
    }

    fn state(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.shared.state.subscribe()
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ContextError> {
        self.quorum().await?;
        Ok(self.shared.apply(Actor::Agent(self.node), command).await)
    }

    async fn read_barrier(&self) -> Result<(), ContextError> {
        let refused = self.shared.reads.send_if_modified(|(open, refused)| {
            *refused += u32::from(!*open);
            !*open
        });
        if refused {
            return Err(ContextError::NoQuorum { reason: "no reads".to_owned() });
        }
        self.quorum().await
    }

    async fn fetch(&self, release: &ReleaseId) -> Result<StagedRelease, ContextError> {
        let (version, manifest) = (release.version.clone(), release.manifest);
        Ok(StagedRelease { version, manifest, tree: PathBuf::new() })
    }

    fn contact_age(&self, _now: Monotonic) -> Duration {
        Duration::from_millis(self.shared.contact_age.load(Ordering::SeqCst))
    }

    fn open(&self, spec: &AppSpec) -> Result<Opened, ContextError> {
        if self.shared.forbidden.borrow().contains(&self.node) {
            return Err(ContextError::Open { app: spec.name.clone(), reason: "forbidden here".to_owned() });
        }
        let (sender, health) = watch::channel(Health::UNKNOWN);
        tokio::spawn(probe(self.node, self.host.clone(), Arc::clone(&self.shared), sender));
        Ok(Opened { driver: self.host.driver(), health })
    }

    fn host_boot(&self) -> String {
        "boot".to_owned()
    }

    fn state_directory(&self) -> PathBuf {
        self.folder.clone()
    }
}

/// Healthy is whatever runs and is not declared sick.
async fn probe(node: NodeId, host: FakeHost, shared: Arc<Shared>, sender: watch::Sender<Health>) {
    let liveness = host.driver().liveness();
    let mut since: Option<(Liveness, Monotonic)> = None;
    while !sender.is_closed() {
        let lives = liveness.borrow().clone();
        if since.as_ref().is_none_or(|(life, _)| *life != lives) {
            since = Some((lives, monotonic()));
        }
        if let (Some((version, life)), Some((_, since))) = (host.running().await, &since) {
            let sick = shared.sick.borrow().contains(&(node, version));
            let verdict = if sick {
                Verdict::Unhealthy { check: "http".to_owned(), reason: "500".to_owned() }
            } else {
                Verdict::Healthy { since: *since }
            };
            sender.send_replace(Health {
                boot_nonce: Some(life),
                judged_at: monotonic(),
                failing_since: None,
                verdict,
            });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
