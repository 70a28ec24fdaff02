//! What a worker tells of its steps: one span for each order, so that every line of the log says for
//! which rollout and node it was written, and the figures of what it did.

use super::decide::Action;
use super::outcome::Ended;
use crate::driver::Drained;
use crate::ids::{AppName, NodeId};
use crate::state::app::Assignment;
use crate::state::command::Report;
use crate::telemetry::Metrics;
use std::time::Duration;
use tracing::Span;

/// The span of everything that is done for the newest order, or for none.
pub(super) fn node_step(app: &AppName, node: NodeId, order: Option<&Assignment>) -> Span {
    match order {
        Some(Assignment { rollout, generation, .. }) => {
            tracing::info_span!("node_step", %rollout, %app, %node, %generation)
        }
        None => tracing::info_span!("node_step", %app, %node),
    }
}

/// Counts what an action came to.
pub(super) fn count(metrics: &Metrics, app: &AppName, action: &Action, ended: &Ended, took: Duration) {
    let (step, ok) = match (action, ended) {
        (_, Ended::Observed(seen)) => ("observe", seen.is_ok()),
        (_, Ended::Placed(placed)) => ("place", placed.is_ok()),
        (_, Ended::Checked(checks)) => ("preflight", checks.is_ok()),
        (_, Ended::Drained(drained)) => ("drain", matches!(drained, Ok(Drained::Clear(_)))),
        (_, Ended::Proved(proved)) => ("verify", proved.is_ok()),
        (Action::Report { report, .. }, Ended::Answered(answer)) => {
            if let (Ok(Ok(_)), Some(healthy)) = (answer, verdict(report)) {
                metrics.verdict_said(app, healthy);
            }
            return;
        }
        (_, Ended::Answered(_)) => return,
        (action, Ended::Done(done)) => (step_of(action), done.is_ok()),
    };
    metrics.driver_step_ended(app, step, ok, took);
}

fn verdict(report: &Report) -> Option<bool> {
    match report {
        Report::Healthy { .. } => Some(true),
        Report::Failed { .. } => Some(false),
        Report::CannotFetch { .. }
        | Report::Fetched
        | Report::Prepared { .. }
        | Report::PrepareFailed { .. }
        | Report::Stage { .. }
        | Report::ReadyToCommit { .. }
        | Report::AskTurn
        | Report::Committed
        | Report::Reverted { .. }
        | Report::RevertFailed { .. } => None,
    }
}

/// The driver's word for it.
pub(super) fn step_of(action: &Action) -> &'static str {
    match action {
        Action::Observe => "observe",
        Action::Place { .. } => "place",
        Action::Preflight { .. } => "preflight",
        Action::Install { .. } => "install",
        Action::Verify { .. } => "verify",
        Action::Drain { .. } => "drain",
        Action::Commit { .. } => "commit",
        Action::RollBack { .. } => "roll_back",
        Action::Repair { .. } => "repair",
        Action::Start => "start",
        Action::Stop => "stop",
        Action::Report { .. } | Action::ReportOrphan { .. } | Action::Announce { .. } => "propose",
        Action::Wait { .. } => "wait",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::DriverError;
    use crate::ids::BootNonce;
    use crate::state::app::Order;
    use crate::state::command::Applied;
    use crate::state::rejection::{Rejection, Superseded};

    #[test]
    fn a_verdict_counts_once_the_cluster_has_taken_it() {
        let (app, metrics) = ("shop".parse().expect("a name"), Metrics::new());
        let report = Report::Healthy { boot_nonce: BootNonce("1".to_owned()) };
        let action = Action::Report { generation: crate::ids::Generation(3), report };
        let refused = Rejection::Superseded(Superseded::Report { order: Order::Upgrade });
        count(&metrics, &app, &action, &Ended::Answered(Ok(Err(refused))), Duration::ZERO);
        assert!(!metrics.encode().contains("relupd_verdicts_total{"), "refused");
        count(&metrics, &app, &action, &Ended::Answered(Ok(Ok(Applied::Done))), Duration::ZERO);
        assert!(metrics.encode().contains("relupd_verdicts_total{app=\"shop\",verdict=\"healthy\"} 1"));
    }

    #[test]
    fn a_step_that_failed_is_told_apart() {
        let (app, metrics) = ("shop".parse().expect("a name"), Metrics::new());
        let failed = Err(DriverError::VmGone { what: "stop" });
        count(&metrics, &app, &Action::Stop, &Ended::Done(failed), Duration::from_millis(2));
        let line = "relupd_driver_step_seconds_count{app=\"shop\",step=\"stop\",outcome=\"error\"} 1";
        assert!(metrics.encode().contains(line), "{}", metrics.encode());
    }
}
