//! A name for every value that counts. One list makes both the match and the table, so they agree.

use super::{Coverage, Named};
use crate::host::Accident;
use relupd::agent::decide::{Action, Authority};
use relupd::driver::{CheckResult, Condition, Rung, Running};
use relupd::rollout::waiting::Waiting;
use relupd::state::app::Order;
use relupd::state::command::{Command, Decision, Report};
use relupd::state::rollout::{AbortMode, Failure, HaltReason, Phase, Stage, Step};

macro_rules! names {
    ($($type:ty as $group:literal { $($pattern:pat => $name:literal,)+ })+) => {
        $(impl Named for $type {
            const GROUP: &'static str = $group;
            const NAMES: &'static [&'static str] = &[$($name),+];

            fn name(&self) -> &'static str {
                match self { $($pattern => $name,)+ }
            }
        })+

        /// Enters every name, reached not once.
        pub(super) fn register(coverage: &mut Coverage) {
            $(coverage.expect(<$type>::GROUP, <$type>::NAMES);)+
        }
    };
}

names! {
    Phase as "phase" {
        Phase::Preparing => "preparing",
        Phase::Rolling => "rolling",
        Phase::Committing { decided: false } => "committing",
        Phase::Committing { decided: true } => "commit decided",
        Phase::Halted { .. } => "halted",
        Phase::Reverting { .. } => "reverting",
        Phase::Completed => "completed",
        Phase::Refused { .. } => "refused",
        Phase::Reverted { .. } => "reverted",
        Phase::Held { .. } => "held",
        Phase::NeedsOperator { .. } => "needs operator",
    }
    Step as "step" {
        Step::Planned => "planned",
        Step::Preparing { .. } => "preparing",
        Step::Prepared { .. } => "prepared",
        Step::PrepareFailed { .. } => "prepare failed",
        Step::Skipped { .. } => "skipped",
        Step::Upgrading { stage: Stage::Assigned, .. } => "assigned",
        Step::Upgrading { stage: Stage::Installing, .. } => "installing",
        Step::Upgrading { stage: Stage::Baking, .. } => "baking",
        Step::Healthy { .. } => "healthy",
        Step::Failed { .. } => "failed",
        Step::Draining { .. } => "draining",
        Step::ReadyToCommit { .. } => "ready to commit",
        Step::Committing { .. } => "committing",
        Step::Committed => "committed",
        Step::Reverting { .. } => "reverting",
        Step::Reverted { .. } => "reverted",
        Step::RevertFailed { .. } => "revert failed",
    }
    Decision as "decision" {
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
        Decision::GiveTurn { .. } => "give turn",
        Decision::TakeTurn { .. } => "take turn",
    }
    Order as "order" {
        Order::Prepare => "prepare",
        Order::Upgrade => "upgrade",
        Order::Drain => "drain",
        Order::Commit => "commit",
        Order::Revert => "revert",
    }
    HaltReason as "halt reason" {
        HaltReason::NodeFailed { failure: Failure::Install { .. }, .. } => "installation failed",
        HaltReason::NodeFailed { failure: Failure::Verify { .. }, .. } => "verification failed",
        HaltReason::NodeFailed { failure: Failure::Health { .. }, .. } => "health failed",
        HaltReason::NodeFailed { failure: Failure::VmDied { .. }, .. } => "vm died",
        HaltReason::NodeFailed { failure: Failure::Commit { .. }, .. } => "commit failed",
        HaltReason::NoProgress { .. } => "no progress",
        HaltReason::Unreachable { .. } => "unreachable",
        HaltReason::RolloutDeadline { .. } => "rollout deadline",
        HaltReason::Orphaned { .. } => "orphaned",
        HaltReason::Aborted { how: AbortMode::Hold, .. } => "aborted to hold",
        HaltReason::Aborted { how: AbortMode::Revert, .. } => "aborted to revert",
    }
    Failure as "failure" {
        Failure::Install { .. } => "install",
        Failure::Verify { .. } => "verify",
        Failure::Health { .. } => "health",
        Failure::VmDied { .. } => "vm died",
        Failure::Commit { .. } => "commit",
    }
    Report as "report" {
        Report::Prepared { .. } => "prepared",
        Report::PrepareFailed { .. } => "prepare failed",
        Report::Stage { stage: Stage::Assigned } => "assigned",
        Report::Stage { stage: Stage::Installing } => "installing",
        Report::Stage { stage: Stage::Baking } => "baking",
        Report::Healthy { .. } => "healthy",
        Report::Failed { .. } => "failed",
        Report::ReadyToCommit { .. } => "ready to commit",
        Report::CannotFetch { .. } => "cannot fetch",
        Report::Fetched => "fetched",
        Report::AskTurn => "ask turn",
        Report::Committed => "committed",
        Report::Reverted { .. } => "reverted",
        Report::RevertFailed { .. } => "revert failed",
    }
    Waiting as "waiting for" {
        Waiting::Resume { .. } => "resume",
        Waiting::Promotion { .. } => "promotion",
        Waiting::Preparing { .. } => "preparing",
        Waiting::Fetching { .. } => "fetching",
        Waiting::FirstHealth { .. } => "first health",
        Waiting::Installing { .. } => "installing",
        Waiting::Baking { .. } => "baking",
        Waiting::InFlight { .. } => "in flight",
        Waiting::OutOfReach { .. } => "out of reach",
        Waiting::Draining { .. } => "draining",
        Waiting::Committing { .. } => "committing",
        Waiting::Reverting { .. } => "reverting",
        Waiting::Reinstalling { .. } => "reinstalling",
        Waiting::Turn { .. } => "turn",
    }
    Action as "action" {
        Action::Observe => "observe",
        Action::Place { .. } => "place",
        Action::Preflight { .. } => "preflight",
        Action::Install { .. } => "install",
        Action::Verify { .. } => "verify",
        Action::Drain { .. } => "drain",
        Action::Commit { .. } => "commit",
        Action::RollBack { by: Authority::Order(_), rung: Rung::RelupDown, .. } => "relup down by order",
        Action::RollBack { by: Authority::Order(_), rung: Rung::Restart, .. } => "restart back by order",
        Action::RollBack { by: Authority::Order(_), rung: Rung::Unplace, .. } => "unplace by order",
        Action::RollBack { by: Authority::Orphan(_), rung: Rung::RelupDown, .. } => "relup down as an orphan",
        Action::RollBack { by: Authority::Orphan(_), rung: Rung::Restart, .. } => "restart back as an orphan",
        Action::RollBack { by: Authority::Orphan(_), rung: Rung::Unplace, .. } => "unplace as an orphan",
        Action::Repair { ordered: None, .. } => "repair by itself",
        Action::Repair { ordered: Some(_), .. } => "repair by order",
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Report { .. } => "report",
        Action::ReportOrphan { .. } => "report an orphan",
        Action::Announce { .. } => "announce",
        Action::Wait { .. } => "wait",
    }
    Condition as "condition" {
        Condition::Absent => "absent",
        Condition::Clean => "clean",
        Condition::Trial => "trial",
        Condition::Stopped => "stopped",
        Condition::HalfEnvironment { .. } => "half an environment",
        Condition::TornPointers { .. } => "torn pointers",
        Condition::HandlerLies { .. } => "the handler lies",
        Condition::MixedCode { .. } => "mixed code",
        Condition::Debris { .. } => "debris",
        Condition::Unknown { .. } => "unknown",
    }
    Running as "running" {
        Running::Down => "down",
        Running::Up { .. } => "up",
        Running::Unknown { .. } => "unknown",
    }
    Rung as "rung" {
        Rung::RelupDown => "relup down",
        Rung::Restart => "restart",
        Rung::Unplace => "unplace",
    }
    CheckResult as "check" {
        CheckResult::Passed => "passed",
        CheckResult::NotHot { .. } => "not hot",
        CheckResult::Warning { .. } => "warning",
        CheckResult::Failed { .. } => "failed",
    }
    Command as "command" {
        Command::IssueToken { .. } => "issue token",
        Command::AdmitNode { .. } => "admit node",
        Command::DescribeNode { .. } => "describe node",
        Command::RequestCertificate { .. } => "request certificate",
        Command::RenewCertificate { .. } => "renew certificate",
        Command::RemoveNode { .. } => "remove node",
        Command::SealAuthorityKey { .. } => "seal authority key",
        Command::AddOperator { .. } => "add operator",
        Command::RevokeOperator { .. } => "revoke operator",
        Command::RegisterRelease { .. } => "register release",
        Command::ApplyApp { .. } => "apply app",
        Command::SetRunning { .. } => "set running",
        Command::SavePlan { .. } => "save plan",
        Command::StartRollout { .. } => "start rollout",
        Command::Pause { .. } => "pause",
        Command::Resume { .. } => "resume",
        Command::Promote { .. } => "promote",
        Command::Abort { .. } => "abort",
        Command::LiftQuarantine { .. } => "lift quarantine",
        Command::RepairNode { .. } => "repair node",
        Command::RaiseFormat { .. } => "raise format",
        Command::Remark { .. } => "remark",
        Command::Decide { .. } => "decide",
        Command::Report { .. } => "report",
        Command::Observe { .. } => "observe",
        Command::ReportOrphan { .. } => "report an orphan",
    }
    Accident as "accident" {
        Accident::VmKilled => "vm killed",
        Accident::LinkCut => "link cut",
        Accident::DiskRefuses(_) => "disk refuses",
        Accident::DiskRecovers => "disk recovers",
        Accident::CannotBoot => "cannot boot",
        Accident::CanBoot => "can boot",
        Accident::BookTorn => "RELEASES torn",
        Accident::PointerTorn => "start_erl.data torn",
        Accident::ScriptTorn => "bin/REL torn",
        Accident::TrialTorn => "trial file torn",
        Accident::HandlerRestarted => "handler restarted",
        Accident::HandlerLies(_) => "handler lies",
        Accident::HandPatched => "patched by hand",
        Accident::HalfEnvironment(_) => "half an environment",
        Accident::Debris(_) => "debris",
    }
}

/// What a simulation does not reach, and why that is so.
pub(super) const EXCUSED: &[(&str, &str, &str)] = &[
    ("report", "assigned", "a node says nothing before it installs; the stage is what the order begins with"),
    ("action", "wait", "a wait is a rest of the agent's core, and not carried out"),
    ("command", "request certificate", "certificates are not simulated"),
    ("command", "renew certificate", "certificates are not simulated"),
    ("command", "seal authority key", "certificates are not simulated"),
    ("command", "add operator", "certificates are not simulated"),
    ("command", "revoke operator", "certificates are not simulated"),
];
