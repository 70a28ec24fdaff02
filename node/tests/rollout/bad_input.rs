use super::world::{World, app, node, release, spec, version};
use relupd::state::ClusterState;
use relupd::state::app::Order;
use relupd::state::command::{Actor, Command, Decision, Entry};
use relupd::state::rejection::Rejection;

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
fn a_version_is_never_replaced_by_other_content() {
    let mut world = World::settled(1, spec());
    let mut record = world.state.releases[&release("0.1.0").name][&version("0.1.0")].clone();
    world.apply(Command::RegisterRelease { release: record.clone() }).unwrap();
    record.id.manifest = relupd::ids::Digest::of(b"other");
    let outcome = world.apply(Command::RegisterRelease { release: record });
    assert!(matches!(outcome, Err(Rejection::ReleaseDiffers { .. })));
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
        id: relupd::ids::CommandId::from_parts(99, 99),
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
    let read = ClusterState::decode(&world.state.encode()).unwrap();
    assert_eq!(read, world.state);
    assert_eq!(read.digest(), world.state.digest());
}

#[test]
fn a_snapshot_of_a_newer_daemon_is_refused() {
    let world = World::settled(1, spec());
    let mut bytes = world.state.encode();
    bytes[1] = 9;
    let error = ClusterState::decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("format 9"), "{error}");
}

#[test]
fn a_used_token_admits_only_the_same_host_with_the_same_key_again() {
    let mut world = World::settled(1, spec());
    world.join(2);
    let token = relupd::ids::TokenId::from_parts(2, 7);
    let again = super::world::admission(2);
    world.apply(Command::AdmitNode { token, node: again.clone() }).unwrap();
    let mut thief = again.clone();
    thief.key = relupd::ids::Digest::of(b"another key");
    let stolen = world.apply(Command::AdmitNode { token, node: thief });
    assert!(matches!(stolen, Err(Rejection::Token { .. })));
    let fresh = world.issue_token(3);
    let taken_over = world.apply(Command::AdmitNode { token: fresh, node: again });
    assert!(matches!(taken_over, Err(Rejection::Token { .. })), "an id is never given twice");
}
