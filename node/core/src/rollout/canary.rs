//! The first nodes of a rollout: nobody follows them before all of them are healthy and promoted.

use crate::ids::NodeId;
use crate::spec::Promote;
use crate::state::rollout::{NodeProgress, Phase, Rollout, Step};

pub(super) enum Canary {
    /// Some of it still has to become healthy.
    Open,
    /// All of it is healthy, nobody has promoted it.
    Healthy(Vec<NodeId>),
    /// The rest may follow; also where there is no canary.
    Promoted,
}

/// The first nodes that take part are the canary, as many as the plan has: one that was left out does
/// not open the gate, the next one takes its place.
pub(super) fn nodes(rollout: &Rollout) -> Vec<(NodeId, &NodeProgress)> {
    let size = rollout.plan.steps.iter().filter(|step| step.canary).count();
    let takes_part = |(_, progress): &(NodeId, &NodeProgress)| !matches!(progress.step, Step::Skipped { .. });
    rollout.in_order().into_iter().filter(takes_part).take(size).collect()
}

/// Whether it waits for nobody but an operator.
pub(super) fn awaits_promotion(rollout: &Rollout) -> bool {
    matches!(rollout.phase, Phase::Rolling)
        && rollout.spec.upgrade.promote == Promote::Manual
        && matches!(Canary::of(rollout), Canary::Healthy(_))
}

impl Canary {
    pub(super) fn of(rollout: &Rollout) -> Self {
        let canaries = nodes(rollout);
        let passed = |step: &Step| {
            matches!(
                step,
                Step::Healthy { .. }
                    | Step::Draining { .. }
                    | Step::ReadyToCommit { .. }
                    | Step::Committing { .. }
                    | Step::Committed
            )
        };
        if !canaries.iter().all(|(_, progress)| passed(&progress.step)) {
            Self::Open
        } else if rollout.promoted || canaries.is_empty() {
            Self::Promoted
        } else {
            Self::Healthy(canaries.into_iter().map(|(node, _)| node).collect())
        }
    }
}
