//! What the units keep relupd and its apps from, tried as they would try it.

use super::Hosts;
use super::host::Host;
use crate::cluster::APP;
use anyhow::{Context as _, ensure};

/// Something of systemd's own, which runs on every host.
const ANOTHER_UNIT: &str = "systemd-journald.service";

/// Tries it on one host; all are alike.
pub(super) async fn play(hosts: &Hosts) -> anyhow::Result<()> {
    let host = hosts.all().first().context("a host")?;
    for verb in ["stop", "restart"] {
        let ended = asks_systemd(host, verb, ANOTHER_UNIT).await?;
        ensure!(ended != 0, "relupd may {verb} {ANOTHER_UNIT}");
    }
    ensure!(host.unit(ANOTHER_UNIT, "ActiveState").await? == "active", "{ANOTHER_UNIT} was stopped");
    // What it may do with its own is seen in every rollout; here that it was not refused for another reason.
    let app = format!("relupd-app@{APP}.service");
    ensure!(asks_systemd(host, "start", &app).await? == 0, "relupd may not start {app}");

    let file = format!("/opt/{APP}/releases/written-by-the-app");
    let written = host.try_run(&["runuser", "--user", APP, "--", "touch", &file]).await?;
    ensure!(written.code != 0, "the app's user may write {file}");
    let unit = host.unit(&app, "User").await?;
    ensure!(unit == APP, "the app runs as {unit:?}");
    Ok(())
}

/// The exit code of systemctl as relupd's user.
async fn asks_systemd(host: &Host, verb: &str, unit: &str) -> anyhow::Result<i32> {
    let asked = ["runuser", "--user", "relupd", "--", "systemctl", "--no-ask-password", verb, unit];
    Ok(host.try_run(&asked).await?.code)
}
