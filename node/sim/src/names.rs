//! The names of everything that a run should reach.

use crate::coverage::Name;
use relupd::rollout::waiting::Waiting;
use relupd::state::command::Decision;
use relupd::state::rollout::{AbortMode, Failure, HaltReason, Phase, Stage, Step};

/// Lists the names of one enum beside the match that gives them. The match is exhaustive, and the list
/// is made of the same literals, so neither can lack one.
macro_rules! names {
    ($list:ident, $function:ident, $type:ty, $kind:literal, { $($pattern:pat => $name:literal),+ $(,)? }) => {
        pub fn $function(value: &$type) -> &'static str {
            match value { $($pattern => $name),+ }
        }
        const $list: &[Name] = &[$(($kind, $name)),+];
    };
}

names!(PHASES, phase, Phase, "phase", {
    Phase::Preparing => "Preparing",
    Phase::Rolling => "Rolling",
    Phase::Committing { decided: false } => "Committing",
    Phase::Committing { decided: true } => "Committing, decided",
    Phase::Halted { .. } => "Halted",
    Phase::Reverting { .. } => "Reverting",
    Phase::Completed => "Completed",
    Phase::Refused { .. } => "Refused",
    Phase::Reverted { .. } => "Reverted",
    Phase::Held { .. } => "Held",
    Phase::NeedsOperator { .. } => "NeedsOperator",
});

names!(STEPS, step, Step, "node phase", {
    Step::Planned => "Planned",
    Step::Preparing { .. } => "Preparing",
    Step::Prepared { .. } => "Prepared",
    Step::PrepareFailed { .. } => "PrepareFailed",
    Step::Skipped { .. } => "Skipped",
    Step::Upgrading { stage: Stage::Assigned, .. } => "Upgrading, assigned",
    Step::Upgrading { stage: Stage::Installing, .. } => "Upgrading, installing",
    Step::Upgrading { stage: Stage::Baking, .. } => "Upgrading, baking",
    Step::Healthy { .. } => "Healthy",
    Step::Failed { failure: Failure::Install { .. } } => "Failed, install",
    Step::Failed { failure: Failure::Verify { .. } } => "Failed, verify",
    Step::Failed { failure: Failure::Health { .. } } => "Failed, health",
    Step::Failed { failure: Failure::VmDied { .. } } => "Failed, VM died",
    Step::Failed { failure: Failure::Commit { .. } } => "Failed, commit",
    Step::Draining { .. } => "Draining",
    Step::ReadyToCommit { .. } => "ReadyToCommit",
    Step::Committing { .. } => "Committing",
    Step::Committed => "Committed",
    Step::Reverting { .. } => "Reverting",
    Step::Reverted { .. } => "Reverted",
    Step::RevertFailed { .. } => "RevertFailed",
});

names!(HALTS, halt_reason, HaltReason, "halt reason", {
    HaltReason::NodeFailed { failure: Failure::Install { .. }, .. } => "node failed, install",
    HaltReason::NodeFailed { failure: Failure::Verify { .. }, .. } => "node failed, verify",
    HaltReason::NodeFailed { failure: Failure::Health { .. }, .. } => "node failed, health",
    HaltReason::NodeFailed { failure: Failure::VmDied { .. }, .. } => "node failed, VM died",
    HaltReason::NodeFailed { failure: Failure::Commit { .. }, .. } => "node failed, commit",
    HaltReason::NoProgress { .. } => "no progress",
    HaltReason::Unreachable { .. } => "unreachable",
    HaltReason::RolloutDeadline { .. } => "rollout deadline",
    HaltReason::Orphaned { .. } => "orphaned",
    HaltReason::Aborted { how: AbortMode::Hold, .. } => "aborted, hold",
    HaltReason::Aborted { how: AbortMode::Revert, .. } => "aborted, revert",
});

names!(DECISIONS, decision, Decision, "decision", {
    Decision::Assign { .. } => "assign",
    Decision::Skip { .. } => "skip",
    Decision::BeginRolling => "begin rolling",
    Decision::Refuse { .. } => "refuse",
    Decision::Promote => "promote",
    Decision::BeginCommitting => "begin committing",
    Decision::CommitDecided => "commit decided",
    Decision::Halt { .. } => "halt",
    Decision::BeginReverting => "begin reverting",
    Decision::Hold { .. } => "hold",
    Decision::Complete => "complete",
    Decision::FinishReverting => "finish reverting",
    Decision::CallOperator { .. } => "call operator",
    Decision::RecordElapsed { .. } => "record elapsed",
});

names!(WAITS, waiting, Waiting, "waiting", {
    Waiting::Resume { .. } => "resume",
    Waiting::Promotion { .. } => "promotion",
    Waiting::InFlight { .. } => "in flight",
    Waiting::Preparing { .. } => "preparing",
    Waiting::FirstHealth { .. } => "first health",
    Waiting::Installing { .. } => "installing",
    Waiting::Baking { .. } => "baking",
    Waiting::OutOfReach { .. } => "out of reach",
    Waiting::Draining { .. } => "draining",
    Waiting::Committing { .. } => "committing",
    Waiting::Reverting { .. } => "reverting",
    Waiting::RevertAfter { .. } => "revert after",
});

const ACTIONS: &[Name] = &[
    ("agent decision", "observe"),
    ("agent decision", "place"),
    ("agent decision", "preflight"),
    ("agent decision", "install"),
    ("agent decision", "verify"),
    ("agent decision", "drain"),
    ("agent decision", "commit"),
    ("agent decision", "roll back"),
    ("agent decision", "repair"),
    ("agent decision", "start"),
    ("agent decision", "stop"),
    ("agent decision", "report"),
    ("agent decision", "report orphan"),
    ("agent decision", "announce"),
];

const OTHERS: &[Name] = &[
    ("reconciler", "catch-up"),
    ("reconciler", "decision void"),
    ("voters", "settled"),
    ("voters", "wait"),
    ("voters", "change"),
    ("voters", "transfer"),
];

/// Why a rollout in this phase halted, where it did.
pub fn halt_reason_of(phase: &Phase) -> Option<&'static str> {
    match phase {
        Phase::Halted { reason } => Some(halt_reason(reason)),
        Phase::Reverting { .. }
        | Phase::Reverted { .. }
        | Phase::Held { .. }
        | Phase::NeedsOperator { .. }
        | Phase::Preparing
        | Phase::Rolling
        | Phase::Committing { .. }
        | Phase::Completed
        | Phase::Refused { .. } => None,
    }
}

pub fn all() -> Vec<Name> {
    [PHASES, STEPS, HALTS, DECISIONS, WAITS, ACTIONS, OTHERS].concat()
}
