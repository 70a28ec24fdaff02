//! What a rollout begins on: a plan that is not stale (a plan is started by compare-and-set), and a
//! release that is not quarantined.

use super::{Violation, broken};
use relupd::state::ClusterState;
use relupd::state::rollout::Rollout;

fn begun<'a>(before: &ClusterState, after: &'a ClusterState) -> impl Iterator<Item = &'a Rollout> {
    let known: Vec<_> = before.rollouts.keys().copied().collect();
    let next = before.next.rollout;
    after.rollouts.values().filter(move |now| now.id.0 >= next && !known.contains(&now.id)).map(AsRef::as_ref)
}

/// Asked over every entry: a rollout begins in one, and the state before it is what the plan must rest
/// on.
pub(super) fn a_rollout_begins_on_what_its_plan_rests_on(
    before: &ClusterState,
    after: &ClusterState,
) -> Option<Violation> {
    begun(before, after).find_map(|rollout| {
        let is = before.apps.get(&rollout.plan.app)?.basis;
        (is != rollout.plan.basis).then(|| {
            let detail = format!("{} was planned on {}, and began on {is}", rollout.id, rollout.plan.basis);
            broken("plan", detail)
        })
    })
}

/// Asked over every entry, for the same reason.
pub(super) fn no_rollout_begins_to_a_quarantined_release(
    before: &ClusterState,
    after: &ClusterState,
) -> Option<Violation> {
    begun(before, after).find_map(|rollout| {
        let known = before.quarantine.get(&rollout.plan.to.manifest)?;
        let detail = format!("{} began to {}, which {}", rollout.id, rollout.plan.to, known.reason);
        Some(broken("quarantine", detail))
    })
}
