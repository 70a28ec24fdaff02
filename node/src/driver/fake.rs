//! A driver without an app: it moves versions about in memory, at once. Faults are scripted, and every
//! effect is counted by its operation, so that a test can prove that no step ran twice. The host it
//! works on is apart from the driver: a daemon that starts again opens another driver on the same host.

mod host;

pub use host::{FakeHost, Fault, Step};

use super::{
    Check, CheckResult, Condition, Drained, DriverError, Foreseen, Liveness, Measured, Method, Observation,
    Prospect, Purge, ReleaseDriver, Rung, Running, StagedRelease, Transition,
};
use crate::ids::{Digest, ReleaseVersion};
use async_trait::async_trait;
use host::Inner;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{MutexGuard, watch};

/// The driver of a fake host.
#[derive(Clone, Debug)]
pub struct FakeDriver {
    host: FakeHost,
}

impl FakeDriver {
    const fn new(host: FakeHost) -> Self {
        Self { host }
    }

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

fn fake_check(fault: Option<Fault>) -> Check {
    let result = match fault {
        Some(Fault::Check(result)) => result,
        Some(_) | None => CheckResult::Passed,
    };
    Check { name: "fake".to_owned(), result }
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
        Ok(vec![fake_check(fault)])
    }

    /// What the next preflight will find, which is not used up by that.
    async fn foresee(&self, _prospect: &Prospect) -> Result<Vec<Foreseen>, DriverError> {
        let inner = self.host.inner.lock().await;
        let fault = inner.script.get(&Step::Preflight).and_then(VecDeque::front);
        Ok(vec![fake_check(fault.cloned()).into()])
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

    async fn verify(&self, transition: &Transition) -> Result<Option<Measured>, DriverError> {
        self.step(Step::Verify, "verify", "verify", |_, inner| {
            inner.world.effects.remove("verify");
        })
        .await?;
        match self.host.running().await {
            Some((version, _)) if version == transition.to => Ok(None),
            Some((version, _)) => {
                Err(DriverError::Failed { what: "verify", reason: format!("{version} runs") })
            }
            None => Err(DriverError::VmGone { what: "verify" }),
        }
    }

    async fn drain(&self, _transition: &Transition, _purge: Purge) -> Result<Drained, DriverError> {
        self.step(Step::Drain, "drain", "drain", |_, _| {}).await?;
        let running = self.host.running().await;
        running.map(|(_, nonce)| Drained::Clear(nonce)).ok_or(DriverError::VmGone { what: "drain" })
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
