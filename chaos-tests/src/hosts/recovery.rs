//! What operations.md says to do when hosts are gone for good, typed as it is written there: a lost host, a lost quorum,
//! lost hosts replaced, and a cluster that begins again from a backup after every host was lost.

use super::acknowledged::Acknowledged;
use super::{Hosts, lost_host, settle};
use crate::cluster::APP;
use crate::ctl::Ctl;
use crate::report::Figure;
use crate::samples::Samples;
use crate::show::Show;
use crate::wait;
use anyhow::{Context as _, ensure};
use relupd::clock::monotonic;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];

/// Commands that are acknowledged before the hosts are lost.
const COMMANDS: u32 = 5;

/// A daemon starts again within itself; a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

const BACKUP: &str = "/root/relupd.backup";

/// Plays it on booted hosts.
pub async fn play(hosts: &mut Hosts, samples: &Samples, show: Show) -> anyhow::Result<Vec<Figure>> {
    hosts.form().await?;
    hosts.set_up_app().await?;
    hosts.install_app(samples, &VERSIONS).await?;
    let mut acknowledged = Acknowledged::new(hosts);
    for _ in 0..COMMANDS {
        acknowledged.at(hosts, 0).await?;
    }
    lost_host::play(hosts, VERSIONS[0], show).await?;
    let mut figures = lost_quorum(hosts, samples, &acknowledged, show).await?;
    figures.extend(lost_cluster(hosts, samples, &acknowledged, show).await?);
    Ok(figures)
}

/// A majority of the voters is gone, the leader among them, while a rollout is paused.
async fn lost_quorum(
    hosts: &mut Hosts,
    samples: &Samples,
    acknowledged: &Acknowledged,
    show: Show,
) -> anyhow::Result<Vec<Figure>> {
    let ctl = hosts.ctl(0)?;
    let token = ctl.token().await?;
    let id = ctl.start(&ctl.plan(APP, VERSIONS[1]).await?).await?;
    ctl.run(&["rollout", "pause", &id]).await?;
    let status = hosts.settled().await?;
    let leader = hosts.index_of(status.leader()?)?;
    let size = hosts.all().len();
    let lost: Vec<usize> = (0..size).map(|ahead| (leader + ahead) % size).take(size / 2 + size % 2).collect();
    let left: Vec<usize> = (0..size).filter(|index| !lost.contains(index)).collect();
    let names: Vec<String> = lost.iter().map(|index| hosts.all()[*index].name().to_owned()).collect();
    for index in &lost {
        hosts.at(*index).cut_power();
    }
    let begin = monotonic();
    refused_without_quorum(&hosts.ctl(left[0])?).await?;
    show.witnessed(&format!("{} are gone for good: nothing is decided any more", names.join(", ")));

    let survivor = newest(hosts, &left).await?;
    let host = &hosts.all()[survivor];
    let mut recover = vec!["relupctl", "cluster", "recover", "--yes"];
    for name in &names {
        recover.extend(["--lost", name]);
    }
    wait::until("the survivor goes on alone", PATIENCE, async || host.run(&recover).await.map(Some)).await?;
    let ctl = hosts.ctl(survivor)?;
    let rollout = ctl.rollout_until(&id, "it is there", |rollout| !rollout.summary.is_over()).await?;
    ensure!(!rollout.summary.paused_by.is_empty(), "the rollout is not paused any more");
    let took = monotonic().since(begin);
    let gone = acknowledged.lost_at(&ctl).await?;
    ensure!(gone.is_empty(), "operators are gone: {}", gone.join(", "));
    show.witnessed(&format!(
        "{} goes on as the only voter, with operators, releases and the paused rollout",
        host.name()
    ));

    knows_releases(&ctl).await?;
    // Files that only the lost ones had.
    for version in VERSIONS {
        ctl.run(&["release", "push", &samples.archive(version).to_string_lossy()]).await?;
    }
    ctl.run(&["rollout", "resume", &id]).await?;
    let ended = ctl.watch_to_end(&id).await?;
    ensure!(ended.summary.phase == "completed", "it ended {}: {}", ended.summary.phase, ended.summary.reason);
    show.witnessed("the rollout, resumed, completes on those that are left");
    let mut token = Some(token);
    for index in &lost {
        replace(hosts, *index, survivor, token.take()).await?;
    }
    hosts.settled().await?;
    settle::on(hosts, VERSIONS[1]).await?;
    show.witnessed(
        "hosts with empty disks join in the place of the lost ones, the first by a token from before",
    );
    Ok(vec![
        Figure::seconds("lost_quorum_to_decisions_s", took, None),
        Figure::exactly("acknowledged_commands_lost_in_recovery", gone.len() as u64, 0),
    ])
}

/// Every host is lost; there is a backup, and there are the archives.
async fn lost_cluster(
    hosts: &mut Hosts,
    samples: &Samples,
    acknowledged: &Acknowledged,
    show: Show,
) -> anyhow::Result<Vec<Figure>> {
    // On a voter: while there is one, it leads.
    let status = hosts.settled().await?;
    let first = hosts.index_of(status.leader()?)?;
    let token = hosts.ctl(first)?.token().await?;
    let safe = backup(hosts, first).await?;
    let everyone: Vec<usize> = (0..hosts.all().len()).collect();
    for index in &everyone {
        hosts.at(*index).cut_power();
    }
    let begin = monotonic();
    boot_fresh(hosts, first).await?;
    let host = &hosts.all()[first];
    host.copy(&safe, BACKUP)?;
    wait::until("the cluster begins again", PATIENCE, async || {
        host.run(&["relupctl", "cluster", "restore", BACKUP]).await.map(Some)
    })
    .await?;
    let ctl = hosts.ctl(first)?;
    let gone = wait::until("the restored node answers", PATIENCE, async || {
        acknowledged.lost_at(&ctl).await.map(Some)
    })
    .await?;
    let took = monotonic().since(begin);
    ensure!(gone.is_empty(), "operators are gone: {}", gone.join(", "));
    knows_releases(&ctl).await?;
    show.witnessed(&format!(
        "every host was lost: {} begins the same cluster again from the backup",
        host.name()
    ));
    let mut token = Some(token);
    for index in everyone.into_iter().filter(|index| *index != first) {
        replace(hosts, index, first, token.take()).await?;
    }
    hosts.settled().await?;
    let ctl = hosts.ctl(first)?;
    for version in VERSIONS {
        ctl.run(&["release", "push", &samples.archive(version).to_string_lossy()]).await?;
    }
    settle::on(hosts, VERSIONS[1]).await?;
    settle::caught_up(&ctl).await?;
    let rollout = ctl.roll(APP, VERSIONS[0]).await?;
    ensure!(rollout.summary.phase == "completed", "after the restore: {}", rollout.summary.reason);
    settle::on(hosts, VERSIONS[0]).await?;
    show.witnessed("the others join, archives are pushed again, and a rollout completes on every host");
    Ok(vec![Figure::seconds("restore_to_answers_s", took, None)])
}

async fn refused_without_quorum(ctl: &Ctl) -> anyhow::Result<()> {
    let ended = ctl.try_run(&["--timeout", "15s", "--output", "json", "cluster", "token"]).await?;
    ensure!(ended.code == 1, "a token was made without a quorum");
    Ok(())
}

/// The records of releases, whose files may be gone.
async fn knows_releases(ctl: &Ctl) -> anyhow::Result<()> {
    let known: serde_json::Value = ctl.json(&["release", "list"]).await?;
    let known = known.as_array().context("a list of releases")?;
    for version in VERSIONS {
        ensure!(known.iter().any(|release| release["version"] == version), "{version} is not known any more");
    }
    Ok(())
}

/// The survivor with the highest index.
async fn newest(hosts: &Hosts, left: &[usize]) -> anyhow::Result<usize> {
    let mut found = None;
    for index in left {
        let status: serde_json::Value = hosts.ctl(*index)?.json(&["cluster", "status"]).await?;
        let at = status["as_of_index"].as_u64().context("a status has an index")?;
        found = found.max(Some((at, std::cmp::Reverse(*index))));
    }
    found.map(|(_, index)| index.0).context("nobody is left")
}

/// The file, on a machine that is no host.
async fn backup(hosts: &Hosts, index: usize) -> anyhow::Result<PathBuf> {
    let host = &hosts.all()[index];
    host.run(&["relupctl", "cluster", "backup", BACKUP]).await?;
    let safe = hosts.directory().join("relupd.backup");
    fs::copy(host.path(BACKUP)?, &safe)?;
    host.run(&["rm", BACKUP]).await?;
    Ok(safe)
}

/// A host of the same name and address, whose daemon knows nothing.
async fn boot_fresh(hosts: &mut Hosts, index: usize) -> anyhow::Result<()> {
    let host = hosts.at(index);
    host.replace_state().await?;
    host.power_on()?;
    host.booted().await
}

/// Another host in the place of a lost one joins.
async fn replace(hosts: &mut Hosts, index: usize, by: usize, token: Option<String>) -> anyhow::Result<()> {
    boot_fresh(hosts, index).await?;
    let token = match token {
        Some(token) => token,
        None => hosts.ctl(by)?.token().await?,
    };
    let host = &hosts.all()[index];
    wait::until(&format!("{} is let in", host.name()), PATIENCE, async || {
        host.run(&["relupctl", "cluster", "join", &token]).await.map(Some)
    })
    .await
    .map(drop)
}
