//! The ways back, rung by rung, and the repair of what an interrupted step left.

use super::ErlangDriver;
use super::disk;
use super::observe::{BookFile, Process, classify};
use crate::clock;
use crate::driver::files::blocking;
use crate::driver::{Condition, DriverError, Method, Observation, Rung, Transition};
use crate::ids::ReleaseVersion;

impl ErlangDriver {
    pub(super) async fn take_rung(&self, transition: &Transition, rung: Rung) -> Result<(), DriverError> {
        match (rung, &transition.from) {
            (Rung::RelupDown, Some(from)) => self.relup_down(transition, from).await,
            (Rung::Restart, Some(from)) => self.restart_into("restart back", from).await,
            (Rung::Unplace, None) => self.unplace(&transition.to).await,
            (Rung::RelupDown | Rung::Restart, None) | (Rung::Unplace, Some(_)) => Err(DriverError::Refused {
                what: "roll back",
                reason: format!(
                    "the rung `{rung}` does not lead from {} to {:?}",
                    transition.to, transition.from
                ),
                remedy: "take another rung".to_owned(),
            }),
        }
    }

    async fn relup_down(&self, transition: &Transition, from: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "relup down";
        let observed = self.observation().await?;
        if observed.version() != Some(from) {
            if !observed.is_whole() || observed.version() != Some(&transition.to) {
                return Err(DriverError::Refused {
                    what: WHAT,
                    reason: format!("found {:?}, {:?}", observed.running, observed.condition),
                    remedy: "go back by restart".to_owned(),
                });
            }
            self.spare_old_code(from, &transition.to).await;
            // Of its own id: the way up under the same operation has a result already.
            let operation = format!("{}/down", transition.operation);
            self.relup(WHAT, &operation, from).await?;
        }
        if observed.permanent.as_ref() != Some(from) || !matches!(observed.condition, Condition::Clean) {
            self.point_host_at(WHAT, from).await?;
            self.point_vm_at(WHAT, from).await?;
            self.forget_trial()?;
        }
        self.expect_clean(WHAT, from).await
    }

    /// Pointers first, then the restart: a cut between the two ends in the right version as well.
    async fn restart_into(&self, what: &'static str, version: &ReleaseVersion) -> Result<(), DriverError> {
        let sources = self.sources().await?;
        let observed = classify(&sources);
        let there = observed.version() == Some(version) && observed.permanent.as_ref() == Some(version);
        if there && matches!(observed.condition, Condition::Clean | Condition::Debris { .. }) {
            return self.forget_trial();
        }
        // This is the last rung: a torn book must not bar it.
        self.mend_book_towards(what, &sources.disk, version).await?;
        self.point_host_at(what, version).await?;
        self.forget_trial()?;
        self.halt().await?;
        self.boot(what).await?;
        self.expect_clean(what, version).await
    }

    /// A request that began before the way up may still run the code of before: to load that again kills it.
    /// It is waited for, but the way back does not depend on it.
    async fn spare_old_code(&self, from: &ReleaseVersion, to: &ReleaseVersion) {
        let left = match self.changed_modules("relup down", from, to).await {
            Ok(modules) => self.leave(&modules, self.settings.patience.way_back).await,
            Err(error) => Err(error),
        };
        match left {
            Ok(lingering) if lingering.is_empty() => {}
            Ok(lingering) => {
                tracing::warn!(app = %self.settings.app, ?lingering, "the way back ends who runs old code");
            }
            Err(error) => tracing::warn!(app = %self.settings.app, %error, "cannot tell who runs old code"),
        }
    }

    /// Undoes a first installation.
    async fn unplace(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "unplace";
        self.halt().await?;
        self.forget_trial()?;
        let disk = self.read_disk().await?;
        let book = match disk.book {
            BookFile::Read(book) => book.without(version),
            BookFile::Absent => return Ok(()),
            BookFile::Torn { .. } => Default::default(),
        };
        let (layout, name) = (self.layout.clone(), self.settings.release.clone());
        blocking(WHAT, move || disk::unplace(&layout, &book, &name)).await?;
        self.beams.lock().await.clear();
        Ok(())
    }

    /// Towards what the cluster decided; where it decided nothing, towards what the pointers say.
    pub(super) async fn repair_towards(&self, decided: Option<&ReleaseVersion>) -> Result<(), DriverError> {
        const WHAT: &str = "repair";
        let mut sources = self.sources().await?;
        let mut observed = classify(&sources);
        let Some(decided) = decided.or(observed.permanent.as_ref()).cloned() else {
            return match (&observed.condition, observed.version()) {
                (Condition::Absent | Condition::Debris { .. }, _) => self.sweep().await,
                // A first installation that was held: the way back of one is to take it away.
                (Condition::Trial, Some(running)) => self.unplace(running).await,
                _ => Err(DriverError::Refused {
                    what: WHAT,
                    reason: "neither the cluster nor this host says which version should run".to_owned(),
                    remedy: "roll a release out to this node".to_owned(),
                }),
            };
        };
        let decided = &decided;
        if self.mend_book(WHAT, &sources.disk, decided).await? {
            // Which version runs could not be told without the book.
            sources = self.sources().await?;
            observed = classify(&sources);
        }
        match &observed.condition {
            Condition::Clean | Condition::Stopped | Condition::Absent => Ok(()),
            Condition::Trial => self.end_trial(&observed, decided).await,
            Condition::Debris { .. } => self.sweep().await,
            Condition::TornPointers { .. } | Condition::HandlerLies { .. } => {
                self.point_host_at(WHAT, decided).await?;
                match (&sources.process, observed.version()) {
                    (Process::Answers(_), Some(running)) if running == decided => {
                        self.point_vm_at(WHAT, decided).await?;
                        self.forget_trial()?;
                        self.expect_clean(WHAT, decided).await
                    }
                    // Pointers alone do not start what does not run.
                    (Process::None, _) => Ok(()),
                    (Process::Answers(_) | Process::Silent { .. }, _) => {
                        self.restart_into(WHAT, decided).await
                    }
                }
            }
            Condition::HalfEnvironment { .. } | Condition::MixedCode { .. } | Condition::Unknown { .. } => {
                self.restart_into(WHAT, decided).await
            }
        }
    }

    /// A trial that a held rollout left standing ends when an operator orders a repair: gently where a
    /// relup leads back, else by restart.
    async fn end_trial(&self, observed: &Observation, decided: &ReleaseVersion) -> Result<(), DriverError> {
        let Some(running) = observed.version().filter(|running| *running != decided) else { return Ok(()) };
        let transition = Transition {
            from: Some(decided.clone()),
            to: running.clone(),
            method: Method::Hot,
            // Every repair is one of its own: an earlier one's result must not answer for it.
            operation: format!("repair-{}", clock::wall().as_nanosecond()),
        };
        match self.relup_down(&transition, decided).await {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::info!(app = %self.settings.app, %error, "the trial ends by restart");
                self.restart_into("repair", decided).await
            }
        }
    }

    /// Takes away directories that no registered release names.
    async fn sweep(&self) -> Result<(), DriverError> {
        let found = self.read_disk().await?.unregistered;
        blocking("sweep", move || disk::remove_all(&found)).await
    }
}
