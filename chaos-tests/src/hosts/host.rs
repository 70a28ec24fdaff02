//! One host: an overlay over the image, and a container that boots it with an init of its own.

use super::image::Image;
use super::{cgroup, network, tool};
use crate::ctl::Ended;
use crate::wait;
use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A boot takes less than a second; the machine may be busy.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);

/// Longer than any command that a test gives.
const COMMAND_PATIENCE: Duration = Duration::from_secs(120);

/// Disks of their own, so that they can be full.
const STATE_DISK: &str = "state";
const RELEASE_DISK: &str = "releases";

/// Room for some releases of 20 MB, and quickly filled.
const DISK_SIZE: &str = "256M";

/// A host, on or off.
#[derive(Debug)]
pub struct Host {
    number: u8,
    name: String,
    directory: PathBuf,
    container: Option<Child>,
    /// The pid of the host's init, as it is called here.
    init: Option<u32>,
}

impl Host {
    /// A host that is off.
    pub(super) fn prepare(image: &Image, run: &Path, number: u8) -> anyhow::Result<Self> {
        let name = format!("n{number}");
        let directory = run.join(&name);
        for part in ["root", "work", "changes"] {
            fs::create_dir_all(directory.join(part))?;
        }
        for disk in [STATE_DISK, RELEASE_DISK] {
            make_disk(&directory, disk)?;
        }
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            image.root().display(),
            directory.join("changes").display(),
            directory.join("work").display()
        );
        let host = Self { number, name, directory, container: None, init: None };
        tool::run("mount", &["-t", "overlay", "overlay", "-o", &layers, &host.root().to_string_lossy()])?;
        host.configure()?;
        Ok(host)
    }

    fn configure(&self) -> anyhow::Result<()> {
        let etc = self.root().join("etc");
        fs::write(etc.join("hostname"), format!("{}\n", self.name))?;
        // Without one the first boot would set defaults for every unit.
        fs::write(etc.join("machine-id"), format!("{:032x}\n", 0x7e1u32 + u32::from(self.number)))?;
        let networks = etc.join("systemd/network");
        fs::create_dir_all(&networks)?;
        for (interface, address) in [("host0", self.cluster_address()), ("pub0", self.public_address())] {
            let text = format!(
                "[Match]\nName={interface}\n\n[Network]\nAddress={address}/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n"
            );
            fs::write(networks.join(format!("10-{interface}.network")), text)?;
        }
        Ok(())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its daemon listens.
    #[must_use]
    pub const fn cluster_address(&self) -> Ipv4Addr {
        network::cluster_address(self.number)
    }

    /// Where its app is asked.
    #[must_use]
    pub const fn public_address(&self) -> Ipv4Addr {
        network::public_address(self.number)
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }

    /// Whether it is on.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.container.is_some()
    }

    /// What it says while it boots.
    #[must_use]
    pub fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    /// Its control group, told from those of other runs.
    fn cgroup(&self) -> anyhow::Result<PathBuf> {
        let run = self.directory.parent().and_then(Path::file_name).context("a host lies below its run")?;
        cgroup::make(&run.to_string_lossy(), &self.name)
    }

    /// Presses the button; [`Self::booted`] waits until it is up.
    pub fn power_on(&mut self) -> anyhow::Result<()> {
        ensure!(self.container.is_none(), "{} is on already", self.name);
        let cgroup = self.cgroup()?;
        let cable = format!("pub-{}", self.name);
        let console = File::options().create(true).append(true).open(self.console())?;
        // The shell moves into the host's own control group and becomes the container: of two containers
        // in one group each would take the other's for its own.
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0\"/cgroup.procs && exec systemd-nspawn \"$@\""]).arg(&cgroup);
        command.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--directory"]).arg(self.root());
        for (disk, at) in [(STATE_DISK, "/var/lib/relupd"), (RELEASE_DISK, "/opt")] {
            command.arg(format!("--bind={}:{at}", self.directory.join(disk).display()));
        }
        command.arg(format!("--network-bridge={}", network::CLUSTER));
        command.arg(format!("--network-veth-extra={cable}:pub0"));
        command.arg(format!("--machine={}", self.name));
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console).process_group(0);
        self.container = Some(command.spawn().context("cannot start a container")?);
        Ok(())
    }

    /// Waits until it is up: everything that starts at boot has been started, or has failed.
    pub async fn booted(&mut self) -> anyhow::Result<()> {
        let container = self.container.as_mut().context("it is off")?;
        let pid = container.id();
        let cable = format!("pub-{}", self.name);
        self.init = Some(
            wait::until(&format!("{} has an init", self.name), BOOT_PATIENCE, async || {
                if let Some(ended) = container.try_wait()? {
                    bail!("the container ended: {ended}");
                }
                // It is there as soon as the container has made it, shortly before its init.
                network::plug(&cable)?;
                let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
                Ok(children.split_whitespace().next().and_then(|child| child.parse().ok()))
            })
            .await?,
        );
        wait::until(&format!("{} is up", self.name), BOOT_PATIENCE, async || {
            let said = self.try_run(&["systemctl", "is-system-running"]).await?;
            match said.stdout.trim() {
                "running" | "degraded" => Ok(Some(())),
                other => bail!("it is {other:?}: {}", said.stderr.trim()),
            }
        })
        .await
    }

    /// The power fails. What its processes had not handed to the kernel is gone; what they had is kept,
    /// since the kernel is this machine's.
    pub fn cut_power(&mut self) {
        self.init = None;
        let Some(mut container) = self.container.take() else { return };
        // All of its processes in one step: a container whose manager alone dies lives on.
        if let Err(error) = self.cgroup().and_then(|group| cgroup::kill(&group)) {
            eprintln!("{}: {error:#}", self.name);
            // It may have ended by itself.
            let _ended = container.kill();
        }
        let _reaped = container.wait();
        for link in ["vb", "pub"] {
            network::unplug(&format!("{link}-{}", self.name));
        }
    }

    /// Shuts it down as an administrator would, and waits.
    pub async fn shut_down(&mut self) -> anyhow::Result<()> {
        let mut container = self.container.take().context("it is off")?;
        self.init = None;
        let pid = i32::try_from(container.id()).ok().and_then(Pid::from_raw).context("a pid")?;
        kill_process(pid, Signal::TERM)?;
        wait::until(&format!("{} is off", self.name), BOOT_PATIENCE, async || Ok(container.try_wait()?))
            .await?;
        Ok(())
    }

    /// The disk of the daemon's state has an error: the kernel makes it read-only at once.
    pub(super) fn break_state(&self) -> anyhow::Result<()> {
        tool::run("mount", &["-o", "remount,abort", &self.state_disk()]).map(drop)
    }

    /// The disk of the daemon's state does not answer.
    pub(super) fn freeze_state(&self) -> anyhow::Result<()> {
        tool::run("fsfreeze", &["--freeze", &self.state_disk()]).map(drop)
    }

    /// It answers again.
    pub(super) fn thaw_state(&self) -> anyhow::Result<()> {
        tool::run("fsfreeze", &["--unfreeze", &self.state_disk()]).map(drop)
    }

    /// Checks the disk of the daemon's state, as a boot does; the host is off.
    pub(super) async fn check_state(&self) -> anyhow::Result<()> {
        let image = self.unplug_state().await?;
        // 1: errors were corrected.
        let checked = Command::new("e2fsck").args(["-p", "-f", &image]).output()?;
        ensure!(checked.status.code().is_some_and(|code| code <= 1), "e2fsck: {checked:?}");
        tool::run("mount", &["-o", "loop", &image, &self.state_disk()]).map(drop)
    }

    /// Another disk for the daemon's state, empty; the host is off.
    pub(super) async fn replace_state(&self) -> anyhow::Result<()> {
        let image = self.unplug_state().await?;
        fs::remove_file(image)?;
        make_disk(&self.directory, STATE_DISK)
    }

    /// Where the image of the disk of the daemon's state is, which nobody has mounted.
    async fn unplug_state(&self) -> anyhow::Result<String> {
        let image = self.directory.join(format!("{STATE_DISK}.img")).to_string_lossy().into_owned();
        tool::run("umount", &[&self.state_disk()])?;
        // The kernel buries the host's own mount later than its processes; until then this is still the
        // same file system, and mounting it again would not read it again.
        wait::until(&format!("the disk of {} is let go", self.name), BOOT_PATIENCE, async || {
            Ok(tool::run("losetup", &["--associated", &image])?.trim().is_empty().then_some(()))
        })
        .await?;
        Ok(image)
    }

    fn state_disk(&self) -> String {
        self.directory.join(STATE_DISK).to_string_lossy().into_owned()
    }

    /// A path on the running host, as it is reached from here.
    pub fn path(&self, path: &str) -> anyhow::Result<PathBuf> {
        let init = self.init.with_context(|| format!("{} is off", self.name))?;
        Ok(PathBuf::from(format!("/proc/{init}/root{path}")))
    }

    /// Writes a file there.
    pub fn write(&self, path: &str, content: &str) -> anyhow::Result<()> {
        let there = self.path(path)?;
        fs::write(&there, content).with_context(|| format!("cannot write {path} on {}", self.name))
    }

    /// Copies a file there.
    pub fn copy(&self, from: &Path, to: &str) -> anyhow::Result<()> {
        fs::copy(from, self.path(to)?)
            .with_context(|| format!("cannot copy {} to {}", from.display(), self.name))?;
        Ok(())
    }

    /// A command on the host as root, with nothing of this process's environment.
    fn command(&self, namespaces: &[&str], arguments: &[&str]) -> anyhow::Result<tokio::process::Command> {
        let init = self.init.with_context(|| format!("{} is off", self.name))?;
        let mut command = tokio::process::Command::new("nsenter");
        command.args(["--target", &init.to_string()]).args(namespaces).arg("--").args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8");
        command.stdin(Stdio::null()).kill_on_drop(true);
        Ok(command)
    }

    /// Runs a command there, however it ends.
    pub async fn try_run(&self, arguments: &[&str]) -> anyhow::Result<Ended> {
        self.ended(&["--mount", "--uts", "--ipc", "--net", "--pid"], arguments).await
    }

    /// Runs a program of this machine on the host's network.
    pub async fn on_its_network(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ended = self.ended(&["--net"], arguments).await?;
        ensure!(ended.code == 0, "{} fails: {}", arguments.join(" "), ended.stderr.trim());
        Ok(ended.stdout)
    }

    async fn ended(&self, namespaces: &[&str], arguments: &[&str]) -> anyhow::Result<Ended> {
        let output = tokio::time::timeout(COMMAND_PATIENCE, self.command(namespaces, arguments)?.output())
            .await
            .with_context(|| format!("{} takes too long on {}", arguments.join(" "), self.name))??;
        Ok(Ended {
            code: output.status.code().context("it was killed")?,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs a command that must end well; what it printed.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let ended = self.try_run(arguments).await?;
        if ended.code != 0 {
            bail!(
                "on {}, {} exits with {}: {}{}",
                self.name,
                arguments.join(" "),
                ended.code,
                ended.stdout,
                ended.stderr.trim()
            );
        }
        Ok(ended.stdout)
    }

    /// A property of a unit, as systemd has it.
    pub async fn unit(&self, unit: &str, property: &str) -> anyhow::Result<String> {
        let said = self.run(&["systemctl", "show", "--value", "--property", property, unit]).await?;
        Ok(said.trim().to_owned())
    }

    /// The pid of a service's only process, as it is called here.
    pub(super) fn main_pid(&self, service: &str) -> anyhow::Result<u32> {
        let group = self.cgroup()?.join(format!("payload/system.slice/{service}.service/cgroup.procs"));
        let pids = fs::read_to_string(&group).with_context(|| format!("cannot read {}", group.display()))?;
        pids.trim()
            .parse()
            .with_context(|| format!("{service} on {} has these processes: {pids:?}", self.name))
    }

    /// The last lines of a unit's journal.
    pub async fn journal(&self, unit: &str) -> String {
        let said = self.try_run(&["journalctl", "--no-pager", "-o", "cat", "-n", "12", "-u", unit]).await;
        said.map_or_else(|error| format!("{error:#}"), |said| said.stdout)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.cut_power();
        // The namespace takes it away otherwise; files can be removed only after it is gone.
        for mount in ["root", STATE_DISK, RELEASE_DISK] {
            let _gone = tool::run("umount", &["--lazy", &self.directory.join(mount).to_string_lossy()]);
        }
    }
}

/// A small disk, mounted at its name. Everybody may use its last block: the daemon is not root.
fn make_disk(directory: &Path, name: &str) -> anyhow::Result<()> {
    let image = directory.join(format!("{name}.img")).to_string_lossy().into_owned();
    let at = directory.join(name);
    fs::create_dir_all(&at)?;
    tool::run("truncate", &["--size", DISK_SIZE, &image])?;
    tool::run("mke2fs", &["-q", "-t", "ext4", "-m", "0", &image])?;
    tool::run("mount", &["-o", "loop", &image, &at.to_string_lossy()])?;
    fs::remove_dir(at.join("lost+found"))?;
    Ok(())
}
