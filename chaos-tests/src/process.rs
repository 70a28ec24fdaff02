//! Processes as /proc shows them. A pid alone is no identity, since pids come again: it is one only
//! together with the start time.

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// A process, told from later ones with the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    pub start_time: u64,
}

impl Identity {
    /// The process that has this pid now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start_time: start_time(pid)? })
    }

    /// Whether it is there and not merely waiting to be reaped.
    #[must_use]
    pub fn is_alive(self) -> bool {
        let Some(fields) = stat(self.pid) else { return false };
        fields.first().is_some_and(|state| state != "Z") && start_time(self.pid) == Some(self.start_time)
    }

    /// Whether none of its threads runs any more, for a stop that was sent: each takes it on for itself.
    #[must_use]
    pub fn is_stopped(self) -> bool {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.pid)) else { return true };
        tasks.flatten().all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, fields)| fields.starts_with(['T', 'Z']))
        })
    }

    /// Sends a signal to it, or to its whole process group.
    pub fn signal(self, signal: Signal, group: bool) {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return };
        if !self.is_alive() {
            return;
        }
        // A process that has gone meanwhile needs no signal.
        let _gone = if group {
            rustix::process::kill_process_group(pid, signal)
        } else {
            rustix::process::kill_process(pid, signal)
        };
    }
}

/// What a process has used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// CPU time of all its threads, in seconds.
    pub cpu_seconds: f64,
    /// Memory that is resident, in MB.
    pub rss_mb: f64,
}

impl Usage {
    /// Up to now.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let fields = stat(pid)?;
        // Fields 14 and 15 of proc(5), utime and stime; the fields here begin with the third.
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kilobytes: f64 = resident.trim().strip_suffix("kB")?.trim().parse().ok()?;
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        Some(Self { cpu_seconds: ticks / ticks_per_second, rss_mb: kilobytes / 1024.0 })
    }
}

fn start_time(pid: u32) -> Option<u64> {
    // Field 22 of proc(5); the fields here begin with the third.
    stat(pid)?.get(19)?.parse().ok()
}

/// The fields after the command, which may itself hold spaces and parentheses.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The app processes that a daemon has started, as its child service has noted them. Used to clean
/// up, never to judge.
pub(crate) fn apps_of(state_dir: &Path) -> Vec<Identity> {
    #[derive(Deserialize)]
    struct Record {
        stage: Stage,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Stage {
        Starting {},
        Started { pid: u32, start_time: u64 },
    }
    let Ok(entries) = fs::read_dir(state_dir.join("apps")) else { return Vec::new() };
    let records = entries.flatten().filter_map(|entry| {
        let text = fs::read(entry.path()).ok()?;
        serde_json::from_slice::<Record>(&text).ok()
    });
    records
        .filter_map(|record| match record.stage {
            Stage::Starting {} => None,
            Stage::Started { pid, start_time } => Some(Identity { pid, start_time }),
        })
        .collect()
}

/// Every process that runs a program below a directory, or runs in it.
pub(crate) fn all_below(directory: &Path) -> Vec<Identity> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_below = |pid: &u32| {
        ["exe", "cwd"].iter().any(|link| {
            fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|path| path.starts_with(directory))
        })
    };
    pids.filter(is_below).filter_map(Identity::of).filter(|found| found.is_alive()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_only_under_its_own_start_time() {
        let this = Identity::of(std::process::id()).unwrap();
        assert!(this.is_alive());
        assert!(!Identity { start_time: this.start_time + 1, ..this }.is_alive());
    }
}
