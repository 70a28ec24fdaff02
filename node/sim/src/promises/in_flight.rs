//! S2.

use super::changed::changed_rollouts;
use super::{Hosts, Violation, broken};
use relupd::agent::decide::{Action, Authority};
use relupd::ids::{AppName, Generation, NodeId, RolloutId};
use relupd::spec::AlreadySick;
use relupd::state::ClusterState;
use relupd::state::rollout::{Phase, Rollout, Step, Turn};
use std::collections::{BTreeMap, BTreeSet};

/// Nodes whose newest effect took no order: an orphan on its way back, which has nobody to ask who else is at
/// work, and an idle node that repairs itself. What is down because of that no leader has taken down; an order that
/// finds it down does not take it down either.
#[derive(Clone, Debug, Default)]
pub(super) struct Unordered(BTreeMap<(AppName, NodeId), Since>);

/// What has become of such an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Begun,
    Down,
}

impl Unordered {
    pub(super) fn note(&mut self, app: &AppName, node: NodeId, action: &Action, was_down: bool) {
        let key = (app.clone(), node);
        match action {
            _ if was_down && self.0.contains_key(&key) => {}
            Action::RollBack { by: Authority::Orphan(_), .. } | Action::Repair { by: None, .. } => {
                self.0.insert(key, Since::Begun);
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

    /// Once it is up again, what happens next is another matter.
    pub(super) fn look(&mut self, hosts: &dyn Hosts) {
        self.0.retain(|(app, node), since| {
            let was = std::mem::replace(since, Since::Down);
            let is_down = hosts.is_down_by_us(*node, app);
            if !is_down {
                *since = Since::Begun;
            }
            is_down || was == Since::Begun
        });
    }
}

/// Nodes that were down by our doing when their rollout began, because of an earlier one, and are not up again: how
/// many of those it takes along is its policy's to say, and asked there.
#[derive(Clone, Debug, Default)]
pub(super) struct TakenAlong(BTreeSet<(RolloutId, NodeId)>);

impl TakenAlong {
    pub(super) fn note(&mut self, before: &ClusterState, after: &ClusterState, hosts: &dyn Hosts) {
        let begun = changed_rollouts(Some(before), after).filter(|rollout| is_begun(before, rollout));
        for rollout in begun {
            let app = &rollout.plan.app;
            let down = rollout.nodes.keys().filter(|node| hosts.is_down_by_us(**node, app));
            self.0.extend(down.map(|node| (rollout.id, *node)));
        }
        let touched = |(rollout, node): &(RolloutId, NodeId)| {
            let progress = after.rollouts.get(rollout).and_then(|rollout| rollout.nodes.get(node));
            progress.is_none_or(|progress| progress.touched.is_some())
        };
        self.0.retain(|key| !touched(key));
    }

    pub(super) fn look(&mut self, state: &ClusterState, hosts: &dyn Hosts) {
        self.0.retain(|(rollout, node)| {
            state.rollouts.get(rollout).is_some_and(|rollout| hosts.is_down_by_us(*node, &rollout.plan.app))
        });
    }
}

/// Whether it is done with preparing in this entry.
fn is_begun(before: &ClusterState, rollout: &Rollout) -> bool {
    let was = before.rollouts.get(&rollout.id);
    matches!(rollout.phase, Phase::Rolling) && was.is_some_and(|was| was.phase == Phase::Preparing)
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
                    (_, Some(_)) if before.is_some_and(is_at_work) && hosts.may_be_out_of_reach(*node) => {
                        self.0.insert(key)
                    }
                    _ => false,
                };
            }
        }
    }
}

/// Also who has failed: its app may be down.
const fn is_at_work(step: &Step) -> bool {
    step.is_in_flight() || matches!(step, Step::Failed { .. })
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

/// Who does not count, though its app is down.
pub(super) struct Excused<'a> {
    pub(super) unordered: &'a Unordered,
    pub(super) spent: &'a Spent,
    pub(super) taken_along: &'a TakenAlong,
}

/// S2. Asked after every event and not only after every entry: what is down by our doing is down on
/// hosts, and no entry says so. A node counts while its verdict is outstanding or it has its turn, and while its
/// app does not run because an order to it stopped it or a relup restarted it. It no longer counts once it has
/// said that no rung leads back, or once its turn was taken away because it was silent or did not get on: it must
/// not keep the others on a bad release.
pub(super) fn no_more_than_max_in_flight_are_down_or_unjudged_by_our_doing(
    state: &ClusterState,
    hosts: &dyn Hosts,
    excused: &Excused<'_>,
) -> Option<Violation> {
    let mut on_their_way = state.rollouts.values().filter(|rollout| is_counted(&rollout.phase));
    on_their_way.find_map(|rollout| {
        let limit = rollout.spec.upgrade.max_in_flight;
        let at_work = at_work(rollout, hosts, excused);
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

fn at_work(rollout: &Rollout, hosts: &dyn Hosts, excused: &Excused<'_>) -> BTreeSet<NodeId> {
    let app = &rollout.plan.app;
    rollout
        .nodes
        .iter()
        .filter(|(_, progress)| !matches!(progress.step, Step::Skipped { .. }))
        .filter(|(node, progress)| {
            let spent = excused.spent.0.contains(&(rollout.id, **node));
            let given_up = spent || matches!(progress.step, Step::RevertFailed { .. });
            let down = || {
                let ordered = !excused.unordered.0.contains_key(&(app.clone(), **node));
                let taken_along = excused.taken_along.0.contains(&(rollout.id, **node));
                ordered && !taken_along && hosts.is_down_by_us(**node, app)
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
    let mut begun = after.rollouts.values().map(AsRef::as_ref).filter(|rollout| is_begun(before, rollout));
    begun.find_map(|rollout| {
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
