//! Real systemd hosts on one machine: containers that boot Debian, each with its own addresses on a
//! dedicated network and a public one. Everything lives in namespaces that end with the program, however
//! it ends. Needs root.

pub mod acknowledged;
pub mod ansible;
pub mod cells;
mod cgroup;
pub mod chaos;
mod elixir;
pub mod faults;
mod figures;
pub mod host;
mod hot;
pub mod image;
pub mod install;
pub mod isolation;
mod look;
mod lost_host;
pub mod network;
mod noise;
pub mod package;
mod privileges;
pub mod recovery;
mod revoked;
pub mod sandbox;
mod settle;
pub mod smoke;
mod tally;
mod tool;
pub mod upgrade;
pub mod walk;

use crate::binaries::Binaries;
use crate::ctl::{Ctl, Status};
use crate::history::{Call, History, Recorder};
use crate::wait;
use anyhow::{Context as _, ensure};
use host::Host;
use image::Image;
use sandbox::Sandbox;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The port that the app answers on, without privileges.
pub const APP_PORT: u16 = 4000;

/// The port that it is asked on from outside; a host's firewall redirects it.
pub const PUBLIC_PORT: u16 = 80;

/// Longer than a cluster takes to elect, on a busy machine.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

/// The hosts of one run.
#[derive(Debug)]
pub struct Hosts {
    sandbox: Sandbox,
    binaries: Binaries,
    package: PathBuf,
    hosts: Vec<Host>,
    recorder: Recorder,
    history: History,
    /// Lines that take their time, by the host that they come from.
    delayed: BTreeMap<usize, faults::delay::Line>,
}

impl Hosts {
    /// So many hosts, booted. `package` is not installed yet.
    pub async fn boot(
        sandbox: Sandbox,
        image: &Image,
        package: &Path,
        binaries: Binaries,
        size: u8,
    ) -> anyhow::Result<Self> {
        network::make()?;
        let mut hosts = Vec::new();
        for number in 1..=size {
            let mut host = Host::prepare(image, sandbox.directory(), number)?;
            host.power_on()?;
            hosts.push(host);
        }
        for host in &mut hosts {
            host.booted().await?;
        }
        let (recorder, history) = Recorder::new();
        Ok(Self {
            sandbox,
            binaries,
            package: package.to_owned(),
            hosts,
            recorder,
            history,
            delayed: BTreeMap::new(),
        })
    }

    /// The hosts, in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> &[Host] {
        &self.hosts
    }

    /// One of them, to do something to.
    pub fn at(&mut self, index: usize) -> &mut Host {
        &mut self.hosts[index]
    }

    /// The host of this name.
    pub fn index_of(&self, name: &str) -> anyhow::Result<usize> {
        let found = self.hosts.iter().position(|host| host.name() == name);
        found.with_context(|| format!("there is no host {name:?}"))
    }

    /// What is installed.
    #[must_use]
    pub fn package(&self) -> &Path {
        &self.package
    }

    /// The command line of this build.
    #[must_use]
    pub fn relupctl(&self) -> &Path {
        &self.binaries.relupctl
    }

    /// The programs under test.
    #[must_use]
    pub const fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Where this run keeps its files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.sandbox.directory()
    }

    /// The command line of this build, talking to a host's own socket.
    pub fn ctl(&self, index: usize) -> anyhow::Result<Ctl> {
        let socket = self.hosts[index].path("/run/relupd/relupd.sock")?;
        Ok(Ctl::new(&self.binaries.relupctl, &socket).recorded(self.recorder.clone()))
    }

    /// Every call of the command line that has ended since the last time.
    pub fn take_history(&mut self) -> Vec<Call> {
        self.history.take()
    }

    /// Where the app is asked from outside, host by host.
    #[must_use]
    pub fn apps(&self) -> Vec<(String, SocketAddr)> {
        let at = |host: &Host| SocketAddr::from((host.public_address(), PUBLIC_PORT));
        self.hosts.iter().map(|host| (host.name().to_owned(), at(host))).collect()
    }

    /// Waits until every host that is up sees all of them alive and one leader.
    pub async fn settled(&self) -> anyhow::Result<Status> {
        let size = self.hosts.len();
        wait::until(&format!("{size} nodes alive, as each of them sees it"), SETTLE_PATIENCE, async || {
            let mut seen = None;
            for index in 0..size {
                let status = self.ctl(index)?.status().await?;
                let alive = status.cluster.nodes.iter().filter(|node| node.liveness == "alive").count();
                ensure!(alive == size, "{} sees {alive} alive", self.hosts[index].name());
                ensure!(!status.cluster.leader.is_empty(), "{} sees no leader", self.hosts[index].name());
                seen = Some(status);
            }
            Ok(seen)
        })
        .await
    }

    /// What hosts have to say after something went wrong.
    pub async fn testament(&self) -> String {
        let mut text = String::new();
        for host in self.hosts.iter().filter(|host| host.is_on()) {
            for unit in ["relupd", "relupd-app@shop"] {
                text += &format!("-- {} {unit}\n{}\n", host.name(), host.journal(unit).await);
            }
        }
        text
    }

    /// The last that hosts that are off have shown.
    #[must_use]
    pub fn consoles(&self) -> String {
        let last = |host: &Host| {
            let text = std::fs::read_to_string(host.console()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("-- console of {}\n{}\n", host.name(), lines[lines.len().saturating_sub(8)..].join("\n"))
        };
        self.hosts.iter().map(last).collect()
    }

    /// Ends every host and takes away what they wrote.
    pub fn end(mut self) -> anyhow::Result<()> {
        for host in &mut self.hosts {
            host.cut_power();
        }
        drop(self.hosts);
        self.sandbox.remove()
    }
}
