//! After faults: everything is healed, and held against what every host itself says.

use super::{Hosts, faults};
use crate::cluster::APP;
use crate::ctl::{ClusterStatus, Ctl, Summary};
use crate::wait;
use anyhow::{Context as _, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Everything is healed: until every host serves what it should, restarts and elections included.
const PATIENCE: Duration = Duration::from_secs(90);

/// Longer than what was reported last takes to be decided and applied everywhere.
const AGREE_PATIENCE: Duration = Duration::from_secs(30);

/// Every host serves this version from outside, and relupd knows it: running, permanent, healthy and
/// nothing half done.
pub(super) async fn on(hosts: &Hosts, version: &str) -> anyhow::Result<()> {
    on_one_of(hosts, &[version]).await.map(drop)
}

/// The same, for whichever of these it is: the same one everywhere.
pub(super) async fn on_one_of<'a>(hosts: &Hosts, versions: &[&'a str]) -> anyhow::Result<&'a str> {
    let what = format!("every host serves {} and will after a boot", versions.join(" or "));
    wait::until(&what, PATIENCE, async || {
        let status = hosts.ctl(0)?.status().await?;
        let (first, _) = hosts.testimony(0).await?;
        let found = versions.iter().find(|version| **version == first.version);
        let version =
            *found.with_context(|| format!("{} serves {}", hosts.all()[0].name(), first.version))?;
        for (index, host) in hosts.all().iter().enumerate() {
            let (info, _) = hosts.testimony(index).await?;
            ensure!(info.version == version, "{} serves {}", host.name(), info.version);
            let instance = status.instance(host.name(), APP)?;
            let agrees = instance.running == version && instance.permanent == version;
            let is_well = instance.health == "healthy" && instance.condition == "clean";
            ensure!(agrees && is_well, "relupd has {instance:?} on {}", host.name());
        }
        Ok(Some(version))
    })
    .await
}

/// Nobody is on the way any more to what the cluster decided before.
pub(super) async fn caught_up(ctl: &Ctl) -> anyhow::Result<()> {
    wait::until("nobody catches up any more", PATIENCE, async || {
        let rollouts: Vec<Summary> = ctl.json(&["rollout", "list", APP]).await?;
        Ok(rollouts.iter().all(Summary::is_over).then_some(()))
    })
    .await
}

/// S8: hosts that have taken in the same commands hold the same state; until all of them have.
pub(super) async fn agreed(hosts: &Hosts) -> anyhow::Result<()> {
    let mut seen = BTreeMap::<String, (String, &str)>::new();
    let mut diverged = None;
    wait::until("every host has taken in the same commands", AGREE_PATIENCE, async || {
        let mut last = BTreeSet::new();
        for (index, host) in hosts.all().iter().enumerate() {
            let status: ClusterStatus = hosts.ctl(index)?.json(&["cluster", "status", "--digest"]).await?;
            let ClusterStatus { state_digest: digest, last_command: command, .. } = status;
            let (first, at) = seen.entry(command.clone()).or_insert((digest.clone(), host.name()));
            if *first != digest {
                diverged = Some(format!("S8: after {command} {at} has {first}, {} {digest}", host.name()));
            }
            last.insert(command);
        }
        Ok((last.len() == 1 || diverged.is_some()).then_some(()))
    })
    .await?;
    match diverged {
        None => Ok(()),
        Some(diverged) => bail!(diverged),
    }
}

/// A release that failed here failed by the fault.
pub(super) async fn lift(hosts: &Hosts) -> anyhow::Result<()> {
    let ctl = hosts.ctl(0)?;
    for quarantine in ctl.status().await?.quarantines {
        let digest = quarantine["digest"].as_str().or_else(|| quarantine["release"]["digest"].as_str());
        let digest = digest.context("a quarantine names a digest")?;
        ctl.run(&["quarantine", "lift", digest]).await?;
    }
    Ok(())
}

/// Heals whatever was left.
pub(super) async fn heal(hosts: &mut Hosts) -> anyhow::Result<()> {
    for index in 0..hosts.all().len() {
        if !hosts.all()[index].is_on() {
            hosts.at(index).power_on()?;
            hosts.at(index).booted().await?;
        }
        hosts.all()[index].run(&["rm", "-f", &super::install::sick_file()]).await?;
        faults::heal_all(hosts, index).await?;
    }
    hosts.settled().await?;
    lift(hosts).await
}
