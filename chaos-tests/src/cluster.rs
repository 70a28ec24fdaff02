//! Real daemons as child processes, each with its own directories and log, on addresses of the
//! loopback network. Whatever was started is ended again when the cluster is dropped, unless it is
//! kept: daemons and app VMs, each by its identity.

mod config;
pub mod ports;

use crate::binaries::Binaries;
use crate::ctl::{Ctl, Status};
use crate::process::{self, Identity};
use crate::wait;
use anyhow::{Context as _, bail};
use config::NodeConfig;
pub use config::SpecConfig;
use rustix::process::Signal;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The name of the app that everything here rolls.
pub const APP: &str = "shop";

/// From its start until a daemon answers. Generous: the machine may be busy building.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// From SIGTERM until a daemon is gone.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// The longest run directory that leaves room for sockets below it.
const MAX_RUN_DIRECTORY: usize = 48;

/// Daemons on this machine.
#[derive(Debug)]
pub struct Cluster {
    directory: PathBuf,
    binaries: Binaries,
    members: Vec<Member>,
    app_port: u16,
    environment: Vec<(String, String)>,
    kept: bool,
    // Sockets lie here where the directory's own path is too long for them.
    _short: Option<TempDir>,
}

/// One daemon and its directories, whether it runs or not.
#[derive(Debug)]
pub struct Member {
    config: NodeConfig,
    directory: PathBuf,
    daemon: Option<Child>,
}

impl Member {
    /// The node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Where the app answers on this node.
    #[must_use]
    pub const fn app(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.config.listen.ip(), port)
    }

    /// Where the daemon listens.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        self.config.listen
    }

    /// Where the daemon keeps its state.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.config.state_dir
    }

    /// Where the daemon keeps what must not survive a boot.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.config.run_dir
    }

    /// The daemon's pid, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// What the daemon has written.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.with_extension("log")
    }

    /// Its configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("relupd.toml")
    }

    fn identity(&self) -> PathBuf {
        self.directory.join("daemon.json")
    }
}

impl Cluster {
    /// Directories and configurations for so many nodes; nothing runs yet.
    pub fn prepare(directory: &Path, binaries: Binaries, size: u8) -> anyhow::Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        let (run, short) = run_directory(&directory)?;
        let addresses: Vec<Ipv4Addr> = (1..=size).map(|last| Ipv4Addr::new(127, 0, 0, last)).collect();
        let mut members = Vec::new();
        for (number, address) in (1..).zip(&addresses) {
            let name = format!("n{number}");
            let at = directory.join(&name);
            let config = NodeConfig {
                listen: SocketAddr::from((*address, ports::free(&[*address])?)),
                state_dir: at.join("state"),
                run_dir: run.join(&name),
                roots: at.join("opt"),
                name,
            };
            fs::create_dir_all(&config.roots)?;
            fs::create_dir_all(&config.run_dir)?;
            let member = Member { config, directory: at, daemon: None };
            fs::write(member.config(), member.config.text())?;
            members.push(member);
        }
        let app_port = ports::free(&addresses)?;
        Ok(Self {
            directory,
            binaries,
            members,
            app_port,
            environment: Vec::new(),
            kept: false,
            _short: short,
        })
    }

    /// Starts every daemon and makes them one cluster.
    pub async fn form(&mut self) -> anyhow::Result<()> {
        for index in 0..self.members.len() {
            self.start_daemon(index).await?;
        }
        self.ctl(0).run(&["cluster", "init"]).await?;
        for index in 1..self.members.len() {
            let token = self.ctl(0).token().await?;
            self.ctl(index).run(&["cluster", "join", &token]).await?;
        }
        self.settled().await?;
        Ok(())
    }

    /// Adds to every daemon's configuration; for daemons that are not started yet.
    pub fn configure(&self, settings: &str) -> anyhow::Result<()> {
        for member in &self.members {
            fs::write(member.config(), member.config.text() + settings)?;
        }
        Ok(())
    }

    /// Adds to the environment of every daemon that is started from now on.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The nodes, in the order of their addresses.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The node with this name.
    pub fn index_of(&self, name: &str) -> anyhow::Result<usize> {
        let found = self.members.iter().position(|member| member.name() == name);
        found.with_context(|| format!("there is no node {name:?}"))
    }

    /// Where the app answers, node by node.
    #[must_use]
    pub fn apps(&self) -> Vec<(String, SocketAddr)> {
        self.members.iter().map(|member| (member.name().to_owned(), member.app(self.app_port))).collect()
    }

    /// Everything that this cluster has on disk.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The command line, talking to this node.
    #[must_use]
    pub fn ctl(&self, index: usize) -> Ctl {
        Ctl::new(&self.binaries.relupctl, &self.members[index].config.socket())
    }

    /// The file whose presence makes release 0.3.0 fall ill on this node.
    #[must_use]
    pub fn sick_file(&self, index: usize) -> PathBuf {
        self.directory.join(format!("sick-{}", self.members[index].name()))
    }

    /// Writes the app's spec.
    pub fn write_spec(&self, spec: &SpecConfig) -> anyhow::Result<PathBuf> {
        let path = self.directory.join("app.toml");
        fs::write(&path, spec.text(&self.directory, self.app_port))?;
        Ok(path)
    }

    /// Starts a daemon and waits until it answers.
    pub async fn start_daemon(&mut self, index: usize) -> anyhow::Result<()> {
        self.spawn_daemon(index)?;
        let ctl = self.ctl(index);
        let member = &mut self.members[index];
        let what = format!("relupd on {} answers", member.config.name);
        let (log, daemon) = (member.log(), member.daemon.as_mut());
        let daemon = daemon.context("it was just started")?;
        wait::until(&what, START_PATIENCE, async || match daemon.try_wait()? {
            Some(_) => Ok(Some(false)),
            None => ctl.status().await.map(|_| Some(true)),
        })
        .await?
        .then_some(())
        .with_context(|| format!("relupd ended by itself: {}", last_line(&log)))
    }

    /// Starts a daemon and leaves it to the caller what becomes of it.
    pub fn spawn_daemon(&mut self, index: usize) -> anyhow::Result<()> {
        let relupd = &self.binaries.relupd;
        let member = &mut self.members[index];
        let log = File::options().create(true).append(true).open(member.log())?;
        let mut command = Command::new(relupd);
        command.arg("--config").arg(member.config());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Ctrl-C in a terminal goes to the whole group: the harness, not the terminal, ends daemons.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().with_context(|| format!("cannot start {}", relupd.display()))?;
        if let Some(identity) = Identity::of(child.id()) {
            fs::write(member.identity(), serde_json::to_vec(&identity)?)?;
        }
        member.daemon = Some(child);
        Ok(())
    }

    /// Starts a daemon that does not run, as a service manager would one that has ended.
    pub fn ensure_daemon(&mut self, index: usize) -> anyhow::Result<()> {
        if let Some(daemon) = &mut self.members[index].daemon
            && daemon.try_wait()?.is_none()
        {
            return Ok(());
        }
        self.spawn_daemon(index)
    }

    /// Waits until a daemon ends by itself; what it said last, and whether it failed.
    pub async fn daemon_ended(&mut self, index: usize) -> anyhow::Result<(bool, String)> {
        let member = &mut self.members[index];
        let log = member.log();
        let daemon = member.daemon.as_mut().context("it was not started")?;
        let ended = wait::until("relupd ends", STOP_PATIENCE, async || Ok(daemon.try_wait()?)).await?;
        member.daemon = None;
        Ok((!ended.success(), last_line(&log)))
    }

    /// Kills a daemon, as a crash or the kernel would.
    pub fn kill_daemon(&mut self, index: usize) -> anyhow::Result<()> {
        let Some(mut daemon) = self.members[index].daemon.take() else { bail!("it does not run") };
        daemon.kill()?;
        daemon.wait()?;
        Ok(())
    }

    /// Asks a daemon to end, and waits until it has.
    pub async fn stop_daemon(&mut self, index: usize) -> anyhow::Result<()> {
        let Some(mut daemon) = self.members[index].daemon.take() else { bail!("it does not run") };
        let identity = Identity::of(daemon.id()).context("it does not run any longer")?;
        identity.signal(Signal::TERM, false);
        wait::until("relupd ends", STOP_PATIENCE, async || Ok(daemon.try_wait()?)).await?;
        Ok(())
    }

    /// Waits until every node is alive, follows one leader, and the voters are as many as they should
    /// be: an odd number, everyone else a learner.
    pub async fn settled(&self) -> anyhow::Result<Status> {
        let size = self.members.len();
        let voters = if size.is_multiple_of(2) { size - 1 } else { size };
        let what = format!("{size} nodes with {voters} voters, as each of them sees it");
        wait::until(&what, START_PATIENCE, async || {
            let mut seen = None;
            for index in 0..size {
                let status = self.ctl(index).status().await?;
                let cluster = &status.cluster;
                let alive = cluster.nodes.iter().filter(|node| node.liveness == "alive").count();
                let voting = cluster.nodes.iter().filter(|node| node.raft_role == "voter").count();
                if alive != size || voting != voters || cluster.leader.is_empty() {
                    return Ok(None);
                }
                seen = Some(status);
            }
            Ok(seen)
        })
        .await
    }

    /// Leaves everything running when this is dropped.
    pub fn keep(&mut self) {
        self.kept = true;
        if let Some(short) = &mut self._short {
            short.disable_cleanup(true);
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // Daemons first: a living one would start its app again.
        for member in &mut self.members {
            if let Some(mut daemon) = member.daemon.take() {
                // It may have ended by itself.
                let _ended = daemon.kill();
                let _reaped = daemon.wait();
            }
        }
        clean_up(&self.directory);
    }
}

/// Ends what an earlier run has left below a directory: daemons, then app VMs.
pub fn clean_up(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let nodes: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    for node in &nodes {
        let identity = fs::read(node.join("daemon.json")).ok();
        if let Some(identity) = identity.and_then(|text| serde_json::from_slice::<Identity>(&text).ok()) {
            identity.signal(Signal::KILL, false);
        }
    }
    for app in nodes.iter().flat_map(|node| process::apps_of(&node.join("state"))) {
        app.signal(Signal::KILL, true);
    }
}

/// Below the cluster's directory, where sockets find room there.
fn run_directory(directory: &Path) -> anyhow::Result<(PathBuf, Option<TempDir>)> {
    let run = directory.join("run");
    if run.as_os_str().len() + "/n9".len() <= MAX_RUN_DIRECTORY {
        return Ok((run, None));
    }
    let short = tempfile::Builder::new().prefix("relupd-").tempdir()?;
    Ok((short.path().to_owned(), Some(short)))
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().next_back().unwrap_or("it said nothing").to_owned()
}
