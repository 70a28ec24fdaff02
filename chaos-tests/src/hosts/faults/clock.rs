//! The clock of the day, as the daemon of one host sees it. The kernel's is this machine's and cannot be set for one
//! host alone (time namespaces have no clock of the day), so a library between the daemon and libc answers for it. What
//! measures durations is left alone.

use super::systemctl;
use crate::hosts::host::Host;
use anyhow::Context as _;

const DROP_IN: &str = "/run/systemd/system/relupd.service.d/clock.conf";

/// What the daemon is to believe, read at every look at the clock.
const OFFSET: &str = "/run/relupd-clock";

/// Clocks are to be kept within an hour of each other.
const JUMP: &str = "+50m";

/// Longer than a certificate lives.
const AGES: &str = "+40d";

/// It jumps under the running daemon.
pub(super) async fn jump(host: &Host) -> anyhow::Result<()> {
    set(host, "+0").await?;
    systemctl(host, &["restart", "relupd"]).await?;
    let pid = host.unit("relupd", "MainPID").await?;
    host.run(&["grep", "--quiet", "libfaketime", &format!("/proc/{pid}/maps")])
        .await
        .context("the daemon asks the kernel for the time")?;
    host.write(OFFSET, JUMP)
}

/// It starts in another time.
pub(super) async fn outlive_certificates(host: &Host) -> anyhow::Result<()> {
    set(host, AGES).await?;
    systemctl(host, &["restart", "--no-block", "relupd"]).await
}

/// It jumps back, and the next daemon asks the kernel again.
pub(super) async fn set_right(host: &Host) -> anyhow::Result<()> {
    if !host.path(DROP_IN)?.exists() {
        return Ok(());
    }
    host.write(OFFSET, "+0")?;
    host.run(&["rm", DROP_IN]).await?;
    systemctl(host, &["daemon-reload"]).await
}

async fn set(host: &Host, offset: &str) -> anyhow::Result<()> {
    host.run(&["mkdir", "-p", "/run/systemd/system/relupd.service.d"]).await?;
    let library = host.run(&["sh", "-c", "echo /usr/lib/*/faketime/libfaketime.so.1"]).await?;
    let unit = format!(
        "[Service]\nEnvironment=LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={OFFSET} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1\n",
        library.trim()
    );
    host.write(OFFSET, offset)?;
    host.write(DROP_IN, &unit)?;
    systemctl(host, &["daemon-reload"]).await
}
