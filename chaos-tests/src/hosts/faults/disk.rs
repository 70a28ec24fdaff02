//! What disks and files suffer.

use super::systemctl;
use crate::cluster::APP;
use crate::hosts::host::Host;
use anyhow::{Context as _, ensure};

pub(super) const STATE: &str = "/var/lib/relupd";
pub(super) const RELEASES: &str = "/opt";

/// Where the whole ones lie meanwhile, beside the damaged ones.
const GOOD_STORE: &str = "/var/lib/relupd/store.good";
const STORE: &str = "/var/lib/relupd/store";
const GOOD_FILE: &str = "/var/lib/relupd/raft.redb.good";
const FILE: &str = "/var/lib/relupd/raft.redb";

/// Takes what is free, down to the last block. That it ends in an error is the point.
pub(super) async fn fill(host: &Host, directory: &str) -> anyhow::Result<()> {
    let filler = format!("{directory}/filler");
    host.try_run(&["dd", "if=/dev/zero", &format!("of={filler}"), "bs=64k"]).await?;
    host.try_run(&["dd", "if=/dev/zero", &format!("of={filler}"), "bs=512", "oflag=append", "conv=notrunc"])
        .await?;
    host.path(&filler)?.exists().then_some(()).context("nothing was filled")
}

pub(super) async fn empty(host: &Host, directory: &str) -> anyhow::Result<()> {
    host.run(&["rm", &format!("{directory}/filler")]).await.map(drop)
}

/// One byte of every stored file of more than a block has changed, and what was placed of the version is gone.
pub(super) async fn corrupt_store(host: &Host, to: &str) -> anyhow::Result<()> {
    let script = format!(
        "cp -a {STORE} {GOOD_STORE} && \
         find {STORE} -type f -size +1k | while read -r file; do \
             printf X | dd of=\"$file\" bs=1 seek=700 conv=notrunc status=none; \
         done && \
         rm -rf /opt/{APP}/releases/{to} /opt/{APP}/lib/{APP}-{to}"
    );
    host.run(&["sh", "-c", &script]).await.map(drop)
}

/// What was fetched again meanwhile is as good.
pub(super) async fn restore_store(host: &Host) -> anyhow::Result<()> {
    let script =
        format!("[ ! -d {GOOD_STORE} ] || {{ cp -a {GOOD_STORE}/. {STORE}/ && rm -rf {GOOD_STORE}; }}");
    host.run(&["sh", "-c", &script]).await.map(drop)
}

/// Its head is gone: nobody can go on with it. A file that is put back must be as new as what the daemon ran with.
pub(super) async fn corrupt_state(host: &Host) -> anyhow::Result<()> {
    systemctl(host, &["stop", "relupd"]).await?;
    host.run(&["cp", "-a", FILE, GOOD_FILE]).await?;
    host.run(&["dd", "if=/dev/urandom", &format!("of={FILE}"), "bs=4k", "count=4", "conv=notrunc"]).await?;
    systemctl(host, &["start", "--no-block", "relupd"]).await
}

pub(super) async fn restore_state(host: &Host) -> anyhow::Result<()> {
    let state = host.unit("relupd", "ActiveState").await?;
    ensure!(state != "active", "the daemon on {} runs with a damaged state file", host.name());
    systemctl(host, &["stop", "relupd"]).await?;
    host.run(&["mv", GOOD_FILE, FILE]).await?;
    host.try_run(&["systemctl", "reset-failed", "relupd"]).await?;
    systemctl(host, &["start", "relupd"]).await
}

/// Whatever is left of it.
pub(super) async fn heal(host: &Host) -> anyhow::Result<()> {
    for directory in [STATE, RELEASES] {
        host.run(&["rm", "-f", &format!("{directory}/filler")]).await?;
    }
    restore_store(host).await?;
    if host.path(GOOD_FILE)?.exists() { restore_state(host).await } else { Ok(()) }
}
