//! S2.

use super::changed::changed_rollouts;
use super::{Hosts, Violation, broken};
use relupd::agent::decide::{Action, Authority};
use relupd::ids::{AppName, Generation, NodeId, RolloutId};
use relupd::spec::AlreadySick;
use relupd::state::ClusterState;
use relupd::state::rollout::{Phase, Rollout, Step, Turn};
use std::collections::BTreeSet;

/// Nodes whose newest effect took no order: an orphan on its way back, which has nobody to ask who else is at
/// work, and an idle node that repairs itself. What is down because of that no leader has taken down; an order that
/// finds it down does not take it down either.
#[derive(Clone, Debug, Default)]
pub(super) struct Unordered(BTreeSet<(AppName, NodeId)>);

impl Unordered {
    pub(super) fn note(&mut self, app: &AppName, node: NodeId, action: &Action, was_down: bool) {
        let key = (app.clone(), node);
        match action {
            _ if was_down && self.0.contains(&key) => {}
            Action::RollBack { by: Authority::Orphan(_), .. } | Action::Repair { by: None, .. } => {
                self.0.insert(key);
            }
            Action::RollBack { by: Authority::Order(_), .. }
            | Action::Repair { by: Some(_), .. }
            | Action::Install { .. }
            | Action::Commit { .. } => {
                self.0.remove(&key);
            }
            _ => {}
        }
    }
}

/// Nodes whose turn was taken away because they were silent or did not get on, and those that were at work but
/// out of reach when their rollout turned round, so that their turn waits for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent(BTreeSet<(RolloutId, NodeId)>);

impl Spent {
    pub(super) fn note(&mut self, before: &ClusterState, after: &ClusterState, hosts: &dyn Hosts) {
        for rollout in changed_rollouts(Some(before), after) {
            let Some(was) = before.rollouts.get(&rollout.id).filter(|was| was.revision != rollout.revision)
            else {
                continue;
            };
            for (node, now) in &rollout.nodes {
                let key = (rollout.id, *node);
                let before = was.nodes.get(node).map(|progress| &progress.step);
                match (before.and_then(turn_under), turn_under(&now.step)) {
                    (_, Some((_, Turn::Given))) => self.0.remove(&key),
                    (Some((earlier, Turn::Given)), Some((now, _))) if earlier == now => self.0.insert(key),
                    (_, Some(_))
                        if before.is_some_and(Step::is_in_flight) && hosts.may_be_out_of_reach(*node) =>
                    {
                        self.0.insert(key)
                    }
                    _ => false,
                };
            }
        }
    }
}

/// Under which order, and which turn.
const fn turn_under(step: &Step) -> Option<(Generation, Turn)> {
    match step {
        Step::Committing { generation, turn } | Step::Reverting { generation, turn, .. } => {
            Some((*generation, *turn))
        }
        _ => None,
    }
}

/// S2. Asked after every event and not only after every entry: what is down by our doing is down on
/// hosts, and no entry says so. A node counts while its verdict is outstanding or it has its turn, and while its
/// app does not run because an order to it stopped it or a relup restarted it. It no longer counts once it has
/// said that no rung leads back, or once its turn was taken away because it was silent or did not get on: it must
/// not keep the others on a bad release.
pub(super) fn no_more_than_max_in_flight_are_down_or_unjudged_by_our_doing(
    state: &ClusterState,
    hosts: &dyn Hosts,
    unordered: &Unordered,
    spent: &Spent,
) -> Option<Violation> {
    let mut on_their_way = state.rollouts.values().filter(|rollout| is_counted(&rollout.phase));
    on_their_way.find_map(|rollout| {
        let limit = rollout.spec.upgrade.max_in_flight;
        let at_work = at_work(rollout, hosts, unordered, spent);
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

fn at_work(rollout: &Rollout, hosts: &dyn Hosts, unordered: &Unordered, spent: &Spent) -> BTreeSet<NodeId> {
    let app = &rollout.plan.app;
    rollout
        .nodes
        .iter()
        .filter(|(_, progress)| !matches!(progress.step, Step::Skipped { .. }))
        .filter(|(node, progress)| {
            let spent = spent.0.contains(&(rollout.id, **node));
            let given_up = spent || matches!(progress.step, Step::RevertFailed { .. });
            let down = || {
                let ordered = !unordered.0.contains(&(app.clone(), **node));
                // What an earlier rollout left down is taken along as its policy says, which is asked when it begins.
                let begun = progress.touched.is_some();
                begun && ordered && hosts.is_down_by_us(**node, app)
            };
            progress.step.is_in_flight() || (!given_up && down())
        })
        .map(|(node, _)| *node)
        .collect()
}

/// S2, asked over every entry: who is down by our doing before anything began is sick, and how many of those a
/// rollout takes along is its policy's to say.
pub(super) fn a_rollout_takes_along_no_more_that_are_down_than_its_policy_allows(
    before: &ClusterState,
    after: &ClusterState,
    hosts: &dyn Hosts,
) -> Option<Violation> {
    let prepared = |rollout: &&Rollout| {
        let was = before.rollouts.get(&rollout.id);
        matches!(rollout.phase, Phase::Rolling) && was.is_some_and(|was| was.phase == Phase::Preparing)
    };
    after.rollouts.values().map(AsRef::as_ref).filter(prepared).find_map(|rollout| {
        let policy = &rollout.spec.upgrade;
        let limit = if policy.already_sick == AlreadySick::Count { policy.max_unavailable } else { 0 };
        let takes_part = rollout.nodes.iter().filter(|(_, now)| !matches!(now.step, Step::Skipped { .. }));
        let down: Vec<_> = takes_part
            .map(|(node, _)| *node)
            .filter(|node| hosts.is_down_by_us(*node, &rollout.plan.app))
            .collect();
        (u32::try_from(down.len()).unwrap_or(u32::MAX) > limit).then(|| {
            broken(
                "S2",
                format!("{} begins although {down:?} are down; its policy allows {limit}", rollout.id),
            )
        })
    })
}
