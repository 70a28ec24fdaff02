//! What operations.md says to do about one host that was given up and comes back all the same, typed as it is written there.

use super::{Hosts, settle};
use crate::cluster::APP;
use crate::show::Show;
use crate::wait;
use anyhow::{Context as _, ensure};
use std::time::Duration;

/// Two seconds without a sign of life, a boot, a join; and a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// One that does not lead loses its power, is removed, and is brought in again under a new id.
pub(super) async fn play(hosts: &mut Hosts, version: &str, show: Show) -> anyhow::Result<()> {
    let status = hosts.settled().await?;
    let leader = hosts.index_of(status.leader()?)?;
    let lost = (leader + 1) % hosts.all().len();
    let name = hosts.all()[lost].name().to_owned();
    let id_of = |status: &crate::ctl::Status| {
        let node = status.cluster.nodes.iter().find(|node| node.name == name);
        node.map(|node| (node.id.clone(), node.liveness.clone()))
    };
    let (old, _) = id_of(&status).context("the host is a node")?;
    hosts.at(lost).cut_power();
    let ctl = hosts.ctl(leader)?;
    wait::until(&format!("{name} is dead"), PATIENCE, async || {
        Ok(id_of(&ctl.status().await?).filter(|(_, liveness)| liveness == "dead").map(drop))
    })
    .await?;
    hosts.all()[leader].run(&["relupctl", "cluster", "remove", &name, "--yes"]).await?;

    hosts.at(lost).power_on()?;
    hosts.at(lost).booted().await?;
    wait::until("the app of a removed host runs on", PATIENCE, async || {
        let (info, _) = hosts.testimony(lost).await?;
        Ok((info.version == version).then_some(()))
    })
    .await?;
    let alone = hosts.ctl(lost)?;
    wait::until("the removed host's daemon answers", PATIENCE, async || alone.status().await.map(Some))
        .await?;
    let said = alone.try_run(&["--timeout", "15s", "cluster", "token"]).await?;
    ensure!(said.code == 1, "a removed host makes a token: {said:?}");
    ensure!(id_of(&ctl.status().await?).is_none(), "{name} is a node again, unasked");
    show.witnessed(&format!("{name}, given up and removed, comes back: it stays out, and its app runs on"));

    let host = &hosts.all()[lost];
    for typed in [
        "systemctl stop relupd",
        &format!("systemctl stop relupd-app@{APP}"),
        "old=/var/lib/relupd.$(date +%s); install -d -m 700 $old && mv /var/lib/relupd/* $old/",
        "systemctl start relupd",
    ] {
        host.run(&["sh", "-c", typed]).await?;
    }
    let token = hosts.all()[leader].run(&["relupctl", "cluster", "token"]).await?;
    host.run(&["relupctl", "cluster", "join", token.trim()]).await?;
    let (new, _) = id_of(&hosts.settled().await?).context("the host is a node again")?;
    ensure!(new != old, "{name} has its old id");
    settle::on(hosts, version).await?;
    settle::caught_up(&ctl).await?;
    show.witnessed(&format!("{name} joins as another node, and is brought to {version} by itself"));
    Ok(())
}
