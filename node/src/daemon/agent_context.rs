//! What the agent needs of this daemon: the cluster, the releases, and drivers for this host's apps.

use super::cluster::Cluster;
use super::contact::Contact;
use super::drivers::Drivers;
use super::foresight::OpenDrivers;
use super::releases::Releases;
use crate::agent::{AgentContext, ContextError, Opened};
use crate::clock::{Monotonic, monotonic};
use crate::config::Settings;
use crate::driver::StagedRelease;
use crate::health::{Monitor, Prompt, Surroundings};
use crate::ids::{AppName, NodeId};
use crate::service::process;
use crate::spec::template::NodeVariables;
use crate::spec::{AppSpec, resolve};
use crate::state::command::{Actor, Command};
use crate::state::release::ReleaseId;
use crate::state::{ClusterState, Outcome};
use crate::telemetry::Metrics;
use async_trait::async_trait;
use relupd_core::chain;
use relupd_release::manifest::Manifest;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// This host, for the agent.
pub(crate) struct Host {
    settings: Arc<Settings>,
    cluster: Cluster,
    releases: Arc<Releases>,
    contact: Contact,
    metrics: Metrics,
    drivers: Drivers,
    open: OpenDrivers,
    /// Of the apps that are open.
    prompts: watch::Sender<BTreeMap<AppName, Prompt>>,
}

impl Host {
    pub(crate) fn new(
        settings: Arc<Settings>,
        cluster: Cluster,
        releases: Arc<Releases>,
        contact: Contact,
        metrics: Metrics,
        open: OpenDrivers,
    ) -> Self {
        let drivers = Drivers::new(Arc::clone(&settings));
        let prompts = watch::Sender::new(BTreeMap::new());
        Self { settings, cluster, releases, contact, metrics, drivers, open, prompts }
    }

    fn variables(&self) -> NodeVariables {
        NodeVariables {
            id: self.cluster.me(),
            name: self.settings.node_name.clone(),
            address: self.settings.listen.ip(),
            labels: self.settings.labels.clone(),
        }
    }

    fn try_open(&self, spec: &AppSpec) -> Result<Opened, Box<dyn std::error::Error + Send + Sync>> {
        let app = resolve(spec, &self.variables())?;
        if !self.settings.allows_root(&app.root) {
            let root = app.root.display();
            let why = format!(
                "release root {root} is not below one of `releases.roots` in this node's relupd.toml; add it there, or choose another root"
            );
            return Err(why.into());
        }
        let driver = self.drivers.open(&app)?;
        self.open.opened(&app.name, &driver);
        let surroundings = Surroundings {
            directory: app.root.clone(),
            environment: app.environment.clone(),
            user: app.user.clone(),
        };
        let monitor = Monitor::start(
            app.name.clone(),
            app.health.clone(),
            &surroundings,
            driver.liveness(),
            self.metrics.clone(),
        )?;
        self.prompts.send_modify(|prompts| {
            prompts.insert(app.name.clone(), monitor.prompt());
        });
        Ok(Opened { driver, health: monitor.health() })
    }
}

#[async_trait]
impl AgentContext for Host {
    fn node(&self) -> NodeId {
        self.cluster.me()
    }

    fn state(&self) -> watch::Receiver<Arc<ClusterState>> {
        self.cluster.states()
    }

    async fn propose(&self, command: Command) -> Result<Outcome, ContextError> {
        let proposed = self.cluster.propose(Actor::Agent(self.cluster.me()), command).await;
        proposed.map_err(|error| ContextError::NoQuorum { reason: error.to_string() })
    }

    async fn read_barrier(&self) -> Result<(), ContextError> {
        let asked = monotonic();
        let read = self.cluster.read_barrier().await;
        read.map_err(|error| ContextError::NoQuorum { reason: error.to_string() })?;
        self.contact.proved(asked);
        Ok(())
    }

    async fn fetch(&self, release: &ReleaseId) -> Result<StagedRelease, ContextError> {
        let fetched = self.releases.stage(release).await;
        fetched.map_err(|reason| ContextError::Fetch { release: release.clone(), reason })
    }

    async fn manifest(&self, release: &ReleaseId) -> Option<Arc<Manifest>> {
        self.releases.store().manifest(release.manifest).await.ok().map(Arc::new)
    }

    fn contact_age(&self, now: Monotonic) -> Duration {
        self.contact.age(now)
    }

    fn open(&self, spec: &AppSpec) -> Result<Opened, ContextError> {
        self.try_open(spec)
            .map_err(|error| ContextError::Open { app: spec.name.clone(), reason: chain(&*error) })
    }

    fn prompt_health(&self, app: &AppName) {
        if let Some(prompt) = self.prompts.borrow().get(app) {
            prompt.now();
        }
    }

    fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    fn host_boot(&self) -> String {
        process::boot_id().unwrap_or_else(|_| "unknown".to_owned())
    }

    fn state_directory(&self) -> PathBuf {
        self.settings.state_dir.clone()
    }
}
