use super::world::{Misbehaviour, World, node, spec};
use relupd::rollout::waiting::Waiting;
use relupd::spec::Unreachable;
use relupd::state::rollout::{HaltReason, Phase, Step};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(100_000);

#[test]
fn a_node_without_progress_halts_the_rollout_after_its_deadline() {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(1), "upgrade"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert!(matches!(world.look(rollout).waiting[0], Waiting::Installing { .. }));
    world.stalled.insert(node(1), spec().upgrade.progress_deadline);
    world.run_until(rollout, |rollout| matches!(rollout.phase, Phase::Reverting { .. }));
    let reason = world.rollout(rollout).phase.reason().unwrap();
    assert!(matches!(reason, HaltReason::NoProgress { .. }));
}

#[test]
fn an_unreachable_node_is_refused_or_skipped_while_preparing() {
    for (policy, phase) in [(Unreachable::Refuse, "refused"), (Unreachable::Skip, "completed")] {
        let mut spec = spec();
        spec.upgrade.unreachable = policy;
        let mut world = World::settled(3, spec);
        world.silence.insert(node(3), LONG);
        let rollout = world.start("0.2.0");
        world.run(rollout);
        assert_eq!(world.rollout(rollout).phase, Phase::Preparing, "its deadline has not passed");
        world.stalled.insert(node(3), LONG);
        world.run(rollout);
        assert_eq!(world.rollout(rollout).phase.name(), phase);
    }
}

#[test]
fn a_touched_node_out_of_reach_halts_and_the_reachable_ones_go_back() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(2)].step, Step::Healthy { .. }));
    world.silence.insert(node(2), LONG);
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverting { .. }));
    assert!(matches!(world.step_of(rollout, 1), Step::Reverted { .. }));
    assert!(matches!(world.step_of(rollout, 2), Step::Reverting { .. }), "its order waits for it");
    world.elapsed.revert = LONG;
    world.run(rollout);
    let Phase::NeedsOperator { nodes, .. } = &world.rollout(rollout).phase else { panic!() };
    assert_eq!(nodes[0].node, node(2));
    // It comes back later, finds its order and obeys.
    world.silence.insert(node(2), Duration::ZERO);
    world.run(rollout);
    assert!(matches!(world.step_of(rollout, 2), Step::Reverted { .. }));
}

#[test]
fn after_the_decision_a_missing_node_completes_when_it_is_back() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.phase, Phase::Committing { decided: true }));
    world.silence.insert(node(3), LONG);
    world.run(rollout);
    assert!(matches!(world.step_of(rollout, 1), Step::Committed));
    assert!(matches!(world.step_of(rollout, 3), Step::Committing { .. }));
    world.silence.insert(node(3), Duration::ZERO);
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}

#[test]
fn the_whole_rollout_has_a_deadline() {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(1), "upgrade"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    world.elapsed.rollout = spec().upgrade.rollout_deadline;
    world.run_until(rollout, |rollout| rollout.phase.reason().is_some());
    assert!(matches!(world.rollout(rollout).phase.reason(), Some(HaltReason::RolloutDeadline { .. })));
}

#[test]
fn a_removed_node_no_longer_holds_anybody_up() {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(2), "upgrade"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    world.apply(relupd::state::command::Command::RemoveNode { node: node(2) }).unwrap();
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}
