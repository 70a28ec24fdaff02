//! The node that is broken, again and again, each time from the same beginning.

mod breaking;
mod judging;
mod pushing;

use super::cell::{Cell, Verdict};
use super::disk::Disk;
use super::evidence::Code;
use super::files::Shipped;
use super::points::Points;
use super::transition::{BEGINNINGS, Course, LATE, Transition, TurnedBy, VERSIONS};
use crate::binaries::Binaries;
use crate::cluster::{APP, Cluster, SpecConfig};
use crate::ctl::{Ctl, Plan, Rollout};
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

/// Until a node has settled after a fault.
const SETTLE: Duration = Duration::from_secs(60);

/// One node, and how it was at each beginning.
#[derive(Debug)]
pub(super) struct Stand {
    // The order matters: what is mounted is used until the cluster has ended.
    cluster: Cluster,
    disk: Disk,
    points: Points,
    boots: u64,
    sound: BTreeMap<&'static str, Code>,
    samples: Samples,
    shipped: Shipped,
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
        let shipped = Shipped::read(&samples, VERSIONS.iter().chain([&LATE]))?;
        fs::write(cluster.sick_file(0), "")?;
        let mut stand = Self { cluster, disk, points, boots: 0, sound: BTreeMap::new(), samples, shipped };
        let (name, value) = stand.points.variable();
        stand.cluster.set_environment(&name, &value);
        stand.points.reboot(0)?;
        stand.form().await?;
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

    async fn form(&mut self) -> anyhow::Result<()> {
        self.cluster.form().await?;
        for version in VERSIONS {
            self.push(version).await?;
        }
        let ctl = self.ctl();
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
        if transition.course == Course::AfterPush {
            return self.record_push(transition.to).await;
        }
        let plan = self.plan(transition).await?;
        self.points.record()?;
        let id = self.start(transition, &plan).await?;
        let verdict = self.settle(transition, &id, PEACE).await;
        let trace = self.points.trace()?;
        self.points.disarm()?;
        match verdict {
            Verdict::Ok { on, .. } if on.as_deref() == transition.ends_on() => Ok(trace),
            other => bail!("{} without any fault: {other:?}", transition.name),
        }
    }

    /// Plays a cell, and says how the node ended and how long that took from the end of the fault.
    pub(super) async fn play(&mut self, cell: &Cell) -> anyhow::Result<(Verdict, Duration)> {
        self.begin(cell.transition.from).await?;
        if cell.transition.course == Course::AfterPush {
            return self.play_push(cell).await;
        }
        // What the node is asked while it is planned for passes points, too.
        let plan = self.plan(&cell.transition).await?;
        let since = cell.transition.broken_from();
        self.points.arm(&cell.point, since, cell.passage, cell.fault.action())?;
        let id = self.start(&cell.transition, &plan).await?;
        if !self.reach(&id).await? {
            let why = "the rollout ended without it".to_owned();
            return Ok((Verdict::NotReached { why }, Duration::ZERO));
        }
        if let Err(why) = self.break_it(cell.fault, Some(&id)).await? {
            return Ok((Verdict::NotReached { why }, Duration::ZERO));
        }
        let over = monotonic();
        let verdict = self.settle(&cell.transition, &id, SETTLE).await;
        let recovery = monotonic().since(over);
        Ok((self.confirm(&cell.transition, verdict).await?, recovery))
    }

    /// Has a good end hold, down to the last byte and over a cold start.
    async fn confirm(&mut self, transition: &Transition, verdict: Verdict) -> anyhow::Result<Verdict> {
        Ok(match verdict {
            Verdict::Ok { on, phase } => match self.harm(on.as_deref())? {
                None => self.survives_a_cold_start(transition, on, phase).await?,
                Some(why) => Verdict::Wrong { why },
            },
            verdict => verdict,
        })
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

    async fn plan(&self, transition: &Transition) -> anyhow::Result<Plan> {
        let plan = self.ctl().plan(APP, transition.to).await?;
        let method = plan.steps.first().map_or("nothing", |step| &step.method);
        ensure!(method == transition.method, "{} is planned as {method}", transition.name);
        Ok(plan)
    }

    /// Starts the rollout, and sees to it that it turns back where that is its course.
    async fn start(&self, transition: &Transition, plan: &Plan) -> anyhow::Result<String> {
        let ctl = self.ctl();
        let id = ctl.start(plan).await?;
        if transition.course == Course::Back(TurnedBy::Operator) {
            let is_on_trial = |rollout: &Rollout| rollout.nodes.iter().all(|node| node.step == "baking");
            ctl.rollout_until(&id, "a trial", is_on_trial).await?;
            ctl.run(&["rollout", "abort", &id, "--revert"]).await?;
        }
        Ok(id)
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

    /// What is wrong with the files of the version that it ended on.
    fn harm(&self, version: Option<&str>) -> anyhow::Result<Option<String>> {
        version.map_or(Ok(None), |version| self.shipped.harm(&self.roots().join(APP), version))
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

async fn end(vms: &[Identity]) -> anyhow::Result<()> {
    for vm in vms {
        vm.signal(Signal::KILL, false);
    }
    wait::closely("the VM is gone", PEACE, async || Ok(vms.iter().all(|vm| !vm.is_alive()).then_some(())))
        .await
        .context("after SIGKILL")
}
