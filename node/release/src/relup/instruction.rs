//! The low-level instructions of a relup, as the release handler executes them (OTP manual, appup).

use crate::terms::Term;
use std::fmt;

/// One instruction.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    /// Reads object code into memory; executed before the point of no return.
    LoadObjectCode { application: String, version: String, modules: Vec<String> },
    /// From here on a failure restarts the node.
    PointOfNoReturn,
    /// Makes object code that was read the current code of a module.
    Load { module: String, pre_purge: Purge, post_purge: Purge },
    /// Makes a module's current code old.
    Remove { module: String, pre_purge: Purge, post_purge: Purge },
    /// Kills processes in old code and removes it.
    Purge(Vec<String>),
    /// Suspends the processes of modules.
    Suspend(Vec<Suspend>),
    /// Resumes them.
    Resume(Vec<String>),
    /// Lets suspended processes convert their state.
    CodeChange { direction: CodeChange, modules: Vec<String> },
    /// Stops processes through their supervisors.
    Stop(Vec<String>),
    /// Starts them again.
    Start(Vec<String>),
    /// Waits for other nodes.
    SyncNodes,
    /// Calls any function: what it does cannot be known from here.
    Apply { module: String, function: String, arguments: Term },
    /// Restarts into the new emulator, then goes on.
    RestartNewEmulator,
    /// Restarts the emulator at the end.
    RestartEmulator,
    /// Not an instruction that the release handler knows.
    Unknown(Term),
}

/// What happens to processes that still run old code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// They are killed.
    Brutal,
    /// The upgrade refuses, or the code stays until they are gone.
    Soft,
}

/// Which way a state is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeChange {
    Up,
    Down,
}

/// A module whose processes are suspended, and for how long the handler waits for one of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspend {
    /// The module.
    pub module: String,
    /// `default`, `infinity` or milliseconds, where the relup says so.
    pub timeout: Option<Term>,
}

impl Instruction {
    /// The instruction that `term` is.
    #[must_use]
    pub fn from_term(term: &Term) -> Self {
        let known = match term {
            Term::Atom(name) => from_atom(name),
            Term::Tuple(parts) => from_tuple(parts),
            _ => None,
        };
        known.unwrap_or_else(|| Self::Unknown(term.clone()))
    }

    /// Whether it ends this life of the emulator.
    #[must_use]
    pub const fn restarts_emulator(&self) -> bool {
        matches!(self, Self::RestartEmulator | Self::RestartNewEmulator)
    }

    /// The module that it loads or removes.
    #[must_use]
    pub fn replaced_module(&self) -> Option<&str> {
        match self {
            Self::Load { module, .. } | Self::Remove { module, .. } => Some(module),
            _ => None,
        }
    }
}

/// As people read it: the instruction's own word, then what it concerns.
impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |modules: &[String]| modules.join(", ");
        match self {
            Self::LoadObjectCode { application, version, modules } => {
                write!(f, "load_object_code {application}-{version}: {}", listed(modules))
            }
            Self::PointOfNoReturn => f.write_str("point_of_no_return"),
            Self::Load { module, pre_purge: _, post_purge } => write!(f, "load {module} ({post_purge})"),
            Self::Remove { module, pre_purge: _, post_purge } => write!(f, "remove {module} ({post_purge})"),
            Self::Purge(modules) => write!(f, "purge {}", listed(modules)),
            Self::Suspend(suspends) => {
                let modules: Vec<String> = suspends.iter().map(|suspend| suspend.module.clone()).collect();
                write!(f, "suspend {}", listed(&modules))
            }
            Self::Resume(modules) => write!(f, "resume {}", listed(modules)),
            Self::CodeChange { direction: CodeChange::Up, modules } => {
                write!(f, "code_change up {}", listed(modules))
            }
            Self::CodeChange { direction: CodeChange::Down, modules } => {
                write!(f, "code_change down {}", listed(modules))
            }
            Self::Stop(modules) => write!(f, "stop {}", listed(modules)),
            Self::Start(modules) => write!(f, "start {}", listed(modules)),
            Self::SyncNodes => f.write_str("sync_nodes"),
            Self::Apply { module, function, arguments } => {
                write!(f, "apply {module}:{function} {arguments}")
            }
            Self::RestartNewEmulator => f.write_str("restart_new_emulator"),
            Self::RestartEmulator => f.write_str("restart_emulator"),
            Self::Unknown(term) => write!(f, "unknown: {term}"),
        }
    }
}

impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Brutal => "brutal_purge",
            Self::Soft => "soft_purge",
        })
    }
}

fn from_atom(name: &str) -> Option<Instruction> {
    match name {
        "point_of_no_return" => Some(Instruction::PointOfNoReturn),
        "restart_emulator" => Some(Instruction::RestartEmulator),
        "restart_new_emulator" => Some(Instruction::RestartNewEmulator),
        _ => None,
    }
}

fn from_tuple(parts: &[Term]) -> Option<Instruction> {
    match parts {
        [tag, argument] => from_pair(tag.as_atom()?, argument),
        [tag, mode, modules] if tag.as_atom() == Some("code_change") => {
            let direction = match mode.as_atom()? {
                "up" => CodeChange::Up,
                "down" => CodeChange::Down,
                _ => return None,
            };
            Some(Instruction::CodeChange { direction, modules: code_changed(modules)? })
        }
        [tag, _, _] if tag.as_atom() == Some("sync_nodes") => Some(Instruction::SyncNodes),
        _ => None,
    }
}

fn from_pair(tag: &str, argument: &Term) -> Option<Instruction> {
    match tag {
        "load_object_code" => {
            let [application, version, names] = argument.as_tuple()? else { return None };
            Some(Instruction::LoadObjectCode {
                application: application.as_atom()?.to_owned(),
                version: version.as_text()?.into_owned(),
                modules: modules(names)?,
            })
        }
        "load" => {
            let (module, pre_purge, post_purge) = replacement(argument)?;
            Some(Instruction::Load { module, pre_purge, post_purge })
        }
        "remove" => {
            let (module, pre_purge, post_purge) = replacement(argument)?;
            Some(Instruction::Remove { module, pre_purge, post_purge })
        }
        "purge" => modules(argument).map(Instruction::Purge),
        "resume" => modules(argument).map(Instruction::Resume),
        "stop" => modules(argument).map(Instruction::Stop),
        "start" => modules(argument).map(Instruction::Start),
        "suspend" => argument.as_list()?.iter().map(suspend).collect::<Option<_>>().map(Instruction::Suspend),
        "code_change" => {
            Some(Instruction::CodeChange { direction: CodeChange::Up, modules: code_changed(argument)? })
        }
        "apply" => {
            let [module, function, arguments] = argument.as_tuple()? else { return None };
            Some(Instruction::Apply {
                module: module.as_atom()?.to_owned(),
                function: function.as_atom()?.to_owned(),
                arguments: arguments.clone(),
            })
        }
        _ => None,
    }
}

fn modules(term: &Term) -> Option<Vec<String>> {
    term.as_list()?.iter().map(|module| module.as_atom().map(str::to_owned)).collect()
}

fn code_changed(term: &Term) -> Option<Vec<String>> {
    let pairs = term.as_list()?.iter();
    pairs
        .map(|pair| match pair.as_tuple()? {
            [module, _] => module.as_atom().map(str::to_owned),
            _ => None,
        })
        .collect()
}

fn replacement(term: &Term) -> Option<(String, Purge, Purge)> {
    let [module, pre, post] = term.as_tuple()? else { return None };
    Some((module.as_atom()?.to_owned(), purge(pre)?, purge(post)?))
}

fn purge(term: &Term) -> Option<Purge> {
    match term.as_atom()? {
        "brutal_purge" => Some(Purge::Brutal),
        "soft_purge" => Some(Purge::Soft),
        _ => None,
    }
}

fn suspend(term: &Term) -> Option<Suspend> {
    match term {
        Term::Atom(module) => Some(Suspend { module: module.clone(), timeout: None }),
        Term::Tuple(parts) => match parts.as_slice() {
            [module, timeout] => {
                Some(Suspend { module: module.as_atom()?.to_owned(), timeout: Some(timeout.clone()) })
            }
            _ => None,
        },
        _ => None,
    }
}
