//! Phases, failures and reasons as people read them: in events, in the log and in `relupctl`.

use crate::state::command::Spent;
use crate::state::rollout::{AbortMode, Failure, HaltReason, Phase, Stage};
use std::fmt;
use std::time::Duration;

impl Phase {
    /// One word for it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Rolling => "rolling",
            Self::Committing { .. } => "committing",
            Self::Halted { .. } => "halted",
            Self::Reverting { .. } => "reverting",
            Self::Completed => "completed",
            Self::Refused { .. } => "refused",
            Self::Reverted { .. } => "reverted",
            Self::Held { .. } => "held",
            Self::NeedsOperator { .. } => "needs operator",
        }
    }
}

impl fmt::Display for AbortMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hold => "hold",
            Self::Revert => "revert",
        })
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "was not heard of again in its turn",
            Self::NoProgress => "did not get on in its turn",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Install { reason } => write!(f, "installation failed: {reason}"),
            Self::Verify { reason } => write!(f, "verification failed: {reason}"),
            Self::Health { check, reason } => write!(f, "health check {check} failed: {reason}"),
            Self::VmDied { detail } => write!(f, "the VM died: {detail}"),
            Self::Commit { reason } => write!(f, "could not be made permanent: {reason}"),
        }
    }
}

/// How long something took, for people: nobody acts on a fraction of a second.
#[must_use]
pub fn whole_seconds(duration: Duration) -> impl fmt::Display {
    humantime::format_duration(Duration::from_secs(duration.as_secs()))
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeFailed { node, failure } => write!(f, "node {node}: {failure}"),
            Self::NoProgress { node, after } => {
                write!(f, "node {node} made no progress for {}", whole_seconds(*after))
            }
            Self::Unreachable { node, after } => {
                write!(f, "node {node} was out of reach for {}", whole_seconds(*after))
            }
            Self::RolloutDeadline { after } => {
                write!(f, "the rollout took longer than {}", whole_seconds(*after))
            }
            Self::Orphaned { node } => write!(f, "node {node} had lost contact and took itself back"),
            Self::Aborted { by, how } => write!(f, "aborted by {by} ({how})"),
        }
    }
}

impl Stage {
    /// What a node is doing.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Installing => "installing",
            Self::Baking => "baking",
        }
    }
}
