//! The steps of an upgrade on one host, over whatever installs packages and whatever tells how the daemon is.
//! Each step is put down before it is taken, so that a crash anywhere leads back to the package of before.

use super::HostError;
use crate::upgrade::order::Order;
use crate::upgrade::progress::{Phase, Progress};
use crate::upgrade::trust::{TrustedKeys, require_owner};
use relupd_core::chain;
use relupd_release::package::{self, PackageFacts};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The program that can put the package of before back, whatever the new one's is like. It is there while an
/// upgrade is unfinished; relupd-upgrade-resume.service starts it at the next boot.
const PROGRAM: &str = "relupd";
const INCOMING: &str = "incoming.deb";
const PREVIOUS: &str = "previous.deb";

/// What installs packages.
pub(super) trait Packages {
    /// The version that is installed.
    fn installed(&self) -> Result<String, String>;
    /// This host's processor, as packages call it.
    fn architecture(&self) -> Result<String, String>;
    /// Makes a package of what is installed.
    fn keep(&self, to: &Path) -> Result<(), String>;
    /// Installs a package; its scripts start the daemon anew.
    fn install(&self, package: &Path) -> Result<(), String>;
}

/// What tells how this host's daemon is.
pub(super) trait Daemon {
    /// Whether it runs, and has a quorum.
    fn is_well(&self) -> Result<(), String>;
    /// Returns when a daemon of this version has been well for a while, or why it was not in all the time that it
    /// had.
    fn proves(&self, version: &str) -> Result<(), String>;
}

/// Where things lie on this host.
pub(super) struct Places {
    /// The daemon's: the order.
    pub(super) staged: PathBuf,
    /// Root's: packages, and the account.
    pub(super) keep: PathBuf,
    /// Root's: whom to trust.
    pub(super) keys: PathBuf,
}

/// One host.
pub(super) struct Host<'a> {
    pub(super) places: Places,
    pub(super) packages: &'a dyn Packages,
    pub(super) daemon: &'a dyn Daemon,
    /// Whose the keys have to be.
    pub(super) owner: u32,
}

impl Host<'_> {
    /// Does what there is to do; how it ended, where there was something. `now` is in seconds since 1970.
    pub(super) fn work(&self, now: i64) -> Result<Option<Progress>, HostError> {
        let keep = &self.places.keep;
        let made = DirBuilder::new().recursive(true).mode(0o755).create(keep);
        made.map_err(|source| HostError::Keep { what: "make", path: keep.clone(), source })?;
        require_owner(keep, Some(self.owner))?;
        let _lock = self.lock()?;
        let last = Progress::read(keep);
        if let Some(unfinished) = last.clone().filter(|last| last.phase.is_unfinished()) {
            return self.resume(unfinished).map(Some);
        }
        let order = match Order::find(&self.places.staged) {
            Ok(None) => return Ok(None),
            Ok(Some(order)) if last.is_some_and(|last| last.order == order.order) => return Ok(None),
            Ok(Some(order)) => order,
            Err(error) => return self.refused("", "", chain(&error)).map(Some),
        };
        let from = self.packages.installed().unwrap_or_default();
        match self.accept(&order, now) {
            Err(reason) => {
                let _gone = fs::remove_file(keep.join(INCOMING));
                self.refused(&order.order, &from, reason).map(Some)
            }
            Ok(facts) => self.install(&order.order, from, facts.version).map(Some),
        }
    }

    /// Looks at everything that can be looked at before anything is changed.
    fn accept(&self, order: &Order, now: i64) -> Result<PackageFacts, String> {
        let incoming = self.places.keep.join(INCOMING);
        // First, so that nobody changes it between the look and the deed.
        let taken = Order::take_package(&self.places.staged, &incoming);
        let (digest, size) = taken.map_err(|error| chain(&error))?;
        let keys = TrustedKeys::read(&self.places.keys, Some(self.owner)).map_err(|error| chain(&error))?;
        let verified = keys.verify(&order.statement, &order.signature, now);
        let statement = verified.map_err(|error| chain(&error))?;
        if (digest, size) != (statement.digest, statement.size) {
            return Err("the package is not the one that was signed".to_owned());
        }
        let read = File::open(&incoming)
            .map_err(|error| error.to_string())
            .and_then(|file| package::read(io::BufReader::new(file)).map_err(|error| chain(&error)));
        let facts = read?;
        if facts.name != package::NAME {
            return Err(format!("the package is {:?}, not {:?}", facts.name, package::NAME));
        }
        if (&facts.version, &facts.architecture) != (&statement.version, &statement.architecture) {
            return Err("the package says something else of itself than its signer does".to_owned());
        }
        let own = self.packages.architecture()?;
        if facts.architecture != own {
            return Err(format!("the package is for {}, and this host is {own}", facts.architecture));
        }
        // Else nothing could be told of the new one, and what takes a quorum down for good is not an upgrade.
        self.daemon.is_well().map_err(|reason| format!("the daemon is not well as it is: {reason}"))?;
        Ok(facts)
    }

    fn install(&self, order: &str, from: String, to: String) -> Result<Progress, HostError> {
        let keep = &self.places.keep;
        let mut progress =
            Progress { order: order.to_owned(), from, to, phase: Phase::Installed, reason: String::new() };
        if progress.from == progress.to {
            return self.end(progress);
        }
        let kept = self.packages.keep(&keep.join(PREVIOUS)).and_then(|()| {
            keep_program(&keep.join(PROGRAM)).map_err(|error| format!("cannot keep this program: {error}"))
        });
        if let Err(reason) = kept {
            progress.phase = Phase::Refused;
            progress.reason = reason;
            return self.end(progress);
        }
        progress.phase = Phase::Installing;
        self.note(&progress)?;
        if let Err(reason) = self.packages.install(&keep.join(INCOMING)) {
            return self.go_back(progress, reason);
        }
        self.check(progress)
    }

    fn check(&self, mut progress: Progress) -> Result<Progress, HostError> {
        progress.phase = Phase::Checking;
        self.note(&progress)?;
        match self.daemon.proves(&progress.to) {
            Ok(()) => {
                progress.phase = Phase::Installed;
                self.end(progress)
            }
            Err(reason) => self.go_back(progress, reason),
        }
    }

    fn go_back(&self, mut progress: Progress, reason: String) -> Result<Progress, HostError> {
        progress.phase = Phase::Reverting;
        progress.reason = reason;
        self.note(&progress)?;
        let previous = self.places.keep.join(PREVIOUS);
        let back = self.packages.install(&previous).and_then(|()| self.daemon.proves(&progress.from));
        if let Err(reason) = back {
            progress.phase = Phase::Failed;
            progress.reason = format!("{}; and on the way back: {reason}", progress.reason);
            let ended = self.end(progress)?;
            return Err(HostError::Stuck { reason: ended.reason, path: previous });
        }
        progress.phase = Phase::Reverted;
        self.end(progress)
    }

    /// The host went down in the middle: back to what is known to work, and at once. Apps start with the program
    /// that is installed, and nobody knows yet what the new one is like.
    fn resume(&self, unfinished: Progress) -> Result<Progress, HostError> {
        match unfinished.phase {
            Phase::Installing | Phase::Checking => {
                let reason = "the host went down before the new daemon had proved itself";
                self.go_back(unfinished, reason.to_owned())
            }
            Phase::Reverting => {
                let reason = unfinished.reason.clone();
                self.go_back(unfinished, reason)
            }
            Phase::Installed | Phase::Reverted | Phase::Refused | Phase::Failed => Ok(unfinished),
        }
    }

    fn refused(&self, order: &str, from: &str, reason: String) -> Result<Progress, HostError> {
        self.end(Progress {
            order: order.to_owned(),
            from: from.to_owned(),
            to: String::new(),
            phase: Phase::Refused,
            reason,
        })
    }

    /// The package of before is kept, for people; the rest goes.
    fn end(&self, progress: Progress) -> Result<Progress, HostError> {
        self.note(&progress)?;
        for name in [INCOMING, PROGRAM] {
            let path = self.places.keep.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(HostError::Keep { what: "remove", path, source });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(progress)
    }

    fn note(&self, progress: &Progress) -> Result<(), HostError> {
        let path = || Progress::path(&self.places.keep);
        progress.write(&self.places.keep).map_err(|source| HostError::Keep {
            what: "write",
            path: path(),
            source,
        })
    }

    fn lock(&self) -> Result<File, HostError> {
        let path = self.places.keep.join("lock");
        let file = File::options().create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(|source| HostError::Keep { what: "open", path, source })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(_) => Err(HostError::Busy),
        }
    }
}

/// A copy of this very program: dpkg is about to replace the one that was started.
fn keep_program(to: &Path) -> io::Result<()> {
    let beside = to.with_extension("new");
    fs::copy("/proc/self/exe", &beside)?;
    fs::set_permissions(&beside, Permissions::from_mode(0o755))?;
    File::open(&beside)?.sync_all()?;
    fs::rename(&beside, to)?;
    File::open(to.parent().unwrap_or(Path::new("/")))?.sync_all()
}

#[cfg(test)]
mod tests;
