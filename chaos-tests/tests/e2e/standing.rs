//! Plans and rollouts that the state of the cluster does not allow.

use crate::support::{Play, assert_says};
use chaos_tests::cluster::APP;
use chaos_tests::wait;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_needs_an_app_and_a_version_that_are_there_and_is_started_only_while_it_holds() {
    let play = Play::installed(1, &["0.1.0", "0.2.0"]).await;
    let ctl = play.ctl();
    let said = ctl.refused(&["plan", "shoe", "0.2.0"]).await.unwrap();
    assert_says(&said, &["shoe"]);
    let said = ctl.refused(&["plan", APP, "9.9.9"]).await.unwrap();
    assert_says(&said, &["9.9.9", "relupctl release"]);
    let said = ctl.refused(&["plan", APP, "0.1.0"]).await.unwrap();
    assert_says(&said, &["0.1.0"]);
    let said = ctl.refused(&["rollout", "start", "p999"]).await.unwrap();
    assert_says(&said, &["p999"]);

    let (stale, plan) = (ctl.plan(APP, "0.2.0").await.unwrap(), ctl.plan(APP, "0.2.0").await.unwrap());
    let id = ctl.start(&plan).await.unwrap();
    // One at a time, whatever the plan.
    let said = ctl.refused(&["rollout", "start", &stale.id]).await.unwrap();
    assert_says(&said, &[APP]);
    let ended = ctl.watch_to_end(&id).await.unwrap();
    assert_eq!(ended.summary.phase, "completed", "{}", ended.summary.reason);
    let said = ctl.refused(&["rollout", "start", &stale.id]).await.unwrap();
    assert_says(&said, &[&stale.id, "relupctl plan"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_reads_say_so_and_writes_change_nothing() {
    let mut play = Play::formed(3).await;
    play.cluster.kill_daemon(1).unwrap();
    play.cluster.kill_daemon(2).unwrap();
    let ctl = play.ctl();
    wait::until("the loss is noticed", Duration::from_secs(30), async || {
        let notes = ctl.status().await?.cluster.notes.join("\n");
        Ok(notes.contains("quorum").then_some(()))
    })
    .await
    .unwrap();
    let said = ctl.refused(&["cluster", "token", "--timeout", "15s"]).await.unwrap();
    assert_says(&said, &["quorum"]);
    play.cluster.start_daemon(1).await.unwrap();
    wait::until("a quorum is back", Duration::from_secs(30), async || ctl.token().await.map(Some))
        .await
        .unwrap();
}
