//! With which format each command came. A new command gets a new format: an older daemon that met it in the
//! log would have to stop.

use crate::format::Format;
use crate::state::ClusterState;
use crate::state::command::Command;
use crate::state::rejection::Rejection;

impl Command {
    /// The first format that has this command.
    #[must_use]
    pub const fn since(&self) -> Format {
        match self {
            #[cfg(feature = "next-format")]
            Self::Remark { .. } => Format(2),
            Self::IssueToken { .. }
            | Self::AdmitNode { .. }
            | Self::DescribeNode { .. }
            | Self::RequestCertificate { .. }
            | Self::RenewCertificate { .. }
            | Self::RemoveNode { .. }
            | Self::SealAuthorityKey { .. }
            | Self::RaiseFormat { .. }
            | Self::AddOperator { .. }
            | Self::RevokeOperator { .. }
            | Self::RegisterRelease { .. }
            | Self::ApplyApp { .. }
            | Self::SetRunning { .. }
            | Self::SavePlan { .. }
            | Self::StartRollout { .. }
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::Promote { .. }
            | Self::Abort { .. }
            | Self::LiftQuarantine { .. }
            | Self::RepairNode { .. }
            | Self::Decide { .. }
            | Self::Report { .. }
            | Self::Observe { .. }
            | Self::ReportOrphan { .. } => Format::FIRST,
        }
    }
}

impl ClusterState {
    /// Refuses a command that not everybody could read. Asked before it goes into the log, where whoever
    /// cannot read it would have to stop: a proposer that has applied a raised format knows that it is
    /// committed, so no leader places the command before it.
    ///
    /// # Errors
    /// `FormatNotRaised`.
    pub fn refuse_newer(&self, command: &Command) -> Result<(), Rejection> {
        let needs = command.since();
        if needs > self.format {
            return Err(Rejection::FormatNotRaised { needs, format: self.format });
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "next-format"))]
mod tests {
    use super::*;
    use crate::samples::{admission, genesis};

    #[test]
    fn a_command_of_the_next_format_waits_until_everybody_reads_it() {
        let mut state = genesis();
        let remark = Command::Remark { text: "well done".to_owned() };
        let refused = Rejection::FormatNotRaised { needs: Format(2), format: Format::FIRST };
        assert_eq!(state.refuse_newer(&remark), Err(refused));
        assert_eq!(state.refuse_newer(&Command::RemoveNode { node: admission(1).id }), Ok(()));
        state.format = Format(2);
        assert_eq!(state.refuse_newer(&remark), Ok(()));
    }
}
