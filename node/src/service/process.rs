//! One process of this host, told apart from a later holder of its pid by its start time. All
//! signals go through a pidfd that was opened before the start time was compared, so they cannot
//! reach anybody else.

use crate::fail_point;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::net::unix::pipe;

/// How often a group of processes that was killed is looked at: only its leader has a pidfd to wait on.
pub(super) const EXIT_POLL: Duration = Duration::from_millis(10);

/// How often, and how far apart, to look at a process that has no environment: becoming another program
/// takes well under a millisecond, and more where its file has to be read or nobody has a core to spare.
const EXEC_LOOKS: u32 = 50;
const EXEC_LOOK: Duration = Duration::from_millis(2);

/// What tells a process from every other one of this boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) start_time: u64,
}

/// A process that lived when it was opened.
#[derive(Debug)]
pub(crate) struct Process {
    pidfd: OwnedFd,
}

impl Process {
    /// The process, if it is still there and still the same one.
    pub(crate) fn open(identity: Identity) -> io::Result<Option<Self>> {
        let Some(pid) = raw_pid(identity.pid) else { return Ok(None) };
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // EINVAL: the number is that of a thread by now.
            Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(is_alive(identity)?.then_some(Self { pidfd }))
    }

    /// Sends a signal; a process that is gone already is fine.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has exited, whoever reaps it: that is when a pidfd becomes readable.
    pub(crate) async fn exited(&self) -> io::Result<()> {
        // tokio waits on any descriptor only with `unsafe`, on an unchecked pipe without; nothing is
        // ever read from this one.
        pipe::Receiver::from_owned_fd_unchecked(self.pidfd.try_clone()?)?.readable().await
    }
}

/// What of /proc/PID/stat matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    state: char,
    pub(super) group: u32,
    pub(super) start_time: u64,
}

impl Stat {
    /// A zombie runs nothing any more, whether or not anybody reaps it.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }

    /// The second field is the program's name in parentheses and may hold anything, even
    /// parentheses; what follows its last one are numbers.
    fn parse(text: &str) -> Option<Self> {
        let (pid, rest) = text.split_once(" (")?;
        let (_, rest) = rest.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc_pid_stat(5) counts from 1, and `state`, the first one here, is number 3.
        let field = |number: usize| fields.get(number - 3).copied();
        Some(Self {
            pid: pid.parse().ok()?,
            state: field(3)?.chars().next()?,
            group: field(5)?.parse().ok()?,
            start_time: field(22)?.parse().ok()?,
        })
    }
}

/// Whether the process is still there and still the same one.
pub(super) fn is_alive(identity: Identity) -> io::Result<bool> {
    Ok(stat(identity.pid)?.is_some_and(|stat| stat.is_alive() && stat.start_time == identity.start_time))
}

/// The process's line, `None` where there is no such process.
pub(super) fn stat(pid: u32) -> io::Result<Option<Stat>> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => Stat::parse(&text)
            .map(Some)
            .ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has an unknown format: {text:?}"))),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every process of the host. Only for starting and stopping: it costs a read for each.
pub(super) fn all() -> io::Result<Vec<Stat>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
            processes.extend(stat(pid)?);
        }
    }
    Ok(processes)
}

/// The value of a variable that the process was started with. Only root may ask other users' processes.
///
/// In the instant in which a process becomes another program it has no environment: between two looks there
/// is time for that. One that was started without any variable, a zombie and the kernel's own have none at
/// any look.
pub(crate) fn variable(pid: u32, name: &str) -> io::Result<Option<String>> {
    for _ in 0..EXEC_LOOKS {
        match fs::read(format!("/proc/{pid}/environ")) {
            Ok(environment) if environment.is_empty() => std::thread::sleep(EXEC_LOOK),
            Ok(environment) => return Ok(value(&environment, name)),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn value(environment: &[u8], name: &str) -> Option<String> {
    environment.split(|byte| *byte == 0).find_map(|item| {
        let value = item.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// What the kernel calls the process: the name of the file that it executes, cut off.
pub(crate) fn name(pid: u32) -> io::Result<Option<String>> {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => Ok(Some(name.trim_end().to_owned())),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the kernel makes of a file's name: TASK_COMM_LEN is 16, with a zero at the end.
pub(crate) fn kernel_name(file: &str) -> &str {
    file.get(..15).unwrap_or(file)
}

/// Kills what is left of the group that `leader` leads or led. Returns how many were alive.
///
/// As long as the group has a member, the kernel gives its number to no new process; a leader with
/// another start time therefore means that our group is empty and the number somebody else's.
pub(super) fn kill_group(leader: Identity) -> io::Result<usize> {
    let group: Vec<Stat> = all()?.into_iter().filter(|stat| stat.group == leader.pid).collect();
    if group.iter().any(|stat| stat.pid == leader.pid && stat.start_time != leader.start_time) {
        return Ok(0);
    }
    let alive = group.iter().filter(|stat| stat.is_alive()).count();
    if let (1.., Some(pid)) = (alive, raw_pid(leader.pid)) {
        match kill_process_group(pid, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(alive)
}

/// Changes with every boot: pids and start times of another boot say nothing.
pub(crate) fn boot_id() -> io::Result<String> {
    if let Some(boot) = fail_point::boot() {
        return Ok(boot);
    }
    fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).map(|text| text.trim().to_owned())
}

fn raw_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// A process may go between the opening of its file and the reading.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let text = "42 (a) R (b) S 1 40 40 0 -1 4194560 10 0 0 0 1 2 0 0 20 0 1 0 777 1000 10 1844";
        assert_eq!(Stat::parse(text), Some(Stat { pid: 42, state: 'S', group: 40, start_time: 777 }));
        assert_eq!(Stat::parse("42 (a) S 1"), None);
    }

    #[tokio::test]
    async fn the_end_of_a_process_is_waited_for_and_not_polled() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let stat = stat(child.id()).expect("/proc").expect("it runs");
        let identity = Identity { pid: stat.pid, start_time: stat.start_time };
        let process = Process::open(identity).expect("a pidfd").expect("it runs");
        let early = tokio::time::timeout(Duration::from_millis(50), process.exited()).await;
        assert!(early.is_err(), "it still runs");
        process.signal(Signal::KILL).expect("ours");
        // It stays as a zombie: nobody has waited for it yet.
        tokio::time::timeout(Duration::from_secs(60), process.exited())
            .await
            .expect("it ended")
            .expect("a wait");
        assert!(!is_alive(identity).expect("/proc"));
        child.wait().expect("ours");
    }

    #[tokio::test]
    async fn a_later_holder_of_the_pid_is_somebody_else() {
        let own = stat(std::process::id()).expect("/proc").expect("this process runs");
        let identity = Identity { pid: own.pid, start_time: own.start_time };
        assert!(Process::open(identity).expect("/proc").is_some());
        let earlier = Identity { start_time: own.start_time - 1, ..identity };
        assert!(Process::open(earlier).expect("/proc").is_none());
        assert_eq!(kill_group(Identity { pid: own.group, start_time: 1 }).expect("/proc"), 0);
    }
}
