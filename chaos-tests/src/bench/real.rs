//! With the sample app in real VMs: how long it is silent while it is upgraded hot under load, and how
//! soon the death of a VM on trial is a verdict.

use super::Bench;
use super::fake::text;
use super::journal::{self, Journal};
use super::statistics::{Samples, ms_between};
use crate::cluster::{APP, Cluster, SpecConfig};
use crate::load::Load;
use crate::process;
use crate::report::{Figure, Report};
use crate::samples::Samples as Releases;
use crate::wait;
use anyhow::{Context as _, ensure};
use relupd::clock::wall;
use rustix::process::Signal;
use std::time::Duration;

pub(super) const OUTAGE: &str = "hot_upgrade_outage_ms";
pub(super) const VM_DEATH: &str = "vm_death_to_verdict_p99_ms";
const OUTAGE_BOUND: f64 = 100.0;
const VM_DEATH_BOUND: f64 = 100.0;

/// Up and down again, on three nodes each.
const UPGRADES: usize = 4;

const DEATHS: usize = 20;

/// The node whose VM dies: the first of the plan.
const VICTIM: usize = 0;

pub(super) const OLD: &str = "0.1.0";
pub(super) const NEW: &str = "0.2.0";

/// A VM takes seconds to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) async fn measure(bench: &Bench, report: &mut Report) -> anyhow::Result<()> {
    let releases = Releases::build(&bench.directory.join("samples")).await?;
    let mut cluster = Cluster::prepare(&bench.directory.join("real"), bench.binaries.clone(), 3)?;
    cluster.configure(journal::SETTINGS)?;
    cluster.form().await?;
    let ctl = cluster.ctl(0);
    for version in [OLD, NEW] {
        ctl.run(&["release", "push", text(&releases.archive(version))?]).await?;
    }
    apply(&cluster, Duration::from_millis(500)).await?;
    roll(&cluster, OLD).await?;
    healthy_on(&cluster, OLD).await?;
    if bench.wants(&[OUTAGE]) {
        outage(&cluster, report).await?;
    }
    if bench.wants(&[VM_DEATH]) {
        deaths(&cluster, report).await?;
    }
    Ok(())
}

async fn outage(cluster: &Cluster, report: &mut Report) -> anyhow::Result<()> {
    let mut gaps = Samples::default();
    let (mut requests, mut failures) = (0, 0);
    for number in 0..UPGRADES {
        let version = if number.is_multiple_of(2) { NEW } else { OLD };
        let load = Load::start(&cluster.apps(), &cluster.directory().join(format!("load-{number}.log")))?;
        roll(cluster, version).await?;
        let record = load.stop().await?;
        gaps.push(record.longest_gap().as_secs_f64() * 1000.0);
        requests += record.requests();
        failures += record.failures().len();
        healthy_on(cluster, version).await?;
    }
    report.push(Figure::at_most_ms(OUTAGE, gaps.percentile(100), OUTAGE_BOUND));
    report.note(format!(
        "{OUTAGE}: the longest time without an answer of one node in {UPGRADES} hot rollouts over three nodes \
         (up and down), {requests} requests of which {failures} failed; longest gap of each rollout: {}",
        gaps.describe()
    ));
    Ok(())
}

async fn deaths(cluster: &Cluster, report: &mut Report) -> anyhow::Result<()> {
    // The VM is to die in its bake, whenever that is.
    apply(cluster, Duration::from_secs(60)).await?;
    let mut journal = Journal::of(cluster);
    let mut samples = Samples::default();
    for _ in 0..DEATHS {
        samples.push(death(cluster, &mut journal).await?);
        healthy_on(cluster, OLD).await?;
        allow_again(cluster).await?;
    }
    report.push(Figure::at_most_ms(VM_DEATH, samples.percentile(99), VM_DEATH_BOUND));
    report.note(format!(
        "{VM_DEATH}: from right before kill -9 of the VM until the agent's decision that it has failed; {}",
        samples.describe()
    ));
    Ok(())
}

async fn death(cluster: &Cluster, journal: &mut Journal) -> anyhow::Result<f64> {
    let ctl = cluster.ctl(1);
    let plan = ctl.plan(APP, NEW).await?;
    journal.begin()?;
    let id = ctl.start(&plan).await?;
    let bakes = journal.until("the node bakes", |entry| {
        entry.node == VICTIM && entry.says("attempt") && entry.text("action").contains("Baking")
    });
    bakes.await?;
    let vm = process::apps_of(cluster.members()[VICTIM].state_dir());
    let vm = *vm.first().context("the app runs as a child")?;
    let killed_at = wall();
    vm.signal(Signal::KILL, false);
    let verdict = journal.until("a verdict", |entry| {
        entry.node == VICTIM && entry.says("the verdict on this node is: failed")
    });
    let ms = ms_between(killed_at, verdict.await?.at);
    let end = ctl.watch_to_end(&id).await?;
    ensure!(end.summary.phase == "reverted", "rollout {id} is {}: {}", end.summary.phase, end.summary.reason);
    Ok(ms)
}

pub(super) async fn apply(cluster: &Cluster, bake: Duration) -> anyhow::Result<()> {
    let spec = SpecConfig { bake, ..SpecConfig::default() };
    cluster.ctl(0).run(&["app", "apply", text(&cluster.write_spec(&spec)?)?]).await?;
    Ok(())
}

async fn roll(cluster: &Cluster, version: &str) -> anyhow::Result<()> {
    let end = cluster.ctl(0).roll(APP, version).await?;
    ensure!(end.summary.phase == "completed", "{}: {}", end.summary.phase, end.summary.reason);
    Ok(())
}

pub(super) async fn healthy_on(cluster: &Cluster, version: &str) -> anyhow::Result<()> {
    wait::until(&format!("every node is healthy on {version}"), PATIENCE, async || {
        let status = cluster.ctl(0).status().await?;
        for member in cluster.members() {
            let instance = status.instance(member.name(), APP)?;
            if instance.health != "healthy" || instance.running != version {
                return Ok(None);
            }
        }
        Ok(Some(()))
    })
    .await
}

async fn allow_again(cluster: &Cluster) -> anyhow::Result<()> {
    let ctl = cluster.ctl(0);
    for quarantine in ctl.status().await?.quarantines {
        let digest = quarantine["digest"].as_str().context("a quarantine has a digest")?;
        ctl.run(&["quarantine", "lift", digest]).await?;
    }
    Ok(())
}
