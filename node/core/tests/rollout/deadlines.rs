use super::world::{Misbehaviour, World, node, spec};
use relupd_core::clock::Monotonic;
use relupd_core::rollout::timers::Timers;
use relupd_core::rollout::waiting::Waiting;
use relupd_core::spec::Unreachable;
use relupd_core::state::command::{Command, Decision};
use relupd_core::state::rollout::{Elapsed, HaltReason, Phase, Step};
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
    world.apply(relupd_core::state::command::Command::RemoveNode { node: node(2) }).unwrap();
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}

fn at(seconds: u64) -> Monotonic {
    Monotonic::from_start(Duration::from_secs(seconds))
}

#[test]
fn a_new_leader_goes_on_from_the_time_that_was_committed() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    let mut first = Timers::default();
    first.advance(&world.state, at(100));
    first.advance(&world.state, at(150));
    let elapsed = first.of(rollout).unwrap().worth_recording(world.rollout(rollout)).unwrap();
    assert_eq!(elapsed, Elapsed { rollout: Duration::from_secs(50), revert: Duration::ZERO });
    let decisions = vec![Decision::RecordElapsed { elapsed }];
    world.apply(Command::Decide { rollout, revision: 0, decisions }).unwrap();
    let mut second = Timers::default();
    second.advance(&world.state, at(7));
    second.advance(&world.state, at(9));
    assert_eq!(second.of(rollout).unwrap().elapsed.rollout, Duration::from_secs(52));
}

#[test]
fn clocks_stand_still_while_paused() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    let mut timers = Timers::default();
    timers.advance(&world.state, at(0));
    world.apply(Command::Pause { rollout }).unwrap();
    timers.advance(&world.state, at(1000));
    assert_eq!(timers.of(rollout).unwrap().elapsed.rollout, Duration::ZERO);
    world.apply(Command::Resume { rollout }).unwrap();
    timers.advance(&world.state, at(1010));
    assert_eq!(timers.of(rollout).unwrap().elapsed.rollout, Duration::from_secs(10));
}

#[test]
fn a_node_stalls_only_as_long_as_it_stays_in_a_step() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    let mut timers = Timers::default();
    timers.advance(&world.state, at(0));
    timers.advance(&world.state, at(5));
    assert_eq!(timers.of(rollout).unwrap().stalled[&node(1)], Duration::from_secs(5));
    world.turn(rollout);
    timers.advance(&world.state, at(9));
    assert_eq!(timers.of(rollout).unwrap().stalled[&node(1)], Duration::ZERO);
}
