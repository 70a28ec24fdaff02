//! Whole rollouts: what the agents do to the hosts, and how often.

use super::cluster::{Cluster, spec};
use crate::driver::fake::{Fault, Step as FakeStep};
use crate::driver::{CheckResult, Rung};
use crate::spec::{MethodPolicy, Orphan};
use crate::state::rollout::{Failure, HaltReason, Phase, Stage, Step};
use relupd_core::samples::{app, node};
use std::time::Duration;

const NEW: (Option<String>, Option<String>) = (None, None);

fn both(version: &str) -> (Option<String>, Option<String>) {
    (Some(version.to_owned()), Some(version.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_rollout_makes_every_node_permanent_and_takes_each_step_once() {
    let cluster = Cluster::settled(3, spec()).await;
    let mut lives = vec![];
    for number in 1..=3 {
        assert_eq!(cluster.versions(number).await, both("0.1.0"));
        lives.push(cluster.host(number).running().await.unwrap().1);
    }
    let rollout = cluster.start("0.2.0").await;
    assert_eq!(cluster.end_of(rollout).await, Phase::Completed);
    for number in 1..=3_u64 {
        assert_eq!(cluster.versions(number).await, both("0.2.0"));
        assert_eq!(cluster.host(number).running().await.unwrap().1, lives.remove(0), "the VM lived on");
        let steps = cluster.steps(number).await;
        // Two rollouts, each with one installation and one commit.
        assert_eq!(steps.len(), 4, "{steps:?}");
        assert!(steps.values().all(|count| *count == 1), "{steps:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_health_takes_touched_nodes_back_hot_and_touches_nobody_else() {
    let cluster = Cluster::settled(3, spec()).await;
    cluster.sicken(2, "0.2.0");
    let rollout = cluster.start("0.2.0").await;
    let Phase::Reverted { reason } = cluster.end_of(rollout).await else { panic!("not reverted") };
    assert!(
        matches!(&reason, HaltReason::NodeFailed { node: failed, failure: Failure::Health { .. } } if *failed == node(2)),
        "{reason:?}"
    );
    for number in 1..=3 {
        assert_eq!(cluster.versions(number).await, both("0.1.0"));
    }
    for number in 1..=2 {
        let step = &cluster.rollout(rollout).nodes[&node(number)].step;
        assert_eq!(step, &Step::Reverted { by: Some(Rung::RelupDown) });
        assert!(cluster.steps(number).await.values().all(|count| *count == 1));
    }
    assert_eq!(cluster.steps(3).await.len(), 2, "only the first installation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_not_work_on_the_app_refuses_the_rollout_with_the_reason() {
    let mut cluster = Cluster::settled(2, spec()).await;
    cluster.kill_agent(2).await;
    cluster.forbid(2);
    cluster.start_agent(2);
    let rollout = cluster.start("0.2.0").await;
    let phase = cluster.end_of(rollout).await;
    assert!(matches!(&phase, Phase::Refused { .. }), "{phase:?}");
    assert!(format!("{phase:?}").contains("cannot work on app shop here: forbidden here"), "{phase:?}");
    for number in 1..=2 {
        assert_eq!(cluster.versions(number).await, both("0.1.0"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_in_code_change_is_said_with_its_reason_and_the_node_is_back() {
    let cluster = Cluster::settled(1, spec()).await;
    cluster.host(1).script(FakeStep::Install, Fault::Crash).await;
    let rollout = cluster.start("0.2.0").await;
    let Phase::Reverted { reason } = cluster.end_of(rollout).await else { panic!("not reverted") };
    let HaltReason::NodeFailed { failure: Failure::Install { reason }, .. } = reason else {
        panic!("{reason:?}")
    };
    assert!(reason.contains("the VM went away"), "{reason}");
    assert_eq!(cluster.versions(1).await, both("0.1.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_that_dies_during_its_bake_is_a_failed_verdict() {
    let mut spec = spec();
    spec.upgrade.bake = Duration::from_secs(3600);
    let cluster = Cluster::settled_without_bake(1, spec).await;
    let rollout = cluster.start("0.2.0").await;
    cluster
        .until("baking", |state| {
            let step = &state.rollouts[&rollout].nodes[&node(1)].step;
            matches!(step, Step::Upgrading { stage: Stage::Baking, .. })
        })
        .await;
    cluster.host(1).kill().await;
    let Phase::Reverted { reason } = cluster.end_of(rollout).await else { panic!("not reverted") };
    assert!(matches!(reason, HaltReason::NodeFailed { failure: Failure::VmDied { .. }, .. }), "{reason:?}");
    assert_eq!(cluster.versions(1).await, both("0.1.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gentle_rung_that_fails_leads_to_the_next() {
    let cluster = Cluster::settled(1, spec()).await;
    cluster.sicken(1, "0.2.0");
    cluster.host(1).script(FakeStep::RollBack(Rung::RelupDown), Fault::Lie).await;
    let rollout = cluster.start("0.2.0").await;
    assert!(matches!(cluster.end_of(rollout).await, Phase::Reverted { .. }));
    let step = cluster.rollout(rollout).nodes[&node(1)].step.clone();
    assert_eq!(step, Step::Reverted { by: Some(Rung::Restart) });
    assert_eq!(cluster.versions(1).await, both("0.1.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_rung_leads_back_the_operator_is_called() {
    let cluster = Cluster::settled(1, spec()).await;
    cluster.sicken(1, "0.2.0");
    let taken = [Rung::RelupDown, Rung::Restart, Rung::Restart, Rung::Restart];
    for rung in taken {
        cluster.host(1).script(FakeStep::RollBack(rung), Fault::Fail("no".to_owned())).await;
    }
    let rollout = cluster.start("0.2.0").await;
    assert!(matches!(cluster.end_of(rollout).await, Phase::NeedsOperator { .. }));
    let step = cluster.rollout(rollout).nodes[&node(1)].step.clone();
    let Step::RevertFailed { tried } = step else { panic!("{step:?}") };
    assert_eq!(tried.iter().map(|tried| tried.rung).collect::<Vec<_>>(), taken);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vm_that_dies_under_the_last_rung_needs_no_operator() {
    for fault in [Fault::Fail("the VM died".to_owned()), Fault::Lie] {
        let cluster = Cluster::settled(1, spec()).await;
        cluster.sicken(1, "0.2.0");
        cluster.host(1).script(FakeStep::RollBack(Rung::RelupDown), Fault::Lie).await;
        cluster.host(1).script(FakeStep::RollBack(Rung::Restart), fault).await;
        let rollout = cluster.start("0.2.0").await;
        assert!(matches!(cluster.end_of(rollout).await, Phase::Reverted { .. }));
        assert_eq!(cluster.versions(1).await, both("0.1.0"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_installation_that_fails_leaves_nothing_behind() {
    let cluster = Cluster::new(2, spec()).await;
    cluster.sicken(2, "0.1.0");
    let rollout = cluster.start("0.1.0").await;
    assert!(matches!(cluster.end_of(rollout).await, Phase::Reverted { .. }));
    for number in 1..=2 {
        assert_eq!(cluster.versions(number).await, NEW);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_turns_hot_into_restart_or_refuses_by_policy() {
    let not_hot =
        || Fault::Check(CheckResult::NotHot { reason: "no relup".to_owned(), remedy: String::new() });
    let cluster = Cluster::settled(1, spec()).await;
    let before = cluster.host(1).running().await.unwrap().1;
    cluster.host(1).script(FakeStep::Preflight, not_hot()).await;
    let rollout = cluster.start("0.2.0").await;
    assert_eq!(cluster.end_of(rollout).await, Phase::Completed);
    assert_ne!(cluster.host(1).running().await.unwrap().1, before, "restarted");

    let mut hot = spec();
    hot.upgrade.method = MethodPolicy::Hot;
    let cluster = Cluster::settled(1, hot).await;
    cluster.host(1).script(FakeStep::Preflight, not_hot()).await;
    let rollout = cluster.start("0.2.0").await;
    assert!(matches!(cluster.end_of(rollout).await, Phase::Refused { .. }));
    assert_eq!(cluster.versions(1).await, both("0.1.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphan_takes_itself_back_and_says_so_on_its_return() {
    let mut spec = spec();
    spec.upgrade.bake = Duration::from_secs(3600);
    spec.upgrade.orphan = Orphan::Revert { after: Duration::from_secs(60), stagger: Duration::from_secs(10) };
    let cluster = Cluster::settled_without_bake(1, spec).await;
    let rollout = cluster.start("0.2.0").await;
    cluster
        .until("baking", |state| {
            let step = &state.rollouts[&rollout].nodes[&node(1)].step;
            matches!(step, Step::Upgrading { stage: Stage::Baking, .. })
        })
        .await;
    cluster.quorum(false);
    cluster.contact_lost_for(Duration::from_secs(61));
    cluster.host(1).until_running("0.1.0").await;
    assert_eq!(cluster.versions(1).await, both("0.1.0"));
    cluster.contact_lost_for(Duration::ZERO);
    cluster.quorum(true);
    let Phase::Reverted { reason } = cluster.end_of(rollout).await else { panic!("not reverted") };
    assert_eq!(reason, HaltReason::Orphaned { node: node(1) });
    assert_eq!(cluster.versions(1).await, both("0.1.0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_app_is_started_again_and_a_stopped_one_stays_down() {
    use crate::state::command::Command;
    let cluster = Cluster::settled(1, spec()).await;
    cluster.host(1).kill().await;
    cluster.host(1).until_running("0.1.0").await;
    cluster.apply(Command::SetRunning { app: app(), running: false }).await;
    let mut liveness = cluster.host(1).liveness();
    liveness.wait_for(|lives| *lives == crate::driver::Liveness::Down).await.unwrap();
    cluster
        .until("seen down", |state| {
            let instance = &state.apps[&app()].instances[&node(1)];
            instance.observed.as_ref().is_some_and(|seen| seen.running == crate::driver::Running::Down)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_whose_files_were_deleted_gets_them_again_before_it_is_started_again() {
    let cluster = Cluster::settled(1, spec()).await;
    let host = cluster.host(1);
    let version = "0.1.0".parse().unwrap();
    host.lose(&version).await;
    host.script(FakeStep::Start, Fault::Fail("start.boot is missing".to_owned())).await;
    host.kill().await;
    host.until_running("0.1.0").await;
    assert!(host.has(&version).await);
}
