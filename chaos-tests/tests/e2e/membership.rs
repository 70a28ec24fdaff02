//! Nodes that come, go and come back.

use crate::support::{Play, assert_says, quick};
use chaos_tests::cluster::{APP, SpecConfig};
use chaos_tests::wait;
use chaos_tests::witness::Testimony;
use std::time::Duration;

const CATCH_UP: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_joins_is_brought_to_the_apps_release() {
    let mut play = Play::prepared(2).await;
    play.cluster.start_daemon(0).await.unwrap();
    play.ctl().run(&["cluster", "init"]).await.unwrap();
    play.install(&["0.1.0"], &quick()).await;
    play.cluster.start_daemon(1).await.unwrap();
    let token = play.ctl().token().await.unwrap();
    play.cluster.ctl(1).run(&["cluster", "join", &token]).await.unwrap();
    let (_, app) = play.cluster.apps().remove(1);
    Testimony::of_version(app, "0.1.0", CATCH_UP).await.unwrap();
    // One voter and one learner, and what that means.
    let status = play.cluster.settled().await.unwrap();
    assert_says(&status.cluster.notes.join("\n"), &["one voter", "n1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_missed_a_rollout_is_brought_to_the_apps_release_when_it_returns() {
    let spec = SpecConfig { unreachable: "skip", progress_deadline: Duration::from_secs(45), ..quick() };
    let mut play = Play::installed_as(3, &["0.1.0", "0.2.0"], &spec).await;
    play.cluster.kill_daemon(2).unwrap();
    let ctl = play.ctl();
    wait::until("the loss is noticed", Duration::from_secs(30), async || {
        let nodes = ctl.status().await?.cluster.nodes;
        Ok(nodes.iter().any(|node| node.name == "n3" && node.liveness == "dead").then_some(()))
    })
    .await
    .unwrap();
    let rolled = ctl.roll(APP, "0.2.0").await.unwrap();
    assert_eq!(rolled.summary.phase, "completed", "{}", rolled.summary.reason);
    let (_, app) = play.cluster.apps().remove(2);
    let before = Testimony::take(app).await.unwrap();
    assert_eq!(before.info.version, "0.1.0");
    play.cluster.start_daemon(2).await.unwrap();
    let after = Testimony::of_version(app, "0.2.0", CATCH_UP).await.unwrap();
    assert!(after.is_same_life(&before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_node_is_out_for_good() {
    let mut play = Play::formed(3).await;
    let ctl = play.ctl();
    let said = ctl.refused(&["cluster", "remove", "n9", "--yes"]).await.unwrap();
    assert_says(&said, &["n9"]);
    ctl.run(&["cluster", "remove", "n3", "--yes"]).await.unwrap();
    wait::until("the node is gone", Duration::from_secs(30), async || {
        let nodes = ctl.status().await?.cluster.nodes;
        Ok((nodes.len() == 2 && nodes.iter().all(|node| node.name != "n3")).then_some(()))
    })
    .await
    .unwrap();
    // It cannot talk its way back in.
    play.cluster.kill_daemon(2).unwrap();
    play.cluster.spawn_daemon(2).unwrap();
    let removed = play.cluster.ctl(2);
    let said = wait::until("its daemon answers or ends", Duration::from_secs(30), async || {
        let ended = removed.try_run(&["cluster", "token", "--timeout", "5s"]).await?;
        Ok((ended.code != 0).then_some(ended.stderr))
    })
    .await
    .unwrap();
    assert!(!said.is_empty());
    assert_eq!(ctl.status().await.unwrap().cluster.nodes.len(), 2);
}
