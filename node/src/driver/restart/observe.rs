//! Looks at pointers and process, and says what they amount to.

use super::RestartDriver;
use super::layout::{Layout, PointerFile, read_pointer};
use super::place::debris;
use crate::driver::files::{At, Locate, blocking};
use crate::driver::pointer::TRIAL_LEFT;
use crate::driver::{Condition, DriverError, Observation, Running};
use crate::ids::{BootNonce, ReleaseVersion};
use std::path::PathBuf;

/// What lies under the release root and in the run directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Disk {
    permanent: PointerFile,
    trial: PointerFile,
    /// Directories that are not whole versions.
    debris: Vec<String>,
}

/// The app's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Process {
    None,
    /// It runs, as a version that nobody knows.
    Nameless {
        reason: String,
    },
    Runs {
        version: ReleaseVersion,
        boot_nonce: BootNonce,
    },
}

impl RestartDriver {
    pub(super) async fn observation(&self) -> Result<Observation, DriverError> {
        let layout = self.layout.clone();
        let disk = blocking("read the release root", move || read(&layout)).await?;
        Ok(classify(disk, self.process().await?))
    }
}

fn read(layout: &Layout) -> Result<Disk, At> {
    let pointer = |path: PathBuf| read_pointer(&path).at(&path);
    Ok(Disk {
        permanent: pointer(layout.permanent())?,
        trial: pointer(layout.trial())?,
        debris: debris(layout)?,
    })
}

/// PURE: holds pointers and process against each other.
fn classify(disk: Disk, process: Process) -> Observation {
    let permanent = disk.permanent.target().cloned();
    let (running, condition) = match process {
        Process::None if permanent.is_some() => (Running::Down, Condition::Stopped),
        Process::None => (Running::Down, Condition::Absent),
        Process::Nameless { reason } => {
            (Running::Unknown { reason: reason.clone() }, Condition::Unknown { reason })
        }
        Process::Runs { version, boot_nonce } => {
            let condition = match (permanent.as_ref() == Some(&version), &disk.trial) {
                (true, PointerFile::Absent) => Condition::Clean,
                (true, PointerFile::Points(_) | PointerFile::Torn { .. }) => {
                    Condition::TornPointers { detail: TRIAL_LEFT.to_owned() }
                }
                (false, _) => Condition::Trial,
            };
            (Running::Up { version, boot_nonce }, condition)
        }
    };
    let condition = match (disk.permanent, condition) {
        (PointerFile::Torn { reason }, _) => Condition::TornPointers { detail: reason },
        (_, Condition::Clean | Condition::Stopped | Condition::Absent) if !disk.debris.is_empty() => {
            Condition::Debris { detail: disk.debris.join(", ") }
        }
        (_, condition) => condition,
    };
    Observation { permanent, running, condition }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vsn(text: &str) -> ReleaseVersion {
        text.parse().unwrap()
    }

    fn disk(permanent: PointerFile) -> Disk {
        Disk { permanent, trial: PointerFile::Absent, debris: Vec::new() }
    }

    fn runs(version: &str) -> Process {
        Process::Runs { version: vsn(version), boot_nonce: BootNonce("1:2".to_owned()) }
    }

    #[test]
    fn what_runs_without_being_permanent_is_a_trial() {
        let points = PointerFile::Points(vsn("0.1.0"));
        let condition = |process| classify(disk(points.clone()), process).condition;
        assert_eq!(condition(runs("0.1.0")), Condition::Clean);
        assert_eq!(condition(runs("0.2.0")), Condition::Trial);
        assert_eq!(condition(Process::None), Condition::Stopped);
        let first = classify(disk(PointerFile::Absent), runs("0.1.0"));
        assert_eq!((first.permanent, first.condition), (None, Condition::Trial));
        assert_eq!(classify(disk(PointerFile::Absent), Process::None).condition, Condition::Absent);
    }

    #[test]
    fn a_trial_file_beside_what_is_permanent_is_torn() {
        for trial in [PointerFile::Points(vsn("0.1.0")), PointerFile::Torn { reason: "empty".to_owned() }] {
            let disk = Disk { trial, ..disk(PointerFile::Points(vsn("0.1.0"))) };
            let observed = classify(disk, runs("0.1.0"));
            assert!(matches!(observed.condition, Condition::TornPointers { .. }), "{observed:?}");
        }
    }

    #[test]
    fn a_process_of_no_known_version_is_neither_up_nor_down() {
        let nameless = Process::Nameless { reason: "it does not say".to_owned() };
        let observed = classify(disk(PointerFile::Points(vsn("0.1.0"))), nameless);
        assert!(matches!(observed.running, Running::Unknown { .. }), "{observed:?}");
        assert!(matches!(observed.condition, Condition::Unknown { .. }), "{observed:?}");
    }

    #[test]
    fn a_torn_pointer_comes_before_everything_that_runs() {
        let torn = PointerFile::Torn { reason: "it is empty".to_owned() };
        let observed = classify(disk(torn), runs("0.1.0"));
        assert!(matches!(observed.condition, Condition::TornPointers { .. }), "{observed:?}");
        assert_eq!(observed.version(), Some(&vsn("0.1.0")));
    }
}
