use super::world::{Misbehaviour, World, app, node, release, spec};
use relupd_core::spec::Unreachable;
use relupd_core::state::command::Command;
use relupd_core::state::rollout::Phase;
use std::time::Duration;

#[test]
fn a_node_that_joins_is_brought_to_the_committed_release() {
    let mut world = World::settled(2, spec());
    assert_eq!(world.catch_up(), None);
    world.join(3);
    assert_eq!(world.catch_up(), None, "nobody has looked at it yet");
    world.observe_all();
    let rollout = world.catch_up().unwrap();
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
    assert_eq!(world.state.apps[&app()].instances[&node(3)].settled, Some(release("0.1.0")));
    assert_eq!(world.catch_up(), None);
}

#[test]
fn a_node_that_missed_a_rollout_is_brought_up_when_it_returns() {
    let mut policy = spec();
    policy.upgrade.unreachable = Unreachable::Skip;
    let mut world = World::settled(3, policy);
    world.silence.insert(node(3), Duration::from_secs(9999));
    world.stalled.insert(node(3), Duration::from_secs(9999));
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
    assert_eq!(world.catch_up(), None, "it is still away");
    world.silence.insert(node(3), Duration::ZERO);
    world.stalled.clear();
    let rollout = world.catch_up().unwrap();
    world.run(rollout);
    assert_eq!(world.state.apps[&app()].instances[&node(3)].settled, Some(release("0.2.0")));
}

#[test]
fn a_catch_up_that_failed_waits_for_a_repair_and_quarantines_nothing() {
    let mut world = World::settled(2, spec());
    world.join(3);
    world.observe_all();
    world.misbehave.insert((node(3), "upgrade"), Misbehaviour::Fails);
    let rollout = world.catch_up().unwrap();
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }));
    assert!(world.state.quarantine.is_empty());
    assert_eq!(world.catch_up(), None);
    world.misbehave.clear();
    world.apply(Command::RepairNode { node: node(3), app: None }).unwrap();
    let again = world.catch_up().unwrap();
    world.run(again);
    assert_eq!(world.rollout(again).phase, Phase::Completed);
}
