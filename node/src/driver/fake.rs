//! A driver without an app: it moves versions about in memory, at once. Faults are scripted, and every
//! effect is counted by its operation, so that a test can prove that no step ran twice. The host it
//! works on is apart from the driver: a daemon that starts again opens another driver on the same host.

use super::{
    Check, CheckResult, Condition, DriverError, Liveness, Method, Observation, ReleaseDriver, Rung, Running,
    StagedRelease, Transition,
};
use crate::ids::{BootNonce, Digest, ReleaseVersion};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, watch};

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
struct World {
    placed: BTreeSet<ReleaseVersion>,
    permanent: Option<ReleaseVersion>,
    running: Option<(ReleaseVersion, BootNonce)>,
    lives: u64,
    condition: Option<Condition>,
    effects: BTreeMap<String, u32>,
}

#[derive(Debug, Default)]
struct Inner {
    world: World,
    script: BTreeMap<Step, VecDeque<Fault>>,
    file: Option<PathBuf>,
}

/// A host on which one app could run.
#[derive(Clone, Debug)]
pub struct FakeHost {
    inner: Arc<Mutex<Inner>>,
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
        Arc::new(FakeDriver { host: self.clone() })
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

    fn boot(&self, inner: &mut Inner, version: ReleaseVersion) {
        inner.world.lives += 1;
        let nonce = BootNonce(format!("life-{}", inner.world.lives));
        inner.world.running = Some((version, nonce));
        inner.world.condition = None;
        self.changed(inner);
    }

    fn down(&self, inner: &mut Inner) {
        inner.world.running = None;
        self.changed(inner);
    }

    fn restart(&self, inner: &mut Inner) {
        match inner.world.permanent.clone() {
            Some(version) => self.boot(inner, version),
            None => self.down(inner),
        }
    }

    fn changed(&self, inner: &Inner) {
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

/// The driver of a fake host.
#[derive(Clone, Debug)]
pub struct FakeDriver {
    host: FakeHost,
}

impl FakeDriver {
    /// Runs a step: counts its effect under `key`, unless a fault keeps it from being had.
    async fn step(
        &self,
        step: Step,
        what: &'static str,
        key: &str,
        effect: impl FnOnce(&FakeHost, &mut Inner) + Send,
    ) -> Result<(), DriverError> {
        let mut inner = self.host.inner.lock().await;
        let fault = inner.script.get_mut(&step).and_then(VecDeque::pop_front);
        match fault {
            None => {
                self.have(&mut inner, key, effect);
                Ok(())
            }
            Some(Fault::Lie) => Ok(()),
            Some(Fault::Check(_)) => unreachable!("only a preflight has checks"),
            Some(Fault::Fail(reason)) => Err(DriverError::Failed { what, reason }),
            Some(Fault::FailAfter(reason)) => {
                self.have(&mut inner, key, effect);
                Err(DriverError::Failed { what, reason })
            }
            Some(Fault::TimeOut) => {
                self.have(&mut inner, key, effect);
                Err(DriverError::TimedOut { what, after: Duration::ZERO })
            }
            Some(Fault::Crash) => {
                *inner.world.effects.entry(key.to_owned()).or_default() += 1;
                self.host.restart(&mut inner);
                Err(DriverError::VmGone { what })
            }
            Some(Fault::Die) => {
                *inner.world.effects.entry(key.to_owned()).or_default() += 1;
                self.host.down(&mut inner);
                Err(DriverError::VmGone { what })
            }
            Some(Fault::HangBefore) => hang(inner).await,
            Some(Fault::HangAfter) => {
                self.have(&mut inner, key, effect);
                hang(inner).await
            }
        }
    }

    fn have(&self, inner: &mut Inner, key: &str, effect: impl FnOnce(&FakeHost, &mut Inner)) {
        *inner.world.effects.entry(key.to_owned()).or_default() += 1;
        effect(&self.host, inner);
        self.host.changed(inner);
    }
}

async fn hang(inner: MutexGuard<'_, Inner>) -> Result<(), DriverError> {
    drop(inner);
    std::future::pending().await
}

/// The living VM goes over to `to`, or one is started on it.
fn go(host: &FakeHost, inner: &mut Inner, hot: bool, to: &ReleaseVersion) {
    match &mut inner.world.running {
        Some((version, _)) if hot => {
            to.clone_into(version);
            inner.world.condition = None;
        }
        Some(_) | None => host.boot(inner, to.clone()),
    }
}

#[async_trait]
impl ReleaseDriver for FakeDriver {
    async fn observe(&self) -> Result<Observation, DriverError> {
        self.step(Step::Observe, "observe", "observe", |_, inner| {
            // Looking is no effect.
            inner.world.effects.remove("observe");
        })
        .await?;
        let inner = self.host.inner.lock().await;
        let world = &inner.world;
        let running = match &world.running {
            None => Running::Down,
            Some((version, boot_nonce)) => {
                Running::Up { version: version.clone(), boot_nonce: boot_nonce.clone() }
            }
        };
        let condition = match (&world.condition, &world.running, &world.permanent) {
            (Some(condition), _, _) => condition.clone(),
            (None, Some((running, _)), permanent) if permanent.as_ref() == Some(running) => Condition::Clean,
            (None, Some(_), _) => Condition::Trial,
            (None, None, Some(_)) => Condition::Stopped,
            (None, None, None) => Condition::Absent,
        };
        Ok(Observation { permanent: world.permanent.clone(), running, condition })
    }

    async fn place(&self, release: &StagedRelease) -> Result<(), DriverError> {
        let version = release.version.clone();
        let key = format!("place-{version}");
        self.step(Step::Place, "place", &key, |_, inner| {
            inner.world.placed.insert(version);
        })
        .await
    }

    async fn is_placed(&self, version: &ReleaseVersion, _manifest: &Digest) -> Result<bool, DriverError> {
        Ok(self.host.inner.lock().await.world.placed.contains(version))
    }

    async fn preflight(&self, _transition: &Transition) -> Result<Vec<Check>, DriverError> {
        let mut inner = self.host.inner.lock().await;
        let fault = inner.script.get_mut(&Step::Preflight).and_then(VecDeque::pop_front);
        let result = match fault {
            Some(Fault::Check(result)) => result,
            Some(_) | None => CheckResult::Passed,
        };
        Ok(vec![Check { name: "fake".to_owned(), result }])
    }

    async fn install(&self, transition: &Transition) -> Result<(), DriverError> {
        let done = self.host.inner.lock().await.world.effects.contains_key(&transition.operation);
        if done {
            // Attaches to what was begun under this id.
            return Ok(());
        }
        self.step(Step::Install, "install", &transition.operation, |host, inner| {
            go(host, inner, transition.method == Method::Hot, &transition.to);
        })
        .await
    }

    async fn verify(&self, transition: &Transition) -> Result<(), DriverError> {
        self.step(Step::Verify, "verify", "verify", |_, inner| {
            inner.world.effects.remove("verify");
        })
        .await?;
        match self.host.running().await {
            Some((version, _)) if version == transition.to => Ok(()),
            Some((version, _)) => {
                Err(DriverError::Failed { what: "verify", reason: format!("{version} runs") })
            }
            None => Err(DriverError::VmGone { what: "verify" }),
        }
    }

    async fn drain(&self, _transition: &Transition) -> Result<BootNonce, DriverError> {
        self.step(Step::Drain, "drain", "drain", |_, _| {}).await?;
        let running = self.host.running().await;
        running.map(|(_, nonce)| nonce).ok_or(DriverError::VmGone { what: "drain" })
    }

    async fn commit(&self, transition: &Transition) -> Result<(), DriverError> {
        self.step(Step::Commit, "commit", &transition.operation, |_, inner| {
            inner.world.permanent = Some(transition.to.clone());
        })
        .await
    }

    async fn roll_back(&self, transition: &Transition, rung: Rung) -> Result<(), DriverError> {
        let key = format!("{}-{rung}", transition.operation);
        self.step(Step::RollBack(rung), "roll back", &key, |host, inner| {
            inner.world.permanent.clone_from(&transition.from);
            match (&transition.from, rung) {
                (Some(from), Rung::RelupDown) => go(host, inner, true, from),
                (Some(from), Rung::Restart | Rung::Unplace) => go(host, inner, false, from),
                (None, Rung::RelupDown | Rung::Restart | Rung::Unplace) => {
                    inner.world.placed.remove(&transition.to);
                    host.down(inner);
                }
            }
        })
        .await
    }

    async fn repair(&self, decided: Option<&ReleaseVersion>) -> Result<(), DriverError> {
        self.step(Step::Repair, "repair", "repair", |host, inner| {
            inner.world.permanent = decided.cloned();
            inner.world.condition = None;
            let runs = inner.world.running.as_ref().map(|(version, _)| version);
            if runs.is_some() && runs != decided {
                host.restart(inner);
            }
        })
        .await
    }

    async fn start(&self) -> Result<(), DriverError> {
        self.step(Step::Start, "start", "start", |host, inner| {
            if inner.world.running.is_none() {
                host.restart(inner);
            }
        })
        .await
    }

    async fn stop(&self) -> Result<(), DriverError> {
        self.step(Step::Stop, "stop", "stop", |host, inner| host.down(inner)).await
    }

    fn liveness(&self) -> watch::Receiver<Liveness> {
        self.host.liveness()
    }
}
