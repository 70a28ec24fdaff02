//! Makes the driver that an app's spec asks for, with the service manager that it asks for.

use super::unit;
use crate::config::Settings;
use crate::driver::erlang::{ErlangDriver, ErlangSettings, Patience};
use crate::driver::restart::{RestartDriver, RestartSettings};
use crate::driver::{AppUser, ReleaseDriver};
use crate::service::child::ChildService;
use crate::service::systemd::{SystemBus, SystemdService};
use crate::service::{Service, user};
use crate::spec::{DriverKind, ResolvedSpec, ServiceKind};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// From a start to a program that runs; a unit may have other units to wait for.
const START_PATIENCE: Duration = Duration::from_secs(60);

type Opened<T> = Result<Arc<T>, Box<dyn Error + Send + Sync>>;

/// What drivers on this host have in common.
pub(crate) struct Drivers {
    settings: Arc<Settings>,
    /// Connected to when the first app needs it.
    bus: SystemBus,
    /// Whether systemd runs the daemon itself.
    is_unit: bool,
}

impl Drivers {
    pub(crate) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, bus: SystemBus::default(), is_unit: unit::is_unit() }
    }

    pub(crate) fn open(&self, app: &ResolvedSpec) -> Opened<dyn ReleaseDriver> {
        match &app.driver {
            DriverKind::Erlang => self.erlang(app),
            DriverKind::Restart { command } => self.restart(app, command),
            DriverKind::Fake => self.fake(app),
        }
    }

    fn erlang(&self, app: &ResolvedSpec) -> Opened<dyn ReleaseDriver> {
        let settings = ErlangSettings {
            app: app.name.clone(),
            release: app.release.clone(),
            root: app.root.clone(),
            run_directory: self.settings.run_dir.clone(),
            relupd: relupd()?,
            environment: app.environment.clone(),
            user: app_user(app)?,
            stop_grace: app.stop_grace,
            patience: Patience { way_back: app.hot.old_code_wait, ..Patience::default() },
            required_hardening: app.required_hardening.clone(),
        };
        Ok(Arc::new(ErlangDriver::open(settings, self.service(app)?)?))
    }

    fn restart(&self, app: &ResolvedSpec, command: &Path) -> Opened<dyn ReleaseDriver> {
        let settings = RestartSettings {
            app: app.name.clone(),
            root: app.root.clone(),
            run_directory: self.settings.run_dir.clone(),
            relupd: relupd()?,
            command: command.to_owned(),
            arguments: app.arguments.clone(),
            environment: app.environment.clone(),
            user: app_user(app)?,
            stop_grace: app.stop_grace,
            start_patience: START_PATIENCE,
        };
        Ok(Arc::new(RestartDriver::open(settings, self.service(app)?)?))
    }

    /// A host of its own for each app, kept in the state directory so that it survives the daemon.
    #[cfg(feature = "testing")]
    fn fake(&self, app: &ResolvedSpec) -> Opened<dyn ReleaseDriver> {
        let path = self.settings.state_dir.join(format!("fake-{}.json", app.name));
        Ok(crate::driver::fake::FakeHost::at(&path)?.driver())
    }

    #[cfg(not(feature = "testing"))]
    fn fake(&self, app: &ResolvedSpec) -> Opened<dyn ReleaseDriver> {
        let app = &app.name;
        Err(format!("app {app} wants the fake driver, which this relupd was built without; give its spec another driver").into())
    }

    fn service(&self, app: &ResolvedSpec) -> Opened<dyn Service> {
        match &app.service {
            // Its processes would be in the daemon's own control group, under its sandbox and its limits,
            // and as its user.
            ServiceKind::Child if self.is_unit => Err(format!(
                "relupd runs as a systemd unit here and starts no app {app} of its own: set `service.kind = \"systemd\"` in its spec, and run `relupctl app setup {app}` as root on this node",
                app = app.name
            )
            .into()),
            ServiceKind::Child => Ok(Arc::new(ChildService::open(&self.settings.state_dir)?)),
            ServiceKind::Systemd { unit } => {
                Ok(Arc::new(SystemdService::new(self.bus.clone(), unit.clone())))
            }
        }
    }
}

/// The program that becomes an app.
fn relupd() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}

/// The app's user, where it is not the daemon's own.
fn app_user(app: &ResolvedSpec) -> Result<Option<AppUser>, String> {
    let Some(name) = &app.user else { return Ok(None) };
    let user = user::lookup(name)?;
    let own = user.uid == rustix::process::geteuid().as_raw();
    Ok((!own).then(|| AppUser { name: name.clone(), uid: user.uid, gid: user.gid }))
}
