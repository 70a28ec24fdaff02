//! Drives any program by restart alone. Whole versions lie side by side under the release root; which of
//! them runs is said by a pointer of one line, and during a trial by a file that a reboot takes away.

pub(super) mod launch;
pub(super) mod layout;
mod life;
mod observe;
mod place;
mod preflight;
mod steps;

use crate::driver::{
    AppUser, Check, Drained, DriverError, Foreseen, Liveness, Measured, Observation, Prospect, Purge,
    ReleaseDriver, Rung, StagedRelease, Transition, run_directory,
};
use crate::ids::{AppName, ReleaseVersion};
use crate::service::{Launch, Service, ServiceState, process};
use async_trait::async_trait;
use layout::Layout;
use life::Vigil;
use relupd_release::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};

/// What the driver must know of one app on this node.
#[derive(Clone, Debug)]
pub struct RestartSettings {
    /// The app's name.
    pub app: AppName,
    /// The release root, absolute.
    pub root: PathBuf,
    /// The directory under which the app gets its own for the trial file, absolute.
    pub run_directory: PathBuf,
    /// The program that `launch` is part of: relupd itself.
    pub relupd: PathBuf,
    /// The app's program, relative to a version's directory.
    pub command: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// The user that it runs as, where it is not the daemon's own.
    pub user: Option<AppUser>,
    /// How long it may take to stop before it is killed.
    pub stop_grace: Duration,
    /// How long the service manager may take from a start to the program.
    pub start_patience: Duration,
}

/// One app of any kind on this node.
pub struct RestartDriver {
    settings: RestartSettings,
    layout: Layout,
    service: Arc<dyn Service>,
    /// Told in every boot nonce: pids and start times of another boot say nothing.
    host_boot: String,
    liveness: Arc<watch::Sender<Liveness>>,
    vigil: Mutex<Option<Vigil>>,
    /// One step at a time; observing needs no turn.
    turn: Mutex<()>,
}

impl RestartDriver {
    /// Makes the app's run directory. Whether the app runs is known from the first observation on.
    ///
    /// # Errors
    /// Where the operating system refuses the directory.
    pub fn open(settings: RestartSettings, service: Arc<dyn Service>) -> Result<Self, DriverError> {
        let layout = Layout::new(&settings.root, &settings.run_directory, &settings.app);
        run_directory::prepare(layout.run(), settings.user.as_ref())?;
        let host_boot = process::boot_id().map_err(|source| DriverError::Io {
            what: "tell this boot of the host",
            path: "/proc/sys/kernel/random/boot_id".into(),
            source,
        })?;
        Ok(Self {
            settings,
            layout,
            service,
            host_boot,
            liveness: Arc::new(watch::Sender::new(Liveness::Unknown)),
            vigil: Mutex::new(None),
            turn: Mutex::new(()),
        })
    }

    fn instance(&self) -> &str {
        self.settings.app.as_str()
    }

    /// The name of a process that has not become the program yet.
    fn launcher(&self) -> String {
        let name = self.settings.relupd.file_name().unwrap_or_default().to_string_lossy();
        process::kernel_name(&name).to_owned()
    }

    fn launch(&self) -> Launch {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let settings = &self.settings;
        let mut arguments = vec![
            "launch".to_owned(),
            self.instance().to_owned(),
            "--root".to_owned(),
            text(&settings.root),
            "--run-directory".to_owned(),
            text(&settings.run_directory),
            "--program".to_owned(),
            text(&settings.command),
            "--".to_owned(),
        ];
        arguments.extend(settings.arguments.iter().cloned());
        Launch {
            instance: self.instance().to_owned(),
            program: settings.relupd.clone(),
            arguments,
            environment: settings.environment.clone(),
            directory: settings.root.clone(),
            user: settings.user.as_ref().map(|user| user.name.clone()),
        }
    }
}

#[async_trait]
impl ReleaseDriver for RestartDriver {
    async fn observe(&self) -> Result<Observation, DriverError> {
        self.observation().await
    }

    async fn place(&self, release: &StagedRelease) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.place_release(release).await
    }

    async fn is_placed(&self, version: &ReleaseVersion, manifest: &Digest) -> Result<bool, DriverError> {
        self.placed(version, manifest).await
    }

    async fn preflight(&self, transition: &Transition) -> Result<Vec<Check>, DriverError> {
        self.preflight_checks(transition).await
    }

    async fn foresee(&self, prospect: &Prospect) -> Result<Vec<Foreseen>, DriverError> {
        self.foreseen(prospect).await
    }

    async fn install(&self, transition: &Transition) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.install_trial(transition).await
    }

    async fn verify(&self, transition: &Transition) -> Result<Option<Measured>, DriverError> {
        self.verify_trial(transition).await.map(|()| None)
    }

    async fn drain(&self, _transition: &Transition, _purge: Purge) -> Result<Drained, DriverError> {
        self.current_life().await.map(Drained::Clear)
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
            self.forget_trial("start").await?;
            self.boot("start").await?;
        }
        Ok(())
    }

    async fn stop(&self) -> Result<(), DriverError> {
        let _turn = self.turn.lock().await;
        self.halt().await
    }

    fn liveness(&self) -> watch::Receiver<Liveness> {
        self.liveness.subscribe()
    }
}
