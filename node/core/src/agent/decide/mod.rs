//! PURE: what this node does next for one app, from the newest order, the ledger and what was seen.
//! The loop does it, looks again and asks again, until the answer is to wait. Whatever is unknown is
//! looked at again; it is never taken for healthy nor for failed.

mod commit;
mod forward;
mod idle;
mod order;
mod orphan;
mod prepare;
mod revert;
#[cfg(test)]
pub(super) mod tests;

pub use prepare::softened;

use super::ledger::{Ladder, LedgerEntry, Trial};
use super::memory::Memory;
use crate::clock::Monotonic;
use crate::driver::{Condition, Liveness, Observation, Purge, Rung, Running, Transition};
use crate::health::Health;
use crate::ids::{BootNonce, Generation, NodeId, ReleaseVersion, RolloutId};
use crate::state::app::{App, Instance};
use crate::state::command::{Noted, OrphanOutcome, Report};
use crate::state::release::ReleaseId;
use crate::state::rollout::Rollout;
use order::Ordered;
use std::time::Duration;

/// Everything that the decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// This node.
    pub node: NodeId,
    /// The app, as applied here.
    pub app: &'a App,
    /// Its instance on this node.
    pub instance: &'a Instance,
    /// The rollout of the instance's assignment.
    pub rollout: Option<&'a Rollout>,
    /// What was begun here.
    pub ledger: &'a LedgerEntry,
    /// What this process remembers.
    pub memory: &'a Memory,
    /// What was seen since the last effect and the last change of liveness.
    pub observation: Option<&'a Observation>,
    /// When that look began.
    pub observed_at: Option<Monotonic>,
    /// Whether the VM lives, as pushed by the driver.
    pub liveness: &'a Liveness,
    /// What the health checks say.
    pub health: &'a Health,
    /// How long ago this node last heard from a leader that had proved its quorum.
    pub contact_age: Duration,
    /// Identifies this boot of the host.
    pub host_boot: &'a str,
    /// Now.
    pub now: Monotonic,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at disk, process and VM.
    Observe,
    /// Bring the release under the release root, fetching it where it is not in the local store.
    Place { release: ReleaseId },
    /// Find out whether the transition will go well.
    Preflight { transition: Transition },
    /// Note `trial` in the ledger, then install.
    Install { transition: Transition, trial: Trial },
    /// Prove that what runs is wholly the new version, then note that of `trial`.
    Verify { transition: Transition, trial: Trial, life: BootNonce },
    /// Wait a moment until no process lingers in old code, and do this with those that do.
    Drain { transition: Transition, purge: Purge },
    /// Make permanent.
    Commit { transition: Transition },
    /// Note `ladder` in the ledger, then take the rung.
    RollBack { transition: Transition, rung: Rung, ladder: Ladder, by: Authority },
    /// Repair towards the version that was decided; `ordered` is the count of the operator's order.
    /// Under an order of the cluster it may change the version, and is fenced like any effect by order.
    Repair { decided: Option<ReleaseVersion>, ordered: Option<u64>, by: Option<Generation> },
    /// Start the permanent version.
    Start,
    /// Stop the app.
    Stop,
    /// Answer the order.
    Report { generation: Generation, report: Report },
    /// Tell that this node took itself back.
    ReportOrphan { rollout: RolloutId, outcome: OrphanOutcome },
    /// Tell what was seen.
    Announce { observation: Observation, healthy: Option<bool>, noted: Option<Box<Noted>> },
    /// Nothing until something changes, or until then.
    Wait { until: Option<Monotonic>, reason: WaitingFor },
}

impl Action {
    /// Whether a linearizable read must confirm, just before the effect, that the order is still the
    /// newest (S4). The way back of an orphan has nobody to ask.
    #[must_use]
    pub const fn needs_barrier(&self) -> bool {
        match self {
            Self::Install { .. } | Self::Drain { .. } | Self::Commit { .. } => true,
            Self::RollBack { by, .. } => matches!(by, Authority::Order(_)),
            Self::Repair { by, .. } => by.is_some(),
            Self::Observe
            | Self::Place { .. }
            | Self::Preflight { .. }
            | Self::Verify { .. }
            | Self::Start
            | Self::Stop
            | Self::Report { .. }
            | Self::ReportOrphan { .. }
            | Self::Announce { .. }
            | Self::Wait { .. } => false,
        }
    }

    /// Whether it says that this node is where it is to be.
    #[must_use]
    pub const fn claims_to_be_there(&self) -> bool {
        let Self::Report { report, .. } = self else { return false };
        match report {
            Report::Healthy { .. }
            | Report::ReadyToCommit { .. }
            | Report::Committed
            | Report::Reverted { .. } => true,
            Report::Prepared { .. }
            | Report::PrepareFailed { .. }
            | Report::Stage { .. }
            | Report::Failed { .. }
            | Report::CannotFetch { .. }
            | Report::Fetched
            | Report::AskTurn
            | Report::RevertFailed { .. } => false,
        }
    }

    /// Whether it may be given up at any time because it changes nothing on this host, or nothing
    /// that is not simply done again.
    #[must_use]
    pub const fn is_harmless(&self) -> bool {
        match self {
            Self::Observe
            | Self::Place { .. }
            | Self::Preflight { .. }
            | Self::Verify { .. }
            | Self::Drain { .. }
            | Self::Report { .. }
            | Self::ReportOrphan { .. }
            | Self::Announce { .. }
            | Self::Wait { .. } => true,
            Self::Install { .. }
            | Self::Commit { .. }
            | Self::RollBack { .. }
            | Self::Repair { .. }
            | Self::Start
            | Self::Stop => false,
        }
    }
}

/// What entitles a node to go back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The order of this generation.
    Order(Generation),
    /// The orphan rule, in this rollout.
    Orphan(RolloutId),
}

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingFor {
    /// The next order.
    Order,
    /// The node's turn to take its app down.
    Turn,
    /// A verdict of the health checks.
    Health,
    /// Health to hold for as long as the policy says.
    Bake,
    /// The leader, or the time to go back without it.
    Contact,
    /// Anything: the app is as it should be.
    Nothing,
}

/// What to do next for one app on this node.
#[must_use]
pub fn decide(input: &Input<'_>) -> Action {
    let ordered = Ordered::of(input);
    let action =
        ordered.as_ref().and_then(|order| orphan::decide(input, order).or_else(|| order.decide(input)));
    let action = action.unwrap_or_else(|| idle::decide(input, ordered.as_ref()));
    if !matches!(action, Action::Wait { .. }) {
        return action;
    }
    let due = ordered.and_then(|order| orphan::due(input, &order));
    idle::announce(input).unwrap_or_else(|| no_later(action, due))
}

/// Tells what was seen, where the cluster believes something else: for when there is time.
#[must_use]
pub fn tell(input: &Input<'_>) -> Option<Action> {
    idle::tell(input, input.observation?)
}

/// Ends a wait by then at the latest.
fn no_later(action: Action, due: Option<Monotonic>) -> Action {
    match action {
        Action::Wait { until, reason } => Action::Wait { until: until.into_iter().chain(due).min(), reason },
        action => action,
    }
}

/// What was seen, where it tells something.
fn known<'a>(input: &Input<'a>) -> Option<&'a Observation> {
    input.observation.filter(|seen| {
        !matches!(seen.running, Running::Unknown { .. })
            && !matches!(seen.condition, Condition::Unknown { .. })
    })
}

/// What was seen of a living VM, where it cannot be told which version runs because something is torn
/// that a repair mends: the book that names the modules, or the modules themselves. A VM that is
/// merely silent is waited for.
fn mendable<'a>(input: &Input<'a>) -> Option<&'a Observation> {
    let lives = matches!(input.liveness, Liveness::Up { .. });
    input.observation.filter(|seen| {
        lives && !matches!(seen.condition, Condition::Unknown { .. }) && torn(&seen.condition).is_some()
    })
}

/// So many observations in a row may tell nothing before the VM counts as hung.
const BLIND_ENOUGH: u32 = 5;

/// Whether it was looked often enough, and nothing could be told. That nobody has looked since the last
/// effect does not say so.
fn is_hung(input: &Input<'_>) -> bool {
    input.observation.is_some() && known(input).is_none() && input.memory.blind >= BLIND_ENOUGH
}

/// What is torn, where something is.
fn torn(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Absent | Condition::Clean | Condition::Trial | Condition::Stopped => None,
        // Directories of no registered release harm nobody.
        Condition::Debris { .. } => None,
        Condition::HalfEnvironment { detail } => Some(format!("half an environment: {detail}")),
        Condition::TornPointers { detail } => Some(format!("torn pointers: {detail}")),
        Condition::HandlerLies { detail } => Some(format!("the release handler is wrong: {detail}")),
        Condition::MixedCode { detail } => Some(format!("mixed code: {detail}")),
        Condition::Unknown { reason } => Some(format!("unknown: {reason}")),
    }
}

/// The version and the life that run.
const fn up(running: &Running) -> Option<(&ReleaseVersion, &BootNonce)> {
    match running {
        Running::Up { version, boot_nonce } => Some((version, boot_nonce)),
        Running::Down | Running::Unknown { .. } => None,
    }
}

/// So often an app is started, or a version installed again, before the node counts as unfit.
const STARTS: u32 = 3;

/// For messages.
fn describe(seen: &Observation) -> String {
    let permanent = seen.permanent.as_ref().map_or("nothing", ReleaseVersion::as_str);
    let running = match &seen.running {
        Running::Down => "nothing runs".to_owned(),
        Running::Up { version, boot_nonce } => format!("{version} runs (boot nonce {boot_nonce})"),
        Running::Unknown { reason } => format!("it is unknown what runs: {reason}"),
    };
    let torn = torn(&seen.condition).map_or_else(String::new, |detail| format!(", {detail}"));
    format!("{running}, {permanent} is permanent{torn}")
}

const fn wait(reason: WaitingFor) -> Action {
    Action::Wait { until: None, reason }
}
