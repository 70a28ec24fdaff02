//! What changes from one release to another, and what of it a hot upgrade applies. Told from the files
//! of both; where files do not tell, that is said.

mod configuration;
mod modules;
mod supervisors;
mod unapplied;

pub use configuration::KeyChange;
pub use modules::ModuleChange;
pub use supervisors::{Children, SupervisorChange};

use crate::beam::Beam;
use crate::info::{ReleaseError, ReleaseInfo, content, relup};
use crate::manifest::{Entry, EntryKind, Manifest};
use crate::relup::{Relup, Script};
use crate::terms::Term;
use crate::version::{ApplicationName, ApplicationVersion, ErtsVersion, ReleaseVersion};
use std::collections::BTreeMap;
use std::io;

/// What changes between two releases.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseDiff {
    /// Where it comes from.
    pub from: ReleaseVersion,
    /// Where it goes.
    pub to: ReleaseVersion,
    /// Both versions of ERTS, where they differ.
    pub erts: Option<(ErtsVersion, ErtsVersion)>,
    /// Applications that are not the same.
    pub applications: Vec<ApplicationChange>,
    /// Modules that are not the same.
    pub modules: Vec<ModuleChange>,
    /// Parameters of the configuration that are not the same; never their values, which may be secret.
    pub configuration: Vec<KeyChange>,
    /// Files that differ and that are evaluated on each host: what they set is known only there.
    pub evaluated: Vec<&'static str>,
    /// Changed supervisors.
    pub supervisors: Vec<SupervisorChange>,
    /// The way that a hot upgrade would take.
    pub script: Option<Script>,
    /// What a hot upgrade does not apply: it waits for the next restart, each in a sentence.
    pub not_applied: Vec<String>,
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the second release has it.
    Added,
    /// Only the first has it.
    Removed,
    /// Both have it, and not the same.
    Changed,
}

/// An application that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationChange {
    /// Its name.
    pub name: ApplicationName,
    /// Its version before.
    pub from: Option<ApplicationVersion>,
    /// Its version after.
    pub to: Option<ApplicationVersion>,
}

impl ApplicationChange {
    /// How it differs.
    #[must_use]
    pub const fn change(&self) -> Change {
        match (&self.from, &self.to) {
            (None, _) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(_), Some(_)) => Change::Changed,
        }
    }
}

/// A release, and a way to its files' content.
pub struct Side<'m, R> {
    manifest: &'m Manifest,
    read: R,
    info: ReleaseInfo,
    relup: Option<Relup>,
    configuration: Option<Term>,
}

impl<'m, R: FnMut(&Entry) -> io::Result<Vec<u8>>> Side<'m, R> {
    /// Reads what describes the release; `read` as for [`ReleaseInfo::extract`].
    ///
    /// # Errors
    /// As [`ReleaseInfo::extract`].
    pub fn open(manifest: &'m Manifest, mut read: R) -> Result<Self, ReleaseError> {
        let info = ReleaseInfo::extract(manifest, &mut read)?;
        let relup = relup(manifest, &mut read)?;
        let path = format!("releases/{}/sys.config", manifest.version());
        let bytes = content(manifest, &path, &mut read)?;
        let configuration = bytes.and_then(|bytes| crate::terms::consult_one(&bytes).ok());
        Ok(Self { manifest, read, info, relup, configuration })
    }

    fn versions(&self) -> BTreeMap<ApplicationName, ApplicationVersion> {
        self.info.applications.iter().map(|one| (one.name.clone(), one.version.clone())).collect()
    }

    /// The file below the release's own directory.
    fn own_file(&self, name: &str) -> Option<&'m Entry> {
        self.manifest.entry(&format!("releases/{}/{name}", self.info.version))
    }

    fn beam(&mut self, entry: &Entry) -> Result<Option<Beam>, ReleaseError> {
        let content = (self.read)(entry)
            .map_err(|source| ReleaseError::Content { path: entry.path.to_string(), source })?;
        Ok(Beam::parse(&content).ok())
    }
}

impl ReleaseDiff {
    /// Compares two releases of one name.
    ///
    /// # Errors
    /// If content cannot be read.
    pub fn between<A, B>(from: &mut Side<'_, A>, to: &mut Side<'_, B>) -> Result<Self, ReleaseError>
    where
        A: FnMut(&Entry) -> io::Result<Vec<u8>>,
        B: FnMut(&Entry) -> io::Result<Vec<u8>>,
    {
        let script = script(from.relup.as_ref(), to.relup.as_ref(), &from.info.version, &to.info.version);
        let compared = modules::compare(from, to, script.as_ref())?;
        let mut diff = Self {
            from: from.info.version.clone(),
            to: to.info.version.clone(),
            erts: (from.info.erts != to.info.erts).then(|| (from.info.erts.clone(), to.info.erts.clone())),
            applications: applications(&from.versions(), &to.versions()),
            supervisors: supervisors::compare(&compared),
            modules: compared.into_iter().map(|compared| compared.change).collect(),
            configuration: configuration::compare(from.configuration.as_ref(), to.configuration.as_ref()),
            evaluated: configuration::evaluated(from, to),
            script,
            not_applied: Vec::new(),
        };
        diff.not_applied = unapplied::list(&diff, from, to);
        Ok(diff)
    }
}

/// The script that the release handler takes: the way up in the relup of the target, else the way down
/// in that of the version which is left.
fn script(
    left: Option<&Relup>,
    target: Option<&Relup>,
    from: &ReleaseVersion,
    to: &ReleaseVersion,
) -> Option<Script> {
    let up = target.and_then(|relup| relup.up_from(from));
    up.or_else(|| left.and_then(|relup| relup.down_to(to))).cloned()
}

fn applications(
    from: &BTreeMap<ApplicationName, ApplicationVersion>,
    to: &BTreeMap<ApplicationName, ApplicationVersion>,
) -> Vec<ApplicationChange> {
    let mut names: Vec<_> = from.keys().chain(to.keys()).collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter(|name| from.get(*name) != to.get(*name))
        .map(|name| ApplicationChange {
            name: name.clone(),
            from: from.get(name).cloned(),
            to: to.get(name).cloned(),
        })
        .collect()
}

/// Whether both sides have the same file, or neither has it.
fn same(one: Option<&Entry>, other: Option<&Entry>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same_content(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Whether two entries hold the same; permissions make no difference here.
fn same_content(one: &Entry, other: &Entry) -> bool {
    match (&one.kind, &other.kind) {
        (EntryKind::File { digest, .. }, EntryKind::File { digest: other, .. }) => digest == other,
        (one, other) => one == other,
    }
}
