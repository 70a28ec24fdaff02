//! What must hold in every state, each check named as the sentence that it proves.

use crate::ids::RolloutId;
use crate::spec::Permanent;
use crate::state::ClusterState;
use crate::state::app::{Assignment, Order};
use crate::state::rollout::{Phase, Rollout, Stage, Step};
use std::collections::BTreeSet;

/// A promise that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which promise, e.g. `S1`.
    pub promise: &'static str,
    /// What was found.
    pub detail: String,
}

impl ClusterState {
    /// Every promise that can be judged from the state alone.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        self.at_most_one_rollout_is_on_its_way_per_app(&mut found);
        self.orders_that_nobody_has_begun_end_with_a_halt(&mut found);
        self.every_order_has_a_number_of_its_own(&mut found);
        self.no_more_than_max_in_flight_are_at_work(&mut found);
        for rollout in self.rollouts.values() {
            terminal_means_settled(rollout, &mut found);
            nothing_is_permanent_before_the_decision(rollout, &mut found);
            only_touched_nodes_go_back(rollout, &mut found);
        }
        found
    }

    /// S3: what is left of the way forward after a halt is what may have been begun.
    fn orders_that_nobody_has_begun_end_with_a_halt(&self, found: &mut Vec<Violation>) {
        for app in self.apps.values() {
            for (node, instance) in &app.instances {
                let Some(order) = &instance.assignment else { continue };
                let Some(rollout) = self.rollouts.get(&order.rollout) else { continue };
                let step = rollout.nodes.get(node).map(|progress| &progress.step);
                if has_halted(&rollout.phase) && step.is_some_and(|step| is_not_begun(order, step)) {
                    let detail = format!("{}: node {node} still has to {:?}", rollout.id, order.order);
                    found.push(Violation { promise: "S3", detail });
                }
            }
        }
    }

    /// S4: the newest order can be told from all others.
    fn every_order_has_a_number_of_its_own(&self, found: &mut Vec<Violation>) {
        let mut numbers = BTreeSet::new();
        let instances = self.apps.values().flat_map(|app| app.instances.values());
        for order in instances.filter_map(|instance| instance.assignment.as_ref()) {
            let number = order.generation;
            if !numbers.insert(number) || number.0 >= self.next.generation {
                let detail = format!("{number} was given twice, or is still to be given");
                found.push(Violation { promise: "S4", detail });
            }
        }
    }

    /// Over all rollouts of an app; each may have been started under another limit.
    fn no_more_than_max_in_flight_are_at_work(&self, found: &mut Vec<Violation>) {
        for (name, app) in &self.apps {
            let at_work = self.in_flight(app);
            let of_app = self.rollouts.values().filter(|rollout| rollout.plan.app == *name);
            let limit = of_app.map(|rollout| rollout.spec.upgrade.max_in_flight).max();
            if u32::try_from(at_work.len()).is_ok_and(|count| count > limit.unwrap_or(0)) {
                found.push(Violation { promise: "S2", detail: format!("app {name}: {at_work:?} at work") });
            }
        }
    }

    fn at_most_one_rollout_is_on_its_way_per_app(&self, found: &mut Vec<Violation>) {
        for (name, app) in &self.apps {
            let on_their_way: Vec<RolloutId> = self
                .rollouts
                .values()
                .filter(|rollout| rollout.plan.app == *name && !rollout.phase.is_terminal())
                .map(|rollout| rollout.id)
                .collect();
            if on_their_way != app.rollout.into_iter().collect::<Vec<_>>() {
                let detail = format!("app {name} says {:?}, on their way are {on_their_way:?}", app.rollout);
                found.push(Violation { promise: "S1", detail });
            }
        }
    }
}

const fn has_halted(phase: &Phase) -> bool {
    match phase {
        Phase::Halted { .. }
        | Phase::Reverting { .. }
        | Phase::Reverted { .. }
        | Phase::Held { .. }
        | Phase::NeedsOperator { reason: Some(_), .. } => true,
        Phase::Preparing
        | Phase::Rolling
        | Phase::Committing { .. }
        | Phase::Completed
        | Phase::Refused { .. }
        | Phase::NeedsOperator { reason: None, .. } => false,
    }
}

const fn is_not_begun(order: &Assignment, step: &Step) -> bool {
    match order.order {
        Order::Prepare => true,
        Order::Upgrade => matches!(step, Step::Upgrading { stage: Stage::Assigned, .. }),
        Order::Drain | Order::Commit | Order::Revert => false,
    }
}

fn terminal_means_settled(rollout: &Rollout, found: &mut Vec<Violation>) {
    let bad = |node: &&std::sync::Arc<crate::state::rollout::NodeProgress>| match rollout.phase {
        Phase::Completed => !matches!(node.step, Step::Committed | Step::Skipped { .. }),
        Phase::Reverted { .. } => node.touched.is_some() && !node.is_back(),
        Phase::Refused { .. } => node.touched.is_some(),
        Phase::Preparing
        | Phase::Rolling
        | Phase::Committing { .. }
        | Phase::Halted { .. }
        | Phase::Reverting { .. }
        | Phase::Held { .. }
        | Phase::NeedsOperator { .. } => false,
    };
    if let Some(node) = rollout.nodes.values().find(bad) {
        let detail = format!("{} is {} with a node at {:?}", rollout.id, rollout.phase.name(), node.step);
        found.push(Violation { promise: "S5", detail });
    }
}

fn nothing_is_permanent_before_the_decision(rollout: &Rollout, found: &mut Vec<Violation>) {
    let at_end = rollout.spec.upgrade.permanent == Permanent::AtEnd;
    let committed = |step: &Step| matches!(step, Step::Committing { .. } | Step::Committed);
    if at_end && rollout.goes_forward() && rollout.nodes.values().any(|node| committed(&node.step)) {
        found.push(Violation { promise: "S6", detail: format!("{}: permanent too early", rollout.id) });
    }
}

fn only_touched_nodes_go_back(rollout: &Rollout, found: &mut Vec<Violation>) {
    let back = |step: &Step| {
        matches!(step, Step::Reverting { .. } | Step::Reverted { .. } | Step::RevertFailed { .. })
    };
    if rollout.nodes.values().any(|node| node.touched.is_none() && back(&node.step)) {
        found.push(Violation {
            promise: "S7",
            detail: format!("{}: an untouched node goes back", rollout.id),
        });
    }
}

#[cfg(test)]
mod tests;
