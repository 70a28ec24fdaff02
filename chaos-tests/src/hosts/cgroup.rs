//! Control groups: one of its own for each host, by which all of its processes end in one step. They are
//! the machine's, and outlive the namespaces.

use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const ALL: &str = "relupd-hosts";

/// From a kill until the kernel has buried the last process.
const BURIALS: u32 = 200;
const BURIAL_PAUSE: Duration = Duration::from_millis(10);

/// The group of a host, made where it is not there.
pub(super) fn make(run: &str, host: &str) -> anyhow::Result<PathBuf> {
    let group = root()?.join(ALL).join(run).join(host);
    fs::create_dir_all(&group).with_context(|| format!("cannot make {}", group.display()))?;
    Ok(group)
}

/// Kills everything in a group.
pub(super) fn kill(group: &Path) -> anyhow::Result<()> {
    fs::write(group.join("cgroup.kill"), "1")
        .context("this kernel cannot kill a group (it is before 5.14)")?;
    for _ in 0..BURIALS {
        let events = fs::read_to_string(group.join("cgroup.events"))?;
        if events.lines().any(|line| line == "populated 0") {
            return Ok(());
        }
        std::thread::sleep(BURIAL_PAUSE);
    }
    anyhow::bail!("{} is still populated", group.display())
}

/// Removes the groups of a run, whose processes are gone.
pub(super) fn remove(run: &str) -> anyhow::Result<()> {
    let group = root()?.join(ALL).join(run);
    if group.exists() { remove_tree(&group) } else { Ok(()) }
}

/// A group's files are no files: only its directories are removed, the deepest first.
fn remove_tree(group: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(group).with_context(|| format!("cannot remove {}", group.display()))
}

fn root() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    find_root(&mounts).context("this machine has no unified control group hierarchy")
}

/// Field 5 is where it is mounted; the type comes after the lone dash.
fn find_root(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (mount, file_system) = line.split_once(" - ")?;
        (file_system.split(' ').next()? == "cgroup2").then_some(())?;
        mount.split(' ').nth(4).map(PathBuf::from)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found_wherever_it_is_mounted() {
        let hybrid = "37 31 0:36 / /sys/fs/cgroup/systemd rw shared:1 - cgroup cgroup rw,name=systemd\n\
                      38 31 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(find_root(hybrid), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(find_root("27 1 254:0 / / rw - ext4 /dev/vda rw\n"), None);
    }
}
