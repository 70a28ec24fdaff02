//! What breaks: small values that strike one host and are healed again. Each is what happens on a real
//! host, done with what a real host has.

mod clock;
pub(super) mod delay;
mod disk;
pub(super) mod network;

use super::Hosts;
use super::host::Host;
use crate::cluster::APP;
use clap::ValueEnum;
use serde::Serialize;

/// A fault, on whichever host it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
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
    /// Everything that it says to its peers arrives late.
    Delay,
    /// The dedicated network carries next to nothing from it.
    Bandwidth,
    /// The hosts are in two halves that do not hear each other, and both hear this one.
    Bridge,
    /// The file system of the daemon's state is full.
    FullState,
    /// The file system of the releases is full.
    FullReleases,
    /// The disk of the daemon's state reports an error, and the kernel makes it read-only. What heals it
    /// is a boot with a check of the disk.
    BrokenState,
    /// The disk of the daemon's state does not answer.
    HungState,
    /// The clock of the day jumps ahead, and back again.
    ClockJump,
    /// The daemon starts when, by its own clock, its certificate and those of its peers have expired.
    StaleCertificate,
    /// Stored files of releases have changed, and the version that the rollout goes to has to be placed anew.
    CorruptStore,
    /// The state file of the stopped daemon is damaged; it is put back.
    CorruptState,
    /// Somebody restarts the app's unit by hand.
    RestartUnit,
    /// Somebody deletes the directory of the version that the rollout goes to.
    DeleteRelease,
}

impl Fault {
    /// Every one, in the order of the matrix.
    pub const ALL: [Self; 20] = [
        Self::KillDaemon,
        Self::KillVm,
        Self::PowerCut,
        Self::PauseDaemon,
        Self::Partition,
        Self::Deaf,
        Self::Loss,
        Self::Delay,
        Self::Bandwidth,
        Self::Bridge,
        Self::FullState,
        Self::FullReleases,
        Self::BrokenState,
        Self::HungState,
        Self::ClockJump,
        Self::StaleCertificate,
        Self::CorruptStore,
        Self::CorruptState,
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
            | Self::Delay
            | Self::Bandwidth
            | Self::Bridge
            | Self::FullState
            | Self::FullReleases
            | Self::HungState
            | Self::ClockJump
            | Self::StaleCertificate
            | Self::CorruptStore
            | Self::CorruptState
            | Self::DeleteRelease => false,
        }
    }

    /// Whether it leaves the app, the disks and what lies on them as they are.
    #[must_use]
    pub const fn is_of_the_network_or_the_daemon(self) -> bool {
        match self {
            Self::KillDaemon
            | Self::PauseDaemon
            | Self::Partition
            | Self::Deaf
            | Self::Loss
            | Self::Delay
            | Self::Bandwidth
            | Self::Bridge
            | Self::ClockJump => true,
            Self::KillVm
            | Self::PowerCut
            | Self::FullState
            | Self::FullReleases
            | Self::BrokenState
            | Self::HungState
            | Self::StaleCertificate
            | Self::CorruptStore
            | Self::CorruptState
            | Self::RestartUnit
            | Self::DeleteRelease => false,
        }
    }

    /// Why it cannot be made on this machine; `None` where it can.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        match self {
            Self::Bandwidth => network::cannot_shape(),
            _ => None,
        }
    }

    /// Strikes a host. `to` is the version that the rollout goes to.
    pub async fn strike(self, hosts: &mut Hosts, index: usize, to: &str) -> anyhow::Result<()> {
        match self {
            Self::PowerCut => {
                hosts.at(index).cut_power();
                return Ok(());
            }
            Self::Delay => return delay::begin(hosts, index).await,
            Self::Bridge => return network::part(hosts, index).await,
            _ => {}
        }
        let host = &hosts.all()[index];
        let app = format!("relupd-app@{APP}");
        match self {
            Self::PowerCut | Self::Delay | Self::Bridge => Ok(()),
            Self::KillDaemon => systemctl(host, &["kill", "--signal=KILL", "relupd"]).await,
            Self::KillVm => systemctl(host, &["kill", "--signal=KILL", &app]).await,
            Self::PauseDaemon => systemctl(host, &["kill", "--signal=STOP", "relupd"]).await,
            Self::Partition => network::drop(host, "iifname host0 drop", "oifname host0 drop").await,
            Self::Deaf => network::drop(host, "iifname host0 drop", "accept").await,
            Self::Loss => network::lose(host, 30).await,
            Self::Bandwidth => network::narrow(host).await,
            Self::FullState => disk::fill(host, disk::STATE).await,
            Self::FullReleases => disk::fill(host, disk::RELEASES).await,
            Self::BrokenState => host.break_state(),
            Self::HungState => host.freeze_state(),
            Self::ClockJump => clock::jump(host).await,
            Self::StaleCertificate => clock::outlive_certificates(host).await,
            Self::CorruptStore => disk::corrupt_store(host, to).await,
            Self::CorruptState => disk::corrupt_state(host).await,
            Self::RestartUnit => systemctl(host, &["restart", "--no-block", &app]).await,
            Self::DeleteRelease => {
                host.run(&["rm", "-rf", &format!("/opt/{APP}/releases/{to}")]).await.map(drop)
            }
        }
    }

    /// Undoes what does not pass by itself.
    pub async fn heal(self, hosts: &mut Hosts, index: usize) -> anyhow::Result<()> {
        match self {
            Self::PowerCut | Self::BrokenState => {
                let host = hosts.at(index);
                if self == Self::BrokenState {
                    host.cut_power();
                    host.check_state().await?;
                }
                host.power_on()?;
                return host.booted().await;
            }
            Self::Delay => return delay::end(hosts, index).await,
            Self::Bridge => return network::join(hosts).await,
            _ => {}
        }
        let host = &hosts.all()[index];
        match self {
            Self::PauseDaemon => systemctl(host, &["kill", "--signal=CONT", "relupd"]).await,
            Self::Partition | Self::Deaf | Self::Loss => network::undrop(host).await,
            Self::Bandwidth => network::widen(host).await,
            Self::FullState => disk::empty(host, disk::STATE).await,
            Self::FullReleases => disk::empty(host, disk::RELEASES).await,
            Self::HungState => host.thaw_state(),
            Self::ClockJump | Self::StaleCertificate => clock::set_right(host).await,
            Self::CorruptStore => disk::restore_store(host).await,
            Self::CorruptState => disk::restore_state(host).await,
            Self::PowerCut
            | Self::BrokenState
            | Self::Delay
            | Self::Bridge
            | Self::KillDaemon
            | Self::KillVm
            | Self::RestartUnit
            | Self::DeleteRelease => Ok(()),
        }
    }
}

/// Undoes whatever of all this may be left on a host that is on.
pub(super) async fn heal_all(hosts: &mut Hosts, index: usize) -> anyhow::Result<()> {
    delay::forget(hosts, index).await;
    let host = &hosts.all()[index];
    // Nothing is to be healed, as a rule.
    let _thawed = host.thaw_state();
    network::heal(host).await?;
    disk::heal(host).await?;
    host.try_run(&["systemctl", "kill", "--signal=CONT", "relupd"]).await?;
    clock::set_right(host).await?;
    // A cell may have failed before it checked the disk that it broke.
    let written = host.try_run(&["touch", "/var/lib/relupd/written"]).await?;
    if written.code != 0 {
        Fault::BrokenState.heal(hosts, index).await?;
    }
    let host = &hosts.all()[index];
    host.try_run(&["rm", "-f", "/var/lib/relupd/written"]).await?;
    host.try_run(&["systemctl", "reset-failed", "relupd"]).await?;
    host.run(&["systemctl", "start", "relupd"]).await.map(std::mem::drop)
}

async fn systemctl(host: &Host, arguments: &[&str]) -> anyhow::Result<()> {
    host.run(&[&["systemctl"], arguments].concat()).await.map(drop)
}
