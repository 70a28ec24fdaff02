//! Whether a relup leads from one placed release to the other and back, wholly.

use super::book::{Book, Entry};
use super::layout::Layout;
use super::preflight::Read;
use crate::driver::CheckResult;
use crate::driver::checks::{failed, not_hot};
use crate::driver::files::{At, Locate, read_optional};
use crate::ids::ReleaseVersion;
use relupd_release::relup::{Instruction, Relup, Script};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Two registered releases.
#[derive(Clone, Debug)]
pub(super) struct Sides {
    pub(super) book: Book,
    pub(super) from: ReleaseVersion,
    pub(super) to: ReleaseVersion,
    /// Where `to` is not placed: its entry is in this book and nowhere else, and this is its relup.
    pub(super) coming: Option<Coming>,
}

/// What is known of a release that is not placed.
#[derive(Clone, Debug)]
pub(super) struct Coming {
    pub(super) relup: Option<Vec<u8>>,
}

/// What to do about a relup that is missing or does not do.
const REMEDY: &str =
    "make one with `relupctl release relup`, or correct the appup and build the release again";

/// What to do about a relup that leads there alone.
const ONE_WAY: &str = "add the way down to the appups and make the relup again, let it go by restart with \
                       `method = \"restart\"`, or do without: `P3b = \"warn\"` in [upgrade.checks]";

/// The scripts there and, where there is one, back.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    there: Script,
    back: Option<Script>,
    leads_up: bool,
}

impl Sides {
    pub(super) fn placed(book: Book, from: &ReleaseVersion, to: &ReleaseVersion) -> Self {
        Self { book, from: from.clone(), to: to.clone(), coming: None }
    }

    pub(super) fn entries(&self) -> Option<(&Entry, &Entry)> {
        self.book.entry(&self.from).zip(self.book.entry(&self.to))
    }

    pub(super) fn same_erts(&self) -> CheckResult {
        match self.entries() {
            Some((from, to)) if from.erts == to.erts => CheckResult::Passed,
            Some((from, to)) => {
                let reason = format!("{} runs on ERTS {}, {} on {}", self.from, from.erts, self.to, to.erts);
                not_hot(reason, "build both releases with the same OTP")
            }
            None => {
                let reason = format!("{} or {} is not registered in RELEASES", self.from, self.to);
                not_hot(reason, "plan again: preparing registers what is missing")
            }
        }
    }
}

/// Reads the relup that leads there and follows both scripts to the modules that they name. OTP looks
/// for the way up in the target's relup first, then for the way down in the relup of the version that
/// is left (release_handler(3), `install_release`); so the way back is in the same file.
pub(super) fn read(layout: &Layout, sides: &Sides) -> Read<Ways> {
    let Some((from, to)) = sides.entries() else {
        return Ok(Err(format!("{} or {} is not registered in RELEASES", sides.from, sides.to)));
    };
    let of_target = match &sides.coming {
        None => relup_of(layout, &sides.to)?,
        Some(coming) => parsed(coming.relup.as_deref(), &sides.to),
    };
    let upwards = of_target.and_then(|relup| {
        ways(&sides.to, &sides.from, relup.up_from(&sides.from), relup.down_to(&sides.from), true)
    });
    let found = match upwards {
        Ok(ways) => Ok(ways),
        Err(no_way_up) => relup_of(layout, &sides.from)?
            .and_then(|relup| {
                ways(&sides.from, &sides.to, relup.down_to(&sides.to), relup.up_from(&sides.to), false)
            })
            .map_err(|no_way_down| format!("{no_way_up}, and {no_way_down}")),
    };
    let found = match found {
        Ok(ways) => ways,
        Err(reason) => return Ok(Err(reason)),
    };
    let back = found.back.iter().map(|script| (script, from, Some(layout)));
    let code_of_target = sides.coming.is_none().then_some(layout);
    for (script, target, code) in [(&found.there, to, code_of_target)].into_iter().chain(back) {
        if let Some(reason) = fault(script, target, code)? {
            return Ok(Err(reason));
        }
    }
    Ok(Ok(found))
}

/// Both scripts of one relup.
fn ways(
    of: &ReleaseVersion,
    other: &ReleaseVersion,
    there: Option<&Script>,
    back: Option<&Script>,
    leads_up: bool,
) -> Result<Ways, String> {
    match (there, back) {
        (Some(there), back) => Ok(Ways { there: there.clone(), back: back.cloned(), leads_up }),
        (None, Some(_)) => {
            Err(format!("the relup of {of} leads only the other way between {of} and {other}"))
        }
        (None, None) => Err(format!("the relup of {of} does not know {other}")),
    }
}

fn relup_of(layout: &Layout, version: &ReleaseVersion) -> Read<Relup> {
    let path = layout.release(version).join("relup");
    Ok(parsed(read_optional(&path).at(&path)?.as_deref(), version))
}

fn parsed(relup: Option<&[u8]>, version: &ReleaseVersion) -> Result<Relup, String> {
    let bytes = relup.ok_or_else(|| format!("release {version} has no relup"))?;
    Relup::parse(bytes).map_err(|error| format!("the relup of {version}: {error}"))
}

/// What keeps a script from being carried out in the living VM; its code is looked for where that is placed.
fn fault(script: &Script, target: &Entry, code: Option<&Layout>) -> Result<Option<String>, At> {
    for instruction in &script.instructions {
        match instruction {
            Instruction::RestartEmulator | Instruction::RestartNewEmulator => {
                return Ok(Some("the relup restarts the emulator".to_owned()));
            }
            Instruction::Unknown(term) => {
                return Ok(Some(format!("the relup has an unknown instruction: {term}")));
            }
            Instruction::LoadObjectCode { application, version, modules } => {
                let registered = target.applications.iter().find(|(name, _)| name.as_str() == application);
                if registered.is_none_or(|(_, known)| known.as_str() != version) {
                    return Ok(Some(format!(
                        "the relup loads {application}-{version}, which the release does not have"
                    )));
                }
                let Some(layout) = code else { continue };
                let ebin = layout.libraries().join(format!("{application}-{version}")).join("ebin");
                for module in modules {
                    let beam = ebin.join(format!("{module}.beam"));
                    if !is_beam(&beam)? {
                        return Ok(Some(format!("{} is missing or no BEAM file", beam.display())));
                    }
                }
            }
            Instruction::PointOfNoReturn
            | Instruction::Load { .. }
            | Instruction::Remove { .. }
            | Instruction::Purge(_)
            | Instruction::Suspend(_)
            | Instruction::Resume(_)
            | Instruction::CodeChange { .. }
            | Instruction::Stop(_)
            | Instruction::Start(_)
            | Instruction::SyncNodes
            | Instruction::Apply { .. } => {}
        }
    }
    Ok(None)
}

/// A plain BEAM file begins with `FOR1`, a compressed one as gzip does.
fn is_beam(path: &Path) -> Result<bool, At> {
    if !path.try_exists().at(path)? {
        return Ok(false);
    }
    let mut magic = Vec::new();
    File::open(path).and_then(|file| file.take(4).read_to_end(&mut magic)).at(path)?;
    Ok(magic == b"FOR1" || magic.starts_with(&[0x1f, 0x8b]))
}

/// `P3` and `P3b`: whether there is a relup, and whether it leads back, too.
pub(super) fn verdicts(read: &Result<Ways, String>) -> [CheckResult; 2] {
    match read {
        Err(reason) => [not_hot(reason, REMEDY), CheckResult::Passed],
        Ok(Ways { back: Some(_), .. }) => [CheckResult::Passed, CheckResult::Passed],
        Ok(Ways { back: None, leads_up, .. }) => {
            let reason = "the relup has no way back: a failed bake would cost a restart";
            // Whoever wrote a way up alone has forgotten something; a way down alone is one more than is needed.
            let back = if *leads_up { failed(reason, ONE_WAY) } else { not_hot(reason, REMEDY) };
            [CheckResult::Passed, back]
        }
    }
}

impl Ways {
    fn scripts(&self) -> impl Iterator<Item = (&Script, &'static str)> {
        let back = self.back.iter().map(|script| (script, "back"));
        std::iter::once((&self.there, "there")).chain(back)
    }

    /// A changed module that the relup leaves out stays as it is until the next restart, silently.
    pub(super) fn covers(&self, changed: &BTreeSet<String>) -> CheckResult {
        for (script, direction) in self.scripts() {
            let replaced = script.replaced_modules();
            let forgotten: Vec<_> =
                changed.iter().map(String::as_str).filter(|module| !replaced.contains(module)).collect();
            if !forgotten.is_empty() {
                let modules = forgotten.join(", ");
                let reason = format!("on the way {direction} the relup leaves out {modules}: stale code");
                return not_hot(reason, "add the modules to the appup and make the relup again");
            }
        }
        CheckResult::Passed
    }

    /// Whether the release handler's own check would do more than read code: it carries out what a relup has
    /// before its point of no return.
    pub(super) fn acts_when_checked(&self) -> bool {
        let instructions = self.there.instructions.iter();
        let mut before = instructions.take_while(|one| !matches!(one, Instruction::PointOfNoReturn));
        before.any(|one| !matches!(one, Instruction::LoadObjectCode { .. }))
    }

    pub(super) fn suspended(&self) -> BTreeSet<String> {
        self.scripts().flat_map(|(script, _)| script.suspended_modules()).map(str::to_owned).collect()
    }

    /// Modules whose code is replaced on the way there or back.
    pub(super) fn replaced(&self) -> BTreeSet<String> {
        self.scripts().flat_map(|(script, _)| script.replaced_modules()).map(str::to_owned).collect()
    }
}
