//! Installs a version as a trial, and proves that it runs, wholly.

use super::disk;
use super::link::LinkError;
use super::relup_checks::{self, Sides};
use super::started;
use super::{ErlangDriver, from_link};
use crate::driver::files::blocking;
use crate::driver::{Condition, DriverError, Liveness, Measured, Method, Observation, Running, Transition};
use crate::ids::ReleaseVersion;
use relupd_release::pointer::StartErl;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often, and how far apart, to look whether the VM is restarting after a failed install.
const RESTART_LOOKS: u32 = 10;
const RESTART_LOOK: Duration = Duration::from_millis(100);

impl ErlangDriver {
    /// By relup, in the living VM. The operation's id makes a repeated call attach to the first.
    pub(super) async fn install_hot(&self, transition: &Transition) -> Result<(), DriverError> {
        const WHAT: &str = "hot install";
        let from = transition.from.as_ref().ok_or_else(|| DriverError::Refused {
            what: WHAT,
            reason: "there is no version to come from".to_owned(),
            remedy: "use the method `first`".to_owned(),
        })?;
        // One that was begun before is waited for: until it ends, the release handler answers nobody.
        let begun = self.vm.knows(&transition.operation).await.map_err(|error| from_link(WHAT, error))?;
        if !begun {
            let observed = self.observation().await?;
            if observed.is_whole() && observed.version() == Some(&transition.to) {
                return Ok(());
            }
            expect(WHAT, &observed, from, &transition.operation)?;
            self.expect_relup(WHAT, from, &transition.to).await?;
            self.render_configurations(WHAT, [from, &transition.to]).await?;
        }
        self.relup(WHAT, &transition.operation, &transition.to).await?;
        let after = self.observation().await?;
        if after.version() == Some(&transition.to) && after.is_whole() {
            return Ok(());
        }
        Err(DriverError::Failed {
            what: WHAT,
            reason: format!("found {:?}, {:?}", after.running, after.condition),
        })
    }

    /// That there is a relup is read from the file itself: for a missing one OTP says yes, too, and names
    /// the target as the version to come from, as it does for every way down.
    pub(super) async fn expect_relup(
        &self,
        what: &'static str,
        from: &ReleaseVersion,
        to: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let sides = Sides::placed(self.book(what).await?, from, to);
        let layout = self.layout.clone();
        let read = blocking(what, move || relup_checks::read(&layout, &sides)).await?;
        let reason = match read {
            Err(reason) => reason,
            Ok(_) => match self.vm.check_install(to.as_str()).await {
                Ok(named) if named == from.as_str() || named == to.as_str() => return Ok(()),
                Ok(other) => format!("the release handler would come from {other}, not from {from}"),
                Err(LinkError::Failed(reason)) => reason,
                Err(error) => return Err(from_link(what, error)),
            },
        };
        let remedy = "build the release with a relup for it, or go by restart".to_owned();
        Err(DriverError::Refused { what, reason, remedy })
    }

    /// One relup, up or down. After a lost or bad answer the caller observes.
    pub(super) async fn relup(
        &self,
        what: &'static str,
        operation: &str,
        to: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let patience = self.settings.patience;
        let installed = self.vm.install(operation, to.as_str(), patience.code_change, patience.install).await;
        match installed {
            // Which version it says it came from depends on the direction; what counts is observed.
            Ok(_) => Ok(()),
            Err(error @ (LinkError::Failed(_) | LinkError::Gone)) => {
                Err(self.after_failed_install(what, error).await)
            }
            Err(error) => Err(from_link(what, error)),
        }
    }

    /// After a crash behind the point of no return OTP answers first and restarts the VM then. Waiting
    /// for its new life here gives the next observation something to see.
    async fn after_failed_install(&self, what: &'static str, error: LinkError) -> DriverError {
        let mut liveness = self.link.liveness();
        let gone = async move {
            liveness.wait_for(|liveness| !matches!(liveness, Liveness::Up { .. })).await.is_ok()
        };
        tokio::pin!(gone);
        for _ in 0..RESTART_LOOKS {
            if tokio::time::timeout(RESTART_LOOK, &mut gone).await.is_ok() {
                // Whether it came back is the next observation's to see.
                let _ = self.dialled_in(what).await;
                break;
            }
            // A VM that is on its way down takes as long for that as its applications do.
            if self.vm.facts().await.is_ok_and(|facts| facts.stopping) {
                let _ = tokio::time::timeout(self.settings.patience.start, &mut gone).await;
                let _ = self.dialled_in(what).await;
                break;
            }
        }
        from_link(what, error)
    }

    /// By stopping, writing the trial file, and starting. A reboot takes the trial file away.
    pub(super) async fn install_by_restart(&self, transition: &Transition) -> Result<(), DriverError> {
        const WHAT: &str = "install by restart";
        let observed = self.observation().await?;
        if observed.is_whole() && observed.version() == Some(&transition.to) {
            return Ok(());
        }
        if observed.permanent != transition.from {
            return Err(DriverError::Refused {
                what: WHAT,
                reason: format!("permanent is {:?}, not {:?}", observed.permanent, transition.from),
                remedy: "make a new plan".to_owned(),
            });
        }
        let book = self.book(WHAT).await?;
        let entry = book.entry(&transition.to).ok_or_else(|| DriverError::Refused {
            what: WHAT,
            reason: format!("{} is not registered", transition.to),
            remedy: "place it first".to_owned(),
        })?;
        self.halt().await?;
        let pointer = StartErl { erts: entry.erts.clone(), release: transition.to.clone() };
        let layout = self.layout.clone();
        blocking(WHAT, move || disk::write_trial(&layout, &pointer)).await?;
        self.boot(WHAT).await.map(drop)
    }

    pub(super) async fn verify_installed(
        &self,
        transition: &Transition,
    ) -> Result<Option<Measured>, DriverError> {
        const WHAT: &str = "verify";
        let failed = |reason: String| DriverError::Failed { what: WHAT, reason };
        let observed = self.observation().await?;
        if !observed.is_whole() || observed.version() != Some(&transition.to) {
            return Err(failed(format!(
                "{} should run; found {:?}, {:?}",
                transition.to, observed.running, observed.condition
            )));
        }
        let facts = self.vm.facts().await.map_err(|error| from_link(WHAT, error))?;
        let expected = self.started_applications(WHAT, &transition.to).await?;
        let missing: Vec<&str> = expected
            .iter()
            .map(String::as_str)
            .filter(|name| !facts.running.iter().any(|is| is == name))
            .collect();
        if !missing.is_empty() {
            return Err(failed(format!("applications of the release do not run: {}", missing.join(", "))));
        }
        self.expect_environment(WHAT, transition).await?;
        if let Some(from) = &transition.from {
            let suspended = self.suspended_modules(from, &transition.to).await?;
            let patience = self.settings.patience.answer;
            let silent = self.vm.unanswering(suspended.iter().map(String::as_str), patience).await;
            let silent = silent.map_err(|error| from_link(WHAT, error))?;
            if !silent.is_empty() {
                return Err(failed(format!("processes do not run: {}", silent.join("; "))));
            }
        }
        let reading = match transition.method {
            Method::Hot => self.vm.measured(&transition.operation).await,
            Method::Restart | Method::First => Ok(None),
        };
        let Some(reading) = reading.map_err(|error| from_link(WHAT, error))? else { return Ok(None) };
        if !reading.passed_over.is_empty() {
            let names = reading.passed_over.join("; ");
            let reason = "did not suspend in time, and have met the new code with their old state";
            return Err(failed(format!("processes {reason}: {names}")));
        }
        Ok(Some(reading.measured))
    }
}

impl ErlangDriver {
    /// The applications that run for as long as the release does: those that its boot script starts as
    /// permanent, and that are no part of another one.
    async fn started_applications(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<BTreeSet<String>, DriverError> {
        let (layout, name, version) = (self.layout.clone(), self.settings.release.clone(), version.clone());
        let read = blocking(what, move || started::applications(&layout, &name, &version)).await?;
        read.map_err(|reason| DriverError::Failed { what, reason })
    }

    /// That the application environment is that of `to`: OTP takes a configuration that it cannot read
    /// for an empty one, and an install that fails early leaves the environment half changed.
    async fn expect_environment(
        &self,
        what: &'static str,
        transition: &Transition,
    ) -> Result<(), DriverError> {
        let file = |version| self.layout.config(version).with_added_extension("config");
        let before = match transition.method {
            Method::Hot => transition.from.as_ref().map(file),
            Method::Restart | Method::First => None,
        };
        let faults = self.vm.environment_faults(&file(&transition.to), before.as_deref()).await;
        let faults = faults.map_err(|error| from_link(what, error))?;
        if faults.is_empty() {
            return Ok(());
        }
        let reason = format!("the environment is not that of {}: {}", transition.to, faults.join(", "));
        Err(DriverError::Failed { what, reason })
    }
}

fn expect(
    what: &'static str,
    observed: &Observation,
    from: &ReleaseVersion,
    operation: &str,
) -> Result<(), DriverError> {
    let clean = matches!(observed.condition, Condition::Clean | Condition::Debris { .. });
    if clean && observed.version() == Some(from) {
        return Ok(());
    }
    let running = match &observed.running {
        Running::Down => "nothing runs".to_owned(),
        Running::Up { version, .. } => format!("{version} runs"),
        Running::Unknown { reason } => format!("what runs is unknown ({reason})"),
    };
    Err(DriverError::Refused {
        what,
        reason: format!(
            "{operation} comes from {from}, but {running}, and the node is {:?}",
            observed.condition
        ),
        remedy: "repair the node, or make a new plan".to_owned(),
    })
}
