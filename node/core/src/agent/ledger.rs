//! What this node is about to do, or has done, for which order: on disk before the effect. After a
//! crash it says what may have been begun; what became of it is observed, never assumed.

use super::decide::{Action, Authority};
use crate::driver::{Measured, Method, Rung};
use crate::ids::{BootNonce, Generation, RolloutId};
use crate::state::rollout::TriedRung;
use serde::{Deserialize, Serialize};

/// One app's ledger. `Default` is that of an app for which nothing was ever done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// An earlier ledger could not be read: orders up to this generation may have been begun.
    pub lost_up_to: Option<Generation>,
    /// The newest installation of a trial.
    pub trial: Option<Trial>,
    /// The newest ordered way back.
    pub way_back: Option<WayBack>,
    /// The newest way back that was taken without contact.
    pub orphan: Option<Orphan>,
    /// The newest `node repair` that was carried out.
    pub repaired: u64,
}

impl LedgerEntry {
    /// The trial of this rollout.
    #[must_use]
    pub fn trial_of(&self, rollout: RolloutId) -> Option<&Trial> {
        self.trial.as_ref().filter(|trial| trial.rollout == rollout)
    }

    /// The ladder of the way back that this generation ordered.
    #[must_use]
    pub fn ladder_of(&self, generation: Generation) -> Option<&Ladder> {
        self.way_back.as_ref().filter(|back| back.generation == generation).map(|back| &back.ladder)
    }

    /// The ladder on which this node took itself back in this rollout.
    #[must_use]
    pub fn orphaned(&self, rollout: RolloutId) -> Option<&Ladder> {
        self.orphan.as_ref().filter(|orphan| orphan.rollout == rollout).map(|orphan| &orphan.ladder)
    }

    /// Whether an order of this generation may have been begun without a note of it.
    #[must_use]
    pub fn lost(&self, generation: Generation) -> bool {
        self.lost_up_to.is_some_and(|lost| generation <= lost)
    }
}

impl LedgerEntry {
    /// The ledger as it must be on disk before this action.
    #[must_use]
    pub fn before(&self, action: &Action) -> Self {
        let mut entry = self.clone();
        match action {
            Action::Install { trial, .. } => {
                entry.trial = Some(trial.clone());
                // Whoever goes forward is no orphan any more, and would not go on where that was left.
                entry.orphan = None;
            }
            Action::Commit { .. } => entry.orphan = None,
            Action::RollBack { ladder, by, .. } => match by {
                Authority::Order(generation) => {
                    entry.way_back = Some(WayBack { generation: *generation, ladder: ladder.clone() });
                }
                Authority::Orphan(rollout) => {
                    entry.orphan = Some(Orphan { rollout: *rollout, ladder: ladder.clone() });
                }
            },
            Action::Repair { ordered: Some(count), .. } => entry.repaired = *count,
            Action::Repair { ordered: None, .. }
            | Action::Observe
            | Action::Place { .. }
            | Action::Preflight { .. }
            | Action::Verify { .. }
            | Action::Drain { .. }
            | Action::Start
            | Action::Stop
            | Action::Report { .. }
            | Action::ReportOrphan { .. }
            | Action::Announce { .. }
            | Action::Wait { .. } => {}
        }
        entry
    }
}

/// An installation that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// For which rollout.
    pub rollout: RolloutId,
    /// By which order.
    pub generation: Generation,
    /// Which try; only a decided commit makes a second one.
    pub attempt: u32,
    /// So many tries of the same order before it, in the same boot of the host, did not stay up.
    #[serde(default)]
    pub falls: u32,
    /// How.
    pub method: Method,
    /// The life of the VM that was there before.
    pub life_before: Option<BootNonce>,
    /// Which boot of the host it was begun in.
    pub host_boot: String,
    /// What is known of it.
    pub progress: TrialProgress,
    /// What it did to the app's processes, where that was measured.
    #[serde(default)]
    pub measured: Option<Box<Measured>>,
}

/// How far an installation is known to have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TrialProgress {
    /// It was about to be begun; whether it was, and what became of it, must be observed.
    Begun,
    /// The driver said no.
    Failed { reason: String },
    /// It ran and was wholly the new version, in this life of the VM.
    Verified { boot_nonce: BootNonce },
}

/// A way back that was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayBack {
    /// By which order.
    pub generation: Generation,
    /// How far down.
    pub ladder: Ladder,
}

/// A way back that a node without contact took by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// In which rollout.
    pub rollout: RolloutId,
    /// How far down.
    pub ladder: Ladder,
}

/// How far down the ladder of ways back a node has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ladder {
    /// The rung that was about to be begun last.
    pub begun: Option<Rung>,
    /// Whether the driver said that this rung led back.
    pub ended: bool,
    /// Rungs that did not lead back, each as often as it was taken.
    pub tried: Vec<TriedRung>,
}

impl Ladder {
    /// Whether this rung is known not to lead back, and is not taken again.
    #[must_use]
    pub fn is_spent(&self, rung: Rung) -> bool {
        self.tried.iter().filter(|tried| tried.rung == rung).count() >= rung.tries()
    }
}
