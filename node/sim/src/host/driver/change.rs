//! `erlang/change.rs`: installs a version as a trial, and proves that it runs, wholly.

use super::super::disk::Paper;
use super::super::executor::until;
use super::super::release::CodeChange;
use super::{Driver, INSTALL, failed, found, refused, runs};
use relupd::driver::{Condition, DriverError, Observation, Transition};
use relupd::ids::ReleaseVersion;
use std::time::Duration;

impl Driver {
    pub(super) async fn install_hot(&self, transition: &Transition) -> Result<(), DriverError> {
        const WHAT: &str = "hot install";
        let Some(from) = &transition.from else {
            return Err(refused(WHAT, "there is no version to come from".to_owned(), "use `first`"));
        };
        if !self.knows(WHAT, &transition.operation)? {
            let observed = self.observation().await?;
            if runs(&observed, &transition.to) {
                return Ok(());
            }
            expect_clean_from(WHAT, &observed, from)?;
            self.expect_relup(WHAT, from, &transition.to)?;
        }
        self.relup(WHAT, &transition.operation, &transition.to).await?;
        let after = self.observation().await?;
        if runs(&after, &transition.to) { Ok(()) } else { Err(failed(WHAT, found(&after))) }
    }

    /// Whether the living VM has begun an operation of this name.
    fn knows(&self, what: &'static str, operation: &str) -> Result<bool, DriverError> {
        self.with(|world| {
            let vm = world.linked_vm().ok_or(DriverError::VmGone { what })?;
            let at_work = vm.job.as_ref().is_some_and(|job| job.operation == operation);
            Ok(at_work || vm.done.contains_key(operation))
        })
    }

    pub(super) fn expect_relup(
        &self,
        what: &'static str,
        from: &ReleaseVersion,
        to: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let leads = self.with(|world| {
            let known = world.linked_vm().is_some_and(|vm| vm.handler.known.contains(to));
            known && world.catalog.code_change(world.setup.host, from, to) != CodeChange::Missing
        });
        if leads {
            return Ok(());
        }
        let reason = format!("no relup leads from {from} to {to}");
        Err(refused(what, reason, "build the release with a relup for it, or go by restart"))
    }

    /// One relup, up or down. It is the VM's: whoever asks again under the same name attaches to it.
    pub(super) async fn relup(
        &self,
        what: &'static str,
        operation: &str,
        to: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        self.pause(1, 5).await;
        let Some(life) = self.linked_nonce() else { return Err(DriverError::VmGone { what }) };
        self.with(|world| world.begin_job(self.id, operation, to));
        let answer = until(&self.world, INSTALL, |world| match world.linked_vm() {
            Some(vm) if vm.nonce == life => vm.done.get(operation).cloned().map(Some),
            Some(_) | None => Some(None),
        });
        let error = match answer.await {
            Some(Some(Ok(()))) => return Ok(()),
            Some(Some(Err(reason))) => failed(what, reason),
            Some(None) => DriverError::VmGone { what },
            None => return Err(DriverError::TimedOut { what, after: INSTALL }),
        };
        // After a crash behind the point of no return OTP answers first and restarts the VM then.
        if self.hung_up(Duration::from_secs(1)).await {
            self.connected().await;
        }
        Err(error)
    }

    pub(super) async fn install_by_restart(&self, transition: &Transition) -> Result<(), DriverError> {
        const WHAT: &str = "install by restart";
        let observed = self.observation().await?;
        if runs(&observed, &transition.to) {
            return Ok(());
        }
        if observed.permanent != transition.from {
            let reason = format!("permanent is {:?}, not {:?}", observed.permanent, transition.from);
            return Err(refused(WHAT, reason, "make a new plan"));
        }
        if !self.book(WHAT)?.has(&transition.to) {
            return Err(refused(WHAT, format!("{} is not registered", transition.to), "place it first"));
        }
        self.halt(true).await?;
        self.pause(1, 20).await;
        self.with(|world| world.disk.trial = Paper::Whole(transition.to.clone()));
        self.boot(WHAT).await.map(drop)
    }

    pub(super) async fn verify(&self, transition: &Transition) -> Result<(), DriverError> {
        const WHAT: &str = "verify";
        let observed = self.observation().await?;
        if !runs(&observed, &transition.to) {
            return Err(failed(WHAT, format!("{} should run; {}", transition.to, found(&observed))));
        }
        self.pause(1, 50).await;
        // A process that was skipped answers system messages all the same: health finds it later.
        self.linked_nonce().map(drop).ok_or(DriverError::VmGone { what: WHAT })
    }
}

fn expect_clean_from(
    what: &'static str,
    observed: &Observation,
    from: &ReleaseVersion,
) -> Result<(), DriverError> {
    let clean = matches!(observed.condition, Condition::Clean | Condition::Debris { .. });
    if clean && observed.version() == Some(from) {
        return Ok(());
    }
    Err(refused(what, format!("it comes from {from}, but {}", found(observed)), "repair the node"))
}
