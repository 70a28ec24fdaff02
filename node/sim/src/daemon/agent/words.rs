//! For logs.

use relupd::agent::decide::Action;
use relupd::agent::outcome::Ended;
use relupd::driver::Drained;

pub(super) fn brief(ended: &Ended) -> String {
    match ended {
        Ended::Observed(Ok(seen)) => format!("{:?} {:?}", seen.running, seen.condition),
        Ended::Answered(Ok(Ok(_))) => "ok".to_owned(),
        Ended::Answered(Ok(Err(rejection))) => format!("rejected: {rejection}"),
        Ended::Answered(Err(_)) => "no quorum".to_owned(),
        Ended::Checked(Ok(_))
        | Ended::Placed(Ok(()))
        | Ended::Done(Ok(()))
        | Ended::Proved(Ok(_))
        | Ended::Drained(Ok(Drained::Clear(_))) => "ok".to_owned(),
        Ended::Drained(Ok(Drained::Lingering(_))) => "lingering".to_owned(),
        Ended::Observed(Err(error)) | Ended::Checked(Err(error)) | Ended::Drained(Err(error)) => {
            error.to_string()
        }
        Ended::Done(Err(error)) | Ended::Proved(Err(error)) => error.to_string(),
        Ended::Placed(Err(error)) => error.to_string(),
    }
}

/// The word for an action, for logs and for the table of coverage.
pub fn name(action: &Action) -> &'static str {
    match action {
        Action::Observe => "observe",
        Action::Place { .. } => "place",
        Action::Preflight { .. } => "preflight",
        Action::Install { .. } => "install",
        Action::Verify { .. } => "verify",
        Action::Drain { .. } => "drain",
        Action::Commit { .. } => "commit",
        Action::RollBack { .. } => "roll back",
        Action::Repair { .. } => "repair",
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Report { .. } => "report",
        Action::ReportOrphan { .. } => "report orphan",
        Action::Announce { .. } => "announce",
        Action::Wait { .. } => "wait",
    }
}
