//! Namespaces of the run's own: mounts, network and processes. The program executes itself again inside
//! them as their first process; when that process ends, for whatever reason, the kernel ends every host,
//! unmounts everything and removes the networks. What is left is files, which the next run removes.

use super::{cgroup, tool};
use anyhow::{Context as _, bail};
use rustix::fs::{FlockOperation, flock};
use std::convert::Infallible;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set inside.
const INSIDE: &str = "RELUPD_HOSTS_INSIDE";

const RUN: &str = "run-";

/// What a machine must have, with the Debian package that has it.
const TOOLS: [(&str, &str); 9] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("systemd-nspawn", "systemd-container"),
    ("debootstrap", "debootstrap"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("objcopy", "binutils"),
    ("dpkg-deb", "dpkg"),
];

/// Why hosts cannot be booted here; `None` where they can.
#[must_use]
pub fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("hosts need root: namespaces, mounts and networks are made".to_owned());
    }
    let missing: Vec<&str> =
        TOOLS.iter().filter(|(tool, _)| !tool::exists(tool)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        return Some(format!("hosts need: apt-get install {}", missing.join(" ")));
    }
    // Root of a container often may not.
    let tried = Command::new("unshare").args(["--mount", "--net", "--pid", "--fork", "true"]).output();
    let may = tried.is_ok_and(|output| output.status.success());
    (!may).then(|| "hosts need namespaces of their own, which this root may not make".to_owned())
}

/// Whether this process is inside already.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Becomes this same program inside namespaces of its own; returns only where that failed.
pub fn enter() -> anyhow::Result<Infallible> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    let this = std::env::current_exe()?;
    let error = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child=SIGKILL", "--mount-proc"])
        // What is unmounted outside must not live on in here: another run's disk may be among it.
        .args(["--propagation", "slave"])
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("cannot run unshare")
}

/// The files of one run. The lock ends with the process: a directory without it is a leftover.
#[derive(Debug)]
pub struct Sandbox {
    directory: PathBuf,
    _lock: File,
}

impl Sandbox {
    /// A directory below `hosts`, after what earlier runs have left there is gone.
    pub fn new(hosts: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(hosts).with_context(|| format!("cannot make {}", hosts.display()))?;
        let hosts = &hosts.canonicalize()?;
        for entry in fs::read_dir(hosts)?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(RUN) && lock(&entry.path()).is_ok() {
                remove(&entry.path())?;
            }
        }
        // Pids are small and the same in every namespace; the time is not.
        let directory = hosts.join(format!("{RUN}{}", relupd::clock::wall().as_nanosecond()));
        fs::create_dir(&directory)?;
        // A container keeps a copy of every mount that was there when it was booted. What is unmounted here has to
        // go from there, too: a disk is checked only when nobody has it mounted.
        tool::run("mount", &["--make-rshared", "/"])?;
        let lock = lock(&directory)?;
        Ok(Self { directory, _lock: lock })
    }

    /// Where the run's files go.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes the files away; nothing may run there any more.
    pub fn remove(self) -> anyhow::Result<()> {
        remove(&self.directory)
    }
}

fn lock(directory: &Path) -> anyhow::Result<File> {
    let file = File::options().create(true).append(true).open(directory.join("lock"))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

fn remove(directory: &Path) -> anyhow::Result<()> {
    cgroup::remove(&directory.file_name().unwrap_or_default().to_string_lossy())?;
    fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))
}
