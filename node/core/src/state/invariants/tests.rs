//! Each sentence bites: a state that breaks it is found, and the same state without the fault is not.

use super::*;
use crate::ids::Generation;
use crate::samples::rollouts::{aborted, cluster_with, ordered, phases, progress, rollout, steps};
use crate::samples::{app, life, node};
use crate::state::rollout::Turn;
use std::sync::Arc;

const FIRST: RolloutId = RolloutId(1);
const SECOND: RolloutId = RolloutId(2);

fn broken(state: &ClusterState) -> BTreeSet<&'static str> {
    state.violations().into_iter().map(|violation| violation.promise).collect()
}

fn nothing() -> BTreeSet<&'static str> {
    BTreeSet::new()
}

fn healthy() -> Step {
    Step::Healthy { boot_nonce: life("a") }
}

fn skipped() -> Step {
    Step::Skipped { reason: String::new() }
}

fn upgrading(stage: Stage) -> Step {
    Step::Upgrading { generation: Generation(2), stage }
}

/// A cluster with two rollouts of the app, over node 1 and over nodes 1 and 2.
fn two(first: Rollout, second: Rollout) -> ClusterState {
    let on_its_way = [(FIRST, &first), (SECOND, &second)].into_iter().find(|(_, of)| !of.phase.is_terminal());
    let on_its_way = on_its_way.map(|(id, _)| id);
    let mut state = cluster_with(second);
    let mut second = (*state.rollouts[&FIRST]).clone();
    second.id = SECOND;
    state.rollouts.insert(SECOND, Arc::new(second));
    state.rollouts.insert(FIRST, Arc::new(first));
    state.apps.get_mut(&app()).unwrap().rollout = on_its_way;
    state
}

#[test]
fn s1_a_second_rollout_on_its_way_is_found() {
    let rolling = || rollout(Phase::Rolling, [healthy()]);
    let completed = || rollout(Phase::Completed, [Step::Committed]);
    assert_eq!(broken(&two(completed(), rolling())), nothing());
    assert_eq!(broken(&two(completed(), completed())), nothing());
    assert_eq!(broken(&two(rolling(), rolling())), BTreeSet::from(["S1"]));
}

#[test]
fn s1_an_app_names_the_rollout_that_is_on_its_way_and_none_that_has_ended() {
    let says = |phase, step, said| {
        let mut state = cluster_with(rollout(phase, [step]));
        state.apps.get_mut(&app()).unwrap().rollout = said;
        broken(&state)
    };
    assert_eq!(says(Phase::Rolling, healthy(), Some(FIRST)), nothing());
    assert_eq!(says(Phase::Rolling, healthy(), None), BTreeSet::from(["S1"]));
    assert_eq!(says(Phase::Completed, Step::Committed, None), nothing());
    assert_eq!(says(Phase::Completed, Step::Committed, Some(FIRST)), BTreeSet::from(["S1"]));
}

#[test]
fn s1_rollouts_of_other_apps_do_not_count() {
    let mut of_another = rollout(Phase::Rolling, [healthy()]);
    Arc::make_mut(&mut of_another.plan).app = "bank".parse().unwrap();
    let mut state = two(of_another, rollout(Phase::Rolling, [healthy()]));
    state.apps.get_mut(&app()).unwrap().rollout = Some(SECOND);
    assert_eq!(broken(&state), nothing());
}

#[test]
fn s2_as_many_as_the_policy_says_may_be_at_work_and_not_one_more() {
    let at_work = |limit| {
        let mut rolling = rollout(Phase::Rolling, [upgrading(Stage::Installing), upgrading(Stage::Baking)]);
        rolling.spec.upgrade.max_in_flight = limit;
        let state = ordered(cluster_with(rolling), 1, Order::Upgrade, 1, FIRST);
        broken(&ordered(state, 2, Order::Upgrade, 2, FIRST))
    };
    assert_eq!(at_work(1), BTreeSet::from(["S2"]));
    assert_eq!(at_work(2), nothing());
    assert_eq!(at_work(3), nothing());
}

#[test]
fn s2_what_an_ended_rollout_left_to_do_counts_beside_the_next_one_under_the_wider_limit() {
    let at_work = |limit| {
        let given = Step::Reverting { generation: Generation(1), turn: Turn::Given, tried: vec![] };
        let mut left = rollout(Phase::NeedsOperator { reason: Some(aborted()), nodes: vec![] }, [given]);
        left.spec.upgrade.max_in_flight = limit;
        let next = rollout(Phase::Rolling, [skipped(), upgrading(Stage::Installing)]);
        let state = ordered(two(left, next), 1, Order::Revert, 1, FIRST);
        broken(&ordered(state, 2, Order::Upgrade, 2, SECOND))
    };
    assert_eq!(at_work(1), BTreeSet::from(["S2"]));
    assert_eq!(at_work(2), nothing());
}

#[test]
fn s3_an_order_forward_that_nobody_has_begun_ends_with_a_halt() {
    let upgrade = |phase: Phase, stage| {
        let state = cluster_with(rollout(phase, [upgrading(stage)]));
        broken(&ordered(state, 1, Order::Upgrade, 1, FIRST)).contains("S3")
    };
    let found: Vec<_> =
        phases().into_iter().filter(|phase| upgrade(phase.clone(), Stage::Assigned)).collect();
    assert_eq!(
        found,
        [
            Phase::Halted { reason: aborted() },
            Phase::Reverting { reason: aborted() },
            Phase::Reverted { reason: aborted() },
            Phase::Held { reason: aborted(), elsewhere: vec![] },
            Phase::NeedsOperator { reason: Some(aborted()), nodes: vec![] },
        ]
    );
    let halted = || Phase::Halted { reason: aborted() };
    assert!(!upgrade(halted(), Stage::Installing), "it may have been begun, and is told by the next order");
    assert!(!upgrade(halted(), Stage::Baking));
}

#[test]
fn s3_after_a_halt_only_orders_that_are_not_begun_are_faults() {
    let found = |order, step| {
        let halted = rollout(Phase::Halted { reason: aborted() }, [step]);
        broken(&ordered(cluster_with(halted), 1, order, 1, FIRST))
    };
    assert_eq!(found(Order::Prepare, Step::Planned), BTreeSet::from(["S3"]));
    for order in [Order::Upgrade, Order::Drain, Order::Commit, Order::Revert] {
        assert_eq!(found(order, healthy()), nothing(), "{order:?}");
    }
}

#[test]
fn s4_two_orders_under_one_number_are_found() {
    let orders = |first, second| {
        let state = cluster_with(rollout(Phase::Committing { decided: false }, [healthy(), healthy()]));
        assert_eq!(state.next.generation, 10);
        let state = ordered(state, 1, Order::Drain, first, FIRST);
        broken(&ordered(state, 2, Order::Drain, second, FIRST))
    };
    assert_eq!(orders(8, 9), nothing());
    assert_eq!(orders(8, 8), BTreeSet::from(["S4"]), "given twice");
    assert_eq!(orders(8, 10), BTreeSet::from(["S4"]), "will be given again");
}

#[test]
fn s5_an_ended_rollout_leaves_no_node_in_between() {
    let settled = |phase: Phase, touched: bool, step: &Step| {
        let mut ended = rollout(phase, [step.clone()]);
        if !touched {
            progress(&mut ended, 1).touched = None;
        }
        !broken(&cluster_with(ended)).contains("S5")
    };
    let reverted = || Phase::Reverted { reason: aborted() };
    let refused = || Phase::Refused { reasons: vec![] };
    for step in steps() {
        let is_left_out = matches!(step, Step::Skipped { .. });
        let is_back = is_left_out || matches!(step, Step::Reverted { .. });
        let is_there = is_left_out || step == Step::Committed;
        assert_eq!(settled(Phase::Completed, true, &step), is_there, "{step:?}");
        assert_eq!(settled(reverted(), true, &step), is_back, "{step:?}");
        assert!(settled(reverted(), false, &step), "it was never anywhere else: {step:?}");
        assert!(settled(refused(), false, &step), "{step:?}");
        assert!(!settled(refused(), true, &step), "nothing has changed: {step:?}");
    }
}

#[test]
fn s5_asks_nothing_of_a_rollout_that_is_on_its_way_or_in_an_operators_hands() {
    for phase in phases() {
        let asks = matches!(phase, Phase::Completed | Phase::Refused { .. } | Phase::Reverted { .. });
        let found = broken(&cluster_with(rollout(phase.clone(), [healthy()])));
        assert_eq!(found.contains("S5"), asks, "{phase:?}");
    }
}

#[test]
fn s6_nothing_is_permanent_before_the_decision() {
    let early = |phase: &Phase, permanent, step: &Step| {
        let mut rollout = rollout(phase.clone(), [healthy(), step.clone()]);
        rollout.spec.upgrade.permanent = permanent;
        broken(&cluster_with(rollout)).contains("S6")
    };
    let before = [Phase::Preparing, Phase::Rolling, Phase::Committing { decided: false }];
    for phase in phases() {
        for step in steps() {
            let permanent = matches!(step, Step::Committing { .. } | Step::Committed);
            let found = early(&phase, Permanent::AtEnd, &step);
            assert_eq!(found, permanent && before.contains(&phase), "{phase:?}: {step:?}");
            assert!(!early(&phase, Permanent::PerNode, &step), "each for itself: {phase:?}: {step:?}");
        }
    }
}

#[test]
fn s7_only_touched_nodes_go_back() {
    for step in steps() {
        let mut reverting = rollout(Phase::Reverting { reason: aborted() }, [skipped(), step.clone()]);
        let back = matches!(step, Step::Reverting { .. } | Step::Reverted { .. } | Step::RevertFailed { .. });
        assert!(!broken(&cluster_with(reverting.clone())).contains("S7"), "{step:?}");
        progress(&mut reverting, 2).touched = None;
        assert_eq!(broken(&cluster_with(reverting)).contains("S7"), back, "{step:?}");
    }
}

#[test]
fn a_violation_says_where_it_is() {
    let mut untouched = rollout(Phase::Reverting { reason: aborted() }, [Step::Reverted { by: None }]);
    progress(&mut untouched, 1).touched = None;
    let found = cluster_with(untouched).violations();
    assert_eq!(found, [Violation { promise: "S7", detail: "r1: an untouched node goes back".to_owned() }]);
    let state = cluster_with(rollout(Phase::Halted { reason: aborted() }, [Step::Planned]));
    let found = ordered(state, 1, Order::Prepare, 1, FIRST).violations();
    assert_eq!(found[0].detail, format!("r1: node {} still has to Prepare", node(1)));
}
