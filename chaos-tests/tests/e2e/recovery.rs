//! The quorum is gone for good, and one survivor goes on.

use crate::support::{Play, assert_says, quick};
use chaos_tests::cluster::APP;
use chaos_tests::ctl::Ctl;
use chaos_tests::wait;
use chaos_tests::witness::Testimony;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until the losses are noticed, and then until the daemon has started again and leads.
async fn recover(ctl: &Ctl, lost: &[&str]) {
    let mut command = vec!["cluster", "recover", "--yes"];
    for node in lost {
        command.extend(["--lost", node]);
    }
    wait::until("the survivor recovers", PATIENCE, async || {
        Ok((ctl.try_run(&command).await?.code == 0).then_some(()))
    })
    .await
    .unwrap();
    leads(ctl).await;
}

async fn leads(ctl: &Ctl) {
    wait::until("it decides again", PATIENCE, async || {
        Ok((ctl.try_run(&["cluster", "token"]).await?.code == 0).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_survivor_goes_on_with_apps_and_releases_and_lets_new_nodes_in() {
    let mut play = Play::prepared(4).await;
    for index in 0..3 {
        play.cluster.start_daemon(index).await.unwrap();
    }
    let ctl = play.ctl();
    ctl.run(&["cluster", "init"]).await.unwrap();
    for index in 1..3 {
        let token = ctl.token().await.unwrap();
        play.cluster.ctl(index).run(&["cluster", "join", &token]).await.unwrap();
    }
    play.install(&["0.1.0", "0.2.0"], &quick()).await;
    let said = ctl.refused(&["cluster", "recover", "--yes"]).await.unwrap();
    assert_says(&said, &["has its quorum", "relupctl cluster remove"]);

    for index in 1..3 {
        play.cluster.kill_daemon(index).unwrap();
    }
    let said = wait::until("the losses are noticed", PATIENCE, async || {
        let ended = ctl.try_run(&["cluster", "recover", "--yes", "--lost", "n2"]).await?;
        Ok(ended.stderr.contains("n3 votes").then_some(ended.stderr))
    })
    .await
    .unwrap();
    assert_says(&said, &["does not answer", "--lost"]);
    let (_, app) = play.cluster.apps().remove(0);
    let before = Testimony::take(app).await.unwrap();
    recover(&ctl, &["n2", "n3"]).await;
    let status = ctl.status().await.unwrap();
    let nodes: Vec<_> = status.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes, ["n1"]);
    assert!(Testimony::take(app).await.unwrap().is_same_life(&before), "no app noticed");

    play.cluster.start_daemon(3).await.unwrap();
    let token = ctl.token().await.unwrap();
    play.cluster.ctl(3).run(&["cluster", "join", &token]).await.unwrap();
    let (_, joined) = play.cluster.apps().remove(3);
    Testimony::of_version(joined, "0.1.0", PATIENCE).await.unwrap();
    wait::until("its catching up has ended", PATIENCE, async || {
        Ok((ctl.try_run(&["plan", APP, "0.2.0"]).await?.code == 0).then_some(()))
    })
    .await
    .unwrap();
    let rolled = ctl.roll(APP, "0.2.0").await.unwrap();
    assert_eq!(rolled.summary.phase, "completed", "{}", rolled.summary.reason);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_the_one_that_did_not_vote_goes_on() {
    let mut play = Play::formed(2).await;
    let other = play.cluster.ctl(1);
    let out = play.path().join("ada");
    let out = out.to_string_lossy();
    wait::until("it holds the CA's key and can sign", PATIENCE, async || {
        let added = other.try_run(&["operator", "add", "ada", "--role", "viewer", "--out", &out]).await?;
        Ok((added.code == 0).then_some(()))
    })
    .await
    .unwrap();
    play.cluster.kill_daemon(0).unwrap();
    recover(&other, &["n1"]).await;
    let status = other.status().await.unwrap();
    assert_eq!(status.cluster.nodes.len(), 1);
    let out = play.path().join("eve");
    other
        .run(&["operator", "add", "eve", "--role", "viewer", "--out", &out.to_string_lossy()])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_backup_the_cluster_begins_again_on_a_fresh_host() {
    let mut play = Play::formed(2).await;
    let ctl = play.ctl();
    let archive = play.samples.archive("0.1.0");
    let archive = archive.to_string_lossy();
    ctl.run(&["release", "push", &archive]).await.unwrap();
    let cluster = ctl.status().await.unwrap().cluster.cluster_id;
    let file = play.path().join("backup");
    let backup = file.to_string_lossy();
    ctl.run(&["cluster", "backup", &backup]).await.unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_says(&ctl.refused(&["cluster", "backup", &backup]).await.unwrap(), &["cannot make"]);
    let said = ctl.refused(&["cluster", "restore", &backup]).await.unwrap();
    assert_says(&said, &["already belongs to cluster"]);

    for index in [0, 1] {
        play.cluster.kill_daemon(index).unwrap();
        fs::remove_dir_all(play.cluster.members()[index].state_dir()).unwrap();
        play.cluster.start_daemon(index).await.unwrap();
    }
    let half = play.path().join("half");
    let whole = fs::read(&file).unwrap();
    fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let said = ctl.refused(&["cluster", "restore", &half.to_string_lossy()]).await.unwrap();
    assert_says(&said, &["no backup", "relupctl cluster backup"]);
    let said = play.cluster.ctl(1).refused(&["cluster", "restore", &backup]).await.unwrap();
    assert_says(&said, &["node \"n1\"", "node.name"]);

    ctl.run(&["cluster", "restore", &backup]).await.unwrap();
    leads(&ctl).await;
    let status = ctl.status().await.unwrap();
    assert_eq!(status.cluster.cluster_id, cluster);
    let nodes: Vec<_> = status.cluster.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes, ["n1"]);
    // The record of the release is there; its files come with the archive.
    ctl.run(&["release", "push", &archive]).await.unwrap();
    let token = ctl.token().await.unwrap();
    play.cluster.ctl(1).run(&["cluster", "join", &token]).await.unwrap();
}
