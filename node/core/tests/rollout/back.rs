use super::world::{Misbehaviour, World, app, node, release, spec};
use relupd_core::spec::OnFailure;
use relupd_core::state::app::Order;
use relupd_core::state::rejection::Rejection;
use relupd_core::state::rollout::{HaltReason, Phase, Step};
use std::time::Duration;

fn bad_on_second() -> World {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(2), "upgrade"), Misbehaviour::Fails);
    world
}

#[test]
fn halts_after_the_first_failed_verdict_and_takes_touched_nodes_back_newest_first() {
    let mut world = bad_on_second();
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }));
    let reverts: Vec<_> =
        world.orders.iter().filter(|(_, order)| *order == Order::Revert).map(|(node, _)| *node).collect();
    assert_eq!(reverts, vec![node(2), node(1)]);
    assert!(world.rollout(rollout).nodes[&node(3)].touched.is_none());
    assert_eq!(world.state.apps[&app()].current, Some(release("0.1.0")));
}

#[test]
fn a_failed_release_is_quarantined_until_lifted() {
    let mut world = bad_on_second();
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert!(matches!(world.plan("0.2.0"), Err(Rejection::Quarantined { .. })));
    let digest = release("0.2.0").manifest;
    world.apply(relupd_core::state::command::Command::LiftQuarantine { digest }).unwrap();
    world.misbehave.clear();
    let again = world.start("0.2.0");
    world.run(again);
    assert_eq!(world.rollout(again).phase, Phase::Completed);
}

#[test]
fn on_failure_hold_leaves_the_nodes_and_names_them() {
    let mut policy = spec();
    policy.upgrade.on_failure = OnFailure::Hold;
    let mut world = World::settled(3, policy);
    world.misbehave.insert((node(2), "upgrade"), Misbehaviour::Fails);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    let Phase::Held { elsewhere, .. } = &world.rollout(rollout).phase else { panic!() };
    assert_eq!(*elsewhere, vec![node(2), node(1)]);
}

#[test]
fn a_verdict_that_fails_after_the_decision_turns_the_cluster_round() {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(3), "make permanent"), Misbehaviour::Fails);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }));
    assert_eq!(world.state.apps[&app()].current, Some(release("0.1.0")));
    let settled: Vec<_> =
        world.state.apps[&app()].instances.values().map(|one| one.settled.clone()).collect();
    assert_eq!(settled, vec![Some(release("0.1.0")); 3]);
}

#[test]
fn a_revert_is_never_reverted_and_ends_with_the_operator() {
    let mut world = bad_on_second();
    world.misbehave.insert((node(1), "go back"), Misbehaviour::Fails);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    let Phase::NeedsOperator { reason, nodes } = &world.rollout(rollout).phase else { panic!() };
    assert!(matches!(reason, Some(HaltReason::NodeFailed { .. })));
    assert_eq!(nodes.iter().map(|stranded| stranded.node).collect::<Vec<_>>(), vec![node(1)]);
    assert!(matches!(world.step_of(rollout, 2), Step::Reverted { .. }));
    assert_eq!(world.state.apps[&app()].rollout, None);
}

#[test]
fn a_first_installation_that_fails_goes_back_to_nothing() {
    let mut world = World::empty(2, spec());
    world.misbehave.insert((node(1), "upgrade"), Misbehaviour::Fails);
    let rollout = world.start("0.1.0");
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }));
    assert_eq!(world.state.apps[&app()].current, None);
}

#[test]
fn an_order_that_waits_for_a_lost_node_is_not_replaced_by_a_new_plan() {
    let mut world = bad_on_second();
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.phase, Phase::Reverting { .. }));
    world.silence.insert(node(1), Duration::from_secs(9999));
    world.run(rollout);
    world.elapsed.revert = Duration::from_secs(9999);
    world.stalled.insert(node(1), Duration::from_secs(9999));
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::NeedsOperator { .. }));
    world.push("0.3.0", &["0.1.0"]);
    world.misbehave.clear();
    let next = world.start("0.3.0");
    assert!(!world.rollout(next).nodes.contains_key(&node(1)), "it has to go back first");
    world.run(next);
    assert_eq!(world.rollout(next).phase, Phase::Completed);
    // It returns, goes back, and is brought to what the others run.
    world.silence.insert(node(1), Duration::ZERO);
    while world.turn(rollout) {}
    assert!(matches!(world.step_of(rollout, 1), Step::Reverted { .. }));
}

#[test]
fn no_catch_up_moves_what_an_operator_wanted_held() {
    for phase in ["rolling", "decided"] {
        let mut policy = spec();
        policy.upgrade.permanent = relupd_core::spec::Permanent::PerNode;
        if phase == "decided" {
            policy.upgrade.permanent = relupd_core::spec::Permanent::AtEnd;
        }
        let mut world = World::settled(3, policy);
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| rollout.nodes.values().any(|node| node.step == Step::Committed));
        let mode = relupd_core::state::rollout::AbortMode::Hold;
        world.apply(relupd_core::state::command::Command::Abort { rollout, mode }).unwrap();
        world.run(rollout);
        assert!(matches!(world.rollout(rollout).phase, Phase::Held { .. }), "{phase}");
        assert_eq!(world.catch_up(), None, "{phase}");
    }
}

#[test]
fn a_pause_ends_with_the_halt() {
    let mut world = bad_on_second();
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(2)].step, Step::Upgrading { .. }));
    world.apply(relupd_core::state::command::Command::Pause { rollout }).unwrap();
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }));
}
