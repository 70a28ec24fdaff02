//! What the agent needs of this daemon: the cluster, the releases, and drivers for this host's apps.

use super::cluster::Cluster;
use super::contact::Contact;
use super::releases::Releases;
use crate::agent::{AgentContext, ContextError, Opened};
use crate::clock::{Monotonic, monotonic};
use crate::config::Settings;
use crate::driver::erlang::{ErlangDriver, ErlangSettings, Patience};
use crate::driver::{ReleaseDriver, StagedRelease};
use crate::health::{Monitor, Prompt, Surroundings};
use crate::ids::{AppName, NodeId};
use crate::service::Service;
use crate::service::child::ChildService;
use crate::spec::template::NodeVariables;
use crate::spec::{AppSpec, DriverKind, ResolvedSpec, ServiceKind, resolve};
use crate::state::command::{Actor, Command};
use crate::state::release::ReleaseId;
use crate::state::{ClusterState, Outcome};
use crate::telemetry::Metrics;
use async_trait::async_trait;
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
    ) -> Self {
        let prompts = watch::Sender::new(BTreeMap::new());
        Self { settings, cluster, releases, contact, metrics, prompts }
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
        let driver = self.driver(&app)?;
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

    fn driver(
        &self,
        app: &ResolvedSpec,
    ) -> Result<Arc<dyn ReleaseDriver>, Box<dyn std::error::Error + Send + Sync>> {
        match &app.driver {
            DriverKind::Erlang => {
                let settings = ErlangSettings {
                    app: app.name.clone(),
                    release: app.release.clone(),
                    root: app.root.clone(),
                    run_directory: self.settings.run_dir.clone(),
                    relupd: std::env::current_exe()?,
                    environment: app.environment.clone(),
                    user: None,
                    stop_grace: app.stop_grace,
                    patience: Patience::default(),
                };
                Ok(Arc::new(ErlangDriver::open(settings, self.service(app)?)?))
            }
            DriverKind::Restart { command: _ } => Err("the restart driver is not there yet".into()),
            DriverKind::Fake => self.fake(app),
        }
    }

    /// A host of its own for each app, kept in the state directory so that it survives the daemon.
    #[cfg(feature = "testing")]
    fn fake(
        &self,
        app: &ResolvedSpec,
    ) -> Result<Arc<dyn ReleaseDriver>, Box<dyn std::error::Error + Send + Sync>> {
        let path = self.settings.state_dir.join(format!("fake-{}.json", app.name));
        Ok(crate::driver::fake::FakeHost::at(&path)?.driver())
    }

    #[cfg(not(feature = "testing"))]
    fn fake(
        &self,
        app: &ResolvedSpec,
    ) -> Result<Arc<dyn ReleaseDriver>, Box<dyn std::error::Error + Send + Sync>> {
        let app = &app.name;
        Err(format!("app {app} wants the fake driver, which this relupd was built without; give its spec another driver").into())
    }

    fn service(
        &self,
        app: &ResolvedSpec,
    ) -> Result<Arc<dyn Service>, Box<dyn std::error::Error + Send + Sync>> {
        match &app.service {
            ServiceKind::Child => Ok(Arc::new(ChildService::open(&self.settings.state_dir)?)),
            ServiceKind::Systemd { unit } => Err(format!("systemd unit {unit}: not there yet").into()),
        }
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

    fn contact_age(&self, now: Monotonic) -> Duration {
        self.contact.age(now)
    }

    fn open(&self, spec: &AppSpec) -> Result<Opened, ContextError> {
        self.try_open(spec)
            .map_err(|error| ContextError::Open { app: spec.name.clone(), reason: super::chain(&*error) })
    }

    fn prompt_health(&self, app: &AppName) {
        if let Some(prompt) = self.prompts.borrow().get(app) {
            prompt.now();
        }
    }

    fn host_boot(&self) -> String {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
    }

    fn state_directory(&self) -> PathBuf {
        self.settings.state_dir.clone()
    }
}
