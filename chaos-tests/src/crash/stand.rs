//! The node that is broken, again and again, each time from the same beginning.

use super::cell::{Cell, Verdict};
use super::disk::Disk;
use super::evidence::{Code, Expected, disagreements};
use super::fault::Fault;
use super::points::Points;
use super::transition::{BEGINNINGS, Transition};
use crate::binaries::Binaries;
use crate::cluster::{APP, Cluster, SpecConfig};
use crate::ctl::{Ctl, Rollout};
use crate::process::{self, Identity};
use crate::samples::Samples;
use crate::wait;
use anyhow::{Context as _, bail, ensure};
use relupd::clock::monotonic;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Until a node that was left in peace has settled.
const PEACE: Duration = Duration::from_secs(60);

/// Until a point is reached, or the rollout has ended without it.
const REACH: Duration = Duration::from_secs(60);

/// Until a node has settled after a fault.
const SETTLE: Duration = Duration::from_secs(60);

/// How long a VM stands still, at most: every timeout on the way may have to run out.
const HANG: Duration = Duration::from_secs(600);

/// How long the disk fails, at most.
const DISK_TROUBLE: Duration = Duration::from_millis(1500);

/// So many close looks pass between two questions to the cluster.
const ASK_EVERY: u32 = 100;

/// One node, and how it was at each beginning.
#[derive(Debug)]
pub(super) struct Stand {
    // The order matters: what is mounted is used until the cluster has ended.
    cluster: Cluster,
    disk: Disk,
    points: Points,
    boots: u64,
    sound: BTreeMap<&'static str, Code>,
}

impl Stand {
    /// A node on which every release lies, and a copy of it at each of these beginnings.
    pub(super) async fn prepare(
        directory: &Path,
        binaries: Binaries,
        beginnings: &[Option<&'static str>],
    ) -> anyhow::Result<Self> {
        let samples = Samples::shared().await?;
        fs::create_dir_all(directory)?;
        let directory = directory.canonicalize()?;
        let disk = Disk::make(&directory.join("n1"))?;
        let cluster = Cluster::prepare(&directory, binaries, 1)?;
        let points = Points::new(&directory.join("points"))?;
        let mut stand = Self { cluster, disk, points, boots: 0, sound: BTreeMap::new() };
        let (name, value) = stand.points.variable();
        stand.cluster.set_environment(&name, &value);
        stand.points.reboot(0)?;
        stand.form(&samples).await?;
        for beginning in BEGINNINGS {
            if let Some(version) = beginning {
                let rolled = stand.ctl().roll(APP, version).await?;
                ensure!(rolled.summary.phase == "completed", "{version}: {}", rolled.summary.reason);
            }
            stand.end_everything().await?;
            stand.disk.keep(name_of(beginning))?;
            stand.begin(beginning).await?;
            if let Some(version) = beginning {
                stand.sound.insert(version, Code::take(stand.app()).await?);
            }
            if beginnings.iter().all(|wanted| stand.has(*wanted)) {
                break;
            }
        }
        Ok(stand)
    }

    /// Whether this beginning is kept.
    fn has(&self, beginning: Option<&str>) -> bool {
        beginning.is_none_or(|version| self.sound.contains_key(version))
    }

    async fn form(&mut self, samples: &Samples) -> anyhow::Result<()> {
        self.cluster.form().await?;
        let ctl = self.ctl();
        for version in BEGINNINGS.iter().flatten() {
            ctl.run(&["release", "push", &samples.archive(version).to_string_lossy()]).await?;
        }
        let quick = SpecConfig {
            bake: Duration::from_millis(300),
            interval: Duration::from_millis(100),
            progress_deadline: Duration::from_secs(15),
            ..SpecConfig::default()
        };
        let spec = self.cluster.write_spec(&quick)?;
        ctl.run(&["app", "apply", &spec.to_string_lossy()]).await?;
        Ok(())
    }

    /// Whether the node has a file system of its own.
    pub(super) const fn is_mounted(&self) -> bool {
        self.disk.is_mounted()
    }

    /// What the daemon has written since the last beginning.
    pub(super) fn log(&self) -> PathBuf {
        self.cluster.members()[0].log()
    }

    /// What is passed on the way when nothing breaks.
    pub(super) async fn record(&mut self, transition: &Transition) -> anyhow::Result<Vec<String>> {
        self.begin(transition.from).await?;
        self.points.record()?;
        let id = self.start(transition).await?;
        let verdict = self.settle(transition, &id, PEACE).await;
        let trace = self.points.trace()?;
        self.points.disarm()?;
        match verdict {
            Verdict::Ok { on, .. } if on.as_deref() == Some(transition.to) => Ok(trace),
            other => bail!("{} without any fault: {other:?}", transition.name),
        }
    }

    /// Plays a cell, and says how the node ended and how long that took from the end of the fault.
    pub(super) async fn play(&mut self, cell: &Cell) -> anyhow::Result<(Verdict, Duration)> {
        self.begin(cell.transition.from).await?;
        self.points.arm(&cell.point, cell.passage, cell.fault.action())?;
        let id = self.start(&cell.transition).await?;
        if !self.reach(&id).await? {
            let why = "the rollout ended without it".to_owned();
            return Ok((Verdict::NotReached { why }, Duration::ZERO));
        }
        if let Err(why) = self.break_it(cell.fault, &id).await? {
            return Ok((Verdict::NotReached { why }, Duration::ZERO));
        }
        let over = monotonic();
        let verdict = self.settle(&cell.transition, &id, SETTLE).await;
        let recovery = monotonic().since(over);
        let verdict = match verdict {
            Verdict::Ok { on, phase } if !cell.fault.ends_daemon() => {
                self.survives_a_cold_start(&cell.transition, on, phase).await?
            }
            verdict => verdict,
        };
        Ok((verdict, recovery))
    }

    /// The node as it was when nothing had happened yet.
    async fn begin(&mut self, beginning: Option<&'static str>) -> anyhow::Result<()> {
        self.end_everything().await?;
        self.disk.restore(name_of(beginning))?;
        self.boot_host()?;
        fs::File::create(self.log())?;
        self.cluster.start_daemon(0).await?;
        if let Some(version) = beginning {
            let what = format!("a sound beginning on {version}");
            wait::until(&what, PEACE, async || {
                let wrong = self.wrong(Some(version), None).await;
                ensure!(wrong.is_empty(), "{}", wrong.join("; "));
                Ok(Some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// What a boot of the host leaves of what was.
    fn boot_host(&mut self) -> anyhow::Result<()> {
        self.boots += 1;
        self.points.disarm()?;
        self.points.reboot(self.boots)?;
        let run = self.run_directory();
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        Ok(fs::create_dir_all(&run)?)
    }

    async fn start(&self, transition: &Transition) -> anyhow::Result<String> {
        let ctl = self.ctl();
        let plan = ctl.plan(APP, transition.to).await?;
        let method = plan.steps.first().map_or("nothing", |step| &step.method);
        ensure!(method == transition.method, "{} is planned as {method}", transition.name);
        ctl.start(&plan).await
    }

    /// Whether the point is reached before the rollout ends.
    async fn reach(&self, id: &str) -> anyhow::Result<bool> {
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
    async fn break_it(&mut self, fault: Fault, id: &str) -> anyhow::Result<Result<(), String>> {
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
    async fn hang(&mut self, vms: &[Identity], id: &str) -> anyhow::Result<()> {
        vms.iter().for_each(|vm| vm.signal(Signal::STOP, false));
        self.points.disarm()?;
        let ctl = self.ctl();
        wait::until("the rollout ends, or the VM is killed", HANG, async || {
            let killed = vms.iter().all(|vm| !vm.is_alive());
            Ok((killed || is_over(&ctl.rollout(id).await?)).then_some(()))
        })
        .await?;
        vms.iter().for_each(|vm| vm.signal(Signal::CONT, false));
        Ok(())
    }

    async fn cut_power(&mut self, vms: &[Identity]) -> anyhow::Result<()> {
        vms.iter().for_each(|vm| vm.signal(Signal::STOP, false));
        self.disk.capture()?;
        self.end_everything().await?;
        self.disk.lose_power()?;
        self.boot_host()
    }

    /// The disk fails until the rollout has ended, or for a while.
    async fn trouble(&mut self, id: &str) -> anyhow::Result<()> {
        let (ctl, began) = (self.ctl(), monotonic());
        while monotonic().since(began) < DISK_TROUBLE {
            // A daemon that cannot write may have ended.
            match ctl.rollout(id).await {
                Ok(rollout) if is_over(&rollout) => break,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
        Ok(())
    }

    /// Waits until the rollout has ended and the node is where that says, and judges.
    async fn settle(&mut self, transition: &Transition, id: &str, patience: Duration) -> Verdict {
        let (ctl, began) = (self.ctl(), monotonic());
        loop {
            // A service manager would start it again, too.
            let look = match self.cluster.ensure_daemon(0) {
                Ok(()) => self.look(transition, &ctl, id).await,
                Err(error) => Err(error),
            };
            match look {
                Ok(Some(verdict)) => return verdict,
                Ok(None) => {}
                Err(error) if monotonic().since(began) > patience => {
                    return Verdict::Wrong { why: format!("{error:#}") };
                }
                Err(_) => {}
            }
            if monotonic().since(began) > patience {
                return Verdict::Wrong { why: format!("rollout {id} does not end within {patience:?}") };
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn look(&self, transition: &Transition, ctl: &Ctl, id: &str) -> anyhow::Result<Option<Verdict>> {
        let rollout = ctl.rollout(id).await?;
        let on = match rollout.summary.phase.as_str() {
            "completed" => Some(transition.to),
            "refused" | "reverted" => transition.from,
            "needs_operator" => return self.needs_operator(ctl, &rollout).await.map(Some),
            "held" => bail!("the rollout is held, which nobody asked for"),
            _ => return Ok(None),
        };
        let wrong = self.wrong(on, transition.from.filter(|_| transition.method == "hot")).await;
        ensure!(wrong.is_empty(), "{}, but {}", rollout.summary.phase, wrong.join("; "));
        let phase = rollout.summary.phase;
        Ok(Some(Verdict::Ok { on: on.map(str::to_owned), phase }))
    }

    async fn needs_operator(&self, ctl: &Ctl, rollout: &Rollout) -> anyhow::Result<Verdict> {
        let shown = ctl.try_run(&["rollout", "show", &rollout.summary.id]).await?.stdout;
        let complete = !rollout.summary.reason.is_empty() && shown.contains("relupctl ");
        Ok(if complete {
            Verdict::NeedsOperator { shown }
        } else {
            Verdict::Wrong { why: format!("it needs an operator and does not say which command: {shown}") }
        })
    }

    /// What does not fit this version, by every witness and by relupd's own word.
    async fn wrong(&self, version: Option<&str>, booted: Option<&str>) -> Vec<String> {
        let member = &self.cluster.members()[0];
        let root = self.roots().join(APP);
        let trial = self.run_directory().join(APP).join("trial");
        let code = version.and_then(|version| self.sound.get(version));
        let mut wrong = disagreements(&root, &trial, self.app(), Expected { version, code, booted }).await;
        let Some(version) = version else { return wrong };
        let told = self.ctl().status().await;
        match told.and_then(|status| status.instance(member.name(), APP).cloned()) {
            Ok(instance) => {
                let told = [&instance.permanent, &instance.running, &instance.health];
                if told != [version, version, "healthy"] {
                    wrong.push(format!("relupd says {instance:?}"));
                }
            }
            Err(error) => wrong.push(format!("{error:#}")),
        }
        wrong
    }

    /// Daemon and VM are killed and come back by themselves, on the same version.
    async fn survives_a_cold_start(
        &mut self,
        transition: &Transition,
        on: Option<String>,
        phase: String,
    ) -> anyhow::Result<Verdict> {
        let version = on.as_deref();
        self.end_everything().await?;
        self.boot_host()?;
        self.cluster.start_daemon(0).await?;
        let what = format!("{} after a cold start", transition.name);
        let settled = wait::until(&what, PEACE, async || {
            let wrong = self.wrong(version, None).await;
            ensure!(wrong.is_empty(), "{}", wrong.join("; "));
            Ok(Some(()))
        });
        Ok(match settled.await {
            Ok(()) => Verdict::Ok { on, phase },
            Err(error) => Verdict::Wrong { why: format!("{error:#}") },
        })
    }

    /// Kills the daemon and every VM.
    async fn end_everything(&mut self) -> anyhow::Result<()> {
        self.points.disarm()?;
        if self.cluster.members()[0].pid().is_some() {
            self.cluster.kill_daemon(0)?;
        }
        // One that the daemon was just starting may come up meanwhile.
        loop {
            let vms = self.vms();
            if vms.is_empty() {
                return Ok(());
            }
            end(&vms).await?;
        }
    }

    /// Every process of the app, whether or not anybody has it in a book.
    fn vms(&self) -> Vec<Identity> {
        process::all_below(&self.roots())
    }

    fn roots(&self) -> PathBuf {
        self.cluster.members()[0].state_dir().with_file_name("opt")
    }

    fn run_directory(&self) -> PathBuf {
        self.cluster.members()[0].run_dir().to_owned()
    }

    fn app(&self) -> SocketAddr {
        self.cluster.apps()[0].1
    }

    fn ctl(&self) -> Ctl {
        self.cluster.ctl(0)
    }
}

fn name_of(beginning: Option<&str>) -> &str {
    beginning.unwrap_or("nothing")
}

fn is_over(rollout: &Rollout) -> bool {
    ["completed", "refused", "reverted", "held", "needs_operator"].contains(&rollout.summary.phase.as_str())
}

async fn end(vms: &[Identity]) -> anyhow::Result<()> {
    for vm in vms {
        vm.signal(Signal::KILL, false);
    }
    wait::closely("the VM is gone", PEACE, async || Ok(vms.iter().all(|vm| !vm.is_alive()).then_some(())))
        .await
        .context("after SIGKILL")
}
