//! Which modules differ in code, and what the relup does about each.

use super::{Change, Side, same_content};
use crate::beam::Beam;
use crate::info::ReleaseError;
use crate::manifest::Entry;
use crate::relup::{Instruction, Script};
use crate::version::{ApplicationName, ApplicationVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// A module that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleChange {
    /// Whose it is.
    pub application: ApplicationName,
    /// Its name.
    pub module: String,
    /// How it differs.
    pub change: Change,
    /// The behaviours that it declares, in the second release where it is there.
    pub behaviours: BTreeSet<String>,
    /// What the relup does about it, in its order: `load`, `suspend`, `code_change`. Empty where it does
    /// nothing, or where there is none.
    pub relup: Vec<String>,
}

/// A change with both sides, for whoever looks deeper.
pub(super) struct Compared {
    pub(super) change: ModuleChange,
    pub(super) from: Option<Beam>,
    pub(super) to: Option<Beam>,
}

pub(super) fn compare<A, B>(
    from: &mut Side<'_, A>,
    to: &mut Side<'_, B>,
    script: Option<&Script>,
) -> Result<Vec<Compared>, ReleaseError>
where
    A: FnMut(&Entry) -> io::Result<Vec<u8>>,
    B: FnMut(&Entry) -> io::Result<Vec<u8>>,
{
    let mut compared = Vec::new();
    let (before, after) = (beams(from), beams(to));
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    for key @ (application, module) in names {
        let (one, other) = (before.get(key), after.get(key));
        if one.zip(other).is_some_and(|(one, other)| same_content(one, other)) {
            continue;
        }
        let (one, other) = (opened(from, one)?, opened(to, other)?);
        let change = match (&one, &other) {
            (Some(one), Some(other)) if one.code == other.code => continue,
            (Some(_), None) => Change::Removed,
            (None, Some(_)) => Change::Added,
            (Some(_), Some(_)) | (None, None) => Change::Changed,
        };
        let behaviours =
            other.iter().chain(&one).next().map(|beam| beam.behaviours.clone()).unwrap_or_default();
        let relup = script.map(|script| about(script, module)).unwrap_or_default();
        let change = ModuleChange {
            application: application.clone(),
            module: module.clone(),
            change,
            behaviours,
            relup,
        };
        compared.push(Compared { change, from: one, to: other });
    }
    Ok(compared)
}

fn opened<R: FnMut(&Entry) -> io::Result<Vec<u8>>>(
    side: &mut Side<'_, R>,
    entry: Option<&&Entry>,
) -> Result<Option<Beam>, ReleaseError> {
    entry.map_or(Ok(None), |entry| side.beam(entry))
}

type Beams<'m> = BTreeMap<(ApplicationName, String), &'m Entry>;

/// Every module of the release's applications; a library directory that the `.rel` does not name is
/// never in the code path.
fn beams<'m, R: FnMut(&Entry) -> io::Result<Vec<u8>>>(side: &Side<'m, R>) -> Beams<'m> {
    let versions: BTreeMap<String, (ApplicationName, ApplicationVersion)> = side
        .versions()
        .into_iter()
        .map(|(name, version)| (format!("{name}-{version}"), (name, version)))
        .collect();
    let module = |entry: &'m Entry| {
        let mut parts = entry.path.as_str().split('/');
        let (Some("lib"), Some(directory), Some("ebin"), Some(file), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let (name, _version) = versions.get(directory)?;
        Some(((name.clone(), file.strip_suffix(".beam")?.to_owned()), entry))
    };
    side.manifest.entries().iter().filter_map(module).collect()
}

/// The words of the instructions that concern a module. Reading its code in is no effect yet.
fn about(script: &Script, module: &str) -> Vec<String> {
    let has = |modules: &[String]| modules.iter().any(|one| one == module);
    let word = |instruction: &Instruction| match instruction {
        Instruction::Load { module: one, .. } => (one == module).then_some("load"),
        Instruction::Remove { module: one, .. } => (one == module).then_some("remove"),
        Instruction::Purge(modules) => has(modules).then_some("purge"),
        Instruction::Suspend(suspends) => {
            suspends.iter().any(|suspend| suspend.module == module).then_some("suspend")
        }
        Instruction::Resume(modules) => has(modules).then_some("resume"),
        Instruction::CodeChange { modules, .. } => has(modules).then_some("code_change"),
        Instruction::Stop(modules) => has(modules).then_some("stop"),
        Instruction::Start(modules) => has(modules).then_some("start"),
        Instruction::LoadObjectCode { .. }
        | Instruction::PointOfNoReturn
        | Instruction::SyncNodes
        | Instruction::Apply { .. }
        | Instruction::RestartNewEmulator
        | Instruction::RestartEmulator
        | Instruction::Unknown(_) => None,
    };
    script.instructions.iter().filter_map(word).map(str::to_owned).collect()
}
