//! The steps: trial, proof, commit, and the ways back.

use super::RestartDriver;
use super::place::{debris, unplace};
use crate::driver::files::{Locate, blocking, exists, remove_durably, remove_tree, replace_durably};
use crate::driver::{Condition, DriverError, Method, Observation, Rung, Running, Transition};
use crate::ids::{BootNonce, ReleaseVersion};
use std::path::Path;

impl RestartDriver {
    /// Stops, points the trial file at `to`, starts. A reboot takes the trial file away.
    pub(super) async fn install_trial(&self, transition: &Transition) -> Result<(), DriverError> {
        const WHAT: &str = "install by restart";
        let refused = |reason: String, remedy: &str| {
            Err(DriverError::Refused { what: WHAT, reason, remedy: remedy.to_owned() })
        };
        if transition.method == Method::Hot {
            return refused("this driver knows no hot upgrade".to_owned(), "use the method `restart`");
        }
        let observed = self.observation().await?;
        if observed.is_whole() && observed.version() == Some(&transition.to) {
            return Ok(());
        }
        if observed.permanent != transition.from {
            let reason = format!("permanent is {:?}, not {:?}", observed.permanent, transition.from);
            return refused(reason, "make a new plan");
        }
        self.expect_placed(WHAT, &transition.to).await?;
        self.halt().await?;
        self.write(WHAT, self.layout.trial(), &transition.to).await?;
        self.boot(WHAT).await
    }

    pub(super) async fn verify_trial(&self, transition: &Transition) -> Result<(), DriverError> {
        let observed = self.observation().await?;
        if observed.is_whole() && observed.version() == Some(&transition.to) {
            return Ok(());
        }
        Err(unexpected("verify", &transition.to, &observed))
    }

    /// There is no old code that anybody could be left in.
    pub(super) async fn current_life(&self) -> Result<BootNonce, DriverError> {
        match self.observation().await?.running {
            Running::Up { boot_nonce, .. } => Ok(boot_nonce),
            Running::Down | Running::Unknown { .. } => Err(DriverError::VmGone { what: "drain" }),
        }
    }

    /// Makes what runs permanent: `version` must run, or nothing is moved.
    pub(super) async fn make_permanent(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "commit";
        let observed = self.observation().await?;
        if observed.version() != Some(version) {
            return Err(DriverError::Refused {
                what: WHAT,
                reason: format!(
                    "{version} does not run: found {:?}, {:?}",
                    observed.running, observed.condition
                ),
                remedy: "observe, then install again or take the node back".to_owned(),
            });
        }
        self.point_at(WHAT, version).await
    }

    pub(super) async fn take_rung(&self, transition: &Transition, rung: Rung) -> Result<(), DriverError> {
        match (rung, &transition.from) {
            (Rung::Restart, Some(from)) => self.restart_into("restart back", from).await,
            (Rung::Unplace, None) => self.unplace(&transition.to).await,
            (Rung::RelupDown, _) | (Rung::Restart, None) | (Rung::Unplace, Some(_)) => {
                Err(DriverError::Refused {
                    what: "roll back",
                    reason: format!(
                        "the rung `{rung}` does not lead from {} to {:?} with this driver",
                        transition.to, transition.from
                    ),
                    remedy: "take another rung".to_owned(),
                })
            }
        }
    }

    /// Pointers first, then the restart: a cut between the two ends in the right version as well.
    async fn restart_into(&self, what: &'static str, version: &ReleaseVersion) -> Result<(), DriverError> {
        self.expect_placed(what, version).await?;
        let observed = self.observation().await?;
        self.point_at(what, version).await?;
        // What runs already is left alone, whatever was wrong with the pointer.
        if observed.version() != Some(version) {
            self.halt().await?;
            self.boot(what).await?;
        }
        let observed = self.observation().await?;
        let permanent = observed.permanent.as_ref() == Some(version);
        if permanent && observed.is_whole() && observed.version() == Some(version) {
            return Ok(());
        }
        Err(unexpected(what, version, &observed))
    }

    /// Undoes a first installation.
    async fn unplace(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "unplace";
        self.halt().await?;
        self.forget_trial(WHAT).await?;
        let (layout, version) = (self.layout.clone(), version.clone());
        blocking(WHAT, move || unplace(&layout, &version)).await
    }

    /// Towards what the cluster decided; where it decided nothing, towards what the pointer says.
    pub(super) async fn repair_towards(&self, decided: Option<&ReleaseVersion>) -> Result<(), DriverError> {
        const WHAT: &str = "repair";
        let observed = self.observation().await?;
        let decided = decided.or(observed.permanent.as_ref());
        match (&observed.condition, decided) {
            // What an ended rollout has left on trial, and the cluster did not decide on.
            (Condition::Trial, Some(decided)) if observed.version() != Some(decided) => {
                self.restart_into(WHAT, decided).await
            }
            // A first installation that was held: the way back of one is to take it away.
            (Condition::Trial, None) => match observed.version() {
                Some(running) => self.unplace(running).await,
                None => Ok(()),
            },
            (Condition::Clean | Condition::Trial | Condition::Stopped | Condition::Absent, _) => Ok(()),
            (Condition::Debris { .. }, _) => self.sweep().await,
            (_, None) => Err(DriverError::Refused {
                what: WHAT,
                reason: "neither the cluster nor this host says which version should run".to_owned(),
                remedy: "roll a release out to this node".to_owned(),
            }),
            // A pointer alone does not start what does not run.
            (Condition::TornPointers { .. }, Some(decided)) if observed.running == Running::Down => {
                self.expect_placed(WHAT, decided).await?;
                self.point_at(WHAT, decided).await
            }
            (
                Condition::TornPointers { .. }
                | Condition::HalfEnvironment { .. }
                | Condition::HandlerLies { .. }
                | Condition::MixedCode { .. }
                | Condition::Unknown { .. },
                Some(decided),
            ) => self.restart_into(WHAT, decided).await,
        }
    }

    async fn sweep(&self) -> Result<(), DriverError> {
        let layout = self.layout.clone();
        blocking("sweep", move || debris(&layout)?.iter().map(Path::new).try_for_each(remove_tree)).await
    }

    /// Moves the permanent pointer; the trial, if there was one, is over by that.
    async fn point_at(&self, what: &'static str, version: &ReleaseVersion) -> Result<(), DriverError> {
        self.write(what, self.layout.permanent(), version).await?;
        self.forget_trial(what).await
    }

    async fn write(
        &self,
        what: &'static str,
        path: std::path::PathBuf,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let line = format!("{version}\n");
        blocking(what, move || replace_durably(&path, line.as_bytes(), 0o644).at(&path)).await
    }

    pub(super) async fn forget_trial(&self, what: &'static str) -> Result<(), DriverError> {
        let path = self.layout.trial();
        blocking(what, move || remove_durably(&path).at(&path)).await
    }

    async fn expect_placed(&self, what: &'static str, version: &ReleaseVersion) -> Result<(), DriverError> {
        let marker = self.layout.marker(version);
        if blocking(what, move || exists(&marker)).await? {
            return Ok(());
        }
        Err(DriverError::Refused {
            what,
            reason: format!("{version} is not placed"),
            remedy: "place it first".to_owned(),
        })
    }
}

fn unexpected(what: &'static str, version: &ReleaseVersion, observed: &Observation) -> DriverError {
    DriverError::Failed {
        what,
        reason: format!(
            "{version} should run; found {:?}, permanent {:?}, {:?}",
            observed.running, observed.permanent, observed.condition
        ),
    }
}
