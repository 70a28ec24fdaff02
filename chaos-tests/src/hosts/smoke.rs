//! The shortest way through everything: installed, configured, joined, an app under systemd, a hot
//! rollout under load, and away again.

use super::{Hosts, hot, install, isolation, privileges};
use crate::cluster::APP;
use crate::report::Figure;
use crate::samples::Samples;
use crate::show::Show;
use crate::wait;
use anyhow::{Context as _, ensure};
use std::time::Duration;

/// What the daemon's sandbox may still expose, by systemd's own count.
const EXPOSURE: f64 = 2.0;

pub(super) const JOIN_BOUND_S: f64 = 5.0;

/// The watchdog of two seconds, and what a busy machine adds.
const WATCHDOG_PATIENCE: Duration = Duration::from_secs(30);

/// Plays it on booted hosts.
pub async fn play(hosts: &mut Hosts, samples: &Samples, show: Show) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    unconfigured(hosts).await?;
    show.witnessed("the package is installed; without a configuration nothing runs");

    figures.push(Figure::at_most(
        "package_install_to_joined_s",
        hosts.form().await?.as_secs_f64(),
        "s",
        JOIN_BOUND_S,
    ));
    show.witnessed("hosts came in by the token in their unit's credential, and form one cluster");
    figures.push(exposure(hosts).await?);

    hosts.set_up_app().await?;
    hosts.install_app(samples, &["0.1.0", "0.2.0"]).await?;
    show.witnessed(&format!("{APP} 0.1.0 runs as relupd-app@{APP}.service, as a user of its own"));
    let (served, _) = hot::rolls(hosts, ["0.1.0", "0.2.0"], 0, show).await?;
    figures.extend(served.figures(1));
    figures.push(isolation::play(hosts).await?);
    show.witnessed(
        "from the public network every port was tried on every host: the app answers, nothing else",
    );
    set_up_twice(hosts).await?;
    show.witnessed("a second `relupctl app setup` changes nothing");
    privileges::play(hosts).await?;
    show.witnessed("relupd stops no unit but its apps' and starts no app beside one; its app writes nothing below its root");
    restarted_daemon(hosts).await?;
    show.witnessed(
        "killed, and stopped as leader: leadership was handed over, the daemon is back, the app ran on",
    );
    rebooted(hosts).await?;
    show.witnessed("after a power cut the app is back, without the daemon; and with it the node");
    upgraded(hosts).await?;
    show.witnessed("the package is upgraded: another daemon, the same VM");
    watched(hosts).await?;
    show.witnessed("the disk of a state hangs: systemd's watchdog misses the daemon, and starts it again");
    purged(hosts).await?;
    show.witnessed("removed from the cluster and purged, a host keeps nothing of relupd");
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

async fn set_up_twice(hosts: &Hosts) -> anyhow::Result<()> {
    let said = hosts.all()[0].run(&["relupctl", "app", "setup", APP, "--output", "json"]).await?;
    let report: serde_json::Value = serde_json::from_str(&said)?;
    ensure!(report["changed"] == false, "a second setup changes something: {said}");
    Ok(())
}

async fn restarted_daemon(hosts: &Hosts) -> anyhow::Result<()> {
    for how in [&["kill", "--signal=KILL"][..], &["restart"]] {
        let status = hosts.settled().await?;
        let leader = status.leader()?;
        let index = hosts.index_of(leader)?;
        let host = &hosts.all()[index];
        let (info, start_time) = hosts.testimony(index).await?;
        host.run(&[&["systemctl"], how, &["relupd"]].concat()).await?;
        let after = hosts.settled().await?;
        if how == ["restart"] {
            let journal = host.run(&["journalctl", "--no-pager", "--output=cat", "--unit=relupd"]).await?;
            ensure!(
                journal.contains("handing over leadership before stopping"),
                "{leader} hands nothing over"
            );
            ensure!(after.leader()? != leader, "{leader} leads again after it handed over");
        }
        let (now, now_started) = hosts.testimony(index).await?;
        ensure!(
            (&now.boot, now_started) == (&info.boot, start_time),
            "the app was restarted with the daemon"
        );
    }
    Ok(())
}

async fn rebooted(hosts: &mut Hosts) -> anyhow::Result<()> {
    let last = hosts.all().len() - 1;
    let host = hosts.at(last);
    host.run(&["systemctl", "mask", "--quiet", "relupd"]).await?;
    host.cut_power();
    host.power_on()?;
    host.booted().await?;
    wait::until("the app answers after a power cut", Duration::from_secs(30), async || {
        Ok(hosts.testimony(last).await.ok().filter(|(info, _)| info.version == "0.2.0"))
    })
    .await?;
    let host = &hosts.all()[last];
    ensure!(host.unit("relupd", "ActiveState").await? == "inactive", "a masked daemon runs");
    host.run(&["systemctl", "unmask", "--quiet", "relupd"]).await?;
    host.run(&["systemctl", "start", "relupd"]).await?;
    hosts.settled().await.map(drop)
}

/// The same package over itself is an upgrade to dpkg: the daemon is restarted, and the app is not.
async fn upgraded(hosts: &Hosts) -> anyhow::Result<()> {
    let host = &hosts.all()[0];
    let pid = host.unit("relupd", "MainPID").await?;
    let (info, start_time) = hosts.testimony(0).await?;
    install::package(host, hosts.package()).await?;
    hosts.settled().await?;
    ensure!(host.unit("relupd", "MainPID").await? != pid, "the daemon was not restarted");
    let (now, now_started) = hosts.testimony(0).await?;
    ensure!((&now.boot, now_started) == (&info.boot, start_time), "the app was restarted by the upgrade");
    Ok(())
}

/// A loop that hangs in a disk is no living daemon, though its runtime runs on.
async fn watched(hosts: &Hosts) -> anyhow::Result<()> {
    let host = hosts.all().last().context("a host")?;
    host.run(&["mkdir", "-p", "/run/systemd/system/relupd.service.d"]).await?;
    host.write("/run/systemd/system/relupd.service.d/watchdog.conf", "[Service]\nWatchdogSec=2s\n")?;
    host.run(&["systemctl", "daemon-reload"]).await?;
    host.run(&["systemctl", "restart", "relupd"]).await?;
    hosts.settled().await?;
    let pid = host.unit("relupd", "MainPID").await?;
    let other = hosts.ctl(0)?;
    host.freeze_state()?;
    let missed = wait::until("systemd misses the daemon", WATCHDOG_PATIENCE, async || {
        // An idle log is not written, and hangs nowhere. Whether this one is answered is not the question.
        let _ = other.run(&["cluster", "token"]).await;
        let journal = host.journal("relupd").await;
        Ok(journal.contains("Watchdog timeout").then_some(()))
    })
    .await;
    host.thaw_state()?;
    missed?;
    hosts.settled().await?;
    ensure!(host.unit("relupd", "MainPID").await? != pid, "the daemon was not restarted");
    Ok(())
}

/// A host that is done with relupd keeps nothing of it but the app's own files.
async fn purged(hosts: &Hosts) -> anyhow::Result<()> {
    let host = hosts.all().last().context("a host")?;
    hosts.ctl(0)?.run(&["cluster", "remove", host.name(), "--yes"]).await?;
    host.run(&["dpkg", "--purge", "relupd"]).await?;
    // The state's directory is a mount here, and stays, empty.
    let places = ["/etc", "/usr", "/run/relupd", "/var/lib/relupd", "/var/lib/systemd"];
    let left =
        host.try_run(&[&["find"], &places[..], &["-mindepth", "1", "-name", "*relupd*"]].concat()).await?;
    ensure!(left.stdout.trim().is_empty(), "a purge leaves {}", left.stdout);
    let failed = host.run(&["systemctl", "--failed", "--no-legend", "--plain"]).await?;
    ensure!(failed.trim().is_empty(), "failed units: {failed}");
    Ok(())
}
