//! Exit codes. 1 (error) and 2 (usage) are main's and clap's.

use relupd_proto::api::v1::Phase;
use std::process::ExitCode;

/// How a command ended that did not fail itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0
    Done,
    /// 1: the rollout was refused, or a relup not made; nothing has changed.
    Refused,
    /// 3: the rollout was halted, held or reverted.
    Halted,
    /// 4: the rollout needs an operator.
    NeedsOperator,
    /// 5: it was not waited for any longer; it goes on.
    GoesOn,
}

impl Exit {
    /// What a rollout's phase means for the exit code; `None` while it is on its way.
    pub(crate) const fn of_phase(phase: Phase) -> Option<Self> {
        match phase {
            Phase::Unspecified
            | Phase::Preparing
            | Phase::Rolling
            | Phase::Committing
            | Phase::Halted
            | Phase::Reverting => None,
            Phase::Completed => Some(Self::Done),
            Phase::Refused => Some(Self::Refused),
            Phase::Reverted | Phase::Held => Some(Self::Halted),
            Phase::NeedsOperator => Some(Self::NeedsOperator),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Halted => 3,
            Self::NeedsOperator => 4,
            Self::GoesOn => 5,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_as_documented() {
        let codes = [Exit::Done, Exit::Refused, Exit::Halted, Exit::NeedsOperator, Exit::GoesOn];
        assert_eq!(codes.map(Exit::code), [0, 1, 3, 4, 5]);
    }

    #[test]
    fn a_halted_rollout_is_still_on_its_way() {
        assert_eq!(Exit::of_phase(Phase::Halted), None);
        assert_eq!(Exit::of_phase(Phase::Reverting), None);
        assert_eq!(Exit::of_phase(Phase::Reverted), Some(Exit::Halted));
    }
}
