//! The node's disk: a file system of its own in an image, so that the power can be cut. At a cut the image is
//! copied as it is; what the kernel had not written into it by then is lost, and the copy is mounted again,
//! journal and all. Where nothing can be mounted, that takes root, it is a plain directory without cuts.

use anyhow::{Context as _, bail};
use rustix::fs::FallocateFlags;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// More than a node with four releases needs. Only what is written takes space.
const SIZE: &str = "768M";

/// Holds nothing back that was not asked for, and helps nobody who forgot to ask.
const OPTIONS: &str = "loop,noatime,commit=60,noauto_da_alloc";

/// What the disk is filled with.
const LARGEST_PIECE: u64 = 1 << 29;
const SMALLEST_PIECE: u64 = 1 << 12;

/// So often, and so far apart, it is tried to unmount what has just been used.
const UNMOUNT_TRIES: u32 = 500;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(10);

/// Takes away what an earlier run that was killed has left mounted.
pub fn unmount(node: &Path) -> anyhow::Result<()> {
    let at = node.join("n1");
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounted = mounts.lines().any(|line| line.split(' ').nth(1) == at.to_str());
    let arguments = ["--recursive", "--lazy"].map(OsStr::new).into_iter().chain([at.as_os_str()]);
    if mounted { run("umount", arguments) } else { Ok(()) }
}

/// Where a node keeps everything, and copies of how it was.
#[derive(Debug)]
pub(super) struct Disk {
    /// Where it is to be seen.
    at: PathBuf,
    /// Where images or copies are kept.
    shelf: TempDir,
    images: bool,
}

impl Disk {
    /// An empty one at `at`.
    pub(super) fn make(at: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(at)?;
        let builder = tempfile::Builder::new().prefix("relupd-crash-").to_owned();
        // In memory where that can be: each cell copies all of it.
        let shelf = builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir())?;
        let mut disk = Self { at: at.to_owned(), shelf, images: true };
        disk.images = disk.format().is_ok();
        Ok(disk)
    }

    /// Whether it is a file system of its own, which can be cut off, filled and protected.
    pub(super) const fn is_mounted(&self) -> bool {
        self.images
    }

    fn format(&self) -> anyhow::Result<()> {
        let image = self.image();
        fs::File::create(&image)?;
        run("truncate", ["-s".as_ref(), SIZE.as_ref(), image.as_os_str()])?;
        let features = "lazy_itable_init=0,lazy_journal_init=0";
        run(
            "mkfs.ext4",
            ["-q", "-m", "0", "-J", "size=16", "-E", features]
                .map(OsStr::new)
                .into_iter()
                .chain([image.as_os_str()]),
        )?;
        self.mount()
    }

    /// Keeps a copy of what is on it. Nobody may use it meanwhile.
    pub(super) fn keep(&self, name: &str) -> anyhow::Result<()> {
        if self.images {
            self.unmount()?;
            copy(&self.image(), &self.shelf.path().join(name))?;
            self.mount()
        } else {
            replace_tree(&self.at, &self.shelf.path().join(name))
        }
    }

    /// Makes it as it was when it was kept.
    pub(super) fn restore(&self, name: &str) -> anyhow::Result<()> {
        if self.images {
            self.unmount()?;
            copy(&self.shelf.path().join(name), &self.image())?;
            self.mount()
        } else {
            replace_tree(&self.shelf.path().join(name), &self.at)
        }
    }

    /// What the disk itself holds at this instant. Who uses it has to be stopped.
    pub(super) fn capture(&self) -> anyhow::Result<()> {
        copy(&self.image(), &self.shelf.path().join("cut"))
    }

    /// Makes it what was captured, once nobody uses it any more.
    pub(super) fn lose_power(&self) -> anyhow::Result<()> {
        self.restore("cut")
    }

    /// Takes all of its space.
    pub(super) fn fill(&self) -> anyhow::Result<()> {
        let ballast = fs::File::create(self.ballast())?;
        let (mut taken, mut piece) = (0, LARGEST_PIECE);
        while piece >= SMALLEST_PIECE {
            match rustix::fs::fallocate(&ballast, FallocateFlags::empty(), taken, piece) {
                Ok(()) => taken += piece,
                Err(rustix::io::Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("cannot fill the disk"),
            }
        }
        Ok(())
    }

    /// Gives its space back.
    pub(super) fn empty(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.ballast())?)
    }

    /// Mounts a directory of it over itself, so that nothing can be written there.
    pub(super) fn protect(&self, directory: &Path) -> anyhow::Result<()> {
        run("mount", ["--bind".as_ref(), directory.as_os_str(), directory.as_os_str()])?;
        run("mount", ["-o".as_ref(), "remount,bind,ro".as_ref(), directory.as_os_str()])
    }

    /// Lets it be written again. The mount stays: who was started meanwhile may be there.
    pub(super) fn unprotect(&self, directory: &Path) -> anyhow::Result<()> {
        run("mount", ["-o".as_ref(), "remount,bind,rw".as_ref(), directory.as_os_str()])
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }

    fn image(&self) -> PathBuf {
        self.shelf.path().join("image")
    }

    fn mount(&self) -> anyhow::Result<()> {
        run("mount", ["-o".as_ref(), OPTIONS.as_ref(), self.image().as_os_str(), self.at.as_os_str()])
    }

    fn unmount(&self) -> anyhow::Result<()> {
        // What was killed may take a moment until its files are closed.
        let mut tries = UNMOUNT_TRIES;
        loop {
            match run("umount", ["--recursive".as_ref(), self.at.as_os_str()]) {
                Err(_) if tries > 0 => tries -= 1,
                ended => return ended,
            }
            std::thread::sleep(UNMOUNT_PAUSE);
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.images {
            // Lazily: a VM may take a moment to be gone.
            let _gone = run(
                "umount",
                ["--recursive", "--lazy"].map(OsStr::new).into_iter().chain([self.at.as_os_str()]),
            );
        }
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    run("cp", ["--sparse=always".as_ref(), from.as_os_str(), to.as_os_str()])
}

fn replace_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    run("cp", ["-a".as_ref(), from.as_os_str(), to.as_os_str()])
}

fn run<'a>(program: &str, arguments: impl IntoIterator<Item = &'a OsStr>) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
