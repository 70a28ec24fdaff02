//! What a release needs of this host: libraries and symbol versions, permissions and space, hardening,
//! and that its runtime system starts here at all.

use super::book::Entry;
use super::helper::{Helper, clean_boot};
use super::layout::Layout;
use crate::driver::checks::{failed, not_hot};
use crate::driver::files::{At, Locate};
use crate::driver::{AppUser, CheckResult};
use crate::ids::ReleaseVersion;
use relupd_release::elf::host::{HostLibraries, read_binary};
use relupd_release::elf::{ElfFile, Finding, Machine};
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pointers, RELEASES, crash dumps and logs need some room; a host with less than this is full.
const MIN_FREE: u64 = 64 << 20;

/// A VM with kernel and stdlib boots in half a second on a slow disk.
const SMOKE_PATIENCE: Duration = Duration::from_secs(30);

/// So many findings are listed.
const LISTED: usize = 5;

/// Native code of a placed release.
pub(super) struct Native {
    /// The application that ships it, as its directory is called; none where it is the runtime system's.
    application: Option<String>,
    path: PathBuf,
    file: ElfFile,
}

/// The programs of the runtime system and the shared objects of the applications, as they are placed.
pub(super) fn native_code(layout: &Layout, entry: &Entry) -> Result<Vec<Native>, At> {
    let mut found = Vec::new();
    let runtime = layout.root().join(format!("erts-{}", entry.erts)).join("bin");
    collect(&runtime, None, &mut found)?;
    for directory in entry.directories() {
        collect(&layout.libraries().join(&directory).join("priv"), Some(&directory), &mut found)?;
    }
    Ok(found)
}

fn collect(directory: &Path, application: Option<&str>, found: &mut Vec<Native>) -> Result<(), At> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at(directory)?,
    };
    for entry in entries {
        let entry = entry.at(directory)?;
        let path = entry.path();
        let kind = entry.file_type().at(&path)?;
        if kind.is_dir() {
            collect(&path, application, found)?;
        } else if kind.is_file()
            && let Some(content) = read_binary(&path).at(&path)?
            && let Ok(file) = ElfFile::parse(&content)
        {
            found.push(Native { application: application.map(str::to_owned), path, file });
        }
    }
    Ok(())
}

/// `P7`: every library and every symbol version is there, for the processor that this daemon runs on.
/// An application may ship the same for several processors and choose when it starts, or firmware for a
/// device: what is of another one can be nothing that this host needs, unless there is nothing else.
pub(super) fn libraries(root: &Path, native: &[Native]) -> CheckResult {
    let own = own_machine();
    let is_own = |native: &Native| own.is_none_or(|own| own == native.file.machine);
    let served: BTreeSet<&str> = native
        .iter()
        .filter(|native| is_own(native))
        .filter_map(|native| native.application.as_deref())
        .collect();
    let mut host = HostLibraries::of_this_host();
    let (mut unmet, mut foreign) = (Vec::new(), Vec::new());
    for native in native {
        let Native { application, path, file } = native;
        let name = path.strip_prefix(root).unwrap_or(path).display();
        match application.as_deref() {
            _ if is_own(native) => {
                unmet.extend(host.unmet(path, file).into_iter().map(|what| format!("{name}: {what}")));
            }
            None => unmet.push(format!("{name} was built for another processor")),
            Some(application) if served.contains(application) => {}
            Some(_) => foreign
                .push(format!("{name} was built for another processor, and nothing beside it for this one")),
        }
    }
    match (listed(&unmet), listed(&foreign)) {
        (None, None) => CheckResult::Passed,
        (None, Some(reason)) => CheckResult::Warning { reason },
        (Some(reason), _) => failed(
            reason,
            "install what is missing on this host, or build the release on the oldest system it shall run on",
        ),
    }
}

fn own_machine() -> Option<Machine> {
    Machine::of(fs::File::open("/proc/self/exe").ok()?).ok()
}

/// `P15`: what the app's policy requires. Questions that do not apply to a file, or that it does not
/// answer, are none of its faults.
pub(super) fn hardening(root: &Path, native: &[Native], required: &BTreeSet<String>) -> CheckResult {
    let mut soft = Vec::new();
    for Native { path, file, application: _ } in native {
        let missing: Vec<&str> = file
            .hardening
            .findings()
            .into_iter()
            .filter(|(question, finding)| required.contains(*question) && *finding == Finding::No)
            .map(|(question, _)| question)
            .collect();
        if !missing.is_empty() {
            let name = path.strip_prefix(root).unwrap_or(path).display();
            soft.push(format!("{name} lacks {}", missing.join(", ")));
        }
    }
    match listed(&soft) {
        None => CheckResult::Passed,
        Some(reason) => failed(
            reason,
            "build OTP and the NIFs with these flags, or take them out of `upgrade.require_hardening`",
        ),
    }
}

fn listed(findings: &[String]) -> Option<String> {
    let first = findings.iter().take(LISTED).cloned().collect::<Vec<_>>().join("; ");
    match findings.len().checked_sub(LISTED) {
        _ if findings.is_empty() => None,
        None | Some(0) => Some(first),
        Some(more) => Some(format!("{first}; and {more} more")),
    }
}

/// `P8`: relupd can write below the release root, nobody else can, the app's user can read what it
/// boots, and there is some room. Without a placed release, of what is there.
pub(super) fn permissions_and_space(
    layout: &Layout,
    placed: Option<(&Entry, &ReleaseVersion)>,
    user: Option<&AppUser>,
    coming: u64,
) -> Result<CheckResult, At> {
    let mut written =
        vec![layout.root().to_owned(), layout.libraries(), layout.releases(), layout.root().join("bin")];
    if placed.is_none() {
        written.retain(|directory| directory.exists());
    }
    for directory in &written {
        if let Err(error) = rustix::fs::access(directory, rustix::fs::Access::WRITE_OK) {
            let reason = format!("{} cannot be written: {}", directory.display(), io::Error::from(error));
            return Ok(failed(reason, "make relupd its owner, and the file system writable"));
        }
    }
    let release = placed.map(|(_, version)| layout.release(version));
    let placed: Vec<PathBuf> = placed
        .into_iter()
        .flat_map(|(entry, _)| own_directories(layout, entry))
        .chain(release.clone())
        .collect();
    for directory in written.iter().chain(&placed) {
        let found = fs::metadata(directory).at(directory)?;
        if found.permissions().mode() & 0o022 != 0 {
            let reason = format!("{} can be written by others than its owner", directory.display());
            return Ok(failed(reason, "take the permission away: `chmod go-w`"));
        }
    }
    if let Some(user) = user {
        let booted =
            |release: &PathBuf| ["sys.config", "start.boot", "vm.args"].map(|name| release.join(name));
        let files: Vec<PathBuf> = release.iter().flat_map(booted).filter(|path| path.exists()).collect();
        for path in written.iter().chain(&placed).chain(&files) {
            let found = fs::metadata(path).at(path)?;
            if found.uid() == user.uid {
                let reason = format!("{} belongs to the app's own user {}", path.display(), user.name);
                return Ok(failed(reason, "make relupd its owner: what runs must not write itself"));
            }
            if !readable(&found, user) {
                let reason = format!("{} cannot be read by the app's user {}", path.display(), user.name);
                return Ok(failed(reason, "give it back its permissions, or place the release again"));
            }
        }
    }
    let space = rustix::fs::statvfs(layout.root()).map_err(io::Error::from).at(layout.root())?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let needed = coming.saturating_add(MIN_FREE);
    if free < needed || (space.f_files > 0 && space.f_favail < 100) {
        let root = layout.root().display();
        let reason = format!(
            "{root} has {} kB and {} files left; {} kB are needed",
            free >> 10,
            space.f_favail,
            needed >> 10
        );
        return Ok(failed(reason, "free some space there"));
    }
    Ok(CheckResult::Passed)
}

fn own_directories(layout: &Layout, entry: &Entry) -> Vec<PathBuf> {
    let libraries = entry.directories().map(|directory| layout.libraries().join(directory));
    libraries.chain([layout.root().join(format!("erts-{}", entry.erts))]).collect()
}

/// Whether a user may read a file, or list and enter a directory.
fn readable(found: &Metadata, user: &AppUser) -> bool {
    let wanted = if found.is_dir() { 0o5 } else { 0o4 };
    let shift = if found.uid() == user.uid {
        6
    } else if found.gid() == user.gid {
        3
    } else {
        0
    };
    user.uid == 0 || (found.permissions().mode() >> shift) & wanted == wanted
}

/// `P14`: the runtime system starts on this host, as the app's user, and halts again.
pub(super) async fn smoke_boot(helper: &Helper, release: &Path) -> CheckResult {
    let Some(boot) = clean_boot(release) else {
        return not_hot(
            format!("{} has no start_clean.boot to try its runtime system with", release.display()),
            "build the release with rebar3/relx or mix",
        );
    };
    let helper = Helper { boot: Some(boot), ..helper.clone() };
    match helper.eval("io:put_chars(erlang:system_info(version)), halt(0).", &[], SMOKE_PATIENCE).await {
        Ok(version) if version == helper.erts => CheckResult::Passed,
        Ok(other) => failed(
            format!("the runtime system says that it is {other:?}, not {}", helper.erts),
            "build the release again from a clean directory",
        ),
        Err(error) => failed(
            format!("the runtime system does not run on this host: {}", relupd_core::chain(&error)),
            "see what it says; build the release on the oldest system that it shall run on",
        ),
    }
}
