//! Each promise bites: a made-up history that breaks it is found, and the same history without the
//! fault is not.

use super::*;
use crate::host::{Cause, Change, OperationId, ProcessTruth, VmTruth, What};
use relupd::agent::decide::{Action, Authority};
use relupd::agent::ledger::{Ladder, LedgerEntry, Trial, TrialProgress};
use relupd::driver::{Condition, Method, Observation, Rung, Running, Transition};
use relupd::format::Format;
use relupd::ids::{
    BootNonce, ClusterId, CommandId, Digest, Generation, PlanId, RaftId, ReleaseVersion, RolloutId,
};
use relupd::spec::{
    AlreadySick, AppSpec, DriverKind, HealthPolicy, MethodPolicy, OnFailure, Orphan, Permanent, Promote,
    ServiceKind, Unreachable, UpgradePolicy,
};
use relupd::state::app::{App, Assignment, Order};
use relupd::state::command::{Actor, Applied, Command, Entry, Report};
use relupd::state::node::{Membership, NodeRecord};
use relupd::state::plan::{Plan, PlanStep, Purpose};
use relupd::state::release::ReleaseId;
use relupd::state::rollout::{
    AbortMode, Elapsed, HaltReason, NodeProgress, Phase, Rollout, Stage, Step, Turn,
};
use relupd::state::{ClusterState, Genesis, Outcome, Quarantine};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const AT: Duration = Duration::from_secs(100);
const ROLLOUT: RolloutId = RolloutId(1);

fn node(number: u64) -> NodeId {
    NodeId::from_parts(number, 0)
}

fn app() -> AppName {
    "shop".parse().expect("a name")
}

fn version(text: &str) -> ReleaseVersion {
    text.parse().expect("a version")
}

fn release(text: &str) -> ReleaseId {
    ReleaseId {
        name: "shop".parse().expect("a name"),
        version: version(text),
        manifest: Digest::of(text.as_bytes()),
    }
}

fn life() -> BootNonce {
    BootNonce("life".to_owned())
}

fn aborted() -> HaltReason {
    HaltReason::Aborted { by: "ann".to_owned(), how: AbortMode::Revert }
}

fn spec() -> AppSpec {
    AppSpec {
        name: app(),
        release: "shop".parse().expect("a name"),
        placement: BTreeMap::new(),
        root: "/opt/shop".to_owned(),
        driver: DriverKind::Erlang,
        service: ServiceKind::Child,
        user: None,
        arguments: vec![],
        environment: BTreeMap::new(),
        stop_grace: Duration::from_secs(1),
        health: HealthPolicy {
            interval: Duration::from_secs(1),
            healthy_after: 1,
            unhealthy_after: 1,
            start_grace: Duration::ZERO,
            checks: vec![],
        },
        upgrade: UpgradePolicy {
            method: MethodPolicy::Auto,
            preflight: Box::default(),
            canary: 0,
            promote: Promote::Auto,
            max_in_flight: 1,
            max_unavailable: 0,
            bake: Duration::from_secs(10),
            permanent: Permanent::AtEnd,
            on_failure: OnFailure::Revert,
            already_sick: AlreadySick::Refuse,
            unreachable: Unreachable::Refuse,
            progress_deadline: Duration::from_secs(60),
            rollout_deadline: Duration::from_secs(3600),
            revert_deadline: Duration::from_secs(600),
            orphan: Orphan::Hold,
        },
    }
}

/// Three nodes on 1.0.0 in a rollout to 2.0.0, in this phase, all of them at this step.
fn state(phase: Phase, step: &Step) -> ClusterState {
    let first = NodeRecord {
        id: node(1),
        raft_id: RaftId(1),
        name: "n1".to_owned(),
        address: "127.0.0.1:1".parse().expect("an address"),
        labels: BTreeMap::new(),
        key: Digest::of(b"key"),
        sealing_key: vec![],
        certificates: vec![],
        renewal: None,
        renewed: None,
        daemon_version: String::new(),
        reads: Format::FIRST,
        joined_at: Default::default(),
        membership: Membership::Present,
    };
    let cluster = ClusterId::from_parts(1, 1);
    let mut state =
        ClusterState::new(Genesis { cluster, certificate: String::new(), sealed_key: vec![], first });
    let plan_step = |number| PlanStep {
        node: node(number),
        from: Some(release("1.0.0")),
        method: Method::Hot,
        because: String::new(),
        way_back: vec![],
        canary: false,
    };
    let progress = |position| NodeProgress {
        position,
        method: Method::Hot,
        touched: Some(Generation(u64::from(position) + 1)),
        had_its_turn: false,
        orphaned: false,
        step: step.clone(),
    };
    let rollout = Rollout {
        id: ROLLOUT,
        plan: Arc::new(Plan {
            id: PlanId(1),
            app: app(),
            basis: 1,
            to: release("2.0.0"),
            steps: (1..=3).map(plan_step).collect(),
            purpose: Purpose::Roll,
            made_by: String::new(),
            made_at: Default::default(),
        }),
        spec: spec(),
        previous: None,
        revision: 1,
        paused: None,
        promoted: true,
        nodes: (0..3).map(|position| (node(u64::from(position) + 1), progress(position).into())).collect(),
        elapsed: Elapsed::default(),
        started_by: String::new(),
        started_at: Default::default(),
        ended_at: None,
        phase,
    };
    let completed = rollout.phase == Phase::Completed;
    let on_its_way = (!rollout.phase.is_terminal()).then_some(ROLLOUT);
    state.apps.insert(
        app(),
        App {
            spec: spec(),
            basis: 1,
            current: Some(release(if completed { "2.0.0" } else { "1.0.0" })),
            running: true,
            rollout: on_its_way,
            instances: (1..=3).map(|number| (node(number), Arc::default())).collect(),
        },
    );
    state.rollouts.insert(ROLLOUT, Arc::new(rollout));
    state.next.generation = 10;
    state.next.rollout = 1;
    state
}

fn order(state: &mut ClusterState, number: u64, generation: u64, order: Order) {
    let instance = state.apps.get_mut(&app()).and_then(|app| app.instances.get_mut(&node(number)));
    Arc::make_mut(instance.expect("an instance")).assignment = Some(Assignment {
        generation: Generation(generation),
        rollout: ROLLOUT,
        order,
        from: Some(release("1.0.0")),
        to: release("2.0.0"),
        method: Method::Hot,
        position: 0,
    });
}

/// Hosts as a test has them.
#[derive(Default)]
struct Fleet {
    truths: BTreeMap<NodeId, Truth>,
    cut_off: BTreeSet<NodeId>,
}

impl Fleet {
    /// Three hosts that boot and run these.
    fn on(permanent: &str, runs: &str) -> Self {
        let truths = (1..=3).map(|number| (node(number), truth(permanent, runs))).collect();
        Self { truths, cut_off: BTreeSet::new() }
    }

    fn change(mut self, number: u64, change: impl FnOnce(&mut Truth)) -> Self {
        change(self.truths.get_mut(&node(number)).expect("a host"));
        self
    }
}

impl Hosts for Fleet {
    fn truth(&self, node: NodeId, _app: &AppName) -> Option<Truth> {
        self.truths.get(&node).cloned()
    }

    fn was_out_of_reach(&self, node: NodeId) -> bool {
        self.cut_off.contains(&node)
    }
}

fn truth(permanent: &str, runs: &str) -> Truth {
    Truth {
        permanent: Some(version(permanent)),
        pointer_torn_for: None,
        pointers_agree: true,
        process: ProcessTruth::Up(VmTruth {
            nonce: life(),
            code: Some(version(runs)),
            environment: version(runs),
            handler_permanent: Some(version(permanent)),
            changing: false,
            unmigrated: false,
            ran_for: Duration::from_secs(60),
            rounds_passed: 9,
            rounds_failed_in_a_row: 0,
        }),
        down_by_us: false,
    }
}

fn entry(number: u128) -> Entry {
    Entry {
        id: CommandId::from_parts(1, number),
        actor: Actor::Operator("ann".to_owned()),
        at: Default::default(),
        command: Command::Resume { rollout: ROLLOUT },
    }
}

const DONE: Outcome = Ok(Applied::Done);

/// Which promises an auditor found broken.
fn broken_by(mut auditor: Auditor) -> BTreeSet<&'static str> {
    auditor.take_violations().into_iter().map(|violation| violation.promise).collect()
}

/// What an auditor finds when one entry leads from one state to the other.
fn over(before: ClusterState, after: ClusterState, fleet: &Fleet) -> BTreeSet<&'static str> {
    let mut auditor = Auditor::new(1);
    auditor.applied(AT, node(1), 1, Some((&entry(1), &DONE)), &Arc::new(before), fleet);
    auditor.take_violations();
    auditor.applied(AT, node(1), 2, Some((&entry(2), &DONE)), &Arc::new(after), fleet);
    broken_by(auditor)
}

fn healthy() -> Step {
    Step::Healthy { boot_nonce: life() }
}

fn upgrading() -> Step {
    Step::Upgrading { generation: Generation(1), stage: Stage::Baking }
}

fn reverting() -> Step {
    Step::Reverting { generation: Generation(5), turn: Turn::Given, tried: vec![] }
}

#[test]
fn s1_two_rollouts_of_an_app_are_found() {
    let mut twice = state(Phase::Rolling, &healthy());
    let second = Rollout { id: RolloutId(2), ..twice.rollouts[&ROLLOUT].as_ref().clone() };
    assert_eq!(over(state(Phase::Rolling, &healthy()), twice.clone(), &Fleet::default()), BTreeSet::new());
    twice.rollouts.insert(RolloutId(2), Arc::new(second));
    assert_eq!(over(state(Phase::Rolling, &healthy()), twice, &Fleet::default()), BTreeSet::from(["S1"]));
}

#[test]
fn s2_a_node_down_by_our_doing_counts_beside_one_without_a_verdict() {
    let mut rolling = state(Phase::Rolling, &healthy());
    let rollout = Arc::make_mut(rolling.rollouts.get_mut(&ROLLOUT).expect("a rollout"));
    Arc::make_mut(rollout.nodes.get_mut(&node(2)).expect("a node")).step = upgrading();
    let found = |fleet: &Fleet| {
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, None, &Arc::new(rolling.clone()), fleet);
        auditor.after_event(fleet);
        broken_by(auditor)
    };
    assert_eq!(found(&Fleet::on("1.0.0", "1.0.0")), BTreeSet::new());
    let down = Fleet::on("1.0.0", "1.0.0").change(1, |truth| truth.down_by_us = true);
    assert_eq!(found(&down), BTreeSet::from(["S2"]));
    let same = Fleet::on("1.0.0", "1.0.0").change(2, |truth| truth.down_by_us = true);
    assert_eq!(found(&same), BTreeSet::new());
}

#[test]
fn s2_on_the_way_back_only_nodes_out_of_reach_are_not_counted() {
    let back = state(Phase::Reverting { reason: aborted() }, &reverting());
    let found = |fleet: &Fleet| {
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, None, &Arc::new(back.clone()), fleet);
        auditor.after_event(fleet);
        broken_by(auditor)
    };
    let mut fleet = Fleet::on("1.0.0", "2.0.0");
    assert_eq!(found(&fleet), BTreeSet::from(["S2"]));
    fleet.cut_off = BTreeSet::from([node(1), node(2)]);
    assert_eq!(found(&fleet), BTreeSet::new());
}

#[test]
fn s3_an_upgrade_that_is_ordered_after_a_halt_is_found() {
    let halted = state(Phase::Reverting { reason: aborted() }, &healthy());
    let mut after = halted.clone();
    after.next.generation = 11;
    order(&mut after, 1, 10, Order::Revert);
    assert_eq!(over(halted.clone(), after.clone(), &Fleet::default()), BTreeSet::new());
    order(&mut after, 1, 10, Order::Upgrade);
    assert!(over(halted, after, &Fleet::default()).contains("S3"));
}

#[test]
fn s3_an_order_that_nobody_has_begun_does_not_outlive_the_halt() {
    let assigned = Step::Upgrading { generation: Generation(1), stage: Stage::Assigned };
    let mut halted = state(Phase::Halted { reason: aborted() }, &assigned);
    assert!(!halted.violations().iter().any(|violation| violation.promise == "S3"));
    order(&mut halted, 1, 1, Order::Upgrade);
    assert!(halted.violations().iter().any(|violation| violation.promise == "S3"));
}

/// Orders 3 and 4 were given to node 1, at 100 s and 200 s.
fn ordered_twice() -> Auditor {
    let mut auditor = Auditor::new(1);
    for (index, generation) in [(1, 3), (2, 4)] {
        let mut state = state(Phase::Rolling, &healthy());
        order(&mut state, 1, generation, Order::Upgrade);
        auditor.applied(
            AT * u32::try_from(index).expect("small"),
            node(1),
            index,
            Some((&entry(u128::from(index)), &DONE)),
            &Arc::new(state),
            &Fleet::default(),
        );
    }
    auditor.take_violations();
    auditor
}

fn install(generation: u64) -> Action {
    Action::Install { transition: transition(), trial: trial(generation) }
}

fn transition() -> Transition {
    let operation = "shop-install".to_owned();
    Transition { from: Some(version("1.0.0")), to: version("2.0.0"), method: Method::Hot, operation }
}

fn trial(generation: u64) -> Trial {
    Trial {
        rollout: ROLLOUT,
        generation: Generation(generation),
        attempt: 1,
        falls: 0,
        method: Method::Hot,
        life_before: None,
        host_boot: String::new(),
        progress: TrialProgress::Begun,
    }
}

/// What an auditor finds when this begins on node 1, where order 4 is the newest that is applied.
fn begun(action: &Action, read_asked_at: Option<u64>, noted: bool, phase: Phase) -> BTreeSet<&'static str> {
    let mut auditor = ordered_twice();
    begin(&mut auditor, action, read_asked_at, noted, phase);
    broken_by(auditor)
}

fn begin(auditor: &mut Auditor, action: &Action, read: Option<u64>, noted: bool, phase: Phase) {
    let mut applied = state(phase, &healthy());
    let newest = match action {
        Action::Install { trial, .. } => trial.generation.0,
        _ => 4,
    };
    order(&mut applied, 1, newest, Order::Upgrade);
    let ledger = LedgerEntry { trial: Some(trial(newest)), ..LedgerEntry::default() };
    auditor.begins(
        OperationId(1),
        &Effect {
            node: node(1),
            app: app(),
            action: action.clone(),
            applied: Arc::new(applied),
            read_asked_at: read.map(Duration::from_secs),
            contact_age: Duration::ZERO,
            noted_now: true,
            on_disk: noted.then_some(ledger),
            truth: truth("1.0.0", "1.0.0"),
        },
    );
}

#[test]
fn s4_an_effect_by_an_order_that_was_overtaken_before_the_read_is_found() {
    let found = |generation, read| begun(&install(generation), read, true, Phase::Rolling);
    assert_eq!(found(4, Some(250)), BTreeSet::new());
    assert_eq!(found(3, Some(150)), BTreeSet::new());
    assert_eq!(found(3, Some(250)), BTreeSet::from(["S4"]));
    assert_eq!(found(4, None), BTreeSet::from(["S4"]));
}

#[test]
fn s4_an_effect_that_is_not_in_the_ledger_is_found() {
    assert_eq!(begun(&install(4), Some(250), false, Phase::Rolling), BTreeSet::from(["S4"]));
}

#[test]
fn s4_an_orphan_that_goes_back_too_soon_or_after_the_decision_is_found() {
    let ladder = Ladder::default();
    let by = Authority::Orphan(ROLLOUT);
    let back = Action::RollBack { transition: transition(), rung: Rung::Restart, ladder, by };
    // The policy of these tests is to hold.
    assert!(begun(&back, None, true, Phase::Rolling).contains("S4"));
    assert!(begun(&back, None, true, Phase::Committing { decided: true }).contains("S4"));
}

#[test]
fn s4_a_repair_towards_what_nobody_decided_is_found() {
    let repair = |text| Action::Repair { decided: Some(version(text)), ordered: None, by: None };
    let found = |text| {
        let mut auditor = ordered_twice();
        let mut applied = state(Phase::Rolling, &healthy());
        order(&mut applied, 1, 4, Order::Commit);
        auditor.begins(
            OperationId(1),
            &Effect {
                node: node(1),
                app: app(),
                action: repair(text),
                applied: Arc::new(applied),
                read_asked_at: None,
                contact_age: Duration::ZERO,
                noted_now: false,
                on_disk: None,
                truth: truth("1.0.0", "1.0.0"),
            },
        );
        broken_by(auditor)
    };
    assert_eq!(found("2.0.0"), BTreeSet::new());
    assert_eq!(found("1.0.0"), BTreeSet::from(["S4"]));
}

#[test]
fn s4_a_change_that_no_operation_was_for_is_found() {
    let change = |to: &str| Change {
        at: AT,
        what: What::Runs { from: Some(version("1.0.0")), to: Some(version(to)) },
        cause: Cause::Operation(OperationId(1)),
    };
    let changed = |change: &Change| {
        let mut auditor = ordered_twice();
        begin(&mut auditor, &install(4), Some(250), true, Phase::Rolling);
        auditor.changed(node(1), &app(), change);
        broken_by(auditor)
    };
    assert_eq!(changed(&change("2.0.0")), BTreeSet::new());
    assert_eq!(changed(&change("3.0.0")), BTreeSet::from(["S4"]));
    let other = Change { cause: Cause::Operation(OperationId(9)), ..change("2.0.0") };
    assert_eq!(changed(&other), BTreeSet::from(["S4"]));
}

/// What is found when node 1 says this of itself.
fn says(report: &Report, truth: &Truth) -> BTreeSet<&'static str> {
    let mut applied = state(Phase::Rolling, &upgrading());
    order(&mut applied, 1, 4, Order::Upgrade);
    let mut auditor = Auditor::new(1);
    auditor.says(&Said {
        node: node(1),
        app: app(),
        report: report.clone(),
        applied: Arc::new(applied),
        truth: truth.clone(),
        clock_error: Duration::ZERO,
    });
    broken_by(auditor)
}

#[test]
fn s6_a_verdict_on_another_life_another_version_or_half_a_bake_is_found() {
    let report = Report::Healthy { boot_nonce: life() };
    let good = truth("1.0.0", "2.0.0");
    let with = |change: &dyn Fn(&mut VmTruth)| {
        let mut truth = good.clone();
        if let ProcessTruth::Up(vm) = &mut truth.process {
            change(vm);
        }
        says(&report, &truth)
    };
    assert_eq!(with(&|_| {}), BTreeSet::new());
    assert_eq!(with(&|vm| vm.nonce = BootNonce("another".to_owned())), BTreeSet::from(["S6"]));
    assert_eq!(with(&|vm| vm.code = Some(version("1.0.0"))), BTreeSet::from(["S6"]));
    assert_eq!(with(&|vm| vm.ran_for = Duration::from_secs(5)), BTreeSet::from(["S6"]));
}

#[test]
fn s5_a_node_that_says_it_is_there_is_there() {
    assert_eq!(says(&Report::Committed, &truth("2.0.0", "2.0.0")), BTreeSet::new());
    assert_eq!(says(&Report::Committed, &truth("1.0.0", "2.0.0")), BTreeSet::from(["S5"]));
    let back = Report::Reverted { by: None, tried: vec![] };
    assert_eq!(says(&back, &truth("1.0.0", "1.0.0")), BTreeSet::new());
    assert_eq!(says(&back, &truth("1.0.0", "2.0.0")), BTreeSet::from(["S5"]));
}

#[test]
fn a_rollout_of_a_stale_plan_or_to_a_quarantined_release_is_found() {
    let after = state(Phase::Preparing, &Step::Planned);
    let mut before = after.clone();
    before.rollouts.clear();
    before.apps.get_mut(&app()).expect("the app").rollout = None;
    assert_eq!(over(before.clone(), after.clone(), &Fleet::default()), BTreeSet::new());
    let mut moved = before.clone();
    moved.apps.get_mut(&app()).expect("the app").basis = 7;
    assert_eq!(over(moved, after.clone(), &Fleet::default()), BTreeSet::from(["plan"]));
    let known = Quarantine {
        name: "shop".parse().expect("a name"),
        version: version("2.0.0"),
        rollout: RolloutId(0),
        reason: "did harm".to_owned(),
        since: Default::default(),
    };
    before.quarantine.insert(release("2.0.0").manifest, known);
    assert_eq!(over(before, after, &Fleet::default()), BTreeSet::from(["quarantine"]));
}

#[test]
fn s5_completed_means_that_every_host_boots_and_runs_the_new_version() {
    let found = |fleet: &Fleet| {
        let before = state(Phase::Committing { decided: true }, &Step::Committed);
        over(before, state(Phase::Completed, &Step::Committed), fleet)
    };
    assert_eq!(found(&Fleet::on("2.0.0", "2.0.0")), BTreeSet::new());
    assert_eq!(found(&Fleet::on("1.0.0", "2.0.0")), BTreeSet::from(["S5"]));
    assert_eq!(found(&Fleet::on("2.0.0", "1.0.0")), BTreeSet::from(["S5"]));
    let down = Fleet::on("2.0.0", "2.0.0").change(2, |truth| truth.process = ProcessTruth::None);
    assert_eq!(found(&down), BTreeSet::new());
}

#[test]
fn s5_whoever_is_elsewhere_at_the_end_is_named() {
    let found = |named: Vec<NodeId>| {
        let held = Phase::Held { reason: aborted(), elsewhere: named };
        let fleet = Fleet::on("1.0.0", "1.0.0").change(2, |on| *on = truth("1.0.0", "2.0.0"));
        over(state(Phase::Halted { reason: aborted() }, &healthy()), state(held, &healthy()), &fleet)
    };
    assert_eq!(found(vec![node(2)]), BTreeSet::new());
    assert_eq!(found(vec![]), BTreeSet::from(["S5"]));
}

#[test]
fn s5_reverted_means_that_every_host_is_back() {
    let found = |fleet: &Fleet| {
        let back = Step::Reverted { by: None };
        let before = state(Phase::Reverting { reason: aborted() }, &back);
        over(before, state(Phase::Reverted { reason: aborted() }, &back), fleet)
    };
    assert_eq!(found(&Fleet::on("1.0.0", "1.0.0")), BTreeSet::new());
    let one_left = Fleet::on("1.0.0", "1.0.0").change(3, |on| *on = truth("2.0.0", "2.0.0"));
    assert_eq!(found(&one_left), BTreeSet::from(["S5"]));
}

#[test]
fn s6_a_pointer_that_moves_before_the_decision_is_found() {
    let moved = |phase: Phase, step: Step| {
        let mut auditor = Auditor::new(1);
        let judged = Arc::new(state(Phase::Committing { decided: false }, &step));
        auditor.applied(AT, node(1), 1, None, &judged, &Fleet::default());
        let at = Step::Committing { generation: Generation(6), turn: Turn::NotAsked };
        auditor.applied(AT, node(1), 2, None, &Arc::new(state(phase, &at)), &Fleet::default());
        auditor.take_violations();
        let what = What::Permanent { from: Some(version("1.0.0")), to: Some(version("2.0.0")) };
        auditor.changed(node(1), &app(), &Change { at: AT, what, cause: Cause::Manager });
        broken_by(auditor)
    };
    let ready = Step::ReadyToCommit { boot_nonce: life() };
    assert_eq!(moved(Phase::Committing { decided: true }, ready.clone()), BTreeSet::new());
    assert_eq!(moved(Phase::Committing { decided: false }, ready), BTreeSet::from(["S6"]));
    assert_eq!(moved(Phase::Committing { decided: true }, upgrading()), BTreeSet::from(["S6"]));
}

#[test]
fn s7_a_way_back_that_is_turned_round_is_found() {
    let back = || state(Phase::Reverting { reason: aborted() }, &reverting());
    let found = |phase| over(back(), state(phase, &healthy()), &Fleet::default());
    assert!(found(Phase::Rolling).contains("S7"));
    assert!(!found(Phase::Halted { reason: aborted() }).contains("S7"));
    let ended = state(Phase::Reverted { reason: aborted() }, &Step::Reverted { by: None });
    let reopened = over(ended, back(), &Fleet::default());
    assert!(reopened.contains("S7"));
}

#[test]
fn s8_states_that_part_are_found() {
    let mut auditor = Auditor::new(1);
    let mut other = state(Phase::Rolling, &healthy());
    auditor.applied(AT, node(1), 1, None, &Arc::new(other.clone()), &Fleet::default());
    auditor.applied(AT, node(2), 1, None, &Arc::new(other.clone()), &Fleet::default());
    assert!(auditor.take_violations().is_empty());
    other.next.event += 1;
    auditor.applied(AT, node(3), 1, None, &Arc::new(other), &Fleet::default());
    assert_eq!(broken_by(auditor), BTreeSet::from(["S8"]));
}

#[test]
fn s9_a_mix_that_lasts_is_found_unless_it_is_known_and_left_to_an_operator() {
    let found = |known: bool, waits: bool| {
        let mut end = state(Phase::Held { reason: aborted(), elsewhere: vec![] }, &healthy());
        let instance = end.apps.get_mut(&app()).and_then(|app| app.instances.get_mut(&node(1)));
        let instance = instance.expect("an instance");
        let instance = Arc::make_mut(instance);
        instance.settled = Some(release("1.0.0"));
        instance.observed = known.then(|| Observation {
            permanent: Some(version("1.0.0")),
            running: Running::Up { version: version("1.0.0"), boot_nonce: life() },
            condition: Condition::HalfEnvironment { detail: String::new() },
        });
        if waits {
            order(&mut end, 1, 1, Order::Drain);
        }
        let half = Fleet::on("1.0.0", "1.0.0").change(1, |truth| {
            if let ProcessTruth::Up(vm) = &mut truth.process {
                vm.environment = version("2.0.0");
            }
        });
        let mut auditor = Auditor::new(1);
        auditor.at_the_end(&[(node(1), 0, Arc::new(end))], &half);
        broken_by(auditor)
    };
    assert_eq!(found(true, true), BTreeSet::new());
    assert_eq!(found(true, false), BTreeSet::from(["S9"]));
    assert_eq!(found(false, true), BTreeSet::from(["S9"]));
}

#[test]
fn s10_a_message_of_a_removed_node_that_is_heard_is_found() {
    let contact = Contact { from: node(1), to: node(2), refused: true, heard: false, answered: false };
    assert!(a_revoked_peer_changes_nothing_and_learns_nothing(contact).is_none());
    let heard = Contact { heard: true, ..contact };
    assert!(a_revoked_peer_changes_nothing_and_learns_nothing(heard).is_some());
    let member = Contact { refused: false, ..heard };
    assert!(a_revoked_peer_changes_nothing_and_learns_nothing(member).is_none());
}

#[test]
fn s11_a_rollout_that_never_ends_is_found() {
    let end = |phase, step: &Step| {
        let mut auditor = Auditor::new(1);
        auditor.at_the_end(&[(node(1), 0, Arc::new(state(phase, step)))], &Fleet::default());
        broken_by(auditor)
    };
    assert_eq!(end(Phase::Completed, &Step::Committed), BTreeSet::new());
    assert_eq!(end(Phase::Rolling, &healthy()), BTreeSet::from(["S11"]));
}

#[test]
fn s12_an_acknowledged_command_that_is_lost_or_replaced_is_found() {
    let held = Arc::new(state(Phase::Completed, &Step::Committed));
    let mut auditor = Auditor::new(1);
    auditor.answered(entry(1).id, &DONE);
    assert_eq!(broken_by(auditor), BTreeSet::from(["S12"]));

    let acknowledged = || {
        let mut auditor = Auditor::new(1);
        auditor.applied(AT, node(1), 1, Some((&entry(1), &DONE)), &held, &Fleet::default());
        auditor.answered(entry(1).id, &DONE);
        assert!(auditor.take_violations().is_empty());
        auditor
    };
    let mut replaced = acknowledged();
    replaced.applied(AT, node(2), 1, Some((&entry(2), &DONE)), &held, &Fleet::default());
    assert_eq!(broken_by(replaced), BTreeSet::from(["S12"]));
    let mut lost = acknowledged();
    lost.at_the_end(&[(node(2), 0, Arc::clone(&held))], &Fleet::default());
    assert_eq!(broken_by(lost), BTreeSet::from(["S12"]));
    let mut kept = acknowledged();
    kept.at_the_end(&[(node(1), 1, Arc::clone(&held))], &Fleet::default());
    assert_eq!(broken_by(kept), BTreeSet::new());
}

#[test]
fn s12_a_command_that_takes_effect_twice_is_found() {
    let mut after = state(Phase::Completed, &Step::Committed);
    let mut auditor = Auditor::new(1);
    auditor.applied(AT, node(1), 1, Some((&entry(1), &DONE)), &Arc::new(after.clone()), &Fleet::default());
    auditor.applied(AT, node(1), 2, Some((&entry(1), &DONE)), &Arc::new(after.clone()), &Fleet::default());
    assert!(auditor.take_violations().is_empty());
    after.next.event += 1;
    auditor.applied(AT, node(1), 3, Some((&entry(1), &DONE)), &Arc::new(after), &Fleet::default());
    assert_eq!(broken_by(auditor), BTreeSet::from(["S12"]));
}

#[test]
fn s12_a_read_that_misses_what_was_committed_before_it_is_found() {
    let mut auditor = Auditor::new(1);
    auditor.read(node(1), 7, 7);
    assert!(auditor.take_violations().is_empty());
    auditor.read(node(1), 6, 7);
    assert_eq!(broken_by(auditor), BTreeSet::from(["S12"]));
}
