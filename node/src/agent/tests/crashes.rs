//! Daemons that are killed at the worst moments: between the ledger and the effect, and between the
//! effect and its report. Whatever the moment, the rollout ends as without it, and no step runs twice.

use super::cluster::{Cluster, spec};
use crate::driver::Rung;
use crate::driver::fake::{Fault, Step as FakeStep};
use crate::state::rollout::{Phase, Stage, Step};
use relupd_core::samples::node;
use std::time::Duration;

async fn survives(step: FakeStep, fault: Fault) {
    let mut cluster = Cluster::settled(2, spec()).await;
    cluster.host(2).script(step, fault).await;
    let rollout = cluster.start("0.2.0").await;
    cluster.fault_struck(2, step).await;
    cluster.kill_agent(2).await;
    assert!(cluster.host(2).running().await.is_some(), "the app runs on without its daemon");
    cluster.start_agent(2);
    assert_eq!(cluster.end_of(rollout).await, Phase::Completed);
    for number in 1..=2 {
        assert_eq!(cluster.versions(number).await, (Some("0.2.0".to_owned()), Some("0.2.0".to_owned())));
        let steps = cluster.steps(number).await;
        assert!(
            steps.iter().all(|(name, count)| *count == 1 || name.ends_with("commit")),
            "{step:?}: {steps:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_before_the_installation_began() {
    survives(FakeStep::Install, Fault::HangBefore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_after_the_installation_and_before_its_end_was_known() {
    survives(FakeStep::Install, Fault::HangAfter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_while_verifying() {
    survives(FakeStep::Verify, Fault::HangBefore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_while_draining() {
    survives(FakeStep::Drain, Fault::HangAfter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_before_the_commit() {
    survives(FakeStep::Commit, Fault::HangBefore).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_after_the_commit_and_before_its_report() {
    survives(FakeStep::Commit, Fault::HangAfter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_killed_on_a_rung_of_the_way_back() {
    for fault in [Fault::HangBefore, Fault::HangAfter] {
        let rung = FakeStep::RollBack(Rung::RelupDown);
        let mut cluster = Cluster::settled(1, spec()).await;
        cluster.sicken(1, "0.2.0");
        cluster.host(1).script(rung, fault).await;
        let rollout = cluster.start("0.2.0").await;
        cluster.fault_struck(1, rung).await;
        cluster.kill_agent(1).await;
        cluster.start_agent(1);
        assert!(matches!(cluster.end_of(rollout).await, Phase::Reverted { .. }));
        assert_eq!(cluster.versions(1).await, (Some("0.1.0".to_owned()), Some("0.1.0".to_owned())));
        assert!(cluster.steps(1).await.values().all(|count| *count == 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reboot_after_the_decision_is_installed_again() {
    let mut cluster = Cluster::settled(1, spec()).await;
    cluster.host(1).script(FakeStep::Commit, Fault::HangBefore).await;
    let rollout = cluster.start("0.2.0").await;
    cluster.fault_struck(1, FakeStep::Commit).await;
    cluster.kill_agent(1).await;
    cluster.host(1).reboot().await;
    assert_eq!(cluster.versions(1).await.0.as_deref(), Some("0.1.0"), "a trial does not survive a reboot");
    cluster.start_agent(1);
    assert_eq!(cluster.end_of(rollout).await, Phase::Completed);
    assert_eq!(cluster.versions(1).await, (Some("0.2.0".to_owned()), Some("0.2.0".to_owned())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reboot_during_the_bake_is_a_failed_verdict_and_nothing_is_installed_again() {
    let mut spec = spec();
    spec.upgrade.bake = Duration::from_secs(3600);
    let mut cluster = Cluster::settled_without_bake(1, spec).await;
    let rollout = cluster.start("0.2.0").await;
    cluster
        .until("baking", |state| {
            let step = &state.rollouts[&rollout].nodes[&node(1)].step;
            matches!(step, Step::Upgrading { stage: Stage::Baking, .. })
        })
        .await;
    cluster.kill_agent(1).await;
    cluster.host(1).reboot().await;
    cluster.start_agent(1);
    assert!(matches!(cluster.end_of(rollout).await, Phase::Reverted { .. }));
    let steps = cluster.steps(1).await;
    assert_eq!(steps.keys().filter(|name| name.ends_with("install")).count(), 2, "{steps:?}");
    assert!(steps.values().all(|count| *count == 1), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_linearizable_read_nothing_is_begun() {
    let cluster = Cluster::settled(1, spec()).await;
    let before = cluster.steps(1).await;
    cluster.reads(false);
    let rollout = cluster.start("0.2.0").await;
    cluster.reads_refused(3).await;
    assert!(matches!(cluster.rollout(rollout).nodes[&node(1)].step, Step::Upgrading { .. }));
    assert_eq!(cluster.steps(1).await, before);
    cluster.reads(true);
    assert_eq!(cluster.end_of(rollout).await, Phase::Completed);
}
