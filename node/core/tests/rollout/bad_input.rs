use super::world::{World, app, node, release, spec, version};
use relupd_core::driver::{Condition, Observation, Running};
use relupd_core::format::Format;
use relupd_core::ids::BootNonce;
use relupd_core::state::ClusterState;
use relupd_core::state::app::Order;
use relupd_core::state::command::{Actor, Command, Decision, Entry, Report};
use relupd_core::state::node::{Certificate, OperatorRecord, Role};
use relupd_core::state::rejection::{Deed, Rejection, Superseded};
use relupd_core::state::release::{MadeFrom, ReleaseRecord};
use relupd_core::state::rollout::{Phase, Step};

#[test]
fn a_stale_plan_is_not_started() {
    let mut world = World::settled(2, spec());
    let plan = world.plan("0.2.0").unwrap();
    world.join(3);
    assert!(matches!(world.start_plan(plan), Err(Rejection::StalePlan { .. })));
}

#[test]
fn there_is_at_most_one_rollout_per_app() {
    let mut world = World::settled(2, spec());
    let plan = world.plan("0.2.0").unwrap();
    world.start_plan(plan).unwrap();
    assert!(matches!(world.start_plan(plan), Err(Rejection::RolloutRunning { .. })));
    assert!(matches!(world.plan("0.2.0"), Err(Rejection::RolloutRunning { .. })));
}

#[test]
fn what_is_not_there_cannot_be_planned() {
    let mut world = World::settled(2, spec());
    assert!(matches!(world.plan("9.9.9"), Err(Rejection::NoSuchRelease { .. })));
    assert_eq!(world.plan("0.1.0"), Err(Rejection::NothingToDo { app: app(), version: version("0.1.0") }));
}

#[test]
fn what_runs_on_trial_is_taken_off_before_the_next_plan() {
    let mut world = World::settled(2, spec());
    let trial = Observation {
        permanent: Some(version("0.1.0")),
        running: Running::Up { version: version("0.2.0"), boot_nonce: BootNonce("b".to_owned()) },
        condition: Condition::Trial,
    };
    let seen = |observation| Command::Observe {
        node: node(2),
        app: app(),
        observation,
        healthy: Some(true),
        noted: None,
    };
    world.apply(seen(trial)).unwrap();
    for to in ["0.2.0", "0.3.0"] {
        world.push(to, &["0.1.0"]);
        let refused = world.plan(to).unwrap_err();
        assert_eq!(refused, Rejection::OnTrial { app: app(), nodes: vec![node(2)] });
        assert!(refused.to_string().contains("relupctl node repair"), "{refused}");
    }
    world.apply(seen(super::world::observation(Some(&release("0.1.0"))))).unwrap();
    world.plan("0.2.0").unwrap();
}

#[test]
fn what_is_remembered_of_a_rejection_is_values_and_no_prose() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    let decisions = vec![Decision::Assign { node: node(1), order: Order::Upgrade }];
    let early = world.apply(Command::Decide { rollout, revision: 0, decisions });
    let late = Superseded::Order { node: node(1), order: Order::Upgrade };
    assert_eq!(early, Err(Rejection::Superseded(late)));
    let report = Report::Committed;
    world.run_until(rollout, |rollout| rollout.nodes.values().any(|node| node.step != Step::Planned));
    let generation = world.state.apps[&app()].instances[&node(1)].assignment.as_ref().unwrap().generation;
    let odd = world.apply(Command::Report { node: node(1), app: app(), generation, report });
    assert_eq!(odd, Err(Rejection::Superseded(Superseded::Report { order: Order::Prepare })));
    world.run(rollout);
    let ended = world.apply(Command::Pause { rollout }).unwrap_err();
    let phase = Box::new(Phase::Completed);
    assert_eq!(ended, Rejection::WrongPhase { rollout, phase, what: Deed::Pause });
    assert_eq!(ended.to_string(), format!("rollout {rollout} is completed: pausing is not possible"));
}

#[test]
fn revoked_certificates_are_forgotten_some_time_after_their_end() {
    let mut world = World::settled(3, spec());
    let seconds = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    let day = 24 * 3600;
    let revoke = |world: &mut World, name: &str, not_after: i64, at: i64| {
        let certificate = Certificate { serial: name.to_owned(), not_after: seconds(not_after) };
        let (name, role, added_at) = (name.to_owned(), Role::Viewer, seconds(0));
        let operator = OperatorRecord { name: name.clone(), role, certificate, added_at };
        world.apply(Command::AddOperator { operator }).unwrap();
        world.apply_at(seconds(at), Command::RevokeOperator { name }).unwrap();
    };
    revoke(&mut world, "ann", 10 * day, day);
    revoke(&mut world, "bob", 400 * day, 39 * day);
    assert_eq!(world.state.authority.revoked.len(), 2, "clocks may differ");
    revoke(&mut world, "cid", 400 * day, 40 * day);
    assert_eq!(world.state.authority.revoked.keys().collect::<Vec<_>>(), ["bob", "cid"]);
}

#[test]
fn a_version_is_never_replaced_by_other_content() {
    let mut world = World::settled(1, spec());
    let mut record = world.state.releases[&release("0.1.0").name][&version("0.1.0")].clone();
    world.apply(Command::RegisterRelease { release: record.clone() }).unwrap();
    record.id.manifest = relupd_core::ids::Digest::of(b"other");
    let outcome = world.apply(Command::RegisterRelease { release: record });
    assert!(matches!(outcome, Err(Rejection::ReleaseDiffers { .. })));
}

#[test]
fn a_relup_that_the_cluster_made_replaces_a_release_that_nobody_uses() {
    let mut world = World::settled(1, spec());
    let made = |of: &ReleaseRecord, content: &[u8]| {
        let made = MadeFrom {
            replaces: of.id.manifest,
            pushed: of.pushed_manifest(),
            versions: [version("0.1.0")].into(),
        };
        let mut record = ReleaseRecord { made_from: Some(Box::new(made)), ..of.clone() };
        record.id.manifest = relupd_core::ids::Digest::of(content);
        record
    };
    let present = |world: &World, v: &str| world.state.releases[&release(v).name][&version(v)].clone();
    let register = |world: &mut World, release: &ReleaseRecord| {
        world.apply(Command::RegisterRelease { release: release.clone() })
    };

    let running = present(&world, "0.1.0");
    let refused = register(&mut world, &made(&running, b"other"));
    assert!(matches!(refused, Err(Rejection::ReleaseInUse { .. })), "{refused:?}");

    let pushed = present(&world, "0.2.0");
    let first = made(&pushed, b"with relup");
    register(&mut world, &first).unwrap();
    assert_eq!(present(&world, "0.2.0"), first);
    register(&mut world, &pushed).unwrap();
    assert_eq!(present(&world, "0.2.0"), first, "the same push again changes nothing");
    let refused = register(&mut world, &made(&pushed, b"made at the same time"));
    assert!(matches!(refused, Err(Rejection::ReleaseDiffers { .. })), "{refused:?}");
    register(&mut world, &made(&first, b"with two ways")).unwrap();
    assert_eq!(present(&world, "0.2.0").pushed_manifest(), pushed.id.manifest);

    world.start("0.2.0");
    let again = made(&present(&world, "0.2.0"), b"too late");
    let refused = register(&mut world, &again);
    assert!(matches!(refused, Err(Rejection::ReleaseInUse { .. })), "{refused:?}");
}

#[test]
fn labels_that_nobody_carries_are_refused() {
    let mut spec = spec();
    spec.placement.insert("role".to_owned(), "web".to_owned());
    let mut world = World::settled(1, super::world::spec());
    assert!(matches!(world.apply(Command::ApplyApp { spec }), Err(Rejection::NobodyMatches { .. })));
}

#[test]
fn a_decision_against_an_old_revision_changes_nothing() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    let decisions = vec![Decision::Assign { node: node(1), order: Order::Prepare }];
    world.apply(Command::Decide { rollout, revision: 0, decisions: decisions.clone() }).unwrap();
    let before = world.state.apps.clone();
    assert!(world.apply(Command::Decide { rollout, revision: 0, decisions }).is_err());
    assert_eq!(before, world.state.apps);
}

#[test]
fn an_upgrade_before_everybody_is_prepared_is_refused_by_apply() {
    let mut world = World::settled(2, spec());
    let rollout = world.start("0.2.0");
    for decision in [
        Decision::BeginRolling,
        Decision::CommitDecided,
        Decision::Complete,
        Decision::Assign { node: node(1), order: Order::Upgrade },
        Decision::Assign { node: node(1), order: Order::Revert },
    ] {
        let decide = Command::Decide { rollout, revision: 0, decisions: vec![decision.clone()] };
        assert!(world.apply(decide).is_err(), "{decision:?}");
    }
}

#[test]
fn the_same_command_sent_twice_is_applied_once() {
    let mut world = World::settled(1, spec());
    let plan = world.plan("0.2.0").unwrap();
    let entry = Entry {
        id: relupd_core::ids::CommandId::from_parts(99, 99),
        actor: Actor::Operator("test".to_owned()),
        at: jiff::Timestamp::UNIX_EPOCH,
        command: Command::StartRollout { plan },
    };
    let first = world.state.apply(&entry);
    let (state, again) = (world.state.clone(), world.state.apply(&entry));
    assert_eq!(first, again);
    assert_eq!(state, world.state);
}

#[test]
fn a_snapshot_reads_back_as_the_same_state() {
    let mut world = World::settled(3, spec());
    let rollout = world.start("0.2.0");
    world.run_until(rollout, |rollout| !rollout.in_flight().is_empty());
    let read = ClusterState::decode(&world.state.encode(), Format::NEWEST).unwrap();
    assert_eq!(read, world.state);
    assert_eq!(read.digest(), world.state.digest());
}

#[test]
fn a_snapshot_of_a_newer_daemon_is_refused() {
    let world = World::settled(1, spec());
    let mut bytes = world.state.encode();
    bytes[1] = 9;
    let error = ClusterState::decode(&bytes, Format::NEWEST).unwrap_err().to_string();
    assert!(error.contains("format 9"), "{error}");
}

#[test]
fn a_used_token_admits_only_the_same_host_with_the_same_key_again() {
    let mut world = World::settled(1, spec());
    world.join(2);
    let token = relupd_core::ids::TokenId::from_parts(2, 7);
    let again = super::world::admission(2);
    world.apply(Command::AdmitNode { token, node: again.clone() }).unwrap();
    let mut thief = again.clone();
    thief.key = relupd_core::ids::Digest::of(b"another key");
    let stolen = world.apply(Command::AdmitNode { token, node: thief });
    assert!(matches!(stolen, Err(Rejection::Token { .. })));
    let fresh = world.issue_token(3);
    let taken_over = world.apply(Command::AdmitNode { token: fresh, node: again });
    assert!(matches!(taken_over, Err(Rejection::Token { .. })), "an id is never given twice");
}

#[test]
fn a_format_is_raised_once_everybody_reads_it_and_keeps_out_who_does_not() {
    let newer = Format(Format::FIRST.0 + 1);
    let mut world = World::settled(3, spec());
    let describe = |world: &World, number: u64, reads: Format| {
        let record = world.state.present(node(number)).unwrap();
        Command::DescribeNode {
            node: record.id,
            address: record.address,
            labels: record.labels.clone(),
            daemon_version: "0.2.0".to_owned(),
            reads,
        }
    };
    for number in 1..=2 {
        world.apply(describe(&world, number, newer)).unwrap();
    }
    assert_eq!(world.state.next_format(), None);
    let early = world.apply(Command::RaiseFormat { to: newer });
    assert_eq!(early, Err(Rejection::NotEverybodyReads { to: newer, nodes: vec![node(3)] }));
    world.apply(describe(&world, 3, newer)).unwrap();
    assert_eq!(world.state.next_format(), Some(newer));
    world.apply(Command::RaiseFormat { to: newer }).unwrap();
    assert!(matches!(
        world.apply(Command::RaiseFormat { to: newer }),
        Err(Rejection::FormatRaised { format }) if format == newer
    ));
    let older = world.apply(describe(&world, 2, Format::FIRST));
    assert!(matches!(older, Err(Rejection::DaemonTooOld { .. })), "{older:?}");
    // What is written from now on, an older daemon does not mistake for something else.
    let error = ClusterState::decode(&world.state.encode(), Format::FIRST).unwrap_err().to_string();
    assert!(error.contains("install the newer relupd"), "{error}");
}
