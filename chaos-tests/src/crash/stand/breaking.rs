//! Waiting for the point at which something breaks, and breaking it.

use super::judging::is_over;
use super::{Stand, end};
use crate::crash::fault::Fault;
use crate::ctl::Ctl;
use crate::process::Identity;
use crate::wait;
use relupd::clock::monotonic;
use rustix::process::Signal;
use std::time::Duration;

/// Until a point is reached, or the rollout has ended without it.
pub(super) const REACH: Duration = Duration::from_secs(60);

/// How long a VM stands still, at most: every timeout on the way may have to run out.
const HANG: Duration = Duration::from_secs(600);

/// Until a stop that was sent is in force.
const STOP: Duration = Duration::from_secs(60);

/// How long the disk fails, at most.
const DISK_TROUBLE: Duration = Duration::from_millis(1500);

/// So many close looks pass between two questions to the cluster.
const ASK_EVERY: u32 = 100;

impl Stand {
    /// Whether the point is reached before the rollout ends.
    pub(super) async fn reach(&self, id: &str) -> anyhow::Result<bool> {
        let (ctl, mut looks) = (self.ctl(), 0_u32);
        wait::closely("the point is reached", REACH, async || {
            if self.points.is_hit() {
                return Ok(Some(true));
            }
            looks += 1;
            if !looks.is_multiple_of(ASK_EVERY) {
                return Ok(None);
            }
            let ended = is_over(&ctl.rollout(id).await?);
            Ok((ended && !self.points.is_hit()).then_some(false))
        })
        .await
    }

    /// Breaks what is to be broken, until the fault is over; what was not there to be broken, otherwise.
    pub(super) async fn break_it(
        &mut self,
        fault: Fault,
        id: Option<&str>,
    ) -> anyhow::Result<Result<(), String>> {
        let vms: Vec<Identity> = self.vms();
        if vms.is_empty() && fault.needs_vm() {
            self.points.disarm()?;
            return Ok(Err("no VM runs there".to_owned()));
        }
        match fault {
            Fault::KillDaemon => self.cluster.kill_daemon(0)?,
            Fault::KillVm => end(&vms).await?,
            Fault::KillBoth => {
                self.cluster.kill_daemon(0)?;
                end(&vms).await?;
            }
            Fault::PowerCut => self.cut_power(&vms).await?,
            Fault::DiskFull | Fault::NoPermission | Fault::ReadOnly => self.trouble(id).await?,
            Fault::FullFileSystem => {
                self.disk.fill()?;
                self.points.disarm()?;
                self.trouble(id).await?;
                self.disk.empty()?;
            }
            Fault::ReadOnlyRoot => {
                let root = self.roots();
                self.disk.protect(&root)?;
                self.points.disarm()?;
                self.trouble(id).await?;
                self.disk.unprotect(&root)?;
            }
            Fault::LostReply => {}
            Fault::Hang => self.hang(&vms, id).await?,
        }
        self.points.disarm()?;
        self.cluster.ensure_daemon(0)?;
        Ok(Ok(()))
    }

    /// The VM stands still for as long as the rollout is on its way, unless it is killed for that.
    async fn hang(&mut self, vms: &[Identity], id: Option<&str>) -> anyhow::Result<()> {
        vms.iter().for_each(|vm| vm.signal(Signal::STOP, false));
        self.points.disarm()?;
        let ctl = self.ctl();
        wait::until("the rollout ends, or the VM is killed", HANG, async || {
            let killed = vms.iter().all(|vm| !vm.is_alive());
            Ok((killed || has_ended(&ctl, id).await?).then_some(()))
        })
        .await?;
        vms.iter().for_each(|vm| vm.signal(Signal::CONT, false));
        Ok(())
    }

    async fn cut_power(&mut self, vms: &[Identity]) -> anyhow::Result<()> {
        let daemon = self.cluster.members()[0].pid().and_then(Identity::of);
        let everybody: Vec<Identity> = vms.iter().copied().chain(daemon).collect();
        everybody.iter().for_each(|process| process.signal(Signal::STOP, false));
        let stopped = async || Ok(everybody.iter().all(|process| process.is_stopped()).then_some(()));
        wait::closely("nobody uses the disk", STOP, stopped).await?;
        self.disk.capture()?;
        self.end_everything().await?;
        self.disk.lose_power()?;
        self.boot_host()
    }

    /// The disk fails until the rollout has ended, or for a while.
    async fn trouble(&mut self, id: Option<&str>) -> anyhow::Result<()> {
        let (ctl, began) = (self.ctl(), monotonic());
        while monotonic().since(began) < DISK_TROUBLE {
            // A daemon that cannot write may have ended.
            if let Ok(true) = has_ended(&ctl, id).await {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// Whether the rollout has ended; one that has not begun has not.
async fn has_ended(ctl: &Ctl, id: Option<&str>) -> anyhow::Result<bool> {
    match id {
        Some(id) => Ok(is_over(&ctl.rollout(id).await?)),
        None => Ok(false),
    }
}
