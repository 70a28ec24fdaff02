//! S6.

use super::{Violation, broken};
use relupd::ids::{AppName, NodeId, ReleaseVersion, RolloutId};
use relupd::spec::Permanent;
use relupd::state::ClusterState;
use relupd::state::rollout::{NodeProgress, Phase, Step};
use std::collections::BTreeSet;

/// Nodes that were ever judged healthy in a rollout, and those that were ever ordered to commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    healthy: BTreeSet<(RolloutId, NodeId)>,
    ordered: BTreeSet<(RolloutId, NodeId)>,
}

impl Judged {
    pub(super) fn note<'a>(
        &mut self,
        rollout: RolloutId,
        nodes: impl Iterator<Item = (&'a NodeId, &'a NodeProgress)>,
    ) {
        for (node, progress) in nodes {
            if matches!(progress.step, Step::Healthy { .. } | Step::ReadyToCommit { .. }) {
                self.healthy.insert((rollout, *node));
            }
            if is_ordered(&progress.step) {
                self.ordered.insert((rollout, *node));
            }
        }
    }
}

const fn is_ordered(step: &Step) -> bool {
    matches!(step, Step::Committing { .. } | Step::Committed)
}

/// S6. Asked when a pointer moves on a host: that is the instant from which a reboot no longer brings
/// the old release back. Held against what is committed anywhere, as the decision may be applied here
/// and not yet there. Who was removed in the middle of its commit had its order.
pub(super) fn nothing_is_permanent_before_its_verdict_and_the_decision(
    node: NodeId,
    app: &AppName,
    to: &ReleaseVersion,
    state: &ClusterState,
    judged: &Judged,
) -> Option<Violation> {
    let rollout = state.apps.get(app)?.rollout.and_then(|id| state.rollout(id).ok())?;
    let from = rollout.from_of(node).map(|from| &from.version);
    if rollout.plan.to.version != *to || from == Some(to) || !rollout.nodes.contains_key(&node) {
        return None;
    }
    let step = &rollout.nodes.get(&node)?.step;
    let removed = matches!(step, Step::Skipped { .. });
    let ordered = is_ordered(step) || (removed && judged.ordered.contains(&(rollout.id, node)));
    let decided = match rollout.spec.upgrade.permanent {
        Permanent::AtEnd => {
            !matches!(rollout.phase, Phase::Preparing | Phase::Rolling | Phase::Committing { decided: false })
        }
        Permanent::PerNode => ordered || !matches!(rollout.phase, Phase::Preparing | Phase::Rolling),
    };
    let healthy = judged.healthy.contains(&(rollout.id, node));
    (!decided || !healthy).then(|| {
        let detail = format!(
            "{} ({}): {to} is permanent on node {node} at {step:?}; judged healthy: {healthy}",
            rollout.id,
            rollout.phase.name()
        );
        broken("S6", detail)
    })
}
