//! Appups: how an application goes from one version to another. They are read by OTP's `systools`; here
//! they are only checked, and proposed where one is missing.

use crate::diff::{Change, ModuleChange};
use crate::shape::{FormatError, Shape};
use crate::terms::Term;
use crate::version::ApplicationVersion;
use std::collections::BTreeSet;

const SHAPE: Shape = Shape { file: "appup" };

/// Behaviours whose processes hold a state that a new version may have to convert.
const WITH_STATE: [&str; 7] = [
    "gen_server",
    "gen_statem",
    "gen_event",
    "gen_fsm",
    "Elixir.GenServer",
    "Elixir.GenStage",
    "Elixir.Agent",
];

/// Checks the content of an `.appup` file for an application in this version.
///
/// # Errors
/// If it is anything else than `{Vsn, [{UpFrom, Instructions}], [{DownTo, Instructions}]}` with its version.
pub fn check(content: &[u8], version: &ApplicationVersion) -> Result<(), AppupError> {
    let term = SHAPE.only_term(content)?;
    let Some([own, Term::List(_), Term::List(_)]) = term.as_tuple() else {
        return Ok(SHAPE.mismatch("{Version, UpFrom, DownTo}", &term)?);
    };
    match own.as_text() {
        Some(text) if text == version.as_str() => Ok(()),
        Some(text) => Err(AppupError::Version { found: text.into_owned(), expected: version.clone() }),
        None => Ok(SHAPE.mismatch("a version, a string", own)?),
    }
}

/// An appup that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AppupError {
    /// Its form.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// It is of another version.
    #[error("it is for version {found}, and the release has {expected}; correct its first element")]
    Version { found: String, expected: ApplicationVersion },
}

/// An appup to start from: what a person would write for these modules without knowing what they do.
#[must_use]
pub fn template(from: &ApplicationVersion, to: &ApplicationVersion, modules: &[&ModuleChange]) -> String {
    let up: Vec<String> = modules.iter().map(|module| instruction(module, Change::Added)).collect();
    let down: Vec<String> = modules.iter().map(|module| instruction(module, Change::Removed)).collect();
    let side = |instructions: &[String]| {
        let list = instructions.join(",\n    ");
        format!("[{{{},\n   [{list}]}}]", Term::string(from.as_str()))
    };
    format!(
        "%% Look at each line: a state that changes needs code_change/3, and a process that is told to\n\
         %% update is suspended meanwhile.\n\
         {{{},\n {},\n {}}}.\n",
        Term::string(to.as_str()),
        side(&up),
        side(&down)
    )
}

/// The high-level instruction for a module; what is added on the way up is deleted on the way down.
fn instruction(module: &ModuleChange, direction: Change) -> String {
    let name = Term::atom(&module.module);
    match (module.change, direction) {
        (Change::Added, Change::Added) | (Change::Removed, Change::Removed) => {
            format!("{{add_module, {name}}}")
        }
        (Change::Added | Change::Removed, _) => format!("{{delete_module, {name}}}"),
        (Change::Changed, _) => changed(&name, &module.behaviours),
    }
}

fn changed(name: &Term, behaviours: &BTreeSet<String>) -> String {
    let has = |name: &str| behaviours.contains(name);
    if has("supervisor") || has("Elixir.Supervisor") {
        format!("{{update, {name}, supervisor}}")
    } else if WITH_STATE.iter().any(|behaviour| has(behaviour)) {
        format!("{{update, {name}, {{advanced, []}}}}")
    } else {
        format!("{{load_module, {name}}}")
    }
}
