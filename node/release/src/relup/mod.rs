//! The `relup` file: from which versions a release can be reached hot, to which it leads back, and by
//! which instructions.

mod instruction;

pub use instruction::{CodeChange, Instruction, Purge, Suspend};

use crate::shape::{FormatError, Shape};
use crate::terms::Term;
use crate::version::ReleaseVersion;
use std::collections::BTreeSet;

const SHAPE: Shape = Shape { file: "relup" };

/// What a `relup` file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Relup {
    /// The version it belongs to.
    pub version: ReleaseVersion,
    /// From older versions up to `version`.
    pub up: Vec<Script>,
    /// From `version` back down.
    pub down: Vec<Script>,
}

/// The instructions between `version` of the relup and one other version.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// The version at the other end.
    pub other: ReleaseVersion,
    /// The description, which the release handler hands back.
    pub description: Term,
    /// In the order of their execution.
    pub instructions: Vec<Instruction>,
}

impl Relup {
    /// Reads the content of a `relup` file.
    ///
    /// # Errors
    /// If it is anything else than `{Vsn, [{From,Descr,Instructions}], [{To,Descr,Instructions}]}`. An
    /// instruction that is not known is no error here: see [`Instruction::Unknown`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FormatError> {
        let term = SHAPE.only_term(bytes)?;
        let Some([version, up, down]) = term.as_tuple() else {
            return SHAPE.mismatch("{Version, Up, Down}", &term);
        };
        Ok(Self {
            version: SHAPE.text(version, "the release's version, a string")?,
            up: scripts(up)?,
            down: scripts(down)?,
        })
    }

    /// The script from `from` up, as the release handler would choose it: the first that fits.
    #[must_use]
    pub fn up_from(&self, from: &ReleaseVersion) -> Option<&Script> {
        self.up.iter().find(|script| script.other == *from)
    }

    /// The script down to `to`.
    #[must_use]
    pub fn down_to(&self, to: &ReleaseVersion) -> Option<&Script> {
        self.down.iter().find(|script| script.other == *to)
    }

    /// Versions from which it leads up without a restart of the emulator.
    #[must_use]
    pub fn hot_up_from(&self) -> BTreeSet<ReleaseVersion> {
        hot(&self.up)
    }

    /// Versions to which it leads down without a restart of the emulator.
    #[must_use]
    pub fn hot_down_to(&self) -> BTreeSet<ReleaseVersion> {
        hot(&self.down)
    }
}

impl Script {
    /// Whether carrying it out restarts the emulator, by whichever of the two instructions.
    #[must_use]
    pub fn restarts_emulator(&self) -> bool {
        self.instructions.iter().any(Instruction::restarts_emulator)
    }

    /// Every module that it loads or removes.
    #[must_use]
    pub fn replaced_modules(&self) -> BTreeSet<&str> {
        self.instructions.iter().filter_map(Instruction::replaced_module).collect()
    }

    /// Every module whose processes it suspends.
    #[must_use]
    pub fn suspended_modules(&self) -> BTreeSet<&str> {
        let mut modules = BTreeSet::new();
        for instruction in &self.instructions {
            if let Instruction::Suspend(suspends) = instruction {
                modules.extend(suspends.iter().map(|suspend| suspend.module.as_str()));
            }
        }
        modules
    }

    /// The functions that it calls directly, as `module:function`: what those do, nobody can tell from
    /// outside, so an operator should see their names.
    #[must_use]
    pub fn applied_functions(&self) -> BTreeSet<String> {
        let mut functions = BTreeSet::new();
        for instruction in &self.instructions {
            if let Instruction::Apply { module, function, arguments: _ } = instruction {
                functions.insert(format!("{module}:{function}"));
            }
        }
        functions
    }
}

fn hot(scripts: &[Script]) -> BTreeSet<ReleaseVersion> {
    scripts.iter().filter(|script| !script.restarts_emulator()).map(|script| script.other.clone()).collect()
}

fn scripts(term: &Term) -> Result<Vec<Script>, FormatError> {
    SHAPE.list(term, "a list of scripts")?.iter().map(script).collect()
}

fn script(term: &Term) -> Result<Script, FormatError> {
    let Some([other, description, instructions]) = term.as_tuple() else {
        return SHAPE.mismatch("{Version, Description, Instructions}", term);
    };
    let instructions = SHAPE.list(instructions, "a list of instructions")?;
    Ok(Script {
        other: SHAPE.text(other, "the other version, a string")?,
        description: description.clone(),
        instructions: instructions.iter().map(Instruction::from_term).collect(),
    })
}
