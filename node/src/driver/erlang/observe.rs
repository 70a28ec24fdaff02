//! PURE: holds the sources against each other and says what they amount to. No single source is
//! believed: the release handler forgets and invents, the application environment changes before the
//! code does, and the pointers on disk are several.

use super::book::Book;
use super::layout::PointerFile;
use crate::driver::pointer::TRIAL_LEFT;
use crate::driver::{Condition, Observation, Running};
use crate::ids::{BootNonce, ReleaseVersion};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that was looked at, as it was found.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    pub(super) disk: Disk,
    pub(super) process: Process,
}

/// What lies under the release root.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    /// `releases/start_erl.data`: what `relupd launch` boots.
    pub(super) permanent: PointerFile,
    /// The trial file, which comes before it.
    pub(super) trial: PointerFile,
    pub(super) book: BookFile,
    /// The version compiled into `bin/REL`, where there is such a script.
    pub(super) script: ScriptFile,
    /// Directories of libraries and releases that no registered release names.
    pub(super) unregistered: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum BookFile {
    Absent,
    Torn { reason: String },
    Read(Book),
}

#[derive(Clone, Debug)]
pub(super) enum ScriptFile {
    /// There is none, or it follows `start_erl.data`.
    Follows,
    Names(ReleaseVersion),
    Torn {
        reason: String,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Process {
    None,
    /// There is a process, but nothing can be learned from it.
    Silent {
        reason: String,
    },
    Answers(Box<VmView>),
}

/// What the VM says, boiled down to versions.
#[derive(Clone, Debug)]
pub(super) struct VmView {
    pub(super) boot_nonce: BootNonce,
    /// What this life of the VM was booted as.
    pub(super) booted: String,
    /// Whether there should be a release handler; without one there is nothing that it could believe.
    pub(super) has_sasl: bool,
    pub(super) handler_permanent: Option<String>,
    pub(super) handler_current: Option<String>,
    /// Registered versions whose modules are exactly the loaded ones. Several where versions do not
    /// differ in code; none where the code is mixed.
    pub(super) code: BTreeSet<ReleaseVersion>,
    /// What does not fit, for people.
    pub(super) code_detail: String,
    /// Loaded applications and the versions they claim.
    pub(super) applications: BTreeMap<String, String>,
    /// Parameters that an install which did not succeed has left behind.
    pub(super) environment: Vec<String>,
}

pub(super) fn classify(sources: &Sources) -> Observation {
    let permanent = permanent(&sources.disk);
    let disk = disk_condition(&sources.disk);
    let (running, condition) = match &sources.process {
        Process::None => (Running::Down, disk.unwrap_or_else(|| at_rest(&sources.disk))),
        Process::Silent { reason } => {
            let unknown = Condition::Unknown { reason: reason.clone() };
            (Running::Unknown { reason: reason.clone() }, disk.unwrap_or(unknown))
        }
        Process::Answers(vm) => {
            let (version, condition) = running(&sources.disk, vm, permanent.as_ref());
            let running = match version {
                Some(version) => Running::Up { version, boot_nonce: vm.boot_nonce.clone() },
                None => Running::Unknown { reason: vm.code_detail.clone() },
            };
            (running, disk.unwrap_or(condition))
        }
    };
    let condition = match condition {
        Condition::Clean | Condition::Stopped | Condition::Absent
            if !sources.disk.unregistered.is_empty() =>
        {
            Condition::Debris { detail: sources.disk.unregistered.join(", ") }
        }
        other => other,
    };
    Observation { permanent, running, condition }
}

fn permanent(disk: &Disk) -> Option<ReleaseVersion> {
    disk.permanent.target().map(|pointer| pointer.release.clone())
}

fn at_rest(disk: &Disk) -> Condition {
    if disk.permanent.target().is_some() { Condition::Stopped } else { Condition::Absent }
}

/// Whether the pointers on disk agree; `None` where they do.
fn disk_condition(disk: &Disk) -> Option<Condition> {
    let torn = |detail: String| Some(Condition::TornPointers { detail });
    let pointer = match &disk.permanent {
        PointerFile::Torn { reason } => return torn(reason.clone()),
        PointerFile::Points(pointer) => Some(pointer.release.as_str()),
        PointerFile::Absent => None,
    };
    let booked = match &disk.book {
        BookFile::Torn { reason } => return torn(reason.clone()),
        BookFile::Read(book) => match book.permanent() {
            Ok(version) => version.map(ReleaseVersion::as_str),
            Err(several) => return torn(format!("RELEASES has several permanent releases: {several}")),
        },
        BookFile::Absent => None,
    };
    if pointer != booked {
        let or_nothing = |version: Option<&str>| version.unwrap_or("nothing").to_owned();
        return torn(format!(
            "start_erl.data says {}, RELEASES says {}",
            or_nothing(pointer),
            or_nothing(booked)
        ));
    }
    match (&disk.script, pointer) {
        (ScriptFile::Torn { reason }, _) => torn(reason.clone()),
        (ScriptFile::Names(script), Some(pointer)) if script.as_str() != pointer => {
            torn(format!("start_erl.data says {pointer}, the script in bin/ says {script}"))
        }
        (ScriptFile::Names(_) | ScriptFile::Follows, _) => None,
    }
}

/// What runs, and how that fits the rest.
fn running(
    disk: &Disk,
    vm: &VmView,
    permanent: Option<&ReleaseVersion>,
) -> (Option<ReleaseVersion>, Condition) {
    let trial = disk.trial.target().map(|pointer| &pointer.release);
    let Some(version) = loaded_version(vm, permanent, trial) else {
        return (None, Condition::MixedCode { detail: vm.code_detail.clone() });
    };
    let condition = if let Some(detail) = foreign_environment(disk, vm, &version) {
        Condition::HalfEnvironment { detail }
    } else if let Some(detail) = handler_lie(vm, permanent, trial, &version) {
        Condition::HandlerLies { detail }
    } else if Some(&version) != permanent {
        Condition::Trial
    } else if disk.trial == PointerFile::Absent {
        Condition::Clean
    } else {
        Condition::TornPointers { detail: TRIAL_LEFT.to_owned() }
    };
    (Some(version), condition)
}

/// The version whose code is loaded. Where several versions have the same code, the one that the
/// other sources name.
fn loaded_version(
    vm: &VmView,
    permanent: Option<&ReleaseVersion>,
    trial: Option<&ReleaseVersion>,
) -> Option<ReleaseVersion> {
    let named = |name: &str| vm.code.iter().find(|version| version.as_str() == name);
    let booted_trial = trial.filter(|version| version.as_str() == vm.booted).and_then(|v| vm.code.get(v));
    vm.handler_current
        .as_deref()
        .and_then(named)
        .or(booted_trial)
        .or_else(|| permanent.and_then(|version| vm.code.get(version)))
        .or_else(|| named(&vm.booted))
        .or_else(|| vm.code.first())
        .cloned()
}

/// Applications that claim another version than the release has: an install that failed before its
/// point of no return has already changed them, and the environment with them. Where both releases have
/// the same applications, only their parameters tell.
fn foreign_environment(disk: &Disk, vm: &VmView, version: &ReleaseVersion) -> Option<String> {
    let BookFile::Read(book) = &disk.book else { return None };
    if !vm.environment.is_empty() {
        return Some(format!("{version} runs, but {}", vm.environment.join(", ")));
    }
    book.entry(version)?.applications.iter().find_map(|(name, expected)| {
        let claimed = vm.applications.get(name.as_str())?;
        (claimed != expected.as_str())
            .then(|| format!("{name} has the code of {expected} and the environment of {claimed}"))
    })
}

fn handler_lie(
    vm: &VmView,
    permanent: Option<&ReleaseVersion>,
    trial: Option<&ReleaseVersion>,
    version: &ReleaseVersion,
) -> Option<String> {
    if !vm.has_sasl {
        return None;
    }
    let believed = vm.handler_permanent.as_deref();
    if believed != permanent.map(ReleaseVersion::as_str) {
        let on_disk = permanent.map_or("nothing", ReleaseVersion::as_str);
        return Some(format!("it believes in {}, the disk says {on_disk}", believed.unwrap_or("nothing")));
    }
    let by_restart = trial == Some(version) && vm.booted == version.as_str();
    let expected = vm.handler_current.as_deref().or(believed);
    (expected != Some(version.as_str()) && !by_restart)
        .then(|| format!("it believes that {} runs, the code is {version}", expected.unwrap_or("nothing")))
}

#[cfg(test)]
mod tests;
