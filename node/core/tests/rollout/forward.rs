use super::world::{Misbehaviour, World, app, methods, node, release, spec, version};
use relupd_core::driver::{Method, Rung};
use relupd_core::rollout::waiting::Waiting;
use relupd_core::spec::{AlreadySick, Permanent, Promote};
use relupd_core::state::app::Order;
use relupd_core::state::command::{Command, OrphanOutcome, Report};
use relupd_core::state::rollout::{AbortMode, Failure, Phase, Step, TriedRung};

#[test]
fn first_installation_then_hot_upgrade_of_every_node() {
    let mut world = World::settled(3, spec());
    assert_eq!(world.state.apps[&app()].current, Some(release("0.1.0")));
    let plan = world.plan("0.2.0").unwrap();
    assert_eq!(methods(&world, plan), vec![Method::Hot; 3]);
    let rollout = world.start_plan(plan).unwrap();
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
    let settled: Vec<_> =
        world.state.apps[&app()].instances.values().map(|one| one.settled.clone()).collect();
    assert_eq!(settled, vec![Some(release("0.2.0")); 3]);
}

#[test]
fn every_node_is_prepared_before_any_is_upgraded_and_one_at_a_time() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run(rollout);
    let upgrades: Vec<_> = world.orders.iter().map(|(_, order)| *order).collect();
    let first_upgrade = upgrades.iter().position(|order| *order == Order::Upgrade).unwrap();
    assert!(upgrades[..first_upgrade].iter().all(|order| *order == Order::Prepare));
    assert_eq!(first_upgrade, 3);
}

#[test]
fn a_relup_that_only_leads_up_is_not_hot() {
    let mut world = World::settled(2, spec());
    world.push("0.4.0", &[]);
    let plan = world.plan("0.4.0").unwrap();
    assert_eq!(methods(&world, plan), vec![Method::Restart; 2]);
}

#[test]
fn a_way_down_uses_the_relup_of_the_version_that_is_left() {
    let mut world = World::settled(2, spec());
    let up = world.start("0.2.0");
    world.run(up);
    let plan = world.plan("0.1.0").unwrap();
    assert_eq!(methods(&world, plan), vec![Method::Hot; 2]);
    let down = world.start_plan(plan).unwrap();
    world.run(down);
    assert_eq!(world.state.apps[&app()].current, Some(release("0.1.0")));
}

#[test]
fn the_rest_waits_until_the_canary_is_promoted() {
    let mut policy = spec();
    policy.upgrade.promote = Promote::Manual;
    policy.upgrade.canary = 1;
    let mut world = World::empty(3, policy);
    let rollout = world.start("0.1.0");
    world.run(rollout);
    assert_eq!(world.look(rollout).waiting, vec![Waiting::Promotion { canary: vec![node(1)] }]);
    assert!(matches!(world.step_of(rollout, 2), Step::Prepared { .. }));
    world.apply(Command::Promote { rollout }).unwrap();
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}

#[test]
fn nothing_is_permanent_before_every_node_is_ready() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.phase, Phase::Committing { decided: true }));
    assert_eq!(world.state.apps[&app()].current, Some(release("0.2.0")));
    let orders: Vec<_> = world.orders.iter().map(|(_, order)| *order).collect();
    assert!(!orders.contains(&Order::Commit), "the decision itself gives the order");
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}

#[test]
fn per_node_each_is_permanent_before_the_next_bakes() {
    let mut policy = spec();
    policy.upgrade.permanent = Permanent::PerNode;
    let mut world = World::settled(3, policy);
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(1)].step, Step::Committed));
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
    assert_eq!(world.state.apps[&app()].current, Some(release("0.2.0")));
}

#[test]
fn a_paused_rollout_gives_no_orders_and_says_so() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(1)].step, Step::Healthy { .. }));
    world.apply(Command::Pause { rollout }).unwrap();
    world.run(rollout);
    assert!(matches!(world.look(rollout).waiting[0], Waiting::Resume { .. }));
    assert!(matches!(world.step_of(rollout, 3), Step::Prepared { .. }));
    world.apply(Command::Resume { rollout }).unwrap();
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}

#[test]
fn a_sick_node_refuses_is_skipped_or_counts_as_policy_says() {
    for (policy, phase) in
        [(AlreadySick::Refuse, "refused"), (AlreadySick::Skip, "completed"), (AlreadySick::Count, "refused")]
    {
        let mut spec = spec();
        spec.upgrade.already_sick = policy;
        let mut world = World::settled(3, spec);
        let observation = super::world::observation(Some(&release("0.1.0")));
        let sick =
            Command::Observe { node: node(2), app: app(), observation, healthy: Some(false), noted: None };
        world.apply(sick).unwrap();
        let rollout = world.start("0.2.0");
        world.run(rollout);
        assert_eq!(world.rollout(rollout).phase.name(), phase, "{policy:?}");
        if policy == AlreadySick::Skip {
            assert!(matches!(world.step_of(rollout, 2), Step::Skipped { .. }));
        }
    }
}

#[test]
fn a_node_whose_health_stays_unknown_counts_as_unavailable() {
    for (max_unavailable, phase) in [(0, "refused"), (1, "completed")] {
        let mut policy = spec();
        policy.upgrade.already_sick = AlreadySick::Count;
        policy.upgrade.max_unavailable = max_unavailable;
        let mut world = World::settled(3, policy);
        let observation = super::world::observation(Some(&release("0.1.0")));
        world
            .apply(Command::Observe { node: node(2), app: app(), observation, healthy: None, noted: None })
            .unwrap();
        let rollout = world.start("0.2.0");
        world.run(rollout);
        assert_eq!(world.rollout(rollout).phase, Phase::Preparing, "its deadline has not passed");
        world.stalled.insert(node(2), std::time::Duration::from_secs(9999));
        world.run_until(rollout, |rollout| !matches!(rollout.phase, Phase::Preparing));
        world.stalled.clear();
        world.run(rollout);
        assert_eq!(world.rollout(rollout).phase.name(), phase);
    }
}

#[test]
fn a_skipped_canary_does_not_open_the_gate() {
    let mut world = World::settled(3, spec());
    let mut policy = spec();
    policy.upgrade.promote = Promote::Manual;
    policy.upgrade.already_sick = AlreadySick::Skip;
    world.apply(Command::ApplyApp { spec: policy }).unwrap();
    let observation = super::world::observation(Some(&release("0.1.0")));
    let sick = Command::Observe { node: node(1), app: app(), observation, healthy: Some(false), noted: None };
    world.apply(sick).unwrap();
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert!(matches!(world.step_of(rollout, 1), Step::Skipped { .. }));
    assert_eq!(world.look(rollout).waiting, vec![Waiting::Promotion { canary: vec![node(2)] }]);
}

#[test]
fn an_orphan_that_was_removed_meanwhile_halts_nobody() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(1)].step, Step::Healthy { .. }));
    world.apply(Command::RemoveNode { node: node(1) }).unwrap();
    let outcome = OrphanOutcome::Back { version: Some("0.1.0".parse().unwrap()) };
    world.apply(Command::ReportOrphan { node: node(1), app: app(), rollout, outcome }).unwrap();
    assert!(matches!(world.step_of(rollout, 1), Step::Skipped { .. }));
    world.run(rollout);
    assert_eq!(world.rollout(rollout).phase, Phase::Completed);
}

/// Seed 3047: it had gone back, or was stuck, before it heard of its order to commit.
#[test]
fn an_orphan_that_has_its_order_to_commit_turns_its_rollout_round() {
    let tried = vec![TriedRung { rung: Rung::Restart, reason: "the VM ended while it booted".to_owned() }];
    for (outcome, end) in [
        (OrphanOutcome::Back { version: Some(version("0.1.0")) }, "reverted"),
        (OrphanOutcome::Stuck { tried }, "needs operator"),
    ] {
        let mut policy = spec();
        policy.upgrade.permanent = Permanent::PerNode;
        let mut world = World::settled(3, policy);
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(1)].step, Step::Committing { .. }));
        world.apply(Command::ReportOrphan { node: node(1), app: app(), rollout, outcome }).unwrap();
        assert_eq!(world.state.apps[&app()].instances[&node(1)].assignment, None);
        world.run(rollout);
        assert_eq!(world.rollout(rollout).phase.name(), end);
        assert_eq!(world.state.apps[&app()].current, Some(release("0.1.0")));
    }
}

/// What an orphan said before it heard of the decision may come after that has turned round.
#[test]
fn what_an_orphan_said_before_the_decision_counts_no_more_after_it() {
    for is_permanent in [true, false] {
        let mut world = World::settled(3, spec());
        if !is_permanent {
            world.misbehave.insert((node(1), "make permanent"), Misbehaviour::Silent);
        }
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| {
            let committed = |number| rollout.nodes[&node(number)].step == Step::Committed;
            committed(1) == is_permanent && committed(2)
        });
        world.misbehave.insert((node(1), "go back"), Misbehaviour::Silent);
        world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
        for is_ordered_back in [false, true] {
            if is_ordered_back {
                world.run(rollout);
            }
            let before = world.step_of(rollout, 1).clone();
            assert_eq!(matches!(before, Step::Reverting { .. }), is_ordered_back);
            let outcome = OrphanOutcome::Back { version: Some(version("0.1.0")) };
            world.apply(Command::ReportOrphan { node: node(1), app: app(), rollout, outcome }).unwrap();
            assert_eq!(world.step_of(rollout, 1), &before);
        }
    }
}

/// Whoever failed on trial may be back before anybody heard of that; whoever failed as it was made permanent went
/// forward after it was an orphan.
#[test]
fn a_failed_node_is_an_orphan_only_without_an_order_to_commit() {
    for permanent in [Permanent::AtEnd, Permanent::PerNode] {
        let mut policy = spec();
        policy.upgrade.permanent = permanent;
        let mut world = World::settled(3, policy);
        let rollout = world.start("0.2.0");
        let is_to_commit = permanent == Permanent::PerNode;
        world.run_until(rollout, |rollout| match &rollout.nodes[&node(1)].step {
            Step::Healthy { .. } => !is_to_commit,
            step => *step == Step::Committed,
        });
        let generation = world.state.apps[&app()].instances[&node(1)].assignment.as_ref().unwrap().generation;
        let report = Report::Failed { failure: Failure::VmDied { detail: "killed".to_owned() } };
        world.apply(Command::Report { node: node(1), app: app(), generation, report }).unwrap();
        let outcome = OrphanOutcome::Back { version: Some(version("0.1.0")) };
        world.apply(Command::ReportOrphan { node: node(1), app: app(), rollout, outcome }).unwrap();
        let is_failed = matches!(world.step_of(rollout, 1), Step::Failed { .. });
        assert_eq!(is_failed, is_to_commit, "{:?}", world.step_of(rollout, 1));
    }
}

#[test]
fn a_rollout_never_completes_on_nobody() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| !rollout.in_flight().is_empty());
    world.misbehave.insert((node(1), "upgrade"), super::world::Misbehaviour::Silent);
    world.silence.insert(node(2), std::time::Duration::from_secs(9999));
    world.apply(Command::RemoveNode { node: node(1) }).unwrap();
    world.run(rollout);
    assert!(!matches!(world.rollout(rollout).phase, Phase::Completed));
    assert_eq!(world.state.apps[&app()].current, Some(release("0.1.0")));
}
