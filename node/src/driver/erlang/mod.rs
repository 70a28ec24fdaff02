//! Drives releases of Erlang/OTP. relupd owns every file under the release root; OTP's release handler
//! does what only it can, `install_release` in the living VM. Registering and committing is writing the
//! book (RELEASES) and the pointers durably, then letting the handler read them again.
//!
//! Every step observes, checks, acts and observes again; a step that finds its work done has succeeded.

mod book;
mod change;
mod commit;
mod compare;
mod config_check;
mod disk;
mod frame_check;
mod gather;
pub mod helper;
mod host_checks;
pub(super) mod launch;
pub mod layout;
pub mod link;
mod native_modules;
mod observe;
mod place;
mod preflight;
mod protocols;
mod reason;
mod rebuild;
mod relup_checks;
mod render;
mod roll_back;
#[cfg(any(test, feature = "testing"))]
pub mod simulated;
mod started;
mod term;
mod vm;

use crate::driver::{
    AppUser, Check, Condition, Drained, DriverError, Foreseen, Liveness, Measured, Method, Observation,
    Prospect, Purge, ReleaseDriver, Rung, Running, StagedRelease, Transition, run_directory,
};
use crate::ids::{AppName, BootNonce, ReleaseName, ReleaseVersion};
use crate::service::{Launch, Service, ServiceState};
use async_trait::async_trait;
use layout::Layout;
use link::{Link, LinkError};
use relupd_release::Digest;
use relupd_release::manifest::Manifest;
use relupd_release::verify::Difference;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use vm::{Md5, Vm};

/// What the driver must know of one app on this node.
#[derive(Clone, Debug)]
pub struct ErlangSettings {
    /// The app's name.
    pub app: AppName,
    /// The name in its releases' `.rel` files.
    pub release: ReleaseName,
    /// The release root, absolute.
    pub root: PathBuf,
    /// The directory under which the app gets its own for socket and trial file, absolute.
    pub run_directory: PathBuf,
    /// The program that `launch` is part of: relupd itself.
    pub relupd: PathBuf,
    /// The app's environment.
    pub environment: BTreeMap<String, String>,
    /// The user that the app runs as, where it is not the daemon's own.
    pub user: Option<AppUser>,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
    /// How long each step may take.
    pub patience: Patience,
    /// How programs and NIFs must have been hardened (`upgrade.require_hardening`).
    pub required_hardening: BTreeSet<String>,
}

/// How long the driver waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a started VM to boot and to dial in.
    pub start: Duration,
    /// For each process to suspend, and for each to migrate its state.
    pub code_change: Duration,
    /// For a whole install.
    pub install: Duration,
    /// For the last process to leave old code, in one try to drain.
    pub drain: Duration,
    /// The same before a relup down, which would kill who runs it.
    pub way_back: Duration,
    /// For a supervised process to answer a system message.
    pub answer: Duration,
    /// For all that one observation asks the VM: a VM that hangs is seen after so long, however much there
    /// is to ask. While it installs, the release handler answers nobody.
    pub observe: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(60),
            code_change: Duration::from_secs(30),
            install: Duration::from_secs(300),
            drain: Duration::from_secs(1),
            way_back: Duration::from_secs(30),
            answer: Duration::from_secs(5),
            observe: Duration::from_secs(20),
        }
    }
}

/// One app of Erlang/OTP on this node.
pub struct ErlangDriver {
    settings: ErlangSettings,
    layout: Layout,
    service: Arc<dyn Service>,
    link: Link,
    vm: Vm,
    /// Digests of the modules in directories of registered releases, which never change.
    beams: Mutex<HashMap<PathBuf, Arc<BTreeMap<String, Md5>>>>,
    /// One step at a time; observing needs no turn.
    turn: Mutex<()>,
}

impl ErlangDriver {
    /// Opens the link's socket. The app's VM, if it runs, dials in within a second.
    pub fn open(settings: ErlangSettings, service: Arc<dyn Service>) -> Result<Self, DriverError> {
        let layout = Layout::new(&settings.root, &settings.run_directory, &settings.app);
        run_directory::prepare(layout.run(), settings.user.as_ref())?;
        let uid = settings.user.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
        let link = Link::listen(&layout.socket(), uid).map_err(|error| from_link("open the link", error))?;
        let vm = Vm::new(link.clone());
        Ok(Self {
            settings,
            layout,
            service,
            link,
            vm,
            beams: Mutex::new(HashMap::new()),
            turn: Mutex::new(()),
        })
    }

    fn instance(&self) -> &str {
        self.settings.app.as_str()
    }

    fn launch(&self) -> Launch {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Launch {
            instance: self.instance().to_owned(),
            program: self.settings.relupd.clone(),
            arguments: vec![
                "launch".to_owned(),
                self.instance().to_owned(),
                "--root".to_owned(),
                text(&self.settings.root),
                "--run-directory".to_owned(),
                text(&self.settings.run_directory),
            ],
            environment: self.settings.environment.clone(),
            directory: self.settings.root.clone(),
            user: self.settings.user.as_ref().map(|user| user.name.clone()),
        }
    }

    /// Starts the app's process and waits for its VM to dial in.
    async fn boot(&self, what: &'static str) -> Result<BootNonce, DriverError> {
        self.service.start(&self.launch()).await?;
        self.dialled_in(what).await
    }

    /// Waits for the VM of a process that boots, or that starts again within itself.
    async fn dialled_in(&self, what: &'static str) -> Result<BootNonce, DriverError> {
        let patience = self.settings.patience.start;
        let waiting = self.link.connected(None, patience);
        tokio::pin!(waiting);
        // A VM that dies while it boots is told apart from one that takes its time.
        let mut look = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                connected = &mut waiting => return connected.map_err(|error| from_link(what, error)),
                _ = look.tick() => {
                    if self.service.state(self.instance()).await? == ServiceState::Stopped {
                        let reason = "the VM ended while it booted; its own output says why".to_owned();
                        return Err(DriverError::Failed { what, reason });
                    }
                }
            }
        }
    }

    /// Stops the app and waits until the link knows it.
    async fn halt(&self) -> Result<(), DriverError> {
        self.service.stop(self.instance(), self.settings.stop_grace).await?;
        self.link.no_process();
        let mut liveness = self.link.liveness();
        let gone = liveness.wait_for(|liveness| !matches!(liveness, Liveness::Up { .. }));
        // The process is gone, so the end of file is on its way; there is nothing to do if it is late.
        let _ = tokio::time::timeout(Duration::from_secs(5), gone).await;
        Ok(())
    }
}

fn from_link(what: &'static str, error: LinkError) -> DriverError {
    match error {
        LinkError::Absent | LinkError::Gone => DriverError::VmGone { what },
        LinkError::TimedOut(after) => DriverError::TimedOut { what, after },
        LinkError::Listen { path, source } => DriverError::Io { what, path, source },
        LinkError::Failed(answer) => DriverError::Failed { what, reason: reason::explain(&answer) },
        LinkError::Malformed { .. } => DriverError::Failed { what, reason: error.to_string() },
    }
}

#[async_trait]
impl ReleaseDriver for ErlangDriver {
    async fn observe(&self) -> Result<Observation, DriverError> {
        let turn = self.turn.try_lock();
        let observed = self.observation().await?;
        // The sources are looked at one after the other: what does not fit together while a step is at
        // work says nothing.
        Ok(if turn.is_err() && !is_orderly(&observed) { unsettled(observed) } else { observed })
    }

    async fn place(&self, release: &StagedRelease) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.place_release(release).await
    }

    async fn is_placed(&self, version: &ReleaseVersion, manifest: &Digest) -> Result<bool, DriverError> {
        self.placed(version, manifest).await
    }

    async fn damage(
        &self,
        version: &ReleaseVersion,
        manifest: Arc<Manifest>,
    ) -> Result<Vec<Difference>, DriverError> {
        self.damaged(version, manifest).await
    }

    async fn mend(&self, release: &StagedRelease) -> Result<(), DriverError> {
        self.bring(release).await
    }

    async fn preflight(&self, transition: &Transition) -> Result<Vec<Check>, DriverError> {
        self.preflight_checks(transition).await
    }

    async fn foresee(&self, prospect: &Prospect) -> Result<Vec<Foreseen>, DriverError> {
        self.foreseen(prospect).await
    }

    async fn install(&self, transition: &Transition) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        match transition.method {
            Method::Hot => self.install_hot(transition).await,
            Method::Restart | Method::First => self.install_by_restart(transition).await,
        }
    }

    async fn verify(&self, transition: &Transition) -> Result<Option<Measured>, DriverError> {
        self.verify_installed(transition).await
    }

    async fn drain(&self, transition: &Transition, purge: Purge) -> Result<Drained, DriverError> {
        let _turn = self.turn.lock().await;
        self.drain_old_code(transition, purge).await
    }

    async fn commit(&self, transition: &Transition) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.make_permanent(&transition.to).await
    }

    async fn roll_back(&self, transition: &Transition, rung: Rung) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.take_rung(transition, rung).await
    }

    async fn repair(&self, decided: Option<&ReleaseVersion>) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.repair_towards(decided).await
    }

    async fn start(&self) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        if self.service.state(self.instance()).await? == ServiceState::Stopped {
            self.forget_trial()?;
        }
        self.boot("start").await.map(drop)
    }

    async fn stop(&self) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.halt().await
    }

    fn liveness(&self) -> watch::Receiver<Liveness> {
        self.link.liveness()
    }
}

/// Whether the sources agree.
fn is_orderly(observation: &Observation) -> bool {
    match observation.condition {
        Condition::Absent
        | Condition::Clean
        | Condition::Trial
        | Condition::Stopped
        | Condition::Debris { .. }
        | Condition::Unknown { .. } => true,
        Condition::HalfEnvironment { .. }
        | Condition::TornPointers { .. }
        | Condition::HandlerLies { .. }
        | Condition::MixedCode { .. } => false,
    }
}

fn unsettled(observation: Observation) -> Observation {
    let reason = format!("a step is at work: {:?}", observation.condition);
    Observation {
        running: Running::Unknown { reason: reason.clone() },
        condition: Condition::Unknown { reason },
        ..observation
    }
}
