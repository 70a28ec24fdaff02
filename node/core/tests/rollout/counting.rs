//! What counts: the basis that plans rest on, a rollout's revision, raft ids. A count that stood still would let
//! what is stale pass.

use super::applying::{basis, instance, with_relup};
use super::world::{World, app, node, spec, version};
use relupd_core::driver::Method;
use relupd_core::state::app::Order;
use relupd_core::state::command::{Command, Decision, OrphanOutcome, Report};
use relupd_core::state::rejection::Rejection;
use relupd_core::state::rollout::{AbortMode, Phase, Step};

#[test]
fn a_release_that_changes_and_a_rollout_that_is_decided_or_ends_are_counted() {
    let mut world = World::settled(1, spec());
    let before = basis(&world);
    world.apply(with_relup("0.2.0")).unwrap();
    assert_eq!(basis(&world), before + 1);
    let rollout = world.start("0.2.0");
    let started = basis(&world);
    world.run_until(rollout, |rollout| rollout.phase == Phase::Committing { decided: true });
    assert_eq!(basis(&world), started + 1);
    world.run(rollout);
    assert_eq!(basis(&world), started + 2);
}

#[test]
fn another_spec_or_an_order_to_stop_makes_earlier_plans_stale() {
    let mut another = spec();
    another.upgrade.canary = 0;
    for command in [Command::ApplyApp { spec: another }, Command::SetRunning { app: app(), running: false }] {
        let mut world = World::settled(1, spec());
        let (before, plan) = (basis(&world), world.plan("0.2.0").unwrap());
        world.apply(command).unwrap();
        assert_eq!(basis(&world), before + 1);
        assert!(matches!(world.start_plan(plan), Err(Rejection::StalePlan { .. })));
    }
}

#[test]
fn each_decision_and_each_order_of_an_operator_is_a_revision() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    let prepare = |number| vec![Decision::Assign { node: node(number), order: Order::Prepare }];
    world.apply(Command::Decide { rollout, revision: 0, decisions: prepare(1) }).unwrap();
    assert_eq!(world.rollout(rollout).revision, 1);
    // Legal, but for being made of what is no more.
    assert!(world.apply(Command::Decide { rollout, revision: 0, decisions: prepare(2) }).is_err());
    world.apply(Command::Decide { rollout, revision: 1, decisions: prepare(2) }).unwrap();
    let mut revision = 2;
    for command in [
        Command::Pause { rollout },
        Command::Resume { rollout },
        Command::Promote { rollout },
        Command::Abort { rollout, mode: AbortMode::Hold },
    ] {
        world.apply(command.clone()).unwrap();
        revision += 1;
        assert_eq!(world.rollout(rollout).revision, revision, "{command:?}");
    }
}

#[test]
fn each_report_and_each_removal_is_a_revision() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    let prepare = vec![Decision::Assign { node: node(2), order: Order::Prepare }];
    world.apply(Command::Decide { rollout, revision: 0, decisions: prepare }).unwrap();
    let generation = instance(&mut world, 2).assignment.as_ref().unwrap().generation;
    let report = Report::Prepared { method: Method::Hot, checks: vec![] };
    world.apply(Command::Report { node: node(2), app: app(), generation, report }).unwrap();
    assert_eq!(world.rollout(rollout).revision, 2);
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(1)].step, Step::Healthy { .. }));
    let outcome = OrphanOutcome::Back { version: Some(version("0.1.0")) };
    let orphaned = Command::ReportOrphan { node: node(1), app: app(), rollout, outcome };
    for command in [Command::RemoveNode { node: node(3) }, orphaned] {
        let before = world.rollout(rollout).revision;
        world.apply(command.clone()).unwrap();
        assert!(world.rollout(rollout).revision > before, "{command:?}");
    }
}

#[test]
fn each_node_has_a_raft_id_of_its_own() {
    let world = World::settled(3, spec());
    let ids: std::collections::BTreeSet<_> = world.state.nodes.values().map(|node| node.raft_id).collect();
    assert_eq!(ids.len(), 3);
}
