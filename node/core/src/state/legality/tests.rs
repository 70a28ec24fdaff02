//! What a rollout permits where it is, and that it permits nothing else.

use super::*;
use crate::driver::CheckResult;
use crate::samples::rollouts::{aborted, phases, progress, rollout, steps};
use crate::samples::{life, node, release};
use crate::state::command::Spent;
use crate::state::rollout::Elapsed;
use std::collections::BTreeSet;

const PREPARING: &str = "preparing";
const ROLLING: &str = "rolling";
const COMMITTING: &str = "committing";
const DECIDED: &str = "decided";
const HALTED: &str = "halted";
const REVERTING: &str = "reverting";

fn name(phase: &Phase) -> &'static str {
    match phase {
        Phase::Committing { decided: true } => DECIDED,
        other => other.name(),
    }
}

fn prepared() -> Step {
    Step::Prepared { checks: vec![] }
}

fn healthy() -> Step {
    Step::Healthy { boot_nonce: life("a") }
}

fn ready() -> Step {
    Step::ReadyToCommit { boot_nonce: life("a") }
}

fn skipped() -> Step {
    Step::Skipped { reason: String::new() }
}

fn reverted() -> Step {
    Step::Reverted { by: None }
}

fn check(name: &str) -> Check {
    Check { name: name.to_owned(), result: CheckResult::Passed }
}

/// In which phases the decision is permitted, with a node at this step.
fn permitted_in(decision: &Decision, step: &Step) -> BTreeSet<&'static str> {
    let permits = |phase: &Phase| rollout(phase.clone(), [step.clone()]).permits(decision);
    phases().iter().filter(|phase| permits(phase)).map(name).collect()
}

#[test]
fn every_decision_has_its_phases() {
    let revert_asked = Step::Reverting { generation: Generation(1), turn: Turn::Asked, tried: vec![] };
    let elapsed = Elapsed::default();
    let forward = [PREPARING, ROLLING, COMMITTING, DECIDED];
    let on_its_way = [PREPARING, ROLLING, COMMITTING, DECIDED, HALTED, REVERTING];
    let rows: [(Decision, Step, &[&str]); 12] = [
        (Decision::BeginRolling, prepared(), &[PREPARING]),
        (Decision::Refuse { reasons: vec![] }, Step::Planned, &[PREPARING]),
        (Decision::Promote, healthy(), &[ROLLING]),
        (Decision::BeginCommitting, healthy(), &[ROLLING]),
        (Decision::CommitDecided, ready(), &[COMMITTING]),
        (Decision::Complete, Step::Committed, &[DECIDED]),
        (Decision::Halt { reason: aborted() }, healthy(), &forward),
        (Decision::BeginReverting, healthy(), &[HALTED]),
        (Decision::Hold { elsewhere: vec![] }, healthy(), &[HALTED]),
        (Decision::FinishReverting, reverted(), &[REVERTING]),
        (Decision::CallOperator { nodes: vec![] }, revert_asked, &[REVERTING, DECIDED]),
        (Decision::RecordElapsed { elapsed }, Step::Planned, &on_its_way),
    ];
    for (decision, step, phases) in rows {
        assert_eq!(permitted_in(&decision, &step), phases.iter().copied().collect(), "{decision:?}");
    }
}

#[test]
fn a_rollout_gets_on_only_with_every_node_that_takes_part() {
    let committing = |decided| Phase::Committing { decided };
    let rows: [(Decision, Phase, &[Step]); 4] = [
        (Decision::BeginRolling, Phase::Preparing, &[prepared()]),
        (Decision::BeginCommitting, Phase::Rolling, &[healthy(), Step::Committed]),
        (Decision::CommitDecided, committing(false), &[ready(), Step::Committed]),
        (Decision::Complete, committing(true), &[Step::Committed]),
    ];
    for (decision, phase, far_enough) in rows {
        let there = &far_enough[0];
        for step in steps() {
            let permits = rollout(phase.clone(), [there.clone(), step.clone()]).permits(&decision);
            let takes_no_part = matches!(step, Step::Skipped { .. });
            assert_eq!(permits, far_enough.contains(&step) || takes_no_part, "{decision:?}: {step:?}");
        }
    }
}

#[test]
fn nobody_commits_on_nobodys_word() {
    let all_left_out = |phase| rollout(phase, [skipped(), skipped()]);
    assert!(!all_left_out(Phase::Rolling).permits(&Decision::BeginCommitting));
    assert!(!all_left_out(Phase::Committing { decided: false }).permits(&Decision::CommitDecided));
}

#[test]
fn only_untouched_nodes_are_left_out_and_only_on_the_way_forward() {
    let skip = |number| Decision::Skip { node: node(number), reason: String::new() };
    for phase in phases() {
        let mut rollout = rollout(phase.clone(), [prepared(), healthy()]);
        progress(&mut rollout, 1).touched = None;
        let forward = [PREPARING, ROLLING, COMMITTING, DECIDED].contains(&name(&phase));
        assert_eq!(rollout.permits(&skip(1)), forward, "{phase:?}");
        assert!(!rollout.permits(&skip(2)), "touched: {phase:?}");
        assert!(!rollout.permits(&skip(3)), "no part of it: {phase:?}");
    }
}

#[test]
fn a_rollout_is_reverted_when_every_touched_node_is_back() {
    for step in steps() {
        let mut reverting = rollout(Phase::Reverting { reason: aborted() }, [reverted(), step.clone()]);
        let back = matches!(step, Step::Reverted { .. } | Step::Skipped { .. });
        assert_eq!(reverting.permits(&Decision::FinishReverting), back, "{step:?}");
        progress(&mut reverting, 2).touched = None;
        assert!(reverting.permits(&Decision::FinishReverting), "it was never anywhere else: {step:?}");
    }
}

#[test]
fn who_asks_is_given_a_turn_and_who_has_one_may_lose_it() {
    for step in steps() {
        let reverting = rollout(Phase::Reverting { reason: aborted() }, [step.clone()]);
        let turn = if let Step::Committing { turn, .. } | Step::Reverting { turn, .. } = &step {
            Some(*turn)
        } else {
            None
        };
        let give = |number| reverting.permits(&Decision::GiveTurn { node: node(number) });
        let take = |why| reverting.permits(&Decision::TakeTurn { node: node(1), why });
        assert_eq!(give(1), turn == Some(Turn::Asked), "{step:?}");
        assert_eq!(take(Spent::Silent), turn == Some(Turn::Given), "{step:?}");
        assert_eq!(take(Spent::NoProgress), turn == Some(Turn::Given), "{step:?}");
        assert!(!give(2), "no part of it");
    }
}

/// What an order makes of a node's step, where it may be given.
fn next_step(order: Order, phase: &Phase, step: &Step, per_node: bool, touched: bool) -> Option<Step> {
    let generation = Generation(9);
    let drains = name(phase) == COMMITTING || (per_node && name(phase) == ROLLING);
    let commits = name(phase) == DECIDED || (per_node && name(phase) == ROLLING);
    match (order, step) {
        (Order::Prepare, Step::Planned) if name(phase) == PREPARING => {
            Some(Step::Preparing { generation, cannot_fetch: None })
        }
        (Order::Upgrade, Step::Prepared { .. }) if name(phase) == ROLLING => {
            Some(Step::Upgrading { generation, stage: Stage::Assigned })
        }
        (Order::Drain, Step::Healthy { boot_nonce }) if drains => {
            Some(Step::Draining { generation, boot_nonce: boot_nonce.clone() })
        }
        (Order::Commit, Step::ReadyToCommit { .. }) if commits => {
            Some(Step::Committing { generation, turn: Turn::NotAsked })
        }
        (Order::Revert, Step::Reverting { .. } | Step::Reverted { .. }) => None,
        (Order::Revert, _) if name(phase) == REVERTING && touched => {
            Some(Step::Reverting { generation, turn: Turn::Asked, tried: vec![] })
        }
        (Order::Prepare | Order::Upgrade | Order::Drain | Order::Commit | Order::Revert, _) => None,
    }
}

#[test]
fn an_order_is_given_in_its_phase_to_a_node_at_its_step_and_nowhere_else() {
    let orders = [Order::Prepare, Order::Upgrade, Order::Drain, Order::Commit, Order::Revert];
    let touches = [None, Some(Generation(1))];
    let mut given = 0;
    for phase in phases() {
        for (step, order) in steps().iter().flat_map(|step| orders.map(|order| (step, order))) {
            for (permanent, touched) in
                [Permanent::AtEnd, Permanent::PerNode].into_iter().flat_map(|p| touches.map(|t| (p, t)))
            {
                let mut rollout = rollout(phase.clone(), [step.clone()]);
                rollout.spec.upgrade.permanent = permanent;
                progress(&mut rollout, 1).touched = touched;
                let result = rollout.order(node(1), order, Generation(9));
                let per_node = permanent == Permanent::PerNode;
                let expected = next_step(order, &phase, step, per_node, touched.is_some());
                let what = format!("{order:?} in {phase:?} at {step:?}, {permanent:?}, {touched:?}");
                assert_eq!(result.is_ok(), expected.is_some(), "{what}");
                let after = expected.unwrap_or_else(|| step.clone());
                assert_eq!(rollout.nodes[&node(1)].step, after, "{what}");
                given += u32::from(result.is_ok());
            }
        }
    }
    assert!(given > 0);
}

#[test]
fn an_order_carries_what_the_plan_says_of_the_node() {
    let mut rolling = rollout(Phase::Rolling, [healthy(), prepared()]);
    progress(&mut rolling, 2).had_its_turn = true;
    let order = rolling.order(node(2), Order::Upgrade, Generation(9)).expect("a permitted order");
    let expected = Assignment {
        generation: Generation(9),
        rollout: rolling.id,
        order: Order::Upgrade,
        from: Some(release("1.0.0")),
        to: release("2.0.0"),
        method: crate::driver::Method::Hot,
        position: 1,
    };
    assert_eq!(order, expected);
    assert!(!rolling.nodes[&node(2)].had_its_turn, "a new order begins anew");
    assert_eq!(rolling.nodes[&node(2)].touched, Some(Generation(2)), "the first order is what touches");
    let stranger = rolling.order(node(3), Order::Upgrade, Generation(10));
    let refused = Superseded::NotInRollout { node: node(3), rollout: rolling.id };
    assert_eq!(stranger, Err(Rejection::Superseded(refused)));
}

#[test]
fn what_preflight_found_is_kept_in_brief_when_the_upgrade_begins() {
    let found = vec![check("P3 relup leads there")];
    let mut rolling = rollout(Phase::Rolling, [Step::Prepared { checks: found.clone() }]);
    progress(&mut rolling, 1).touched = None;
    assert_eq!(rolling.nodes[&node(1)].preflight(), found);
    rolling.order(node(1), Order::Upgrade, Generation(9)).expect("a permitted order");
    assert_eq!(rolling.nodes[&node(1)].preflight(), [check("P3")]);
    assert_eq!(rolling.nodes[&node(1)].touched, Some(Generation(9)));
    let failed = rollout(Phase::Preparing, [Step::PrepareFailed { checks: found.clone() }]);
    assert_eq!(failed.nodes[&node(1)].preflight(), found);
}
