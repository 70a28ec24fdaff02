//! Each limit exactly where it lies: a moment before it is waited for, at it something happens.

use super::world::{Misbehaviour, World, app, node, observation, release, spec};
use relupd_core::clock::Monotonic;
use relupd_core::rollout::round::Round;
use relupd_core::rollout::timers::Timers;
use relupd_core::rollout::view::OUT_OF_REACH;
use relupd_core::rollout::waiting::Waiting;
use relupd_core::spec::{AlreadySick, Promote, Unreachable};
use relupd_core::state::command::{Command, Decision, Spent};
use relupd_core::state::rollout::{AbortMode, Phase, Step, Turn};
use std::time::Duration;

const MOMENT: Duration = Duration::from_nanos(1);

fn deadline() -> Duration {
    spec().upgrade.progress_deadline
}

/// Before and at the deadline.
fn around() -> [Duration; 2] {
    [deadline() - MOMENT, deadline()]
}

fn refuses(world: &World, rollout: relupd_core::ids::RolloutId) -> bool {
    matches!(world.look(rollout).decisions[..], [Decision::Refuse { .. }])
}

#[test]
fn a_node_that_is_never_heard_from_is_waited_for_until_the_deadline() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    world.silence.insert(node(2), Duration::from_secs(9999));
    world.run(rollout);
    let refused = around().map(|stalled| {
        world.stalled.insert(node(2), stalled);
        refuses(&world, rollout)
    });
    assert_eq!(refused, [false, true]);
}

#[test]
fn a_first_verdict_is_waited_for_until_the_deadline() {
    for policy in [AlreadySick::Refuse, AlreadySick::Count] {
        let mut spec = spec();
        spec.upgrade.already_sick = policy;
        let mut world = World::settled(2, spec);
        let observation = observation(Some(&release("0.1.0")));
        let unknown = Command::Observe { node: node(2), app: app(), observation, healthy: None, noted: None };
        world.apply(unknown).unwrap();
        let rollout = world.start("0.2.0");
        world.run(rollout);
        let refused = around().map(|stalled| {
            world.stalled.insert(node(2), stalled);
            refuses(&world, rollout)
        });
        assert_eq!(refused, [false, true], "{policy:?}");
    }
}

#[test]
fn an_app_that_does_not_run_is_sick_whatever_its_checks_said_last() {
    let mut world = World::settled(2, spec());
    let mut down = observation(Some(&release("0.1.0")));
    down.running = relupd_core::driver::Running::Down;
    let seen =
        Command::Observe { node: node(2), app: app(), observation: down, healthy: Some(true), noted: None };
    world.apply(seen).unwrap();
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Refused { .. }));
}

#[test]
fn a_rollout_that_everybody_was_left_out_of_is_refused_and_says_so() {
    let mut policy = spec();
    policy.upgrade.already_sick = AlreadySick::Skip;
    let mut world = World::settled(2, policy);
    for number in 1..=2 {
        let observation = observation(Some(&release("0.1.0")));
        let sick = Command::Observe {
            node: node(number),
            app: app(),
            observation,
            healthy: Some(false),
            noted: None,
        };
        world.apply(sick).unwrap();
    }
    let rollout = world.start("0.2.0");
    world.run(rollout);
    let Phase::Refused { reasons } = &world.rollout(rollout).phase else {
        panic!("{:?}", world.rollout(rollout).phase)
    };
    assert_eq!(reasons[0].reason, "every node was left out");
}

#[test]
fn nobody_is_prepared_while_paused() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    world.apply(Command::Pause { rollout }).unwrap();
    world.run(rollout);
    assert_eq!(world.orders, []);
    assert!(matches!(world.step_of(rollout, 1), Step::Planned));
}

#[test]
fn a_prepared_node_out_of_reach_is_waited_for_until_the_deadline_and_then_left_out_or_the_end() {
    for (policy, at_the_end) in [(Unreachable::Skip, "skip"), (Unreachable::Refuse, "halt")] {
        let mut spec = spec();
        spec.upgrade.unreachable = policy;
        let mut world = World::settled(3, spec);
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(1)].step, Step::Healthy { .. }));
        let decided = around().map(|silence| {
            world.silence.insert(node(2), silence);
            let report = world.look(rollout);
            let waits = |waiting: &Waiting| matches!(waiting, Waiting::OutOfReach { .. });
            match report.decisions.iter().find(|decision| !matches!(decision, Decision::Promote)) {
                Some(Decision::Skip { node: left_out, .. }) if *left_out == node(2) => "skip",
                Some(Decision::Halt { .. }) => "halt",
                None if report.waiting.iter().any(waits) => "wait",
                other => panic!("{other:?}, {:?}", report.waiting),
            }
        });
        assert_eq!(decided, ["wait", at_the_end]);
    }
}

#[test]
fn a_turn_that_is_taken_away_is_given_on_at_once() {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(2), "go back"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(2)].step, Step::Healthy { .. }));
    world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
    world.run(rollout);
    assert_eq!(world.step_of(rollout, 2).turn(), Some(Turn::Given));
    world.silence.insert(node(2), deadline());
    let given_on =
        vec![Decision::TakeTurn { node: node(2), why: Spent::Silent }, Decision::GiveTurn { node: node(1) }];
    assert_eq!(world.look(rollout).decisions, given_on);
}

#[test]
fn no_catch_up_for_whom_nobody_hears_nor_for_what_is_stopped() {
    let mut world = World::settled(2, spec());
    world.join(3);
    world.observe_all();
    let due = |world: &World| relupd_core::rollout::catch_up::next(&world.state, &world.silence).is_some();
    world.silence.insert(node(3), OUT_OF_REACH);
    assert!(!due(&world));
    world.silence.insert(node(3), OUT_OF_REACH - MOMENT);
    assert!(due(&world));
    world.apply(Command::SetRunning { app: app(), running: false }).unwrap();
    assert!(!due(&world));
}

#[test]
fn an_idle_leader_looks_less_often() {
    let mut world = World::settled(2, spec());
    let pause = |world: &World| Round::of(&world.state, &world.silence, &Timers::default()).pause();
    assert_eq!(pause(&world), Duration::from_secs(2));
    world.start("0.2.0");
    assert_eq!(pause(&world), Duration::from_millis(250));
}

#[test]
fn what_is_waited_for_names_its_node() {
    let mut world = World::settled(3, spec());
    world.misbehave.insert((node(1), "upgrade"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    let nodes: Vec<_> = world.look(rollout).waiting.iter().map(Waiting::node).collect();
    assert_eq!(nodes, [Some(node(1))]);
    world.apply(Command::Pause { rollout }).unwrap();
    let nodes: Vec<_> = world.look(rollout).waiting.iter().map(Waiting::node).collect();
    assert_eq!(nodes, [None, Some(node(1))]);
}

/// The deadline is for the machines: a person may take the night.
#[test]
fn only_a_healthy_canary_that_waits_for_its_operator_stops_the_clock() {
    let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
    let passes = |promote, done: fn(&Step) -> bool| {
        let mut policy = spec();
        policy.upgrade.promote = promote;
        let mut world = World::settled(2, spec());
        world.apply(Command::ApplyApp { spec: policy }).unwrap();
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| done(&rollout.nodes[&node(1)].step));
        let mut timers = Timers::default();
        timers.advance(&world.state, at(0));
        timers.advance(&world.state, at(10));
        timers.of(rollout).unwrap().elapsed.rollout == Duration::from_secs(10)
    };
    let open = |step: &Step| matches!(step, Step::Upgrading { .. });
    let healthy = |step: &Step| matches!(step, Step::Healthy { .. });
    assert!(passes(Promote::Manual, open));
    assert!(!passes(Promote::Manual, healthy));
    assert!(passes(Promote::Auto, healthy));
}
