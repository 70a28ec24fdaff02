//! What a worker remembers while its process lives. Losing it costs time and nothing else: whatever
//! must survive stands in the ledger, on the host or in the cluster's state.

use crate::clock::Monotonic;
use crate::driver::{Check, Observation};
use crate::ids::{BootNonce, Generation, ReleaseVersion, RolloutId};
use crate::state::command::{Noted, Report};

/// What was told to the cluster of what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What was seen.
    pub observation: Observation,
    /// What the health checks said.
    pub healthy: Option<bool>,
    /// What there was to tell of a rollout.
    pub noted: Option<Box<Noted>>,
}

/// Processes that run old code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lingering {
    /// Since when somebody is waited for.
    pub since: Monotonic,
    /// Who, when last looked.
    pub processes: Vec<String>,
}

/// What a worker remembers of the order at hand.
#[derive(Clone, Debug)]
pub struct Memory {
    /// The order that the fields from `placed` on belong to.
    generation: Option<Generation>,
    /// Nothing that was judged before this counts towards a bake: the start of this worker, or the
    /// proof that the new version runs.
    pub judge_from: Monotonic,
    /// The driver's liveness has shown the life that is being judged, so that from now on its word
    /// alone is enough.
    pub life_seen: bool,
    /// So many observations in a row told nothing.
    pub blind: u32,
    /// What was permanent when last seen.
    pub last_permanent: Option<ReleaseVersion>,
    /// The app was seen running since this process started.
    pub seen_up: bool,
    /// So many starts in a row did not succeed.
    pub start_failures: u32,
    /// The last announcement, until it is applied here or another order comes.
    pub announced: Option<Announcement>,
    /// The rollout for which this node's way back without contact is known to the cluster.
    pub orphan_reported: Option<RolloutId>,
    /// The release is under the release root.
    pub placed: bool,
    /// Why it could not be fetched when last tried.
    pub cannot_fetch: Option<String>,
    /// So many attempts to bring it there did not succeed, for reasons of this host.
    pub place_failures: u32,
    /// It cannot be brought there.
    pub place_failed: Option<String>,
    /// What preflight found.
    pub checks: Option<Vec<Check>>,
    /// The driver said that it installed.
    pub installed: bool,
    /// Why what runs is not wholly the new version.
    pub verify_failed: Option<String>,
    /// So many times in a row this host refused what a rung of the way back needs.
    pub rung_refusals: u32,
    /// Old code is drained, in this life.
    pub drained: Option<BootNonce>,
    /// Who still runs old code.
    pub lingering: Option<Lingering>,
    /// Why it cannot be drained.
    pub drain_failed: Option<String>,
    /// The last report that the cluster has taken note of, or refused for good.
    pub answered: Option<Report>,
}

impl Memory {
    /// That of a worker which starts now.
    #[must_use]
    pub const fn new(now: Monotonic) -> Self {
        Self {
            generation: None,
            judge_from: now,
            life_seen: false,
            blind: 0,
            last_permanent: None,
            seen_up: false,
            start_failures: 0,
            announced: None,
            orphan_reported: None,
            placed: false,
            cannot_fetch: None,
            place_failures: 0,
            place_failed: None,
            checks: None,
            installed: false,
            verify_failed: None,
            rung_refusals: 0,
            drained: None,
            lingering: None,
            drain_failed: None,
            answered: None,
        }
    }

    /// Forgets what belongs to another order than this one.
    pub fn turn_to(&mut self, generation: Option<Generation>) {
        if self.generation == generation {
            return;
        }
        let old = std::mem::replace(self, Self::new(self.judge_from));
        self.generation = generation;
        self.life_seen = old.life_seen;
        self.blind = old.blind;
        self.last_permanent = old.last_permanent;
        self.seen_up = old.seen_up;
        self.start_failures = old.start_failures;
        self.orphan_reported = old.orphan_reported;
    }

    /// A new life or a new version is judged from here on.
    pub const fn judge_afresh(&mut self, now: Monotonic) {
        self.judge_from = now;
        self.life_seen = false;
    }
}
