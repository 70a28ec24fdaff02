//! The shortest way through everything: installed, configured, joined, an app under systemd, a hot
//! rollout under load, and away again.

use super::{Hosts, install, isolation};
use crate::cluster::APP;
use crate::load::Load;
use crate::report::Figure;
use crate::samples::Samples;
use crate::show::Show;
use crate::wait;
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;
use std::time::Duration;

/// What the daemon's sandbox may still expose, by systemd's own count.
const EXPOSURE: f64 = 2.0;

const JOIN_BOUND_S: f64 = 5.0;

/// Plays it on booted hosts.
pub async fn play(hosts: &mut Hosts, samples: &Samples, show: Show) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    unconfigured(hosts).await?;
    show.witnessed("the package is installed; without a configuration nothing runs");

    hosts.form().await?;
    show.witnessed("hosts came in by the token in their unit's credential, and form one cluster");
    figures.push(exposure(hosts).await?);

    hosts.set_up_app().await?;
    hosts.install_app(samples, &["0.1.0", "0.2.0"]).await?;
    show.witnessed(&format!("{APP} 0.1.0 runs as relupd-app@{APP}.service, as a user of its own"));
    figures.extend(hot(hosts, show).await?);
    figures.push(isolation::play(hosts).await?);
    show.witnessed(
        "from the public network every port was tried on every host: the app answers, nothing else",
    );
    set_up_twice(hosts).await?;
    show.witnessed("a second `relupctl app setup` changes nothing");
    restarted_daemon(hosts).await?;
    show.witnessed("killed, and stopped as leader: the daemon is back, leadership went on, the app ran on");
    rebooted(hosts).await?;
    show.witnessed("after a power cut the app is back by itself, and the node with it");
    Ok(figures)
}

async fn unconfigured(hosts: &Hosts) -> anyhow::Result<()> {
    let host = &hosts.all()[0];
    install::package(host, hosts.package()).await?;
    let state = host.unit("relupd", "ActiveState").await?;
    let condition = host.unit("relupd", "ConditionResult").await?;
    ensure!((state.as_str(), condition.as_str()) == ("inactive", "no"), "relupd is {state} unconfigured");
    let failed = host.run(&["systemctl", "--failed", "--no-legend", "--plain"]).await?;
    ensure!(failed.trim().is_empty(), "failed units: {failed}");
    Ok(())
}

pub(super) async fn exposure(hosts: &Hosts) -> anyhow::Result<Figure> {
    let said = hosts.all()[0].run(&["systemd-analyze", "security", "--no-pager", "relupd"]).await?;
    let line = said.lines().find(|line| line.contains("Overall exposure level")).context("a level")?;
    let level = line.split(": ").nth(1).and_then(|rest| rest.split(' ').next()).context("a level")?;
    Ok(Figure::at_most("relupd_security_exposure", level.parse()?, "of 10", EXPOSURE))
}

pub(super) async fn hot(hosts: &Hosts, show: Show) -> anyhow::Result<Vec<Figure>> {
    let mut before = Vec::new();
    for index in 0..hosts.all().len() {
        before.push(hosts.testimony(index).await?);
    }
    let load = Load::start(&hosts.apps(), &hosts.directory().join("load.log"))?;
    let rollout = hosts.ctl(0)?.roll(APP, "0.2.0").await?;
    let record = load.stop().await?;
    ensure!(rollout.summary.phase == "completed", "the hot rollout: {}", rollout.summary.reason);
    for (index, (info, start_time)) in before.iter().enumerate() {
        let (now, now_started) = hosts.testimony(index).await?;
        ensure!(now.version == "0.2.0", "{} answers", now.version);
        ensure!((&now.boot, now_started) == (&info.boot, *start_time), "the VM is another one");
    }
    if let Some((node, why)) = record.failures().first() {
        show.block(&format!("failed on {node}: {why}"));
    }
    show.witnessed(&format!(
        "hot to 0.2.0 through port 80: {} requests from outside, {} failed, {} counts lost, the same VMs",
        record.requests(),
        record.failures().len(),
        record.counters_lost()
    ));
    Ok(vec![
        Figure::some("requests_in_hot_rollout", record.requests()),
        Figure::exactly("failed_requests_in_fault_free_hot_rollout", record.failures().len() as u64, 0),
        Figure::exactly("counters_lost", record.counters_lost(), 0),
    ])
}

async fn set_up_twice(hosts: &Hosts) -> anyhow::Result<()> {
    let said = hosts.all()[0].run(&["relupctl", "app", "setup", APP, "--output", "json"]).await?;
    let report: serde_json::Value = serde_json::from_str(&said)?;
    ensure!(report["changed"] == false, "a second setup changes something: {said}");
    Ok(())
}

async fn restarted_daemon(hosts: &Hosts) -> anyhow::Result<()> {
    let status = hosts.settled().await?;
    let index = hosts.index_of(status.leader()?)?;
    let host = &hosts.all()[index];
    let (info, start_time) = hosts.testimony(index).await?;

    host.run(&["systemctl", "kill", "--signal=KILL", "relupd"]).await?;
    hosts.settled().await?;
    host.run(&["systemctl", "restart", "relupd"]).await?;
    hosts.settled().await?;

    let (now, now_started) = hosts.testimony(index).await?;
    ensure!((&now.boot, now_started) == (&info.boot, start_time), "the app was restarted with the daemon");
    Ok(())
}

async fn rebooted(hosts: &mut Hosts) -> anyhow::Result<()> {
    let last = hosts.all().len() - 1;
    let host = hosts.at(last);
    host.cut_power();
    host.power_on()?;
    host.booted().await?;
    wait::until("the app answers after a power cut", Duration::from_secs(30), async || {
        Ok(hosts.testimony(last).await.ok().filter(|(info, _)| info.version == "0.2.0"))
    })
    .await?;
    hosts.settled().await.map(drop)
}

/// From a package to a member, on one more host.
pub async fn join_time(hosts: &Hosts, index: usize) -> anyhow::Result<Figure> {
    let host = &hosts.all()[index];
    let begin = monotonic();
    install::package(host, hosts.package()).await?;
    host.write("/etc/relupd/relupd.toml", &install::configuration(host))?;
    hosts.join(host).await?;
    Ok(Figure::at_most(
        "package_install_to_joined_s",
        monotonic().since(begin).as_secs_f64(),
        "s",
        JOIN_BOUND_S,
    ))
}
