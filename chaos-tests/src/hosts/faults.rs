//! What breaks: small values that strike one host and are healed again. Each is what happens on a real
//! host, done with what a real host has.

use super::Hosts;
use super::host::Host;
use crate::cluster::APP;
use anyhow::Context as _;
use serde::Serialize;

/// A table of its own for what packets suffer.
const TABLE: &str = "inet chaos";

/// A fault, on whichever host it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// SIGKILL to the daemon.
    KillDaemon,
    /// SIGKILL to the app.
    KillVm,
    /// The host is off at once, and on again.
    PowerCut,
    /// SIGSTOP to the daemon, and SIGCONT.
    PauseDaemon,
    /// No packet of the dedicated network comes in or goes out.
    Partition,
    /// Packets go out, and none comes in.
    Deaf,
    /// Three of ten packets are lost on the way in.
    Loss,
    /// The file system of the daemon's state is full.
    FullState,
    /// The file system of the releases is full.
    FullReleases,
    /// The disk of the daemon's state reports an error, and the kernel makes it read-only. What heals it
    /// is a boot with a check of the disk.
    BrokenState,
    /// The disk of the daemon's state does not answer.
    HungState,
    /// Somebody restarts the app's unit by hand.
    RestartUnit,
    /// Somebody deletes the directory of the version that the rollout goes to.
    DeleteRelease,
}

impl Fault {
    /// Every one, in the order of the matrix.
    pub const ALL: [Self; 13] = [
        Self::KillDaemon,
        Self::KillVm,
        Self::PowerCut,
        Self::PauseDaemon,
        Self::Partition,
        Self::Deaf,
        Self::Loss,
        Self::FullState,
        Self::FullReleases,
        Self::BrokenState,
        Self::HungState,
        Self::RestartUnit,
        Self::DeleteRelease,
    ];

    /// Whether the app itself goes down by it, on the host that it strikes.
    #[must_use]
    pub const fn ends_the_app(self) -> bool {
        match self {
            Self::KillVm | Self::PowerCut | Self::BrokenState | Self::RestartUnit => true,
            Self::KillDaemon
            | Self::PauseDaemon
            | Self::Partition
            | Self::Deaf
            | Self::Loss
            | Self::FullState
            | Self::FullReleases
            | Self::HungState
            | Self::DeleteRelease => false,
        }
    }

    /// Strikes a host. `to` is the version that the rollout goes to.
    pub async fn strike(self, hosts: &mut Hosts, index: usize, to: &str) -> anyhow::Result<()> {
        if self == Self::PowerCut {
            hosts.at(index).cut_power();
            return Ok(());
        }
        let host = &hosts.all()[index];
        let app = format!("relupd-app@{APP}");
        match self {
            Self::PowerCut => unreachable!("it was just struck"),
            Self::KillDaemon => systemctl(host, &["kill", "--signal=KILL", "relupd"]).await,
            Self::KillVm => systemctl(host, &["kill", "--signal=KILL", &app]).await,
            Self::PauseDaemon => systemctl(host, &["kill", "--signal=STOP", "relupd"]).await,
            Self::Partition => packets(host, "iifname host0 drop", "oifname host0 drop").await,
            Self::Deaf => packets(host, "iifname host0 drop", "accept").await,
            Self::Loss => packets(host, "iifname host0 numgen random mod 100 < 30 drop", "accept").await,
            Self::FullState => fill(host, "/var/lib/relupd").await,
            Self::FullReleases => fill(host, "/opt").await,
            Self::BrokenState => host.break_state(),
            Self::HungState => host.freeze_state(),
            Self::RestartUnit => systemctl(host, &["restart", "--no-block", &app]).await,
            Self::DeleteRelease => {
                host.run(&["rm", "-rf", &format!("/opt/{APP}/releases/{to}")]).await.map(drop)
            }
        }
    }

    /// Undoes what does not pass by itself.
    pub async fn heal(self, hosts: &mut Hosts, index: usize) -> anyhow::Result<()> {
        if matches!(self, Self::PowerCut | Self::BrokenState) {
            let host = hosts.at(index);
            if self == Self::BrokenState {
                host.cut_power();
                host.check_state().await?;
            }
            host.power_on()?;
            return host.booted().await;
        }
        let host = &hosts.all()[index];
        match self {
            Self::PauseDaemon => systemctl(host, &["kill", "--signal=CONT", "relupd"]).await,
            Self::Partition | Self::Deaf | Self::Loss => nft(host, &format!("delete table {TABLE}")).await,
            Self::FullState => host.run(&["rm", "/var/lib/relupd/filler"]).await.map(drop),
            Self::FullReleases => host.run(&["rm", "/opt/filler"]).await.map(drop),
            Self::HungState => host.thaw_state(),
            Self::PowerCut
            | Self::BrokenState
            | Self::KillDaemon
            | Self::KillVm
            | Self::RestartUnit
            | Self::DeleteRelease => Ok(()),
        }
    }
}

async fn systemctl(host: &Host, arguments: &[&str]) -> anyhow::Result<()> {
    host.run(&[&["systemctl"], arguments].concat()).await.map(drop)
}

async fn nft(host: &Host, rules: &str) -> anyhow::Result<()> {
    host.run(&["nft", rules]).await.map(drop)
}

/// Before everything else that a firewall says.
async fn packets(host: &Host, input: &str, output: &str) -> anyhow::Result<()> {
    nft(
        host,
        &format!(
            "add table {TABLE}; \
             add chain {TABLE} input {{ type filter hook input priority -300; }}; \
             add chain {TABLE} output {{ type filter hook output priority -300; }}; \
             add rule {TABLE} input {input}; add rule {TABLE} output {output}"
        ),
    )
    .await
}

/// Takes what is free, down to the last block. That it ends in an error is the point.
async fn fill(host: &Host, directory: &str) -> anyhow::Result<()> {
    let filler = format!("{directory}/filler");
    host.try_run(&["dd", "if=/dev/zero", &format!("of={filler}"), "bs=64k"]).await?;
    host.try_run(&["dd", "if=/dev/zero", &format!("of={filler}"), "bs=512", "oflag=append", "conv=notrunc"])
        .await?;
    host.path(&filler)?.exists().then_some(()).context("nothing was filled")
}
