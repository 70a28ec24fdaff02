//! S2.

use super::{Hosts, Violation, broken};
use relupd::ids::NodeId;
use relupd::state::ClusterState;
use relupd::state::rollout::{Phase, Rollout, Step};
use std::collections::BTreeSet;

/// S2. Asked after every event and not only after every entry: what is down by our doing is down on
/// hosts, and no entry says so. A node counts while its verdict is outstanding, and while its app does
/// not run because relupd stopped it or because a relup restarted it. A node that a leader could not
/// reach is not counted on the way back: it must not keep the others on a bad release. Nor is one that was
/// out of reach counted while it goes back by the orphan rule, with nobody to ask who else is at work; an
/// orphan that could always be reached is.
pub(super) fn no_more_than_max_in_flight_are_down_or_unjudged_by_our_doing(
    state: &ClusterState,
    hosts: &dyn Hosts,
) -> Option<Violation> {
    let on_their_way = state.rollouts.values().filter(|rollout| !rollout.phase.is_terminal());
    on_their_way.filter(|rollout| is_counted(&rollout.phase)).find_map(|rollout| {
        let limit = rollout.spec.upgrade.max_in_flight;
        let at_work = at_work(rollout, hosts);
        (u32::try_from(at_work.len()).unwrap_or(u32::MAX) > limit).then(|| {
            let detail = format!(
                "{} ({}): {at_work:?} are down or without a verdict, max_in_flight is {limit}",
                rollout.id,
                rollout.phase.name()
            );
            broken("S2", detail)
        })
    })
}

/// Preparing changes nothing that runs. After the decision what is down already is brought up at once, and
/// what runs is installed again in its turn, which the state's own invariants count.
const fn is_counted(phase: &Phase) -> bool {
    match phase {
        Phase::Rolling
        | Phase::Committing { decided: false }
        | Phase::Halted { .. }
        | Phase::Reverting { .. } => true,
        Phase::Preparing
        | Phase::Committing { decided: true }
        | Phase::Completed
        | Phase::Refused { .. }
        | Phase::Reverted { .. }
        | Phase::Held { .. }
        | Phase::NeedsOperator { .. } => false,
    }
}

fn at_work(rollout: &Rollout, hosts: &dyn Hosts) -> BTreeSet<NodeId> {
    let app = &rollout.plan.app;
    let going_back = matches!(rollout.phase, Phase::Halted { .. } | Phase::Reverting { .. });
    rollout
        .nodes
        .iter()
        .filter(|(_, progress)| !matches!(progress.step, Step::Skipped { .. }))
        .filter(|(node, progress)| {
            let unjudged = match progress.step {
                Step::Upgrading { .. } => !going_back,
                _ => progress.step.is_in_flight(),
            };
            let lost = progress.touched.is_some() && hosts.was_out_of_reach(**node);
            // It has its answer: no rung led back. Nobody else is kept on a bad release by it.
            let given_up = matches!(progress.step, Step::RevertFailed { .. });
            unjudged || (!given_up && !lost && hosts.is_down_by_us(**node, app))
        })
        .filter(|(node, _)| !going_back || !hosts.was_out_of_reach(**node))
        .map(|(node, _)| *node)
        .collect()
}
