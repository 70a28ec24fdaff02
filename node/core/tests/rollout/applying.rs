//! What applying a command changes, and what it must leave alone.

use super::world::{Misbehaviour, World, app, node, observation, release, spec, version};
use jiff::Timestamp;
use relupd_core::driver::{Method, Observation, Running};
use relupd_core::ids::{BootNonce, Digest, Generation, RolloutId};
use relupd_core::samples::{pushed, token};
use relupd_core::state::app::{Assignment, Instance, Order};
use relupd_core::state::command::{Command, OrphanOutcome, Report};
use relupd_core::state::node::Certificate;
use relupd_core::state::rejection::Rejection;
use relupd_core::state::release::{MadeFrom, ReleaseRecord};
use relupd_core::state::rollout::{AbortMode, Failure, Phase, Stage, Step};
use std::sync::Arc;

pub fn instance(world: &mut World, number: u64) -> &mut Instance {
    Arc::make_mut(world.state.apps.get_mut(&app()).unwrap().instances.get_mut(&node(number)).unwrap())
}

pub fn basis(world: &World) -> u64 {
    world.state.apps[&app()].basis
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The same release with a relup that the cluster made.
pub fn with_relup(of: &str) -> Command {
    let of = pushed(of, &["0.1.0"]);
    let made =
        MadeFrom { replaces: of.id.manifest, pushed: of.id.manifest, versions: [version("0.1.0")].into() };
    let mut release = ReleaseRecord { made_from: Some(Box::new(made)), ..of };
    release.id.manifest = Digest::of(b"with a relup");
    Command::RegisterRelease { release }
}

#[test]
fn whoever_stands_on_a_release_or_moves_to_it_uses_it() {
    type Use = fn(&mut World);
    let uses: [(&str, Use); 5] = [
        ("settled", |world| instance(world, 1).settled = Some(release("0.2.0"))),
        ("permanent", |world| instance(world, 1).observed = Some(observation(Some(&release("0.2.0"))))),
        ("on trial", |world| {
            let running = Running::Up { version: version("0.2.0"), boot_nonce: BootNonce("b".to_owned()) };
            let observed = Observation { running, ..observation(Some(&release("0.1.0"))) };
            instance(world, 1).observed = Some(observed);
        }),
        ("ordered", |world| {
            instance(world, 1).assignment = Some(Assignment {
                generation: Generation(1),
                rollout: RolloutId(1),
                order: Order::Commit,
                from: None,
                to: release("0.2.0"),
                method: Method::First,
                position: 0,
            });
        }),
        ("current", |world| world.state.apps.get_mut(&app()).unwrap().current = Some(release("0.2.0"))),
    ];
    let replace = |used: Option<Use>| {
        let mut world = World::empty(1, spec());
        used.inspect(|used| used(&mut world));
        world.state.apply(&relupd_core::state::command::Entry {
            id: relupd_core::ids::CommandId::from_parts(9, 9),
            actor: relupd_core::state::command::Actor::Operator("ann".to_owned()),
            at: Timestamp::UNIX_EPOCH,
            command: with_relup("0.2.0"),
        })
    };
    assert!(replace(None).is_ok());
    for (what, used) in uses {
        assert!(matches!(replace(Some(used)), Err(Rejection::ReleaseInUse { .. })), "{what}");
    }
}

#[test]
fn a_release_that_no_rollout_touches_may_get_a_relup_meanwhile() {
    let mut world = World::settled(2, spec());
    world.push("0.3.0", &["0.1.0"]);
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| rollout.nodes.values().any(|node| node.step != Step::Planned));
    world.apply(with_relup("0.3.0")).unwrap();
    assert!(matches!(world.apply(with_relup("0.2.0")), Err(Rejection::ReleaseInUse { .. })));
}

#[test]
fn a_plan_for_other_content_is_stale() {
    let mut world = World::settled(1, spec());
    let plan = world.plan("0.2.0").unwrap();
    world.apply(with_relup("0.2.0")).unwrap();
    assert!(matches!(world.start_plan(plan), Err(Rejection::StalePlan { .. })));
}

#[test]
fn the_same_spec_again_changes_nothing() {
    let mut world = World::settled(1, spec());
    let (before, events) = (basis(&world), world.state.events.len());
    world.apply(Command::ApplyApp { spec: spec() }).unwrap();
    assert_eq!((basis(&world), world.state.events.len()), (before, events));
}

#[test]
fn what_installed_instances_rest_on_does_not_change_under_them() {
    type Change = fn(&mut relupd_core::spec::AppSpec);
    let changes: [(&str, Change); 3] = [
        ("root", |spec| spec.root = "/srv/shop".to_owned()),
        ("release", |spec| spec.release = "cart".parse().unwrap()),
        ("driver", |spec| spec.driver = relupd_core::spec::DriverKind::Fake),
    ];
    for (name, change) in changes {
        let mut changed = spec();
        change(&mut changed);
        let command = Command::ApplyApp { spec: changed };
        let refused = World::settled(1, spec()).apply(command.clone());
        assert!(
            matches!(&refused, Err(Rejection::SpecConflict { field, .. }) if field == name),
            "{refused:?}"
        );
        World::empty(1, spec()).apply(command).unwrap();
    }
    let mut world = World::settled(1, spec());
    world.start("0.2.0");
    let mut other = spec();
    other.upgrade.canary = 0;
    let refused = world.apply(Command::ApplyApp { spec: other });
    assert!(matches!(refused, Err(Rejection::RolloutRunning { .. })));
}

#[test]
fn a_repair_of_one_app_is_ordered_for_that_app() {
    let mut world = World::settled(2, spec());
    world.apply(Command::RepairNode { node: node(2), app: Some(app()) }).unwrap();
    let repairs = |world: &World, number| world.state.apps[&app()].instances[&node(number)].repair;
    assert_eq!((repairs(&world, 1), repairs(&world, 2)), (0, 1));
}

#[test]
fn a_plan_rests_on_what_was_seen_and_not_on_how_often() {
    let mut world = World::settled(2, spec());
    let see = |world: &mut World, seen: &Observation| {
        let before = basis(world);
        let (node, observation) = (node(2), seen.clone());
        let seen = Command::Observe { node, app: app(), observation, healthy: Some(true), noted: None };
        world.apply(seen).unwrap();
        basis(world) - before
    };
    let settled = observation(Some(&release("0.1.0")));
    instance(&mut world, 2).observed = None;
    assert_eq!(see(&mut world, &settled), 0, "it is where the cluster settled it");
    assert_eq!(see(&mut world, &settled), 0);
    let moved = observation(Some(&release("0.2.0")));
    assert_eq!(see(&mut world, &moved), 1);
    assert_eq!(see(&mut world, &moved), 0);
    assert_eq!(see(&mut world, &settled), 0, "it is back where it belongs");
    world.start("0.2.0");
    assert_eq!(see(&mut world, &moved), 0, "the rollout changes that anyhow");
}

#[test]
fn a_node_keeps_its_place_until_its_rollout_has_ended() {
    let labels = std::collections::BTreeMap::from([("role".to_owned(), "web".to_owned())]);
    let mut world = World::empty(2, spec());
    let describe = |world: &mut World, number, labels: &std::collections::BTreeMap<String, String>| {
        let of = super::world::admission(number);
        let (node, address, reads) = (of.id, of.address, of.reads);
        let labels = labels.clone();
        world
            .apply(Command::DescribeNode { node, address, labels, daemon_version: of.daemon_version, reads })
            .unwrap();
    };
    describe(&mut world, 1, &labels);
    describe(&mut world, 2, &labels);
    let mut placed = spec();
    placed.placement = labels;
    world.apply(Command::ApplyApp { spec: placed }).unwrap();
    let rollout = world.start("0.1.0");
    describe(&mut world, 2, &Default::default());
    let knows = |world: &World| world.state.apps[&app()].instances.contains_key(&node(2));
    assert!(knows(&world));
    world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
    world.run(rollout);
    describe(&mut world, 2, &Default::default());
    assert!(!knows(&world));
}

#[test]
fn tokens_and_certificates_are_forgotten_at_their_end() {
    let mut world = World::settled(1, spec());
    let issue = |world: &mut World, number, expires: i64, at: i64| {
        let mut token = token(number);
        token.expires_at = second(expires);
        world.apply_at(second(at), Command::IssueToken { token }).unwrap();
        world.state.authority.tokens.len()
    };
    assert_eq!(issue(&mut world, 1, 100, 0), 1);
    assert_eq!(issue(&mut world, 2, 200, 99), 2);
    assert_eq!(issue(&mut world, 3, 300, 100), 2, "the first has expired");

    let renew = |world: &mut World, not_after: i64, at: i64| {
        let certificate = Certificate { serial: not_after.to_string(), not_after: second(not_after) };
        let renewed = Command::RenewCertificate { node: node(1), certificate, der: vec![] };
        world.apply_at(second(at), renewed).unwrap();
        let valid = world.state.nodes[&node(1)].certificates.iter();
        valid
            .map(|certificate| certificate.serial.clone())
            .filter(|serial| serial != "01")
            .collect::<Vec<_>>()
    };
    assert_eq!(renew(&mut world, 100, 0), ["100"]);
    assert_eq!(renew(&mut world, 200, 99), ["100", "200"]);
    assert_eq!(renew(&mut world, 300, 100), ["200", "300"]);
}

#[test]
fn a_refusal_leaves_no_order_behind() {
    let mut world = World::settled(2, spec());
    world.misbehave.insert((node(2), "prepare"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run(rollout);
    assert!(world.state.apps[&app()].instances[&node(2)].assignment.is_some());
    world.stalled.insert(node(2), spec().upgrade.progress_deadline);
    world.run(rollout);
    assert!(matches!(world.rollout(rollout).phase, Phase::Refused { .. }));
    assert_eq!(world.state.apps[&app()].instances[&node(2)].assignment, None);
}

#[test]
fn a_halt_takes_back_only_what_nobody_has_begun() {
    let mut policy = spec();
    policy.upgrade.canary = 0;
    policy.upgrade.max_in_flight = 2;
    let mut world = World::settled(3, policy);
    world.misbehave.insert((node(2), "upgrade"), Misbehaviour::Silent);
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| {
        matches!(rollout.nodes[&node(1)].step, Step::Upgrading { stage: Stage::Installing, .. })
    });
    world.apply(Command::Abort { rollout, mode: AbortMode::Hold }).unwrap();
    let ordered = |number| world.state.apps[&app()].instances[&node(number)].assignment.is_some();
    assert_eq!([ordered(1), ordered(2), ordered(3)], [true, false, false]);
}

#[test]
fn a_failed_catch_up_is_remembered_with_the_release_it_failed_on() {
    let mut world = World::settled(2, spec());
    world.join(3);
    world.observe_all();
    world.misbehave.insert((node(3), "upgrade"), Misbehaviour::Fails);
    let rollout = world.catch_up().unwrap();
    world.run(rollout);
    let failed = |number| world.state.apps[&app()].instances[&node(number)].catch_up_failed.clone();
    assert_eq!([failed(1), failed(2), failed(3)], [None, None, Some(release("0.1.0"))]);
}

#[test]
fn a_catch_up_that_was_aborted_is_not_tried_again_by_itself() {
    let mut world = World::settled(2, spec());
    world.join(3);
    world.observe_all();
    let rollout = world.catch_up().unwrap();
    world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
    world.run(rollout);
    world.observe_all();
    assert_eq!(world.catch_up(), None);
}

#[test]
fn the_newest_64_plans_are_kept() {
    let mut world = World::settled(1, spec());
    let oldest = world.plan("0.2.0").unwrap();
    for _ in world.state.plans.len()..64 {
        world.plan("0.2.0").unwrap();
    }
    assert_eq!(world.state.plans.len(), 64);
    let first = *world.state.plans.keys().next().unwrap();
    assert!(first <= oldest);
    world.plan("0.2.0").unwrap();
    assert_eq!(world.state.plans.len(), 64);
    assert!(!world.state.plans.contains_key(&first));
}

#[test]
fn the_newest_64_ended_rollouts_are_kept_and_those_that_somebody_still_waits_on() {
    let mut world = World::settled(2, spec());
    let ended = |world: &mut World| {
        let rollout = world.start("0.2.0");
        world.apply(Command::Abort { rollout, mode: AbortMode::Revert }).unwrap();
        world.run(rollout);
        rollout
    };
    let first = ended(&mut world);
    let second = ended(&mut world);
    instance(&mut world, 2).assignment = Some(Assignment {
        generation: Generation(0),
        rollout: first,
        order: Order::Revert,
        from: Some(release("0.1.0")),
        to: release("0.2.0"),
        method: Method::Hot,
        position: 1,
    });
    for _ in 0..70 {
        ended(&mut world);
    }
    assert!(world.state.rollouts.contains_key(&first), "an order of it is not carried out yet");
    assert!(!world.state.rollouts.contains_key(&second));
    // The newest one began after the last one was forgotten.
    assert_eq!(world.state.rollouts.len(), 1 + 64 + 1);
}

#[test]
fn a_canary_is_promoted_once() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    world.apply(Command::Promote { rollout }).unwrap();
    let (revision, events) = (world.rollout(rollout).revision, world.state.events.len());
    world.apply(Command::Promote { rollout }).unwrap();
    assert_eq!((world.rollout(rollout).revision, world.state.events.len()), (revision, events));
}

#[test]
fn an_orphan_that_is_back_has_no_order_any_more() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| matches!(rollout.nodes[&node(1)].step, Step::Healthy { .. }));
    assert!(world.state.apps[&app()].instances[&node(1)].assignment.is_some());
    let outcome = OrphanOutcome::Back { version: Some(version("0.1.0")) };
    world.apply(Command::ReportOrphan { node: node(1), app: app(), rollout, outcome }).unwrap();
    assert_eq!(world.state.apps[&app()].instances[&node(1)].assignment, None);
}

/// After the end nobody would give a node that failed another order; before it, its order to go back comes.
#[test]
fn an_order_to_commit_that_fails_is_over_where_its_rollout_is() {
    for ended in [false, true] {
        let mut world = World::settled(2, spec());
        world.misbehave.insert((node(2), "make permanent"), Misbehaviour::Silent);
        let rollout = world.start("0.2.0");
        world.run_until(rollout, |rollout| matches!(rollout.phase, Phase::Committing { decided: true }));
        world.run(rollout);
        if ended {
            world.elapsed.rollout = spec().upgrade.rollout_deadline;
            world.silence.insert(node(2), spec().upgrade.rollout_deadline);
            world.stalled.insert(node(2), spec().upgrade.rollout_deadline);
            world.run(rollout);
        }
        assert_eq!(matches!(world.rollout(rollout).phase, Phase::NeedsOperator { .. }), ended);
        let generation = world.state.apps[&app()].instances[&node(2)].assignment.as_ref().unwrap().generation;
        let report = Report::Failed { failure: Failure::VmDied { detail: "killed".to_owned() } };
        world.apply(Command::Report { node: node(2), app: app(), generation, report }).unwrap();
        assert_eq!(world.state.apps[&app()].instances[&node(2)].assignment.is_none(), ended);
    }
}
