//! The host that a fake driver works on: it outlives the driver, and with a file the process.

use super::FakeDriver;
use crate::driver::{CheckResult, Condition, Liveness, Rung};
use crate::ids::{BootNonce, ReleaseVersion};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// The steps that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Observe,
    Place,
    Preflight,
    Install,
    Verify,
    Drain,
    Commit,
    RollBack(Rung),
    Repair,
    Start,
    Stop,
}

/// What goes wrong with a step, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It says no and does nothing.
    Fail(String),
    /// It does its work, then says no.
    FailAfter(String),
    /// It says yes and does nothing.
    Lie,
    /// It never ends, and nothing is done.
    HangBefore,
    /// Its work is done, but it never says so.
    HangAfter,
    /// It says that it took too long; its work is done.
    TimeOut,
    /// The VM restarts on what is permanent: `code_change` crashed.
    Crash,
    /// The VM dies and stays down.
    Die,
    /// A check of the preflight, as it is.
    Check(CheckResult),
}

/// What a host remembers; with a file it survives the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct World {
    pub(super) placed: BTreeSet<ReleaseVersion>,
    pub(super) permanent: Option<ReleaseVersion>,
    pub(super) running: Option<(ReleaseVersion, BootNonce)>,
    lives: u64,
    pub(super) condition: Option<Condition>,
    pub(super) effects: BTreeMap<String, u32>,
}

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) world: World,
    pub(super) script: BTreeMap<Step, VecDeque<Fault>>,
    file: Option<PathBuf>,
}

/// A host on which one app could run.
#[derive(Clone, Debug)]
pub struct FakeHost {
    pub(super) inner: Arc<Mutex<Inner>>,
    liveness: watch::Sender<Liveness>,
    changes: watch::Sender<()>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            liveness: watch::Sender::new(Liveness::Down),
            changes: watch::Sender::new(()),
        }
    }
}

impl FakeHost {
    /// A host whose state is kept in this file.
    ///
    /// # Errors
    /// Where the file is there and cannot be read.
    pub fn at(path: &Path) -> io::Result<Self> {
        let world: World = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => World::default(),
            Err(error) => return Err(error),
        };
        let liveness = watch::Sender::new(liveness_of(&world));
        let inner = Inner { world, script: BTreeMap::new(), file: Some(path.to_owned()) };
        Ok(Self { inner: Arc::new(Mutex::new(inner)), liveness, changes: watch::Sender::new(()) })
    }

    /// Its driver. Any number of them work on the same host.
    #[must_use]
    pub fn driver(&self) -> Arc<FakeDriver> {
        Arc::new(FakeDriver::new(self.clone()))
    }

    /// This version runs and is permanent from here on.
    pub async fn settle(&self, version: &ReleaseVersion) {
        let mut inner = self.inner.lock().await;
        inner.world.placed.insert(version.clone());
        inner.world.permanent = Some(version.clone());
        self.boot(&mut inner, version.clone());
    }

    /// The next call of this step goes wrong like that; more of them queue up.
    pub async fn script(&self, step: Step, fault: Fault) {
        self.inner.lock().await.script.entry(step).or_default().push_back(fault);
    }

    /// Whether a fault of this step is still to come.
    pub async fn is_scripted(&self, step: Step) -> bool {
        self.inner.lock().await.script.get(&step).is_some_and(|faults| !faults.is_empty())
    }

    /// Waits until this version runs.
    pub async fn until_running(&self, version: &str) {
        let mut changes = self.changes.subscribe();
        loop {
            if self.running().await.is_some_and(|(running, _)| running.as_str() == version) {
                return;
            }
            // The sender lives as long as this host.
            let _ = changes.changed().await;
        }
    }

    /// Whether the VM lives, pushed.
    #[must_use]
    pub fn liveness(&self) -> watch::Receiver<Liveness> {
        self.liveness.subscribe()
    }

    /// `kill -9`.
    pub async fn kill(&self) {
        let mut inner = self.inner.lock().await;
        self.down(&mut inner);
    }

    /// The VM restarts on what is permanent, as after a boot of the host.
    pub async fn reboot(&self) {
        let mut inner = self.inner.lock().await;
        self.restart(&mut inner);
    }

    /// Somebody deletes the files of a version.
    pub async fn lose(&self, version: &ReleaseVersion) {
        self.inner.lock().await.world.placed.remove(version);
    }

    /// Whether the files of a version are there.
    pub async fn has(&self, version: &ReleaseVersion) -> bool {
        self.inner.lock().await.world.placed.contains(version)
    }

    /// Observations show this condition until a repair, a restart or an installation.
    pub async fn tear(&self, condition: Condition) {
        self.inner.lock().await.world.condition = Some(condition);
    }

    /// How often each effect was had, by operation and step.
    pub async fn effects(&self) -> BTreeMap<String, u32> {
        self.inner.lock().await.world.effects.clone()
    }

    /// What runs, if anything.
    pub async fn running(&self) -> Option<(ReleaseVersion, BootNonce)> {
        self.inner.lock().await.world.running.clone()
    }

    /// What the host boots into.
    pub async fn permanent(&self) -> Option<ReleaseVersion> {
        self.inner.lock().await.world.permanent.clone()
    }

    pub(super) fn boot(&self, inner: &mut Inner, version: ReleaseVersion) {
        inner.world.lives += 1;
        let nonce = BootNonce(format!("life-{}", inner.world.lives));
        inner.world.running = Some((version, nonce));
        inner.world.condition = None;
        self.changed(inner);
    }

    pub(super) fn down(&self, inner: &mut Inner) {
        inner.world.running = None;
        self.changed(inner);
    }

    pub(super) fn restart(&self, inner: &mut Inner) {
        match inner.world.permanent.clone() {
            Some(version) => self.boot(inner, version),
            None => self.down(inner),
        }
    }

    pub(super) fn changed(&self, inner: &Inner) {
        // A hot step changes the version and not the life: nobody is told of a death.
        self.liveness.send_if_modified(|old| {
            let new = liveness_of(&inner.world);
            std::mem::replace(old, new.clone()) != new
        });
        self.changes.send_replace(());
        if let Some(path) = &inner.file
            && let Err(error) = save(path, &inner.world)
        {
            tracing::error!(path = %path.display(), %error, "the fake host forgets");
        }
    }
}

fn liveness_of(world: &World) -> Liveness {
    match &world.running {
        Some((_, boot_nonce)) => Liveness::Up { boot_nonce: boot_nonce.clone() },
        None => Liveness::Down,
    }
}

fn save(path: &Path, world: &World) -> io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, serde_json::to_vec(world)?)?;
    std::fs::rename(&temporary, path)
}
