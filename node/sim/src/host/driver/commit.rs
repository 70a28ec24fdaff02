//! `erlang/commit.rs`: draining old code, then moving book and pointers, in an order in which every cut
//! is seen as torn pointers.

use super::super::disk::Paper;
use super::super::executor::until;
use super::{DRAIN, Driver, failed, found, refused};
use relupd::driver::{Condition, Drained, DriverError, Method, Purge, Transition};
use relupd::ids::ReleaseVersion;

impl Driver {
    pub(super) async fn drain(&self, transition: &Transition, purge: Purge) -> Result<Drained, DriverError> {
        const WHAT: &str = "drain old code";
        let Some(before) = self.linked_nonce() else { return Err(DriverError::VmGone { what: WHAT }) };
        if transition.method == Method::Hot {
            // It names the modules that may linger.
            self.book(WHAT)?;
        }
        loop {
            let lingers = self.with(|world| {
                let vm = world.linked_vm()?;
                (vm.old_code_until > world.now).then(|| vm.old_code_until - world.now)
            });
            let Some(lingers) = lingers else { break };
            if lingers > DRAIN {
                until(&self.world, DRAIN, |_| None::<()>).await;
                match purge {
                    Purge::Soft => return Ok(Drained::Lingering(vec!["a request".to_owned()])),
                    Purge::Brutal => self.with(|world| {
                        let now = world.now;
                        world.vm_mut().into_iter().for_each(|vm| vm.old_code_until = now);
                    }),
                }
                continue;
            }
            until(&self.world, lingers, |world| world.linked_vm().is_none().then_some(())).await;
        }
        // Another life has not been drained on anybody's behalf.
        if self.linked_nonce().as_ref() == Some(&before) {
            Ok(Drained::Clear(before))
        } else {
            Err(DriverError::VmGone { what: WHAT })
        }
    }

    pub(super) async fn make_permanent(&self, version: &ReleaseVersion) -> Result<(), DriverError> {
        const WHAT: &str = "commit";
        let observed = self.observation().await?;
        if observed.condition == Condition::Clean && observed.version() == Some(version) {
            return self.forget_trial();
        }
        let sound = matches!(
            observed.condition,
            Condition::Trial | Condition::TornPointers { .. } | Condition::HandlerLies { .. }
        );
        if !sound || observed.version() != Some(version) {
            let reason = format!("{version} does not run wholly: {}", found(&observed));
            return Err(refused(WHAT, reason, "observe, then install again or take the node back"));
        }
        self.point_host_at(WHAT, version).await?;
        self.point_vm_at(WHAT, version).await?;
        self.forget_trial()?;
        self.expect_clean(WHAT, version).await
    }

    /// RELEASES, then `start_erl.data`, then the script.
    pub(super) async fn point_host_at(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let book = self.book(what)?;
        if !book.has(version) {
            return Err(refused(what, format!("{version} is not registered in RELEASES"), "place it first"));
        }
        let _on_disk = self.on_disk();
        self.pause(1, 15).await;
        self.write(what, "releases/RELEASES", |world| {
            world.disk.book = Paper::Whole(book.with_permanent(version));
        })?;
        self.pause(1, 15).await;
        let by = self.id;
        self.write(what, "releases/start_erl.data", |world| world.points(Some(version.clone()), by))?;
        self.pause(1, 15).await;
        self.write(what, "bin/REL", |world| {
            if world.disk.has_script {
                world.disk.script = Paper::Whole(version.clone());
            }
        })
    }

    /// What the VM boots at `init:restart`, and what its handler believes.
    pub(super) async fn point_vm_at(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        for reload in [false, true] {
            self.pause(1, 10).await;
            let reached = self.with(|world| {
                world.linked_vm()?;
                let handler = world.read_book(version);
                let vm = world.vm_mut()?;
                if reload {
                    vm.handler = handler;
                } else {
                    vm.restarts_into = version.clone();
                }
                Some(())
            });
            reached.ok_or(DriverError::VmGone { what })?;
        }
        Ok(())
    }

    pub(super) async fn expect_clean(
        &self,
        what: &'static str,
        version: &ReleaseVersion,
    ) -> Result<(), DriverError> {
        let observed = self.observation().await?;
        let whole = matches!(observed.condition, Condition::Clean | Condition::Debris { .. })
            && self.with(|world| world.disk.book.whole().is_some());
        if whole && observed.version() == Some(version) && observed.permanent.as_ref() == Some(version) {
            return Ok(());
        }
        Err(failed(what, format!("{version} should run and be permanent; {}", found(&observed))))
    }
}
