//! How things are on a host, for those who check promises.

use super::disk::Paper;
use super::world::{Process, World};
use relupd::ids::{BootNonce, ReleaseVersion};
use std::time::Duration;

/// One app on one host, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// What `start_erl.data` says; `None` also where it says nothing that can be read.
    pub permanent: Option<ReleaseVersion>,
    /// Somebody tore `start_erl.data`, so long ago.
    pub pointer_torn_for: Option<Duration>,
    /// RELEASES, `start_erl.data` and script agree.
    pub pointers_agree: bool,
    pub process: ProcessTruth,
    /// It does not run, and that is relupd's doing.
    pub down_by_us: bool,
}

/// The app's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcessTruth {
    None,
    Booting(ReleaseVersion),
    Up(VmTruth),
}

/// A living VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmTruth {
    pub nonce: BootNonce,
    /// `None` where modules of several versions are loaded.
    pub code: Option<ReleaseVersion>,
    pub environment: ReleaseVersion,
    pub handler_permanent: Option<ReleaseVersion>,
    /// A relup is at work.
    pub changing: bool,
    /// A process has the state of another version than its code.
    pub unmigrated: bool,
    /// For how long its code runs, in true time.
    pub ran_for: Duration,
    /// Rounds of health checks that have passed since.
    pub rounds_passed: u64,
    /// The newest rounds that failed, back to the last that passed.
    pub rounds_failed_in_a_row: u64,
}

impl Truth {
    pub(super) fn of(world: &World) -> Self {
        let process = match &world.process {
            Process::None => ProcessTruth::None,
            Process::Booting(boot) => ProcessTruth::Booting(boot.version.clone()),
            Process::Up(vm) => ProcessTruth::Up(VmTruth {
                nonce: vm.nonce.clone(),
                code: vm.code.clone(),
                environment: vm.environment.clone(),
                handler_permanent: vm.handler.permanent.clone(),
                changing: vm.job.is_some(),
                unmigrated: vm.unmigrated,
                ran_for: world.now.saturating_sub(vm.since),
                rounds_passed: vm.rounds_passed,
                rounds_failed_in_a_row: vm.rounds_failed_in_a_row,
            }),
        };
        Self {
            permanent: match &world.disk.pointer {
                Paper::Whole(version) => Some(version.clone()),
                Paper::Absent | Paper::Torn => None,
            },
            pointer_torn_for: (world.disk.pointer == Paper::Torn)
                .then(|| world.now.saturating_sub(world.pointer_torn_at)),
            pointers_agree: world.disk.agrees(),
            process,
            down_by_us: world.down_by_us,
        }
    }

    /// The version that runs, wholly: its code with its environment.
    pub fn runs(&self) -> Option<&ReleaseVersion> {
        match &self.process {
            ProcessTruth::Up(vm) => vm.code.as_ref().filter(|code| **code == vm.environment),
            ProcessTruth::None | ProcessTruth::Booting(_) => None,
        }
    }

    /// Whether two versions are mixed here: in code, between code and environment, or among the
    /// pointers.
    pub fn is_mixed(&self) -> bool {
        let vm = match &self.process {
            ProcessTruth::Up(vm) => vm.code.as_ref() != Some(&vm.environment) && !vm.changing,
            ProcessTruth::None | ProcessTruth::Booting(_) => false,
        };
        vm || !self.pointers_agree
    }

    /// Whether a process was skipped by a relup, and works on with the state of another version.
    pub fn is_unmigrated(&self) -> bool {
        match &self.process {
            ProcessTruth::Up(vm) => vm.unmigrated && !vm.changing,
            ProcessTruth::None | ProcessTruth::Booting(_) => false,
        }
    }
}
