//! How releases behave. A trait belongs to a version, and sometimes to one host only: the release that
//! is good everywhere but there is the one that a canary does not find.

use crate::random::Random;
use relupd::ids::ReleaseVersion;
use std::time::Duration;

/// How a version behaves on one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    pub vitality: Vitality,
    /// The relup that leads up to this version.
    pub way_up: CodeChange,
    /// The relup that leads from this version back down.
    pub way_down: CodeChange,
    pub boot: Boot,
}

impl Traits {
    pub const GOOD: Self = Self {
        vitality: Vitality::Good,
        way_up: CodeChange::Works,
        way_down: CodeChange::Works,
        boot: Boot::Comes,
    };
}

/// Whether health checks pass while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vitality {
    Good,
    Sick,
    /// Passes at first, also longer than a bake.
    SickAfter(Duration),
    /// Single rounds fail.
    Flaps {
        per_mille: u64,
    },
    /// The VM dies this long after the version began to run.
    DiesAfter(Duration),
}

/// What a relup does in a living VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeChange {
    Works,
    /// The relup does not lead there.
    Missing,
    /// Fails before the point of no return, with the environment changed already.
    FailsEarly,
    /// `code_change` crashes: OTP answers, then restarts the VM into what it was told to boot.
    Crashes,
    /// `code_change` does not return: after its timeout as if it had crashed.
    Hangs,
    /// A process does not suspend and is skipped in silence: it says ok, the state is not migrated.
    SkipsProcess,
    /// `code_change` answers that all is well and has migrated nothing.
    Lies,
}

/// What a start comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    Comes,
    /// The VM ends while it boots.
    Ends,
    /// It neither ends nor dials in.
    Hangs,
}

/// A version, everywhere and on the one host where it differs.
#[derive(Clone, Debug)]
pub struct Release {
    pub version: ReleaseVersion,
    pub everywhere: Traits,
    pub only_on: Option<(usize, Traits)>,
}

/// All versions of one app, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    pub releases: Vec<Release>,
}

/// How often, in a thousand, a release has which flaw.
#[derive(Clone, Copy, Debug)]
pub struct ReleaseOdds {
    pub flawed: u64,
    /// Of the flawed ones: on one host only.
    pub on_one_host: u64,
}

impl ReleaseOdds {
    pub const NONE: Self = Self { flawed: 0, on_one_host: 0 };
}

impl Catalog {
    /// Releases of these versions; the first one, which every host begins with, is good.
    pub fn draw(random: &mut Random, versions: &[ReleaseVersion], hosts: usize, odds: &ReleaseOdds) -> Self {
        let releases = versions.iter().enumerate().map(|(index, version)| {
            let (mut everywhere, mut only_on) = (Traits::GOOD, None);
            if index > 0 && random.chance(odds.flawed) {
                let flawed = draw_flaw(random);
                if random.chance(odds.on_one_host) {
                    let host = random.below(hosts as u64);
                    only_on = Some((usize::try_from(host).unwrap_or_default(), flawed));
                } else {
                    everywhere = flawed;
                }
            }
            Release { version: version.clone(), everywhere, only_on }
        });
        Self { releases: releases.collect() }
    }

    /// How `version` behaves on this host; what the catalog does not know is good.
    pub fn on(&self, host: usize, version: &ReleaseVersion) -> Traits {
        let Some(release) = self.releases.iter().find(|release| release.version == *version) else {
            return Traits::GOOD;
        };
        match release.only_on {
            Some((only, flawed)) if only == host => flawed,
            Some(_) | None => release.everywhere,
        }
    }

    /// What the relup between two versions does: up by that of the newer, down by the same one's way
    /// down, as OTP chooses (release_handler(3), `install_release`).
    pub fn code_change(&self, host: usize, from: &ReleaseVersion, to: &ReleaseVersion) -> CodeChange {
        let age =
            |version: &ReleaseVersion| self.releases.iter().position(|release| release.version == *version);
        match (age(from), age(to)) {
            (Some(old), Some(new)) if old < new => self.on(host, to).way_up,
            (Some(_), Some(_)) => self.on(host, from).way_down,
            (None, _) | (_, None) => CodeChange::Missing,
        }
    }
}

fn draw_flaw(random: &mut Random) -> Traits {
    let seconds = |random: &mut Random, low, high| Duration::from_secs(random.between(low, high));
    let good = Traits::GOOD;
    match random.below(14) {
        0 => Traits { vitality: Vitality::Sick, ..good },
        1 => Traits { vitality: Vitality::SickAfter(seconds(random, 1, 120)), ..good },
        2 => Traits { vitality: Vitality::Flaps { per_mille: random.between(50, 500) }, ..good },
        3 => Traits { vitality: Vitality::DiesAfter(seconds(random, 1, 120)), ..good },
        4 => Traits { way_up: CodeChange::Missing, ..good },
        5 => Traits { way_up: CodeChange::FailsEarly, ..good },
        6 => Traits { way_up: CodeChange::Crashes, ..good },
        7 => Traits { way_up: CodeChange::Hangs, ..good },
        8 => Traits { way_up: CodeChange::SkipsProcess, ..good },
        13 => Traits { way_up: CodeChange::Lies, ..good },
        9 => Traits { boot: Boot::Ends, ..good },
        10 => Traits { boot: Boot::Hangs, ..good },
        // Sick, and without a gentle way back.
        11 => Traits { vitality: Vitality::Sick, way_down: CodeChange::Missing, ..good },
        _ => Traits { vitality: Vitality::Sick, way_down: CodeChange::Crashes, ..good },
    }
}
