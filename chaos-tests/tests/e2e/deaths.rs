//! VMs that die by themselves.

use crate::support::{Play, bakes_for_long};
use chaos_tests::cluster::APP;
use chaos_tests::wait;
use chaos_tests::witness::Testimony;
use rustix::process::Signal;
use std::time::Duration;

const REVIVAL: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_dies_while_it_bakes_halts_the_rollout_and_comes_back_on_the_old_release() {
    let play = Play::installed(1, &["0.1.0", "0.2.0"]).await;
    play.apply(&bakes_for_long()).await;
    let (_, app) = play.cluster.apps().remove(0);
    let ctl = play.ctl();
    let plan = ctl.plan(APP, "0.2.0").await.unwrap();
    let id = ctl.start(&plan).await.unwrap();
    ctl.rollout_until(&id, "the node bakes", |rollout| rollout.nodes[0].step == "baking").await.unwrap();
    let baking = Testimony::of_version(app, "0.2.0", REVIVAL).await.unwrap();
    baking.process.signal(Signal::KILL, false);
    let ended = ctl.watch_to_end(&id).await.unwrap();
    assert_eq!(ended.summary.phase, "reverted", "{}", ended.summary.reason);
    let after = Testimony::of_version(app, "0.1.0", REVIVAL).await.unwrap();
    assert!(!after.is_same_life(&baking));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_dies_on_its_own_is_started_again() {
    let play = Play::installed(1, &["0.1.0"]).await;
    let (_, app) = play.cluster.apps().remove(0);
    let before = Testimony::take(app).await.unwrap();
    before.process.signal(Signal::KILL, false);
    let after = wait::until("another VM answers", REVIVAL, async || {
        let found = Testimony::take(app).await?;
        Ok((!found.is_same_life(&before)).then_some(found))
    })
    .await
    .unwrap();
    assert_eq!(after.info.version, "0.1.0");
}
