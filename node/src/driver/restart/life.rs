//! The app's process: as which version it was launched, and when it ends.
//!
//! The version of a process that this daemon started is on record. One that was started without it (by
//! the service manager, at boot or after a crash) carries its version in its environment, unless the
//! program wrote over that.

use super::RestartDriver;
use super::launch::VERSION;
use super::layout::{Layout, read_pointer};
use super::observe::Process;
use crate::driver::files::{At, Locate, blocking, read_optional, replace_durably};
use crate::driver::{DriverError, Liveness};
use crate::ids::{BootNonce, ReleaseVersion};
use crate::service::ServiceState;
use crate::service::process::{self, Identity};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// How often to look whether `relupd launch` has become the program; it takes milliseconds.
const LAUNCH_LOOK: Duration = Duration::from_millis(10);

/// Waits for the end of one life of the app.
pub(super) struct Vigil {
    boot_nonce: BootNonce,
    waiting: AbortOnDropHandle<()>,
}

impl RestartDriver {
    /// The process, as the service manager and /proc know it; what is learned is pushed.
    pub(super) async fn process(&self) -> Result<Process, DriverError> {
        let ServiceState::Running { pid, start_time } = self.service.state(self.instance()).await? else {
            self.gone();
            return Ok(Process::None);
        };
        let identity = Identity { pid, start_time };
        let (layout, launcher) = (self.layout.clone(), self.launcher());
        let version =
            blocking("look at the process", move || version_of(&layout, identity, &launcher)).await?;
        Ok(match version {
            Ok(version) => Process::Runs { version, boot_nonce: self.watch(identity).await? },
            Err(reason) => Process::Nameless { reason },
        })
    }

    /// Starts the app and waits until it is the program that runs.
    pub(super) async fn boot(&self, what: &'static str) -> Result<(), DriverError> {
        self.service.start(&self.launch()).await?;
        let patience = self.settings.start_patience;
        let identity = tokio::time::timeout(patience, self.launched(what))
            .await
            .map_err(|_| DriverError::TimedOut { what, after: patience })??;
        // The pointers stay where they are while a step is at work, so they still say what was launched.
        let layout = self.layout.clone();
        blocking(what, move || record(&layout, identity)).await?;
        self.watch(identity).await.map(drop)
    }

    async fn launched(&self, what: &'static str) -> Result<Identity, DriverError> {
        loop {
            let ServiceState::Running { pid, start_time } = self.service.state(self.instance()).await? else {
                let reason = "the program ended at once; its own output says why".to_owned();
                return Err(DriverError::Failed { what, reason });
            };
            let name = process::name(pid);
            let name = name.map_err(|source| DriverError::Io { what, path: "/proc".into(), source })?;
            if name.is_some_and(|name| name != self.launcher()) {
                return Ok(Identity { pid, start_time });
            }
            tokio::time::sleep(LAUNCH_LOOK).await;
        }
    }

    /// Stops the app.
    pub(super) async fn halt(&self) -> Result<(), DriverError> {
        self.service.stop(self.instance(), self.settings.stop_grace).await?;
        self.gone();
        Ok(())
    }

    fn gone(&self) {
        self.liveness.send_if_modified(|liveness| change(liveness, Liveness::Down));
    }

    /// Pushes that this life has begun, and pushes its end the instant it comes.
    async fn watch(&self, identity: Identity) -> Result<BootNonce, DriverError> {
        let boot_nonce = BootNonce(format!("{}:{}@{}", identity.pid, identity.start_time, self.host_boot));
        let mut vigil = self.vigil.lock().await;
        if vigil.as_ref().is_some_and(|vigil| vigil.is_kept(&boot_nonce)) {
            return Ok(boot_nonce);
        }
        let opened = process::Process::open(identity);
        let opened =
            opened.map_err(|source| DriverError::Io { what: "watch", path: "/proc".into(), source })?;
        match opened {
            None => self.gone(),
            Some(process) => {
                let up = Liveness::Up { boot_nonce: boot_nonce.clone() };
                self.liveness.send_if_modified(|liveness| change(liveness, up));
                let waiting = tokio::spawn(wait(process, boot_nonce.clone(), Arc::clone(&self.liveness)));
                let waiting = AbortOnDropHandle::new(waiting);
                *vigil = Some(Vigil { boot_nonce: boot_nonce.clone(), waiting });
            }
        }
        Ok(boot_nonce)
    }
}

impl Vigil {
    fn is_kept(&self, boot_nonce: &BootNonce) -> bool {
        &self.boot_nonce == boot_nonce && !self.waiting.is_finished()
    }
}

async fn wait(process: process::Process, boot_nonce: BootNonce, liveness: Arc<watch::Sender<Liveness>>) {
    if let Err(error) = process.exited().await {
        tracing::warn!(%error, "cannot watch the app's process");
        return;
    }
    let ended = Liveness::Up { boot_nonce };
    // Another life may have begun by now.
    liveness.send_if_modified(|liveness| *liveness == ended && change(liveness, Liveness::Down));
}

fn change(liveness: &mut Liveness, to: Liveness) -> bool {
    let changed = *liveness != to;
    *liveness = to;
    changed
}

/// Notes as which version this life was launched.
fn record(layout: &Layout, identity: Identity) -> Result<(), At> {
    let read = |path: &Path| read_pointer(path).at(path);
    let (trial, permanent) = (read(&layout.trial())?, read(&layout.permanent())?);
    let Some(version) = trial.target().or_else(|| permanent.target()) else { return Ok(()) };
    let path = layout.life();
    let line = format!("{} {} {version}\n", identity.pid, identity.start_time);
    replace_durably(&path, line.as_bytes(), 0o644).at(&path)
}

/// As which version the process was launched; the error says why that cannot be told.
fn version_of(
    layout: &Layout,
    identity: Identity,
    launcher: &str,
) -> Result<Result<ReleaseVersion, String>, At> {
    let path = layout.life();
    let recorded = read_optional(&path).at(&path)?;
    if let Some(version) = recorded.and_then(|line| recorded_version(&line, identity)) {
        return Ok(Ok(version));
    }
    let pid = identity.pid;
    if process::name(pid).at(Path::new("/proc"))?.is_some_and(|name| name == launcher) {
        return Ok(Err(format!("process {pid} is still being launched")));
    }
    Ok(match process::variable(pid, VERSION) {
        Ok(Some(text)) => {
            text.parse().map_err(|error| format!("process {pid} says {VERSION}={text:?}: {error}"))
        }
        Ok(None) => Err(format!("process {pid} does not say as which version it was launched")),
        Err(error) => Err(format!("process {pid} cannot be asked as which version it was launched: {error}")),
    })
}

fn recorded_version(line: &[u8], identity: Identity) -> Option<ReleaseVersion> {
    let line = std::str::from_utf8(line).ok()?;
    let [pid, start_time, version] = line.split_ascii_whitespace().collect::<Vec<_>>().try_into().ok()?;
    let recorded = Identity { pid: pid.parse().ok()?, start_time: start_time.parse().ok()? };
    (recorded == identity).then(|| version.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_for_its_own_life_only() {
        let identity = Identity { pid: 7, start_time: 900 };
        assert_eq!(recorded_version(b"7 900 0.4.0\n", identity), Some("0.4.0".parse().unwrap()));
        for other in ["8 900 0.4.0\n", "7 901 0.4.0\n", "7 900\n", ""] {
            assert_eq!(recorded_version(other.as_bytes(), identity), None, "{other:?}");
        }
    }
}
