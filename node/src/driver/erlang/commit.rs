//! What outlives a reboot: draining old code, then moving book and pointers.

use super::disk;
use super::observe::{BookFile, classify};
use super::{ErlangDriver, from_link};
use crate::driver::files::{blocking, remove_durably};
use crate::driver::{Condition, DriverError, Method, Transition};
use crate::ids::{BootNonce, ReleaseVersion};
use std::time::Duration;

const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl ErlangDriver {
    /// Purges old code softly until no process is left in it: OTP's own way at `make_permanent` kills
    /// whoever is.
    pub(super) async fn drain_old_code(&self, transition: &Transition) -> Result<BootNonce, DriverError> {
        const WHAT: &str = "drain old code";
        let nonce = || self.link.boot_nonce().ok_or(DriverError::VmGone { what: WHAT });
        let before = nonce()?;
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            let modules = self.changed_modules(WHAT, from, &transition.to).await?;
            let patience = self.settings.patience.drain;
            tokio::time::timeout(patience, self.purge(&modules))
                .await
                .map_err(|_| DriverError::TimedOut { what: WHAT, after: patience })??;
        }
        // A VM that restarted meanwhile is another life, and has not been drained on anybody's behalf.
        if nonce()? == before { Ok(before) } else { Err(DriverError::VmGone { what: WHAT }) }
    }

    async fn purge(&self, modules: &std::collections::BTreeSet<String>) -> Result<(), DriverError> {
        loop {
            let lingering = self.vm.purge_softly(modules.iter().map(String::as_str)).await;
            if lingering.map_err(|error| from_link("drain old code", error))?.is_empty() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Makes what runs permanent: `version` must run, wholly, or nothing is moved.
    pub(super) async fn make_permanent(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "commit";
        let sources = self.sources().await?;
        let observed = classify(&sources);
        if observed.condition == Condition::Clean && observed.version() == Some(version) {
            return self.forget_trial();
        }
        let sound = match &observed.condition {
            // Torn pointers are what an interrupted commit leaves: going on is the cure.
            Condition::Trial | Condition::TornPointers { .. } | Condition::HandlerLies { .. } => true,
            Condition::Clean
            | Condition::Absent
            | Condition::Stopped
            | Condition::HalfEnvironment { .. }
            | Condition::MixedCode { .. }
            | Condition::Debris { .. }
            | Condition::Unknown { .. } => false,
        };
        if !sound || observed.version() != Some(version) {
            return Err(DriverError::Refused {
                what: WHAT,
                reason: format!(
                    "{version} does not run wholly: found {:?}, {:?}",
                    observed.running, observed.condition
                ),
                remedy: "observe, then install again or take the node back".to_owned(),
            });
        }
        self.point_host_at(WHAT, version).await?;
        self.point_vm_at(WHAT, version).await?;
        self.forget_trial()?;
        self.expect_clean(WHAT, version).await
    }

    /// Book and pointers.
    pub(super) async fn point_host_at(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let book = self.book(what).await?;
        if book.entry(version).is_none() {
            return Err(DriverError::Refused {
                what,
                reason: format!("{version} is not registered in RELEASES"),
                remedy: "place it first".to_owned(),
            });
        }
        let (layout, name, version) = (self.layout.clone(), self.settings.release.clone(), version.clone());
        blocking(what, move || disk::point_at(&layout, &book, &name, &version)).await
    }

    /// What the living VM boots at `init:restart`, and what its handler believes.
    pub(super) async fn point_vm_at(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let (boot, config) = (self.layout.boot(version), self.layout.config(version));
        self.vm.make_permanent(&boot, &config).await.map_err(|error| from_link(what, error))?;
        self.vm.reload_handler().await.map_err(|error| from_link(what, error))
    }

    pub(super) fn forget_trial(&self) -> Result<(), DriverError> {
        let path = self.layout.trial();
        remove_durably(&path).map_err(|source| DriverError::Io {
            what: "remove the trial file",
            path,
            source,
        })
    }

    pub(super) async fn expect_clean(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let sources = self.sources().await?;
        let observed = classify(&sources);
        let whole = matches!(observed.condition, Condition::Clean | Condition::Debris { .. })
            && matches!(sources.disk.book, BookFile::Read(_));
        if whole && observed.version() == Some(version) && observed.permanent.as_ref() == Some(version) {
            Ok(())
        } else {
            Err(DriverError::Failed {
                what,
                reason: format!(
                    "{version} should run and be permanent; found {:?}, permanent {:?}, {:?}",
                    observed.running, observed.permanent, observed.condition
                ),
            })
        }
    }
}
