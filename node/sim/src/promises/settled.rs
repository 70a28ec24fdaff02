//! S5.

use super::{Hosts, Violation, broken};
use crate::host::{ProcessTruth, Truth};
use relupd::ids::{NodeId, ReleaseVersion};
use relupd::state::ClusterState;
use relupd::state::rollout::{NodeProgress, Phase, Rollout, Step};

/// S5. Asked when a terminal phase is applied for the first time anywhere: it is said only once it is
/// true, so it must be true right then, on the hosts and not only in the state. A VM that happens to be
/// down at that instant is on the version that it would boot.
pub(super) fn terminal_means_settled_on_the_hosts(
    before: &ClusterState,
    after: &ClusterState,
    hosts: &dyn Hosts,
) -> Option<Violation> {
    let ended = after.rollouts.values().filter(|rollout| {
        let was = before.rollouts.get(&rollout.id);
        rollout.phase.is_terminal() && was.is_some_and(|was| !was.phase.is_terminal())
    });
    let takes_part = |progress: &NodeProgress| !matches!(progress.step, Step::Skipped { .. });
    for rollout in ended {
        let current = after.apps.get(&rollout.plan.app).and_then(|app| app.current.as_ref());
        if rollout.phase == Phase::Completed && current != Some(&rollout.plan.to) {
            let detail = format!("{} completed, the app is committed to {current:?}", rollout.id);
            return Some(broken("S5", detail));
        }
        for (node, progress) in rollout.nodes.iter().filter(|(_, progress)| takes_part(progress)) {
            let truth = hosts.truth(*node, &rollout.plan.app);
            let unsettled = truth.and_then(|truth| unsettled(rollout, *node, progress, &truth));
            if let Some(detail) = unsettled.or_else(|| unknown(rollout, *node, progress)) {
                let detail = format!("{} {}: node {node} {detail}", rollout.id, rollout.phase.name());
                return Some(broken("S5", detail));
            }
        }
    }
    None
}

/// What the cluster itself knows must not say otherwise: all that there is to go by where a host is gone for good.
fn unknown(rollout: &Rollout, node: NodeId, progress: &NodeProgress) -> Option<String> {
    let away = progress.touched.is_some() && !progress.is_back();
    let unfinished = !matches!(progress.step, Step::Committed);
    let contradicts = match &rollout.phase {
        Phase::Completed => unfinished,
        Phase::Reverted { .. } => away,
        Phase::Refused { .. } => progress.touched.is_some(),
        Phase::Held { elsewhere, .. } => away && !elsewhere.contains(&node),
        Phase::NeedsOperator { reason, nodes } => {
            let missing = if reason.is_some() { away } else { unfinished };
            missing && !nodes.iter().any(|stranded| stranded.node == node)
        }
        Phase::Preparing
        | Phase::Rolling
        | Phase::Committing { .. }
        | Phase::Halted { .. }
        | Phase::Reverting { .. } => false,
    };
    contradicts.then(|| format!("is at {:?}, and is not named", progress.step))
}

fn unsettled(rollout: &Rollout, node: NodeId, progress: &NodeProgress, truth: &Truth) -> Option<String> {
    let (to, from) = (Some(&rollout.plan.to.version), rollout.from_of(node).map(|from| &from.version));
    let away_from_from = || progress.touched.and_then(|_| elsewhere(truth, from));
    match &rollout.phase {
        Phase::Completed => elsewhere(truth, to),
        Phase::Reverted { .. } => away_from_from(),
        // A node that somebody else moved meanwhile is not this rollout's doing; it has touched nobody.
        Phase::Refused { .. } => progress.touched.map(|by| format!("was touched by {by}")),
        Phase::Held { elsewhere: named, .. } if named.contains(&node) => None,
        Phase::Held { .. } => away_from_from(),
        Phase::NeedsOperator { nodes, .. } if nodes.iter().any(|stranded| stranded.node == node) => None,
        Phase::NeedsOperator { reason: Some(_), .. } => away_from_from(),
        Phase::NeedsOperator { reason: None, .. } => elsewhere(truth, to),
        Phase::Preparing
        | Phase::Rolling
        | Phase::Committing { .. }
        | Phase::Halted { .. }
        | Phase::Reverting { .. } => None,
    }
}

/// How the host is not where it should be. Pointers that somebody tore say nothing.
fn elsewhere(truth: &Truth, should: Option<&ReleaseVersion>) -> Option<String> {
    if truth.pointer_torn_for.is_none() && truth.permanent.as_ref() != should {
        return Some(format!("should boot {should:?}, would boot {:?}", truth.permanent));
    }
    match &truth.process {
        ProcessTruth::None => None,
        ProcessTruth::Booting(version) => {
            (Some(version) != should).then(|| format!("should be {should:?}, boots {version}"))
        }
        // Modules of several versions are a matter of S9.
        ProcessTruth::Up(vm) => {
            let code = vm.code.as_ref()?;
            (Some(code) != should).then(|| format!("should run {should:?}, runs {code}"))
        }
    }
}
