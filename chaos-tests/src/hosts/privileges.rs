//! What the units keep relupd and its apps from, tried as they would try it.

use super::Hosts;
use super::host::Host;
use crate::cluster::APP;
use anyhow::{Context as _, ensure};
use std::fs;

/// Something of systemd's own, which runs on every host.
const ANOTHER_UNIT: &str = "systemd-journald.service";

/// An app that the daemon would have to start itself.
const CHILD: &str = r#"name = "child"
release = "APP"
root = "/opt/child"

[nodes]
labels = { role = "web" }

[service]
kind = "child"

[[health.check]]
name = "alive"
tcp = "{{node.address}}:4200"
"#;

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
    no_child(hosts).await
}

/// An app that the daemon would start itself would run in its sandbox, as its user, and end with it.
async fn no_child(hosts: &Hosts) -> anyhow::Result<()> {
    let path = hosts.directory().join("child.toml");
    fs::write(&path, CHILD.replace("APP", APP))?;
    let ctl = hosts.ctl(0)?;
    ctl.run(&["app", "apply", &path.to_string_lossy()]).await?;
    let rollout = ctl.roll("child", "0.1.0").await?.summary;
    let is_told_why = rollout.reason.contains("relupctl app setup child");
    ensure!(
        rollout.phase == "refused" && is_told_why,
        "a child of a unit: {}: {}",
        rollout.phase,
        rollout.reason
    );
    Ok(())
}

/// The exit code of systemctl as relupd's user.
async fn asks_systemd(host: &Host, verb: &str, unit: &str) -> anyhow::Result<i32> {
    let asked = ["runuser", "--user", "relupd", "--", "systemctl", "--no-ask-password", verb, unit];
    Ok(host.try_run(&asked).await?.code)
}
