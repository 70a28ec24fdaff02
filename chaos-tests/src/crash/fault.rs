//! What breaks.

use super::points::{Action, Whom};
use std::fmt;

/// What breaks at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGKILL of the daemon.
    KillDaemon,
    /// SIGKILL of the app's VM.
    KillVm,
    /// SIGKILL of both.
    KillBoth,
    /// Both are gone, with whatever was not on the disk, and the host boots anew.
    PowerCut,
    /// No space on the disk.
    DiskFull,
    /// No permission for this one thing.
    NoPermission,
    /// Nothing can be written any more.
    ReadOnly,
    /// The file system itself is full, for everybody.
    FullFileSystem,
    /// The release root itself is mounted read-only.
    ReadOnlyRoot,
    /// The VM has answered, but its answer is lost with the connection.
    LostReply,
    /// The VM stands still until the rollout is over or somebody kills it.
    Hang,
}

const ENOSPC: i32 = 28;
const EACCES: i32 = 13;
const EROFS: i32 = 30;

impl Fault {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::KillDaemon,
        Self::KillVm,
        Self::KillBoth,
        Self::PowerCut,
        Self::DiskFull,
        Self::NoPermission,
        Self::ReadOnly,
        Self::FullFileSystem,
        Self::ReadOnlyRoot,
        Self::LostReply,
        Self::Hang,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillDaemon => "kill-daemon",
            Self::KillVm => "kill-vm",
            Self::KillBoth => "kill-both",
            Self::PowerCut => "power-cut",
            Self::DiskFull => "disk-full",
            Self::NoPermission => "no-permission",
            Self::ReadOnly => "read-only",
            Self::FullFileSystem => "full-file-system",
            Self::ReadOnlyRoot => "read-only-root",
            Self::LostReply => "lost-reply",
            Self::Hang => "hang",
        }
    }

    /// What the daemon is to do at the point.
    pub(super) const fn action(self) -> Action {
        match self {
            Self::KillDaemon
            | Self::KillVm
            | Self::KillBoth
            | Self::PowerCut
            | Self::FullFileSystem
            | Self::ReadOnlyRoot
            | Self::Hang => Action::Hold,
            Self::DiskFull => Action::Fail { errno: ENOSPC, whom: Whom::Growing },
            Self::NoPermission => Action::Fail { errno: EACCES, whom: Whom::Same },
            Self::ReadOnly => Action::Fail { errno: EROFS, whom: Whom::All },
            Self::LostReply => Action::Lose,
        }
    }

    /// Whether a file system of the node's own is needed for it.
    pub(super) const fn needs_mount(self) -> bool {
        matches!(self, Self::PowerCut | Self::FullFileSystem | Self::ReadOnlyRoot)
    }

    /// Whether without a VM there is nothing to break, or nothing that another fault does not break as well.
    pub(super) const fn needs_vm(self) -> bool {
        matches!(self, Self::KillVm | Self::KillBoth | Self::Hang)
    }

    /// Whether it can happen at this point: the first word says what is about to be done there.
    pub(super) fn fits(self, point: &str) -> bool {
        let operation = point.split(' ').next().unwrap_or_default();
        let on_disk =
            !["begin", "end", "ask", "answered", "lose", "spawn", "spawned", "terminate", "stopped"]
                .contains(&operation);
        match self {
            Self::KillDaemon | Self::KillVm | Self::KillBoth | Self::PowerCut => operation != "lose",
            Self::DiskFull | Self::NoPermission | Self::ReadOnly => on_disk,
            // The others of its kind are tried everywhere; these show that they tell the truth.
            Self::FullFileSystem => ["create", "move", "remove"].contains(&operation),
            // The store lies elsewhere.
            Self::ReadOnlyRoot => Self::FullFileSystem.fits(point) && !point.contains(" store/"),
            Self::LostReply => operation == "lose",
            // It takes as long as the timeouts do: only where a VM is waited for, that it answers, dials in or ends.
            Self::Hang => ["ask", "spawned", "terminate"].contains(&operation),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
