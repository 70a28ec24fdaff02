use super::world::{Misbehaviour, World, app, node, release, spec};
use relupd_core::rollout::waiting::Waiting;
use relupd_core::spec::Permanent;
use relupd_core::state::command::{Command, Decision, Report};
use relupd_core::state::rejection::{Rejection, Superseded};
use relupd_core::state::rollout::{AbortMode, Failure, HaltReason, Phase, Step, Turn};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(100_000);

// `World::apply` asks after each command whether S2 holds.

#[test]
fn nodes_that_return_together_after_the_decision_are_installed_again_one_at_a_time() {
    let mut world = World::settled(4, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.phase, Phase::Committing { decided: true }));
    for number in 2..=4 {
        world.misbehave.insert((node(number), "make permanent"), Misbehaviour::Loses);
    }
    let asked = |step: &Step| step.turn() == Some(Turn::Asked);
    world.run_until(rollout, |rollout| (2..=4).all(|number| asked(&rollout.nodes[&node(number)].step)));
    world.turn(rollout);
    assert_eq!(world.rollout(rollout).in_flight(), vec![node(2)]);
    let after = vec![node(2)];
    assert!(world.look(rollout).waiting.contains(&Waiting::Turn { node: node(3), limit: 1, after }));
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}

#[test]
fn nodes_that_return_together_after_the_end_go_back_one_at_a_time() {
    let mut world = World::settled(4, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(4)].step, Step::Healthy { .. }));
    for number in 2..=4 {
        world.silence.insert(node(number), LONG);
        world.stalled.insert(node(number), LONG);
    }
    world.elapsed.revert = LONG;
    world.run(rollout);
    let Phase::NeedsOperator { nodes, .. } = &world.rollout(rollout).phase else { panic!() };
    assert_eq!(nodes.len(), 3);
    for number in 2..=4 {
        world.silence.insert(node(number), Duration::ZERO);
    }
    world.stalled.clear();
    world.run(rollout);
    for number in 2..=4 {
        assert!(matches!(world.step_of(rollout, number), Step::Reverted { .. }));
    }
    assert!(!world.rollout(rollout).needs_leader());
}

#[test]
fn late_ways_back_and_the_next_rollout_share_the_turns() {
    let mut world = World::settled(4, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(2)].step, Step::Healthy { .. }));
    world.silence.insert(node(2), LONG);
    world.stalled.insert(node(2), LONG);
    world.elapsed.revert = LONG;
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::NeedsOperator { .. }));
    world.push("0.3.0", &["0.1.0"]);
    let next = world.start("0.3.0");
    world.run_until(next, |next| !next.in_flight().is_empty());
    world.silence.insert(node(2), Duration::ZERO);
    let waiting = world.look(rollout).waiting;
    assert!(matches!(&waiting[..], [Waiting::Turn { node: late, .. }] if *late == node(2)), "{waiting:?}");
    let decisions = vec![Decision::GiveTurn { node: node(2) }];
    let revision = world.rollout(rollout).revision;
    let early = world.apply(Command::Decide { rollout, revision, decisions });
    assert_eq!(early, Err(Rejection::Superseded(Superseded::Full { rollout, limit: 1 })));
    world.run(next);
    world.run(rollout);
    assert!(matches!(world.step_of(rollout, 2), Step::Reverted { .. }));
}

#[test]
fn a_node_that_is_lost_in_its_turn_loses_it_and_asks_again() {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(2), "go back"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(2)].step, Step::Healthy { .. }));
    world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
    world.run(rollout);
    assert_eq!(world.step_of(rollout, 2).turn(), Some(Turn::Given));
    assert_eq!(world.step_of(rollout, 1).turn(), Some(Turn::Asked));
    world.silence.insert(node(2), spec().upgrade.progress_deadline);
    world.run(rollout);
    assert_eq!(world.step_of(rollout, 2).turn(), Some(Turn::NotAsked));
    assert!(matches!(world.step_of(rollout, 1), Step::Reverted { .. }));
    world.silence.insert(node(2), Duration::ZERO);
    world.misbehave.clear();
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Reverted { .. }));
}

#[test]
fn who_is_at_work_when_it_halts_turns_round_before_anybody_else_goes_down() {
    let mut policy = spec();
    policy.upgrade.max_in_flight = 2;
    let mut world = World::settled(4, policy);
    world.misbehave.insert((node(2), "upgrade"), Misbehaviour::Silent);
    world.misbehave.insert((node(4), "upgrade"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert_eq!(world.rollout(rollout).in_flight(), vec![node(2), node(4)]);
    assert!(matches!(world.step_of(rollout, 3), Step::Healthy { .. }));
    for number in 1..=4 {
        world.misbehave.insert((node(number), "go back"), Misbehaviour::Silent);
    }
    world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
    world.run(rollout);
    // Newest first would be 4 and 3, and three would be down: what 2 has begun goes on for a while.
    assert_eq!(world.rollout(rollout).in_flight(), vec![node(2), node(4)]);
    assert_eq!(world.step_of(rollout, 3).turn(), Some(Turn::Asked));
}

#[test]
fn turns_do_not_go_round_for_ever() {
    let mut world = World::settled(4, spec());
    for number in 2..=4 {
        world.misbehave.insert((node(number), "make permanent"), Misbehaviour::NeverUp);
    }
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.phase, Phase::Committing { decided: true }));
    world.elapsed.rollout = LONG;
    for _ in 0..20 {
        world.run(rollout);
        for at_work in world.rollout(rollout).in_flight() {
            world.stalled.insert(at_work, LONG);
        }
    }
    let Phase::NeedsOperator { nodes, .. } = &world.rollout(rollout).phase else {
        panic!("{:?}", world.rollout(rollout))
    };
    assert_eq!(nodes.iter().map(|stranded| stranded.node).collect::<Vec<_>>(), [2, 3, 4].map(node));
}

#[test]
fn a_committed_node_that_fails_before_the_end_turns_the_rollout_round() {
    for permanent in [Permanent::PerNode, Permanent::AtEnd] {
        let mut policy = spec();
        policy.upgrade.permanent = permanent;
        let mut world = World::settled(3, policy);
        world.misbehave.insert((node(3), "make permanent"), Misbehaviour::Silent);
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| rollout.nodes[&node(1)].step == Step::Committed);
        let generation = world.state.apps[&app()].instances[&node(1)].assignment.as_ref().unwrap().generation;
        let failure = Failure::Health { check: "http".to_owned(), reason: "500".to_owned() };
        let report = Report::Failed { failure };
        world.apply(Command::Report { node: node(1), app: app(), generation, report }).unwrap();
        world.run(rollout);
        let Phase::Reverted { reason } = &world.rollout(rollout).phase else { panic!("{permanent:?}") };
        assert!(matches!(reason, HaltReason::NodeFailed { node: failed, .. } if *failed == node(1)));
        let settled = world.state.apps[&app()].instances.values().map(|one| one.settled.clone());
        assert!(settled.eq(vec![Some(release("0.1.0")); 3]));
    }
}

/// Seeds 1738 and 1930: an app that did not stay up while it was made permanent was down while another node had the
/// first turn. Also where it is heard of late it comes before those that run.
#[test]
fn who_failed_has_the_next_turn_wherever_it_is_in_the_plan() {
    for is_silent in [false, true] {
        let mut world = World::settled(4, spec());
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| rollout.nodes[&node(2)].step == Step::Committed);
        let generation = world.state.apps[&app()].instances[&node(2)].assignment.as_ref().unwrap().generation;
        let report = Report::Failed { failure: Failure::VmDied { detail: "killed".to_owned() } };
        world.apply(Command::Report { node: node(2), app: app(), generation, report }).unwrap();
        for number in [2, 4] {
            world.misbehave.insert((node(number), "go back"), Misbehaviour::Silent);
        }
        if is_silent {
            world.silence.insert(node(2), Duration::from_secs(5));
            world.run(rollout);
            assert_eq!(world.rollout(rollout).in_flight(), vec![node(4)]);
            world.silence.remove(&node(2));
            world.misbehave.remove(&(node(4), "go back"));
        }
        world.run(rollout);
        assert_eq!(world.rollout(rollout).in_flight(), vec![node(2)]);
        assert_eq!(world.step_of(rollout, 3).turn(), Some(Turn::Asked));
        // It had its turn and did not get on: the others come before it.
        for number in [3, 4] {
            world.misbehave.insert((node(number), "go back"), Misbehaviour::Silent);
        }
        world.stalled.insert(node(2), spec().upgrade.revert_deadline);
        world.run(rollout);
        let next = if is_silent { node(3) } else { node(4) };
        assert_eq!(world.rollout(rollout).in_flight(), vec![next]);
    }
}
