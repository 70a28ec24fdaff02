//! The system that every host boots: a small Debian, made once and never written to again.

use super::tool;
use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

const SUITE: &str = "bookworm";

/// What a server has, what the package depends on, the libraries of an Erlang VM, what Ansible asks of a host, and a
/// clock that can be set for one program.
const PACKAGES: [&str; 17] = [
    "systemd",
    "systemd-sysv",
    "dbus",
    "polkitd",
    // The logind that polkitd depends on: debootstrap does not know who provides what.
    "libpam-systemd",
    "iproute2",
    "nftables",
    "procps",
    "e2fsprogs",
    "passwd",
    "libtinfo6",
    "libstdc++6",
    "zlib1g",
    "openssh-server",
    "python3",
    "python3-apt",
    "libfaketime",
];

/// An installed system below a directory.
#[derive(Debug)]
pub struct Image(PathBuf);

impl Image {
    /// The image below `hosts`, made where there is none: that takes a minute, and the network.
    pub fn ensure(hosts: &Path) -> anyhow::Result<Self> {
        let hosts = &hosts.canonicalize()?;
        // Another list is another image.
        let list = blake3::hash(PACKAGES.join(" ").as_bytes()).to_hex();
        let root = hosts.join(format!("debian-{SUITE}-{}", &list[..8]));
        let lock = File::options().create(true).append(true).open(hosts.join("image.lock"))?;
        flock(&lock, FlockOperation::LockExclusive)?;
        if !root.is_dir() {
            let half = hosts.join("debian.new");
            if half.exists() {
                fs::remove_dir_all(&half)?;
            }
            make(&half)?;
            fs::rename(&half, &root)?;
        }
        Ok(Self(root))
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0
    }
}

fn make(root: &Path) -> anyhow::Result<()> {
    let path = root.to_str().context("the path of an image is text")?;
    let include = format!("--include={}", PACKAGES.join(","));
    tool::run("debootstrap", &["--variant=minbase", &include, SUITE, path])?;
    tool::run("chroot", &[path, "systemctl", "enable", "systemd-networkd.service"])?;
    // Only where it is asked for: other tests look for open ports.
    tool::run("chroot", &[path, "systemctl", "disable", "ssh.service"])?;
    // Logs outlive a power cut.
    fs::create_dir_all(root.join("var/log/journal"))?;
    // Nobody logs in, and an image is no archive.
    tool::run("chroot", &[path, "systemctl", "mask", "console-getty.service"])?;
    fs::remove_dir_all(root.join("var/cache/apt"))?;
    Ok(())
}
