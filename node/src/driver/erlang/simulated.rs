//! What a simulated host shows, read by the driver's own parsers and judged by its own `classify`: a
//! simulator that judged for itself would prove nothing about the judge.

use super::book::Book;
use super::layout::PointerFile;
use super::observe::{self, BookFile, Disk, ScriptFile, Sources, VmView};
use crate::driver::{CheckResult, Observation, Transition, checks};
use crate::ids::{BootNonce, ReleaseName, ReleaseVersion};
use relupd_release::pointer::{self, StartErl};
use std::collections::{BTreeMap, BTreeSet};

/// The files that a release root and `/run` hold, as bytes; `None` where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// `releases/RELEASES`.
    pub book: Option<Vec<u8>>,
    /// `releases/start_erl.data`.
    pub permanent: Option<Vec<u8>>,
    /// `bin/REL`.
    pub script: Option<Vec<u8>>,
    /// The trial file.
    pub trial: Option<Vec<u8>>,
    /// Directories of no registered release.
    pub unregistered: Vec<String>,
}

/// The app's process.
#[derive(Clone, Debug)]
pub enum Process {
    /// There is none.
    None,
    /// It answers nothing.
    Silent { reason: String },
    /// It answers.
    Answers(Vm),
}

/// What a VM answers; the meaning of each field is `observe::VmView`'s.
#[derive(Clone, Debug)]
pub struct Vm {
    pub boot_nonce: BootNonce,
    pub booted: ReleaseVersion,
    pub handler_permanent: Option<ReleaseVersion>,
    pub handler_current: Option<ReleaseVersion>,
    /// The version that all loaded modules are of; none where they are of several.
    pub code: Option<ReleaseVersion>,
    pub applications: BTreeMap<String, String>,
}

/// What all of it amounts to.
#[must_use]
pub fn classify(name: &ReleaseName, files: &Files, process: Process) -> Observation {
    let disk = Disk {
        permanent: pointer_file(files.permanent.as_deref()),
        trial: pointer_file(files.trial.as_deref()),
        book: book_file(name, files.book.as_deref()),
        script: script_file(files.script.as_deref()),
        unregistered: files.unregistered.clone(),
    };
    let process = match process {
        Process::None => observe::Process::None,
        Process::Silent { reason } => observe::Process::Silent { reason },
        Process::Answers(vm) => observe::Process::Answers(Box::new(view(&disk, vm))),
    };
    observe::classify(&Sources { disk, process })
}

/// Modules are compared with those of registered releases, so what is not registered is not known.
fn view(disk: &Disk, vm: Vm) -> VmView {
    let registered = |version: &ReleaseVersion| match &disk.book {
        BookFile::Read(book) => book.entry(version).is_some(),
        BookFile::Absent | BookFile::Torn { .. } => false,
    };
    let code: BTreeSet<ReleaseVersion> = vm.code.into_iter().filter(registered).collect();
    let code_detail = if code.is_empty() { "modules of no registered release" } else { "" };
    VmView {
        boot_nonce: vm.boot_nonce,
        booted: vm.booted.to_string(),
        has_sasl: true,
        handler_permanent: vm.handler_permanent.map(String::from),
        handler_current: vm.handler_current.map(String::from),
        code,
        code_detail: code_detail.to_owned(),
        applications: vm.applications,
        environment: Vec::new(),
    }
}

fn pointer_file(bytes: Option<&[u8]>) -> PointerFile {
    match bytes.map(StartErl::parse) {
        None => PointerFile::Absent,
        Some(Ok(target)) => PointerFile::Points(target),
        Some(Err(error)) => PointerFile::Torn { reason: error.to_string() },
    }
}

fn book_file(name: &ReleaseName, bytes: Option<&[u8]>) -> BookFile {
    match bytes.map(|bytes| Book::parse(bytes, name)) {
        None => BookFile::Absent,
        Some(Ok(book)) => BookFile::Read(book),
        Some(Err(reason)) => BookFile::Torn { reason },
    }
}

fn script_file(bytes: Option<&[u8]>) -> ScriptFile {
    match bytes.map(pointer::script_version) {
        None | Some(Ok(None)) => ScriptFile::Follows,
        Some(Ok(Some(version))) => ScriptFile::Names(version),
        Some(Err(error)) => ScriptFile::Torn { reason: error.to_string() },
    }
}

/// The check of every preflight that the node stands where the transition comes from.
#[must_use]
pub fn stands_on_from(observed: &Observation, transition: &Transition) -> CheckResult {
    checks::stands_on_from(observed, transition)
}
