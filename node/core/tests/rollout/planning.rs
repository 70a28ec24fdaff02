//! What a plan says of each node: whether it takes part, where it comes from, how, and the way back.

use super::world::{World, app, methods, node, observation, release, spec, version};
use relupd_core::driver::{Method, Rung};
use relupd_core::ids::{Digest, Generation, PlanId, RolloutId};
use relupd_core::samples::{admission, pushed};
use relupd_core::spec::{CheckPolicy, MethodPolicy};
use relupd_core::state::app::{Assignment, Instance, Order};
use relupd_core::state::command::Command;
use relupd_core::state::plan::PlanStep;
use relupd_core::state::release::ReleaseId;
use std::collections::BTreeMap;
use std::sync::Arc;

fn steps(world: &World, plan: PlanId) -> &[PlanStep] {
    &world.state.plans[&plan].steps
}

fn instance(world: &mut World, number: u64) -> &mut Instance {
    Arc::make_mut(world.state.apps.get_mut(&app()).unwrap().instances.get_mut(&node(number)).unwrap())
}

#[test]
fn a_canary_of_everybody_is_a_canary_of_one() {
    for (canary, expected) in
        [(0, [false; 3]), (1, [true, false, false]), (2, [true, true, false]), (3, [true, false, false])]
    {
        let mut policy = spec();
        policy.upgrade.canary = canary;
        let mut world = World::settled(3, policy);
        let plan = world.plan("0.2.0").unwrap();
        let canaries: Vec<_> = steps(&world, plan).iter().map(|step| step.canary).collect();
        assert_eq!(canaries, expected, "canary = {canary}");
    }
}

#[test]
fn a_node_that_no_longer_carries_the_labels_is_left_as_it_is() {
    let mut world = World::settled(3, spec());
    let labels = BTreeMap::from([("role".to_owned(), "web".to_owned())]);
    let describe = |number, labels: &BTreeMap<String, String>| {
        let admission = admission(number);
        Command::DescribeNode {
            node: admission.id,
            address: admission.address,
            labels: labels.clone(),
            daemon_version: admission.daemon_version,
            reads: admission.reads,
        }
    };
    for number in 1..=2 {
        world.apply(describe(number, &labels)).unwrap();
    }
    let mut placed = spec();
    placed.placement = labels;
    world.apply(Command::ApplyApp { spec: placed }).unwrap();
    assert!(world.state.apps[&app()].instances.contains_key(&node(3)), "what runs there is known");
    let plan = world.plan("0.2.0").unwrap();
    let nodes: Vec<_> = steps(&world, plan).iter().map(|step| step.node).collect();
    assert_eq!(nodes, [node(1), node(2)]);
}

#[test]
fn a_node_that_never_had_the_app_is_forgotten_with_its_label() {
    let mut world = World::settled(2, spec());
    let labels = BTreeMap::from([("role".to_owned(), "web".to_owned())]);
    let mut placed = spec();
    placed.placement = labels.clone();
    let describe = |number: u64, labels: BTreeMap<String, String>| {
        let of = admission(number);
        let (node, address, reads) = (of.id, of.address, of.reads);
        Command::DescribeNode { node, address, labels, daemon_version: of.daemon_version, reads }
    };
    world.apply(describe(1, labels.clone())).unwrap();
    world.apply(Command::ApplyApp { spec: placed }).unwrap();
    world.join(3);
    let knows = |world: &World, number| world.state.apps[&app()].instances.contains_key(&node(number));
    assert!(!knows(&world, 3));
    world.apply(describe(3, labels)).unwrap();
    assert!(knows(&world, 3));
    world.apply(describe(3, BTreeMap::new())).unwrap();
    assert!(!knows(&world, 3), "nothing is there");
    assert!(knows(&world, 2), "it is settled");

    instance(&mut world, 2).settled = None;
    world.apply(describe(2, BTreeMap::new())).unwrap();
    assert!(knows(&world, 2), "a version is seen on its host");
    instance(&mut world, 2).observed = Some(observation(None));
    instance(&mut world, 2).assignment = Some(Assignment {
        generation: Generation(0),
        rollout: RolloutId(1),
        order: Order::Revert,
        from: None,
        to: release("0.1.0"),
        method: Method::First,
        position: 0,
    });
    world.apply(describe(2, BTreeMap::new())).unwrap();
    assert!(knows(&world, 2), "an order waits for it");
    instance(&mut world, 2).assignment = None;
    world.apply(describe(2, BTreeMap::new())).unwrap();
    assert!(!knows(&world, 2));
}

#[test]
fn what_the_host_boots_counts_and_not_what_the_cluster_believed() {
    let mut world = World::settled(3, spec());
    instance(&mut world, 1).settled = Some(release("0.2.0"));
    instance(&mut world, 2).settled = None;
    instance(&mut world, 2).observed = Some(observation(Some(&release("0.2.0"))));
    let plan = world.plan("0.2.0").unwrap();
    let from: Vec<_> = steps(&world, plan).iter().map(|step| (step.node, step.from.clone())).collect();
    let expected = [
        (node(1), Some(release("0.1.0"))),
        // It is there, but nobody has seen to it that it stays.
        (node(2), Some(release("0.2.0"))),
        (node(3), Some(release("0.1.0"))),
    ];
    assert_eq!(from, expected);
}

#[test]
fn a_node_comes_from_the_content_that_it_was_settled_on() {
    let mut world = World::settled(1, spec());
    let before = ReleaseId { manifest: Digest::of(b"before its relup was made"), ..release("0.1.0") };
    instance(&mut world, 1).settled = Some(before.clone());
    let plan = world.plan("0.2.0").unwrap();
    assert_eq!(steps(&world, plan)[0].from, Some(before));
}

#[test]
fn the_way_back_is_planned_with_the_way_there() {
    let back = |world: &World, plan| steps(world, plan)[0].way_back.clone();
    let mut world = World::empty(1, spec());
    let first = world.plan("0.1.0").unwrap();
    assert_eq!(back(&world, first), [Rung::Unplace]);
    let mut world = World::settled(1, spec());
    let hot = world.plan("0.2.0").unwrap();
    assert_eq!(back(&world, hot), [Rung::RelupDown, Rung::Restart]);
    let mut policy = spec();
    policy.upgrade.method = MethodPolicy::Restart;
    world.apply(Command::ApplyApp { spec: policy }).unwrap();
    let restart = world.plan("0.2.0").unwrap();
    assert_eq!(back(&world, restart), [Rung::Restart]);
}

/// Preflight refuses it; with P3b to warn the operator has said that one way is enough.
#[test]
fn a_relup_that_leads_nowhere_back_is_planned_hot_and_said_to_be_refused() {
    let one_way = |allowed: bool| {
        let mut policy = spec();
        if allowed {
            policy.upgrade.preflight.checks.insert("P3b".to_owned(), CheckPolicy::Warn);
        }
        let mut world = World::settled(1, policy);
        let mut up = pushed("0.3.0", &["0.1.0"]);
        up.hot_down_to.clear();
        let mut other = pushed("0.0.9", &[]);
        other.hot_down_to.clear();
        world.apply(Command::RegisterRelease { release: up }).unwrap();
        world.apply(Command::RegisterRelease { release: other }).unwrap();
        world
    };
    for allowed in [true, false] {
        let is_told = |world: &World, plan: PlanId| {
            assert_eq!(methods(world, plan), [Method::Hot]);
            let because = &world.state.plans[&plan].steps[0].because;
            assert!(because.contains("nowhere back"), "{because}");
            assert_eq!(because.contains("refuses"), !allowed, "{because}");
        };
        let mut world = one_way(allowed);
        let plan = world.plan("0.3.0").unwrap();
        is_told(&world, plan);
        // The relup of what runs leads down to the older one, and not up from it again: that is no mistake.
        let mut world = one_way(allowed);
        let releases = Arc::make_mut(&mut world.state.releases).get_mut(&release("0.1.0").name).unwrap();
        releases.get_mut(&version("0.1.0")).unwrap().hot_down_to.insert(version("0.0.9"));
        let plan = world.plan("0.0.9").unwrap();
        assert_eq!(methods(&world, plan), [if allowed { Method::Hot } else { Method::Restart }]);
    }
}
