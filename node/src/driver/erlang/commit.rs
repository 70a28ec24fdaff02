//! What outlives a reboot: draining old code, then moving book and pointers.

use super::disk;
use super::observe::{BookFile, classify};
use super::{ErlangDriver, from_link};
use crate::driver::files::{blocking, remove_durably};
use crate::driver::{Condition, Drained, DriverError, Method, Purge, Transition};
use crate::ids::ReleaseVersion;
use std::collections::BTreeSet;
use std::time::Duration;

const DRAIN: &str = "drain old code";
/// So many processes are named: a server may have thousands of requests on their way.
const LISTED: usize = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl ErlangDriver {
    /// Purges old code softly until no process is left in it: OTP's own way at `make_permanent` kills
    /// whoever is.
    pub(super) async fn drain_old_code(
        &self,
        transition: &Transition,
        purge: Purge,
    ) -> Result<Drained, DriverError> {
        let nonce = || self.link.boot_nonce().ok_or(DriverError::VmGone { what: DRAIN });
        let before = nonce()?;
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            let modules = self.changed_modules(DRAIN, from, &transition.to).await?;
            let lingering = self.leave(&modules, self.settings.patience.drain).await?;
            match purge {
                Purge::Soft if !lingering.is_empty() => return Ok(Drained::Lingering(lingering)),
                Purge::Soft => {}
                Purge::Brutal => {
                    tracing::warn!(app = %self.settings.app, ?lingering, "killing who still runs old code");
                    let purged = self.vm.purge_brutally(modules.iter().map(String::as_str)).await;
                    purged.map_err(|error| from_link(DRAIN, error))?;
                }
            }
        }
        // A VM that restarted meanwhile is another life, and has not been drained on anybody's behalf.
        if nonce()? == before { Ok(Drained::Clear(before)) } else { Err(DriverError::VmGone { what: DRAIN }) }
    }

    /// Waits until no process runs old code of these modules; says which ones still do after so long.
    pub(super) async fn leave(
        &self,
        modules: &BTreeSet<String>,
        patience: Duration,
    ) -> Result<Vec<String>, DriverError> {
        let modules = || modules.iter().map(String::as_str);
        let mut looks = patience.as_millis() / LOOK_AGAIN.as_millis();
        loop {
            let unpurged = self.vm.purge_softly(modules()).await.map_err(|error| from_link(DRAIN, error))?;
            if unpurged.is_empty() {
                return Ok(Vec::new());
            }
            if looks == 0 {
                let lingering = self.vm.in_old_code(unpurged.iter().map(String::as_str)).await;
                let lingering = lingering.map_err(|error| from_link(DRAIN, error))?;
                // Who has just left is not in the way: the next try will tell.
                let unnamed = || unpurged.iter().map(|module| format!("a process in {module}")).collect();
                return Ok(listed(if lingering.is_empty() { unnamed() } else { lingering }));
            }
            looks -= 1;
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

fn listed(mut processes: Vec<String>) -> Vec<String> {
    let more = processes.len().saturating_sub(LISTED);
    if more > 0 {
        processes.truncate(LISTED);
        processes.push(format!("and {more} more"));
    }
    processes
}
