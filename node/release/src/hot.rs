//! Whether a relup leads from one release to another and back in the living VM: every obstacle, found
//! without a VM. What only a VM can say (its release handler, its processes) is asked elsewhere.

use crate::rel::Rel;
use crate::relup::{Instruction, Relup, Script};
use crate::version::{ErtsVersion, ReleaseVersion};
use std::collections::BTreeSet;
use std::fmt;

/// Which way through a relup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    Up,
    Down,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Down => "down",
        })
    }
}

/// Why an upgrade cannot be hot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error("{version} has no release handler: add sasl to its applications")]
    NoReleaseHandler { version: ReleaseVersion },
    #[error("it changes ERTS from {from} to {to}")]
    OtherErts { from: ErtsVersion, to: ErtsVersion },
    #[error("the relup belongs to {found}")]
    ForeignRelup { found: ReleaseVersion },
    #[error("the relup has no way {direction} between {from} and {to}")]
    NoScript { direction: Direction, from: ReleaseVersion, to: ReleaseVersion },
    #[error("on its way {direction} the relup restarts the emulator")]
    RestartsEmulator { direction: Direction },
    #[error("on its way {direction} the relup has an instruction that is not known: {instruction}")]
    UnknownInstruction { direction: Direction, instruction: String },
    #[error(
        "on its way {direction} the relup loads {application}-{version}, which that release does not have"
    )]
    ForeignCode { direction: Direction, application: String, version: String },
    #[error(
        "on its way {direction} the relup leaves out changed modules, which would stay as they are until \
         the next restart: {}",
        join(.modules)
    )]
    LeftOut { direction: Direction, modules: BTreeSet<String> },
}

/// Every obstacle between `from` and `to`, whose relup this is. `changed` are the modules whose code
/// differs between the two, by whichever digest leaves out what does not matter.
#[must_use]
pub fn obstacles(from: &Rel, to: &Rel, relup: &Relup, changed: &BTreeSet<String>) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for release in [from, to] {
        if release.application("sasl").is_none() {
            found.push(Obstacle::NoReleaseHandler { version: release.version.clone() });
        }
    }
    if from.erts != to.erts {
        found.push(Obstacle::OtherErts { from: from.erts.clone(), to: to.erts.clone() });
    }
    if relup.version != to.version {
        found.push(Obstacle::ForeignRelup { found: relup.version.clone() });
    }
    // The script down loads the code of the release that it leads to.
    let ways = [
        (Direction::Up, relup.up_from(&from.version), to),
        (Direction::Down, relup.down_to(&from.version), from),
    ];
    for (direction, script, target) in ways {
        match script {
            Some(script) => script_obstacles(direction, script, target, changed, &mut found),
            None => found.push(Obstacle::NoScript {
                direction,
                from: from.version.clone(),
                to: to.version.clone(),
            }),
        }
    }
    found
}

fn script_obstacles(
    direction: Direction,
    script: &Script,
    target: &Rel,
    changed: &BTreeSet<String>,
    found: &mut Vec<Obstacle>,
) {
    if script.restarts_emulator() {
        found.push(Obstacle::RestartsEmulator { direction });
    }
    for instruction in &script.instructions {
        if let Instruction::Unknown(term) = instruction {
            found.push(Obstacle::UnknownInstruction { direction, instruction: term.to_string() });
        }
        if let Instruction::LoadObjectCode { application, version, modules: _ } = instruction
            && target.application(application).is_none_or(|known| known.version.as_str() != version)
        {
            let (application, version) = (application.clone(), version.clone());
            found.push(Obstacle::ForeignCode { direction, application, version });
        }
    }
    let replaced = script.replaced_modules();
    let modules: BTreeSet<String> =
        changed.iter().filter(|module| !replaced.contains(module.as_str())).cloned().collect();
    if !modules.is_empty() {
        found.push(Obstacle::LeftOut { direction, modules });
    }
}

fn join(modules: &BTreeSet<String>) -> String {
    modules.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
